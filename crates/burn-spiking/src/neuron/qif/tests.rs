//! Tests of the flow in its phase form.

use super::*;
use crate::neuron::flow::{Flow, SmallCurrent};
use crate::num::Real;

const TAU_V: f64 = 25.0;

fn runge_kutta(v: f64, i: f64, dt: f64, steps: usize) -> f64 {
    let f = |v: f64| (1.0 + (2.0 * PI * v).cos()) / TAU_V + (1.0 - (2.0 * PI * v).cos()) * i;
    let h = dt / steps as f64;
    (0..steps).fold(v, |v, _| {
        let k1 = f(v);
        let k2 = f(v + 0.5 * h * k1);
        let k3 = f(v + 0.5 * h * k2);
        let k4 = f(v + h * k3);
        v + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
    })
}

/// Potentials, currents and steps, from strong inhibition to several spikes in a step.
fn grid() -> impl Iterator<Item = (f64, f64, QifFlow, f64)> {
    let vs = [0.0, 0.013, 0.25, 0.5, 0.77, 0.999];
    let is = [-30.0, -1.0, -1e-3, -1e-9, 0.0, 1e-9, 1e-3, 0.02, 1.0, 6.3, 40.0];
    let dts = [0.01, 0.5, 1.0, 5.0];
    vs.into_iter().flat_map(move |v| {
        is.into_iter().flat_map(move |i| dts.into_iter().map(move |dt| (v, i, Qif { tau_mem: TAU_V }.over(dt), dt)))
    })
}

#[test]
fn flow_solves_the_equation() {
    for (v, i, flow, dt) in grid() {
        let want = runge_kutta(v, i, dt, 20_000);
        let got = flow.phi(v, i);
        assert!((got - want).abs() < 1e-6 * (1.0 + want.abs()), "v {v} I {i} dt {dt}: {got} against {want}");
        let single = flow.phi(v as f32, i as f32) as f64;
        // Rounding v and I once changes φ in proportion to its slopes.
        let (dv, di) = flow.slopes(v, i);
        let allowed = 1e-6 * (1.0 + want.abs() + dv + (di * i).abs());
        assert!((single - want).abs() < allowed, "f32, v {v} I {i} dt {dt}: {single} against {want}");
    }
}

#[test]
fn slopes_match_central_differences() {
    for (v, i, flow, dt) in grid() {
        let (dv, di) = flow.slopes(v, i);
        let h = 1e-6;
        let want_v = (flow.phi(v + h, i) - flow.phi(v - h, i)) / (2.0 * h);
        let want_i = (flow.phi(v, i + h) - flow.phi(v, i - h)) / (2.0 * h);
        assert!((dv - want_v).abs() < 1e-5 * (1.0 + dv.abs()), "v {v} I {i} dt {dt}: dv {dv} against {want_v}");
        assert!((di - want_i).abs() < 1e-5 * (1.0 + di.abs()), "v {v} I {i} dt {dt}: di {di} against {want_i}");
    }
}

#[test]
fn the_flow_for_small_currents_is_the_flow() {
    for (v, _, flow, dt) in grid() {
        let (limit, small) = flow.small_current();
        for share in [-1.0, -0.3, 0.0, 1e-3, 0.5, 1.0] {
            let i = share * limit;
            assert_eq!(small.phi(v, i), flow.phi(v, i), "v {v} I {i} dt {dt}");
            assert_eq!(small.slopes(v, i), flow.slopes(v, i), "v {v} I {i} dt {dt}");
            let (v, i) = (v as f32, i as f32);
            assert_eq!(small.phi(v, i), flow.phi(v, i), "f32, v {v} I {i} dt {dt}");
            assert_eq!(small.slopes(v, i), flow.slopes(v, i), "f32, v {v} I {i} dt {dt}");
        }
    }
}

#[test]
fn rows_are_the_flow() {
    fn check<T: Real>(flow: &QifFlow, v: &[f64], i: &[f64]) {
        let row = |x: &[f64]| -> Vec<T> { x.iter().map(|&x| T::of(x)).collect() };
        let (v, i) = (row(v), row(i));
        let [mut vpre, mut again, mut dv, mut di] = [(); 4].map(|()| v.clone());
        flow.phi_row((&v, &i), &mut vpre);
        flow.phi_and_slopes_row((&v, &i), &mut again, (&mut dv, &mut di));
        assert_eq!(vpre, again);
        for (l, (&v, &i)) in v.iter().zip(&i).enumerate() {
            assert_eq!(vpre[l], flow.phi(v, i));
            assert_eq!((dv[l], di[l]), flow.slopes(v, i));
        }
    }
    for dt in [0.1, 1.0, 5.0] {
        let flow = Qif { tau_mem: TAU_V }.over(dt);
        // Small turns, turns of any size, and currents beyond the series.
        for largest in [0.01, 0.6, 40.0] {
            let v: Vec<f64> = (0..37).map(|l| (0.07 + 0.43 * l as f64) % 1.0).collect();
            let i: Vec<f64> = (0..37).map(|l| largest * (1.7 * l as f64).sin()).collect();
            check::<f64>(&flow, &v, &i);
            check::<f32>(&flow, &v, &i);
        }
    }
}

#[test]
fn flow_is_continuous_where_the_formulas_meet() {
    for dt in [0.5, 1.0, 5.0] {
        let flow = Qif { tau_mem: TAU_V }.over(dt);
        let edge = 1.0 / flow.small.z(1.0);
        for i in [-edge, edge, 4.0 * PI * PI * edge / 4.0] {
            for v in [0.1, 0.6, 0.95] {
                let (below, above) = (flow.phi(v, i * (1.0 - 1e-13)), flow.phi(v, i * (1.0 + 1e-13)));
                assert!((below - above).abs() < 1e-11, "v {v} I {i} dt {dt}: {below} and {above}");
                let (below, above) = (flow.slopes(v, i * (1.0 - 1e-13)), flow.slopes(v, i * (1.0 + 1e-13)));
                assert!((below.0 / above.0 - 1.0).abs() < 1e-9 && (below.1 / above.1 - 1.0).abs() < 1e-9);
            }
        }
    }
}
