//! The description of a layer in its record: every constant on which the meaning of the parameters
//! depends, and the connections given by hand.
//!
//! ```text
//! LAYER.config.constants        lines `name: value`, [1024] words of four bytes each
//! LAYER.config.connections_k    [N, N] of 0 and 1, if `with_connections(k, ..)` gave them
//! ```
//!
//! Both are tensors of the layer's module. So the record of any model that contains a layer has
//! them, at any depth, and every way of loading reads them: Burn's `try_load_record`, a checkpoint
//! of its learner, and `burn-store`.
//!
//! A layer must refuse a record with other constants. Burn refuses a record that lacks a tensor of
//! the module. So a layer that finds other constants asks for one more tensor, which no record has.
//! The name of this tensor says what differs. (A caller who allows partial records switches this
//! refusal off, and only gets a warning in the log.)

use super::config::SpikingRnnConfig;
use super::mask::Missing;
use super::record_text::{Difference, GIVEN, Line, VERSION, WORDS, decoded, differences, encoded, shortened};
use burn::module::{
    Content, Devices, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor, Param, ParamId,
};
use burn::store::ModuleRecord;
use burn::tensor::{DType, Device, Int, Shape, Tensor, TensorData};
use std::ops::{Deref, DerefMut};

/// The container type that this file reports to Burn for its submodules.
const CONTAINER: &str = "Struct:SpikingRnnConfig";

/// A layer's configuration and its connections, as the layer's record stores them.
#[derive(Debug, Clone)]
pub struct Described {
    config: SpikingRnnConfig,
    /// The connections of each recurrent synapse type.
    connections: Vec<Connections>,
    id: ParamId,
    device: Device,
}

/// The connections of one synapse type.
#[derive(Debug, Clone)]
struct Connections {
    /// `None` if all neurons are connected.
    missing: Option<Missing>,
    /// The id of their parameter in a record, if they were given by hand; `None` if they are as
    /// configured.
    given: Option<ParamId>,
}

impl Connections {
    fn configured(config: &SpikingRnnConfig, k: usize, device: &Device) -> Self {
        let n = config.d_hidden;
        let connected = config.wiring.connected(n, k, config.autapses);
        Self { missing: Missing::of(&connected, [n, n], device), given: None }
    }
}

impl Deref for Described {
    type Target = SpikingRnnConfig;

    fn deref(&self) -> &SpikingRnnConfig {
        &self.config
    }
}

impl DerefMut for Described {
    fn deref_mut(&mut self) -> &mut SpikingRnnConfig {
        &mut self.config
    }
}

impl Described {
    /// Combines a configuration with the connections that it describes.
    pub(super) fn new(config: SpikingRnnConfig, device: &Device) -> Self {
        let device = device.clone().inner();
        let planes = config.synapses.iter().filter(|synapse| synapse.is_recurrent()).count();
        let connections = (0..planes).map(|k| Connections::configured(&config, k, &device)).collect();
        Self { config, connections, id: ParamId::new(), device }
    }

    /// Returns the pairs that the k-th recurrent synapse type does not connect; `None` if there are
    /// none.
    pub(super) fn missing(&self, k: usize) -> Option<&Missing> {
        self.connections[k].missing.as_ref()
    }

    /// Replaces the connections of the k-th recurrent synapse type. `there` is 1 for a connection
    /// and 0 for none, `[pre, post]`.
    pub(super) fn connect(&mut self, k: usize, there: Tensor<2>) {
        let there = there.to_device(&self.device);
        self.connections[k] = Connections { missing: Some(Missing { there }), given: Some(ParamId::new()) };
    }

    /// Returns the index and the parameter id of each recurrent synapse type whose connections were
    /// given by hand.
    fn given(&self) -> impl Iterator<Item = (usize, ParamId)> {
        self.connections.iter().enumerate().filter_map(|(k, connections)| connections.given.map(|id| (k, id)))
    }

    /// Returns the lines of the record: the constants, and the synapse types with connections given
    /// by hand.
    pub(super) fn lines(&self) -> Vec<Line> {
        let given: Vec<String> = self.given().map(|(k, _)| k.to_string()).collect();
        self.config.lines().into_iter().chain([(GIVEN.to_string(), given.join(" "))]).collect()
    }

    /// Returns the constants as a parameter, which is computed at its first use.
    fn constants(&self, id: ParamId) -> Param<Tensor<1, Int>> {
        let lines = self.lines();
        let words = move |device: &Device, _: bool| {
            Tensor::from_data(TensorData::new(encoded(&lines), [WORDS]), (device, DType::I32))
        };
        Param::uninitialized(id, words, self.device.clone(), false, Shape::new([WORDS]))
    }

    /// Returns connections given by hand as a parameter of a record.
    fn there(&self, k: usize, id: ParamId) -> Param<Tensor<2, Int>> {
        let n = self.config.d_hidden;
        let there = self.connections[k].missing.as_ref().map(|missing| missing.there.clone());
        let there = move |device: &Device, _: bool| match there {
            Some(there) => there.int().cast(DType::I32),
            None => Tensor::ones([n, n], (device, DType::I32)),
        };
        Param::uninitialized(id, there, self.device.clone(), false, Shape::new([n, n]))
    }

    /// Takes over the connections of a record whose constants equal those of this layer.
    fn connect_as<M: ModuleMapper>(&mut self, lines: &[Line], mapper: &mut M) {
        let given = lines.iter().find(|(name, _)| name == GIVEN).map_or("", |(_, value)| value);
        let given: Vec<usize> = given.split(' ').filter_map(|k| k.parse().ok()).collect();
        for k in 0..self.connections.len() {
            if !given.contains(&k) {
                self.connections[k] = Connections::configured(&self.config, k, &self.device);
            } else if let Some((there, id)) = loaded(mapper, &connections_name(k), self.there(k, ParamId::new())) {
                let missing = Some(Missing { there: there.float().cast(DType::F32) });
                self.connections[k] = Connections { missing, given: Some(id) };
            }
        }
    }
}

fn connections_name(k: usize) -> String {
    format!("connections_{k}")
}

fn lines_of(words: Tensor<1, Int>) -> Vec<Line> {
    decoded(&words.into_data().iter::<i32>().collect::<Vec<_>>())
}

/// Maps a parameter under a name. If the result comes from a record, returns its tensor and its id.
fn loaded<M: ModuleMapper, const D: usize>(
    mapper: &mut M,
    name: &str,
    param: Param<Tensor<D, Int>>,
) -> Option<(Tensor<D, Int>, ParamId)> {
    // Only a mapper that loads a record changes the id. With all other mappers the tensor is never
    // computed.
    let sent = param.id;
    mapper.enter_module(name, CONTAINER);
    let mapped = mapper.map_int(param);
    mapper.exit_module(name, CONTAINER);
    (mapped.id != sent).then(|| (mapped.val(), mapped.id))
}

/// Makes the loading of a record fail with the message `why`: asks for a tensor of this name, which
/// no record has.
fn refuse<M: ModuleMapper>(mapper: &mut M, device: &Device, why: &str) {
    let nothing = |device: &Device, _: bool| Tensor::<1, Int>::zeros([1], (device, DType::I32));
    let param = Param::uninitialized(ParamId::new(), nothing, device.clone(), false, Shape::new([1]));
    mapper.enter_module(why, CONTAINER);
    mapper.map_int(param);
    mapper.exit_module(why, CONTAINER);
}

/// Returns whether a mapper loads records. Other mappers find no constants either, but this is no
/// fault.
fn loads_records<M>() -> bool {
    let name = std::any::type_name::<M>();
    name.contains("ModuleRecordMapper") || name.contains("burn_store::")
}

impl Module for Described {
    fn collect_devices(&self, devices: Devices) -> Devices {
        self.connections.iter().fold(devices, |devices, connections| connections.missing.collect_devices(devices))
    }

    fn fork(mut self, device: &Device) -> Self {
        self.connections.iter_mut().for_each(|one| one.missing = one.missing.take().fork(device));
        Self { device: device.clone().inner(), ..self }
    }

    fn to_device(mut self, device: &Device) -> Self {
        self.connections.iter_mut().for_each(|one| one.missing = one.missing.take().to_device(device));
        Self { device: device.clone().inner(), ..self }
    }

    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        visitor.enter_module("constants", CONTAINER);
        visitor.visit_int(&self.constants(self.id));
        visitor.exit_module("constants", CONTAINER);
        for (k, id) in self.given() {
            visitor.enter_module(&connections_name(k), CONTAINER);
            visitor.visit_int(&self.there(k, id));
            visitor.exit_module(&connections_name(k), CONTAINER);
        }
    }

    fn map<M: ModuleMapper>(mut self, mapper: &mut M) -> Self {
        let Some((words, _)) = loaded(mapper, "constants", self.constants(ParamId::new())) else {
            if loads_records::<M>() {
                log::warn!(
                    "a record without a layer's constants: whether it belongs to this layer cannot be checked, nor have \
                     connections given by hand come with it"
                );
                let why = "constants, which the record lacks; allow_partial(true) loads it unchecked";
                refuse(mapper, &self.device, why);
            }
            return self;
        };
        let saved = lines_of(words);
        let found = differences(&saved, &self.lines());
        for Difference { saved, own } in &found {
            let why = format!(
                "the record was saved with {saved}, but this layer has {own}; initialise it from the record's configuration"
            );
            log::warn!("{why}");
            refuse(mapper, &self.device, &why);
        }
        if found.is_empty() {
            self.connect_as(&saved, mapper);
        }
        self
    }

    fn materialize(self) -> Self {
        self
    }

    fn valid(&self) -> Self {
        let mut valid = self.clone();
        valid.connections.iter_mut().for_each(|one| one.missing = one.missing.valid());
        valid
    }

    fn train(mut self) -> Self {
        self.connections.iter_mut().for_each(|one| one.missing = one.missing.take().train());
        self
    }
}

impl ModuleDisplayDefault for Described {
    fn content(&self, content: Content) -> Option<Content> {
        content.optional()
    }
}

impl ModuleDisplay for Described {}

/// A module that only reads a layer's constants from a record.
#[derive(Debug, Clone)]
struct Probe<'a> {
    /// The path of the layer in the record: names of modules, from the outermost to the innermost.
    modules: &'a [&'a str],
    asks: Described,
    found: Option<Vec<Line>>,
}

impl Module for Probe<'_> {
    fn map<M: ModuleMapper>(mut self, mapper: &mut M) -> Self {
        let modules = || self.modules.iter().copied().chain(["config"]);
        modules().for_each(|name| mapper.enter_module(name, CONTAINER));
        let words = loaded(mapper, "constants", self.asks.constants(ParamId::new()));
        modules().collect::<Vec<_>>().into_iter().rev().for_each(|name| mapper.exit_module(name, CONTAINER));
        self.found = words.map(|(words, _)| lines_of(words));
        self
    }

    fn visit<V: ModuleVisitor>(&self, _: &mut V) {}

    fn to_device(self, _: &Device) -> Self {
        self
    }

    fn fork(self, _: &Device) -> Self {
        self
    }

    fn collect_devices(&self, devices: Devices) -> Devices {
        devices
    }

    fn materialize(self) -> Self {
        self
    }

    fn valid(&self) -> Self {
        self.clone()
    }

    fn train(self) -> Self {
        self
    }
}

impl Described {
    /// Returns the constants from the record of a module that contains the layer; `None` if the
    /// record has none.
    ///
    /// - `modules`: the path of the layer in the record, as names of modules from the outermost to
    ///   the innermost. It is empty for the layer's own record.
    pub(super) fn lines_in(&self, record: &ModuleRecord, modules: &[&str]) -> Option<Vec<Line>> {
        let record = record.clone().allow_partial(true).allow_unused(true).validate(false);
        let probe = Probe { modules, asks: self.clone(), found: None };
        probe.try_load_record(record).ok()?.found
    }
}

impl SpikingRnnConfig {
    /// Returns every constant on which the meaning of the parameters depends, as lines of a record.
    pub(super) fn lines(&self) -> Vec<Line> {
        let version = [(VERSION.0.to_string(), VERSION.1.to_string())];
        let constants = self.constants().into_iter().map(|(name, value)| (name.to_string(), shortened(&value)));
        version.into_iter().chain(constants).collect()
    }
}
