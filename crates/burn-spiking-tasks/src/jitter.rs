//! Samples whose events are moved at random, so that a network does not learn single samples by
//! heart.

use crate::error::{TaskError, require};
use crate::events::Sample;
use burn::data::dataset::{Dataset, DatasetError};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal};

/// A data set whose events are moved by normally distributed times. An event that would be before
/// time 0 moves to time 0. The moves of a sample depend on the seed and on the index alone.
#[derive(Debug, Clone)]
pub struct Jittered<D> {
    data: D,
    moves: Normal<f64>,
    seed: u64,
}

impl<D: Dataset<Sample>> Jittered<D> {
    /// Moves the events of `data` with a standard deviation of `sigma_ms`. Give each epoch another
    /// seed.
    ///
    /// # Errors
    /// [`TaskError`] if the standard deviation is negative, infinite or NaN.
    pub fn new(data: D, sigma_ms: f64, seed: u64) -> Result<Self, TaskError> {
        let holds = sigma_ms.is_finite() && sigma_ms >= 0.0;
        require(holds, "sigma of the jitter", sigma_ms, "at least 0 and finite", "give it in ms; 0 moves nothing")?;
        let moves = Normal::new(0.0, sigma_ms).expect("the standard deviation was checked");
        Ok(Self { data, moves, seed })
    }
}

impl<D: Dataset<Sample>> Dataset<Sample> for Jittered<D> {
    fn get(&self, index: usize) -> Result<Sample, DatasetError> {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(index as u64);
        let moved = |(time, unit): (f64, usize)| ((time + self.moves.sample(&mut random)).max(0.0), unit);
        Ok(self.data.get(index)?.with_each(moved))
    }

    fn len(&self) -> usize {
        self.data.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Digits;

    #[test]
    fn events_move_by_the_standard_deviation() {
        let [data, _] = Digits::default().datasets().unwrap();
        let jittered = Jittered::new(data.clone(), 2.0, 5).unwrap();
        let (mut sum, mut squares, mut count) = (0.0, 0.0, 0.0);
        for at in 0..200 {
            let (before, after) = (data.get(at).unwrap(), jittered.get(at).unwrap());
            assert_eq!(before.class, after.class);
            for ((time, unit), (moved, same)) in before.events.iter().zip(after.events.iter()) {
                assert_eq!(unit, same);
                assert!(moved >= 0.0);
                // Away from the start, which no event passes.
                if time > 10.0 {
                    (sum, squares, count) = (sum + moved - time, squares + (moved - time).powi(2), count + 1.0);
                }
            }
        }
        let (mean, deviation) = (sum / count, (squares / count).sqrt());
        assert!(mean.abs() < 0.15 && (deviation - 2.0).abs() < 0.1, "{mean} {deviation} of {count}");
        assert_ne!(jittered.get(3).unwrap(), Jittered::new(data, 2.0, 6).unwrap().get(3).unwrap());
    }

    #[test]
    fn no_jitter_moves_nothing() {
        let [data, _] = Digits::default().datasets().unwrap();
        assert_eq!(Jittered::new(data.clone(), 0.0, 5).unwrap().get(3).unwrap(), data.get(3).unwrap());
        let told = Jittered::new(data, -1.0, 5).unwrap_err().to_string();
        assert!(told.contains("jitter is -1"), "{told}");
    }
}
