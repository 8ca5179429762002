//! The traits that every neuron model implements.

use super::rate::RateCurve;
use crate::error::{ConfigError, at_least_one};
use crate::num::Dual;
use crate::num::{Float, Number};

/// A neuron model: its constants, and the flow that they and the length of a step determine.
///
/// Two models are equal if all their constants are equal, which `#[derive(PartialEq)]` provides.
pub trait NeuronModel: Clone + std::fmt::Debug + PartialEq + Send + Sync + 'static {
    /// The flow over one step.
    type Flow: Flow;

    /// The flow over `dt` ms.
    fn over(&self, dt: f64) -> Self::Flow;

    /// The name of the model, with the value of every constant. Records and messages contain it.
    /// The default is the text of the derived `Debug`, such as `Quartic { tau_mem: 10.0 }`.
    fn name(&self) -> String {
        format!("{self:?}")
    }

    /// Refuses constants that are invalid for the model.
    ///
    /// # Errors
    /// [`ConfigError`] names the value, its limit and the remedy.
    fn check(&self) -> Result<(), ConfigError> {
        Ok(())
    }

    /// The initial potential of a neuron if no state is given, in [0, 1).
    fn resting_potential(&self) -> f64 {
        0.0
    }

    /// The membrane time constant τ_mem, in ms; `None` if there is none. If there is one, it is the
    /// unit of the layer's parameters.
    fn tau(&self) -> Option<f64> {
        None
    }

    /// The approximate steady current, in units of 1/τ_u, under which a neuron spikes `spikes`
    /// times in τ_u. The initial bias current of a new layer is computed from it.
    fn steady_current(&self, spikes: f64) -> f64 {
        spikes
    }

    /// The f-I curve, whose slope [`Adjoint::MeanField`](crate::Adjoint::MeanField) uses to send
    /// errors back. The default is `None`: the model has no curve, and layers refuse that adjoint.
    /// [`RateCurve::measured`] makes a curve for any model.
    fn rate_curve(&self) -> Option<RateCurve> {
        None
    }

    /// The time that the neuron takes from v below the threshold to the threshold, under a constant
    /// current I (1/ms). `None` if it does not get there, or if the model has no such formula.
    /// [`Trajectory::first_spikes`](crate::Trajectory::first_spikes) needs it, and a φ that rises
    /// with I without bound.
    fn time_to_threshold(&self, _v: f64, _i: f64) -> Option<TimeToThreshold> {
        None
    }
}

/// The time to the threshold, with its derivatives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TimeToThreshold {
    /// The time, in ms.
    pub time: f64,
    /// ∂time/∂v = −1/f(v, I), in ms.
    pub by_v: f64,
    /// ∂time/∂I, in ms².
    pub by_i: f64,
}

/// The least speed at the threshold, in 1/ms, by which a derivative divides. A neuron that only
/// touches the threshold has no derivative there.
pub(crate) const SLOWEST: f64 = 1e-6;

/// The flow of a neuron over one step of fixed length, and its two partial derivatives.
///
/// A flow uses arithmetic and selects instead of branches, so that it can run on many neurons at
/// once. Both sides of a select must be finite.
pub trait Flow: Copy + Send + Sync + 'static {
    /// φ(v, I), unwrapped, for v after its reset and I in 1/ms.
    fn phi<X: Number>(&self, v: X, i: X) -> X;

    /// (∂φ/∂v, ∂φ/∂I), the second in ms. The default computes both by dual numbers.
    #[inline(always)]
    fn slopes<X: Number>(&self, v: X, i: X) -> (X, X) {
        let [dv, di] = self.phi(Dual::potential(v), Dual::current(i)).slopes;
        (dv, di)
    }

    /// f(v, I) if the flow is the exact solution of dv/dt = f(v, I) over the step and the neuron
    /// has a τ_mem; `None` for other flows. τ_mem of a built-in model can be learned only if this
    /// is given.
    #[inline(always)]
    fn dvdt<X: Number>(&self, _v: X, _i: X) -> Option<X> {
        None
    }

    /// φ of a row of neurons. An implementation may use a cheaper formula for a row that allows it,
    /// if the numbers are the same to the last bit.
    #[inline(always)]
    fn phi_row<X: Float>(&self, (v, i): (&[X], &[X]), vpre: &mut [X]) {
        for ((&v, &i), vpre) in v.iter().zip(i).zip(vpre) {
            *vpre = self.phi(v, i);
        }
    }

    /// φ, ∂φ/∂v and ∂φ/∂I of a row of neurons. φ has the same values as in
    /// [`phi_row`](Self::phi_row).
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

    /// The cheaper form, and the largest |I| (1/ms) for which it is valid. Within this limit, both
    /// forms agree bit for bit, because the currents of many neurons together decide which form
    /// runs. A flow without a cheaper form returns an infinite limit and itself.
    fn small_current(&self) -> (f64, Self::Small);
}

/// A flow on numbers of one type. Its constants may have that type, too.
pub(crate) trait FlowOn<X: Number>: Sized {
    /// [`Flow::phi`].
    fn phi_on(&self, v: X, i: X) -> X;

    /// [`Flow::slopes`].
    fn slopes_on(&self, v: X, i: X) -> (X, X);

    /// [`Flow::dvdt`]; 0 if the flow has none.
    fn dvdt_on(&self, _v: X, i: X) -> X {
        i.zero()
    }
}

/// ∂φ/∂τ_mem = (I ∂φ/∂I − dt f(v_{t+1}, I))/τ_mem; 0 if the flow has no [`dvdt`](Flow::dvdt) or the
/// neuron no τ_mem.
#[inline(always)]
pub(crate) fn slope_by_tau<X: Number, F: Flow>(flow: &F, (tau, dt): (Option<f64>, f64), after: X, i: X, di: X) -> X {
    match (flow.dvdt(after, i.clone()), tau) {
        (Some(field), Some(tau)) => (i * di - field.times(dt)).times(1.0 / tau),
        _ => i.zero(),
    }
}

/// Refuses a number of sub-steps that is 0.
pub(crate) fn check_substeps(substeps: usize) -> Result<(), ConfigError> {
    at_least_one("substeps", substeps, "give the number of parts into which a step is cut")
}
