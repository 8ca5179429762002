//! Neurons of SpikingJelly.

use super::{Linear, Modules, Steps, check_all_read, check_step, readout};
use crate::ExchangeError;
use crate::nir::Graph;
use crate::tensors::Tensors;
use std::path::Path;

/// The constants of SpikingJelly's neurons, which its state dicts do not have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SpikingJellyConstants {
    /// `tau`, in steps. Not used for `ParametricLIFNode`, whose state dict has it.
    pub tau: f64,
    /// `decay_input`.
    pub decay_input: bool,
    /// `v_threshold`.
    pub threshold: f64,
    /// `v_reset`; 0 for None, the reset by subtraction.
    pub reset: f64,
}

impl Default for SpikingJellyConstants {
    /// The constants of `LIFNode()`.
    fn default() -> Self {
        Self { tau: 2.0, decay_input: true, threshold: 1.0, reset: 0.0 }
    }
}

/// Reads `LIFNode` or `ParametricLIFNode` of SpikingJelly, with the linear modules before and after
/// it. `LinearRecurrentContainer` is read as the neurons, with its connections; it holds the
/// neurons, or a sequence of a linear module and the neurons.
///
/// ```text
/// container: I_t = W_in (R_x x_t + R_z z_{t−1} + b) + b_in      rc.weight = [R_x, R_z], rc.bias = b
/// ```
///
/// - `dt`: what a step stands for, ms. SpikingJelly does not say.
///
/// # Errors
/// [`ExchangeError`] with the file, the tensor and the remedy, if the file is damaged or lacks a
/// tensor, or if a constant is out of its range.
pub fn spikingjelly(
    file: impl AsRef<Path>,
    modules: &Modules,
    constants: SpikingJellyConstants,
    dt: f64,
) -> Result<Graph, ExchangeError> {
    check_step(dt)?;
    let tensors = Tensors::read(file.as_ref())?;
    let own = |name: &str| format!("{}.{name}", modules.neurons);
    let (input, recurrent) = if tensors.has(&own("rc.weight")) {
        let joined = Linear::read(&tensors, &own("rc"))?;
        let inside = match tensors.has(&own("sub_module.0.weight")) {
            true => Some(Linear::read(&tensors, &own("sub_module.0"))?),
            false => None,
        };
        let count = inside.as_ref().map_or(joined.post, |inside| inside.post);
        let fits = joined.pre == joined.post + count && inside.as_ref().is_none_or(|inside| inside.pre == joined.post);
        if !fits {
            let what = format!(
                "it is [{}, {}], but a container of {count} neurons has [inputs, inputs + {count}]; name the container as the neurons",
                joined.post, joined.pre
            );
            return Err(tensors.error(&own("rc.weight"), what));
        }
        let all = match inside {
            Some(inside) => inside.after(&joined),
            None => joined,
        };
        let inputs = all.pre - count;
        let (before, back) = all.split(inputs);
        (before.behind(&tensors, modules.input.as_ref())?, Some(back))
    } else {
        let Some(linear) = &modules.input else {
            return Err(ExchangeError::Network(format!(
                "SpikingJelly's neurons have no input weights, and {} is no LinearRecurrentContainer; name the linear module before them",
                modules.neurons
            )));
        };
        (Linear::read(&tensors, linear)?, None)
    };
    let SpikingJellyConstants { mut tau, decay_input, threshold, reset } = constants;
    // ParametricLIFNode: alone, in a container, or in a sequence in a container.
    let learned = tensors.names().find(|name| {
        let rest = name.strip_prefix(&own("")).and_then(|rest| rest.strip_suffix('w'));
        let part = rest.map(|rest| rest.strip_prefix("sub_module.").unwrap_or(rest));
        part.is_some_and(|part| part.is_empty() || part.strip_suffix('.').is_some_and(|at| at.parse::<usize>().is_ok()))
    });
    if let Some(name) = learned {
        let w = tensors.each(name, 1)?[0];
        tau = 1.0 + (-w).exp();
    }
    if !(tau.is_finite() && tau > 1.0) {
        return Err(ExchangeError::Network(format!(
            "tau is {tau} steps, but must be above 1 and finite; take that of LIFNode"
        )));
    }
    let count = input.post;
    let steps = Steps {
        input,
        recurrent,
        alpha: 0.0,
        beta: 1.0 - 1.0 / tau,
        gain: if decay_input { 1.0 / tau } else { 1.0 },
        rise: reset / tau,
        threshold: vec![threshold; count],
        reset,
        readout: readout(&tensors, modules, count)?,
        remedy: "take tau of LIFNode, in steps",
    };
    check_all_read(&tensors, modules)?;
    steps.graph(dt)
}

impl Linear {
    /// The module of the first `inputs` inputs, with the bias, and the weights of the others.
    fn split(self, inputs: usize) -> (Self, Vec<f64>) {
        let rows = || self.weight.chunks_exact(self.pre);
        let first = rows().flat_map(|row| &row[..inputs]).copied().collect();
        let others = rows().flat_map(|row| &row[inputs..]).copied().collect();
        (Self { post: self.post, pre: inputs, weight: first, bias: self.bias }, others)
    }
}
