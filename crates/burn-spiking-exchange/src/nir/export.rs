//! A network as a graph.

use super::graph::{Field, Graph, Node};
use super::{METADATA, Spikes};
use crate::ExchangeError;
use burn::nn::Linear;
use burn::tensor::Tensor;
use burn_spiking::{Connections, Integrator, Learned, Neuron, SpikingNetwork, SpikingRnn, SpikingRnnConfig};
use serde::{Deserialize, Serialize};

/// What a graph says about the network of which it was made.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Origin {
    /// What a spike is in this graph.
    pub(super) spikes: Spikes,
    /// The configuration of the layer.
    pub(super) layer: SpikingRnnConfig,
}

/// Makes a graph of a network of LIF or NIF neurons. The nodes are listed in [`nir`](super).
///
/// Other tools read the graph with the meaning of a spike that `spikes` gives. For tools with a
/// time step, give [`Spikes::Pulse`] with that step.
///
/// # Errors
/// [`ExchangeError`] if NIR has no nodes for the network: for neurons other than LIF and NIF,
/// learned constants, learned delays and a learned start.
pub fn export(network: &SpikingNetwork, spikes: Spikes) -> Result<Graph, ExchangeError> {
    graph_of(&network.layer, Some(&network.readout), spikes)
}

/// Makes a graph of a layer. Its output is the spikes of the neurons.
///
/// # Errors
/// As [`export`].
pub fn export_layer(layer: &SpikingRnn, spikes: Spikes) -> Result<Graph, ExchangeError> {
    graph_of(layer, None, spikes)
}

fn graph_of(layer: &SpikingRnn, readout: Option<&Linear>, spikes: Spikes) -> Result<Graph, ExchangeError> {
    spikes.check()?;
    let config = layer.config();
    check(config)?;
    // A network reads one synapse type.
    let read = readout.and_then(|_| config.synapses.iter().position(|synapse| synapse.readout));
    let origin = Origin { spikes, layer: config.clone() };
    let origin = serde_json::to_string(&origin).map_err(|error| ExchangeError::Network(error.to_string()))?;
    let mut graph = Graph { metadata: [(METADATA.to_string(), Field::text(origin))].into(), ..Graph::default() };

    let neurons = config.d_hidden;
    graph = graph
        .with("input", Node::unit("Input", [("shape", sizes(&[config.d_input]))]))
        .with("output", Node::unit("Output", [("shape", sizes(&[readout.map_or(neurons, outputs)]))]));
    let bias = layer.bias.as_ref().map(|bias| numbers(bias.val()));
    graph = if is_current_based(config) {
        current_based(graph, layer, bias, spikes)
    } else {
        let mut before = "input".to_string();
        if let Some(tau) = config.input_tau {
            graph = graph.with("input_synapse", synapse(tau, config.d_input, spikes)).joined(&before, "input_synapse");
            before = "input_synapse".into();
        }
        graph
            .with("input_weights", weights(layer.effective_input_weights(), bias))
            .joined(before, "input_weights")
            .joined("input_weights", "neurons")
            .with("neurons", neurons_of(config))
    };
    let inside = is_current_based(config);
    for (k, own) in config.synapses.iter().enumerate() {
        let trace = format!("synapse_{k}");
        // The synapse of a CubaLIF node is in the node; the readout wants its trace, too.
        if read == Some(k) || !inside && own.connections != Connections::None {
            graph = graph.with(&trace, synapse(own.tau, neurons, spikes)).joined("neurons", &trace);
        }
        let path = match own.connections {
            Connections::None => continue,
            Connections::Recurrent => {
                let k = config.synapses[..k].iter().filter(|synapse| synapse.is_recurrent()).count();
                weights(layer.effective_weights(k).map_err(told)?, None)
            }
            Connections::SelfOnly { .. } => {
                let before = config.synapses[..k].iter();
                let l = before.filter(|synapse| matches!(synapse.connections, Connections::SelfOnly { .. })).count();
                Node::unit("Scale", [("scale", Field::of(&[neurons], numbers(layer.self_weights[l].val())))])
            }
            other => return Err(ExchangeError::Network(format!("NIR has no node for the connections {other:?}"))),
        };
        let name = recurrent_weights(k);
        let mut from = if inside { "neurons".to_string() } else { trace };
        if own.delay > 0.0 {
            let delay = format!("delay_{k}");
            let field = Field::of(&[neurons], vec![1e-3 * own.delay; neurons]);
            graph = graph.with(&delay, Node::unit("Delay", [("delay", field)])).joined(from, &delay);
            from = delay;
        }
        graph = graph.with(&name, path).joined(from, &name).joined(name, "neurons");
    }
    let (Some(readout), Some(read)) = (readout, read) else { return Ok(graph.joined("neurons", "output")) };
    let bias = readout.bias.as_ref().map(|bias| numbers(bias.val()));
    Ok(graph
        .with("readout", weights(readout.weight.val(), bias))
        .joined(format!("synapse_{read}"), "readout")
        .joined("readout", "output"))
}

fn outputs(readout: &Linear) -> usize {
    readout.weight.dims()[1]
}

/// The name of a type's weights. Digits of equal number keep the types in the order of names.
fn recurrent_weights(k: usize) -> String {
    format!("recurrent_weights_{k:02}")
}

fn told(error: burn_spiking::ConfigError) -> ExchangeError {
    ExchangeError::Network(error.to_string())
}

/// Refuses networks for which NIR has no nodes.
fn check(config: &SpikingRnnConfig) -> Result<(), ExchangeError> {
    let refused = |what: String| Err(ExchangeError::Network(what));
    match &config.neuron {
        Neuron::Lif { .. } | Neuron::Nif => {}
        other => return refused(format!("NIR has no node for the neuron {other}; it has LIF and NIF (IF) neurons")),
    }
    if config.learned != Learned::default() {
        return refused(format!(
            "the layer learns constants ({}), which cannot be exported yet; make a layer with constants of these values",
            config.learned
        ));
    }
    if config.learned_start {
        return refused("the layer learns its start, but NIR has no initial state; make a layer without".into());
    }
    if config.synapses.iter().any(|synapse| synapse.learned_delays.is_some()) {
        return refused("the layer learns delays, which cannot be exported yet; use fixed delays".into());
    }
    if config.integrator == Integrator::Heun {
        return refused(
            "the layer has Integrator::Heun, but a graph stands for the exact flow; choose Integrator::Flow".into(),
        );
    }
    Ok(())
}

/// Whether the neurons, their synapses and the input synapses are one CubaLIF node.
fn is_current_based(config: &SpikingRnnConfig) -> bool {
    let [synapse] = &config.synapses[..] else { return false };
    matches!(config.neuron, Neuron::Lif { .. })
        && config.input_tau == Some(synapse.tau)
        && synapse.delay == 0.0
        && !matches!(synapse.connections, Connections::SelfOnly { .. })
}

/// Adds the input weights and the neurons of a network that is one CubaLIF node.
fn current_based(graph: Graph, layer: &SpikingRnn, bias: Option<Vec<f64>>, spikes: Spikes) -> Graph {
    let config = layer.config();
    let (n, tau) = (config.d_hidden, 1e-3 * config.synapses[0].tau);
    let all = |value: f64| Field::of(&[n], vec![value; n]);
    let node = Node::unit(
        "CubaLIF",
        [
            ("tau_mem", all(1e-3 * config.time_unit_ms())),
            ("tau_syn", all(tau)),
            ("r", all(1.0)),
            ("v_leak", Field::of(&[n], bias.unwrap_or_else(|| vec![0.0; n]))),
            ("v_threshold", all(1.0)),
            ("v_reset", all(0.0)),
            // A spike then raises I by its weight.
            ("w_in", all(tau / spikes.integral())),
        ],
    );
    graph
        .with("input_weights", weights(layer.effective_input_weights(), None))
        .joined("input", "input_weights")
        .joined("input_weights", "neurons")
        .with("neurons", node)
}

/// LIF or NIF neurons whose synapses are nodes of their own.
fn neurons_of(config: &SpikingRnnConfig) -> Node {
    let (n, unit) = (config.d_hidden, 1e-3 * config.time_unit_ms());
    let all = |value: f64| Field::of(&[n], vec![value; n]);
    let threshold = [("v_threshold", all(1.0)), ("v_reset", all(0.0))];
    match config.neuron {
        Neuron::Nif => Node::unit("IF", [("r", all(1.0 / unit))].into_iter().chain(threshold)),
        _ => {
            Node::unit("LIF", [("tau", all(unit)), ("r", all(1.0)), ("v_leak", all(0.0))].into_iter().chain(threshold))
        }
    }
}

/// The trace of a synapse: a spike raises it by 1.
fn synapse(tau: f64, n: usize, spikes: Spikes) -> Node {
    let tau = 1e-3 * tau;
    let all = |value: f64| Field::of(&[n], vec![value; n]);
    Node::unit("LI", [("tau", all(tau)), ("r", all(tau / spikes.integral())), ("v_leak", all(0.0))])
}

/// Weights `[pre, post]`, and a bias of each receiver if there is one.
fn weights(weights: Tensor<2>, bias: Option<Vec<f64>>) -> Node {
    let [pre, post] = weights.dims();
    let weight = ("weight", Field::of(&[post, pre], numbers(weights.transpose())));
    match bias {
        Some(bias) => Node::unit("Affine", [weight, ("bias", Field::of(&[post], bias))]),
        None => Node::unit("Linear", [weight]),
    }
}

fn sizes(sizes: &[usize]) -> Field {
    let numbers = super::Numbers::I64(sizes.iter().map(|&size| size as i64).collect());
    Field::Numbers { shape: vec![sizes.len()], numbers }
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}
