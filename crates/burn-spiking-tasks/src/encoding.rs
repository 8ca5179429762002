//! Codes that turn values in [0, 1] into spikes.
//!
//! | code | a value x gives |
//! | --- | --- |
//! | [`Latency`] | one spike, at a time that is linear in x |
//! | [`Rate`] | a Poisson process whose rate is proportional to x |
//! | [`Population`] | values of several units, which then take one of the codes above |

use crate::error::{TaskError, require};
use crate::events::Events;
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

/// One spike for each value, at the time of_0 + (of_1 − of_0) x.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latency {
    /// Time of the spike of value 0, ms.
    pub of_0: f64,
    /// Time of the spike of value 1, ms. It may be before that of value 0.
    pub of_1: f64,
    /// Values up to this one give no spike; `None` if every value gives one.
    pub silent_up_to: Option<f64>,
}

impl Latency {
    /// Checks the times.
    ///
    /// # Errors
    /// [`TaskError`] if a time is negative, infinite or NaN.
    pub fn check(&self) -> Result<(), TaskError> {
        for (name, time) in [("of_0", self.of_0), ("of_1", self.of_1)] {
            require(time.is_finite() && time >= 0.0, name, time, "at least 0 and finite", "give a time in ms")?;
        }
        Ok(())
    }

    /// Adds the spikes of `values` to `events`. The first value belongs to unit `first`.
    pub fn encode(&self, values: &[f64], first: usize, events: &mut Events) {
        for (at, &value) in values.iter().enumerate() {
            if self.silent_up_to.is_none_or(|silent| value > silent) {
                events.push(self.of_0 + (self.of_1 - self.of_0) * value, first + at);
            }
        }
    }
}

/// A Poisson process for each value, in bins of a given length with at most one spike each.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// The rate of value 1, Hz.
    pub of_1: f64,
    /// Length of a bin, ms. A spike is in the middle of its bin.
    pub bin: f64,
}

impl Rate {
    /// Checks the numbers.
    ///
    /// # Errors
    /// [`TaskError`] if the bin is not above 0, or if value 1 would spike more than once in a bin.
    pub fn check(&self) -> Result<(), TaskError> {
        require(
            self.bin.is_finite() && self.bin > 0.0,
            "bin",
            self.bin,
            "above 0 and finite",
            "give its length in ms",
        )?;
        let limit = 1000.0 / self.bin;
        let holds = (0.0..=limit).contains(&self.of_1);
        require(holds, "of_1", self.of_1, &format!("in [0, {limit}] Hz, one spike in a bin"), "take shorter bins")
    }

    /// Adds the spikes of `values` in the time from `start` to `end` (ms). The first value belongs
    /// to unit `first`.
    pub fn encode(
        &self,
        values: &[f64],
        first: usize,
        [start, end]: [f64; 2],
        random: &mut impl Rng,
        events: &mut Events,
    ) {
        let bins = ((end - start) / self.bin).round().max(0.0) as usize;
        for bin in 0..bins {
            for (at, &value) in values.iter().enumerate() {
                if random.random::<f64>() < value * self.of_1 * self.bin / 1000.0 {
                    events.push(start + (bin as f64 + 0.5) * self.bin, first + at);
                }
            }
        }
    }
}

/// A population of units for each value. Unit k has the value e^(−(x − c_k)²/(2 σ²)), with centres
/// c_k from 0 to 1 at equal distances.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Population {
    /// Number of units for each value, at least 2.
    pub units: usize,
    /// σ, in units of the distance between two centres.
    pub width: f64,
}

impl Population {
    /// Checks the numbers.
    ///
    /// # Errors
    /// [`TaskError`] if there are fewer than 2 units, or if the width is not above 0 and finite.
    pub fn check(&self) -> Result<(), TaskError> {
        require(
            self.units >= 2,
            "units of a population",
            self.units,
            "at least 2",
            "one unit cannot tell values apart",
        )?;
        let holds = self.width.is_finite() && self.width > 0.0;
        require(holds, "width of a population", self.width, "above 0 and finite", "use 1, the distance of two centres")
    }

    /// The values of all units, those of the first value first.
    pub fn encode(&self, values: &[f64]) -> Vec<f64> {
        let apart = 1.0 / (self.units - 1) as f64;
        let of = |x: f64, k: usize| (-0.5 * ((x - k as f64 * apart) / (self.width * apart)).powi(2)).exp();
        values.iter().flat_map(|&x| (0..self.units).map(move |k| of(x, k))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn a_latency_is_linear_in_the_value() {
        let mut events = Events::default();
        Latency { of_0: 10.0, of_1: 2.0, silent_up_to: None }.encode(&[0.0, 0.5, 1.0], 4, &mut events);
        assert_eq!(events.iter().collect::<Vec<_>>(), [(10.0, 4), (6.0, 5), (2.0, 6)]);
        let mut bright = Events::default();
        Latency { of_0: 10.0, of_1: 2.0, silent_up_to: Some(0.0) }.encode(&[0.0, 0.5], 0, &mut bright);
        assert_eq!(bright.iter().collect::<Vec<_>>(), [(6.0, 1)]);
    }

    #[test]
    fn a_rate_is_proportional_to_the_value() {
        let (mut random, mut events) = (ChaCha8Rng::seed_from_u64(0), Events::default());
        let rate = Rate { of_1: 200.0, bin: 0.5 };
        rate.encode(&[0.0, 0.25, 1.0], 0, [100.0, 20_100.0], &mut random, &mut events);
        let count = |unit: usize| events.iter().filter(|&(_, other)| other == unit).count() as f64;
        assert_eq!(count(0), 0.0);
        // The standard deviations are 32 and 63.
        assert!((count(1) - 1000.0).abs() < 130.0 && (count(2) - 4000.0).abs() < 250.0, "{} {}", count(1), count(2));
        assert!(events.iter().all(|(time, _)| (100.0..20_100.0).contains(&time)));
    }

    #[test]
    fn units_of_a_population_have_their_centres() {
        let population = Population { units: 5, width: 1.0 };
        let values = population.encode(&[0.25, 1.0]);
        assert_eq!(values.len(), 10);
        assert_eq!((values[1], values[9]), (1.0, 1.0));
        assert!((values[0] - (-0.5_f64).exp()).abs() < 1e-15 && (values[2] - values[0]).abs() < 1e-15);
    }

    #[test]
    fn impossible_codes_are_refused() {
        let latency = Latency { of_0: -1.0, of_1: 2.0, silent_up_to: None };
        assert!(latency.check().unwrap_err().to_string().contains("of_0 is -1"));
        assert!(Rate { of_1: 3000.0, bin: 0.5 }.check().unwrap_err().to_string().contains("in [0, 2000] Hz"));
        assert!(Rate { of_1: 30.0, bin: 0.0 }.check().unwrap_err().to_string().contains("bin is 0"));
        assert!(Population { units: 1, width: 1.0 }.check().unwrap_err().to_string().contains("population is 1"));
        assert!(Population { units: 3, width: f64::NAN }.check().unwrap_err().to_string().contains("NaN"));
    }
}
