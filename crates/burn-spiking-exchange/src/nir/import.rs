//! A graph as a network.

mod layer;
mod reader;

use super::export::Origin;
use super::graph::{Field, Graph, Node};
use super::{METADATA, Spikes};
use crate::ExchangeError;
use burn::nn::Linear;
use burn::tensor::{DType, Device, TensorCreationOptions};
use burn_spiking::{Gate, SpikingNetwork, SpikingRnn};
use layer::Layer;
use reader::{Reader, SPIKING};

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

impl Reader {
    /// Makes a network of the graph.
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
