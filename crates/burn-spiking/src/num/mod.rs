//! Numbers: the arithmetic that flows and gates are written in, and the kinds of numbers that the
//! programs run on.

pub mod dual;
mod exponential;
mod logarithm;
mod nonzero;
pub mod number;
pub mod real;
pub(crate) mod series;
pub mod simd;

pub use dual::Dual;
pub(crate) use dual::apart;
pub use number::{Constant, Float, Number, Own};
pub use real::Real;
