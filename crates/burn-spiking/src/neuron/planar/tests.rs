//! Planar flows against an integration in short steps that finds each crossing by bisection, and
//! their slopes against central differences.

use super::*;

/// Each model with currents (1/ms) under which it stays silent, and under which it spikes.
fn models(check: impl Fn(&str, &dyn Fn(f64) -> Step, &[f64])) {
    fn of<M: PlanarModel>(model: M) -> impl Fn(f64) -> Step {
        model.check().expect("valid constants");
        move |dt| {
            let flow = model.over(dt);
            let again = flow.clone();
            Step {
                flow: Box::new(move |v, w, i| again.step(v, w, i)),
                jacobian: Box::new(move |v, w, i| flow.step_and_jacobian(v, w, i).1),
            }
        }
    }
    check("ALIF", &of(Alif::new(20.0, 100.0, 0.3)), &[-0.02, 0.03, 0.2]);
    check("resonate", &of(ResonateAndFire::new(30.0, 20.0)), &[-0.05, 0.05, 0.3]);
    check("refractory", &of(RefractoryLif::new(20.0, 0.25)), &[-0.02, 0.06, 2.0]);
    let constants = AdExConstants::adapting();
    let current = constants.current(65.0) / 20.0;
    check("AdEx", &of(AdEx::published(constants, 1)), &[-0.5 * current, current, 4.0 * current]);
    let constants = AdExConstants::bursting();
    let current = constants.current(65.0) / 5.0;
    check("AdEx bursting", &of(AdEx::published(constants, 4)), &[-0.5 * current, current, 4.0 * current]);
    let model = Izhikevich::regular_spiking(1);
    check("Izhikevich", &of(model), &[0.0, model.current(10.0), model.current(40.0)]);
}

struct Step {
    flow: Box<dyn Fn(f64, f64, f64) -> Moved<f64>>,
    jacobian: Box<dyn Fn(f64, f64, f64) -> Jacobian<f64>>,
}

/// States (v, w). The time that is left of a refractory period is not negative.
fn states(name: &str) -> impl Iterator<Item = (f64, f64)> {
    let least = if name == "refractory" { 0.0 } else { -1.0 };
    let vs = [-0.4, 0.0, 0.4, 0.8, 0.93, 0.97, 0.995];
    vs.into_iter().flat_map(|v| [-0.1, 0.0, 0.2].map(|w| (v, w))).filter(move |&(_, w)| w >= least)
}

/// The state after `dt` ms, with a step so short that the place of a crossing in it does not
/// matter.
fn in_short_steps(model: &dyn Fn(f64) -> Step, (v, w): (f64, f64), i: f64, dt: f64) -> Moved<f64> {
    let parts = 20_000;
    let short = model(dt / parts as f64);
    let mut now = Moved { v, spikes: 0.0, w };
    for _ in 0..parts {
        let next = (short.flow)(now.v, now.w, i);
        now = Moved { v: next.v, spikes: now.spikes + next.spikes, w: next.w };
    }
    now
}

#[test]
fn flows_approach_their_equations() {
    models(|name, model, currents| {
        // Its upstroke is too steep for so few sub-steps.
        if name == "AdEx bursting" {
            return;
        }
        let mut spiked = 0;
        for (v, w) in states(name) {
            for &i in currents {
                let dt = 0.1;
                let wanted = in_short_steps(model, (v, w), i, dt);
                let found = (model(dt).flow)(v, w, i);
                spiked += wanted.spikes as usize;
                assert_eq!(found.spikes, wanted.spikes, "{name} v {v} w {w} I {i}");
                assert!((found.v - wanted.v).abs() < 1e-4, "{name} v {v} w {w} I {i}: {found:?}, not {wanted:?}");
                assert!((found.w - wanted.w).abs() < 1e-4, "{name} v {v} w {w} I {i}: {found:?}, not {wanted:?}");
            }
        }
        assert!(spiked >= 2, "{name}: {spiked} spikes");
    });
}

#[test]
fn slopes_match_central_differences() {
    models(|name, model, currents| {
        let least = if name == "refractory" { 0.0 } else { -1.0 };
        let vs = (0..60).map(|k| -0.2 + 0.02 * k as f64);
        let states: Vec<(f64, f64)> = vs.flat_map(|v| [-0.1, 0.0, 0.2].map(|w| (v, w))).collect();
        let (mut across, mut checked) = (0, 0);
        for (dt, &(v, w)) in [0.3, 1.0].into_iter().flat_map(|dt| states.iter().map(move |state| (dt, state))) {
            for &i in currents.iter().filter(|_| w >= least && v < 1.0) {
                let step = model(dt);
                let here = (step.flow)(v, w, i);
                let Jacobian { v: of_v, w: of_w } = (step.jacobian)(v, w, i);
                for variable in 0..3 {
                    let at = |h: f64| {
                        let mut point = [v, w, i];
                        point[variable] += h;
                        (step.flow)(point[0], point[1], point[2])
                    };
                    let h = 1e-6;
                    if [at(2.0 * h), at(-2.0 * h)].iter().any(|moved| moved.spikes != here.spikes) {
                        continue;
                    }
                    let central = |h: f64| {
                        let (above, below) = (at(h), at(-h));
                        [(above.v - below.v) / (2.0 * h), (above.w - below.w) / (2.0 * h)]
                    };
                    let (near, far) = (central(h), central(2.0 * h));
                    for ((found, wanted), other) in [of_v[variable], of_w[variable]].into_iter().zip(near).zip(far) {
                        // A stage of the Runge-Kutta method that just reaches the peak is a kink.
                        if (wanted - other).abs() > 1e-6 * (1.0 + wanted.abs()) {
                            continue;
                        }
                        (across, checked) = (across + here.spikes as usize, checked + 1);
                        let error = (found - wanted).abs() / (1.0 + wanted.abs());
                        assert!(error < 1e-6, "{name} dt {dt} v {v} w {w} I {i}: {found}, not {wanted}");
                    }
                }
            }
        }
        assert!(across >= 100 && checked >= 1000, "{name}: {across} slopes across a spike of {checked}");
    });
}

#[test]
fn substeps_are_steps() {
    let model = Izhikevich::chattering(1);
    let (short, long) = (model.over(0.25), Izhikevich { substeps: 4, ..model }.over(1.0));
    let (mut v, mut w, mut spikes, i) = (0.2, 0.0, 0.0, model.current(40.0));
    for _ in 0..100 {
        let (start_v, start_w, mut counted) = (v, w, 0.0);
        for _ in 0..4 {
            let next = short.step(v, w, i);
            (v, w, counted) = (next.v, next.w, counted + next.spikes);
        }
        assert_eq!(long.step(start_v, start_w, i), Moved { v, spikes: counted, w });
        spikes += counted;
    }
    assert!(spikes > 5.0, "{spikes} spikes");
}

#[test]
fn published_constants_keep_their_meaning() {
    // Neuronal Dynamics, table 6.1, with R = 500 MΩ: the unit of v is 25 mV, from −55 to −30 mV.
    let model = AdEx::published(AdExConstants::tonic(), 4);
    assert!((model.rest + 15.0 / 25.0).abs() < 1e-15 && (model.onset - 5.0 / 25.0).abs() < 1e-15);
    assert!((model.b - 30.0 / 25.0).abs() < 1e-15 && model.a == 0.0);
    // Izhikevich's regular-spiking neuron rests at −70 mV with u = −14.
    let model = Izhikevich::regular_spiking(1);
    let rest = model.resting_potential();
    assert!((rest + 5.0 / 95.0).abs() < 1e-12);
    let speed = |v: f64, w: f64| (model.over(1e-6).step(v, w, 0.0).v - v) / 1e-6;
    assert!(speed(rest, 0.0).abs() < 1e-6);
    // At −60 mV, 0.04 V² + 5 V + 140 + 14 = −2 mV/ms.
    assert!((speed(5.0 / 95.0, 0.0) + 2.0 / 95.0).abs() < 1e-6);
}

#[test]
fn a_refractory_neuron_fires_at_the_times_of_the_closed_form() {
    let (tau, period, current, dt) = (20.0_f64, 3.7, 0.08, 0.3);
    let flow = RefractoryLif::new(tau, period).over(dt);
    let goal = tau * current;
    // The time from reset to threshold.
    let rise = tau * (goal / (goal - 1.0)).ln();
    let mut now = Moved { v: 0.0, spikes: 0.0, w: 0.0 };
    for step in 1..=1000 {
        let next = flow.step(now.v, now.w, current);
        now = Moved { spikes: now.spikes + next.spikes, ..next };
        let time = step as f64 * dt;
        let spikes = ((time + period) / (rise + period)).floor();
        let since = if spikes > 0.0 { time + period - spikes * (rise + period) } else { time + period };
        let v = -goal * (-(since - period).max(0.0) / tau).exp_m1();
        assert_eq!(now.spikes, spikes, "after {time} ms");
        assert!(
            (now.v - v).abs() < 1e-9 && (now.w - (period - since).max(0.0)).abs() < 1e-9,
            "after {time} ms: {now:?}"
        );
    }
    assert!(now.spikes > 10.0);
}

#[test]
fn slopes_are_those_of_the_map_under_currents_of_many_spikes() {
    // A sub-step has at most one spike, so such a neuron can begin the next one above the
    // threshold.
    let flow = Alif { substeps: 2, ..Alif::new(20.0, 60.0, 0.3) }.over(3.0);
    let mut above = 0;
    for at in 0..400 {
        let part = |share: f64| (at as f64 * share).fract();
        let point = [part(0.618), 1.5 * part(0.414) - 0.3, 1.2 * part(0.732) - 0.2];
        let of = |[v, w, i]: [f64; 3]| flow.step(v, w, i);
        let ([v, w, i], here) = (point, of(point));
        let (moved, slopes) = flow.step_and_jacobian(v, w, i);
        assert_eq!(moved, here);
        above += (here.v > 1.0) as usize;
        let h = 1e-6;
        for variable in 0..3 {
            let moved = |h: f64| of(std::array::from_fn(|k| point[k] + if k == variable { h } else { 0.0 }));
            let (more, less) = (moved(h), moved(-h));
            if more.spikes != here.spikes || less.spikes != here.spikes {
                continue;
            }
            for (found, difference) in [(slopes.v[variable], more.v - less.v), (slopes.w[variable], more.w - less.w)] {
                let wanted = difference / (2.0 * h);
                assert!((found - wanted).abs() < 1e-6 * (1.0 + wanted.abs()), "{point:?}: {found}, not {wanted}");
            }
        }
    }
    assert!(above > 10, "{above}");
}

/// Two halves of a step are the step, where a flow is exact.
#[test]
fn closed_forms_compose() {
    for (v, w, i) in [(0.3_f64, 0.2_f64, 0.01_f64), (-0.8, 0.5, 0.04), (0.6, -0.3, -0.05)] {
        let alif = |substeps: usize| Alif { substeps, ..Alif::new(20.0, 300.0, 0.1) }.over(2.0).step(v, w, i);
        let resonate = |substeps: usize| {
            let model = ResonateAndFire { substeps, ..ResonateAndFire::new(20.0, 10.0) };
            model.over(2.0).step(v, w, i)
        };
        for (whole, halves) in [(alif(1), alif(2)), (resonate(1), resonate(2))] {
            assert_eq!(whole.spikes, 0.0);
            assert!((whole.v - halves.v).abs() < 1e-14 && (whole.w - halves.w).abs() < 1e-14, "{whole:?} {halves:?}");
        }
    }
}

/// A neuron that starts at the threshold or above it spikes at once, even if its potential falls.
#[test]
fn a_start_above_the_threshold_is_a_spike() {
    for v in [1.0_f64, 1.5, 1.2] {
        for i in [0.049, 0.06, 0.2] {
            let flow = Alif::new(20.0, 300.0, 0.1).over(0.5);
            let moved = flow.step(v, 0.1, i);
            let reset = flow.step(0.0, 0.1, i);
            if moved.spikes == 1.0 {
                assert!((moved.v - reset.v).abs() < 1e-12 && (moved.w - reset.w).abs() < 1e-12, "{moved:?} {reset:?}");
            } else {
                // It fell below the threshold within the step, without a spike.
                assert!(moved.v < 1.0, "{moved:?}");
            }
        }
    }
    assert_eq!(Alif::new(20.0, 300.0, 0.1).over(0.5).step(1.5, 0.1, 0.049).spikes, 1.0);
}
