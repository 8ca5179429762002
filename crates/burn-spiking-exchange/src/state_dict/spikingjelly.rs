//! Neurons of SpikingJelly.

use super::{Linear, Modules, Steps, check_step, readout};
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
    let contained = tensors.get(&own("rc.weight"))?.is_some();
    let (input, recurrent) = if contained {
        let joined = Linear::read(&tensors, &own("rc"))?;
        let inside = match tensors.get(&own("sub_module.0.weight"))? {
            Some(_) => Some(Linear::read(&tensors, &own("sub_module.0"))?),
            None => None,
        };
        let count = inside.as_ref().map_or(joined.post, |inside| inside.post);
        let fits = joined.pre == joined.post + count && inside.as_ref().is_none_or(|inside| inside.pre == joined.post);
        if !fits {
            let what = format!(
                "it is [{}, {}], but a container of {count} neurons has [inputs, inputs + {count}]",
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
        let before = match &modules.input {
            Some(linear) => before.after(&joined_to(&tensors, linear, before.pre)?),
            None => before,
        };
        (before, Some(back))
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
    for name in ["w", "sub_module.w", "sub_module.1.w"] {
        if tensors.get(&own(name))?.is_some() {
            let w = tensors.each(&own(name), 1)?[0];
            tau = 1.0 + (-w).exp();
        }
    }
    if !(tau.is_finite() && tau > 1.0) {
        return Err(ExchangeError::Network(format!(
            "tau is {tau} steps, but must be above 1 and finite; take that of LIFNode"
        )));
    }
    let count = input.post;
    Steps {
        input,
        recurrent,
        alpha: 0.0,
        beta: 1.0 - 1.0 / tau,
        gain: if decay_input { 1.0 / tau } else { 1.0 },
        rise: reset / tau,
        threshold: vec![threshold; count],
        reset,
        readout: readout(&tensors, modules, count)?,
    }
    .graph(dt)
}

/// The linear module before a container of `inputs` inputs.
fn joined_to(tensors: &Tensors, module: &str, inputs: usize) -> Result<Linear, ExchangeError> {
    let linear = Linear::read(tensors, module)?;
    match linear.post == inputs {
        true => Ok(linear),
        false => {
            let what = format!("it has {} outputs, but the container after it has {inputs} inputs", linear.post);
            Err(tensors.error(&format!("{module}.weight"), what))
        }
    }
}

impl Linear {
    /// The product of this module after `first`.
    fn after(&self, first: &Self) -> Self {
        let mut weight = vec![0.0; self.post * first.pre];
        let mut bias = self.bias.clone();
        for (post, (row, sum)) in self.weight.chunks_exact(self.pre).zip(&mut bias).enumerate() {
            let product = &mut weight[post * first.pre..][..first.pre];
            for ((own, inner), b) in row.iter().zip(first.weight.chunks_exact(first.pre)).zip(&first.bias) {
                product.iter_mut().zip(inner).for_each(|(to, x)| *to += own * x);
                *sum += own * b;
            }
        }
        Self { post: self.post, pre: first.pre, weight, bias }
    }

    /// The module of the first `inputs` inputs, with the bias, and the weights of the others.
    fn split(self, inputs: usize) -> (Self, Vec<f64>) {
        let rows = || self.weight.chunks_exact(self.pre);
        let first = rows().flat_map(|row| &row[..inputs]).copied().collect();
        let others = rows().flat_map(|row| &row[inputs..]).copied().collect();
        (Self { post: self.post, pre: inputs, weight: first, bias: self.bias }, others)
    }
}
