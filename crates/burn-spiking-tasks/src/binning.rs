//! Events in time steps: what a network gets for the input spikes of a sample.
//!
//! ```text
//! Counts      x_t = number of events in step t
//! Filtered    x_t = mean over step t of Σ e^(−(time − event)/τ)    over all earlier events
//! Charges     e_t with x_t = e^(−dt/τ) x_{t−1} + e_t                x of Filtered
//! ```
//!
//! A filter is the synapse between an input unit and the network. The mean is exact, so an event
//! keeps its time within the step: two events in the same step give different inputs. The sum of
//! x_t over all steps is 1 for each event without a filter, and τ/dt with one.
//!
//! An event has charges in two steps only. So the input of a sample stays mostly 0, and a layer
//! with `input_tau` τ, which filters them, computes with the units that have events alone.

use crate::error::{TaskError, require};
use crate::events::{Events, Sample};
use crate::trial::Trial;
use burn::data::dataloader::batcher::Batcher;
use burn::tensor::{Device, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// The most numbers in the input of a sample: 1 GB in single precision.
pub const MOST_NUMBERS: usize = 1 << 28;

/// What an event gives to the input. The equations are at the top of [this module](self).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum InputFilter {
    /// 1, in its step.
    Counts,
    /// An exponential, from its time on.
    Filtered {
        /// τ, ms.
        tau: f64,
    },
    /// The charges of which a layer with `input_tau` τ makes the exponential.
    Charges {
        /// τ, ms.
        tau: f64,
    },
}

impl InputFilter {
    /// Returns τ, ms, if there is a filter.
    pub fn tau(self) -> Option<f64> {
        match self {
            InputFilter::Counts => None,
            InputFilter::Filtered { tau } | InputFilter::Charges { tau } => Some(tau),
        }
    }
}

/// How far before a step a time may lie and count as the start of that step, as a share of the
/// time: the single precision of 0.7 is less than 7 · 0.1.
const GRID: f64 = 1e-7;

/// How events become the inputs of time steps.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Binning {
    /// Length of a time step, ms.
    pub dt: f64,
    /// Number of time steps, T. Events after the last step are left out.
    pub steps: usize,
    /// Number of input units, C.
    pub units: usize,
    /// What an event gives to the input.
    pub filter: InputFilter,
}

impl Binning {
    /// Checks the numbers.
    ///
    /// # Errors
    /// [`TaskError`] if dt or τ is not above 0 and finite, if there are no steps or units, or if a
    /// sample has more than [`MOST_NUMBERS`].
    pub fn check(&self) -> Result<(), TaskError> {
        let positive = |name: &str, value: f64, remedy: &str| {
            require(value.is_finite() && value > 0.0, name, value, "above 0 and finite", remedy)
        };
        positive("dt", self.dt, "give the length of a time step in ms")?;
        if let Some(tau) = self.filter.tau() {
            positive("tau of the input filter", tau, "give it in ms, or InputFilter::Counts to count events")?;
        }
        require(self.steps > 0, "steps", self.steps, "at least 1", "give the number of time steps in a sample")?;
        require(self.units > 0, "units", self.units, "at least 1", "give the number of input units")?;
        let numbers = self.steps.saturating_mul(self.units);
        let limit = format!("at most {MOST_NUMBERS}");
        require(numbers <= MOST_NUMBERS, "steps times units", numbers, &limit, "take longer steps or pool the units")
    }

    /// Returns the input of these events, `[T, C]`.
    ///
    /// # Panics
    /// If an event has a unit that does not exist.
    pub fn input(&self, events: &Events) -> Vec<f32> {
        let mut input = vec![0.0; self.steps * self.units];
        self.write(events, &mut input);
        input
    }

    /// Writes the input of events into `input`, `[T, C]`, which must be 0.
    fn write(&self, events: &Events, input: &mut [f32]) {
        let Self { dt, steps, units, filter } = *self;
        // The mean of an exponential over a step at whose start it is 1, and its value at the end.
        let over_a_step = |tau: f64, time: f64| {
            let kept = (-time / tau).exp();
            (tau / dt * (1.0 - kept), kept)
        };
        let mut begun = Vec::new();
        for (time, unit) in events.iter() {
            assert!(unit < units, "an event has unit {unit}, but the binning has {units} units; give it more");
            let step = (time / dt * (1.0 + GRID)) as usize;
            if step >= steps {
                continue;
            }
            let Some(tau) = filter.tau() else {
                input[step * units + unit] += 1.0;
                continue;
            };
            // The mean over the rest of the step, and the filter's value at its end.
            let left = ((step + 1) as f64 * dt - time).clamp(0.0, dt);
            let (first, kept) = over_a_step(tau, left);
            input[step * units + unit] += first as f32;
            begun.push((step + 1, unit, first, kept));
        }
        let Some(tau) = filter.tau() else { return };
        let (mean, decay) = over_a_step(tau, dt);
        if let InputFilter::Charges { .. } = filter {
            for (step, unit, first, kept) in begun.into_iter().filter(|&(step, ..)| step < steps) {
                input[step * units + unit] += (mean * kept - decay * first) as f32;
            }
            return;
        }
        begun.sort_by_key(|&(step, unit, ..)| (step, unit));
        let mut filtered = vec![0.0; units];
        let mut begun = begun.into_iter().peekable();
        for step in 0..steps {
            filtered.iter_mut().for_each(|value| *value *= decay);
            while let Some((_, unit, _, value)) = begun.next_if(|&(first, ..)| first == step) {
                filtered[unit] += value;
            }
            let row = &mut input[step * units..(step + 1) * units];
            row.iter_mut().zip(&filtered).for_each(|(x, value)| *x += (mean * value) as f32);
        }
    }
}

/// A batch of samples.
#[derive(Debug, Clone)]
pub struct SampleBatch {
    /// Inputs, `[B, T, C]`.
    pub input: Tensor<3>,
    /// The weight of each step in the answer, `[B, T]`; 0 for steps in which the answer is not
    /// read.
    pub weight: Tensor<2>,
    /// Classes, `[B]`.
    pub class: Tensor<1, Int>,
}

impl SampleBatch {
    /// A batch of samples of one size, from their inputs, weights and classes.
    fn of(inputs: Vec<f32>, weights: Vec<f32>, classes: Vec<i32>, device: &Device) -> Self {
        let batch = classes.len();
        let steps = weights.len() / batch;
        let units = inputs.len() / weights.len();
        Self {
            input: Tensor::from_data(TensorData::new(inputs, [batch, steps, units]), device),
            weight: Tensor::from_data(TensorData::new(weights, [batch, steps]), device),
            class: Tensor::from_data(TensorData::new(classes, [batch]), device),
        }
    }
}

/// Joins samples into a [`SampleBatch`]. Only the samples of a batch are ever in memory as inputs
/// of time steps.
#[derive(Debug, Clone, Copy)]
pub struct SampleBatcher {
    binning: Binning,
    read: usize,
}

impl SampleBatcher {
    /// A batcher of this binning, whose answers are read in all steps.
    ///
    /// # Errors
    /// As [`Binning::check`].
    pub fn new(binning: Binning) -> Result<Self, TaskError> {
        binning.check()?;
        Ok(Self { binning, read: binning.steps })
    }

    /// The same batcher, whose answers are read in the last `ms` ms.
    ///
    /// # Errors
    /// [`TaskError`] if this is less than a step or longer than a sample.
    pub fn read_in_last(self, ms: f64) -> Result<Self, TaskError> {
        let (read, steps) = ((ms / self.binning.dt).round(), self.binning.steps as f64);
        let limit = format!("between a step of {} ms and all {steps} steps", self.binning.dt);
        require((1.0..=steps).contains(&read), "time in which the answer is read", ms, &limit, "give it in ms")?;
        Ok(Self { read: read as usize, ..self })
    }
}

impl Batcher<Sample, SampleBatch> for SampleBatcher {
    /// # Panics
    /// If an event has a unit that does not exist.
    fn batch(&self, samples: Vec<Sample>, device: &Device) -> SampleBatch {
        let Binning { steps, units, .. } = self.binning;
        let size = steps * units;
        let mut inputs = vec![0.0; samples.len() * size];
        let each = samples.iter().zip(inputs.chunks_exact_mut(size));
        each.for_each(|(sample, input)| self.binning.write(&sample.events, input));
        let weight = |step: usize| if step + self.read >= steps { 1.0 } else { 0.0 };
        let weights = samples.iter().flat_map(|_| (0..steps).map(weight)).collect();
        SampleBatch::of(inputs, weights, samples.iter().map(|sample| sample.class as i32).collect(), device)
    }
}

/// Makes a classification of trials with one question each: the class is the answer, in the order
/// of [`Answer::ALL`](crate::Answer::ALL), and it is read in the steps of the answer window.
#[derive(Debug, Clone, Copy, Default)]
pub struct AnswerBatcher;

impl Batcher<Trial, SampleBatch> for AnswerBatcher {
    /// # Panics
    /// If the trials differ in length or width, or if a trial does not have exactly one round.
    fn batch(&self, trials: Vec<Trial>, device: &Device) -> SampleBatch {
        let (mut inputs, mut weights, mut classes) = (Vec::new(), Vec::new(), Vec::new());
        let size = |trial: &Trial| (trial.steps, trial.input.len());
        for trial in &trials {
            assert!(size(trial) == size(&trials[0]), "the trials of a batch must be equally long and wide");
            let [round] = &trial.rounds[..] else {
                panic!("a trial has {} rounds, but a class needs exactly 1", trial.rounds.len())
            };
            inputs.extend(&trial.input);
            weights.extend((0..trial.steps).map(|t| if round.window.contains(&t) { 1.0 } else { 0.0 }));
            classes.push(round.answer as i32);
        }
        SampleBatch::of(inputs, weights, classes, device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(binning: Binning, times: Vec<f32>, units: Vec<u32>) -> Vec<f32> {
        binning.input(&Events::new(times, units).unwrap())
    }

    #[test]
    fn events_are_counted_in_their_steps() {
        let binning = Binning { dt: 0.5, steps: 3, units: 2, filter: InputFilter::Counts };
        let found = rows(binning, vec![0.0, 0.49, 0.5, 1.2, 9.0], vec![0, 0, 1, 0, 1]);
        assert_eq!(found, [2.0, 0.0, 0.0, 1.0, 1.0, 0.0]);
        // Times at the start of a step, in single precision.
        let starts = (0..100).map(|step| step as f32 * 0.1).collect();
        let binning = Binning { dt: 0.1, steps: 100, units: 1, filter: InputFilter::Counts };
        assert_eq!(rows(binning, starts, vec![0; 100]), [1.0; 100]);
    }

    #[test]
    fn a_filter_gives_the_mean_over_each_step() {
        let binning = Binning { dt: 0.5, steps: 60, units: 2, filter: InputFilter::Filtered { tau: 3.0 } };
        let times = [0.2_f32, 4.0, 4.3, 11.75];
        let found = rows(binning, times.to_vec(), vec![1; 4]);
        let kernel = |time: f64| -> f64 {
            let of = |&event: &f32| if time < event as f64 { 0.0 } else { (-(time - event as f64) / 3.0).exp() };
            times.iter().map(of).sum()
        };
        for step in 0..60 {
            let fine = 2000;
            let at = |k: usize| 0.5 * (step as f64 + (k as f64 + 0.5) / fine as f64);
            let mean = (0..fine).map(|k| kernel(at(k))).sum::<f64>() / fine as f64;
            assert!((found[2 * step + 1] as f64 - mean).abs() < 5e-4, "step {step}: {} {mean}", found[2 * step + 1]);
            assert_eq!(found[2 * step], 0.0);
        }
    }

    #[test]
    fn filtered_charges_are_the_filtered_input() {
        let (dt, steps, units, tau) = (0.5, 60, 3, 3.0);
        let binning = Binning { dt, steps, units, filter: InputFilter::Filtered { tau } };
        // Also an event at the end of a step, one in the last step, and one after it.
        let (times, of) = (vec![0.2, 4.0, 4.3, 4.49999, 11.75, 29.9, 31.0], vec![1, 1, 0, 1, 2, 1, 1]);
        let wanted = rows(binning, times.clone(), of.clone());
        let charges = rows(Binning { filter: InputFilter::Charges { tau }, ..binning }, times, of);
        assert!(charges.iter().filter(|&&x| x != 0.0).count() <= 2 * 6);
        let mut trace = vec![0.0; units];
        for (charges, wanted) in charges.chunks_exact(units).zip(wanted.chunks_exact(units)) {
            for ((trace, &charge), &wanted) in trace.iter_mut().zip(charges).zip(wanted) {
                *trace = (-dt / tau).exp() * *trace + f64::from(charge);
                assert!((*trace - f64::from(wanted)).abs() < 1e-6, "{trace} {wanted}");
            }
        }
    }

    #[test]
    fn a_batch_has_the_samples_in_order() {
        let batcher = SampleBatcher::new(Binning { dt: 1.0, steps: 2, units: 1, filter: InputFilter::Counts }).unwrap();
        let sample = |time: f32, class| Sample { events: Events::new(vec![time], vec![0]).unwrap(), class };
        let batch = batcher.batch(vec![sample(1.0, 2), sample(0.0, 1)], &Device::default());
        assert_eq!(batch.input.dims(), [2, 2, 1]);
        let late = batcher.read_in_last(1.0).unwrap().batch(vec![sample(1.0, 2)], &Device::default());
        assert_eq!(batch.weight.into_data().iter::<f32>().collect::<Vec<_>>(), [1.0; 4]);
        assert_eq!(late.weight.into_data().iter::<f32>().collect::<Vec<_>>(), [0.0, 1.0]);
        assert_eq!(batch.input.into_data().iter::<f32>().collect::<Vec<_>>(), [0.0, 1.0, 1.0, 0.0]);
        assert_eq!(batch.class.into_data().iter::<i32>().collect::<Vec<_>>(), [2, 1]);
    }

    #[test]
    fn answers_of_trials_are_classes() {
        let task = crate::DelayedXor::graz(5);
        let data = task.dataset(0, 6).unwrap();
        let trials: Vec<Trial> = (0..6).map(|at| burn::data::dataset::Dataset::get(&data, at).unwrap()).collect();
        let batch = AnswerBatcher.batch(trials.clone(), &Device::default());
        assert_eq!(batch.input.dims(), [6, task.steps(), 2]);
        let wanted: Vec<i32> = trials.iter().map(|trial| trial.rounds[0].answer as i32).collect();
        assert_eq!(batch.class.into_data().iter::<i32>().collect::<Vec<_>>(), wanted);
        let read = batch.weight.sum_dim(1).into_data().iter::<f32>().collect::<Vec<_>>();
        assert_eq!(read, [60.0; 6]);
    }

    #[test]
    #[should_panic(expected = "unit 3, but the binning has 2 units")]
    fn a_unit_that_does_not_exist_is_refused() {
        rows(Binning { dt: 1.0, steps: 2, units: 2, filter: InputFilter::Counts }, vec![0.0], vec![3]);
    }

    #[test]
    fn impossible_binnings_are_refused() {
        let binning = Binning { dt: 1.0, steps: 2, units: 2, filter: InputFilter::Counts };
        let told = |binning: Binning| SampleBatcher::new(binning).unwrap_err().to_string();
        assert!(told(Binning { dt: 0.0, ..binning }).contains("dt is 0"));
        assert!(told(Binning { steps: 0, ..binning }).contains("steps is 0"));
        assert!(told(Binning { units: 0, ..binning }).contains("units is 0"));
        let large = told(Binning { steps: usize::MAX, ..binning });
        assert!(large.contains("steps times units") && large.contains("at most 268435456"), "{large}");
        assert!(told(Binning { filter: InputFilter::Charges { tau: -1.0 }, ..binning }).contains("input filter is -1"));
        let long = SampleBatcher::new(binning).unwrap().read_in_last(3.0).unwrap_err().to_string();
        assert!(long.contains("is 3, but must be between a step of 1 ms and all 2 steps"), "{long}");
    }
}
