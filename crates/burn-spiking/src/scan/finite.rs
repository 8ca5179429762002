//! The search for infinite values and NaN.
//!
//! A potential, a trace or an adjoint that is infinite or NaN stays infinite or NaN to the end of
//! its run, because each step multiplies it by a number that is not 0 and adds to it. A single
//! check at the end finds it, at no cost during the steps.

use super::{InputGradients, OptionalTensor};
use crate::num::Real;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// The response of a backward pass to a gradient that is infinite or NaN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum NonFiniteGradient {
    /// It panics. The message names the neuron and the sample.
    #[default]
    Panic,
    /// It sets the gradients of all inputs of this layer's scan to NaN, so that none of them looks
    /// valid. `Skipping` (feature `train`) finds them and skips the optimizer step.
    Nan,
}

/// A quantity to check, and the words of its error message.
pub(crate) struct Suspect {
    /// The name of the quantity. It ends with the noun that the last axis counts.
    name: &'static str,
    /// The noun that the leading axis counts.
    row: &'static str,
    remedy: &'static str,
}

/// The drive x.
pub(crate) const DRIVE: Suspect = Suspect {
    name: "drive of neuron",
    row: "sample",
    remedy: "look for infinite or NaN values in the input, the input weights and the bias current",
};

/// The recurrent weights W.
pub(crate) const WEIGHTS: Suspect = Suspect {
    name: "recurrent weight onto neuron",
    row: "synapse type",
    remedy: "look for infinite or NaN values in the recurrent weights",
};

/// The self-weights d.
pub(crate) const SELF_WEIGHTS: Suspect = Suspect {
    name: "weight from itself onto neuron",
    row: "row",
    remedy: "look for infinite or NaN values in the self-weights",
};

/// The input weights U.
pub(crate) const PROJECTION: Suspect = Suspect {
    name: "input weight onto neuron",
    row: "channel",
    remedy: "look for infinite or NaN values in the input weights",
};

/// The bias current I_o.
pub(crate) const BIAS: Suspect = Suspect {
    name: "bias current of neuron",
    row: "layer",
    remedy: "look for infinite or NaN values in the bias current",
};

/// The readout o.
pub(crate) const OUTPUT: Suspect =
    Suspect { name: "output", row: "sample", remedy: "look for infinite or NaN values in the readout weights" };

/// The last membrane potentials v_T.
pub(crate) const POTENTIAL: Suspect = Suspect {
    name: "membrane potential of neuron",
    row: "sample",
    remedy: "look for infinite, NaN or huge values in the input, the initial state and the parameters",
};

/// The last synaptic traces s_T.
pub(crate) const TRACE: Suspect = Suspect {
    name: "synaptic trace of neuron",
    row: "sample",
    remedy: "look for infinite or NaN values in the initial state",
};

/// The gradient ∂C/∂v_0.
pub(crate) const ADJOINT: Suspect = Suspect {
    name: "gradient with respect to the initial potential of neuron",
    row: "sample",
    remedy: "the cost's gradient is not finite, or the network magnifies errors beyond the range of numbers: run fewer steps, \
             weaken the recurrent weights or use double precision",
};

/// q_0 of the mean-field adjoint, or the gradient of the initial traces that follows from it.
pub(crate) const DRIVE_ADJOINT: Suspect = Suspect {
    name: "mean-field gradient with respect to the current of neuron",
    row: "sample",
    remedy: "the cost's gradient is not finite, or rates magnify errors beyond the range of numbers: run fewer steps or weaken \
             the recurrent weights",
};

/// Panics if one of the values, `[rows, .., N]`, is infinite or NaN.
#[cfg(any(feature = "flex", feature = "ndarray"))]
pub(crate) fn check<T: Real>(what: Suspect, values: &[T], rows: usize, neurons: usize, steps: usize) {
    if let Some(found) = find(what, values, [rows, neurons, steps]) {
        panic!("{found}");
    }
}

/// The error message if one of the values, `[rows, .., N]`, is infinite or NaN.
pub(crate) fn find<T: Real>(what: Suspect, values: &[T], [rows, neurons, steps]: [usize; 3]) -> Option<String> {
    let at = values.iter().position(|value| !value.finite())?;
    let Suspect { name, row, remedy } = what;
    let (index, neuron) = (at / (values.len() / rows), at % neurons);
    // One such value spreads through the recurrent weights to all neurons of its sample.
    let others = values.iter().filter(|value| !value.finite()).count() - 1;
    Some(format!(
        "the {name} {neuron} in {row} {index} is {:?} in a run of {steps} steps, and {others} others are not \
         finite, but all must be finite; {remedy}",
        values[at]
    ))
}

/// The gradient as computed, if `found` is `None`. Otherwise it panics or sets the gradient to NaN,
/// as `otherwise` says.
pub(crate) fn judged<B: Backend>(
    gradient: InputGradients<B>,
    found: Option<String>,
    otherwise: NonFiniteGradient,
) -> InputGradients<B> {
    match (found, otherwise) {
        (None, _) => gradient,
        (Some(found), NonFiniteGradient::Panic) => panic!("{found}"),
        (Some(_), NonFiniteGradient::Nan) => all_nan(gradient),
    }
}

fn all_nan<B: Backend>(gradient: InputGradients<B>) -> InputGradients<B> {
    let nan = |tensor: FloatTensor<B>| {
        let (shape, device, dtype) = (tensor.shape(), tensor.device(), tensor.dtype());
        B::float_full(shape, f64::NAN.into(), &device, dtype.into())
    };
    let slot = |slot: OptionalTensor<B>| OptionalTensor::from(slot.into_option().map(nan));
    InputGradients {
        drive: slot(gradient.drive),
        projection: slot(gradient.projection),
        bias: slot(gradient.bias),
        weights: slot(gradient.weights),
        self_weights: slot(gradient.self_weights),
        v0: nan(gradient.v0),
        s0: slot(gradient.s0),
        readout: slot(gradient.readout),
        constants: slot(gradient.constants),
    }
}

/// Panics if a value of a tensor, `[rows, .., N]`, is infinite or NaN. Waits for the device.
pub(crate) fn check_tensor<const D: usize>(what: Suspect, tensor: &Tensor<D>, steps: usize) {
    if let Some(found) = find_in_tensor(what, tensor, steps) {
        panic!("{found}");
    }
}

/// The error message of [`find`] for a tensor, `[rows, .., N]`. Waits for the device.
pub(crate) fn find_in_tensor<const D: usize>(what: Suspect, tensor: &Tensor<D>, steps: usize) -> Option<String> {
    let dims = tensor.dims();
    find(what, &tensor.to_data().iter::<f64>().collect::<Vec<_>>(), [dims[0], dims[D - 1], steps])
}
