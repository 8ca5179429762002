//! f-I curves: how often a neuron spikes under a steady current.
//!
//! ```text
//! model   rheobase I_r   rate f(I), spikes per ms, y = I − I_r > 0
//! NIF     0              y
//! LIF     1/τ_v          1/(τ_v ln(1 + 1/(τ_v y)))
//! QIF     0              2 √(y/τ_v)
//! EIF     measured       measured: a table in √y
//! ```
//!
//! The three closed forms are one over the time that the flow takes from reset to threshold. A neuron near its rheobase spikes by
//! fluctuations, too, and the mean-field adjoint ([`mean_field`](crate::scan::mean_field)) wants a slope there. So the curve is
//! softened: y is replaced by
//!
//! ```text
//! y = d ln(1 + e^((I − I_r)/d))        dy/dI = 1/(1 + e^(−(I − I_r)/d))
//! ```
//!
//! where d is the softness, 1/ms. Far above the rheobase nothing changes; below it the rate falls to 0 within a few d. The curve of LIF
//! begins so steeply, as 1/ln, that this would leave it a long tail; so it is multiplied by dy/dI, too.

use super::{Flow, NeuronModel};
use crate::error::ConfigError;
use crate::number::Number;

/// The f-I curve of a neuron. A neuron of one's own takes one of the closed forms, or [`measured`](RateCurve::measured).
#[derive(Debug, Clone, PartialEq)]
pub struct RateCurve {
    /// I_r, 1/ms.
    rheobase: f64,
    form: Form,
}

#[derive(Debug, Clone, PartialEq)]
enum Form {
    Linear,
    Leaky { tau: f64 },
    Quadratic { tau: f64 },
    Table(Vec<Knot>),
}

/// From here on the rate grows by `steepening` more for each unit of √y.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Knot {
    root: f64,
    steepening: f64,
}

/// Knots of a measured curve.
const KNOTS: usize = 24;
/// Steps in a time unit when a curve is measured.
const STEPS: usize = 50;
/// A neuron that does not spike within this many time units is taken for silent.
const PATIENCE: usize = 40;
/// Spikes in a time unit up to which a curve is measured; beyond, it goes on as it was.
const FASTEST: f64 = 100.0;
/// Lower values of (I − I_r)/d are raised to this. The rate there is about e^−60.
const LOWEST: f64 = -60.0;

impl RateCurve {
    /// f = I: a neuron that only integrates.
    pub fn linear() -> Self {
        Self { rheobase: 0.0, form: Form::Linear }
    }

    /// The curve of dv/dt = −v/τ_v + I, τ_v in ms, above 0.
    pub fn leaky(tau_v: f64) -> Self {
        Self { rheobase: 1.0 / tau_v, form: Form::Leaky { tau: tau_v } }
    }

    /// The curve of a quadratic neuron, f = 2 √(I/τ_v), τ_v in ms, above 0.
    pub fn quadratic(tau_v: f64) -> Self {
        Self { rheobase: 0.0, form: Form::Quadratic { tau: tau_v } }
    }

    /// The curve of any model, measured by its own flow: the time from reset to threshold under each of 24 currents, and the rheobase,
    /// by halving. It takes some hundred thousand steps of the flow.
    ///
    /// # Errors
    /// [`ConfigError`] if the model spikes under every current, or under none.
    pub fn measured(model: &impl NeuronModel) -> Result<Self, ConfigError> {
        let unit = model.tau().unwrap_or(10.0);
        let spikes = |current: f64| time_to_spike(model, current, unit).is_some();
        let doubled = |sign: f64, wanted: bool| {
            let currents = (0..60).map(|power| sign * 2.0_f64.powi(power) / unit);
            currents.into_iter().find(|&current| spikes(current) == wanted)
        };
        let (Some(mut high), Some(mut low)) = (doubled(1.0, true), doubled(-1.0, false)) else {
            return Err(ConfigError::Mismatch(format!(
                "the f-I curve of the neuron \"{}\" cannot be measured: it spikes under every current, or under none; give \
                 it a curve of its own by `NeuronModel::rate_curve`",
                model.name()
            )));
        };
        while high - low > 1e-9 * (high.abs() + low.abs()) {
            let middle = 0.5 * (low + high);
            *(if spikes(middle) { &mut high } else { &mut low }) = middle;
        }
        let rate = |y: f64| time_to_spike(model, high + y, unit).map_or(0.0, |time| 1.0 / time);
        let fastest = (0..40).map(|power| 2.0_f64.powi(power) / unit).find(|&y| rate(y) * unit >= FASTEST);
        let widest = fastest.unwrap_or(FASTEST / unit).sqrt();
        let root = |knot: usize| widest * (knot as f64 / KNOTS as f64).powi(2);
        let rates: Vec<f64> = (0..=KNOTS).map(|knot| rate(root(knot).powi(2))).collect();
        // The first slope starts from 0: at the rheobase itself a rate is not seen, since the neuron takes for ever.
        let first = rates[1] / root(1);
        let slopes: Vec<f64> = std::iter::once(first)
            .chain((1..KNOTS).map(|knot| (rates[knot + 1] - rates[knot]) / (root(knot + 1) - root(knot))))
            .collect();
        let before = std::iter::once(0.0).chain(slopes.iter().copied());
        let knots = slopes.iter().zip(before).enumerate();
        let knots = knots.map(|(at, (slope, before))| Knot { root: root(at), steepening: slope - before });
        Ok(Self { rheobase: high, form: Form::Table(knots.collect()) })
    }

    /// The current above which the neuron spikes for ever, 1/ms.
    pub fn rheobase(&self) -> f64 {
        self.rheobase
    }

    /// f(I), spikes per ms, under the steady current I, 1/ms.
    ///
    /// - `softness`: d, 1/ms, above 0.
    #[inline(always)]
    pub fn rate<X: Number>(&self, i: X, softness: f64) -> X {
        let (y, dy) = self.softened(i, softness);
        match &self.form {
            Form::Linear => y,
            Form::Leaky { tau } => dy * leaky_rate(y, *tau).0,
            Form::Quadratic { tau } => y.times(4.0 / tau).sqrt(),
            Form::Table(knots) => {
                let root = y.sqrt();
                knots.iter().fold(root.zero(), |rate, knot| {
                    rate + root.clone().plus(-knot.root).within(0.0, f32::MAX as f64).times(knot.steepening)
                })
            }
        }
    }

    /// f′(I), the slope of [`rate`](Self::rate); it has no unit.
    ///
    /// - `softness`: d, 1/ms, above 0.
    #[inline(always)]
    pub fn slope<X: Number>(&self, i: X, softness: f64) -> X {
        let (y, dy) = self.softened(i, softness);
        match &self.form {
            Form::Linear => dy,
            Form::Leaky { tau } => {
                let (rate, slope) = leaky_rate(y, *tau);
                let fall = (-dy.clone()).plus(1.0).times(1.0 / softness);
                dy.clone() * (slope * dy + rate * fall)
            }
            Form::Quadratic { tau } => dy / y.times(*tau).sqrt(),
            Form::Table(knots) => {
                let root = y.sqrt();
                let steepness = knots.iter().fold(root.zero(), |steepness, knot| {
                    // At the first knot the root is above 0 already.
                    let passed = root.below(knot.root);
                    steepness.clone() + X::select(&passed, root.zero(), root.zero().plus(knot.steepening))
                });
                dy * steepness / root.times(2.0)
            }
        }
    }

    /// y and dy/dI.
    #[inline(always)]
    fn softened<X: Number>(&self, i: X, softness: f64) -> (X, X) {
        let u = i.plus(-self.rheobase).times(1.0 / softness).within(LOWEST, f32::MAX as f64);
        let negative = u.below(0.0);
        // e^(−|u|) neither overflows nor loses its digits.
        let size = X::select(&negative, -u.clone(), u.clone());
        let fall = (-size).exp();
        let above = X::select(&negative, u.zero(), u);
        let whole = fall.clone().plus(1.0);
        let dy = X::select(&negative, fall.clone(), fall.one()) / whole;
        ((above + fall.ln_1p()).times(softness), dy)
    }
}

/// 1/(τ ln(1 + 1/(τ y))) and its slope.
#[inline(always)]
fn leaky_rate<X: Number>(y: X, tau: f64) -> (X, X) {
    let log = (y.one() / y.clone().times(tau)).ln_1p();
    let slope = (log.clone() * log.clone() * y.clone() * y.times(tau).plus(1.0)).times(tau).reciprocal();
    (log.times(tau).reciprocal(), slope)
}

/// Time from reset to threshold, ms, under a steady current; `None` if it takes too long.
fn time_to_spike(model: &impl NeuronModel, current: f64, unit: f64) -> Option<f64> {
    let dt = unit / STEPS as f64;
    let flow = model.over(dt);
    let mut v = 0.0;
    for step in 0..PATIENCE * STEPS {
        let next = flow.phi(v, current);
        if next >= 1.0 {
            let (mut low, mut high) = (0.0, dt);
            for _ in 0..40 {
                let middle = 0.5 * (low + high);
                let there: f64 = model.over(middle).phi(v, current);
                *(if there >= 1.0 { &mut high } else { &mut low }) = middle;
            }
            return Some(step as f64 * dt + high);
        }
        v = next;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::neuron::{Eif, Lif, Nif, Qif};

    const EIF: Eif = Eif { tau_v: 20.0, delta: 0.1, onset: 0.7 };

    fn curves() -> Vec<RateCurve> {
        vec![
            RateCurve::linear(),
            RateCurve::leaky(20.0),
            RateCurve::quadratic(25.0),
            RateCurve::measured(&EIF).unwrap(),
        ]
    }

    #[test]
    fn closed_forms_are_the_rates_of_the_flows() {
        fn check(model: impl NeuronModel, curve: RateCurve) {
            for excess in [0.003, 0.02, 0.3, 2.0] {
                let current = curve.rheobase() + excess;
                let found = curve.rate(current, 1e-6);
                let wanted = 1.0 / time_to_spike(&model, current, 20.0).unwrap();
                assert!((found / wanted - 1.0).abs() < 1e-9, "{model:?} at {current}: {found}, {wanted}");
            }
        }
        check(Nif, RateCurve::linear());
        check(Lif { tau_v: 20.0 }, RateCurve::leaky(20.0));
        check(Qif { tau_v: 25.0 }, RateCurve::quadratic(25.0));
    }

    #[test]
    fn a_measured_curve_is_the_one_that_is_known() {
        let (measured, known) = (RateCurve::measured(&Qif { tau_v: 25.0 }).unwrap(), RateCurve::quadratic(25.0));
        assert!(measured.rheobase().abs() < 1e-3, "{}", measured.rheobase());
        for current in [0.01, 0.05, 0.4, 1.5] {
            let (found, wanted) = (measured.rate(current, 0.002), known.rate(current, 0.002));
            assert!((found / wanted - 1.0_f64).abs() < 0.02, "at {current}: {found}, {wanted}");
        }
        let (eif, model) = (RateCurve::measured(&EIF).unwrap(), EIF);
        for excess in [0.004, 0.05, 1.0] {
            let current = eif.rheobase() + excess;
            let wanted = 1.0 / time_to_spike(&model, current, 20.0).unwrap();
            let found = eif.rate(current, 1e-5);
            assert!((found / wanted - 1.0).abs() < 0.02, "at {current}: {found}, {wanted}");
        }
    }

    #[test]
    fn slopes_are_those_of_the_rates() {
        for curve in curves() {
            for current in [-0.06_f64, -0.01, 0.003, 0.0203, 0.0602, 0.9] {
                let (h, softness) = (1e-7, 0.005);
                let difference = (curve.rate(current + h, softness) - curve.rate(current - h, softness)) / (2.0 * h);
                let slope = curve.slope(current, softness);
                assert!(
                    (slope - difference).abs() < 1e-5 * (1.0 + slope),
                    "{curve:?} at {current}: {slope}, {difference}"
                );
            }
        }
    }

    #[test]
    fn far_from_the_rheobase_nothing_is_infinite() {
        for curve in curves() {
            for current in [-1e6_f32, -10.0, -0.3, 0.0, 10.0, 1e6] {
                let (rate, slope) = (curve.rate(current, 0.005), curve.slope(current, 0.005));
                assert!(rate.is_finite() && rate >= 0.0, "{curve:?} at {current}: {rate}");
                assert!(slope.is_finite() && slope >= 0.0, "{curve:?} at {current}: {slope}");
            }
        }
    }

    #[test]
    fn a_model_that_never_rests_has_no_curve() {
        #[derive(Debug, Clone)]
        struct Restless;
        impl NeuronModel for Restless {
            type Flow = RestlessFlow;
            fn over(&self, _: f64) -> RestlessFlow {
                RestlessFlow
            }
            fn name(&self) -> String {
                "restless".into()
            }
        }
        #[derive(Debug, Clone, Copy)]
        struct RestlessFlow;
        impl Flow for RestlessFlow {
            type Near = Self;
            fn near(&self) -> (f64, Self) {
                (f64::INFINITY, *self)
            }
            fn phi<X: Number>(&self, v: X, _: X) -> X {
                v.plus(0.25)
            }
        }
        assert!(RateCurve::measured(&Restless).unwrap_err().to_string().contains("restless"));
    }
}
