//! What a neuron model is: the traits that every neuron's file implements.

use super::rate::RateCurve;
use crate::error::ConfigError;
use crate::num::Dual;
use crate::num::{Float, Number};

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

    /// Membrane time constant τ_mem, ms, which is then the unit of the layer's parameters; `None` if there is none.
    fn tau(&self) -> Option<f64> {
        None
    }

    /// About the steady current, in units of 1/τ_u, under which a neuron spikes `spikes` times in τ_u. Fresh layers start
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
/// select must be finite.
pub trait Flow: Copy + Send + Sync + 'static {
    /// φ(v, I), unwrapped, for v after its reset and I in 1/ms.
    fn phi<X: Number>(&self, v: X, i: X) -> X;

    /// (∂φ/∂v, ∂φ/∂I); the second in ms. By default from dual numbers.
    #[inline(always)]
    fn slopes<X: Number>(&self, v: X, i: X) -> (X, X) {
        let [dv, di] = self.phi(Dual::potential(v), Dual::current(i)).slopes;
        (dv, di)
    }

    /// f(v, I) of a flow that is the exact solution of dv/dt = f(v, I) over the step, for a neuron that has a τ_mem; `None` of others.
    /// With it τ_mem can be learned.
    #[inline(always)]
    fn dvdt<X: Number>(&self, _v: X, _i: X) -> Option<X> {
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

/// A built-in flow that may have a cheaper form for small currents.
pub(crate) trait SmallCurrent: Flow {
    /// The cheaper form.
    type Small: Flow;

    /// The cheaper form and the largest |I| (1/ms) that it holds for. There it agrees with the flow bit for bit, since the currents of
    /// many neurons decide together which of the two runs. Without a cheaper form: no limit, and the flow itself.
    fn small_current(&self) -> (f64, Self::Small);
}

/// A flow on numbers of one kind. Its constants may be of that kind, too.
pub(crate) trait FlowOn<X: Number>: Sized {
    /// [`Flow::phi`].
    fn phi_on(&self, v: X, i: X) -> X;

    /// [`Flow::slopes`].
    fn slopes_on(&self, v: X, i: X) -> (X, X);

    /// [`Flow::dvdt`], 0 where there is none.
    fn dvdt_on(&self, _v: X, i: X) -> X {
        i.zero()
    }
}

/// (I ∂φ/∂I − dt f(v_{t+1}, I))/τ_mem; 0 where the flow has no field.
#[inline(always)]
pub(crate) fn slope_by_tau<X: Number, F: Flow>(flow: &F, (tau, dt): (Option<f64>, f64), after: X, i: X, di: X) -> X {
    match (flow.dvdt(after, i.clone()), tau) {
        (Some(field), Some(tau)) => (i * di - field.times(dt)).times(1.0 / tau),
        _ => i.zero(),
    }
}
