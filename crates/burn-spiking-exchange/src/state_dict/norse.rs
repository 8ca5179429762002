//! Neurons of Norse.

use super::{Linear, Modules, Steps, between, check_all_read, check_step, readout};
use crate::ExchangeError;
use crate::nir::Graph;
use crate::tensors::Tensors;
use std::path::Path;

/// The constants of Norse's neurons, which its state dicts do not have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NorseConstants {
    /// τ_mem, ms: 1000/`tau_mem_inv`.
    pub tau_mem: f64,
    /// τ_syn, ms: 1000/`tau_syn_inv`.
    pub tau_syn: f64,
    /// `v_leak`.
    pub leak: f64,
    /// `v_th`.
    pub threshold: f64,
    /// `v_reset`.
    pub reset: f64,
}

impl Default for NorseConstants {
    /// The constants of `LIFParameters()`.
    fn default() -> Self {
        Self { tau_mem: 10.0, tau_syn: 5.0, leak: 0.0, threshold: 1.0, reset: 0.0 }
    }
}

/// Reads `LIFRecurrentCell` of Norse, or `LIFCell` with the linear module before it, and the linear
/// module after it.
///
/// - `dt`: the step of the cell, ms; 1 by default in Norse.
///
/// # Errors
/// [`ExchangeError`] with the file, the tensor and the remedy, if the file is damaged or lacks a
/// tensor, or if a step is too long for the constants.
pub fn norse(
    file: impl AsRef<Path>,
    modules: &Modules,
    constants: NorseConstants,
    dt: f64,
) -> Result<Graph, ExchangeError> {
    check_step(dt)?;
    let tensors = Tensors::read(file.as_ref())?;
    let own = |name: &str| format!("{}.{name}", modules.neurons);
    let input = match (tensors.has(&own("input_weights")), &modules.input) {
        (true, linear) => Linear::of_weight(&tensors, &own("input_weights"))?.behind(&tensors, linear.as_ref())?,
        (false, Some(linear)) => Linear::read(&tensors, linear)?,
        (false, None) => {
            return Err(tensors
                .error(&modules.neurons, "these neurons have no input_weights; name the linear module before them"));
        }
    };
    let count = input.post;
    let recurrent = match tensors.has(&own("recurrent_weights")) {
        true => Some(between(&tensors, &own("recurrent_weights"), count)?),
        false => None,
    };
    let NorseConstants { tau_mem, tau_syn, leak, threshold, reset } = constants;
    let beta = 1.0 - dt / tau_mem;
    let steps = Steps {
        input,
        recurrent,
        alpha: 1.0 - dt / tau_syn,
        beta,
        gain: 1.0 - beta,
        rise: (1.0 - beta) * leak,
        threshold: vec![threshold; count],
        reset,
        readout: readout(&tensors, modules, count)?,
        remedy: "take steps shorter than tau_syn and tau_mem",
    };
    check_all_read(&tensors, modules)?;
    steps.graph(dt)
}
