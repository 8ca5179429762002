//! The trajectory of a run: the states of the neurons, with the time step, layout, lengths and gate
//! of the run.
//!
//! ```text
//! count      n_j = Σ_t ΔQ_jt          spikes and parts of spikes, differentiable through the gate
//! rate       r_j = 1000 n_j/(T_b dt)  in Hz; T_b: number of steps of the sample
//! ```
//!
//! A linear readout of counts, `Linear` of [`Trajectory::spike_counts`], is known as a "rate code".

use super::spikes::spikes;
use crate::gate::Gate;
use crate::layer::sequence::Timing;
use crate::neuron::Neuron;
use crate::scan::{Run, numbers};
use burn::tensor::activation::sigmoid;
use burn::tensor::{Tensor, TensorData};

/// The states of a layer's neurons after each step. Series are `[B, T, N]`, or `[T, B, N]` if the
/// layer is not `batch_first`. They are 0 after the end of a sample.
#[derive(Debug, Clone)]
pub struct Trajectory {
    /// Synaptic traces ŝ of the synapse types that are read, each `[B, T, N]`; a spike adds 1.
    pub traces: Vec<Tensor<3>>,
    /// Membrane potentials after the reset, `[B, T, N]`, if recorded.
    pub v: Option<Tensor<3>>,
    /// Charges sent in each step, `[B, T, N]`, if recorded. The charges of a spike add up to 1.
    pub charge: Option<Tensor<3>>,
    /// The second variable w of neurons that have two, after its jump, `[B, T, N]`, if recorded.
    pub w: Option<Tensor<3>>,
    /// The initial membrane potentials v_0, `[B, N]`.
    pub(crate) start_v: Tensor<2>,
    pub(crate) gate: GateNow,
    /// The neuron model, or the reason why first-spike times have no exact gradient.
    pub(crate) neuron: Result<Neuron, &'static str>,
    pub(crate) timing: Timing,
}

/// The gate of a run, with the learned widths that it had in the run.
#[derive(Debug, Clone)]
pub(crate) struct GateNow {
    pub(crate) gate: Gate,
    /// The logit of the width, if widths are learned: `[N]` if each neuron has its own, otherwise
    /// `[1]`.
    pub(crate) logit_width: Option<Tensor<1>>,
}

impl GateNow {
    /// Returns the gate of each neuron.
    pub(super) fn of_neurons(&self) -> impl Fn(usize) -> Gate {
        let gate = self.gate;
        let widths = self.logit_width.clone().map(|logit| numbers(sigmoid(logit)));
        move |neuron| match &widths {
            Some(widths) => gate.with_width(widths[neuron % widths.len()]),
            None => gate,
        }
    }
}

impl Trajectory {
    /// Returns the trace of a layer that reads exactly one synapse type.
    ///
    /// # Panics
    /// If the layer reads no trace or several.
    pub fn trace(&self) -> Tensor<3> {
        only(&self.traces)
    }

    /// Returns the time step, the layout and the lengths of the run.
    pub fn timing(&self) -> &Timing {
        &self.timing
    }

    /// Returns the charge that each neuron sends in a run, `[B, N]`. This is its number of spikes,
    /// plus the part of a spike that has begun at the end, minus the part that had already begun at
    /// the start.
    ///
    /// # Panics
    /// If the trajectory has no charges.
    pub fn spike_counts(&self) -> Tensor<2> {
        self.timing.in_layout(self.charges("spike counts").clone()).sum_dim(1).squeeze_dim(1)
    }

    /// Returns the firing rate of each neuron over the steps of each sample, in Hz, `[B, N]`.
    ///
    /// # Panics
    /// If the trajectory has no charges.
    pub fn rates_hz(&self) -> Tensor<2> {
        let (counts, steps) = (self.spike_counts(), self.timing.steps(self.charges("rates")));
        let unit: Vec<f64> = steps.iter().map(|&steps| 1000.0 / (steps as f64 * self.timing.dt)).collect();
        let unit = Tensor::from_data(TensorData::new(unit, [steps.len(), 1]), (&counts.device(), counts.dtype()));
        counts * unit
    }

    /// Returns the spikes of one sample: (step, neuron) of each reset, in order. A neuron that is
    /// reset twice in a step appears twice. Waits for the device.
    ///
    /// # Panics
    /// If the trajectory has no membrane potentials or no charges, or if the sample does not exist.
    pub fn spikes(&self, sample: usize) -> Vec<(usize, usize)> {
        let (v, charge) = (self.potentials("spikes"), self.charges("spikes"));
        let steps = self.timing.steps(v);
        assert!(
            sample < steps.len(),
            "the spikes of sample {sample} are asked for, but the run has {} samples, counted from 0",
            steps.len()
        );
        let of_sample = |series: &Tensor<3>| {
            numbers(self.timing.in_layout(series.clone()).narrow(0, sample, 1).narrow(1, 0, steps[sample]))
        };
        let v0 = numbers(self.start_v.clone().narrow(0, sample, 1));
        spikes(self.gate.of_neurons(), &v0, &of_sample(v), &of_sample(charge))
    }

    /// Returns the charges. Panics if they were not recorded, with a message that `what` needs
    /// them.
    pub(crate) fn charges(&self, what: &str) -> &Tensor<3> {
        self.charge.as_ref().unwrap_or_else(|| not_recorded(what, "charges", "record_charge"))
    }

    /// Returns the membrane potentials. Panics if they were not recorded, with a message that
    /// `what` needs them.
    pub(crate) fn potentials(&self, what: &str) -> &Tensor<3> {
        self.v.as_ref().unwrap_or_else(|| not_recorded(what, "potentials", "record_v"))
    }

    /// Makes a trajectory of charges alone, `[B, T, N]`, with time steps of `dt` ms.
    #[cfg(test)]
    pub(crate) fn of_charge(charge: Tensor<3>, dt: f64) -> Self {
        let [batch, _, neurons] = charge.dims();
        Self {
            traces: Vec::new(),
            v: None,
            start_v: Tensor::zeros([batch, neurons], &charge.device()),
            charge: Some(charge),
            w: None,
            gate: GateNow { gate: Gate::default(), logit_width: None },
            neuron: Ok(Neuron::Nif),
            timing: Timing { dt, batch_first: true, lengths: None },
        }
    }
}

fn not_recorded(what: &str, missing: &str, option: &str) -> ! {
    panic!(
        "{what} need recorded {missing}, but this trajectory has none; use `forward_recording` or `forward_lengths_recording`, or \
         configure the layer with `with_{option}(true)`"
    )
}

/// Returns the only trace that a layer reads. Panics if it reads none or several.
fn only<const D: usize>(traces: &[Tensor<D>]) -> Tensor<D> {
    match traces {
        [trace] => trace.clone(),
        _ => panic!("the layer reads {} traces, but `trace` wants 1; use `traces`", traces.len()),
    }
}

/// The states of a layer's neurons after one step.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct StepOutput {
    /// Synaptic traces ŝ of the synapse types that are read, each `[B, N]`.
    pub traces: Vec<Tensor<2>>,
    /// Membrane potentials after the reset, `[B, N]`, if recorded.
    pub v: Option<Tensor<2>>,
    /// Charges sent, `[B, N]`, if recorded.
    pub charge: Option<Tensor<2>>,
    /// The second variable w of neurons that have two, after its jump, `[B, N]`, if recorded.
    pub w: Option<Tensor<2>>,
}

impl StepOutput {
    /// Converts a run of one step.
    pub(crate) fn of(run: Run) -> Self {
        let only = |x: Tensor<3>| x.squeeze_dim(1);
        let Run { traces, v, charge, w, .. } = run;
        Self {
            traces: traces.into_iter().map(only).collect(),
            v: v.map(only),
            charge: charge.map(only),
            w: w.map(only),
        }
    }

    /// Returns the trace of a layer that reads exactly one synapse type.
    ///
    /// # Panics
    /// If the layer reads no trace or several.
    pub fn trace(&self) -> Tensor<2> {
        only(&self.traces)
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use std::sync::Arc;

    #[test]
    fn counts_and_rates_are_sums_of_charges() {
        let charge = Tensor::<3>::from_data([[[0.25, 0.0], [0.75, -0.5], [0.0, 2.5]]], &Device::flex());
        let trajectory = Trajectory::of_charge(charge, 2.0);
        assert_eq!(numbers(trajectory.spike_counts()), [1.0, 2.0]);
        let rates = numbers(trajectory.rates_hz());
        assert!((rates[0] - 1000.0 / 6.0).abs() < 1e-4 && (rates[1] - 2000.0 / 6.0).abs() < 1e-4, "{rates:?}");
    }

    #[test]
    fn a_rate_is_of_the_samples_own_time_in_either_layout() {
        // Steps of 5 ms. The first sample has one spike in 2 steps, the second has two spikes in 4
        // steps.
        let charge = [[[1.0], [0.0], [0.0], [0.0]], [[0.0], [1.0], [0.0], [1.0]]];
        let charge = Tensor::<3>::from_data(charge, &Device::flex());
        for batch_first in [true, false] {
            let mut trajectory = Trajectory::of_charge(charge.clone(), 5.0);
            trajectory.timing = Timing { dt: 5.0, batch_first, lengths: Some(Arc::from([2, 4])) };
            trajectory.charge = trajectory.charge.map(|charge| trajectory.timing.in_layout(charge));
            assert_eq!(numbers(trajectory.rates_hz()), [100.0, 100.0]);
        }
    }
}
