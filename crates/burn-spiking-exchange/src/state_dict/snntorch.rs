//! Neurons of snnTorch.

use super::{Linear, Modules, Steps, between, check_all_read, check_step, readout};
use crate::ExchangeError;
use crate::nir::Graph;
use crate::tensors::Tensors;
use std::path::Path;

/// Reads `Leaky`, `Synaptic`, `RLeaky` or `RSynaptic` of snnTorch, with the linear modules before
/// and after it.
///
/// - `dt`: what a step stands for, ms. snnTorch does not say.
///
/// # Errors
/// [`ExchangeError`] with the file, the tensor and the remedy, if the file is damaged, lacks a
/// tensor, or has constants that no layer has: a decay of each neuron, one-to-one recurrence, or no
/// reset.
pub fn snntorch(file: impl AsRef<Path>, modules: &Modules, dt: f64) -> Result<Graph, ExchangeError> {
    check_step(dt)?;
    let tensors = Tensors::read(file.as_ref())?;
    let Some(linear) = &modules.input else {
        return Err(ExchangeError::Network(
            "snnTorch's neurons have no input weights; name the linear module before them".into(),
        ));
    };
    let own = |name: &str| format!("{}.{name}", modules.neurons);
    let mut input = Linear::read(&tensors, linear)?;
    let count = input.post;
    let same = |name: &str| -> Result<f64, ExchangeError> {
        let name = own(name);
        let numbers = tensors.each(&name, count)?;
        match numbers.iter().find(|&&x| x != numbers[0]) {
            None => Ok(numbers[0]),
            Some(other) => Err(tensors
                .error(&name, format!("it has the values {} and {other}, but a layer has one for all", numbers[0]))),
        }
    };
    for (name, right, what) in [
        ("reset_mechanism_val", &[0.0, 1.0][..], "use reset_mechanism=\"zero\" or \"subtract\""),
        ("graded_spikes_factor", &[1.0], "use graded_spikes_factor=1"),
    ] {
        let found = tensors.get(&own(name))?.map_or(Vec::new(), |(_, numbers)| numbers);
        if let Some(wrong) = found.iter().find(|found| !right.contains(found)) {
            return Err(tensors.error(&own(name), format!("it is {wrong}, but must be one of {right:?}; {what}")));
        }
    }
    let alpha = if tensors.has(&own("alpha")) { same("alpha")? } else { 0.0 };
    if tensors.has(&own("recurrent.V")) {
        return Err(tensors.error(&own("recurrent.V"), "the recurrence is one to one; use all_to_all=True"));
    }
    let recurrent = match tensors.has(&own("recurrent.weight")) {
        false => None,
        true => {
            let bias = tensors.bias(&own("recurrent.bias"), count)?;
            input.bias.iter_mut().zip(bias).for_each(|(sum, b)| *sum += b);
            Some(between(&tensors, &own("recurrent.weight"), count)?)
        }
    };
    let steps = Steps {
        input,
        recurrent,
        alpha,
        beta: same("beta")?,
        gain: 1.0,
        rise: 0.0,
        threshold: tensors.each(&own("threshold"), count)?,
        reset: 0.0,
        readout: readout(&tensors, modules, count)?,
        remedy: "train a neuron with decays below 1",
    };
    check_all_read(&tensors, modules)?;
    steps.graph(dt)
}
