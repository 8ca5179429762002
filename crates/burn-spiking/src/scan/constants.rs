//! The network's constants as a tensor: τ_mem, w and α_1 … α_K, `[2 M + K]`. All neurons share
//! τ_mem and w (M = 1), or each neuron has its own (M = N).
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
    /// The same plan with the numbers of a tensor of constants. If each neuron has its own τ_mem
    /// and w, those of `neuron` and `gate` become the means.
    pub(crate) fn with_constants(&self, constants: &[f64], neurons: usize) -> Self {
        let mut plan = self.clone();
        let (of_neurons, decays) = constants.split_at(constants.len() - self.synapses.len());
        let (tau_mem, width) = of_neurons.split_at(of_neurons.len() / 2);
        let learns_tau = plan.neuron.learns_tau();
        if learns_tau {
            plan.neuron = plan.neuron.with_tau(mean(tau_mem));
        }
        plan.gate = plan.gate.with_width(mean(width));
        for (synapse, &decay) in plan.synapses.iter_mut().zip(decays) {
            synapse.decay = decay;
        }
        plan.per_neuron = (width.len() == neurons && neurons > 1).then(|| {
            let tau_mem = if learns_tau { tau_mem.to_vec() } else { Vec::new() };
            Arc::new(PerNeuronConstants { tau_mem, width: width.to_vec() })
        });
        plan
    }
}
