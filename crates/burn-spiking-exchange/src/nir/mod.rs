//! NIR, the Neuromorphic Intermediate Representation (Pedersen et al. 2024): a directed graph of
//! nodes. Recurrence is a cycle. A node may be a graph itself.
//!
//! [`Graph`] holds any graph, node for node, as its [file](Graph::read) has it. [`Graph::import`]
//! makes a network of the graphs that this library can run, and [`export`] makes a graph of a
//! network.
//!
//! # Nodes of a network
//!
//! NIR's times are in seconds, ours in ms. Weights are `[post, pre]` in NIR, `[pre, post]` here.
//!
//! | here | NIR | equation in NIR |
//! | --- | --- | --- |
//! | LIF neurons | LIF | τ v' = (v_leak − v) + r I, spike at v_threshold, v = v_reset |
//! | NIF neurons | IF | v' = r I |
//! | U, I_o | Linear, Affine | weight, bias |
//! | W of a synapse type | Linear | weight |
//! | a synapse type, an input synapse, the trace that the readout sees | LI | τ v' = (v_leak − v) + r I |
//! | self-connections | Scale | scale |
//! | delay of a synapse type | Delay | delay |
//! | readout O, b | Linear, Affine | weight, bias |
//!
//! LIF neurons with one synapse type, whose input synapses have the same time constant, are one
//! CubaLIF node: τ_syn I' = −I + w_in S, τ_mem v' = (v_leak − v) + r I. Their bias current is
//! v_leak.
//!
//! # What a spike is
//!
//! In these equations a spike S is a function of time, and NIR does not say which: see [`Spikes`].
//! Tools with a time step send the number 1 for a step, a pulse. Norse gives the step when it reads
//! a graph; snnTorch 1.0.0 writes graphs for pulses of 0.1 ms.
//!
//! # What NIR cannot say
//!
//! The gate, the step, and the other options of a layer are in the metadata of the graph, under
//! `burn_spiking`, which other tools ignore.

mod export;
mod file;
mod graph;
mod import;

pub use export::{export, export_layer};
pub use graph::{Field, Graph, Node, Numbers};
pub use import::{ImportOptions, Imported};

use serde::{Deserialize, Serialize};

/// What the spike of a node is as a function of time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Spikes {
    /// An impulse, whose integral is 1 (in seconds): the equations as they stand.
    Impulse,
    /// A pulse of height 1, which lasts one step of a tool.
    Pulse {
        /// Length of the step, ms.
        dt: f64,
    },
}

impl Spikes {
    /// The integral of a spike, in seconds.
    fn integral(self) -> f64 {
        match self {
            Spikes::Impulse => 1.0,
            Spikes::Pulse { dt } => 1e-3 * dt,
        }
    }

    fn check(self) -> Result<(), crate::ExchangeError> {
        match self {
            Spikes::Pulse { dt } if !(dt.is_finite() && dt > 0.0) => Err(crate::ExchangeError::Network(format!(
                "the length of a spike's pulse is {dt} ms, but must be above 0 and finite; give the step of the other tool"
            ))),
            _ => Ok(()),
        }
    }
}

/// The key of our metadata.
const METADATA: &str = "burn_spiking";
