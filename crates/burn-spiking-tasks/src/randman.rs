//! Randman: classes are smooth random manifolds of spike times.
//!
//! ```text
//! f_j(x) = Π_d Σ_i a_i (i + 1)^(−α) sin(2π (i x_d b_i + c_i))        a, b, c ~ U(0, 1) for each (j, d, i); a_0 = 0
//! ```
//!
//! Each class has one function f_j for each input unit j, and each sample a point x ~ U(0, 1)^D.
//! The unit spikes once, in the step ⌊S f_j(x)⌋ of S steps, with f_j scaled to [0, 1]. The larger α
//! is, the smoother is the manifold. The sum ends where (i + 1)^(−α) falls below 1/1000.
//!
//! The scale of f_j is that of [`REFERENCE`] points which belong to the manifold. The published
//! code takes the samples themselves; here, a sample does not depend on the others. A value beyond
//! those of the reference is limited to them.
//!
//! Source: Zenke & Vogels 2021.

use crate::error::{TaskError, require};
use crate::events::{Events, Sample};
use burn::data::dataset::{Dataset, DatasetError};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;
use std::sync::Arc;

/// Number of points that determine the scale of a function.
pub const REFERENCE: usize = 1000;

/// The amplitude at which the sum of a function ends.
const PRECISION: f64 = 1e-3;

/// The largest number of terms of a function.
const TERMS: usize = 1000;

/// Parameters of the task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Randman {
    /// Number of classes.
    pub classes: usize,
    /// Number of input units.
    pub units: usize,
    /// D, the dimension of the manifolds.
    pub dimensions: usize,
    /// α, the smoothness of the manifolds, above 0.
    pub alpha: f64,
    /// S, the number of steps in which units spike.
    pub steps: usize,
    /// Length of a step, ms.
    pub dt: f64,
    /// Seed of the manifolds.
    pub manifolds: u64,
}

impl Randman {
    /// The usual task: 10 classes of 20 units, D = 1, α = 1, and spikes in the first 50 steps of
    /// 2 ms (of 100 steps in a sample).
    pub fn usual(manifolds: u64) -> Self {
        Self { classes: 10, units: 20, dimensions: 1, alpha: 1.0, steps: 50, dt: 2.0, manifolds }
    }

    /// Checks the parameters.
    ///
    /// # Errors
    /// [`TaskError`] if a value is invalid. It names the value, its limit and the remedy.
    pub fn check(&self) -> Result<(), TaskError> {
        let some = |name: &str, value: usize| require(value > 0, name, value, "at least 1", "see Randman::usual");
        some("classes", self.classes)?;
        some("units", self.units)?;
        some("dimensions", self.dimensions)?;
        some("steps", self.steps)?;
        let positive = |name: &str, value: f64, remedy: &str| {
            require(value.is_finite() && value > 0.0, name, value, "above 0 and finite", remedy)
        };
        positive("alpha", self.alpha, "smooth manifolds have 1 or more")?;
        positive("dt", self.dt, "give the length of a step in ms")
    }

    /// Returns a data set of `len` samples drawn from `seed`. Data sets of the same task with other
    /// seeds have the same manifolds.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn dataset(&self, seed: u64, len: usize) -> Result<RandmanDataset, TaskError> {
        self.check()?;
        let mut random = ChaCha8Rng::seed_from_u64(self.manifolds);
        let manifolds = (0..self.classes * self.units).map(|_| Manifold::draw(self, &mut random)).collect();
        Ok(RandmanDataset { task: self.clone(), manifolds, seed, len })
    }
}

/// A function f_j and its scale.
#[derive(Debug)]
struct Manifold {
    /// (amplitude, i b_i, c_i) of each dimension.
    terms: Vec<Vec<[f64; 3]>>,
    low: f64,
    high: f64,
}

impl Manifold {
    fn draw(task: &Randman, random: &mut ChaCha8Rng) -> Self {
        let count = PRECISION.powf(-1.0 / task.alpha).ceil().min(TERMS as f64) as usize;
        let term = |i: usize, random: &mut ChaCha8Rng| {
            let [a, b, c]: [f64; 3] = [random.random(), random.random(), random.random()];
            let amplitude = if i == 0 { 0.0 } else { a * ((i + 1) as f64).powf(-task.alpha) };
            [amplitude, i as f64 * b, c]
        };
        let terms = (0..task.dimensions).map(|_| (0..count).map(|i| term(i, random)).collect()).collect();
        let mut manifold = Self { terms, low: f64::INFINITY, high: f64::NEG_INFINITY };
        for _ in 0..REFERENCE {
            let x: Vec<f64> = (0..task.dimensions).map(|_| random.random()).collect();
            let value = manifold.raw(&x);
            manifold.low = manifold.low.min(value);
            manifold.high = manifold.high.max(value);
        }
        manifold
    }

    fn raw(&self, x: &[f64]) -> f64 {
        let along = |(terms, &x): (&Vec<[f64; 3]>, &f64)| -> f64 {
            terms.iter().map(|[amplitude, turns, start]| amplitude * (2.0 * PI * (turns * x + start)).sin()).sum()
        };
        self.terms.iter().zip(x).map(along).product()
    }

    /// f_j(x), scaled to [0, 1].
    fn at(&self, x: &[f64]) -> f64 {
        ((self.raw(x) - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }
}

/// Samples of [`Randman`], drawn on request.
#[derive(Debug, Clone)]
pub struct RandmanDataset {
    task: Randman,
    /// Those of the first class, then those of the second, and so on.
    manifolds: Arc<[Manifold]>,
    seed: u64,
    len: usize,
}

impl Dataset<Sample> for RandmanDataset {
    fn get(&self, index: usize) -> Result<Sample, DatasetError> {
        assert!(index < self.len, "sample {index} was asked for, but the data set has {}", self.len);
        let Randman { classes, units, dimensions, steps, dt, .. } = self.task;
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(index as u64);
        let class = random.random_range(0..classes);
        let x: Vec<f64> = (0..dimensions).map(|_| random.random()).collect();
        let mut events = Events::default();
        for (unit, manifold) in self.manifolds[class * units..(class + 1) * units].iter().enumerate() {
            let step = (steps as f64 * manifold.at(&x)).floor().min(steps as f64 - 1.0);
            // In the middle of the step, so that no rounding moves it into another one.
            events.push((step + 0.5) * dt, unit);
        }
        Ok(Sample { events, class })
    }

    fn len(&self) -> usize {
        self.len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_spikes_once_in_the_first_steps() {
        let data = Randman::usual(0).dataset(1, 200).unwrap();
        let mut classes = [0; 10];
        for at in 0..200 {
            let sample = data.get(at).unwrap();
            classes[sample.class] += 1;
            let mut units: Vec<usize> = sample.events.iter().map(|(_, unit)| unit).collect();
            units.sort();
            assert_eq!(units, (0..20).collect::<Vec<_>>());
            assert!(sample.events.iter().all(|(time, _)| (0.0..100.0).contains(&time)));
        }
        assert!(classes.iter().all(|&count| count > 5), "{classes:?}");
    }

    #[test]
    fn manifolds_are_smooth_and_their_own() {
        let data = Randman::usual(3).dataset(0, 1).unwrap();
        let smooth = Randman { alpha: 3.0, ..Randman::usual(3) }.dataset(0, 1).unwrap();
        // The mean change of f over a thousandth of its range.
        let rough = |data: &RandmanDataset| {
            let change = |manifold: &Manifold, k: usize| {
                (manifold.at(&[(k + 1) as f64 / 1000.0]) - manifold.at(&[k as f64 / 1000.0])).abs()
            };
            let all = data.manifolds.iter().map(|f| (0..1000).map(|k| change(f, k)).sum::<f64>() / 1000.0);
            all.sum::<f64>() / data.manifolds.len() as f64
        };
        assert!(rough(&smooth) < 0.2 * rough(&data), "{} {}", rough(&smooth), rough(&data));
        assert_ne!(data.manifolds[0].at(&[0.3]), data.manifolds[1].at(&[0.3]));
    }

    #[test]
    fn seeds_of_samples_and_of_manifolds_are_independent() {
        let task = Randman::usual(5);
        let (a, b) = (task.dataset(1, 5).unwrap(), task.dataset(2, 5).unwrap());
        assert_eq!(a.manifolds[7].at(&[0.4]), b.manifolds[7].at(&[0.4]));
        assert_ne!(a.get(0).unwrap(), b.get(0).unwrap());
        assert_eq!(a.get(2).unwrap(), task.dataset(1, 50).unwrap().get(2).unwrap());
    }

    #[test]
    fn impossible_tasks_are_refused() {
        let told = |task: Randman| task.dataset(0, 1).unwrap_err().to_string();
        assert!(told(Randman { classes: 0, ..Randman::usual(0) }).contains("classes is 0"));
        assert!(told(Randman { alpha: 0.0, ..Randman::usual(0) }).contains("alpha is 0"));
        assert!(told(Randman { dt: f64::NAN, ..Randman::usual(0) }).contains("dt is NaN"));
    }
}
