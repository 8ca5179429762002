//! The learning curve of a run: `history.jsonl`, with one line of JSON for each finished epoch.

use burn_spiking::train::schedule::ScheduleState;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The metrics of one epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// The epoch, counted from 1.
    pub epoch: usize,
    /// Metrics on the training data; `None` for a metric that is NaN, infinite or missing.
    pub train: BTreeMap<String, Option<f64>>,
    /// Metrics on the validation data, in the same form.
    pub valid: BTreeMap<String, Option<f64>>,
    /// State of the schedule that follows the score, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleState>,
    /// Value of the schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled: Option<f64>,
}

/// The criterion that compares epochs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judge {
    /// The name of a validation metric.
    pub metric: String,
    /// Whether a higher value is better.
    pub higher_is_better: bool,
}

/// The epochs of a run so far, in memory and on disk.
#[derive(Debug, Clone)]
pub struct History {
    path: PathBuf,
    epochs: Vec<Epoch>,
}

impl History {
    /// Reads the epochs up to `last` from the history in a folder. Deletes the later epochs from
    /// the file: the run trains them again.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn open(folder: &Path, last: usize) -> Result<Self, String> {
        let path = folder.join("history.jsonl");
        let failed = |error: std::io::Error| format!("{}: {error}", path.display());
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(failed(error)),
        };
        // A killed program may have left half a line at the end. Whole lines stay unchanged, byte
        // for byte.
        let (mut epochs, mut kept) = (Vec::new(), String::new());
        for line in text.split_inclusive('\n') {
            match serde_json::from_str::<Epoch>(line) {
                Ok(epoch) if line.ends_with('\n') && epoch.epoch == epochs.len() + 1 && epoch.epoch <= last => {
                    epochs.push(epoch);
                    kept.push_str(line);
                }
                _ => break,
            }
        }
        if kept != text {
            std::fs::write(&path, kept).map_err(failed)?;
        }
        Ok(Self { path, epochs })
    }

    /// Adds an epoch.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn push(&mut self, epoch: Epoch) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("{}: {error}", self.path.display());
        let line = serde_json::to_string(&epoch).map_err(|error| error.to_string())? + "\n";
        let mut file = std::fs::File::options().create(true).append(true).open(&self.path).map_err(failed)?;
        file.write_all(line.as_bytes()).map_err(failed)?;
        self.epochs.push(epoch);
        Ok(())
    }

    /// Returns the epochs, in order.
    pub fn epochs(&self) -> &[Epoch] {
        &self.epochs
    }

    /// Returns the best epoch up to `last`. Among equally good epochs, it returns the one with the
    /// lowest loss; if these are equal too, the first. Returns `None` if the metric has no value in
    /// any epoch.
    pub fn best(&self, judge: &Judge, last: usize) -> Option<usize> {
        let value = |epoch: &Epoch, metric: &str| epoch.valid.get(metric).copied().flatten();
        let rank = |epoch: &Epoch| {
            let score = value(epoch, &judge.metric)?;
            let score = if judge.higher_is_better { -score } else { score };
            Some((score, value(epoch, "Loss").unwrap_or(f64::INFINITY), epoch.epoch))
        };
        let ranks = self.epochs.iter().take_while(|epoch| epoch.epoch <= last).filter_map(rank);
        ranks.min_by(|a, b| a.partial_cmp(b).expect("numbers")).map(|(_, _, epoch)| epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(epoch: usize, loss: f64) -> Epoch {
        let valid = BTreeMap::from([("Loss".into(), Some(loss))]);
        Epoch { epoch, train: BTreeMap::new(), valid, schedule: None, scheduled: None }
    }

    #[test]
    fn what_was_judged_is_read_again_and_half_a_line_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let mut history = History::open(folder.path(), 9).unwrap();
        for (at, loss) in [0.5, 0.1 + 0.2, 0.4].into_iter().enumerate() {
            history.push(epoch(at + 1, loss)).unwrap();
        }
        let path = folder.path().join("history.jsonl");
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, whole.clone() + "{\"epoch\":4,\"tr").unwrap();
        let again = History::open(folder.path(), 9).unwrap();
        assert_eq!(again.epochs().len(), 3);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), whole);
        let judge = Judge { metric: "Loss".into(), higher_is_better: false };
        assert_eq!((again.best(&judge, 9), again.best(&judge, 1)), (Some(2), Some(1)));
        assert_eq!(again.best(&Judge { higher_is_better: true, ..judge.clone() }, 9), Some(1));
        assert_eq!(again.best(&Judge { metric: "Accuracy".into(), ..judge }, 9), None);
        let accurate = |mut epoch: Epoch| {
            epoch.valid.insert("Accuracy".into(), Some(1.0));
            epoch
        };
        let mut equal = History { path: folder.path().join("equal.jsonl"), epochs: Vec::new() };
        for (at, loss) in [0.3, 0.2, 0.2, 0.4].into_iter().enumerate() {
            equal.push(accurate(epoch(at + 1, loss))).unwrap();
        }
        assert_eq!(equal.best(&Judge { metric: "Accuracy".into(), higher_is_better: true }, 9), Some(2));
        assert_eq!(History::open(folder.path(), 2).unwrap().epochs().len(), 2);
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2);
    }
}
