//! The f-I curve of any model, measured with its own flow.

use super::flow::{Flow, NeuronModel};
use super::rate::RateCurve;
use crate::error::ConfigError;

/// Number of knots of a measured curve.
const KNOTS: usize = 24;
/// Number of steps in a time unit while a curve is measured.
const STEPS: usize = 50;
/// A neuron counts as silent if it does not spike within this many time units.
const PATIENCE: usize = 40;
/// The highest rate that is measured, in spikes per time unit. Above it, the curve goes on with its
/// last slope.
const FASTEST: f64 = 100.0;

impl RateCurve {
    /// Measures the curve of any model with its own flow: the time from reset to threshold under
    /// each of 24 currents, and the rheobase, by bisection. This takes some hundred thousand steps
    /// of the flow.
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
        // The first slope starts from rate 0. The rate at the rheobase itself cannot be measured,
        // because the neuron would take for ever to spike.
        let first = rates[1] / root(1);
        let slopes: Vec<f64> = std::iter::once(first)
            .chain((1..KNOTS).map(|knot| (rates[knot + 1] - rates[knot]) / (root(knot + 1) - root(knot))))
            .collect();
        let before = std::iter::once(0.0).chain(slopes.iter().copied());
        let knots = slopes.iter().zip(before).enumerate();
        let knots = knots.map(|(at, (slope, before))| (root(at), slope - before));
        Ok(Self::table(high, knots))
    }
}

/// The time from reset to threshold under a steady current, in ms; `None` if the neuron counts as
/// silent.
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
    use crate::num::Number;

    const EIF: Eif = Eif { tau_mem: 20.0, delta: 0.1, onset: 0.7, substeps: 1 };

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
        check(Lif { tau_mem: 20.0 }, RateCurve::leaky(20.0));
        check(Qif { tau_mem: 25.0 }, RateCurve::quadratic(25.0));
    }

    #[test]
    fn a_measured_curve_is_the_one_that_is_known() {
        let (measured, known) = (RateCurve::measured(&Qif { tau_mem: 25.0 }).unwrap(), RateCurve::quadratic(25.0));
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
    fn a_model_that_never_rests_has_no_curve() {
        #[derive(Debug, Clone, PartialEq)]
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
            fn phi<X: Number>(&self, v: X, _: X) -> X {
                v.plus(0.25)
            }
        }
        assert!(RateCurve::measured(&Restless).unwrap_err().to_string().contains("restless"));
    }
}
