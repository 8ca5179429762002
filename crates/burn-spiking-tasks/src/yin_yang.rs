//! Yin-Yang: three classes of points in a disc, which a linear classifier cannot tell apart.
//!
//! ```text
//! d_R = |(x, y) − (3r/2, r)|      d_L = |(x, y) − (r/2, r)|      disc of radius r around (r, r)
//!
//! dot  (2)   d_R < s  or  d_L < s
//! yang (1)   otherwise, if  d_R ≤ s  or  s < d_L ≤ r/2  or  (y > r and d_R > r/2)
//! yin  (0)   otherwise
//! ```
//!
//! Each class has the same probability, and points of a class are uniform over its area. A sample
//! has the values (x, y, 1 − x, 1 − y), each as the time of one spike, and a fifth unit that always
//! spikes at time 0.
//!
//! Source: Kriener, Göltz & Petrovici 2022 (the data set); Wunderlich & Pehle 2021 (its spikes).

use crate::encoding::Latency;
use crate::error::{TaskError, require};
use crate::events::{Events, Sample};
use burn::data::dataset::{Dataset, DatasetError};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Number of classes.
pub const CLASSES: usize = 3;
/// Number of input units: four values and the unit that always spikes.
pub const UNITS: usize = 5;

/// Parameters of the task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct YinYang {
    /// r, the radius of the disc, in (0, 1/2].
    pub radius: f64,
    /// s, the radius of a dot, in (0, r/2).
    pub dot: f64,
    /// The times of the spikes.
    pub latency: Latency,
}

impl Default for YinYang {
    /// The published sizes, r = 1/2 and s = 1/10, and times of 30 ms times the value.
    fn default() -> Self {
        Self { radius: 0.5, dot: 0.1, latency: Latency { of_0: 0.0, of_1: 30.0, silent_up_to: None } }
    }
}

impl YinYang {
    /// Checks the parameters.
    ///
    /// # Errors
    /// [`TaskError`] if a value is invalid. It names the value, its limit and the remedy.
    pub fn check(&self) -> Result<(), TaskError> {
        let Self { radius, dot, .. } = *self;
        require((0.0..=0.5).contains(&radius) && radius > 0.0, "radius", radius, "in (0, 1/2]", "as published: 0.5")?;
        let limit = 0.5 * radius;
        require(dot > 0.0 && dot < limit, "dot", dot, &format!("in (0, {limit})"), "as published: 0.1")?;
        self.latency.check()
    }

    /// The class of a point of the disc.
    pub fn class(&self, x: f64, y: f64) -> usize {
        let (r, s) = (self.radius, self.dot);
        let right = (x - 1.5 * r).hypot(y - r);
        let left = (x - 0.5 * r).hypot(y - r);
        if right < s || left < s {
            return 2;
        }
        (right <= s || (s < left && left <= 0.5 * r) || (y > r && right > 0.5 * r)) as usize
    }

    /// Returns a data set of `len` samples drawn from `seed`.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn dataset(&self, seed: u64, len: usize) -> Result<YinYangDataset, TaskError> {
        self.check()?;
        Ok(YinYangDataset { task: self.clone(), seed, len })
    }
}

/// Samples of [`YinYang`], drawn on request.
#[derive(Debug, Clone)]
pub struct YinYangDataset {
    task: YinYang,
    seed: u64,
    len: usize,
}

impl YinYangDataset {
    /// The point (x, y) of a sample and its class.
    pub fn point(&self, index: usize) -> ([f64; 2], usize) {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(index as u64);
        let wanted = random.random_range(0..CLASSES);
        let size = 2.0 * self.task.radius;
        loop {
            let [x, y] = [0, 1].map(|_| size * random.random::<f64>());
            let inside = (x - self.task.radius).hypot(y - self.task.radius) <= self.task.radius;
            if inside && self.task.class(x, y) == wanted {
                return ([x, y], wanted);
            }
        }
    }
}

impl Dataset<Sample> for YinYangDataset {
    fn get(&self, index: usize) -> Result<Sample, DatasetError> {
        assert!(index < self.len, "sample {index} was asked for, but the data set has {}", self.len);
        let ([x, y], class) = self.point(index);
        let mut events = Events::default();
        self.task.latency.encode(&[x, y, 1.0 - x, 1.0 - y], 0, &mut events);
        events.push(0.0, UNITS - 1);
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
    fn classes_are_those_of_the_figure() {
        let task = YinYang::default();
        // Centres of the dots; points beside them in the eyes; top and bottom of the disc.
        let of = [(0.75, 0.5), (0.25, 0.5), (0.25, 0.65), (0.75, 0.65), (0.5, 0.95), (0.5, 0.05)];
        assert_eq!(of.map(|(x, y)| task.class(x, y)), [2, 2, 1, 0, 1, 0]);
    }

    #[test]
    fn classes_are_equally_frequent() {
        let data = YinYang::default().dataset(42, 6000).unwrap();
        let mut counts = [0; CLASSES];
        (0..6000).for_each(|at| counts[data.point(at).1] += 1);
        // The standard deviation is 37.
        assert!(counts.iter().all(|count: &i32| (count - 2000).abs() < 150), "{counts:?}");
    }

    #[test]
    fn values_are_times() {
        let data = YinYang::default().dataset(1, 10).unwrap();
        let ([x, y], class) = data.point(3);
        let sample = data.get(3).unwrap();
        let times: Vec<f64> = sample.events.iter().map(|(time, _)| time).collect();
        let wanted = [30.0 * x, 30.0 * y, 30.0 * (1.0 - x), 30.0 * (1.0 - y), 0.0];
        assert!(times.iter().zip(wanted).all(|(time, wanted)| (time - wanted).abs() < 1e-5), "{times:?}");
        assert_eq!((sample.class, sample.events.units()), (class, UNITS));
        assert_ne!(data.get(4).unwrap(), sample);
    }

    #[test]
    fn impossible_tasks_are_refused() {
        let task = YinYang::default();
        let told = |task: YinYang| task.dataset(0, 1).unwrap_err().to_string();
        assert!(told(YinYang { radius: 0.7, ..task.clone() }).contains("radius is 0.7"));
        assert!(told(YinYang { dot: 0.3, ..task.clone() }).contains("dot is 0.3, but must be in (0, 0.25)"));
        let latency = Latency { of_0: -3.0, ..task.latency };
        assert!(told(YinYang { latency, ..task }).contains("of_0 is -3"));
    }
}
