//! Pattern generation: the output draws a fixed curve from fixed random input spikes.
//!
//! ```text
//! target(t) = Σ_p a_p sin(2π t/p + φ_p), divided by its root mean square        p = 1000, 500, 333, 200 ms
//! a ~ U(0.5, 2)      φ ~ U(0, 2π)      100 input units, Poisson at 50 Hz
//! ```
//!
//! Weights, phases and input spikes are drawn once and then stay the same, so all trials are equal.
//! Only the initial potentials differ, if `v0_below` is above 0.
//!
//! Source: the task of Nicola & Clopath 2017 in the form of Bellec et al. 2020.

use crate::binning::{Binning, InputFilter};
use crate::encoding::Rate;
use crate::error::{TaskError, require};
use crate::events::Events;
use crate::trial::Trial;
use burn::data::dataset::{Dataset, DatasetError};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// The periods of the sines, ms.
pub const PERIODS: [f64; 4] = [1000.0, 500.0, 333.0, 200.0];

/// Parameters of the task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pattern {
    /// Length of a time step, ms.
    pub dt: f64,
    /// Length of a trial, ms.
    pub length_ms: f64,
    /// Number of input units.
    pub units: usize,
    /// Rate of the input units, Hz.
    pub rate_hz: f64,
    /// Time constant of the exponential filter of the input spikes, ms.
    pub input_tau: f64,
    /// Number of outputs, each with a curve of its own.
    pub outputs: usize,
    /// Number of neurons.
    pub neurons: usize,
    /// Upper limit of the initial potentials, in [0, 1].
    pub v0_below: f64,
    /// Seed of the curves and of the input spikes.
    pub drawn: u64,
}

impl Pattern {
    /// The usual task: 100 input units at 50 Hz, 1000 ms and one output, for a network of `neurons`
    /// neurons, which begin at potential 0.
    pub fn usual(drawn: u64, neurons: usize) -> Self {
        Self {
            dt: 1.0,
            length_ms: 1000.0,
            units: 100,
            rate_hz: 50.0,
            input_tau: 10.0,
            outputs: 1,
            neurons,
            v0_below: 0.0,
            drawn,
        }
    }

    /// Number of time steps in a trial.
    pub fn steps(&self) -> usize {
        (self.length_ms / self.dt).round() as usize
    }

    fn rate(&self) -> Rate {
        Rate { of_1: self.rate_hz, bin: self.dt }
    }

    /// Checks the parameters.
    ///
    /// # Errors
    /// [`TaskError`] if a value is invalid. It names the value, its limit and the remedy.
    pub fn check(&self) -> Result<(), TaskError> {
        let positive = |name: &str, value: f64| {
            require(value.is_finite() && value > 0.0, name, value, "above 0 and finite", "give a time in ms")
        };
        positive("dt", self.dt)?;
        positive("length_ms", self.length_ms)?;
        positive("input_tau", self.input_tau)?;
        require(self.steps() > 0, "number of steps", self.steps(), "at least 1", "make the trial longer than dt")?;
        for (name, value) in [("units", self.units), ("outputs", self.outputs), ("neurons", self.neurons)] {
            require(value > 0, name, value, "at least 1", "see Pattern::usual")?;
        }
        let holds = (0.0..=1.0).contains(&self.v0_below);
        require(holds, "v0_below", self.v0_below, "in [0, 1]", "use 0 for equal trials")?;
        self.rate().check()
    }

    /// Returns a data set of `len` trials. `seed` decides the initial potentials alone.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn dataset(&self, seed: u64, len: usize) -> Result<PatternDataset, TaskError> {
        self.check()?;
        let mut random = ChaCha8Rng::seed_from_u64(self.drawn);
        let curves: Vec<Vec<f64>> = (0..self.outputs).map(|_| self.curve(&mut random)).collect();
        let target = (0..self.steps()).flat_map(|t| curves.iter().map(move |curve| curve[t] as f32)).collect();
        Ok(PatternDataset { input: self.input(&mut random), target, task: self.clone(), seed, len })
    }

    /// The curve of one output, at the end of each step.
    fn curve(&self, random: &mut ChaCha8Rng) -> Vec<f64> {
        let sines = PERIODS.map(|period| (period, random.random_range(0.5..2.0), random.random_range(0.0..2.0 * PI)));
        let at = |time: f64| -> f64 {
            sines.iter().map(|(period, amplitude, phase)| amplitude * (2.0 * PI * time / period + phase).sin()).sum()
        };
        let curve: Vec<f64> = (1..=self.steps()).map(|t| at(t as f64 * self.dt)).collect();
        let size = (curve.iter().map(|x| x * x).sum::<f64>() / curve.len() as f64).sqrt();
        curve.iter().map(|x| x / size).collect()
    }

    /// The filtered input spikes, `[T, C]`.
    fn input(&self, random: &mut ChaCha8Rng) -> Vec<f32> {
        let mut events = Events::default();
        let end = self.steps() as f64 * self.dt;
        self.rate().encode(&vec![1.0; self.units], 0, [0.0, end], random, &mut events);
        let filter = InputFilter::Filtered { tau: self.input_tau };
        let binning = Binning { dt: self.dt, steps: self.steps(), units: self.units, filter };
        binning.input(&events)
    }
}

/// Trials of [`Pattern`].
#[derive(Debug, Clone)]
pub struct PatternDataset {
    task: Pattern,
    input: Vec<f32>,
    target: Vec<f32>,
    seed: u64,
    len: usize,
}

impl Dataset<Trial> for PatternDataset {
    fn get(&self, index: usize) -> Result<Trial, DatasetError> {
        assert!(index < self.len, "trial {index} was asked for, but the data set has {}", self.len);
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(index as u64);
        let v0 = (0..self.task.neurons).map(|_| self.task.v0_below as f32 * random.random::<f32>()).collect();
        let steps = self.task.steps();
        Ok(Trial {
            steps,
            input: self.input.clone(),
            target: self.target.clone(),
            weight: vec![1.0; steps],
            v0,
            rounds: Vec::new(),
        })
    }

    fn len(&self) -> usize {
        self.len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trials_are_equal_but_for_the_potentials() {
        let task = Pattern { v0_below: 0.5, ..Pattern::usual(1, 3) };
        let data = task.dataset(0, 2).unwrap();
        let (a, b) = (data.get(0).unwrap(), data.get(1).unwrap());
        assert_eq!((&a.input, &a.target), (&b.input, &b.target));
        assert_ne!(a.v0, b.v0);
        assert_ne!(a.target, Pattern { drawn: 2, ..task }.dataset(0, 1).unwrap().get(0).unwrap().target);
        assert_eq!(Pattern::usual(1, 3).dataset(0, 1).unwrap().get(0).unwrap().v0, [0.0; 3]);
    }

    #[test]
    fn curves_have_size_1_and_the_four_periods() {
        let task = Pattern { outputs: 2, ..Pattern::usual(0, 1) };
        let trial = task.dataset(0, 1).unwrap().get(0).unwrap();
        for output in 0..2 {
            let curve: Vec<f64> = trial.target.iter().skip(output).step_by(2).map(|&x| x as f64).collect();
            let size = curve.iter().map(|x| x * x).sum::<f64>() / 1000.0;
            assert!((size - 1.0).abs() < 1e-5, "{size}");
            // Of the whole number of periods, those of 1000, 500 and 200 ms are orthogonal to 250.
            let part = |period: f64| {
                let along = |phase: f64| -> f64 {
                    let wave = |(t, x): (usize, &f64)| x * (2.0 * PI * (t + 1) as f64 / period + phase).sin();
                    curve.iter().enumerate().map(wave).sum::<f64>() / 500.0
                };
                along(0.0).hypot(along(0.5 * PI))
            };
            assert!(PERIODS.iter().all(|&period| part(period) > 0.15) && part(100.0) < 0.05);
        }
    }

    #[test]
    fn input_spikes_have_their_rate() {
        let trial = Pattern::usual(0, 1).dataset(0, 1).unwrap().get(0).unwrap();
        // Each spike adds tau/dt to the sum, less what comes after the end.
        let spikes = trial.input.iter().map(|&x| x as f64).sum::<f64>() / 10.0;
        assert!((spikes - 5000.0).abs() < 300.0, "{spikes}");
    }

    #[test]
    fn impossible_tasks_are_refused() {
        let told = |task: Pattern| task.dataset(0, 1).unwrap_err().to_string();
        assert!(told(Pattern { dt: 0.0, ..Pattern::usual(0, 1) }).contains("dt is 0"));
        assert!(told(Pattern { outputs: 0, ..Pattern::usual(0, 1) }).contains("outputs is 0"));
        assert!(told(Pattern { rate_hz: 1001.0, ..Pattern::usual(0, 1) }).contains("in [0, 1000] Hz"));
        assert!(told(Pattern { v0_below: 2.0, ..Pattern::usual(0, 1) }).contains("v0_below is 2"));
    }
}
