//! Neuron models: the membrane potential over one time step with a constant current.
//!
//! A model computes the neuron's *exact flow* φ(v, I), the solution of dv/dt = f(v, I) after dt, or
//! a map that approximates it. The threshold is v = 1, the reset v = 0. φ is *unwrapped*: if the
//! neuron spikes n times in the step, φ is n higher than the potential after the reset.
//!
//! | model | equation | flow | spikes in a step |
//! | --- | --- | --- | --- |
//! | [`nif`] | dv/dt = I | exact | any number |
//! | [`lif`] | dv/dt = −v/τ_mem + I | exact, with the saltation of each reset | any number |
//! | [`qif`] | dv/dt = (1 + cos 2πv)/τ_mem + (1 − cos 2πv) I | exact | any number |
//! | [`eif`] | dv/dt = (−v + Δ e^((v − v_T)/Δ))/τ_mem + I | Runge-Kutta of order 4, exactly differentiated | one |
//! | [`own`] | user-defined | user-defined | user-defined |
//! | [`planar`] | two variables: ALIF, AdEx, Izhikevich, LIF with a refractory period, resonate-and-fire | exact or Runge-Kutta | one in each sub-step |
//!
//! A model is a [`NeuronModel`]. Its flow over a step of fixed length is a [`Flow`], which is
//! implemented once, generic over the type of numbers.

mod crossing;
pub mod eif;
pub(crate) mod expression;
pub(crate) mod flow;
pub mod lif;
mod measured;
pub(crate) mod membrane;
pub mod nif;
pub mod own;
pub mod planar;
pub mod qif;
pub mod rate;
pub(crate) mod rows;

pub use eif::Eif;
pub use flow::{Flow, NeuronModel, TimeToThreshold};
pub use lif::Lif;
pub use nif::Nif;
pub use own::OwnNeuron;
pub use planar::{AdEx, AdExConstants, Alif, Izhikevich, OwnPlanarNeuron, RefractoryLif, ResonateAndFire};
pub use qif::Qif;
pub use rate::RateCurve;

use crate::error::ConfigError;
use crate::num::{Dual, Number, apart};
use flow::slope_by_tau;
use planar::{CONSTANTS, Jacobian, LearnableConstants, Moved, PlanarModel, SecondConstant, WITH_CONSTANTS};
use serde::{Deserialize, Serialize};

/// The neuron model of a layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Neuron {
    /// Non-leaky integrate-and-fire, dv/dt = I. See [`Nif`].
    Nif,
    /// Leaky integrate-and-fire, dv/dt = −v/τ_mem + I. See [`Lif`].
    Lif {
        /// Membrane time constant τ_mem, ms.
        tau_mem: f64,
    },
    /// Quadratic integrate-and-fire in its phase form (theta neuron). See [`Qif`].
    Qif {
        /// Membrane time constant τ_mem, ms.
        tau_mem: f64,
    },
    /// Exponential integrate-and-fire. See [`Eif`].
    Eif(Eif),
    /// Leaky with a threshold that adapts. See [`Alif`].
    Alif(Alif),
    /// Exponential with adaptation. See [`AdEx`].
    AdEx(AdEx),
    /// Quadratic with recovery. See [`Izhikevich`].
    Izhikevich(Izhikevich),
    /// Leaky with a refractory period. See [`RefractoryLif`].
    RefractoryLif(RefractoryLif),
    /// Resonate-and-fire. See [`ResonateAndFire`].
    ResonateAndFire(ResonateAndFire),
    /// A user-defined model. See [`own`].
    Own(OwnNeuron),
    /// A user-defined model with two variables. See [`planar::own`].
    OwnPlanar(OwnPlanarNeuron),
}

/// Runs `$body` with the model of a built-in neuron of one variable, `$own_body` with a
/// user-defined neuron, or `$planar_body` with the model of a neuron of two variables. A
/// user-defined neuron of two variables is such a model, too, unless `$own_planar_body` is given. A
/// body is compiled once for each built-in model. Only this macro maps a [`Neuron`] to its
/// [`NeuronModel`] or [`PlanarModel`](planar::PlanarModel).
macro_rules! with_model {
    ($neuron:expr, |$model:ident| $body:expr, |$own:ident| $own_body:expr, |$planar:ident| $planar_body:expr) => {
        $crate::neuron::with_model!($neuron, |$model| $body, |$own| $own_body, |$planar| $planar_body, |own_planar| {
            let $planar = own_planar.clone();
            $planar_body
        })
    };
    (
        $neuron:expr,
        |$model:ident| $body:expr,
        |$own:ident| $own_body:expr,
        |$planar:ident| $planar_body:expr,
        |$own_planar:ident| $own_planar_body:expr
    ) => {
        match $neuron {
            $crate::neuron::Neuron::Nif => {
                let $model = $crate::neuron::Nif;
                $body
            }
            &$crate::neuron::Neuron::Lif { tau_mem } => {
                let $model = $crate::neuron::Lif { tau_mem };
                $body
            }
            &$crate::neuron::Neuron::Qif { tau_mem } => {
                let $model = $crate::neuron::Qif { tau_mem };
                $body
            }
            &$crate::neuron::Neuron::Eif($model) => $body,
            &$crate::neuron::Neuron::Alif($planar) => $planar_body,
            &$crate::neuron::Neuron::AdEx($planar) => $planar_body,
            &$crate::neuron::Neuron::Izhikevich($planar) => $planar_body,
            &$crate::neuron::Neuron::RefractoryLif($planar) => $planar_body,
            &$crate::neuron::Neuron::ResonateAndFire($planar) => $planar_body,
            $crate::neuron::Neuron::OwnPlanar($own_planar) => $own_planar_body,
            $crate::neuron::Neuron::Own($own) => $own_body,
        }
    };
}
pub(crate) use with_model;

impl Neuron {
    /// The initial potential of a neuron if no state is given: 1/2 for QIF, 0 for the other
    /// built-in models of one variable.
    pub fn resting_potential(&self) -> f64 {
        with_model!(self, |model| model.resting_potential(), |own| own.model().resting_potential(), |planar| planar
            .resting_potential())
    }

    /// The steady current, in units of 1/τ_u, under which a neuron spikes `spikes` times in τ_u.
    pub fn steady_current(&self, spikes: f64) -> f64 {
        with_model!(self, |model| model.steady_current(spikes), |own| own.model().steady_current(spikes), |planar| {
            planar.steady_current(spikes)
        })
    }

    /// The membrane time constant, in ms; `None` for a model without one, such as NIF.
    pub fn tau(&self) -> Option<f64> {
        with_model!(self, |model| model.tau(), |own| own.model().tau(), |planar| planar.tau())
    }

    /// Whether τ_mem can be learned. This is so for LIF and QIF, whose flows are exact, and for
    /// neurons of two variables that have a τ_mem.
    pub fn learns_tau(&self) -> bool {
        self.has_membrane() || with_model!(self, |_model| false, |_own| false, |planar| planar.constants()[0].is_some())
    }

    /// Whether the neuron has one variable and an exact flow with a τ_mem.
    pub(crate) fn has_membrane(&self) -> bool {
        with_model!(self, |model| model.over(1.0).dvdt(0.5, 0.1).is_some(), |_own| false, |_planar| false)
    }

    /// The second constant of a neuron of two variables that can be learned, with its value in ms
    /// or Hz; `None` if there is none.
    pub fn second_constant(&self) -> Option<(SecondConstant, f64)> {
        with_model!(self, |_model| None, |_own| None, |planar| planar.second().zip(planar.constants()[1]))
    }

    /// The constants of a planar flow that can be learned, and b; `None` for neurons of one
    /// variable. A constant that the model does not have is 1.
    pub(crate) fn planar_constants(&self) -> Option<([f64; CONSTANTS], f64)> {
        with_model!(self, |_model| None, |_own| None, |planar| Some((
            planar.constants().map(|constant| constant.unwrap_or(1.0)),
            planar.jump()
        )))
    }

    /// The same neuron with other [`planar_constants`](Self::planar_constants), if it has two
    /// variables; otherwise an unchanged copy.
    pub(crate) fn with_planar_constants(&self, constants: [f64; CONSTANTS], jump: f64) -> Self {
        match self {
            Neuron::Alif(model) => Neuron::Alif(model.with_constants(constants, jump)),
            Neuron::AdEx(model) => Neuron::AdEx(model.with_constants(constants, jump)),
            Neuron::Izhikevich(model) => Neuron::Izhikevich(model.with_constants(constants, jump)),
            Neuron::RefractoryLif(model) => Neuron::RefractoryLif(model.with_constants(constants, jump)),
            Neuron::ResonateAndFire(model) => Neuron::ResonateAndFire(model.with_constants(constants, jump)),
            Neuron::OwnPlanar(model) => Neuron::OwnPlanar(model.with_constants(constants, jump)),
            other => other.clone(),
        }
    }

    /// b, the rise of the second variable w by one spike; `None` for a neuron of one variable.
    pub fn jump(&self) -> Option<f64> {
        with_model!(self, |_model| None, |_own| None, |planar| Some(planar.jump()))
    }

    /// Whether the neuron has two variables, v and w.
    pub fn is_planar(&self) -> bool {
        self.jump().is_some()
    }

    /// ∂φ/∂τ_mem over `dt` ms, from v after the step, I and ∂φ/∂I; 0 if τ_mem cannot be learned.
    /// See [`scan`](crate::scan).
    pub(crate) fn slope_by_tau<X: Number>(&self, after: X, i: X, di: X, dt: f64) -> X {
        let zero = i.zero();
        with_model!(
            self,
            |model| slope_by_tau(&model.over(dt), (model.tau(), dt), after, i, di),
            |_own| zero,
            |_planar| zero
        )
    }

    /// The f-I curve, if the model has one.
    pub fn rate_curve(&self) -> Option<RateCurve> {
        with_model!(self, |model| model.rate_curve(), |own| own.model().rate_curve(), |_planar| None)
    }

    /// The time from v below the threshold to the threshold under a constant current I; see
    /// [`NeuronModel::time_to_threshold`]. `None` also for neurons of two variables.
    pub fn time_to_threshold(&self, v: f64, i: f64) -> Option<TimeToThreshold> {
        with_model!(self, |model| model.time_to_threshold(v, i), |own| own.model().time_to_threshold(v, i), |_planar| {
            None
        })
    }

    /// The same neuron with another τ_mem, if its τ_mem can be learned; otherwise an unchanged
    /// copy.
    pub(crate) fn with_tau(&self, tau: f64) -> Self {
        match self {
            Neuron::Lif { .. } => Neuron::Lif { tau_mem: tau },
            Neuron::Qif { .. } => Neuron::Qif { tau_mem: tau },
            other => other.clone(),
        }
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        with_model!(self, |model| model.check(), |own| own.model().check(), |planar| planar.check())
    }

    /// Refuses steps of `dt` ms that are too long for the neuron.
    pub(crate) fn check_step(&self, dt: f64) -> Result<(), ConfigError> {
        with_model!(self, |_model| Ok(()), |_own| Ok(()), |planar| planar.check_step(dt))
    }

    /// φ over `dt` ms; see [`Flow::phi`].
    ///
    /// # Panics
    /// If the neuron has two variables. See [`planar_step`](Self::planar_step).
    pub fn phi<X: Number>(&self, v: X, i: X, dt: f64) -> X {
        with_model!(
            self,
            |model| model.over(dt).phi(v, i),
            |own| {
                let [phi] = own.model().phi(dt, v.is_double()).run([v, i]);
                phi
            },
            |planar| two_variables(&planar)
        )
    }

    /// The derivatives of φ over `dt` ms; see [`Flow::slopes`].
    ///
    /// # Panics
    /// If the neuron has two variables. See [`planar_step`](Self::planar_step).
    pub fn slopes<X: Number>(&self, v: X, i: X, dt: f64) -> (X, X) {
        with_model!(
            self,
            |model| model.over(dt).slopes(v, i),
            |own| own.model().slopes(dt, v.is_double()).run([v, i]).into(),
            |planar| two_variables(&planar)
        )
    }

    /// The state of a neuron of two variables after `dt` ms, before the jump of w.
    ///
    /// # Panics
    /// If the neuron has one variable.
    pub fn planar_step<X: Number>(&self, v: X, w: X, i: X, dt: f64) -> Moved<X> {
        with_model!(self, |model| one_variable(&model), |own| one_variable(own), |planar| {
            apart(|(v, w, i)| planar.over(dt).step(v, w, i), (v, w, i))
        })
    }

    /// [`planar_step`](Self::planar_step) and its derivatives.
    ///
    /// # Panics
    /// If the neuron has one variable.
    pub fn planar_step_and_jacobian<X: Number>(&self, v: X, w: X, i: X, dt: f64) -> (Moved<X>, Jacobian<X>) {
        with_model!(self, |model| one_variable(&model), |own| one_variable(own), |planar| {
            apart(|(v, w, i)| planar.over(dt).step_and_jacobian(v, w, i), (v, w, i))
        })
    }

    /// [`planar_step`](Self::planar_step) with other constants of the flow, those of
    /// [`LearnableConstants::constants`].
    ///
    /// # Panics
    /// If the neuron has one variable.
    pub fn planar_step_with<X: Number>(&self, (v, w, i): (X, X, X), dt: f64, constants: [X; CONSTANTS]) -> Moved<X> {
        with_model!(self, |model| one_variable(&model), |own| one_variable(own), |planar| {
            apart(|(v, w, i, constants)| planar.over_with(dt, constants).step(v, w, i), (v, w, i, constants))
        })
    }

    /// [`planar_step_with`](Self::planar_step_with) and its derivatives.
    ///
    /// # Panics
    /// If the neuron has one variable.
    pub fn planar_step_and_jacobian_with<X: Number>(
        &self,
        (v, w, i): (X, X, X),
        dt: f64,
        constants: [X; CONSTANTS],
    ) -> (Moved<X>, Jacobian<X, WITH_CONSTANTS>) {
        type Of<X> = Dual<X, WITH_CONSTANTS>;
        let [first, second] = constants;
        let constants = [Of::variable(first, 3), Of::variable(second, 4)];
        let state = (Of::variable(v, 0), Of::variable(w, 1), Of::variable(i, 2));
        self.planar_step_with(state, dt, constants).split()
    }
}

/// The parts of a step of neurons with two variables, for programs with branches. A step has
/// [`substeps`](Self::substeps) of them: in each, the neuron moves [freely](Self::planar_free), or
/// it has [crossed](Self::planar_crossed) the threshold.
#[cfg(feature = "cube")]
impl Neuron {
    /// The number of sub-steps of a step.
    pub(crate) fn substeps(&self) -> usize {
        with_model!(self, |_model| 1, |_own| 1, |planar| planar.over(1.0).substeps())
    }

    /// See [`PlanarFlow::free`](planar::PlanarFlow::free).
    pub(crate) fn planar_free<X: Number>(&self, v: X, w: X, i: X, dt: f64) -> (X, X) {
        with_model!(self, |model| one_variable(&model), |own| one_variable(own), |planar| planar.over(dt).free(v, w, i))
    }

    /// See [`PlanarFlow::crossed`](planar::PlanarFlow::crossed).
    pub(crate) fn planar_crossed<X: Number>(&self, at: (X, X), i: X, end: X, dt: f64) -> (X, X) {
        with_model!(self, |model| one_variable(&model), |own| one_variable(own), |planar| planar
            .over(dt)
            .crossed(at, i, end))
    }
}

fn one_variable(model: &impl std::fmt::Debug) -> ! {
    panic!("{model:?} has one variable; use `phi` and `slopes`")
}

fn two_variables(model: &impl std::fmt::Debug) -> ! {
    panic!("{model:?} has two variables; use `planar_step` and `planar_step_and_jacobian`")
}

impl std::fmt::Display for Neuron {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&with_model!(self, |model| model.name(), |own| own.model().name(), |planar| planar.name()))
    }
}
