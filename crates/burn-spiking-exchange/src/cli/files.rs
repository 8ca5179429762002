//! Files by the ends of their names, and the networks of this library in them.

use burn::module::{Module, ModuleVisitor, Param};
use burn::store::ModuleRecord;
use burn::tensor::{DType, Device, Tensor};
use burn_spiking::{SpikingNetworkConfig, SpikingRnnConfig, SpikingStackConfig};
use burn_spiking_exchange::weights::{self, Saved};
use std::fmt::{Display, Formatter};
use std::path::Path;

/// The kinds of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Graph,
    Record,
    StateDict,
    /// SafeTensors of this library, with their configuration.
    Weights,
}

/// The kind of a file to read. SafeTensors are this library's own if they have its metadata.
pub fn kind_to_read(path: &Path) -> Result<Kind, String> {
    let kind = kind(path)?;
    // A file that cannot be read counts as a state dict, whose reader tells why.
    let own = |bytes: Vec<u8>| weights::metadata(&bytes, path).ok().flatten();
    match kind {
        Kind::Weights if std::fs::read(path).ok().and_then(own).is_none() => Ok(Kind::StateDict),
        kind => Ok(kind),
    }
}

/// The kind of a file by the end of its name.
pub fn kind(path: &Path) -> Result<Kind, String> {
    match path.extension().and_then(|end| end.to_str()) {
        Some("nir" | "h5" | "hdf5") => Ok(Kind::Graph),
        Some("bpk") => Ok(Kind::Record),
        Some("safetensors") => Ok(Kind::Weights),
        Some("pt" | "pth") => Ok(Kind::StateDict),
        _ => Err(format!(
            "{}: the name must end in .nir or .h5 (a graph), .bpk (a record), .safetensors, .pt or .pth (weights)",
            path.display()
        )),
    }
}

/// An error as its message.
pub fn told(error: impl Display) -> String {
    error.to_string()
}

/// The configuration of a record.
pub enum RecordConfig {
    Network(SpikingNetworkConfig),
    Layer(SpikingRnnConfig),
    Stack(SpikingStackConfig),
}

impl RecordConfig {
    /// Reads the configuration of a record; its file does not say what it belongs to.
    pub fn of(record: &Path) -> Result<Self, String> {
        let network = match SpikingNetworkConfig::load_for_record(record) {
            Ok(config) => return Ok(Self::Network(config)),
            Err(error) => error,
        };
        let layer = match SpikingRnnConfig::load_for_record(record) {
            Ok(config) => return Ok(Self::Layer(config)),
            Err(error) => error,
        };
        SpikingStackConfig::load_for_record(record)
            .map(Self::Stack)
            .map_err(|stack| format!("{network}, as a network; as a layer: {layer}; as a stack: {stack}"))
    }
}

impl Display for RecordConfig {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Network(config) => write!(f, "network: {config}"),
            Self::Layer(config) => write!(f, "layer: {config}"),
            Self::Stack(config) => write!(f, "stack: {config}"),
        }
    }
}

/// The precision of the parameters in a record, which `module` fits.
fn precision(module: impl Module, record: &Path) -> Result<DType, String> {
    struct Found(Option<DType>);
    impl ModuleVisitor for Found {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.get_or_insert(param.val().dtype());
        }
    }
    let read = ModuleRecord::load(record).map_err(|error| format!("{}: {error}", record.display()))?;
    let loaded = module.try_load_record(read).map_err(|error| format!("{}: {error}", record.display()))?;
    let mut found = Found(None);
    loaded.visit(&mut found);
    Ok(found.0.filter(|dtype| *dtype == DType::F64).unwrap_or(DType::F32))
}

/// A layer, a network or a stack from a record or from SafeTensors.
pub fn saved(file: &Path, kind: Kind) -> Result<Saved, String> {
    let device = Device::flex();
    if kind == Kind::Weights {
        return weights::read(file, &device).map_err(told);
    }
    Ok(match RecordConfig::of(file)? {
        RecordConfig::Network(config) => {
            let options = (&device, precision(config.init(&device).map_err(told)?, file)?);
            Saved::Network(Box::new(config.init(options).map_err(told)?.load(file).map_err(told)?))
        }
        RecordConfig::Layer(config) => {
            let options = (&device, precision(config.init(&device).map_err(told)?, file)?);
            Saved::Layer(Box::new(config.init(options).map_err(told)?.load(file).map_err(told)?))
        }
        RecordConfig::Stack(config) => {
            let options = (&device, precision(config.init(&device).map_err(told)?, file)?);
            Saved::Stack(Box::new(config.init(options).map_err(told)?.load(file).map_err(told)?))
        }
    })
}
