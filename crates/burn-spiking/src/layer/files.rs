//! Files of layers, networks and stacks: the record in one file, and the configuration in a second
//! file.
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
use crate::error::RecordError;
use crate::scan::numbers;
use burn::config::Config;
use burn::module::{Module, ModuleVisitor, Param};
use burn::store::ModuleRecord;
use burn::tensor::Tensor;
use std::path::{Path, PathBuf};

fn failed(path: &Path, reason: impl ToString) -> RecordError {
    RecordError::File { path: path.display().to_string(), reason: reason.to_string() }
}

/// Returns the path of a record's configuration: the path of the record with `.json` appended.
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
    // Burn reads a parameter at its first use. By then the file may have changed.
    loaded.visit(&mut ReadNow);
    Ok(loaded)
}

/// Returns an error if the constants of a record differ from the layer's. A record without
/// constants passes here; the loading that follows refuses it.
///
/// - `modules`: the path of the layer in the record, as names of modules from the outermost to the
///   innermost. It is empty for the layer's own record.
fn same_constants(record: &ModuleRecord, modules: &[&str], layer: &Described, path: &Path) -> Result<(), RecordError> {
    let Some(saved) = layer.lines_in(record, modules) else { return Ok(()) };
    match differences(&saved, &layer.lines()).into_iter().next() {
        Some(Difference { saved, own }) => {
            Err(RecordError::OtherConstants { path: path.display().to_string(), saved, own })
        }
        None => Ok(()),
    }
}

/// A visitor that makes Burn read every parameter now.
struct ReadNow;

impl ModuleVisitor for ReadNow {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        numbers(param.val());
    }
}

impl SpikingRnnConfig {
    /// Reads the configuration of a record that [`SpikingRnn::save`] wrote. `record` is the path of
    /// the record.
    ///
    /// # Errors
    /// [`RecordError::File`] if the configuration's file cannot be read.
    pub fn load_for_record(record: impl AsRef<Path>) -> Result<Self, RecordError> {
        load_config(record.as_ref())
    }
}

impl SpikingRnn {
    /// Writes the layer to two files. The file `path` (burnpack) has the parameters, every physical
    /// constant and the connections given by hand. The file `path` with `.json` appended has the
    /// configuration.
    ///
    /// # Errors
    /// [`RecordError::File`] if a file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), RecordError> {
        save_module(self, self.config(), path.as_ref())
    }

    /// Reads the parameters and the connections given by hand that [`save`](Self::save) wrote. The
    /// layer keeps its dtype.
    ///
    /// # Errors
    /// [`RecordError::OtherConstants`] if the record belongs to a layer with other constants;
    /// [`RecordError::File`] if a file cannot be read.
    pub fn load(self, path: impl AsRef<Path>) -> Result<Self, RecordError> {
        let path = path.as_ref();
        let record = read_record(path)?;
        same_constants(&record, &[], &self.config, path)?;
        load_module(self, record, path)
    }
}

impl SpikingNetworkConfig {
    /// Reads the configuration of a record that [`SpikingNetwork::save`] wrote. `record` is the
    /// path of the record.
    ///
    /// # Errors
    /// [`RecordError::File`] if the configuration's file cannot be read.
    pub fn load_for_record(record: impl AsRef<Path>) -> Result<Self, RecordError> {
        load_config(record.as_ref())
    }
}

impl SpikingNetwork {
    /// Writes the network to two files. The file `path` (burnpack) has the layer and the readout.
    /// The file `path` with `.json` appended has the configuration.
    ///
    /// # Errors
    /// [`RecordError::File`] if a file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), RecordError> {
        save_module(self, &self.config(), path.as_ref())
    }

    /// Reads the layer and the readout that [`save`](Self::save) wrote. The network keeps its
    /// dtype.
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
    /// Reads the configuration of a record that [`SpikingStack::save`] wrote. `record` is the path
    /// of the record.
    ///
    /// # Errors
    /// [`RecordError::File`] if the configuration's file cannot be read.
    pub fn load_for_record(record: impl AsRef<Path>) -> Result<Self, RecordError> {
        load_config(record.as_ref())
    }
}

impl SpikingStack {
    /// Writes the stack to two files. The file `path` (burnpack) has all layers. The file `path`
    /// with `.json` appended has the configuration.
    ///
    /// # Errors
    /// [`RecordError::File`] if a file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), RecordError> {
        save_module(self, &self.config(), path.as_ref())
    }

    /// Reads the layers that [`save`](Self::save) wrote. They keep their dtype.
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
