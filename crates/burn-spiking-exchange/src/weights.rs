//! Layers, networks and stacks as SafeTensors, with every constant in the file's metadata.
//!
//! ```text
//! tensors                the parameters, by their paths: input_weight, layer.recurrent_weights.0, readout.weight, ..
//! metadata.burn_spiking  {"format": 1, "kind": "layer", "config": {..}}
//! ```
//!
//! The names, shapes and units are those of the library: weights `[pre, post]` in units of 1/τ_u.
//! [`read`] makes the same network again, from the configuration in the metadata. Connections given
//! by hand are tensors of their own, `config.connections_k`. A user-defined neuron is known by its
//! name alone, so its file is refused.
//!
//! Other tools read the file with any SafeTensors library; `burn_spiking.torch.load` of the Python
//! package makes a PyTorch module of a network or layer.

use crate::ExchangeError;
use crate::tensors::{Tensors, bytes_of, failed};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Bool, DType, Device, Int, Tensor, TensorCreationOptions, TensorData};
use burn_spiking::{
    ConfigError, SpikingNetwork, SpikingNetworkConfig, SpikingRnn, SpikingRnnConfig, SpikingStack, SpikingStackConfig,
};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// The key of the metadata.
const KEY: &str = "burn_spiking";
/// The version of the format.
const FORMAT: u32 = 1;

/// What the metadata says.
#[derive(Serialize, Deserialize)]
struct Described {
    format: u32,
    #[serde(flatten)]
    made_of: MadeOf,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", content = "config", rename_all = "lowercase")]
enum MadeOf {
    Layer(SpikingRnnConfig),
    Network(SpikingNetworkConfig),
    Stack(SpikingStackConfig),
}

/// What a file holds.
#[derive(Debug)]
pub enum Saved {
    /// A layer.
    Layer(Box<SpikingRnn>),
    /// A layer with its readout.
    Network(Box<SpikingNetwork>),
    /// Several layers.
    Stack(Box<SpikingStack>),
}

/// The path of a parameter while Burn visits a module.
#[derive(Default)]
struct Place(Vec<String>);

impl Place {
    fn name(&self) -> String {
        self.0.join(".")
    }
}

/// Collects the tensors of a module.
#[derive(Default)]
struct Collect {
    place: Place,
    found: BTreeMap<String, TensorData>,
}

/// Whether this is the name of connections that were given by hand.
fn is_connections(name: &str) -> bool {
    name.rsplit('.').next().is_some_and(|last| last.starts_with("connections_"))
}

impl ModuleVisitor for Collect {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.place.0.push(name.into());
    }
    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.place.0.pop();
    }
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.found.insert(self.place.name(), param.val().into_data());
    }
    fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
        // The description of the layer is in the metadata.
        let name = self.place.name();
        if is_connections(&name) {
            self.found.insert(name, param.val().into_data().convert::<i32>());
        }
    }
}

/// Writes a layer.
///
/// # Errors
/// If the file cannot be written, or the neuron is user-defined.
pub fn write_layer(layer: &SpikingRnn, path: impl AsRef<Path>) -> Result<(), ExchangeError> {
    write(layer, MadeOf::Layer(layer.config().clone()), path.as_ref())
}

/// Writes a network.
///
/// # Errors
/// As [`write_layer`].
pub fn write_network(network: &SpikingNetwork, path: impl AsRef<Path>) -> Result<(), ExchangeError> {
    write(network, MadeOf::Network(network.config()), path.as_ref())
}

/// Writes a stack.
///
/// # Errors
/// As [`write_layer`].
pub fn write_stack(stack: &SpikingStack, path: impl AsRef<Path>) -> Result<(), ExchangeError> {
    write(stack, MadeOf::Stack(stack.config()), path.as_ref())
}

fn write(module: &impl Module, made_of: MadeOf, path: &Path) -> Result<(), ExchangeError> {
    let text = serde_json::to_string(&Described { format: FORMAT, made_of })
        .map_err(|error| failed(path, "metadata", error))?;
    // A configuration that cannot be read back, such as that of a user-defined neuron, has no use.
    described(&text, path)?;
    let mut collect = Collect::default();
    module.visit(&mut collect);
    let views = collect.found.iter().map(|(name, data)| {
        let dtype = match data.dtype() {
            DType::F32 => Dtype::F32,
            DType::F64 => Dtype::F64,
            DType::I32 => Dtype::I32,
            other => return Err(failed(path, name, format!("a tensor is {other:?}, but must be F32 or F64"))),
        };
        let view = TensorView::new(dtype, data.shape().to_vec(), data.as_bytes());
        Ok((name.clone(), view.map_err(|error| failed(path, name, error))?))
    });
    let views = views.collect::<Result<Vec<_>, _>>()?;
    let metadata = HashMap::from([(KEY.to_string(), text)]);
    safetensors::serialize_to_file(views, Some(metadata), path).map_err(|error| failed(path, "file", error))
}

/// The metadata as a configuration that was checked.
fn described(text: &str, path: &Path) -> Result<MadeOf, ExchangeError> {
    let wrong = |error: String| failed(path, "metadata", error);
    let Described { format, made_of } = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
    if format != FORMAT {
        return Err(wrong(format!(
            "the format is {format}, but this version reads {FORMAT}; read it with a later one"
        )));
    }
    let checked = |checked: Result<(), ConfigError>| checked.map_err(|error| wrong(error.to_string()));
    match &made_of {
        MadeOf::Layer(config) => checked(config.check())?,
        MadeOf::Network(config) => checked(config.layer.check())?,
        MadeOf::Stack(config) => config.layers.iter().try_for_each(|layer| checked(layer.check()))?,
    }
    Ok(made_of)
}

/// Puts the tensors of a file into a module.
struct Fill<'a> {
    place: Place,
    tensors: &'a Tensors,
    dtype: DType,
    error: Option<ExchangeError>,
}

impl Fill<'_> {
    /// The numbers of a tensor of this shape.
    fn numbers(&self, name: &str, shape: &[usize]) -> Result<Vec<f64>, ExchangeError> {
        let (found, numbers) = self.tensors.wanted(name)?;
        match found == shape {
            true => Ok(numbers),
            false => Err(self.tensors.error(
                name,
                format!("it is {found:?}, but the configuration in the metadata wants {shape:?}; do not change shapes"),
            )),
        }
    }
}

impl ModuleMapper for Fill<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.place.0.push(name.into());
    }
    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.place.0.pop();
    }
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.place.name();
        let shape = param.dims();
        match self.numbers(&name, &shape) {
            Ok(numbers) => {
                let (dtype, learns) = (self.dtype, param.is_require_grad());
                param.map(|tensor| {
                    let options = (&tensor.device(), dtype);
                    Tensor::from_data(TensorData::new(numbers, shape), options).set_require_grad(learns)
                })
            }
            Err(error) => {
                self.error.get_or_insert(error);
                param
            }
        }
    }
}

/// Reads what [`write_layer`], [`write_network`] or [`write_stack`] wrote. It has the dtype of the
/// file.
///
/// # Errors
/// If the file cannot be read, has no metadata of this library, or its tensors do not fit the
/// configuration in its metadata.
pub fn read(path: impl AsRef<Path>, device: &Device) -> Result<Saved, ExchangeError> {
    let path = path.as_ref();
    let bytes = bytes_of(path)?;
    let tensors = Tensors::of_safetensors(&bytes, path)?;
    let Some(text) = metadata(&bytes, path)? else {
        return Err(failed(
            path,
            "metadata",
            "there is no configuration; a state dict of another library wants its name and modules",
        ));
    };
    let dtype = if tensors.double { DType::F64 } else { DType::F32 };
    let options = TensorCreationOptions::from((device, dtype));
    let wrong = |error: ConfigError| failed(path, "metadata", error);
    let place = Place::default();
    let mut fill = Fill { place, tensors: &tensors, dtype, error: None };
    let saved = match described(&text, path)? {
        MadeOf::Layer(config) => {
            let layer = config.init(options).map_err(wrong)?.map(&mut fill);
            Saved::Layer(Box::new(connected(layer, "", &fill)?))
        }
        MadeOf::Network(config) => {
            let mut network = config.init(options).map_err(wrong)?.map(&mut fill);
            network.layer = connected(network.layer, "layer.", &fill)?;
            Saved::Network(Box::new(network))
        }
        MadeOf::Stack(config) => {
            let mut stack = config.init(options).map_err(wrong)?.map(&mut fill);
            for (at, layer) in stack.layers.iter_mut().enumerate() {
                *layer = connected(layer.clone(), &format!("layers.{at}."), &fill)?;
            }
            Saved::Stack(Box::new(stack))
        }
    };
    if let Some(error) = fill.error {
        return Err(error);
    }
    match tensors.unread("") {
        Some(more) => Err(tensors.error(more, "the configuration in the metadata has no such tensor; take it away")),
        None => Ok(saved),
    }
}

/// The layer with the connections of the file that were given by hand.
fn connected(mut layer: SpikingRnn, prefix: &str, fill: &Fill<'_>) -> Result<SpikingRnn, ExchangeError> {
    let n = layer.config().d_hidden;
    for k in 0..layer.recurrent_weights.len() {
        let name = format!("{prefix}config.connections_{k}");
        if !fill.tensors.has(&name) {
            continue;
        }
        let there = fill.numbers(&name, &[n, n])?.into_iter().map(|x| x != 0.0).collect::<Vec<bool>>();
        let there = Tensor::<2, Bool>::from_data(TensorData::new(there, [n, n]), &layer.device());
        layer = layer.with_connections(k, there).map_err(|error| fill.tensors.error(&name, error.to_string()))?;
    }
    Ok(layer)
}

/// The configuration in the metadata of a file; `None` if another tool wrote it.
///
/// # Errors
/// If the file is not SafeTensors.
pub fn metadata(bytes: &[u8], path: &Path) -> Result<Option<String>, ExchangeError> {
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| failed(path, "header", error))?;
    Ok(metadata.metadata().as_ref().and_then(|all| all.get(KEY)).cloned())
}
