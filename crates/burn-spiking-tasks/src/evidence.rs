//! Evidence accumulation: seven cues, one after the other, and the question of which kind there
//! were more.
//!
//! ```text
//! slot k = 0 … 6     50 ms silence, then 100 ms cue: left or right
//! delay              1050 ms
//! recall             150 ms
//! ```
//!
//! Of the 40 input units, ten spike during left cues, ten during right cues, ten during the recall
//! (40 Hz each), and ten all the time (10 Hz). In a sample, each cue is a right one with the same
//! probability p, which is 0.3 or 0.7. The class is 1 if more than half of the cues are right ones.
//! A network answers during the recall.
//!
//! Source: the task of Morcos & Harvey 2016 in the form of Bellec et al. 2020.

use crate::encoding::Rate;
use crate::error::{TaskError, require};
use crate::events::{Events, Sample};
use burn::data::dataset::{Dataset, DatasetError};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Number of classes: left and right.
pub const CLASSES: usize = 2;
/// Number of groups of input units: left, right, recall, noise.
const GROUPS: usize = 4;

/// Parameters of the task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// Number of cues; odd, so that there is a majority.
    pub cues: usize,
    /// Silence before each cue, ms.
    pub silence_ms: f64,
    /// Length of a cue, ms.
    pub cue_ms: f64,
    /// Time between the last cue and the recall, ms.
    pub delay_ms: f64,
    /// Length of the recall, ms.
    pub recall_ms: f64,
    /// Number of input units in each of the four groups.
    pub group: usize,
    /// Rate of the units of a cue or of the recall, Hz.
    pub rate_hz: f64,
    /// Rate of the units that spike all the time, Hz.
    pub noise_hz: f64,
    /// The smaller of the two probabilities of a right cue, in [0, 1/2]; the other is 1 minus it.
    pub rarer: f64,
}

impl Default for Evidence {
    /// The published task: seven cues in 2250 ms.
    fn default() -> Self {
        Self {
            cues: 7,
            silence_ms: 50.0,
            cue_ms: 100.0,
            delay_ms: 1050.0,
            recall_ms: 150.0,
            group: 10,
            rate_hz: 40.0,
            noise_hz: 10.0,
            rarer: 0.3,
        }
    }
}

impl Evidence {
    fn slot_ms(&self) -> f64 {
        self.silence_ms + self.cue_ms
    }

    /// Length of a sample, ms.
    pub fn length_ms(&self) -> f64 {
        self.cues as f64 * self.slot_ms() + self.delay_ms + self.recall_ms
    }

    /// Number of input units.
    pub fn units(&self) -> usize {
        GROUPS * self.group
    }

    fn rate(&self, of_1: f64) -> Rate {
        Rate { of_1, bin: 1.0 }
    }

    /// Checks the parameters.
    ///
    /// # Errors
    /// [`TaskError`] if a value is invalid. It names the value, its limit and the remedy.
    pub fn check(&self) -> Result<(), TaskError> {
        require(self.cues % 2 == 1, "cues", self.cues, "odd", "with an even number there may be no majority")?;
        require(self.group > 0, "group", self.group, "at least 1", "give the number of units in a group")?;
        let length = |name: &str, value: f64, shortest: bool| {
            let (holds, limit) = match shortest {
                true => (value > 0.0, "above 0 and finite"),
                false => (value >= 0.0, "at least 0 and finite"),
            };
            require(holds && value.is_finite(), name, value, limit, "give a length in ms")
        };
        length("silence_ms", self.silence_ms, false)?;
        length("cue_ms", self.cue_ms, true)?;
        length("delay_ms", self.delay_ms, false)?;
        length("recall_ms", self.recall_ms, true)?;
        self.rate(self.rate_hz).check()?;
        self.rate(self.noise_hz).check()?;
        let holds = (0.0..=0.5).contains(&self.rarer);
        require(holds, "rarer", self.rarer, "in [0, 1/2]", "as published: 0.3")
    }

    /// Returns a data set of `len` samples drawn from `seed`.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn dataset(&self, seed: u64, len: usize) -> Result<EvidenceDataset, TaskError> {
        self.check()?;
        Ok(EvidenceDataset { task: self.clone(), seed, len })
    }
}

/// Samples of [`Evidence`], drawn on request.
#[derive(Debug, Clone)]
pub struct EvidenceDataset {
    task: Evidence,
    seed: u64,
    len: usize,
}

impl EvidenceDataset {
    /// The cues of a sample, `true` for right ones.
    fn cues(&self, random: &mut ChaCha8Rng) -> Vec<bool> {
        let right = if random.random_bool(0.5) { self.task.rarer } else { 1.0 - self.task.rarer };
        (0..self.task.cues).map(|_| random.random_bool(right)).collect()
    }
}

impl Dataset<Sample> for EvidenceDataset {
    fn get(&self, index: usize) -> Result<Sample, DatasetError> {
        assert!(index < self.len, "sample {index} was asked for, but the data set has {}", self.len);
        let task = &self.task;
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(index as u64);
        let cues = self.cues(&mut random);
        let mut events = Events::default();
        let ones = vec![1.0; task.group];
        for (k, &right) in cues.iter().enumerate() {
            let end = (k + 1) as f64 * task.slot_ms();
            let first = right as usize * task.group;
            task.rate(task.rate_hz).encode(&ones, first, [end - task.cue_ms, end], &mut random, &mut events);
        }
        let end = task.length_ms();
        let recall = [end - task.recall_ms, end];
        task.rate(task.rate_hz).encode(&ones, 2 * task.group, recall, &mut random, &mut events);
        task.rate(task.noise_hz).encode(&ones, 3 * task.group, [0.0, end], &mut random, &mut events);
        let class = (2 * cues.iter().filter(|&&right| right).count() > task.cues) as usize;
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
    fn the_published_task_takes_2250_ms() {
        assert_eq!(Evidence::default().length_ms(), 2250.0);
        assert_eq!(Evidence::default().units(), 40);
    }

    #[test]
    fn groups_spike_in_their_times() {
        let data = Evidence::default().dataset(0, 50).unwrap();
        let mut noise = 0;
        for at in 0..50 {
            let sample = data.get(at).unwrap();
            let mut right = [false; 7];
            for (time, unit) in sample.events.iter() {
                match unit / 10 {
                    group @ (0 | 1) => {
                        let slot = (time / 150.0) as usize;
                        assert!(slot < 7 && time - 150.0 * slot as f64 >= 50.0, "{time}");
                        right[slot] |= group == 1;
                    }
                    2 => assert!((2100.0..2250.0).contains(&time)),
                    _ => noise += 1,
                }
            }
            // A cue without a spike would have probability e^(−40).
            assert_eq!(sample.class, (right.iter().filter(|&&right| right).count() > 3) as usize);
        }
        // 10 units at 10 Hz for 2.25 s; the standard deviation of all 50 is 106.
        assert!((noise as f64 - 11_250.0).abs() < 500.0, "{noise}");
    }

    #[test]
    fn impossible_tasks_are_refused() {
        let told = |task: Evidence| task.dataset(0, 1).unwrap_err().to_string();
        assert!(told(Evidence { cues: 6, ..Evidence::default() }).contains("cues is 6, but must be odd"));
        assert!(told(Evidence { rarer: 0.7, ..Evidence::default() }).contains("rarer is 0.7"));
        assert!(told(Evidence { rate_hz: 2000.0, ..Evidence::default() }).contains("of_1 is 2000"));
        assert!(told(Evidence { cue_ms: 0.0, ..Evidence::default() }).contains("cue_ms is 0"));
    }
}
