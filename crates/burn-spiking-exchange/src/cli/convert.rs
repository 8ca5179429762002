//! Converts files.

use super::files::{Kind, kind, kind_to_read, saved, told};
use super::reading::Reading;
use burn_spiking_exchange::nir::{Graph, Spikes, export, export_layer};
use burn_spiking_exchange::weights::{self, Saved};
use std::path::Path;

/// Makes a graph of a network or a layer.
fn graph_of(saved: &Saved, spikes: Option<Spikes>) -> Result<Graph, String> {
    let spikes_of = |dt: f64| spikes.unwrap_or(Spikes::Pulse { dt });
    match saved {
        Saved::Network(network) => export(network, spikes_of(network.layer.config().dt)).map_err(told),
        Saved::Layer(layer) => export_layer(layer, spikes_of(layer.config().dt)).map_err(told),
        Saved::Stack(_) => Err("a stack does not become a graph; convert its layers one by one".into()),
    }
}

/// Converts a file into another.
///
/// # Errors
/// If a file cannot be read or written, if there is no such conversion, or if an option does not
/// fit.
pub fn convert(from: &Path, to: &Path, reading: &Reading) -> Result<(), String> {
    let kinds = (kind_to_read(from)?, kind(to)?);
    if kinds.1 == Kind::Graph && reading.width.is_some() {
        return Err("--width is for records, because a graph of NIR has no gate".into());
    }
    match kinds {
        (Kind::Graph | Kind::StateDict, Kind::Record | Kind::Weights) | (Kind::Record, Kind::Weights) | (Kind::Weights, Kind::Record) => {
            write(&reading.network(from)?, to, kinds.1)
        }
        (Kind::Record | Kind::Weights, Kind::Graph) => {
            if reading.dt.is_some() {
                return Err("--dt is for reading a graph; a network has its own".into());
            }
            graph_of(&saved(from, kinds.0)?, reading.spikes)?.write(to).map_err(told)
        }
        (Kind::StateDict, Kind::Graph) => reading.graph(from, kinds.0)?.write(to).map_err(told),
        _ => Err("a graph (.nir) or a state dict (.safetensors, .pt) becomes a record (.bpk) or SafeTensors, and these become a graph or \
             each other; choose another file"
            .into()),
    }
}

/// Writes a record or SafeTensors.
fn write(saved: &Saved, to: &Path, kind: Kind) -> Result<(), String> {
    match (saved, kind) {
        (Saved::Layer(layer), Kind::Weights) => weights::write_layer(layer, to).map_err(told),
        (Saved::Network(network), Kind::Weights) => weights::write_network(network, to).map_err(told),
        (Saved::Stack(stack), Kind::Weights) => weights::write_stack(stack, to).map_err(told),
        (Saved::Layer(layer), _) => layer.save(to).map_err(told),
        (Saved::Network(network), _) => network.save(to).map_err(told),
        (Saved::Stack(stack), _) => stack.save(to).map_err(told),
    }
}
