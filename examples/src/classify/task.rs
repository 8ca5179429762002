//! The tasks of `classify` and their data.

use super::recorded::{CACHE_BYTES, Length, Recorded, Samples};
use super::{Options, Recipe};
use crate::run::seeded;
use crate::training::DataFrom;
use burn::data::dataloader::DataLoader;
use burn::data::dataloader::batcher::Batcher;
use burn::data::dataset::Dataset;
use burn::data::dataset::transform::{PartialDataset, ShuffledDataset};
use burn::tensor::Device;
use burn_spiking_tasks::delayed_xor::CHANNELS;
use burn_spiking_tasks::files::EventTable;
use burn_spiking_tasks::{
    AnswerBatcher, Binning, Cached, DelayedXor, Digits, EpochLoader, Evidence, Jittered, Randman, Sample, SampleBatch,
    SampleBatcher, TaskError, YinYang, digits, yin_yang,
};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;

/// A task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskName {
    /// Points of a disc, in three classes.
    YinYang,
    /// Random manifolds of spike times, in ten classes.
    Randman,
    /// 1797 handwritten digits, of which a third is held out.
    Digits,
    /// Of which kind were there more cues?
    Evidence,
    /// Delayed-memory exclusive or, in the variant of the Graz group: had the two pulses different
    /// signs?
    GrazXor,
    /// Spoken digits, recorded (SHD; needs --data).
    Shd,
    /// Spoken commands, recorded (SSC; needs --data).
    Ssc,
    /// Handwritten digits before an event camera (N-MNIST; needs --data).
    NMnist,
    /// Gestures before an event camera (DVS128 Gesture; needs --data).
    DvsGesture,
    /// Events in tables of your own (train.csv, test.csv; needs --data).
    Table,
}

/// A task with the sizes of its samples, and with its files if it has any.
pub struct Task {
    name: TaskName,
    /// The names of the classes.
    pub classes: Vec<String>,
    units: usize,
    length: Length,
    recorded: Option<[Samples; 3]>,
}

/// The data of a run.
pub struct Data {
    /// Training data from an epoch on.
    pub training: DataFrom<SampleBatch>,
    /// Validation data, which decide the best epoch.
    pub validation: Arc<dyn DataLoader<SampleBatch>>,
    /// Test data, which training has not seen.
    pub test: Arc<dyn DataLoader<SampleBatch>>,
    /// Number of iterations in an epoch.
    pub iterations: usize,
}

/// Number of samples that are drawn for a test, of tasks without a size of their own.
const TEST: usize = 2000;
/// Number of training images that validate.
const VALIDATION_IMAGES: usize = 198;

impl TaskName {
    /// The title of figures.
    pub fn title(self) -> &'static str {
        match self {
            Self::YinYang => "Yin-Yang",
            Self::Randman => "Randman",
            Self::Digits => "Handwritten digits",
            Self::Evidence => "Evidence accumulation",
            Self::GrazXor => "Delayed exclusive or (Graz)",
            Self::Shd => "Spoken digits (SHD)",
            Self::Ssc => "Spoken commands (SSC)",
            Self::NMnist => "N-MNIST",
            Self::DvsGesture => "DVS128 Gesture",
            Self::Table => "Events of a table",
        }
    }
}

impl Task {
    /// Opens the task that the options select.
    ///
    /// # Errors
    /// If the files of recorded data cannot be read, or if an option does not fit the task.
    pub fn open(options: &Options) -> Result<Self, String> {
        let name = options.task;
        let recorded = Recorded::open(options)?;
        let named = |names: &[&str]| names.iter().map(|name| name.to_string()).collect();
        let numbered = |count: usize| (0..count).map(|class| class.to_string()).collect();
        let (classes, length, units): (Vec<String>, _, _) = match (name, &recorded) {
            (_, Some(recorded)) => (numbered(recorded.classes), recorded.length, recorded.units),
            (TaskName::YinYang, _) => (named(&["yin", "yang", "dot"]), Length::Usual(45.0), yin_yang::UNITS),
            (TaskName::Randman, _) => {
                (numbered(Randman::usual(0).classes), Length::Usual(200.0), Randman::usual(0).units)
            }
            (TaskName::Evidence, _) => {
                (named(&["left", "right"]), Length::Usual(Evidence::default().length_ms()), Evidence::default().units())
            }
            (TaskName::GrazXor, _) => {
                (named(&["unequal", "equal", "none"]), Length::Usual(DelayedXor::graz(1).trial_ms), CHANNELS)
            }
            (TaskName::Digits, _) => (numbered(digits::CLASSES), Length::Usual(30.0), digits::PIXELS),
            (TaskName::Shd | TaskName::Ssc | TaskName::NMnist | TaskName::DvsGesture | TaskName::Table, None) => {
                unreachable!("recorded data were opened")
            }
        };
        let length = match (options.length, &recorded) {
            (None, _) => length,
            (Some(ms), Some(_)) if ms.is_finite() && ms > 0.0 => Length::Usual(ms),
            (Some(ms), Some(_)) => return Err(format!("--length is {ms}, but must be above 0 and finite")),
            (Some(_), None) => {
                return Err(
                    "--length is for recorded data; leave it out, since this task has a length of its own".into()
                );
            }
        };
        Ok(Self { name, classes, units, length, recorded: recorded.map(|recorded| recorded.parts) })
    }

    /// The time steps and the input units of a sample.
    pub fn binning(&self, recipe: &Recipe) -> Binning {
        let steps = match self.length {
            Length::Usual(ms) => (ms / recipe.dt).round() as usize,
            Length::LastEvent(ms) => ((ms / recipe.dt) as usize).saturating_add(1),
        };
        Binning { dt: recipe.dt, steps, units: self.units, filter: recipe.filter() }
    }

    /// Returns the data of a run.
    ///
    /// # Errors
    /// If the recipe is invalid for the task.
    pub fn data(&self, recipe: &Recipe, seed: u64, device: &Device, training: &Device) -> Result<Data, String> {
        let told = |error: TaskError| error.to_string();
        let batch = recipe.batch;
        let batcher = || -> Result<SampleBatcher, TaskError> {
            let batcher = SampleBatcher::new(self.binning(recipe))?;
            match self.name {
                TaskName::Evidence => batcher.read_in_last(Evidence::default().recall_ms),
                _ => Ok(batcher),
            }
        };
        let sizes = Sizes { batch, epoch: batch * recipe.iterations, jitter: recipe.jitter, seed };
        let devices = [device, training];
        match (self.parts(seed)?, self.name) {
            (Some(parts), _) => shuffled(parts, batcher().map_err(told)?, sizes, devices),
            (None, TaskName::GrazXor) => {
                let task = DelayedXor { dt: recipe.dt, ..DelayedXor::graz(recipe.neurons) };
                fresh(move |seed: u64, len: usize| task.dataset(seed, len), AnswerBatcher, sizes, devices)
            }
            (None, _) => {
                let of = |seed: u64, len: usize| Evidence::default().dataset(seed, len);
                fresh(of, batcher().map_err(told)?, sizes, devices)
            }
        }
    }

    /// The samples for training, validation and the test; `None` if training samples are drawn
    /// afresh in each epoch.
    ///
    /// # Errors
    /// If the task is invalid.
    pub fn parts(&self, seed: u64) -> Result<Option<[Samples; 3]>, String> {
        let told = |error: TaskError| error.to_string();
        if let Some(parts) = &self.recorded {
            return Ok(Some(parts.clone()));
        }
        Ok(Some(match self.name {
            // The sizes and the seeds as published.
            TaskName::YinYang => {
                let of = |seed, len| -> Result<Samples, String> {
                    Ok(in_memory(YinYang::default().dataset(seed, len).map_err(told)?))
                };
                [of(42, 5000)?, of(41, 1000)?, of(40, 1000)?]
            }
            TaskName::Randman => {
                let task = Randman::usual(seeded(seed, 7));
                let of = |stream, len| -> Result<Samples, String> {
                    Ok(in_memory(task.dataset(seeded(seed, stream), len).map_err(told)?))
                };
                [of(1, 8000)?, of(2, 1000)?, of(3, TEST)?]
            }
            TaskName::Evidence | TaskName::GrazXor => return Ok(None),
            TaskName::Shd | TaskName::Ssc | TaskName::NMnist | TaskName::DvsGesture | TaskName::Table => {
                unreachable!("recorded data were opened")
            }
            TaskName::Digits => {
                let [all, test] = Digits { order: seed, ..Digits::default() }.datasets().map_err(told)?;
                let cut = all.len() - VALIDATION_IMAGES;
                let part = |from, to| -> Samples { in_memory(PartialDataset::new(all.clone(), from, to)) };
                [part(0, cut), part(cut, all.len()), in_memory(test)]
            }
        }))
    }

    /// Writes the samples as tables of events, `train.csv`, `valid.csv` and `test.csv`, for
    /// `--task table` and for other programs.
    ///
    /// # Errors
    /// If training samples are drawn afresh, if a file exists, or if it cannot be written.
    pub fn write_tables(&self, seed: u64, folder: &Path) -> Result<(), String> {
        let Some(parts) = self.parts(seed)? else {
            return Err(
                "--tables: the training samples of this task are always new, so a table cannot hold them".into()
            );
        };
        std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        for (name, part) in ["train.csv", "valid.csv", "test.csv"].into_iter().zip(parts) {
            let path = folder.join(name);
            if path.try_exists().map_err(|error| format!("{}: {error}", path.display()))? {
                return Err(format!("{} exists; choose another folder by --tables", path.display()));
            }
            let written = EventTable::write(&path, &part).map_err(|error| error.to_string())?;
            println!("{written} samples  {}", path.display());
        }
        Ok(())
    }
}

/// Samples that stay in memory once they have been drawn.
fn in_memory(data: impl Dataset<Sample> + 'static) -> Samples {
    Arc::new(Cached::new(data, CACHE_BYTES))
}

/// The sizes of a run's data.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    /// Number of samples in a batch.
    batch: usize,
    /// Number of samples in an epoch, for data that are drawn afresh.
    epoch: usize,
    /// Standard deviation of the moves of events in training, ms.
    jitter: f64,
    seed: u64,
}

/// A fixed set of training samples, in another order in each epoch and with other moves of their
/// events.
fn shuffled(
    [training, validation, test]: [Samples; 3],
    batcher: SampleBatcher,
    sizes: Sizes,
    [device, training_device]: [&Device; 2],
) -> Result<Data, String> {
    let Sizes { batch, seed, jitter, .. } = sizes;
    let fixed = |data: Samples| Arc::new(EpochLoader::constant(data, batcher, batch, device));
    let iterations = training.len().div_ceil(batch);
    Jittered::new(training.clone(), jitter, 0).map_err(|error| error.to_string())?;
    let training_device = training_device.clone();
    Ok(Data {
        training: Box::new(move |epoch| {
            let data = move |epoch: usize| -> Arc<dyn Dataset<Sample>> {
                let seed = seeded(seed, 10 + epoch as u64);
                let moved = Jittered::new(training.clone(), jitter, seed).expect("the jitter was checked");
                Arc::new(ShuffledDataset::new(moved, seed))
            };
            Arc::new(EpochLoader::new(data, batcher, batch, &training_device).start_at(epoch))
        }),
        validation: fixed(validation),
        test: fixed(test),
        iterations,
    })
}

/// New training samples in each epoch.
fn fresh<I, D>(
    of: impl Fn(u64, usize) -> Result<D, TaskError> + Send + Sync + 'static,
    batcher: impl Batcher<I, SampleBatch> + Copy + 'static,
    sizes: Sizes,
    [device, training_device]: [&Device; 2],
) -> Result<Data, String>
where
    I: Clone + Send + Sync + 'static,
    D: Dataset<I> + 'static,
{
    let Sizes { batch, epoch: len, seed, .. } = sizes;
    let fixed = |stream: u64, len: usize| -> Result<_, String> {
        let data = of(seeded(seed, stream), len).map_err(|error| error.to_string())?;
        Ok(Arc::new(EpochLoader::constant(data, batcher, batch, device)))
    };
    let (validation, test) = (fixed(1, 500)?, fixed(2, TEST)?);
    let training_device = training_device.clone();
    Ok(Data {
        training: Box::new(move |epoch| {
            let data = move |epoch: usize| -> Arc<dyn Dataset<I>> {
                Arc::new(of(seeded(seed, 10 + epoch as u64), len).expect("the task was checked"))
            };
            Arc::new(EpochLoader::new(data, batcher, batch, &training_device).start_at(epoch))
        }),
        validation,
        test,
        iterations: len.div_ceil(batch),
    })
}
