//! A data loader whose data may change from epoch to epoch: fresh trials, or trials that grow.

use burn::data::dataloader::batcher::Batcher;
use burn::data::dataloader::{DataLoader, DataLoaderIterator, Progress};
use burn::data::dataset::{Dataset, DatasetError};
use burn::tensor::Device;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The data of an epoch; the first is epoch 1.
pub type DatasetOfEpoch<I> = Arc<dyn Fn(usize) -> Arc<dyn Dataset<I>> + Send + Sync>;

/// A loader that asks for a new data set each time it is iterated over, which Burn's learner does once an epoch.
///
/// Items come in order: a data set whose items are drawn from (seed, index) is shuffled already. So an epoch's data depend on
/// the epoch's number alone, and a run resumed after epoch n (`start_at(n + 1)`) sees what an uninterrupted one would have seen.
pub struct EpochLoader<I, O> {
    data: DatasetOfEpoch<I>,
    batcher: Arc<dyn Batcher<I, O>>,
    batch_size: usize,
    device: Device,
    /// Which items of an epoch; all if `None`.
    part: Option<Range<usize>>,
    next_epoch: AtomicUsize,
}

impl<I: Send + Sync + Clone + 'static, O: Send + 'static> EpochLoader<I, O> {
    /// From the data of each epoch.
    ///
    /// # Panics
    /// If the batch size is 0.
    pub fn new(
        data: impl Fn(usize) -> Arc<dyn Dataset<I>> + Send + Sync + 'static,
        batcher: impl Batcher<I, O> + 'static,
        batch_size: usize,
        device: &Device,
    ) -> Self {
        assert!(batch_size > 0, "the batch size is 0, but must be at least 1");
        Self {
            data: Arc::new(data),
            batcher: Arc::new(batcher),
            batch_size,
            device: device.clone(),
            part: None,
            next_epoch: AtomicUsize::new(1),
        }
    }

    /// The same data in every epoch, as for validation.
    pub fn constant(
        data: impl Dataset<I> + 'static,
        batcher: impl Batcher<I, O> + 'static,
        batch_size: usize,
        device: &Device,
    ) -> Self {
        let data: Arc<dyn Dataset<I>> = Arc::new(data);
        Self::new(move |_| data.clone(), batcher, batch_size, device)
    }

    /// The epoch that the next iteration gives.
    ///
    /// # Panics
    /// If it is 0: epochs count from 1.
    pub fn start_at(self, epoch: usize) -> Self {
        assert!(epoch > 0, "epochs count from 1, but epoch 0 was asked for");
        self.next_epoch.store(epoch, Ordering::SeqCst);
        self
    }

    /// The items of a data set that this loader gives: what there is of its part.
    fn range(&self, data: &dyn Dataset<I>) -> Range<usize> {
        let Range { start, end } = self.part.clone().unwrap_or(0..data.len());
        start.min(data.len())..end.min(data.len())
    }

    /// Loaders of one epoch's data are iterated over side by side, so each counts its own epochs.
    fn with(&self, device: Device, part: Option<Range<usize>>) -> Arc<Self> {
        Arc::new(Self {
            data: self.data.clone(),
            batcher: self.batcher.clone(),
            batch_size: self.batch_size,
            device,
            part,
            next_epoch: AtomicUsize::new(self.next_epoch.load(Ordering::SeqCst)),
        })
    }
}

impl<I: Send + Sync + Clone + 'static, O: Send + 'static> DataLoader<O> for EpochLoader<I, O> {
    fn iter<'a>(&'a self) -> Box<dyn DataLoaderIterator<O> + 'a> {
        let data = (self.data)(self.next_epoch.fetch_add(1, Ordering::SeqCst));
        let range = self.range(data.as_ref());
        Box::new(EpochIterator { loader: self, total: range.len(), left: range, data })
    }

    fn num_items(&self) -> usize {
        self.range((self.data)(self.next_epoch.load(Ordering::SeqCst)).as_ref()).len()
    }

    fn to_device(&self, device: &Device) -> Arc<dyn DataLoader<O>> {
        self.with(device.clone(), self.part.clone())
    }

    /// Items `start` to `end`, this one not included, of those that this loader gives.
    ///
    /// # Panics
    /// If `start` is above `end`.
    fn slice(&self, start: usize, end: usize) -> Arc<dyn DataLoader<O>> {
        assert!(start <= end, "a part from item {start} to {end} is none; let it start before it ends");
        let whole = self.part.clone().unwrap_or(0..usize::MAX);
        let within = |at: usize| whole.start.saturating_add(at).min(whole.end);
        self.with(self.device.clone(), Some(within(start)..within(end)))
    }
}

struct EpochIterator<'a, I, O> {
    loader: &'a EpochLoader<I, O>,
    data: Arc<dyn Dataset<I>>,
    left: Range<usize>,
    total: usize,
}

impl<I: Send + Sync + Clone + 'static, O: Send + 'static> Iterator for EpochIterator<'_, I, O> {
    type Item = Result<O, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left.is_empty() {
            return None;
        }
        let end = (self.left.start + self.loader.batch_size).min(self.left.end);
        let items: Result<Vec<I>, _> = (self.left.start..end).map(|index| self.data.get(index)).collect();
        self.left.start = end;
        Some(items.map(|items| self.loader.batcher.batch(items, &self.loader.device)))
    }
}

impl<I: Send + Sync + Clone + 'static, O: Send + 'static> DataLoaderIterator<O> for EpochIterator<'_, I, O> {
    fn progress(&self) -> Progress {
        Progress::new(self.total - self.left.len(), self.total, Some("items".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::data::dataset::InMemDataset;

    struct Keep;

    impl Batcher<usize, Vec<usize>> for Keep {
        fn batch(&self, items: Vec<usize>, _: &Device) -> Vec<usize> {
            items
        }
    }

    fn loader() -> EpochLoader<usize, Vec<usize>> {
        let data = |epoch: usize| -> Arc<dyn Dataset<usize>> {
            Arc::new(InMemDataset::new((0..epoch + 2).map(|i| 100 * epoch + i).collect()))
        };
        EpochLoader::new(data, Keep, 2, &Device::default())
    }

    fn epoch(loader: &dyn DataLoader<Vec<usize>>) -> Vec<Vec<usize>> {
        loader.iter().map(|batch| batch.expect("data in memory")).collect()
    }

    #[test]
    fn each_iteration_is_the_next_epoch() {
        let loader = loader();
        assert_eq!(loader.num_items(), 3);
        assert_eq!(epoch(&loader), [vec![100, 101], vec![102]]);
        assert_eq!(epoch(&loader), [vec![200, 201], vec![202, 203]]);
        let resumed = self::loader().start_at(3);
        assert_eq!(epoch(&resumed), epoch(&loader));
    }

    #[test]
    fn progress_counts_items() {
        let loader = loader();
        let mut iterator = loader.iter();
        iterator.next();
        let progress = iterator.progress();
        assert_eq!((progress.items_processed, progress.items_total), (2, 3));
    }

    #[test]
    fn slices_have_epochs_of_their_own() {
        let loader = loader();
        let (a, b) = (loader.slice(0, 1), loader.slice(1, 3));
        assert_eq!((epoch(a.as_ref()), epoch(b.as_ref())), (vec![vec![100]], vec![vec![101, 102]]));
        assert_eq!(epoch(a.as_ref()), [vec![200]]);
    }
}
