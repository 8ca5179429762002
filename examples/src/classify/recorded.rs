//! Recorded data: the user's own files.

use super::{Options, TaskName};
use burn::data::dataset::Dataset;
use burn::data::dataset::transform::{PartialDataset, ShuffledDataset};
use burn_spiking_tasks::files::{
    DVS_GESTURE_CLASSES, DVS_GESTURE_SIDE, DVS_GESTURE_UNITS, DvsGesture, EventTable, FileError, HEIDELBERG_UNITS,
    Heidelberg, N_MNIST_SIDE, N_MNIST_UNITS, NMnist, Trials,
};
use burn_spiking_tasks::{Cached, Pooled, Pooling, Sample};
use std::path::Path;
use std::sync::Arc;

/// Samples of any kind.
pub(super) type Samples = Arc<dyn Dataset<Sample>>;

/// The largest memory of the events of each part of the data, in bytes.
pub(super) const CACHE_BYTES: usize = 1 << 30;
/// If the data have no validation part, one training sample in this many validates.
const VALIDATES: usize = 10;

/// Recorded samples, with the sizes that they have.
pub(super) struct Recorded {
    /// Training, validation and test.
    pub parts: [Samples; 3],
    pub classes: usize,
    pub units: usize,
    pub length: Length,
}

/// The usual length of a sample.
#[derive(Debug, Clone, Copy)]
pub(super) enum Length {
    /// This many ms.
    Usual(f64),
    /// Up to the last event of all samples, at this time in ms.
    LastEvent(f64),
}

/// The rows of units, which pooling joins.
struct Grid {
    units: usize,
    width: usize,
    height: usize,
}

impl Recorded {
    /// Opens the files of a task; `None` if the task is drawn.
    ///
    /// # Errors
    /// If there is no folder, a folder that is not needed, or a file that cannot be read.
    pub(super) fn open(options: &Options) -> Result<Option<Self>, String> {
        let Some(source) = source_of(options.task) else {
            let problem = match (&options.data, options.pool) {
                (Some(data), _) => format!("--data is {}", data.display()),
                (_, Some(pool)) => format!("--pool is {pool}"),
                _ => return Ok(None),
            };
            return Err(format!(
                "{problem}, but the samples of this task are drawn; leave it out, or choose --task shd"
            ));
        };
        let Some(folder) = &options.data else {
            return Err(format!("this task reads recorded data; give its folder by --data DIR: {source}"));
        };
        Self::of(options.task, folder, options.pool, options.seed).map(Some)
    }

    fn of(task: TaskName, folder: &Path, pool: Option<usize>, seed: u64) -> Result<Self, String> {
        let told = |error: FileError| error.to_string();
        let heidelberg = |name: &str| Heidelberg::open(folder.join(name)).map_err(told);
        let row = |units: usize| Grid { units, width: units, height: 1 };
        let camera = |units: usize, side: usize| Grid { units, width: side, height: side };
        let (parts, classes, grid, length, usual_pool) = match task {
            TaskName::Shd => {
                let (train, test) = (heidelberg("shd_train.h5")?, heidelberg("shd_test.h5")?);
                let classes = train.classes().max(test.classes());
                (
                    held_out(Arc::new(train), Arc::new(test), seed)?,
                    classes,
                    row(HEIDELBERG_UNITS),
                    Length::Usual(1400.0),
                    5,
                )
            }
            TaskName::Ssc => {
                let parts = [heidelberg("ssc_train.h5")?, heidelberg("ssc_valid.h5")?, heidelberg("ssc_test.h5")?];
                let classes = parts.iter().map(Heidelberg::classes).max().unwrap_or_default();
                (
                    parts.map(|part| -> Samples { Arc::new(part) }),
                    classes,
                    row(HEIDELBERG_UNITS),
                    Length::Usual(1000.0),
                    5,
                )
            }
            TaskName::NMnist => {
                let of = |name: &str| NMnist::open(folder.join(name)).map_err(told);
                let parts = held_out(Arc::new(of("Train")?), Arc::new(of("Test")?), seed)?;
                (parts, 10, camera(N_MNIST_UNITS, N_MNIST_SIDE), Length::Usual(300.0), 2)
            }
            TaskName::DvsGesture => {
                let of = |trials: Trials| DvsGesture::open(folder, trials).map_err(told);
                let parts = held_out(Arc::new(of(Trials::Train)?), Arc::new(of(Trials::Test)?), seed)?;
                (parts, DVS_GESTURE_CLASSES, camera(DVS_GESTURE_UNITS, DVS_GESTURE_SIDE), Length::Usual(1500.0), 4)
            }
            _ => {
                let of = |name: &str| EventTable::open(folder.join(name)).map_err(told);
                let (train, test) = (of("train.csv")?, of("test.csv")?);
                let mut all = vec![train.clone(), test.clone()];
                let valid = folder.join("valid.csv");
                let parts = match valid.try_exists().map_err(|error| format!("{}: {error}", valid.display()))? {
                    true => {
                        let valid = of("valid.csv")?;
                        all.push(valid.clone());
                        [Arc::new(train) as Samples, Arc::new(valid), Arc::new(test)]
                    }
                    false => held_out(Arc::new(train), Arc::new(test), seed)?,
                };
                let largest = |of: &dyn Fn(&EventTable) -> usize| all.iter().map(of).max().unwrap_or_default();
                let end = all.iter().map(EventTable::end).fold(0.0, f64::max);
                (parts, largest(&EventTable::classes), row(largest(&EventTable::units)), Length::LastEvent(end), 1)
            }
        };
        let Grid { units, width, height } = grid;
        let pooling = Pooling { width, height, factor: pool.unwrap_or(usual_pool) };
        pooling.check().map_err(|error| error.to_string())?;
        let pooled = |part: Samples| -> Samples {
            let part = Pooled::new(part, pooling).expect("the pooling was checked");
            Arc::new(Cached::new(part, CACHE_BYTES))
        };
        Ok(Self { parts: parts.map(pooled), classes, units: pooling.units(units), length })
    }
}

/// The files of a task and their source; `None` if the task is drawn.
fn source_of(task: TaskName) -> Option<&'static str> {
    match task {
        TaskName::Shd => Some("shd_train.h5 and shd_test.h5, from https://zenkelab.org/datasets"),
        TaskName::Ssc => Some("ssc_train.h5, ssc_valid.h5 and ssc_test.h5, from https://zenkelab.org/datasets"),
        TaskName::NMnist => Some("the folders Train and Test of https://www.garrickorchard.com/datasets/n-mnist"),
        TaskName::DvsGesture => Some("the unpacked files of https://research.ibm.com/interactive/dvsgesture"),
        TaskName::Table => {
            Some("train.csv, test.csv and, if there is one, valid.csv, with the columns sample, class, time and unit")
        }
        _ => None,
    }
}

/// Holds a tenth of the training samples out, for validation. The seed decides which.
fn held_out(train: Samples, test: Samples, seed: u64) -> Result<[Samples; 3], String> {
    let len = train.len();
    if len < 2 {
        return Err(format!("there is {len} training sample, but one more is needed to validate; give more samples"));
    }
    let (mixed, cut) = (Arc::new(ShuffledDataset::new(train, seed)), len - len.div_ceil(VALIDATES));
    let part = |from: usize, to: usize| -> Samples { Arc::new(PartialDataset::new(mixed.clone(), from, to)) };
    Ok([part(0, cut), part(cut, len), test])
}

#[cfg(test)]
mod tests {
    use super::super::Task;
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Args {
        #[command(flatten)]
        options: Options,
    }

    fn options(arguments: &[&str]) -> Options {
        Args::parse_from([&["classify"], arguments].concat()).options
    }

    #[test]
    fn a_table_is_read_to_its_last_event() {
        let folder = tempfile::tempdir().unwrap();
        let lines = |samples: usize, end: f64| {
            let line = |sample: usize| format!("{sample},{},0,2\n{sample},{},{end},3\n", sample % 2, sample % 2);
            "sample,class,time,unit\n".to_string() + &(0..samples).map(line).collect::<String>()
        };
        std::fs::write(folder.path().join("train.csv"), lines(12, 40.0)).unwrap();
        std::fs::write(folder.path().join("test.csv"), lines(3, 44.0)).unwrap();
        let data = folder.path().to_str().unwrap();
        let options = options(&["--task", "table", "--data", data, "--dt", "2"]);
        let task = Task::open(&options).unwrap();
        // Steps 0 to 22; the last event is in step 22.
        let binning = task.binning(&options.recipe());
        assert_eq!((binning.steps, binning.units, task.classes.len()), (23, 4, 2));
        let [train, valid, test] = task.parts(0).unwrap().unwrap();
        assert_eq!((train.len(), valid.len(), test.len()), (10, 2, 3));
        let input = binning.input(&test.get(0).unwrap().events);
        assert!(input[22 * 4 + 3] > 0.0);
    }

    #[test]
    fn a_part_for_validation_is_used() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["train.csv", "valid.csv", "test.csv"] {
            std::fs::write(folder.path().join(name), "sample,class,time,unit\n0,1,3,0\n").unwrap();
        }
        let data = folder.path().to_str().unwrap();
        let task = Task::open(&options(&["--task", "table", "--data", data])).unwrap();
        assert_eq!(task.parts(0).unwrap().unwrap().map(|part| part.len()), [1, 1, 1]);
        std::fs::remove_file(folder.path().join("valid.csv")).unwrap();
        let few = Task::open(&options(&["--task", "table", "--data", data])).err().unwrap();
        assert!(few.contains("there is 1 training sample"), "{few}");
    }
}
