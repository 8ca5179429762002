//! Endless tasks: B streams of consecutive trials, cut into chunks, as a data loader for
//! `burn_spiking::Streamed`.
//!
//! ```text
//! stream b:  [trial 0, chunk 0][trial 0, chunk 1] … [trial 1, chunk 0] …
//!            each chunk starts from the state at the end of the previous chunk,
//!            or, at random, a trial starts from its own initial state
//! ```
//!
//! Any data set of trials can make a stream. The loader draws trial n of all streams when it
//! reaches that trial. The data set of a trial may depend on n and on the current value of a
//! schedule. All random numbers depend only on (seed, n), so a resumed run sees the same data as an
//! uninterrupted run.

use crate::error::{TaskError, require};
use crate::trial::{TrialBatch, TrialBatcher};
use burn::data::dataloader::batcher::Batcher;
use burn::data::dataloader::{DataLoader, DataLoaderIterator, Progress};
use burn::data::dataset::{Dataset, DatasetError};
use burn::tensor::Device;
use burn_spiking::Chunk;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A batch that can be cut into parts along time.
pub trait Cut: Send + Sized {
    /// Returns part `at` (from 0) of `parts` parts of about the same length.
    ///
    /// # Panics
    /// If part `at` does not exist, or there are more parts than steps.
    fn cut(&self, at: usize, parts: usize) -> Self;
}

impl Cut for TrialBatch {
    /// Assigns each round to the part in which its answer is read. If a cut divides the steps over
    /// which an answer is read, the round belongs to no part.
    fn cut(&self, at: usize, parts: usize) -> Self {
        if parts == 1 {
            return self.clone();
        }
        let [_, steps, _] = self.input.dims();
        assert!(at < parts && parts <= steps, "part {at} of {parts} of {steps} steps does not exist");
        let (first, end) = (at * steps / parts, (at + 1) * steps / parts);
        let length = end - first;
        let rounds = self.rounds.iter().map(|rounds| {
            let here = rounds.iter().filter(|round| first <= round.decoded.start && round.decoded.end <= end);
            here.map(|round| round.within(first, end)).collect()
        });
        Self {
            input: self.input.clone().narrow(1, first, length),
            target: self.target.clone().narrow(1, first, length),
            weight: self.weight.clone().narrow(1, first, length),
            v0: self.v0.clone(),
            rounds: rounds.collect(),
            begins_at_rest: at == 0 && self.begins_at_rest,
        }
    }
}

/// The sizes of a [`StreamLoader`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StreamSizes {
    /// Number of streams, B.
    pub streams: usize,
    /// Number of chunks in a trial.
    pub chunks_per_trial: usize,
    /// Number of chunks in an epoch; a multiple of `chunks_per_trial`, so that an epoch starts with
    /// a new trial.
    pub chunks_per_epoch: usize,
}

impl StreamSizes {
    /// Checks the sizes.
    ///
    /// # Errors
    /// [`TaskError`] if a value is invalid. It names the value, its limit and the remedy.
    pub fn check(&self) -> Result<(), TaskError> {
        let Self { streams, chunks_per_trial, chunks_per_epoch } = *self;
        require(streams > 0, "streams", streams, "at least 1", "give the number of streams")?;
        require(chunks_per_trial > 0, "chunks_per_trial", chunks_per_trial, "at least 1", "use 1 for whole trials")?;
        require(
            chunks_per_epoch > 0 && chunks_per_epoch.is_multiple_of(chunks_per_trial),
            "chunks_per_epoch",
            chunks_per_epoch,
            &format!("a multiple of chunks_per_trial = {chunks_per_trial}, above 0"),
            "let an epoch begin with a trial",
        )
    }
}

/// Returns the data set of trial n; the streams take its items 0 to B−1.
type DatasetOfTrial<I> = Arc<dyn Fn(usize) -> Arc<dyn Dataset<I>> + Send + Sync>;

/// A loader of chunks. Each iteration over it is an epoch.
pub struct StreamLoader<I, O> {
    trials: DatasetOfTrial<I>,
    batcher: Arc<dyn Batcher<I, O>>,
    sizes: StreamSizes,
    /// The probability that a stream starts a trial from the trial's own initial state.
    fresh: Arc<dyn Fn() -> f64 + Send + Sync>,
    seed: u64,
    device: Device,
    next_epoch: AtomicUsize,
}

impl<I: Send + Sync + Clone + 'static> StreamLoader<I, TrialBatch>
where
    TrialBatcher: Batcher<I, TrialBatch>,
{
    /// Creates a loader of trials.
    ///
    /// - `trials`: the data set of trial n, counted from 0, with at least B items; reading a
    ///   smaller one fails. The loader calls it when it reaches the trial, so the data may follow a
    ///   schedule.
    /// - `fresh`: the probability that a stream starts a trial from the trial's own v_0. The loader
    ///   calls it once per trial, also when it reaches the trial. The first trial always starts
    ///   from its own v_0.
    /// - `seed`: the seed of these random starts.
    ///
    /// # Errors
    /// [`TaskError`] in the same cases as [`StreamSizes::check`].
    pub fn new(
        trials: impl Fn(usize) -> Arc<dyn Dataset<I>> + Send + Sync + 'static,
        sizes: StreamSizes,
        fresh: impl Fn() -> f64 + Send + Sync + 'static,
        seed: u64,
        device: &Device,
    ) -> Result<Self, TaskError> {
        Self::with_batcher(trials, TrialBatcher, sizes, fresh, seed, device)
    }
}

impl<I: Send + Sync + Clone + 'static, O: Cut + 'static> StreamLoader<I, O> {
    /// Creates a loader like [`new`](StreamLoader::new), for user-defined batches.
    ///
    /// # Errors
    /// [`TaskError`] in the same cases as [`StreamSizes::check`].
    pub fn with_batcher(
        trials: impl Fn(usize) -> Arc<dyn Dataset<I>> + Send + Sync + 'static,
        batcher: impl Batcher<I, O> + 'static,
        sizes: StreamSizes,
        fresh: impl Fn() -> f64 + Send + Sync + 'static,
        seed: u64,
        device: &Device,
    ) -> Result<Self, TaskError> {
        sizes.check()?;
        Ok(Self {
            trials: Arc::new(trials),
            batcher: Arc::new(batcher),
            sizes,
            fresh: Arc::new(fresh),
            seed,
            device: device.clone(),
            next_epoch: AtomicUsize::new(1),
        })
    }

    /// Sets the epoch of the next iteration.
    ///
    /// # Panics
    /// If `epoch` is 0: epochs count from 1.
    pub fn start_at(self, epoch: usize) -> Self {
        assert!(epoch > 0, "epochs count from 1, but epoch 0 was asked for");
        self.next_epoch.store(epoch, Ordering::SeqCst);
        self
    }

    /// Returns trial n of all streams, and for each stream whether it starts from the trial's own
    /// v_0.
    fn trial(&self, n: usize) -> Result<(O, Vec<bool>), DatasetError> {
        let data = (self.trials)(n);
        let items: Result<Vec<I>, _> = (0..self.sizes.streams).map(|b| data.get(b)).collect();
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(n as u64);
        let chance = (self.fresh)();
        let fresh = (0..self.sizes.streams).map(|_| random.random::<f64>() < chance || n == 0).collect();
        Ok((self.batcher.batch(items?, &self.device), fresh))
    }
}

impl<I: Send + Sync + Clone + 'static, O: Cut + 'static> DataLoader<Chunk<O>> for StreamLoader<I, O> {
    fn iter<'a>(&'a self) -> Box<dyn DataLoaderIterator<Chunk<O>> + 'a> {
        let epoch = self.next_epoch.fetch_add(1, Ordering::SeqCst);
        Box::new(Chunks { loader: self, first: (epoch - 1) * self.sizes.chunks_per_epoch, done: 0, trial: None })
    }

    fn num_items(&self) -> usize {
        self.sizes.chunks_per_epoch * self.sizes.streams
    }

    fn to_device(&self, device: &Device) -> Arc<dyn DataLoader<Chunk<O>>> {
        Arc::new(Self {
            trials: self.trials.clone(),
            batcher: self.batcher.clone(),
            sizes: self.sizes,
            fresh: self.fresh.clone(),
            seed: self.seed,
            device: device.clone(),
            // Each device has its own loader, which counts its own epochs.
            next_epoch: AtomicUsize::new(self.next_epoch.load(Ordering::SeqCst)),
        })
    }

    /// # Panics
    /// Always: one model holds the state of a stream, so its chunks cannot be distributed to
    /// several devices.
    fn slice(&self, _: usize, _: usize) -> Arc<dyn DataLoader<Chunk<O>>> {
        panic!("streams go on from their own state and cannot be dealt out to several devices; train on one")
    }
}

struct Chunks<'a, I, O> {
    loader: &'a StreamLoader<I, O>,
    /// The first chunk of the epoch, counted from the start of the run.
    first: usize,
    done: usize,
    trial: Option<(O, Vec<bool>)>,
}

impl<I: Send + Sync + Clone + 'static, O: Cut + 'static> Iterator for Chunks<'_, I, O> {
    type Item = Result<Chunk<O>, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        let StreamSizes { chunks_per_trial: parts, chunks_per_epoch, .. } = self.loader.sizes;
        if self.done == chunks_per_epoch {
            return None;
        }
        let chunk = self.first + self.done;
        let part = chunk % parts;
        if part == 0 {
            match self.loader.trial(chunk / parts) {
                Ok(trial) => self.trial = Some(trial),
                Err(error) => {
                    // An error ends the epoch.
                    self.done = chunks_per_epoch;
                    return Some(Err(error));
                }
            }
        }
        let (trial, fresh) = self.trial.as_ref().expect("an epoch begins with a trial");
        self.done += 1;
        let fresh = fresh.iter().map(|&fresh| fresh && part == 0).collect();
        Some(Ok(Chunk { input: trial.cut(part, parts), fresh }))
    }
}

impl<I: Send + Sync + Clone + 'static, O: Cut + 'static> DataLoaderIterator<Chunk<O>> for Chunks<'_, I, O> {
    fn progress(&self) -> Progress {
        let streams = self.loader.sizes.streams;
        Progress::new(self.done * streams, self.loader.num_items(), Some("items".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DelayedXor;
    use std::sync::Mutex;

    fn loader(chunks_per_trial: usize, fresh: f64) -> StreamLoader<crate::Trial, TrialBatch> {
        let task = DelayedXor::new(2, 60.0, 3);
        let sizes = StreamSizes { streams: 5, chunks_per_trial, chunks_per_epoch: 4 };
        let trials = move |n: usize| -> Arc<dyn Dataset<crate::Trial>> { Arc::new(task.dataset(n as u64, 5).unwrap()) };
        StreamLoader::new(trials, sizes, move || fresh, 7, &Device::default()).unwrap()
    }

    fn epoch(loader: &StreamLoader<crate::Trial, TrialBatch>) -> Vec<Chunk<TrialBatch>> {
        loader.iter().map(|chunk| chunk.expect("drawn trials")).collect()
    }

    fn input(batch: &TrialBatch) -> Vec<f32> {
        batch.input.to_data().iter::<f32>().collect()
    }

    #[test]
    fn cut_trials_make_whole_ones() {
        let (whole, cut) = (epoch(&loader(1, 0.0)), epoch(&loader(2, 0.0)));
        let joined = burn::tensor::Tensor::cat(vec![cut[0].input.input.clone(), cut[1].input.input.clone()], 1);
        assert_eq!(joined.into_data().iter::<f32>().collect::<Vec<_>>(), input(&whole[0].input));
        // A later part of a trial may begin within a round, so nothing says that the network should
        // rest there.
        assert!(cut[0].input.begins_at_rest && !cut[1].input.begins_at_rest);
        let early: Vec<f32> = cut[1].input.rest(0).into_data().iter::<f32>().collect();
        let width = early.len() / 5;
        for (b, rest) in early.chunks_exact(width).enumerate() {
            let first = cut[1].input.rounds[b].first().expect("the second half has a round");
            assert!(rest[..first.window.end].iter().all(|&r| r == 0.0), "stream {b}");
        }
        // The two halves have both rounds, at the same steps as the whole trial.
        let steps = cut[0].input.input.dims()[1];
        for b in 0..5 {
            let [first, second] = [&cut[0], &cut[1]].map(|chunk| &chunk.input.rounds[b]);
            let wanted = &whole[0].input.rounds[b];
            assert_eq!(first.len() + second.len(), 2);
            let last = second.last().unwrap();
            assert_eq!((last.answer, last.decoded.start + steps), (wanted[1].answer, wanted[1].decoded.start));
        }
    }

    #[test]
    fn a_resumed_stream_sees_what_it_would_have_seen() {
        let one = loader(2, 0.3);
        epoch(&one);
        let (second, resumed) = (epoch(&one), epoch(&loader(2, 0.3).start_at(2)));
        for (a, b) in second.iter().zip(&resumed) {
            assert_eq!((input(&a.input), &a.fresh), (input(&b.input), &b.fresh));
        }
        let first = epoch(&loader(2, 0.3));
        assert!(first[0].fresh.iter().all(|&fresh| fresh), "a stream's first trial starts anew");
        assert!(first[1].fresh.iter().all(|&fresh| !fresh), "a trial goes on in its second chunk");
    }

    #[test]
    fn trials_and_fresh_starts_may_follow_a_schedule() {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, task) = (asked.clone(), DelayedXor::new(1, 60.0, 3));
        let sizes = StreamSizes { streams: 2, chunks_per_trial: 1, chunks_per_epoch: 3 };
        let trials = move |n: usize| -> Arc<dyn Dataset<crate::Trial>> {
            log.lock().unwrap().push(n);
            Arc::new(task.with_max_gap(30.0 * (n + 1) as f64).dataset(0, 2).unwrap())
        };
        let loader = StreamLoader::new(trials, sizes, || 1.0, 0, &Device::default()).unwrap();
        let mut iterator = loader.iter();
        let steps: Vec<usize> = iterator.by_ref().map(|chunk| chunk.unwrap().input.input.dims()[1]).collect();
        assert_eq!(*asked.lock().unwrap(), [0, 1, 2]);
        assert!(steps[0] < steps[1] && steps[1] < steps[2], "{steps:?}");
        let progress = iterator.progress();
        assert_eq!((progress.items_processed, progress.items_total), (6, 6));
    }

    #[test]
    fn an_epoch_that_ends_within_a_trial_is_refused() {
        let sizes = StreamSizes { streams: 2, chunks_per_trial: 2, chunks_per_epoch: 3 };
        assert!(sizes.check().unwrap_err().to_string().contains("chunks_per_epoch is 3"));
    }
}
