//! Neurons with two variables: the potential v and a second variable w, such as an adaptation.
//!
//! ```text
//! dv/dt = f(v, w, I)        dw/dt = h(v, w)        spike at v = 1: v falls by 1, w rises by b
//! ```
//!
//! The state of such a neuron is a point of a plane, so the models are called planar.
//!
//! | model | v | w | flow |
//! | --- | --- | --- | --- |
//! | [`alif`] | leaky | threshold that adapts | exact |
//! | [`refractory`] | leaky, held after a spike | remaining refractory time, ms | exact |
//! | [`resonate`] | damped oscillation | its other component | exact |
//! | [`adex`] | leaky with an exponential upstroke | adaptation current | Runge-Kutta of order 4 |
//! | [`izhikevich`] | quadratic | recovery | Runge-Kutta of order 4 |
//!
//! # A step
//!
//! A model gives [`Plane::advance`], the solution over a time t, exact or by one step of the
//! classical Runge-Kutta method. A step of the scan is cut into sub-steps, and each is
//!
//! ```text
//! (v, w) → advance(v, w, I, h)                              if that v is below 1
//! (v, w) → advance(0, w*, I, h − t*),  one spike            otherwise, with (1, w*) = advance(v, w, I, t*)
//! ```
//!
//! The time t* of the crossing is found by Newton's method within brackets, to rounding
//! (`neuron/crossing.rs`). A sub-step has at most one spike.
//!
//! **Jump of w.** The charge of a step carries the jump, w_{t+1} = ψ + b ΔQ_t, with ψ the w after
//! the flow and ΔQ_t as in [`scan`](crate::scan). So a smooth gate makes it differentiable. A model
//! can also change w at the crossing itself ([`Plane::after_spike`]), as the refractory period
//! does.
//!
//! **Slopes** are the exact derivatives of this map, by dual numbers. They include the saltation of
//! both variables, because t* and w* depend on v, w and I: with x any of these, ∂t*/∂x is
//! −(∂v/∂x)/(dv/dt) at t*.

pub mod adex;
pub mod alif;
mod flow;
pub mod izhikevich;
pub mod own;
pub mod refractory;
pub mod resonate;

pub use adex::{AdEx, AdExConstants};
pub use alif::Alif;
pub use flow::{
    CONSTANTS, Field, FieldOn, Jacobian, LearnableConstants, Moved, PlanarFlow, PlanarModel, Plane, PlaneOn,
    RungeKutta, RungeKuttaOn, SecondConstant, WITH_CONSTANTS,
};
pub use izhikevich::Izhikevich;
pub use own::OwnPlanarNeuron;
pub use refractory::RefractoryLif;
pub use resonate::ResonateAndFire;

#[cfg(test)]
mod tests;
