//! A data loader whose data may change from epoch to epoch, for example new trials in each epoch,
//! or trials that become longer.

use burn::data::dataloader::batcher::Batcher;
use burn::data::dataloader::{DataLoader, DataLoaderIterator, Progress};
use burn::data::dataset::{Dataset, DatasetError};
use burn::tensor::Device;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Returns the data of an epoch; the first is epoch 1.
pub type DatasetOfEpoch<I> = Arc<dyn Fn(usize) -> Arc<dyn Dataset<I>> + Send + Sync>;

/// A loader that requests a new data set for each iteration. Burn's learner iterates once per
/// epoch.
///
/// The loader does not shuffle: items drawn from (seed, index) are already in random order. So the
/// data of an epoch depend only on its number. A run resumed after epoch n (`start_at(n + 1)`) sees
/// the same data as an uninterrupted run.
pub struct EpochLoader<I, O> {
    data: DatasetOfEpoch<I>,
    batcher: Arc<dyn Batcher<I, O>>,
    batch_size: usize,
    device: Device,
    /// The items of an epoch that this loader returns; all if `None`.
    part: Option<Range<usize>>,
    next_epoch: AtomicUsize,
}

impl<I: Send + Sync + Clone + 'static, O: Send + 'static> EpochLoader<I, O> {
    /// Creates a loader from a function that returns the data of each epoch.
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

    /// Creates a loader with the same data in every epoch, for example for validation.
    pub fn constant(
        data: impl Dataset<I> + 'static,
        batcher: impl Batcher<I, O> + 'static,
        batch_size: usize,
        device: &Device,
    ) -> Self {
        let data: Arc<dyn Dataset<I>> = Arc::new(data);
        Self::new(move |_| data.clone(), batcher, batch_size, device)
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

    /// The indices in `data` of the items that this loader returns: its part, cut off at the end of
    /// `data`.
    fn range(&self, data: &dyn Dataset<I>) -> Range<usize> {
        let Range { start, end } = self.part.clone().unwrap_or(0..data.len());
        start.min(data.len())..end.min(data.len())
    }

    /// Returns a copy for a device and a part. Several copies may be iterated at the same time, so
    /// each counts its own epochs.
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

    /// Returns a loader for the items `start..end` of this loader, in every epoch. If the data
    /// grow, the part keeps the same items.
    ///
    /// # Panics
    /// If `start` is above `end`.
    fn slice(&self, start: usize, end: usize) -> Arc<dyn DataLoader<O>> {
        assert!(start <= end, "a part cannot start at item {start} and end at {end}; let it end after its start");
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

    /// This crate's loader and Burn's own loader of the same items, in batches of 3.
    fn two(items: usize) -> [Arc<dyn DataLoader<Vec<usize>>>; 2] {
        use burn::data::dataloader::DataLoaderBuilder;
        let data = || InMemDataset::new((0..items).collect());
        let burns = DataLoaderBuilder::new(Keep).batch_size(3).build(data());
        [Arc::new(EpochLoader::constant(data(), Keep, 3, &Device::default())), burns]
    }

    #[test]
    fn parts_of_parts_are_those_of_burns_loader() {
        let same = |[ours, burns]: &[Arc<dyn DataLoader<Vec<usize>>>; 2], what: &str| {
            assert_eq!(ours.num_items(), burns.num_items(), "{what}");
            assert_eq!(epoch(ours.as_ref()), epoch(burns.as_ref()), "{what}");
            let mut iterators = [ours.iter(), burns.iter()];
            loop {
                let progress = iterators.each_ref().map(|iterator| iterator.progress());
                let [a, b] = progress.map(|progress| (progress.items_processed, progress.items_total));
                assert_eq!(a, b, "{what}");
                let [a, b] = iterators.each_mut().map(|iterator| iterator.next().map(|batch| batch.unwrap()));
                assert_eq!(a, b, "{what}");
                if a.is_none() {
                    break;
                }
            }
        };
        for items in [20, 21, 7] {
            let all = two(items);
            same(&all, "all");
            for (start, end) in [(0, 5), (2, 7), (4, 4), (0, items)] {
                let part = all.each_ref().map(|loader| loader.slice(start, end));
                same(&part, &format!("{start}..{end} of {items}"));
                let device = Device::default();
                same(&part.each_ref().map(|loader| loader.to_device(&device)), "on another device");
                for (from, to) in [(0, end - start), (1.min(end - start), end - start), (0, 0)] {
                    let part = part.each_ref().map(|loader| loader.slice(from, to));
                    same(&part, &format!("{from}..{to} of {start}..{end} of {items}"));
                }
            }
        }
        let held_out = two(20)[0].slice(10, 20).slice(0, 5);
        assert_eq!(epoch(held_out.as_ref()), [vec![10, 11, 12], vec![13, 14]]);
    }

    #[test]
    fn a_part_ends_with_its_whole() {
        let part = two(20)[0].slice(10, 20).slice(5, 30);
        assert_eq!(epoch(part.as_ref()).concat(), [15, 16, 17, 18, 19]);
        let none = two(20)[0].slice(30, 40);
        assert_eq!((none.num_items(), epoch(none.as_ref()).len()), (0, 0));
    }

    #[test]
    fn loaders_on_two_devices_see_the_same_epochs() {
        let loader = loader();
        let copies = [0, 1].map(|_| loader.to_device(&Device::default()));
        let [a, b] = copies.each_ref().map(|copy| [epoch(copy.as_ref()), epoch(copy.as_ref())]);
        assert_eq!(a, b);
        assert_eq!(epoch(&loader), a[0]);
    }

    #[test]
    #[should_panic(expected = "epochs count from 1")]
    fn there_is_no_epoch_0() {
        loader().start_at(0);
    }

    #[test]
    fn slices_have_epochs_of_their_own() {
        let loader = loader();
        let (a, b) = (loader.slice(0, 1), loader.slice(1, 3));
        assert_eq!((epoch(a.as_ref()), epoch(b.as_ref())), (vec![vec![100]], vec![vec![101, 102]]));
        assert_eq!(epoch(a.as_ref()), [vec![200]]);
    }
}
