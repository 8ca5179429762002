//! The synapse types of a scan.

use std::ops::Range;

/// The connections of a synapse type, with the place of their weights among the scan's inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ScanConnections {
    /// The type connects no neurons.
    None,
    /// The type connects the neurons to each other by this plane of the weights `[M, N, N]`.
    Plane(usize),
    /// The type connects each neuron to itself alone by this row of the self-weights `[L, N]`.
    SelfRow(usize),
}

/// One synapse type in the units of the scan.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScanSynapse {
    /// α = e^(−dt/τ), the factor by which the trace decays in a step.
    pub decay: f64,
    /// c, the amount that one spike adds to the trace.
    pub amplitude: f64,
    /// The type's connections.
    pub connections: ScanConnections,
    /// Whether the trajectory contains this type's trace.
    pub readout: bool,
    /// d, the delay of the current in steps; 0 if the type connects no neurons.
    pub delay: usize,
}

impl ScanSynapse {
    /// The plane of W, if the type connects the neurons to each other.
    pub fn plane(&self) -> Option<usize> {
        match self.connections {
            ScanConnections::Plane(plane) => Some(plane),
            _ => None,
        }
    }

    /// The row of the self-weights, if the type connects each neuron to itself alone.
    pub fn self_row(&self) -> Option<usize> {
        match self.connections {
            ScanConnections::SelfRow(row) => Some(row),
            _ => None,
        }
    }

    /// Whether the type has a recurrent current.
    pub fn connects(&self) -> bool {
        self.connections != ScanConnections::None
    }
}

/// D, the steps of delay summed over all types.
pub(crate) fn steps_of_delay(synapses: &[ScanSynapse]) -> usize {
    synapses.iter().map(|synapse| synapse.delay).sum()
}

/// The rows of a state that hold the currents of type k in transit.
pub(crate) fn rows_on_the_way(synapses: &[ScanSynapse], k: usize) -> Range<usize> {
    let first = synapses.len() + steps_of_delay(&synapses[..k]);
    first..first + synapses[k].delay
}
