//! Checkpoints that stay valid if the program is killed while it writes one.
//!
//! A checkpoint is three files: `model-N.bpk`, `optim-N.bpk` and `scheduler-N.bpk` for epoch N. The
//! program writes each file under another name, flushes it to the disk, and then renames it. So a
//! file with its final name is whole, and a checkpoint is complete if it has all three files.
//!
//! The folder keeps the checkpoints of the last two epochs, of the best epoch, and of the epoch
//! that was the best one epoch ago. So if the program is killed while it writes checkpoint N, all
//! files that a run needs after epoch N − 1 still exist.

use crate::history::{Epoch, History, Judge};
use crate::output::put_in_place;
use burn::lr_scheduler::LrSchedulerRecord;
use burn::module::Module;
use burn::optim::OptimizerRecord;
use burn::store::ModuleRecord;
use burn::train::Interrupter;
use burn::train::checkpoint::{
    Checkpoint, Checkpointer, CheckpointerError, CheckpointingAction, CheckpointingStrategy,
};
use burn::train::metric::store::{Aggregate, EventStoreClient, Split};
use burn_spiking::ScoreSchedule;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// The parts of a checkpoint, in the order in which the learner writes them.
pub const PARTS: [&str; 3] = ["model", "optim", "scheduler"];

/// Returns the checkpoint folder in the folder of a run.
pub fn folder(run: &Path) -> PathBuf {
    run.join("checkpoint")
}

/// Returns the file of one part of a checkpoint.
pub fn file(run: &Path, part: &str, epoch: usize) -> PathBuf {
    folder(run).join(format!("{part}-{epoch}.bpk"))
}

/// Writes one part of each checkpoint.
pub struct WholeFiles {
    run: PathBuf,
    part: &'static str,
}

impl WholeFiles {
    /// Makes a writer in the folder of a run.
    ///
    /// # Errors
    /// If the checkpoint folder cannot be made.
    pub fn new(run: &Path, part: &'static str) -> Result<Self, String> {
        let folder = folder(run);
        std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        Ok(Self { run: run.to_path_buf(), part })
    }

    fn file(&self, epoch: usize) -> PathBuf {
        file(&self.run, self.part, epoch)
    }
}

impl<R: Checkpoint> Checkpointer<R> for WholeFiles {
    fn save(&self, epoch: usize, record: R) -> Result<(), CheckpointerError> {
        let partial = folder(&self.run).join(format!("partial-{}.bpk", self.part));
        record.save(partial.clone())?;
        put_in_place(&partial, &self.file(epoch)).map_err(CheckpointerError::IOError)
    }

    fn delete(&self, epoch: usize) -> Result<(), CheckpointerError> {
        match std::fs::remove_file(self.file(epoch)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(CheckpointerError::IOError(error)),
            _ => Ok(()),
        }
    }

    fn restore(&self, epoch: usize) -> Result<R, CheckpointerError> {
        R::load(self.file(epoch))
    }
}

/// Writes the metrics of each epoch to the history, and keeps the checkpoints that the run may
/// still need.
pub struct KeepLastAndBest {
    /// The folder of the run.
    pub run: PathBuf,
    /// The history of the run.
    pub history: Arc<Mutex<History>>,
    /// The criterion for the best epoch.
    pub judge: Judge,
    /// Names of the metrics on training data and on validation data.
    pub metrics: [Vec<String>; 2],
    /// The schedule that follows the score. Its state is saved with the history.
    pub schedule: Option<ScoreSchedule>,
    /// Stops the run if the history cannot be written.
    pub interrupter: Interrupter,
}

impl CheckpointingStrategy for KeepLastAndBest {
    fn checkpointing(&mut self, epoch: usize, store: &EventStoreClient) -> Vec<CheckpointingAction> {
        let values = |names: &[String], split: Split| {
            let value = |name: &String| store.find_metric(name, epoch, Aggregate::Mean, &split);
            names.iter().map(|name| (name.clone(), value(name).filter(|value| value.is_finite()))).collect()
        };
        let [train, valid] = &self.metrics;
        let judged = Epoch {
            epoch,
            train: values(train, Split::Train),
            valid: values(valid, Split::Valid),
            schedule: self.schedule.as_ref().map(ScoreSchedule::state),
            scheduled: self.schedule.as_ref().map(ScoreSchedule::value),
        };
        let mut history = self.history.lock().expect("no holder of the history panics");
        if let Err(error) = history.push(judged) {
            self.interrupter.fail(CheckpointerError::Unknown(error));
            return Vec::new();
        }
        let mut wanted = BTreeSet::from([epoch, epoch - 1]);
        wanted.extend(history.best(&self.judge, epoch));
        wanted.extend(history.best(&self.judge, epoch - 1));
        let obsolete = saved(&self.run).into_iter().filter(|epoch| !wanted.contains(epoch));
        // The writer of a part gets the deletions only after all three writers have started to save
        // this epoch. So no deletion comes before a save.
        std::iter::once(CheckpointingAction::Save).chain(obsolete.map(CheckpointingAction::Delete)).collect()
    }
}

/// Returns the epochs for which at least one part exists.
fn saved(run: &Path) -> BTreeSet<usize> {
    let files = std::fs::read_dir(folder(run)).into_iter().flatten().flatten();
    let epoch = |name: String| {
        let (part, epoch) = name.strip_suffix(".bpk")?.rsplit_once('-')?;
        PARTS.contains(&part).then(|| epoch.parse().ok()).flatten()
    };
    files.filter_map(|file| epoch(file.file_name().into_string().ok()?)).collect()
}

/// Returns the epoch of the newest complete checkpoint up to epoch `last`, or `None` if there are
/// no checkpoints. Skips incomplete and unreadable checkpoints, with a message on standard error.
///
/// # Errors
/// If there are checkpoints but none is usable, or if the newest one belongs to another model.
pub fn newest<M: Module + Clone>(run: &Path, model: &M, last: usize) -> Result<Option<usize>, String> {
    let saved = saved(run);
    for &epoch in saved.iter().rev().filter(|&&epoch| epoch <= last) {
        if PARTS.iter().any(|part| !file(run, part, epoch).exists()) {
            eprintln!("checkpoint {epoch} is incomplete; taking an older one");
            continue;
        }
        let [of_model, optim, scheduler] = PARTS.map(|part| file(run, part, epoch));
        let others = OptimizerRecord::load(optim).map(drop).and(LrSchedulerRecord::load(scheduler).map(drop));
        match (ModuleRecord::load(of_model), others) {
            (Ok(record), Ok(())) => {
                model.clone().try_load_record(record).map_err(|error| foreign(run, epoch, &error.to_string()))?;
                return Ok(Some(epoch));
            }
            (Err(error), _) | (_, Err(error)) => {
                eprintln!("checkpoint {epoch} cannot be read ({error}); taking an older one");
            }
        }
    }
    match saved.is_empty() {
        true => Ok(None),
        false => Err(format!(
            "no checkpoint in {} is complete and readable; to train from the beginning, start anew with --overwrite",
            folder(run).display()
        )),
    }
}

fn foreign(run: &Path, epoch: usize, reason: &str) -> String {
    format!(
        "{} belongs to another model ({reason}); resume the folder that it came from",
        file(run, PARTS[0], epoch).display()
    )
}

/// Reads the model of an epoch whose checkpoint was kept.
///
/// # Errors
/// If the file cannot be read or belongs to another model.
pub fn model_of<M: Module + Clone>(run: &Path, model: &M, epoch: usize) -> Result<M, String> {
    let path = file(run, PARTS[0], epoch);
    let record = ModuleRecord::load(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    model.clone().try_load_record(record).map_err(|error| foreign(run, epoch, &error.to_string()))
}
