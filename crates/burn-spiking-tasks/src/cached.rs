//! Samples that stay in memory once they have been read, up to a limit.

use crate::events::Sample;
use burn::data::dataset::{Dataset, DatasetError};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// Bytes of an event in memory.
const EVENT: usize = 8;

/// A data set that keeps each sample in memory after its first read, until the budget is used up.
/// Later samples are read again each time. Copies share what they keep.
#[derive(Debug, Clone)]
pub struct Cached<D> {
    data: D,
    samples: Arc<[OnceLock<Sample>]>,
    bytes_left: Arc<AtomicUsize>,
}

impl<D: Dataset<Sample>> Cached<D> {
    /// Keeps up to `bytes` bytes of events of `data` in memory.
    pub fn new(data: D, bytes: usize) -> Self {
        let samples = (0..data.len()).map(|_| OnceLock::new()).collect();
        Self { data, samples, bytes_left: Arc::new(AtomicUsize::new(bytes)) }
    }
}

impl<D: Dataset<Sample>> Dataset<Sample> for Cached<D> {
    fn get(&self, index: usize) -> Result<Sample, DatasetError> {
        if let Some(sample) = self.samples.get(index).and_then(OnceLock::get) {
            return Ok(sample.clone());
        }
        let sample = self.data.get(index)?;
        let bytes = EVENT * sample.events.len();
        let taken = self.bytes_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes));
        // Another thread may have kept the same sample meanwhile.
        if taken.is_ok() && self.samples[index].set(sample.clone()).is_err() {
            self.bytes_left.fetch_add(bytes, Ordering::Relaxed);
        }
        Ok(sample)
    }

    fn len(&self) -> usize {
        self.data.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Events;

    /// Samples of `index` events. Counts how often one is read.
    struct Counted(AtomicUsize);

    impl Dataset<Sample> for Counted {
        fn get(&self, index: usize) -> Result<Sample, DatasetError> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(Sample { events: Events::new(vec![index as f32; index], vec![0; index]).unwrap(), class: index })
        }

        fn len(&self) -> usize {
            5
        }
    }

    #[test]
    fn samples_are_read_once_while_there_is_room() {
        // Room for samples 4 and 3 (7 events), not for sample 2 after them.
        let data = Cached::new(Counted(AtomicUsize::new(0)), 8 * EVENT);
        let all = || (0..5).rev().map(|at| data.get(at).unwrap().events.len()).collect::<Vec<_>>();
        assert_eq!(all(), [4, 3, 2, 1, 0]);
        assert_eq!(all(), [4, 3, 2, 1, 0]);
        assert_eq!(data.data.0.load(Ordering::Relaxed), 6);
    }
}
