//! Neurons with two variables against SciPy's solutions of their published equations
//! (`tests/golden/planar.py` wrote the spike times), and in layers.

use burn::tensor::{DType, Device, Distribution, Tensor};
use burn_spiking::neuron::{AdEx, AdExConstants, Alif, Izhikevich, RefractoryLif, ResonateAndFire};
use burn_spiking::{ConfigError, Gate, Integrator, Neuron, SpikingRnn, SpikingRnnConfig, Synapse};
use burn_spiking_tests::{devices, numbers};
use serde::Deserialize;

/// A run of one neuron under a constant current, in the units of its publication.
#[derive(Deserialize)]
struct Golden {
    name: String,
    current: f64,
    time: f64,
    spikes: Vec<f64>,
    v: f64,
    w: f64,
}

/// Turns (v, w) into published units.
type Published = Box<dyn Fn(f64, f64) -> (f64, f64)>;

/// The neuron of a golden run, its current in 1/ms, and its units.
fn neuron(golden: &Golden) -> (Neuron, f64, Published) {
    let (name, current) = (golden.name.as_str(), golden.current);
    let adex = |constants: AdExConstants| -> (Neuron, f64, Published) {
        let AdExConstants { tau_mem, resistance, reset, peak, .. } = constants;
        let unit = peak - reset;
        let published = move |v: f64, w: f64| (reset + unit * v, unit * w / (1e-3 * resistance));
        (Neuron::AdEx(AdEx::published(constants, 1)), constants.current(current) / tau_mem, Box::new(published))
    };
    let izhikevich = |model: Izhikevich| -> (Neuron, f64, Published) {
        let (unit, slope) = (30.0 - model.c, 5.0 - model.b);
        let rest = (-slope - (slope * slope - 22.4).max(0.0).sqrt()) / 0.08;
        let published = move |v: f64, w: f64| (model.c + unit * v, model.b * rest + unit * w);
        (Neuron::Izhikevich(model), model.current(current), Box::new(published))
    };
    match name {
        "AdEx tonic" => adex(AdExConstants::tonic()),
        "AdEx adapting" => adex(AdExConstants::adapting()),
        "AdEx initial burst" => adex(AdExConstants::initial_burst()),
        "AdEx bursting" => adex(AdExConstants::bursting()),
        "AdEx transient" => adex(AdExConstants::transient()),
        "AdEx delayed" => adex(AdExConstants::delayed()),
        "Izhikevich regular spiking" => izhikevich(Izhikevich::regular_spiking(1)),
        "Izhikevich intrinsically bursting" => izhikevich(Izhikevich::intrinsically_bursting(1)),
        "Izhikevich chattering" => izhikevich(Izhikevich::chattering(1)),
        "Izhikevich fast spiking" => izhikevich(Izhikevich::fast_spiking(1)),
        "Izhikevich low-threshold spiking" => izhikevich(Izhikevich::low_threshold_spiking(1)),
        "ALIF" => (Neuron::Alif(Alif::new(20.0, 150.0, 0.15)), current, Box::new(|v, w| (v + w, w))),
        "resonate-and-fire" => {
            (Neuron::ResonateAndFire(ResonateAndFire::new(40.0, 20.0)), current, Box::new(|v, w| (v, w)))
        }
        other => panic!("no neuron is called {other}"),
    }
}

/// One neuron without synapses onto itself, whose input is its current in 1/ms.
fn alone(neuron: &Neuron, gate: Gate, dt: f64, device: &Device) -> SpikingRnn {
    let config = SpikingRnnConfig::new(1, 1)
        .with_neuron(neuron.clone())
        .with_gate(gate)
        .with_synapses(vec![Synapse::readout_only(20.0)])
        .with_dt(dt)
        .with_bias(false);
    let mut layer = config.init((device, DType::F64)).unwrap();
    let unit = Tensor::full([1, 1], config.time_unit_ms(), (device, DType::F64));
    layer.input_weight = layer.input_weight.map(|_| unit);
    layer
}

/// The spike times, and v and w at the end.
fn run(golden: &Golden, dt: f64) -> (Vec<f64>, f64, f64) {
    let device = &devices()[0];
    let (neuron, current, published) = neuron(golden);
    let layer = alone(&neuron, Gate::Threshold { at: 1.0 }, dt, device);
    let steps = (golden.time / dt).round() as usize;
    let input = Tensor::full([1, steps, 1], current, (device, DType::F64));
    let (trajectory, last) = layer.forward_recording(input, None);
    let spikes = numbers(trajectory.charge.expect("recorded"));
    let times = spikes.iter().enumerate().flat_map(|(t, &n)| {
        // A spike comes within its step.
        std::iter::repeat_n((t as f64 + 0.5) * dt, n as usize)
    });
    let w = numbers(layer.second_variable(&last).expect("the neuron has two variables"))[0];
    let (v, w) = published(numbers(last.v)[0], w);
    (times.collect(), v, w)
}

#[test]
fn spike_times_approach_those_of_the_published_equations() {
    let cases: Vec<Golden> = serde_json::from_str(include_str!("../golden/planar.json")).unwrap();
    assert_eq!(cases.len(), 13);
    let mut ratios = Vec::new();
    for golden in &cases {
        let error = |dt: f64| -> f64 {
            let (times, ..) = run(golden, dt);
            assert_eq!(times.len(), golden.spikes.len(), "{} at dt {dt}: {times:?}", golden.name);
            times.iter().zip(&golden.spikes).fold(0.0, |worst, (a, b)| worst.max((a - b).abs()))
        };
        let (coarse, fine) = (error(0.08), error(0.005));
        println!("{}: {coarse:.4} ms at dt 0.08 ms, {fine:.4} ms at 0.005 ms", golden.name);
        assert!(fine < coarse / 5.0, "{}: {coarse}, {fine}", golden.name);
        ratios.push(coarse / fine);
        assert!(fine < 0.3, "{}: {fine} ms", golden.name);
        let (_, v, w) = run(golden, 0.005);
        let (off_v, off_w) = ((v - golden.v).abs(), (w - golden.w).abs());
        let scale = 1.0 + golden.w.abs();
        assert!(off_w < 0.02 * scale, "{}: w {w}, not {}", golden.name, golden.w);
        assert!(off_v < 0.05 * golden.v.abs().max(1.0), "{}: v {v}, not {}", golden.name, golden.v);
    }
    // With steps 16 times shorter, errors of first order are 16 times smaller, but for the place
    // of the spikes in their steps, which is not known.
    ratios.sort_by(f64::total_cmp);
    assert!(ratios[ratios.len() / 2] > 12.0, "{ratios:?}");
}

#[test]
fn substeps_make_long_steps_right() {
    // A burst has several spikes in 2 ms.
    let cases: Vec<Golden> = serde_json::from_str(include_str!("../golden/planar.json")).unwrap();
    let golden = cases.iter().find(|golden| golden.name == "Izhikevich fast spiking").unwrap();
    let device = &devices()[0];
    let (_, current, _) = neuron(golden);
    let count = |substeps: usize, dt: f64| {
        let model = Neuron::Izhikevich(Izhikevich::fast_spiking(substeps));
        let layer = alone(&model, Gate::Threshold { at: 1.0 }, dt, device);
        let input = Tensor::full([1, (golden.time / dt) as usize, 1], current, (device, DType::F64));
        numbers(layer.forward_recording(input, None).0.charge.expect("recorded")).iter().sum::<f64>()
    };
    let wanted = golden.spikes.len() as f64;
    assert!((count(8, 1.0) - wanted).abs() <= 1.0, "{} spikes, not {wanted}", count(8, 1.0));
    assert!((count(16, 2.0) - wanted).abs() <= 2.0, "{} spikes, not {wanted}", count(16, 2.0));
}

#[test]
fn a_run_in_two_calls_is_one_run() {
    for device in devices() {
        let layer = alone(&Neuron::Alif(Alif::new(20.0, 100.0, 0.3)), Gate::Quintic { width: 0.3 }, 0.5, &device);
        let input = Tensor::full([1, 200, 1], 0.15, (&device, DType::F64));
        let (whole, last) = layer.forward(input.clone(), None);
        let (first, middle) = layer.forward(input.clone().narrow(1, 0, 80), None);
        let (second, end) = layer.forward(input.narrow(1, 80, 120), Some(middle.clone()));
        let both = Tensor::cat(vec![first.trace(), second.trace()], 1);
        assert_eq!(numbers(whole.trace()), numbers(both));
        let w = |state| numbers(layer.second_variable(state).unwrap());
        assert_eq!(w(&last), w(&end));
        assert!(w(&middle)[0] > 0.1, "the threshold has adapted");
    }
}

#[test]
fn a_recorded_w_is_that_of_the_states() {
    for device in devices() {
        let options = (&device, DType::F64);
        let config = SpikingRnnConfig::new(2, 4)
            .with_neuron(Neuron::ResonateAndFire(ResonateAndFire { b: 0.2, ..ResonateAndFire::new(20.0, 15.0) }))
            .with_record_v(true);
        let layer = config.init(options).unwrap();
        let input = Tensor::<3>::random([3, 30, 2], Distribution::Uniform(0.0, 3.0), options);
        let (trajectory, last) = layer.forward(input.clone(), None);
        let w = numbers(trajectory.w.expect("asked for"));
        let at = |b: usize, t: usize| &w[(b * 30 + t) * 4..][..4];
        let of_last = numbers(layer.second_variable(&last).unwrap());
        (0..3).for_each(|b| assert_eq!(at(b, 29), &of_last[b * 4..][..4]));
        let mut state = None;
        for t in 0..30 {
            let (output, next) = layer.step(input.clone().narrow(1, t, 1).squeeze_dim(1), state);
            let now = numbers(output.w.expect("asked for"));
            for (place, now) in now.iter().enumerate() {
                let w = at(place / 4, t)[place % 4];
                assert!((w - now).abs() < 1e-12, "sample {}, step {t}: {w}, not {now}", place / 4);
            }
            state = Some(next);
        }
        assert!(w.iter().any(|w| w.abs() > 0.1), "w does not stay where it began");

        let (ended, _) = layer.forward_lengths(input, &[30, 12, 30], None);
        let ended = numbers(ended.w.expect("asked for"));
        assert_eq!(&ended[30 * 4..][..12 * 4], &w[30 * 4..][..12 * 4]);
        assert!(ended[42 * 4..60 * 4].iter().all(|&w| w == 0.0));
        let (whole, _) = SpikingRnnConfig::new(2, 4)
            .init(options)
            .unwrap()
            .forward_recording(Tensor::zeros([1, 2, 2], options), None);
        assert!(whole.w.is_none(), "QIF neurons have one variable");
    }
}

#[test]
fn impossible_constants_are_refused() {
    let of = |neuron: Neuron| SpikingRnnConfig::new(1, 2).with_neuron(neuron).check();
    let name = |found: Result<(), ConfigError>| match found {
        Err(ConfigError::OutOfRange { name, .. }) => name,
        other => panic!("{other:?}"),
    };
    assert_eq!(name(of(Neuron::Alif(Alif::new(20.0, 0.0, 0.1)))), "tau_w");
    assert_eq!(name(of(Neuron::Alif(Alif { substeps: 0, ..Alif::new(20.0, 100.0, 0.1) }))), "substeps");
    assert_eq!(name(of(Neuron::ResonateAndFire(ResonateAndFire::new(20.0, -1.0)))), "frequency");
    assert_eq!(name(of(Neuron::RefractoryLif(RefractoryLif::new(20.0, 0.0)))), "period");
    assert_eq!(name(of(Neuron::Izhikevich(Izhikevich { c: 40.0, ..Izhikevich::chattering(4) }))), "c");
    let adex = AdEx::published(AdExConstants::tonic(), 4);
    assert_eq!(name(of(Neuron::AdEx(AdEx { rest: 1.5, ..adex }))), "rest");
    assert!(of(Neuron::AdEx(adex)).is_ok());
    let short = RefractoryLif::new(20.0, 0.4);
    let refused = of(Neuron::RefractoryLif(short)).unwrap_err().to_string();
    assert!(refused.contains("0.4 ms") && refused.contains("at least 3 substeps"), "{refused}");
    assert!(of(Neuron::RefractoryLif(RefractoryLif { substeps: 3, ..short })).is_ok());
    let heun = SpikingRnnConfig::new(1, 2).with_neuron(Neuron::AdEx(adex)).with_integrator(Integrator::Heun).check();
    assert!(heun.unwrap_err().to_string().contains("two"));
}
