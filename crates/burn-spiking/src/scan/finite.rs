//! The search for infinite values and NaN.
//!
//! A potential, a trace or an adjoint that is infinite or NaN stays so to the end of its run (each step multiplies it by a
//! number that is not 0 and adds to it), so one look at the end finds it, at no cost.

use crate::number::Real;

/// What may have gone wrong, and the remedy.
pub(crate) type Suspect = (&'static str, &'static str);

/// v_T.
pub(crate) const POTENTIAL: Suspect =
    ("membrane potential", "look for infinite, NaN or huge values in the input, the initial state and the parameters");

/// s_T.
pub(crate) const TRACE: Suspect = ("synaptic trace", "look for infinite or NaN values in the initial state");

/// ∂C/∂v_0.
#[cfg(any(feature = "flex", feature = "ndarray"))]
pub(crate) const ADJOINT: Suspect = (
    "gradient with respect to the initial potential",
    "the cost's gradient is not finite, or the network magnifies errors beyond the range of numbers: run fewer steps, weaken \
     the recurrent weights or use double precision",
);

/// Panics if a value, `[B, .., N]`, is infinite or NaN.
pub(crate) fn check<T: Real>(what: Suspect, values: &[T], batch: usize, neurons: usize, steps: usize) {
    let Some(at) = values.iter().position(|value| !value.finite()) else { return };
    let (name, remedy) = what;
    let (sample, neuron) = (at / (values.len() / batch), at % neurons);
    // Through the recurrent weights one spoils all of its sample.
    let others = values.iter().filter(|value| !value.finite()).count() - 1;
    panic!(
        "the {name} of neuron {neuron} in sample {sample} is {:?} in a run of {steps} steps, and {others} others are not \
         finite, but all must be finite; {remedy}",
        values[at]
    );
}
