//! What a graph says: its neurons, its weights, and the paths between them.

use crate::ExchangeError;
use crate::nir::Spikes;
use crate::nir::graph::{Field, Graph, Numbers};
use burn::module::Param;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Tensor, TensorCreationOptions, TensorData};
use burn_spiking::Neuron;

/// The largest number of weights of a path.
const MOST_WEIGHTS: usize = 1 << 28;

/// A path of nodes without spikes, from the input or the neurons to the neurons or the output.
#[derive(Debug, Clone, Default)]
pub(super) struct Path {
    /// Whether it begins at the neurons.
    pub(super) from_neurons: bool,
    /// The node with weights.
    pub(super) weights: Option<String>,
    /// The synapse.
    pub(super) trace: Option<String>,
    /// Whether the synapse comes after the weights.
    pub(super) trace_after: bool,
    /// The delay.
    pub(super) delay: Option<String>,
}

/// Weights of a path, `[post, pre]`, and their bias.
pub(super) struct Weights {
    /// `[post, pre]`; only the diagonal if `diagonal`.
    pub(super) weight: Vec<f64>,
    pub(super) shape: [usize; 2],
    pub(super) bias: Option<Vec<f64>>,
    pub(super) diagonal: bool,
}

/// The spiking neurons of a graph, in its own units.
pub(super) struct Neurons {
    pub(super) neuron: Neuron,
    /// The factor by which a current I moves the scaled potential.
    pub(super) gain: Vec<f64>,
    /// The constant current of the scaled potential.
    pub(super) bias: Vec<f64>,
    /// τ in ms and the rise of I by a spike of weight 1, for neurons whose synapse is inside.
    pub(super) synapse: Option<(f64, Vec<f64>)>,
    /// w_in, by which a constant input is multiplied.
    pub(super) constant: Vec<f64>,
}

/// A synapse on a path.
pub(super) struct Filter {
    /// τ, ms.
    pub(super) tau: f64,
    /// The rise of its trace by a spike.
    pub(super) rise: f64,
    /// The factor by which it multiplies a constant, if the bias of the weights passes it.
    pub(super) of_bias: Option<f64>,
}

/// What the synapse of a path does to its weights.
pub(super) struct Passed {
    /// τ, ms; `None` without a synapse.
    pub(super) tau: Option<f64>,
    /// The factor of the weights of each receiver.
    pub(super) factor: Vec<f64>,
    /// The factor of the bias of each receiver.
    pub(super) of_bias: Vec<f64>,
    /// Whether the bias passes a synapse.
    pub(super) late_bias: bool,
}

pub(super) struct Reader {
    pub(super) graph: Graph,
    pub(super) spikes: Spikes,
}

pub(super) const SPIKING: [&str; 3] = ["IF", "LIF", "CubaLIF"];

/// The numbers of a parameter in double precision, all finite.
fn finite(node: &str, name: &str, numbers: &Numbers) -> Result<Vec<f64>, ExchangeError> {
    let numbers = numbers.to_f64();
    match numbers.iter().find(|x| !x.is_finite()) {
        Some(wrong) => Err(ExchangeError::node(node, format!("\"{name}\" contains {wrong}, which is not finite"))),
        None => Ok(numbers),
    }
}

impl Reader {
    fn kind(&self, name: &str) -> &str {
        self.graph.nodes[name].kind()
    }

    /// The only node of some kinds.
    pub(super) fn only(&self, kinds: &[&str], what: &str) -> Result<String, ExchangeError> {
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
        let numbers = finite(node, name, numbers)?;
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
    pub(super) fn same(&self, node: &str, name: &str, count: usize) -> Result<f64, ExchangeError> {
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
    pub(super) fn count(&self, node: &str) -> Result<usize, ExchangeError> {
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
    pub(super) fn neurons(&self, node: &str, count: usize) -> Result<Neurons, ExchangeError> {
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
    pub(super) fn paths_to(&self, node: &str, neurons: &str) -> Result<Vec<Path>, ExchangeError> {
        self.graph.before(node).into_iter().map(|before| self.path(before.to_string(), neurons)).collect()
    }

    pub(super) fn weights(&self, node: &str) -> Result<Weights, ExchangeError> {
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
        let weight = finite(node, "weight", numbers)?;
        let bias = match self.kind(node) {
            "Affine" => Some(self.each(node, "bias", post)?),
            _ => None,
        };
        Ok(Weights { weight, shape: [post, pre], bias, diagonal: false })
    }

    /// The synapse of a path whose weights lead from `pre` to `post` places; `None` if it has none.
    pub(super) fn synapse(&self, path: &Path, [post, pre]: [usize; 2]) -> Result<Option<Filter>, ExchangeError> {
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
}

impl Weights {
    /// The weights as a tensor `[pre, post]`, each multiplied by the factor of its receiver.
    pub(super) fn tensor(&self, of_receiver: impl Fn(usize) -> f64, tensors: &TensorCreationOptions) -> Tensor<2> {
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
    pub(super) fn linear(&self, tensors: &TensorCreationOptions) -> Linear {
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
pub(super) fn passed(
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
