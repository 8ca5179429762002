//! Shows what is in a file.

use super::files::{Kind, RecordConfig, kind_to_read, told};
use burn::tensor::Device;
use burn_spiking_exchange::nir::{Graph, Node};
use burn_spiking_exchange::state_dict;
use burn_spiking_exchange::weights::{self, Saved};
use std::path::Path;

fn show(graph: &Graph, indent: &str) {
    for (name, node) in &graph.nodes {
        match node {
            Node::Graph(inner) => {
                println!("{indent}{name}  NIRGraph");
                show(inner, &format!("{indent}    "));
            }
            Node::Unit { kind, fields, .. } => {
                let fields: Vec<_> = fields.iter().map(|(name, field)| format!("{name} {:?}", field.shape())).collect();
                println!("{indent}{name}  {kind}  {}", fields.join(", "));
            }
        }
    }
    for (from, to) in &graph.edges {
        println!("{indent}{from} -> {to}");
    }
}

/// Prints the nodes of a graph, the configuration of a network, or the tensors of a file.
///
/// # Errors
/// If the file cannot be read.
pub fn inspect(file: &Path) -> Result<(), String> {
    match kind_to_read(file)? {
        Kind::Graph => show(&Graph::read(file).map_err(told)?, ""),
        Kind::Record => println!("{}", RecordConfig::of(file)?),
        Kind::Weights => {
            match weights::read(file, &Device::flex()).map_err(told)? {
                Saved::Layer(layer) => println!("layer: {}", layer.config()),
                Saved::Network(network) => println!("network: {}", network.config()),
                Saved::Stack(stack) => println!("stack: {}", stack.config()),
            }
            show_tensors(file)?;
        }
        Kind::StateDict => show_tensors(file)?,
    }
    Ok(())
}

fn show_tensors(file: &Path) -> Result<(), String> {
    for (name, shape) in state_dict::tensors(file).map_err(told)? {
        println!("{name}  {shape:?}");
    }
    Ok(())
}
