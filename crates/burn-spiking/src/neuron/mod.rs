//! Neuron models: what the membrane potential does while the current is held for one step.
//!
//! A step follows the neuron's *exact flow* φ(v, I), the solution of dv/dt = f(v, I) after dt, or a map that approximates it. The
//! threshold is v = 1, the reset v = 0. φ is *unwrapped*: n spikes in the step leave it n higher than the potential after the
//! reset.
//!
//! | model | equation | flow | spikes in a step |
//! | --- | --- | --- | --- |
//! | [`nif`] | dv/dt = I | exact | any number |
//! | [`lif`] | dv/dt = −v/τ_v + I | exact, with the saltation of each reset | any number |
//! | [`qif`] | dv/dt = (1 + cos 2πv)/τ_v + (1 − cos 2πv) I | exact | any number |
//! | [`eif`] | dv/dt = (−v + Δ e^((v − v_T)/Δ))/τ_v + I | Runge-Kutta of order 4, exactly differentiated | one |
//! | [`own`] | yours | yours | yours |
//!
//! A model is a [`NeuronModel`]; its flow over a step of fixed length is a [`Flow`], written once, generic over the numbers that
//! it runs on.

pub mod eif;
pub mod lif;
pub mod membrane;
pub mod nif;
pub mod own;
pub mod program;
pub mod qif;
pub mod rate;
pub(crate) mod rows;

pub use eif::Eif;
pub use lif::Lif;
pub use nif::Nif;
pub use own::OwnNeuron;
pub use qif::Qif;
pub use rate::RateCurve;

use crate::dual::Dual;
use crate::error::ConfigError;
use crate::number::{Float, Number};
use serde::{Deserialize, Serialize};

/// A neuron model: its constants, and the flow that follows from them and the length of a step.
pub trait NeuronModel: Clone + std::fmt::Debug + Send + Sync + 'static {
    /// The flow over one step.
    type Flow: Flow;

    /// The flow over `dt` ms.
    fn over(&self, dt: f64) -> Self::Flow;

    /// What the model is called, with every constant: two models of one name are taken for the same.
    fn name(&self) -> String;

    /// Refuses constants that describe no neuron.
    ///
    /// # Errors
    /// [`ConfigError`] names the value, its limit and the remedy.
    fn check(&self) -> Result<(), ConfigError> {
        Ok(())
    }

    /// Where a neuron starts when no state is given, in [0, 1).
    fn resting_potential(&self) -> f64 {
        0.0
    }

    /// Membrane time constant τ_v, ms, which is then the unit of the layer's parameters; `None` if there is none.
    fn tau(&self) -> Option<f64> {
        None
    }

    /// About the steady current, in units of 1/τ_m, under which a neuron spikes `spikes` times in τ_m. Fresh layers start
    /// from it.
    fn steady_current(&self, spikes: f64) -> f64 {
        spikes
    }

    /// The f-I curve, along which [`Adjoint::MeanField`](crate::Adjoint::MeanField) sends errors back; `None`, the default, where
    /// there is none, and then that adjoint is refused. [`RateCurve::measured`] makes one for any model.
    fn rate_curve(&self) -> Option<RateCurve> {
        None
    }
}

/// The flow of a neuron over one step of fixed length, and its two partial derivatives.
///
/// It is written with arithmetic and selects instead of branches, so that it holds for many neurons at once; both sides of a
/// select must be finite. A flow without a cheaper form has `type Near = Self` and `near` returning `(f64::INFINITY, *self)`.
pub trait Flow: Copy + Send + Sync + 'static {
    /// The same flow for small currents, where it may be cheaper.
    type Near: Flow;

    /// The cheaper flow and the largest |I| (1/ms) that it holds for. It must agree with this flow bit for bit there,
    /// since programs choose between them by the currents of many neurons.
    fn near(&self) -> (f64, Self::Near);

    /// φ(v, I), unwrapped, for v after its reset and I in 1/ms.
    fn phi<X: Number>(&self, v: X, i: X) -> X;

    /// (∂φ/∂v, ∂φ/∂I); the second in ms. By default from [`Dual`] numbers.
    #[inline(always)]
    fn slopes<X: Number>(&self, v: X, i: X) -> (X, X) {
        let [dv, di] = self.phi(Dual::potential(v), Dual::current(i)).slopes;
        (dv, di)
    }

    /// f(v, I) of a flow that is the exact solution of dv/dt = f(v, I) over the step, for a neuron that has a τ_v; `None` of others.
    /// With it τ_v can be learned.
    #[inline(always)]
    fn field<X: Number>(&self, _v: X, _i: X) -> Option<X> {
        None
    }

    /// φ of a row of neurons. A cheaper way may be taken where the row allows it, if the numbers come out the same to the last
    /// bit.
    #[inline(always)]
    fn phi_row<X: Float>(&self, (v, i): (&[X], &[X]), vpre: &mut [X]) {
        for ((&v, &i), vpre) in v.iter().zip(i).zip(vpre) {
            *vpre = self.phi(v, i);
        }
    }

    /// φ, ∂φ/∂v and ∂φ/∂I of a row of neurons; φ as [`phi_row`](Self::phi_row) has it.
    #[inline(always)]
    fn phi_and_slopes_row<X: Float>(&self, (v, i): (&[X], &[X]), vpre: &mut [X], (dv, di): (&mut [X], &mut [X])) {
        for (((&v, &i), vpre), (dv, di)) in v.iter().zip(i).zip(vpre).zip(dv.iter_mut().zip(di)) {
            *vpre = self.phi(v, i);
            (*dv, *di) = self.slopes(v, i);
        }
    }
}

/// A flow on numbers of one kind. Its constants may be of that kind, too.
pub(crate) trait FlowOn<X: Number>: Sized {
    /// [`Flow::phi`].
    fn phi_on(&self, v: X, i: X) -> X;

    /// [`Flow::slopes`].
    fn slopes_on(&self, v: X, i: X) -> (X, X);

    /// [`Flow::field`], 0 where there is none.
    fn field_on(&self, _v: X, i: X) -> X {
        i.zero()
    }
}

/// Which neuron a layer is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Neuron {
    /// Non-leaky integrate-and-fire, dv/dt = I. See [`Nif`].
    Nif,
    /// Leaky integrate-and-fire, dv/dt = −v/τ_v + I. See [`Lif`].
    Lif {
        /// Membrane time constant τ_v, ms.
        tau_v: f64,
    },
    /// Quadratic integrate-and-fire in its phase form (theta neuron). See [`Qif`].
    Qif {
        /// Membrane time constant τ_v, ms.
        tau_v: f64,
    },
    /// Exponential integrate-and-fire. See [`Eif`].
    Eif(Eif),
    /// A model of one's own. See [`own`].
    Own(OwnNeuron),
}

/// The one place where a neuron becomes its model: each of the built-in ones gets a program of its own.
macro_rules! with_model {
    ($neuron:expr, |$model:ident| $body:expr, |$own:ident| $own_body:expr) => {
        match $neuron {
            $crate::neuron::Neuron::Nif => {
                let $model = $crate::neuron::Nif;
                $body
            }
            &$crate::neuron::Neuron::Lif { tau_v } => {
                let $model = $crate::neuron::Lif { tau_v };
                $body
            }
            &$crate::neuron::Neuron::Qif { tau_v } => {
                let $model = $crate::neuron::Qif { tau_v };
                $body
            }
            &$crate::neuron::Neuron::Eif($model) => $body,
            $crate::neuron::Neuron::Own($crate::neuron::OwnNeuron($own)) => $own_body,
        }
    };
}
pub(crate) use with_model;

/// (I ∂φ/∂I − dt f(v_{t+1}, I))/τ_v; 0 where the flow has no field.
#[inline(always)]
pub(crate) fn slope_by_tau<X: Number, F: Flow>(flow: &F, (tau, dt): (Option<f64>, f64), after: X, i: X, di: X) -> X {
    match (flow.field(after, i.clone()), tau) {
        (Some(field), Some(tau)) => (i * di - field.times(dt)).times(1.0 / tau),
        _ => i.zero(),
    }
}

impl Neuron {
    /// A neuron of one's own model.
    pub fn own(model: impl NeuronModel) -> Self {
        Neuron::Own(OwnNeuron::new(model))
    }

    /// Where a neuron starts when no state is given: 1/2 for QIF, 0 for the others.
    pub fn resting_potential(&self) -> f64 {
        with_model!(self, |model| model.resting_potential(), |own| own.resting_potential())
    }

    /// The steady current, in units of 1/τ_m, under which a neuron spikes `spikes` times in τ_m.
    pub fn steady_current(&self, spikes: f64) -> f64 {
        with_model!(self, |model| model.steady_current(spikes), |own| own.steady_current(spikes))
    }

    /// Membrane time constant, ms; `None` for NIF, which has none.
    pub fn tau(&self) -> Option<f64> {
        with_model!(self, |model| model.tau(), |own| own.tau())
    }

    /// Whether τ_v can be learned: it can for LIF and QIF, whose flows are exact.
    pub fn learns_tau(&self) -> bool {
        with_model!(self, |model| model.over(1.0).field(0.5, 0.1).is_some(), |_own| false)
    }

    /// ∂φ/∂τ_v over `dt` ms from v after the step, I and ∂φ/∂I; 0 where τ_v cannot be learned. See [`scan`](crate::scan).
    pub(crate) fn slope_by_tau<X: Number>(&self, after: X, i: X, di: X, dt: f64) -> X {
        let zero = i.zero();
        with_model!(self, |model| slope_by_tau(&model.over(dt), (model.tau(), dt), after, i, di), |_own| zero)
    }

    /// The f-I curve, if the model has one.
    pub fn rate_curve(&self) -> Option<RateCurve> {
        with_model!(self, |model| model.rate_curve(), |own| own.rate_curve())
    }

    /// The same neuron with another τ_v, where it has one that can be learned.
    pub(crate) fn with_tau(&self, tau: f64) -> Self {
        match self {
            Neuron::Lif { .. } => Neuron::Lif { tau_v: tau },
            Neuron::Qif { .. } => Neuron::Qif { tau_v: tau },
            other => other.clone(),
        }
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        with_model!(self, |model| model.check(), |own| own.check())
    }

    /// φ over `dt` ms; see [`Flow::phi`].
    pub fn phi<X: Number>(&self, v: X, i: X, dt: f64) -> X {
        with_model!(self, |model| model.over(dt).phi(v, i), |own| {
            let [phi] = own.phi(dt, v.is_double()).run([v, i]);
            phi
        })
    }

    /// The derivatives of φ over `dt` ms; see [`Flow::slopes`].
    pub fn slopes<X: Number>(&self, v: X, i: X, dt: f64) -> (X, X) {
        with_model!(self, |model| model.over(dt).slopes(v, i), |own| own.slopes(dt, v.is_double()).run([v, i]).into())
    }
}

impl std::fmt::Display for Neuron {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&with_model!(self, |model| model.name(), |own| own.name()))
    }
}
