//! A layer in files of its own: its record, and its configuration beside it.

use super::config::SpikingRnnConfig;
use super::record_text::{Difference, differences};
use super::rnn::SpikingRnn;
use super::trajectory::numbers;
use crate::error::RecordError;
use burn::config::Config;
use burn::module::{Module, ModuleVisitor, Param};
use burn::store::ModuleRecord;
use burn::tensor::Tensor;
use std::path::{Path, PathBuf};

impl SpikingRnnConfig {
    /// Reads the configuration that [`SpikingRnn::save`] wrote beside a record.
    ///
    /// # Errors
    /// [`RecordError::File`] if it cannot be read.
    pub fn beside(record: impl AsRef<Path>) -> Result<Self, RecordError> {
        let path = Self::path_beside(record.as_ref());
        // Older versions replaced the ending, so that `w-0.1` and `w-0.2` shared a file.
        let former = record.as_ref().with_extension("json");
        let path = if !path.exists() && former.exists() { former } else { path };
        Self::load(&path).map_err(|error| failed(&path, error))
    }

    /// Where the configuration of a record is: the record's name and `.json`.
    fn path_beside(record: &Path) -> PathBuf {
        let mut name = record.as_os_str().to_owned();
        name.push(".json");
        name.into()
    }
}

fn failed(path: &Path, reason: impl ToString) -> RecordError {
    RecordError::File { path: path.display().to_string(), reason: reason.to_string() }
}

/// Reads every parameter that waits to be read.
struct ReadNow;

impl ModuleVisitor for ReadNow {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        numbers(param.val());
    }
}

impl SpikingRnn {
    /// Writes the parameters to `path` (burnpack), with every physical constant and connections given by hand, and the configuration to a file
    /// beside it, whose name is that of `path` and `.json`.
    ///
    /// # Errors
    /// [`RecordError::File`] if a file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), RecordError> {
        let path = path.as_ref();
        self.config.save(SpikingRnnConfig::path_beside(path)).map_err(|error| failed(path, error))?;
        self.clone().into_record().save(path).map_err(|error| failed(path, error))
    }

    /// Reads parameters that [`save`](Self::save) wrote, and connections given by hand. Older records have no constants; those
    /// of the configuration beside it are compared instead. The layer keeps its dtype.
    ///
    /// # Errors
    /// [`RecordError::OtherConstants`] if the record belongs to a layer with other constants, [`RecordError::File`] if a file
    /// cannot be read.
    pub fn load(mut self, path: impl AsRef<Path>) -> Result<Self, RecordError> {
        let path = path.as_ref();
        let record = ModuleRecord::load(path).map_err(|error| failed(path, error))?.cast_to_module_dtype();
        let saved = match self.config.lines_in(&record) {
            Some(saved) => saved,
            None => {
                self.config.compared = true;
                SpikingRnnConfig::beside(path)?.lines()
            }
        };
        if let Some(Difference { saved, own }) = differences(&saved, &self.config.lines()).into_iter().next() {
            return Err(RecordError::OtherConstants { path: path.display().to_string(), saved, own });
        }
        let loaded = self.try_load_record(record).map_err(|error| failed(path, error))?;
        // Burn reads numbers when they are first used, and by then the file may be another.
        loaded.visit(&mut ReadNow);
        Ok(loaded)
    }
}
