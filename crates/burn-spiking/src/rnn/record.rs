//! What a layer's record says of the layer: every constant that gives the parameters their meaning, and connections given by hand.
//!
//! ```text
//! LAYER.config.constants        lines `name: value`, [1024] words of four bytes each
//! LAYER.config.connections_k    [N, N] of 0 and 1, where `with_connections(k, ..)` gave them
//! ```
//!
//! Both are tensors of the layer's module. So they are in the record of any model that holds a layer, at any depth, and every way of
//! loading meets them: Burn's `try_load_record`, a checkpoint of its learner, `burn-store`.
//!
//! A record of other constants must be refused there. Burn refuses a record that lacks a tensor of the module. So a layer that finds other
//! constants asks for one more tensor, whose name says what differs, and which no record has. (A caller that allows partial records has
//! switched that refusal off; he gets a warning in the log instead.)

use super::{Missing, SpikingRnn, SpikingRnnConfig};
use crate::error::RecordError;
use crate::trajectory::numbers;
use burn::config::Config;
use burn::module::{
    Content, Devices, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor, Param, ParamId,
};
use burn::store::ModuleRecord;
use burn::tensor::{DType, Device, Int, Shape, Tensor, TensorData};
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};

/// What the first line of the constants says; another number would mean other lines.
const VERSION: (&str, &str) = ("burn-spiking record", "1");

/// Words of the constants.
const WORDS: usize = 1024;

/// Characters of a value that are kept; of longer ones the rest is told by a check sum.
const LONGEST: usize = 160;

/// What Burn is told that a submodule of this file is.
const CONTAINER: &str = "Struct:SpikingRnnConfig";

/// A constant and its value.
type Line = (String, String);

/// A layer's configuration with its connections, as the layer's record has them.
#[derive(Debug, Clone)]
pub struct Described {
    config: SpikingRnnConfig,
    /// Of each recurrent synapse type.
    connections: Vec<Connections>,
    id: ParamId,
    device: Device,
    /// Whether the next record is an older one without constants, which were compared with the configuration beside it.
    compared: bool,
}

/// Which neurons one synapse type connects.
#[derive(Debug, Clone)]
struct Connections {
    /// `None` where all are connected.
    missing: Option<Missing>,
    /// The parameter that they are in a record, if they were given by hand; as configured otherwise.
    given: Option<ParamId>,
}

impl Connections {
    fn configured(config: &SpikingRnnConfig, k: usize, device: &Device) -> Self {
        let n = config.n_neurons;
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
    /// A configuration, and the connections that it asks for.
    pub(super) fn new(config: SpikingRnnConfig, device: &Device) -> Self {
        let device = device.clone().inner();
        let planes = config.synapses.iter().filter(|synapse| synapse.recurrent).count();
        let connections = (0..planes).map(|k| Connections::configured(&config, k, &device)).collect();
        Self { config, connections, id: ParamId::new(), device, compared: false }
    }

    /// What the k-th recurrent synapse type does not connect.
    pub(super) fn missing(&self, k: usize) -> Option<&Missing> {
        self.connections[k].missing.as_ref()
    }

    /// Gives the k-th recurrent synapse type other connections: 1 where there is one, else 0, `[pre, post]`.
    pub(super) fn connect(&mut self, k: usize, there: Tensor<2>) {
        let there = there.to_device(&self.device);
        self.connections[k] = Connections { missing: Some(Missing { there }), given: Some(ParamId::new()) };
    }

    /// The synapse types whose connections were given by hand.
    fn given(&self) -> impl Iterator<Item = (usize, ParamId)> {
        self.connections.iter().enumerate().filter_map(|(k, connections)| connections.given.map(|id| (k, id)))
    }

    /// What the record says.
    fn lines(&self) -> Vec<Line> {
        let given: Vec<String> = self.given().map(|(k, _)| k.to_string()).collect();
        self.config.lines().into_iter().chain([(GIVEN.to_string(), given.join(" "))]).collect()
    }

    /// The constants as a parameter that is not computed before it is asked for.
    fn constants(&self, id: ParamId) -> Param<Tensor<1, Int>> {
        let lines = self.lines();
        let words = move |device: &Device, _: bool| {
            Tensor::from_data(TensorData::new(encoded(&lines), [WORDS]), (device, DType::I32))
        };
        Param::uninitialized(id, words, self.device.clone(), false, Shape::new([WORDS]))
    }

    /// Connections given by hand as a parameter of a record.
    fn there(&self, k: usize, id: ParamId) -> Param<Tensor<2, Int>> {
        let n = self.config.n_neurons;
        let there = self.connections[k].missing.as_ref().map(|missing| missing.there.clone());
        let there = move |device: &Device, _: bool| match there {
            Some(there) => there.int().cast(DType::I32),
            None => Tensor::ones([n, n], (device, DType::I32)),
        };
        Param::uninitialized(id, there, self.device.clone(), false, Shape::new([n, n]))
    }

    /// Takes over the connections of a record whose constants are this layer's.
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

/// The line that names the synapse types with connections given by hand.
const GIVEN: &str = "connections given by hand";

fn connections_name(k: usize) -> String {
    format!("connections_{k}")
}

/// A value of bounded length: the same for equal values alone, as far as a check sum tells.
fn shortened(value: &str) -> String {
    match value.char_indices().nth(LONGEST) {
        None => value.to_string(),
        Some((end, _)) => format!("{} … (check sum {:016x})", &value[..end], check_sum(value)),
    }
}

/// FNV-1a, 64 bits.
fn check_sum(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Text in words of four bytes, zeros after its end.
fn encoded(lines: &[Line]) -> Vec<i32> {
    let text: String = lines.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    assert!(text.len() <= 4 * WORDS, "values were shortened");
    let mut words = vec![0; WORDS];
    for (word, bytes) in words.iter_mut().zip(text.as_bytes().chunks(4)) {
        let mut four = [0; 4];
        four[..bytes.len()].copy_from_slice(bytes);
        *word = i32::from_le_bytes(four);
    }
    words
}

/// The lines that words say; none if they are no text.
fn decoded(words: &[i32]) -> Vec<Line> {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).take_while(|&byte| byte != 0).collect();
    let text = String::from_utf8(bytes).unwrap_or_default();
    let line = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_string(), value.to_string()));
    text.lines().filter_map(line).collect()
}

fn lines_of(words: Tensor<1, Int>) -> Vec<Line> {
    decoded(&words.into_data().iter::<i32>().collect::<Vec<_>>())
}

/// What another value in a record is told as.
#[derive(Debug, Clone, PartialEq)]
struct Difference {
    /// Name and value in the record.
    saved: String,
    /// Name and value of the layer.
    own: String,
}

/// All constants in which a record and a layer differ.
fn differences(saved: &[Line], own: &[Line]) -> Vec<Difference> {
    let value = |lines: &[Line], name: &str| -> String {
        let found = lines.iter().find(|(other, _)| other == name);
        found.map_or_else(|| format!("no {name}"), |(name, value)| format!("{name} {value}"))
    };
    let mut names: Vec<&String> = own.iter().map(|(name, _)| name).collect();
    names.extend(saved.iter().map(|(name, _)| name).filter(|name| !own.iter().any(|(other, _)| other == *name)));
    names.retain(|name| *name != GIVEN);
    let of = |name: &String| Difference { saved: value(saved, name), own: value(own, name) };
    names.into_iter().map(of).filter(|difference| difference.saved != difference.own).collect()
}

/// Maps a parameter under a name; what it is afterwards, and its id, if it came from a record.
fn loaded<M: ModuleMapper, const D: usize>(
    mapper: &mut M,
    name: &str,
    param: Param<Tensor<D, Int>>,
) -> Option<(Tensor<D, Int>, ParamId)> {
    // A record gives its own id along. Nothing else does, and nothing else computes a tensor here.
    let sent = param.id;
    mapper.enter_module(name, CONTAINER);
    let mapped = mapper.map_int(param);
    mapper.exit_module(name, CONTAINER);
    (mapped.id != sent).then(|| (mapped.val(), mapped.id))
}

/// Makes whoever loads a record say this: it is the name of a tensor that no record has.
fn refuse<M: ModuleMapper>(mapper: &mut M, device: &Device, why: &str) {
    let nothing = |device: &Device, _: bool| Tensor::<1, Int>::zeros([1], (device, DType::I32));
    let param = Param::uninitialized(ParamId::new(), nothing, device.clone(), false, Shape::new([1]));
    mapper.enter_module(why, CONTAINER);
    mapper.map_int(param);
    mapper.exit_module(why, CONTAINER);
}

/// Whether a mapper loads records. Others find no constants either, but have none to find.
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
        if self.compared {
            return Self { compared: false, ..self };
        }
        let Some((words, _)) = loaded(mapper, "constants", self.constants(ParamId::new())) else {
            if loads_records::<M>() {
                log::warn!(
                    "a record without a layer's constants, as older versions wrote them: whether it belongs to this layer \
                     cannot be checked, nor have connections given by hand come with it"
                );
                let why = "constants, which older records lack; allow_partial(true) loads one unchecked";
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

/// A module that only looks for a layer's constants in the layer's own record.
#[derive(Debug, Clone)]
struct Probe {
    asks: Described,
    found: Option<Vec<Line>>,
}

impl Module for Probe {
    fn map<M: ModuleMapper>(mut self, mapper: &mut M) -> Self {
        mapper.enter_module("config", CONTAINER);
        let words = loaded(mapper, "constants", self.asks.constants(ParamId::new()));
        mapper.exit_module("config", CONTAINER);
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
    /// The constants in a layer's own record; `None` if it has none, as older ones.
    fn lines_in(&self, record: &ModuleRecord) -> Option<Vec<Line>> {
        let record = record.clone().allow_partial(true).allow_unused(true).validate(false);
        let probe = Probe { asks: self.clone(), found: None };
        probe.try_load_record(record).ok()?.found
    }
}

impl SpikingRnnConfig {
    /// Every constant that gives the parameters their meaning, as a record has them.
    fn lines(&self) -> Vec<Line> {
        let version = [(VERSION.0.to_string(), VERSION.1.to_string())];
        let constants = self.constants().map(|(name, value)| (name.to_string(), shortened(&value)));
        version.into_iter().chain(constants).collect()
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_back_from_words() {
        let lines: Vec<Line> = vec![
            ("tau".into(), "14.142135623730951 ms, 0.1: a value with a colon".into()),
            ("wiring".into(), shortened(&"1, ".repeat(500))),
        ];
        assert_eq!(decoded(&encoded(&lines)), lines);
        assert_eq!(decoded(&[0; 4]), []);
        // Bytes that are no text.
        assert_eq!(decoded(&[-1, -1]), []);
    }

    #[test]
    fn long_values_differ_where_they_differ_at_the_end() {
        let long = "0123456789".repeat(100);
        assert_eq!(shortened(&long), shortened(&long));
        assert_ne!(shortened(&format!("{long}a")), shortened(&format!("{long}b")));
        assert!(shortened(&long).chars().count() < LONGEST + 40);
    }

    #[test]
    fn every_difference_is_named_on_both_sides() {
        let line = |name: &str, value: &str| (name.to_string(), value.to_string());
        let saved = [line("dt", "1 ms"), line("gate", "quintic"), line("old", "x"), line(GIVEN, "0")];
        let own = [line("dt", "2 ms"), line("gate", "quintic"), line("new", "y"), line(GIVEN, "")];
        let told: Vec<_> = differences(&saved, &own).into_iter().map(|one| (one.saved, one.own)).collect();
        let pair = |saved: &str, own: &str| (saved.to_string(), own.to_string());
        assert_eq!(told, [pair("dt 1 ms", "dt 2 ms"), pair("no new", "new y"), pair("old x", "no old")]);
    }
}
