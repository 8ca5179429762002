//! The time of each neuron's first spike, as a readout that can be differentiated.
//!
//! A neuron that is at v before the step from t to t + dt, and at v′ before the reset of its first
//! spike, had a current I with φ(v, I) = v′, and reached the threshold after a time T:
//!
//! ```text
//! t*        = t + T(v, I)                                   T: TimeToThreshold
//! ∂t*/∂v′   = (∂T/∂I)/(∂φ/∂I)                               because I is a function of v and v′
//! ∂t*/∂v    = ∂T/∂v − (∂t*/∂v′) ∂φ/∂v
//! ```
//!
//! The potentials come from the scan, so the gradient goes back by its adjoint. It is exact as long
//! as the spike stays in its step. At the border of two steps, t* is continuous if the current of
//! the next step also drives v over the threshold; otherwise the spike disappears. Near a
//! crossing that only touches the threshold, ∂T/∂I grows without bound; a speed below 1e-6/ms is
//! replaced by 1e-6/ms.
//!
//! ```text
//! C = mean over the batch of −log softmax(−t*/τ)_target      the class whose neuron spikes first
//! ```
//!
//! Source of the cost: Göltz et al., Nature Machine Intelligence 2021.

use super::spikes::spikes;
use super::trajectory::Trajectory;
use crate::neuron::{Neuron, TimeToThreshold};
use crate::scan::numbers;
use burn::module::Module;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::tensor::{Bool, Int, Tensor, TensorData};

/// The first spikes of the neurons of a run.
#[derive(Debug, Clone)]
pub struct FirstSpikes {
    /// The time of each neuron's first spike from the start of the run, in ms, `[B, N]`. For a
    /// neuron without spikes, it is the length of the sample, which has no gradient.
    pub times: Tensor<2>,
    /// Whether each neuron spiked, `[B, N]`.
    pub spiked: Tensor<2, Bool>,
}

/// The current (1/ms) under which a neuron goes from `v` to `unwrapped` in a step, φ(v, I) =
/// v′. φ rises with I.
fn current_of(neuron: &Neuron, v: f64, unwrapped: f64, dt: f64) -> f64 {
    let miss = |i: f64| neuron.phi(v, i, dt) - unwrapped;
    let mut current = (unwrapped - v) / dt;
    let mut reach = current.abs().max(1.0 / dt);
    let (mut low, mut high) = (current - reach, current + reach);
    while miss(low) > 0.0 || miss(high) < 0.0 {
        reach *= 2.0;
        (low, high) = (current - reach, current + reach);
        assert!(
            reach.is_finite(),
            "no current takes {neuron} from {v} to {unwrapped} in {dt} ms; first-spike times need a flow that rises with the current \
             without bound"
        );
    }
    for _ in 0..100 {
        let error = miss(current);
        if error > 0.0 {
            high = current
        } else {
            low = current
        }
        let (_, slope) = neuron.slopes(v, current, dt);
        let next = current - error / slope;
        // Newton's method, or bisection where it would leave the bracket.
        let next = if next > low && next < high { next } else { 0.5 * (low + high) };
        if (next - current).abs() <= f64::EPSILON * current.abs() {
            break;
        }
        current = next;
    }
    current
}

/// One neuron's first spike: its time within its step, and the derivatives with respect to v before
/// the step and v′.
fn within_step(neuron: &Neuron, v: f64, unwrapped: f64, dt: f64) -> [f64; 3] {
    let current = current_of(neuron, v, unwrapped, dt);
    let Some(TimeToThreshold { time, by_v, by_i }) = neuron.time_to_threshold(v, current) else {
        // Rounding has made the current too weak. The potential reached the threshold at the end.
        return [dt, 0.0, 0.0];
    };
    let (dv, di) = neuron.slopes(v, current, dt);
    let by_unwrapped = by_i / di;
    [time.clamp(0.0, dt), by_v - by_unwrapped * dv, by_unwrapped]
}

impl Trajectory {
    /// Returns the first spike of each neuron. Waits for the device.
    ///
    /// # Panics
    /// If the trajectory has no membrane potentials or no charges, if the neuron has no
    /// [`time_to_threshold`](crate::NeuronModel::time_to_threshold) (NIF, LIF and QIF have one), if
    /// the layer learns τ_mem, or if its adjoint is
    /// [`Adjoint::MeanField`](crate::Adjoint::MeanField).
    pub fn first_spikes(&self) -> FirstSpikes {
        let neuron = match &self.neuron {
            Ok(neuron) => neuron,
            Err(why) => panic!(
                "first-spike times of this layer have no exact gradient: {why}; take `tau_mem` out of `learned`, and choose \
                 Adjoint::Exact"
            ),
        };
        // Every model that reaches a threshold reaches it under a strong current.
        assert!(
            neuron.time_to_threshold(0.5, 1e3).is_some(),
            "first-spike times need a neuron whose time to the threshold has a formula, but this is {neuron}; use NIF, LIF or QIF, \
             or implement `NeuronModel::time_to_threshold`"
        );
        let what = "first-spike times";
        let v = self.timing.in_layout(self.potentials(what).clone());
        let [batch, most, neurons] = v.dims();
        let (dt, steps) = (self.timing.dt, self.timing.steps(self.potentials(what)));
        let charges = numbers(self.timing.in_layout(self.charges(what).clone()));
        let v = Tensor::cat(vec![self.start_v.clone().unsqueeze_dim(1), v], 1);
        let values = numbers(v.clone());
        // v of one sample, from v_0 on.
        let of_sample = |b: usize| &values[b * (most + 1) * neurons..][..(steps[b] + 1) * neurons];
        let at = |b: usize, t: usize, n: usize| of_sample(b)[t * neurons + n];

        let (gate, mut first) = (self.gate.of_neurons(), vec![None; batch * neurons]);
        for b in 0..batch {
            let (v0, v) = of_sample(b).split_at(neurons);
            let charges = &charges[b * most * neurons..][..steps[b] * neurons];
            // A neuron that is reset several times in a step appears several times.
            for (t, n) in spikes(&gate, v0, v, charges) {
                let (step, resets) = first[b * neurons + n].get_or_insert((t, 0.0));
                *resets += if *step == t { 1.0 } else { 0.0 };
            }
        }
        let (mut times, mut by_v, mut by_after, mut before) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (place, first) in first.iter().enumerate() {
            let (b, n) = (place / neurons, place % neurons);
            let [time, dv, dafter] = match first {
                Some((t, resets)) => {
                    let [time, dv, dafter] = within_step(neuron, at(b, *t, n), at(b, t + 1, n) + resets, dt);
                    [*t as f64 * dt + time, dv, dafter]
                }
                None => [steps[b] as f64 * dt, 0.0, 0.0],
            };
            times.push(time);
            by_v.push(dv);
            by_after.push(dafter);
            before.push(first.map_or(0, |(t, _)| t as i64));
        }
        let options = (&v.device(), v.dtype());
        let tensor = |values: Vec<f64>| Tensor::<2>::from_data(TensorData::new(values, [batch, neurons]), options);
        let before = Tensor::<3, Int>::from_data(TensorData::new(before, [batch, 1, neurons]), options.0);
        let potential = |rows: Tensor<3, Int>| -> Tensor<2> { v.clone().gather(1, rows).squeeze_dim(1) };
        // The value of a difference is 0, its gradient is that of the potential.
        let change = |potential: Tensor<2>| potential.clone() - potential.detach();
        let (of_v, of_after) = (change(potential(before.clone())), change(potential(before + 1)));
        let spiked: Vec<bool> = first.iter().map(Option::is_some).collect();
        FirstSpikes {
            times: tensor(times) + tensor(by_v) * of_v + tensor(by_after) * of_after,
            spiked: Tensor::from_data(TensorData::new(spiked, [batch, neurons]), options.0),
        }
    }
}

/// The cost of a classification by the first spike: one neuron for each class.
#[derive(Module, Debug)]
pub struct FirstSpikeLoss {
    /// τ, in ms: the time by which the right neuron should be earlier than the others.
    #[module(skip)]
    pub tau: f64,
}

impl FirstSpikeLoss {
    /// Creates the cost.
    ///
    /// # Panics
    /// If `tau` is not above 0 and finite.
    pub fn new(tau: f64) -> Self {
        assert!(
            tau > 0.0 && tau.is_finite(),
            "the cost of first spikes has tau {tau} ms, but it must be above 0 and finite; give a time such as 5"
        );
        Self { tau }
    }

    /// Computes the cost, `[1]`, and the scores −t*/τ, `[B, classes]`, for Burn's
    /// `ClassificationOutput`. A silent neuron counts as one that spikes at the end; it has no
    /// gradient, so keep neurons active (`RateBounds`).
    ///
    /// - `targets`: the class of each sample, `[B]`.
    ///
    /// # Panics
    /// If the number of targets is not B.
    pub fn forward(&self, spikes: &FirstSpikes, targets: Tensor<1, Int>) -> (Tensor<1>, Tensor<2>) {
        let scores = spikes.times.clone() * (-1.0 / self.tau);
        let cost = CrossEntropyLossConfig::new().init(&scores.device()).forward(scores.clone(), targets);
        (cost, scores)
    }
}
