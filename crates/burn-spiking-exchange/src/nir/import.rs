//! A graph as a network.

use super::export::Origin;
use super::graph::{Field, Graph, Node};
use super::{METADATA, Spikes};
use crate::ExchangeError;
use burn::module::Param;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{DType, Device, Tensor, TensorCreationOptions, TensorData};
use burn_spiking::{Connections, Gate, Neuron, SpikingNetwork, SpikingRnn, SpikingRnnConfig, Synapse, Wiring};

/// What a graph does not say. For a graph that [`export`](super::export) made, nothing is needed.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ImportOptions {
    spikes: Option<Spikes>,
    dt: Option<f64>,
    gate: Option<Gate>,
}

impl ImportOptions {
    /// What a spike is in the graph. Graphs of other tools need it.
    pub fn with_spikes(self, spikes: Spikes) -> Self {
        Self { spikes: Some(spikes), ..self }
    }

    /// The time step of the layer, ms. By default that of the network that was exported, the step
    /// of the other tool ([`Spikes::Pulse`]), or 1 ms.
    pub fn with_dt(self, dt: f64) -> Self {
        Self { dt: Some(dt), ..self }
    }

    /// The gate of the layer. By default that of the network that was exported, or a threshold,
    /// with which the layer runs like other tools. A threshold has no gradient.
    pub fn with_gate(self, gate: Gate) -> Self {
        Self { gate: Some(gate), ..self }
    }
}

/// A network that was read from a graph.
#[derive(Debug)]
pub struct Imported {
    /// The spiking layer.
    pub layer: SpikingRnn,
    /// The readout, if the graph has one.
    pub readout: Option<Linear>,
    /// Where the layer does not do exactly what the graph says.
    pub notes: Vec<String>,
}

impl Imported {
    /// Returns the layer with its readout.
    ///
    /// # Errors
    /// [`ExchangeError`] if the graph has no readout.
    pub fn into_network(self) -> Result<SpikingNetwork, ExchangeError> {
        let Some(readout) = self.readout else {
            return Err(ExchangeError::Network(
                "the graph has no readout: its Output node gets the neurons' spikes; use the layer alone".into(),
            ));
        };
        SpikingNetwork::new(self.layer, readout).map_err(|error| ExchangeError::Network(error.to_string()))
    }
}

impl Graph {
    /// Makes a network of a graph with one node of spiking neurons, in single precision. The nodes
    /// are listed in [`nir`](super).
    ///
    /// Potentials are shifted and scaled, so that the reset is 0 and the threshold is 1.
    ///
    /// # Errors
    /// [`ExchangeError`] with the node and the remedy, if the graph has other nodes, other paths
    /// between them, or constants that differ where a layer has one for all neurons.
    pub fn import(&self, options: &ImportOptions, device: &Device) -> Result<Imported, ExchangeError> {
        self.import_as(options, (device, DType::F32))
    }

    /// Does the same as [`import`](Self::import) with a precision of choice: `(&device, dtype)`.
    ///
    /// # Errors
    /// As [`import`](Self::import).
    pub fn import_as(
        &self,
        options: &ImportOptions,
        tensors: impl Into<TensorCreationOptions>,
    ) -> Result<Imported, ExchangeError> {
        let origin = match self.metadata.get(METADATA).and_then(Field::as_text) {
            Some(text) => Some(serde_json::from_str::<Origin>(text).map_err(|error| {
                ExchangeError::Network(format!(
                    "the metadata \"{METADATA}\" of the graph cannot be read: {error}; remove it, and give the options"
                ))
            })?),
            None => None,
        };
        let Some(spikes) = options.spikes.or(origin.as_ref().map(|origin| origin.spikes)) else {
            return Err(ExchangeError::Network(
                "the graph does not say what a spike is: give the step of the tool that wrote it (0.1 ms for snnTorch) as the length of a \
                 pulse, or an impulse, by ImportOptions::with_spikes or --spikes"
                    .into(),
            ));
        };
        spikes.check()?;
        self.check_fields()?;
        Reader { graph: self.flat()?, spikes }.network(options, origin, tensors.into())
    }
}

impl Graph {
    /// Refuses fields with other numbers of values than their shape says, and weights that are too
    /// many.
    fn check_fields(&self) -> Result<(), ExchangeError> {
        for (name, node) in &self.nodes {
            match node {
                Node::Graph(inner) => inner.check_fields()?,
                Node::Unit { fields, .. } => {
                    for (field, values) in fields {
                        if !values.is_whole() {
                            let what = format!(
                                "\"{field}\" has other numbers of values than its shape {:?} says",
                                values.shape()
                            );
                            return Err(ExchangeError::node(name, what));
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

/// The largest number of weights of a path.
const MOST_WEIGHTS: usize = 1 << 28;

/// A path of nodes without spikes, from the input or the neurons to the neurons or the output.
#[derive(Debug, Clone, Default)]
struct Path {
    /// Whether it begins at the neurons.
    from_neurons: bool,
    /// The node with weights.
    weights: Option<String>,
    /// The synapse.
    trace: Option<String>,
    /// Whether the synapse comes after the weights.
    trace_after: bool,
    /// The delay.
    delay: Option<String>,
}

/// Weights of a path, `[post, pre]`, and their bias.
struct Weights {
    /// `[post, pre]`; only the diagonal if `diagonal`.
    weight: Vec<f64>,
    shape: [usize; 2],
    bias: Option<Vec<f64>>,
    diagonal: bool,
}

/// The spiking neurons of a graph, in its own units.
struct Neurons {
    neuron: Neuron,
    /// The factor by which a current I moves the scaled potential.
    gain: Vec<f64>,
    /// The constant current of the scaled potential.
    bias: Vec<f64>,
    /// τ in ms and the rise of I by a spike of weight 1, for neurons whose synapse is inside.
    synapse: Option<(f64, Vec<f64>)>,
    /// w_in, by which a constant input is multiplied.
    constant: Vec<f64>,
}

/// A synapse on a path.
struct Filter {
    /// τ, ms.
    tau: f64,
    /// The rise of its trace by a spike.
    rise: f64,
    /// The factor by which it multiplies a constant, if the bias of the weights passes it.
    of_bias: Option<f64>,
}

/// What the synapse of a path does to its weights.
struct Passed {
    /// τ, ms; `None` without a synapse.
    tau: Option<f64>,
    /// The factor of the weights of each receiver.
    factor: Vec<f64>,
    /// The factor of the bias of each receiver.
    of_bias: Vec<f64>,
    /// Whether the bias passes a synapse.
    late_bias: bool,
}

struct Reader {
    graph: Graph,
    spikes: Spikes,
}

const SPIKING: [&str; 3] = ["IF", "LIF", "CubaLIF"];

impl Reader {
    fn kind(&self, name: &str) -> &str {
        self.graph.nodes[name].kind()
    }

    /// The only node of some kinds.
    fn only(&self, kinds: &[&str], what: &str) -> Result<String, ExchangeError> {
        let found: Vec<&String> =
            self.graph.nodes.iter().filter(|(_, node)| kinds.contains(&node.kind())).map(|(name, _)| name).collect();
        match &found[..] {
            [one] => Ok(one.to_string()),
            [] => Err(ExchangeError::Network(format!("the graph has no {what} node ({})", kinds.join(", ")))),
            [_, second, ..] => Err(ExchangeError::node(
                second,
                format!("it is one of {} {what} nodes, but a network here has one; split the graph", found.len()),
            )),
        }
    }

    /// The numbers of a parameter, one for each of `count`. A single number counts for all.
    fn each(&self, node: &str, name: &str, count: usize) -> Result<Vec<f64>, ExchangeError> {
        let Some(Field::Numbers { shape, numbers }) = self.graph.nodes[node].field(name) else {
            return Err(ExchangeError::node(node, format!("it has no numbers \"{name}\"; write the graph again")));
        };
        let numbers = numbers.to_f64();
        if let Some(wrong) = numbers.iter().find(|x| !x.is_finite()) {
            return Err(ExchangeError::node(node, format!("\"{name}\" contains {wrong}, which is not finite")));
        }
        match numbers.len() {
            1 => Ok(vec![numbers[0]; count]),
            length if length == count && shape.len() <= 1 => Ok(numbers),
            _ => Err(ExchangeError::node(
                node,
                format!("\"{name}\" has the shape {shape:?}, but must have {count} numbers in one dimension"),
            )),
        }
    }

    /// The one value of a parameter of all neurons or channels.
    fn same(&self, node: &str, name: &str, count: usize) -> Result<f64, ExchangeError> {
        let numbers = self.each(node, name, count)?;
        let first = numbers[0];
        match numbers.iter().find(|&&x| (x - first).abs() > 1e-6 * first.abs()) {
            None => Ok(first),
            Some(other) => Err(ExchangeError::node(
                node,
                format!("\"{name}\" has the values {first} and {other}, but a layer has one for all; use one value"),
            )),
        }
    }

    /// A time constant of all neurons or channels, in ms.
    fn time(&self, node: &str, name: &str, count: usize) -> Result<f64, ExchangeError> {
        let seconds = self.same(node, name, count)?;
        if seconds > 0.0 {
            return Ok(1e3 * seconds);
        }
        Err(ExchangeError::node(node, format!("\"{name}\" is {seconds} s, but must be above 0")))
    }

    /// The numbers of an optional parameter.
    fn each_or(&self, node: &str, name: &str, count: usize, otherwise: f64) -> Result<Vec<f64>, ExchangeError> {
        match self.graph.nodes[node].field(name) {
            Some(_) => self.each(node, name, count),
            None => Ok(vec![otherwise; count]),
        }
    }

    /// The number of neurons of a node, at least 1.
    fn count(&self, node: &str) -> Result<usize, ExchangeError> {
        match self.counted(node) {
            0 => Err(ExchangeError::node(node, "it has 0 neurons, but needs at least 1")),
            count => Ok(count),
        }
    }

    fn counted(&self, node: &str) -> usize {
        let lengths = ["v_threshold", "tau", "tau_mem", "r", "v_leak"]
            .map(|name| self.graph.nodes[node].field(name).map_or(1, |field| field.shape().iter().product()));
        let count = lengths.into_iter().max().unwrap_or(1);
        // Single numbers do not say how many neurons there are; the weights do.
        if count > 1 {
            return count;
        }
        for before in self.graph.before(node) {
            if let Some(weight) = self.graph.nodes[before].field("weight") {
                return weight.shape().first().copied().unwrap_or(1);
            }
        }
        count
    }

    /// Reads the neurons, with the reset at 0 and the threshold at 1.
    fn neurons(&self, node: &str, count: usize) -> Result<Neurons, ExchangeError> {
        let threshold = self.each(node, "v_threshold", count)?;
        let reset = self.each_or(node, "v_reset", count, 0.0)?;
        let resistance = self.each(node, "r", count)?;
        let range: Vec<f64> = threshold.iter().zip(&reset).map(|(threshold, reset)| threshold - reset).collect();
        if let Some(wrong) = range.iter().find(|&&range| range <= 0.0) {
            return Err(ExchangeError::node(
                node,
                format!("v_threshold is {wrong} above v_reset, but must be above it"),
            ));
        }
        let gain: Vec<f64> = resistance.iter().zip(&range).map(|(r, range)| r / range).collect();
        if self.kind(node) == "IF" {
            // v' = r I: the parameters are in units of 1/s here, and a layer of NIF neurons has a
            // time unit.
            return Ok(Neurons {
                neuron: Neuron::Nif,
                gain,
                bias: vec![0.0; count],
                synapse: None,
                constant: vec![1.0; count],
            });
        }
        let leak = self.each(node, "v_leak", count)?;
        let bias = leak.iter().zip(&reset).zip(&range).map(|((leak, reset), range)| (leak - reset) / range).collect();
        let current_based = self.kind(node) == "CubaLIF";
        let tau_mem = self.time(node, if current_based { "tau_mem" } else { "tau" }, count)?;
        let (synapse, constant) = if current_based {
            let tau = self.time(node, "tau_syn", count)?;
            let w_in = self.each_or(node, "w_in", count, 1.0)?;
            let rise = w_in.iter().map(|w_in| w_in * self.spikes.integral() / (1e-3 * tau)).collect();
            (Some((tau, rise)), w_in)
        } else {
            (None, vec![1.0; count])
        };
        Ok(Neurons { neuron: Neuron::Lif { tau_mem }, gain, bias, synapse, constant })
    }

    /// Follows a path backward from an edge (from, to).
    fn path(&self, mut at: String, neurons: &str) -> Result<Path, ExchangeError> {
        let mut path = Path::default();
        let mut steps = 0;
        loop {
            if at == neurons {
                path.from_neurons = true;
                return Ok(path);
            }
            if self.kind(&at) == "LI" {
                // The walk goes backward.
                path.trace_after = path.weights.is_none();
            }
            let place = match self.kind(&at) {
                "Input" => return Ok(path),
                "Linear" | "Affine" | "Scale" => &mut path.weights,
                "LI" => &mut path.trace,
                "Delay" => &mut path.delay,
                kind => {
                    return Err(ExchangeError::node(
                        &at,
                        format!(
                            "a network here has no {kind} node between its neurons; it has Linear, Affine, Scale, LI and Delay"
                        ),
                    ));
                }
            };
            if let Some(other) = place.replace(at.clone()) {
                return Err(ExchangeError::node(
                    &at,
                    format!("it is on one path with \"{other}\", but a path has at most one of each kind; join them"),
                ));
            }
            let before = self.graph.before(&at);
            let [before] = &before[..] else {
                return Err(ExchangeError::node(
                    &at,
                    format!(
                        "{} edges lead to it, but a node between the neurons has one; add a node for each",
                        before.len()
                    ),
                ));
            };
            at = before.to_string();
            steps += 1;
            if steps > self.graph.nodes.len() {
                return Err(ExchangeError::node(&at, "it is in a cycle without neurons"));
            }
        }
    }

    /// The paths that end at a node.
    fn paths_to(&self, node: &str, neurons: &str) -> Result<Vec<Path>, ExchangeError> {
        self.graph.before(node).into_iter().map(|before| self.path(before.to_string(), neurons)).collect()
    }

    fn weights(&self, node: &str) -> Result<Weights, ExchangeError> {
        if self.kind(node) == "Scale" {
            let count = self.graph.nodes[node].field("scale").map_or(0, |field| field.shape().iter().product());
            let weight = self.each(node, "scale", count)?;
            if count == 0 || count.saturating_mul(count) > MOST_WEIGHTS {
                let what = format!(
                    "it has {count} places, but must have at least 1, and at most {MOST_WEIGHTS} weights; split the graph"
                );
                return Err(ExchangeError::node(node, what));
            }
            return Ok(Weights { weight, shape: [count, count], bias: None, diagonal: true });
        }
        let Some(Field::Numbers { shape, numbers }) = self.graph.nodes[node].field("weight") else {
            return Err(ExchangeError::node(node, "it has no numbers \"weight\"; write the graph again"));
        };
        let &[post, pre] = &shape[..] else {
            return Err(ExchangeError::node(
                node,
                format!("\"weight\" has the shape {shape:?}, but must be [post, pre]"),
            ));
        };
        if post == 0 || pre == 0 {
            return Err(ExchangeError::node(
                node,
                format!("\"weight\" is [{post}, {pre}], but needs at least 1 of each"),
            ));
        }
        let weight = numbers.to_f64();
        if let Some(wrong) = weight.iter().find(|x| !x.is_finite()) {
            return Err(ExchangeError::node(node, format!("\"weight\" contains {wrong}, which is not finite")));
        }
        let bias = match self.kind(node) {
            "Affine" => Some(self.each(node, "bias", post)?),
            _ => None,
        };
        Ok(Weights { weight, shape: [post, pre], bias, diagonal: false })
    }

    /// The synapse of a path whose weights lead from `pre` to `post` places; `None` if it has none.
    fn synapse(&self, path: &Path, [post, pre]: [usize; 2]) -> Result<Option<Filter>, ExchangeError> {
        let Some(node) = &path.trace else { return Ok(None) };
        let after = path.trace_after && path.weights.is_some();
        let count = if after { post } else { pre };
        let (tau, r) = (self.time(node, "tau", count)?, self.same(node, "r", count)?);
        if self.each_or(node, "v_leak", count, 0.0)?.iter().any(|&leak| leak != 0.0) {
            return Err(ExchangeError::node(node, "v_leak is not 0, but a synapse here rests at 0; move it to a bias"));
        }
        let rise = r * self.spikes.integral() / (1e-3 * tau);
        Ok(Some(Filter { tau, rise, of_bias: after.then_some(r) }))
    }

    fn network(
        self,
        options: &ImportOptions,
        origin: Option<Origin>,
        tensors: TensorCreationOptions,
    ) -> Result<Imported, ExchangeError> {
        let (input, output) = (self.only(&["Input"], "input")?, self.only(&["Output"], "output")?);
        let name = self.only(&SPIKING, "spiking")?;
        let count = self.count(&name)?;
        let neurons = self.neurons(&name, count)?;

        let (mut from_input, mut recurrent) = (Vec::new(), Vec::new());
        for path in self.paths_to(&name, &name)? {
            if path.from_neurons { recurrent.push(path) } else { from_input.push(path) }
        }
        let [from_input] = &from_input[..] else {
            return Err(ExchangeError::node(
                &name,
                format!("{} paths from the input lead to it, but must be 1", from_input.len()),
            ));
        };
        if let Some(delay) = &from_input.delay {
            return Err(ExchangeError::node(delay, "an input has no delay here; move it into the data"));
        }
        let mut layer = Layer::of(&self, &neurons, count, (&name, from_input, &input))?;
        // In the order of names, which is that of the synapse types in graphs of our own.
        recurrent.sort_by(|a, b| a.weights.cmp(&b.weights));
        for path in &recurrent {
            layer.add(&self, &neurons, (&name, path))?;
        }
        let to_output = self.paths_to(&output, &name)?;
        let [to_output] = &to_output[..] else {
            return Err(ExchangeError::node(
                &output,
                format!("{} paths lead to it, but must be 1; give each output a graph", to_output.len()),
            ));
        };
        if !to_output.from_neurons {
            return Err(ExchangeError::node(&output, "a path goes from the input to it, past the neurons"));
        }
        let readout = layer.read(&self, &neurons, (&output, to_output))?;
        let given = (tensors.clone(), readout.is_some());
        let (layer, notes) = layer.built(&self, &neurons, (options, origin), given)?;
        Ok(Imported { layer, readout: readout.map(|weights| weights.linear(&tensors)), notes })
    }
}

impl Weights {
    /// The weights as a tensor `[pre, post]`, each multiplied by the factor of its receiver.
    fn tensor(&self, of_receiver: impl Fn(usize) -> f64, tensors: &TensorCreationOptions) -> Tensor<2> {
        let [post, pre] = self.shape;
        let mut numbers = vec![0.0; pre * post];
        for i in 0..pre {
            for j in 0..post {
                numbers[i * post + j] = match self.diagonal {
                    true if i == j => self.weight[j],
                    true => 0.0,
                    false => self.weight[j * pre + i],
                } * of_receiver(j);
            }
        }
        Tensor::from_data(TensorData::new(numbers, [pre, post]), tensors.clone())
    }

    /// The weights and their bias as a readout.
    fn linear(&self, tensors: &TensorCreationOptions) -> Linear {
        let [outputs, inputs] = self.shape;
        let linear = LinearConfig::new(inputs, outputs).with_bias(self.bias.is_some()).init(&tensors.device);
        let bias = self.bias.as_ref().map(|bias| {
            Param::from_tensor(Tensor::from_data(TensorData::new(bias.clone(), [outputs]), tensors.clone()))
        });
        Linear { weight: Param::from_tensor(self.tensor(|_| 1.0, tensors)), bias: bias.or(linear.bias) }
    }
}

/// What a path to the neurons does to its weights `[post, pre]`: the synapse of the path, or that
/// of the neurons, and the gain of the neurons.
fn passed(
    reader: &Reader,
    neurons: &Neurons,
    (name, path): (&str, &Path),
    shape: [usize; 2],
) -> Result<Passed, ExchangeError> {
    let scaled = |by: &dyn Fn(usize) -> f64| neurons.gain.iter().enumerate().map(|(n, gain)| gain * by(n)).collect();
    match (reader.synapse(path, shape)?, &neurons.synapse, &path.trace) {
        (Some(_), Some(_), Some(trace)) => Err(ExchangeError::node(
            trace,
            format!("\"{name}\" has a synapse inside, and a path here has one; use LIF neurons"),
        )),
        (Some(filter), ..) => Ok(Passed {
            tau: Some(filter.tau),
            factor: scaled(&|_| filter.rise),
            of_bias: scaled(&|_| filter.of_bias.unwrap_or(1.0)),
            late_bias: filter.of_bias.is_some(),
        }),
        (None, Some((tau, rise)), _) => {
            let of_bias = scaled(&|n| neurons.constant[n]);
            Ok(Passed { tau: Some(*tau), factor: scaled(&|n| rise[n]), of_bias, late_bias: true })
        }
        (None, None, _) => {
            Ok(Passed { tau: None, factor: scaled(&|_| 1.0), of_bias: scaled(&|_| 1.0), late_bias: false })
        }
    }
}

/// A recurrent synapse type of the layer under construction.
struct Type {
    synapse: Synapse,
    weights: Option<Weights>,
    /// The factor of the weights of each receiver.
    factor: Vec<f64>,
}

/// A layer under construction, in the units of a layer.
struct Layer {
    input: Weights,
    input_factor: Vec<f64>,
    input_tau: Option<f64>,
    bias: Vec<f64>,
    types: Vec<Type>,
    notes: Vec<String>,
}

impl Layer {
    /// A layer with the path from the input.
    fn of(
        reader: &Reader,
        neurons: &Neurons,
        count: usize,
        (name, path, input): (&str, &Path, &str),
    ) -> Result<Self, ExchangeError> {
        let Some(weights) = &path.weights else {
            return Err(ExchangeError::node(
                name,
                format!("no weights are between \"{input}\" and it; add a Linear node, such as the identity"),
            ));
        };
        let input = reader.weights(weights)?;
        let [post, _] = input.shape;
        if post != count {
            return Err(ExchangeError::node(
                weights,
                format!("it leads to {post} receivers, but \"{name}\" has {count} neurons"),
            ));
        }
        let passed = passed(reader, neurons, (name, path), input.shape)?;
        let mut layer = Self {
            input_factor: passed.factor.clone(),
            input_tau: passed.tau,
            bias: neurons.bias.clone(),
            types: Vec::new(),
            notes: Vec::new(),
            input,
        };
        let bias = layer.input.bias.clone();
        layer.add_bias(bias, &passed, weights);
        Ok(layer)
    }

    /// Adds the bias of weights to the bias current.
    fn add_bias(&mut self, bias: Option<Vec<f64>>, passed: &Passed, node: &str) {
        let bias = bias.unwrap_or_default();
        if passed.late_bias && bias.iter().any(|&b| b != 0.0) {
            self.notes.push(format!(
                "the bias of \"{node}\" passes a synapse, and rises within its time constant; here it is a current from the first step on"
            ));
        }
        for ((sum, b), factor) in self.bias.iter_mut().zip(bias).zip(&passed.of_bias) {
            *sum += b * factor;
        }
    }

    /// Adds a path from the neurons to the neurons.
    fn add(&mut self, reader: &Reader, neurons: &Neurons, (name, path): (&str, &Path)) -> Result<(), ExchangeError> {
        let count = self.bias.len();
        let Some(node) = &path.weights else {
            return Err(ExchangeError::node(name, "its spikes come back without weights; add a Linear node"));
        };
        let weights = reader.weights(node)?;
        if weights.shape != [count, count] {
            let [post, pre] = weights.shape;
            return Err(ExchangeError::node(
                node,
                format!("it is [{post}, {pre}], but joins {count} neurons to each other"),
            ));
        }
        let passed = passed(reader, neurons, (name, path), weights.shape)?;
        let Some(tau) = passed.tau else {
            return Err(ExchangeError::node(
                node,
                format!(
                    "the spikes of \"{name}\" come back without a synapse, as jumps of the potential, which a layer here does not \
                     have; add an LI node, or use CubaLIF neurons"
                ),
            ));
        };
        self.add_bias(weights.bias.clone(), &passed, node);
        let connections = match weights.diagonal {
            true => Connections::SelfOnly { weight: 0.0, learned: true },
            false => Connections::Recurrent,
        };
        let delay = path.delay.as_ref().map_or(Ok(0.0), |delay| reader.same(delay, "delay", count))?;
        let synapse = Synapse { connections, readout: false, ..Synapse::new(tau) }.with_delay(1e3 * delay);
        self.types.push(Type { synapse, weights: Some(weights), factor: passed.factor });
        Ok(())
    }

    /// Marks the synapse type that the output reads, and returns the readout; `None` if the output
    /// gets the spikes.
    fn read(
        &mut self,
        reader: &Reader,
        neurons: &Neurons,
        (output, path): (&str, &Path),
    ) -> Result<Option<Weights>, ExchangeError> {
        let count = self.bias.len();
        if let Some(delay) = &path.delay {
            return Err(ExchangeError::node(delay, "an output has no delay here; leave it out"));
        }
        let Some(trace) = &path.trace else {
            if let Some(weights) = &path.weights {
                return Err(ExchangeError::node(
                    weights,
                    format!(
                        "it leads spikes to \"{output}\", but a readout here sees a trace of spikes; add an LI node"
                    ),
                ));
            }
            // Without a readout, the trace of the first type stands for the spikes.
            match self.types.first_mut() {
                Some(first) => first.synapse.readout = true,
                None => {
                    let tau = neurons.synapse.as_ref().map_or(20.0, |(tau, _)| *tau);
                    self.types.push(Type { synapse: Synapse::readout_only(tau), weights: None, factor: Vec::new() });
                }
            }
            return Ok(None);
        };
        let Some(node) = &path.weights else {
            return Err(ExchangeError::node(
                output,
                format!("no weights are between \"{trace}\" and it; add a Linear node, such as the identity"),
            ));
        };
        let mut weights = reader.weights(node)?;
        let [outputs, inputs] = weights.shape;
        let Some(Filter { tau, rise, of_bias }) = reader.synapse(path, [outputs, count])? else {
            unreachable!("the path has a trace")
        };
        if inputs != count {
            return Err(ExchangeError::node(
                node,
                format!("it has {inputs} inputs, but \"{output}\" reads {count} neurons"),
            ));
        }
        weights.weight.iter_mut().for_each(|weight| *weight *= rise);
        if of_bias.is_some() && weights.bias.is_some() {
            self.notes
                .push(format!("the bias of \"{node}\" passes \"{trace}\"; here it is there from the first step on"));
        }
        weights.bias.iter_mut().flatten().for_each(|b| *b *= of_bias.unwrap_or(1.0));
        let same = |synapse: &Synapse| (synapse.tau - tau).abs() <= 1e-6 * tau;
        match self.types.iter_mut().find(|one| same(&one.synapse)) {
            Some(read) => read.synapse.readout = true,
            None => self.types.push(Type { synapse: Synapse::readout_only(tau), weights: None, factor: Vec::new() }),
        }
        if weights.diagonal {
            weights = weights.whole();
        }
        Ok(Some(weights))
    }

    /// Builds the layer. A layer that was exported keeps its wiring and its signs if the weights
    /// still fit them.
    fn built(
        mut self,
        reader: &Reader,
        neurons: &Neurons,
        (options, origin): (&ImportOptions, Option<Origin>),
        (tensors, has_readout): (TensorCreationOptions, bool),
    ) -> Result<(SpikingRnn, Vec<String>), ExchangeError> {
        let told = |error: burn_spiking::ConfigError| ExchangeError::Network(error.to_string());
        let (channels, count) = (self.input.shape[1], self.bias.len());
        let own = origin.map(|origin| origin.layer);
        let step = match reader.spikes {
            Spikes::Pulse { dt } => dt,
            Spikes::Impulse => 1.0,
        };
        let base = own.clone().unwrap_or_else(|| {
            SpikingRnnConfig::new(channels, count).with_gate(Gate::Threshold { at: 1.0 }).with_dt(step)
        });
        if let (Some(own), false) = (&own, has_readout) {
            // The graph of a layer has no nodes for traces that are only read.
            self.types.iter_mut().for_each(|one| {
                let same = own.synapses.iter().find(|own| one.synapse.resembles(own));
                one.synapse.readout = same.is_none_or(|own| own.readout);
            });
            self.types.retain(|one| one.weights.is_some());
            let read_only = own.synapses.iter().filter(|synapse| synapse.connections == Connections::None);
            self.types.extend(read_only.map(|&synapse| Type { synapse, weights: None, factor: Vec::new() }));
        }
        if let Some(own) = &own {
            let place = |one: &Type| own.synapses.iter().position(|own| one.synapse.resembles(own));
            self.types.sort_by_key(|one| place(one).unwrap_or(usize::MAX));
        }
        let biased = self.bias.iter().any(|&b| b != 0.0);
        let mut config = SpikingRnnConfig {
            d_input: channels,
            d_hidden: count,
            neuron: neurons.neuron.clone(),
            input_tau: self.input_tau,
            bias: own.as_ref().is_none_or(|own| own.bias) || biased,
            autapses: own.as_ref().is_none_or(|own| own.autapses),
            synapses: self.types.iter().map(|one| one.synapse).collect(),
            ..base
        };
        config.time_unit = match neurons.neuron {
            // The gain of IF neurons is in 1/s.
            Neuron::Nif => Some(own.as_ref().map_or(1000.0, SpikingRnnConfig::time_unit_ms)),
            _ => None,
        };
        let unit = config.time_unit.map_or(1.0, |unit| 1e-3 * unit);
        if let Some(own) = &own {
            config = restored(config, own);
        }
        let as_given = SpikingRnnConfig { time_unit: own.as_ref().and_then(|own| own.time_unit), ..config.clone() };
        if config.time_unit == Some(as_given.time_unit_ms()) {
            config.time_unit = as_given.time_unit;
        }
        if let Some(dt) = options.dt {
            config.dt = dt;
        }
        if let Some(gate) = options.gate {
            config.gate = gate;
        }
        let layer = self.filled(config.clone().init(tensors.clone()).map_err(told)?, unit, &tensors);
        if self.fits(&layer, unit, &tensors) {
            return Ok((layer, self.notes));
        }
        self.notes.push(
            "the weights do not fit the wiring of the network that was exported; all neurons may be connected, and have no signs".into(),
        );
        let all = SpikingRnnConfig { autapses: true, wiring: Wiring::Full, dale: None, ..config };
        let layer = self.filled(all.init(tensors.clone()).map_err(told)?, unit, &tensors);
        Ok((layer, self.notes))
    }

    /// The weights of the input, and those of each type that joins neurons to each other.
    fn planes(&self, unit: f64, tensors: &TensorCreationOptions) -> (Tensor<2>, Vec<Tensor<2>>) {
        let plane = |one: &Type| {
            let weights = one.weights.as_ref().filter(|weights| !weights.diagonal)?;
            Some(weights.tensor(|n| one.factor[n] * unit, tensors))
        };
        let input = self.input.tensor(|n| self.input_factor[n] * unit, tensors);
        (input, self.types.iter().filter_map(plane).collect())
    }

    /// Gives a new layer its parameters.
    fn filled(&self, mut layer: SpikingRnn, unit: f64, tensors: &TensorCreationOptions) -> SpikingRnn {
        fn set<const D: usize>(param: &mut Param<Tensor<D>>, values: Tensor<D>) {
            let learns = param.is_require_grad();
            *param = param.clone().map(|_| values.set_require_grad(learns));
        }
        let (input, planes) = self.planes(unit, tensors);
        set(&mut layer.input_weight, input);
        layer.recurrent_weights.iter_mut().zip(planes).for_each(|(param, plane)| set(param, plane));
        let row = |numbers: &[f64], factor: &dyn Fn(usize) -> f64| {
            let numbers: Vec<f64> = numbers.iter().enumerate().map(|(n, x)| x * factor(n) * unit).collect();
            Tensor::<1>::from_data(TensorData::new(numbers, [self.bias.len()]), tensors.clone())
        };
        if let Some(bias) = &mut layer.bias {
            set(bias, row(&self.bias, &|_| 1.0));
        }
        let own = self.types.iter().filter_map(|one| {
            let weights = one.weights.as_ref().filter(|weights| weights.diagonal)?;
            Some(row(&weights.weight, &|n| one.factor[n]))
        });
        layer.self_weights.iter_mut().zip(own).for_each(|(param, row)| set(param, row));
        layer
    }

    /// Whether the layer's wiring and signs leave its weights as they are.
    fn fits(&self, layer: &SpikingRnn, unit: f64, tensors: &TensorCreationOptions) -> bool {
        let (input, planes) = self.planes(unit, tensors);
        let same = |a: Tensor<2>, b: Tensor<2>| a.into_data().iter::<f64>().eq(b.into_data().iter::<f64>());
        let mut all = same(layer.effective_input_weights(), input);
        for (k, plane) in planes.into_iter().enumerate() {
            all &= layer.effective_weights(k).is_ok_and(|weights| same(weights, plane));
        }
        all
    }
}

impl Weights {
    /// The same weights with zeros beside the diagonal.
    fn whole(self) -> Self {
        let n = self.weight.len();
        let mut weight = vec![0.0; n * n];
        self.weight.iter().enumerate().for_each(|(at, &w)| weight[at * n + at] = w);
        Self { weight, diagonal: false, ..self }
    }
}

/// Whether two times are the same up to the rounding of units.
fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-6 * b.abs()
}

trait Resembles {
    /// Whether two synapse types have the same connections and, up to rounding, the same times.
    fn resembles(&self, other: &Self) -> bool;
}

impl Resembles for Synapse {
    fn resembles(&self, other: &Self) -> bool {
        let kind = |synapse: &Synapse| std::mem::discriminant(&synapse.connections);
        near(self.tau, other.tau) && near(self.delay, other.delay) && kind(self) == kind(other)
    }
}

/// The configuration with the constants of the network that was exported, where both are the same
/// up to the rounding of units. So a network that comes back is the same to the last bit.
fn restored(found: SpikingRnnConfig, own: &SpikingRnnConfig) -> SpikingRnnConfig {
    let neuron = match (&found.neuron, &own.neuron) {
        (Neuron::Lif { tau_mem: a }, Neuron::Lif { tau_mem: b }) if near(*a, *b) => own.neuron.clone(),
        _ => found.neuron.clone(),
    };
    let input_tau = match (found.input_tau, own.input_tau) {
        (Some(a), Some(b)) if near(a, b) => Some(b),
        (found, _) => found,
    };
    let synapses =
        found.synapses.into_iter().map(|synapse| match own.synapses.iter().find(|own| synapse.resembles(own)) {
            Some(own) => Synapse { readout: synapse.readout, ..*own },
            None => synapse,
        });
    SpikingRnnConfig { neuron, input_tau, synapses: synapses.collect(), ..found }
}
