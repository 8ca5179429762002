//! The network's constants as a tensor: τ_mem, w and α_1 … α_K, `[2 M + K]`. All neurons share
//! τ_mem and w (M = 1), or each neuron has its own (M = N).
//!
//! With [`planar_constants`](ScanPlan::planar_constants) the tensor is `[4 M + K]`: τ_mem, w, the
//! second constant of the neuron's flow, b and α_1 … α_K.
//!
//! A run whose constants have gradients takes its numbers from this tensor, and from nowhere else.

use super::dynamics::PerNeuronConstants;
use super::plan::ScanPlan;
use burn::tensor::Tensor;
use std::sync::Arc;

/// Returns the numbers of a tensor, in order. Waits for the device.
pub(crate) fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

impl ScanPlan {
    /// The same plan with the numbers of a tensor of constants. If each neuron has its own, those
    /// of `neuron` and `gate` become the means.
    pub(crate) fn with_constants(&self, constants: &[f64], neurons: usize) -> Self {
        let mut plan = self.clone();
        let (of_neurons, decays) = constants.split_at(constants.len() - self.synapses.len());
        let each = of_neurons.len() / self.neuron_constants();
        let mut rows = of_neurons.chunks_exact(each);
        let mut row = || rows.next().unwrap_or_default();
        let (tau_mem, width, second, jump) = (row(), row(), row(), row());
        if plan.planar_constants {
            plan.neuron = plan.neuron.with_planar_constants([mean(tau_mem), mean(second)], mean(jump));
        } else if plan.neuron.has_membrane() {
            plan.neuron = plan.neuron.with_tau(mean(tau_mem));
        }
        plan.gate = plan.gate.with_width(mean(width));
        for (synapse, &decay) in plan.synapses.iter_mut().zip(decays) {
            synapse.decay = decay;
        }
        plan.per_neuron = (width.len() == neurons && neurons > 1).then(|| {
            let learns_tau = plan.planar_constants || plan.neuron.has_membrane();
            Arc::new(PerNeuronConstants {
                tau_mem: if learns_tau { tau_mem.to_vec() } else { Vec::new() },
                width: width.to_vec(),
                second: second.to_vec(),
                jump: jump.to_vec(),
            })
        });
        plan
    }

    /// The constants that neurons may have each, N of each, or 1 if all neurons share them.
    pub(crate) fn own_constants(&self) -> PerNeuronConstants {
        if let Some(each) = self.per_neuron.as_deref() {
            return each.clone();
        }
        let planar = self.neuron.planar_constants().filter(|_| self.planar_constants);
        let (tau_mem, second, jump) = match planar {
            Some(([tau_mem, second], jump)) => (vec![tau_mem], vec![second], vec![jump]),
            None => (self.neuron.tau().into_iter().collect(), Vec::new(), Vec::new()),
        };
        PerNeuronConstants { tau_mem, width: vec![self.gate.width()], second, jump }
    }
}
