//! Layers, networks and stacks in files of their own: the record, and the configuration in a second file.
//!
//! ```text
//! PATH          the parameters and every constant that gives them their meaning (burnpack)
//! PATH.json     the configuration
//! ```

use super::config::SpikingRnnConfig;
use super::network::{SpikingNetwork, SpikingNetworkConfig};
use super::record::Described;
use super::record_text::{Difference, differences};
use super::rnn::SpikingRnn;
use super::stack::{SpikingStack, SpikingStackConfig};
use super::trajectory::numbers;
use crate::error::RecordError;
use burn::config::Config;
use burn::module::{Module, ModuleVisitor, Param};
use burn::store::ModuleRecord;
use burn::tensor::Tensor;
use std::path::{Path, PathBuf};

fn failed(path: &Path, reason: impl ToString) -> RecordError {
    RecordError::File { path: path.display().to_string(), reason: reason.to_string() }
}

/// The file of a record's configuration: the record's name and `.json`.
fn config_path(record: &Path) -> PathBuf {
    let mut name = record.as_os_str().to_owned();
    name.push(".json");
    name.into()
}

fn load_config<C: Config>(record: &Path) -> Result<C, RecordError> {
    let path = config_path(record);
    C::load(&path).map_err(|error| failed(&path, error))
}

fn save_module<M: Module>(module: &M, config: &impl Config, path: &Path) -> Result<(), RecordError> {
    config.save(config_path(path)).map_err(|error| failed(path, error))?;
    module.clone().into_record().save(path).map_err(|error| failed(path, error))
}

fn read_record(path: &Path) -> Result<ModuleRecord, RecordError> {
    Ok(ModuleRecord::load(path).map_err(|error| failed(path, error))?.cast_to_module_dtype())
}

fn load_module<M: Module>(module: M, record: ModuleRecord, path: &Path) -> Result<M, RecordError> {
    let loaded = module.try_load_record(record).map_err(|error| failed(path, error))?;
    // Burn reads numbers when they are first used, and by then the file may be another.
    loaded.visit(&mut ReadNow);
    Ok(loaded)
}

/// Refuses a record whose constants are not the layer's. One without constants is refused when it is loaded.
///
/// - `modules`: names of the modules that the layer is in, from the record's own on.
fn same_constants(record: &ModuleRecord, modules: &[&str], layer: &Described, path: &Path) -> Result<(), RecordError> {
    let Some(saved) = layer.lines_in(record, modules) else { return Ok(()) };
    match differences(&saved, &layer.lines()).into_iter().next() {
        Some(Difference { saved, own }) => {
            Err(RecordError::OtherConstants { path: path.display().to_string(), saved, own })
        }
        None => Ok(()),
    }
}

/// Reads every parameter that waits to be read.
struct ReadNow;

impl ModuleVisitor for ReadNow {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        numbers(param.val());
    }
}

impl SpikingRnnConfig {
    /// Reads the configuration of a record that [`SpikingRnn::save`] wrote.
    ///
    /// # Errors
    /// [`RecordError::File`] if it cannot be read.
    pub fn load_for_record(record: impl AsRef<Path>) -> Result<Self, RecordError> {
        load_config(record.as_ref())
    }
}

impl SpikingRnn {
    /// Writes the parameters to `path` (burnpack), with every physical constant and connections given by hand, and the configuration to
    /// a second file, whose name is that of `path` and `.json`.
    ///
    /// # Errors
    /// [`RecordError::File`] if a file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), RecordError> {
        save_module(self, self.config(), path.as_ref())
    }

    /// Reads parameters that [`save`](Self::save) wrote, and connections given by hand. The layer keeps its dtype.
    ///
    /// # Errors
    /// [`RecordError::OtherConstants`] if the record belongs to a layer with other constants, [`RecordError::File`] if a file
    /// cannot be read.
    pub fn load(self, path: impl AsRef<Path>) -> Result<Self, RecordError> {
        let path = path.as_ref();
        let record = read_record(path)?;
        same_constants(&record, &[], &self.config, path)?;
        load_module(self, record, path)
    }
}

impl SpikingNetworkConfig {
    /// Reads the configuration of a record that [`SpikingNetwork::save`] wrote.
    ///
    /// # Errors
    /// [`RecordError::File`] if it cannot be read.
    pub fn load_for_record(record: impl AsRef<Path>) -> Result<Self, RecordError> {
        load_config(record.as_ref())
    }
}

impl SpikingNetwork {
    /// Writes layer and readout to `path` (burnpack), and the configuration to a second file, whose name is that of `path` and `.json`.
    ///
    /// # Errors
    /// [`RecordError::File`] if a file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), RecordError> {
        save_module(self, &self.config(), path.as_ref())
    }

    /// Reads what [`save`](Self::save) wrote. The network keeps its dtype.
    ///
    /// # Errors
    /// As [`SpikingRnn::load`].
    pub fn load(self, path: impl AsRef<Path>) -> Result<Self, RecordError> {
        let path = path.as_ref();
        let record = read_record(path)?;
        same_constants(&record, &["layer"], &self.layer.config, path)?;
        load_module(self, record, path)
    }
}

impl SpikingStackConfig {
    /// Reads the configuration of a record that [`SpikingStack::save`] wrote.
    ///
    /// # Errors
    /// [`RecordError::File`] if it cannot be read.
    pub fn load_for_record(record: impl AsRef<Path>) -> Result<Self, RecordError> {
        load_config(record.as_ref())
    }
}

impl SpikingStack {
    /// Writes all layers to `path` (burnpack), and the configuration to a second file, whose name is that of `path` and `.json`.
    ///
    /// # Errors
    /// [`RecordError::File`] if a file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), RecordError> {
        save_module(self, &self.config(), path.as_ref())
    }

    /// Reads what [`save`](Self::save) wrote. The layers keep their dtype.
    ///
    /// # Errors
    /// As [`SpikingRnn::load`].
    pub fn load(self, path: impl AsRef<Path>) -> Result<Self, RecordError> {
        let path = path.as_ref();
        let record = read_record(path)?;
        for (at, layer) in self.layers.iter().enumerate() {
            same_constants(&record, &["layers", &at.to_string()], &layer.config, path)?;
        }
        load_module(self, record, path)
    }
}
