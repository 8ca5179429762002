//! Tests that every configuration is unchanged after it is written and read as a file or as JSON,
//! with default values and with random values.

use burn::config::Config;
use burn::nn::Initializer;
use burn_spiking::neuron::{AdEx, AdExConstants, Alif, Eif, Izhikevich, RefractoryLif, ResonateAndFire};
use burn_spiking::train::schedule::ScheduleState;
use burn_spiking::{
    Adjoint, Checkpointing, Connections, DelayOf, FollowScore, Gate, GradientScale, InitialWeights, Integrator, Learn,
    Learned, LearnedDelays, Neuron, NonFiniteGradient, RateBoundsConfig, SpikingNetworkConfig, SpikingRnnConfig,
    SpikingStackConfig, Surrogate, Synapse, TrackingLossConfig, Wiring,
};
use burn_spiking_tasks::delayed_xor::PulseShape;
use burn_spiking_tasks::encoding::{Latency, Population, Rate};
use burn_spiking_tasks::{Binning, Coding, DelayedXor, Digits, Evidence, Gaps, InputFilter, Pattern, Randman, YinYang};
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::path::Path;

/// The types that the tests of this file draw, alone or as a part of another type.
const DRAWN: [&str; 43] = [
    "AdEx",
    "Adjoint",
    "Alif",
    "Binning",
    "Checkpointing",
    "Coding",
    "Connections",
    "DelayOf",
    "DelayedXor",
    "Digits",
    "Eif",
    "Evidence",
    "FollowScore",
    "Gaps",
    "Gate",
    "GradientScale",
    "InitialWeights",
    "InputFilter",
    "Integrator",
    "Izhikevich",
    "Latency",
    "Learn",
    "Learned",
    "LearnedDelays",
    "Neuron",
    "NonFiniteGradient",
    "Pattern",
    "Population",
    "PulseShape",
    "Randman",
    "Rate",
    "RateBoundsConfig",
    "RefractoryLif",
    "ResonateAndFire",
    "ScheduleState",
    "SpikingNetworkConfig",
    "SpikingRnnConfig",
    "SpikingStackConfig",
    "Surrogate",
    "Synapse",
    "TrackingLossConfig",
    "Wiring",
    "YinYang",
];

/// Collects the public types in the sources of a folder that are written to files.
fn written(folder: &Path, names: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            written(&path, names);
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let mut derives = false;
        for line in text.lines() {
            let line = line.trim_start();
            if let Some(list) = line.strip_prefix("#[derive(") {
                let list: Vec<&str> = list.trim_end_matches(")]").split(", ").collect();
                derives = list.contains(&"Config") || list.contains(&"Serialize");
            } else if let Some(item) = line.strip_prefix("pub struct ").or_else(|| line.strip_prefix("pub enum ")) {
                let name = item.split([' ', '<', '(', ';']).next().unwrap();
                names.extend(derives.then(|| name.to_string()));
                derives = false;
            }
        }
    }
}

#[test]
fn no_type_that_is_written_to_files_is_left_out() {
    // Reads the path at run time, not at build time, because two clones may share their build
    // folder.
    let package = std::env::var("CARGO_MANIFEST_DIR").expect("cargo says where the package is");
    let crates = Path::new(&package).join("../crates");
    let mut names = Vec::new();
    for name in ["burn-spiking", "burn-spiking-tasks"] {
        written(&crates.join(name).join("src"), &mut names);
    }
    names.sort();
    assert_eq!(names, DRAWN);
}

/// Positive numbers of many magnitudes. Most of them need all digits of an f64.
fn size() -> impl Strategy<Value = f64> {
    (-6.0_f64..6.0).prop_map(f64::exp)
}

fn share() -> impl Strategy<Value = f64> {
    prop_oneof![Just(1.0), 1e-9_f64..1.0]
}

fn neuron() -> impl Strategy<Value = Neuron> {
    prop_oneof![
        Just(Neuron::Nif),
        size().prop_map(|tau_mem| Neuron::Lif { tau_mem }),
        size().prop_map(|tau_mem| Neuron::Qif { tau_mem }),
        (size(), size(), -3.0_f64..1.0, 1_usize..9)
            .prop_map(|(tau_mem, delta, onset, substeps)| { Neuron::Eif(Eif { tau_mem, delta, onset, substeps }) }),
        (size(), size(), size()).prop_map(|(tau_mem, tau_w, b)| Neuron::Alif(Alif::new(tau_mem, tau_w, b))),
        (size(), size(), 1_usize..9).prop_map(|(a, d, substeps)| {
            Neuron::Izhikevich(Izhikevich { a, d, substeps, ..Izhikevich::chattering(1) })
        }),
        (size(), size())
            .prop_map(|(tau_mem, frequency)| { Neuron::ResonateAndFire(ResonateAndFire::new(tau_mem, frequency)) }),
        (size(), size()).prop_map(|(tau_mem, period)| Neuron::RefractoryLif(RefractoryLif::new(tau_mem, period))),
        (size(), size(), 1_usize..9).prop_map(|(tau_mem, b, substeps)| {
            Neuron::AdEx(AdEx { tau_mem, b, ..AdEx::published(AdExConstants::bursting(), substeps) })
        }),
    ]
}

fn gate() -> impl Strategy<Value = Gate> {
    prop_oneof![
        share().prop_map(|width| Gate::Quintic { width }),
        share().prop_map(|width| Gate::RaisedCosine { width }),
        share().prop_map(|at| Gate::Threshold { at }),
    ]
}

fn synapse() -> impl Strategy<Value = Synapse> {
    let connections = prop_oneof![
        Just(Connections::None),
        Just(Connections::Recurrent),
        (size(), any::<bool>()).prop_map(|(weight, learned)| Connections::SelfOnly { weight: -weight, learned }),
    ];
    let of = prop_oneof![Just(DelayOf::Type), Just(DelayOf::Sender), Just(DelayOf::Connection)];
    let learned_delays = prop::option::of((of, size()).prop_map(|(of, longest)| LearnedDelays { of, longest }));
    (size(), connections, any::<bool>(), size(), learned_delays).prop_map(
        |(tau, connections, readout, delay, learned_delays)| Synapse {
            tau,
            connections,
            readout,
            delay,
            learned_delays,
        },
    )
}

fn wiring() -> impl Strategy<Value = Wiring> {
    let sizes = prop::collection::vec(1_usize..9, 1..5);
    prop_oneof![
        Just(Wiring::Full),
        (share(), any::<u64>()).prop_map(|(share, seed)| Wiring::Sparse { share, seed }),
        (sizes, prop::collection::vec((0_usize..5, 0_usize..5), 0..4), prop::collection::vec(0_usize..5, 0..4))
            .prop_map(|(sizes, connections, inputs)| Wiring::Groups { sizes, connections, inputs }),
    ]
}

fn learn() -> impl Strategy<Value = Learn> {
    prop::sample::select(vec![Learn::No, Learn::Shared, Learn::PerNeuron])
}

fn learned() -> impl Strategy<Value = Learned> {
    let of_neurons = [learn(), learn(), learn(), learn(), learn()];
    (of_neurons, any::<bool>(), any::<bool>()).prop_map(
        |([tau_mem, width, tau_w, frequency, jump], tau_syn, threshold)| Learned {
            tau_mem,
            tau_syn,
            width,
            threshold,
            tau_w,
            frequency,
            jump,
        },
    )
}

fn surrogate() -> impl Strategy<Value = Surrogate> {
    prop_oneof![
        size().prop_map(|slope| Surrogate::FastSigmoid { slope }),
        size().prop_map(|slope| Surrogate::ArcTangent { slope }),
        (size(), size()).prop_map(|(slope, height)| Surrogate::Triangle { slope, height }),
    ]
}

fn adjoint() -> impl Strategy<Value = Adjoint> {
    prop_oneof![
        Just(Adjoint::Exact),
        (prop::option::of(size()), share()).prop_map(|(limit, keep)| Adjoint::Limited { limit, keep }),
        (size(), size()).prop_map(|(step_ms, softness)| Adjoint::MeanField { step_ms, softness }),
        surrogate().prop_map(Adjoint::Surrogate),
    ]
}

fn checkpoint() -> impl Strategy<Value = Checkpointing> {
    prop_oneof![
        prop::sample::select(vec![Checkpointing::Auto, Checkpointing::Currents, Checkpointing::States]),
        (1_usize..1000).prop_map(Checkpointing::Every),
    ]
}

fn layer() -> impl Strategy<Value = SpikingRnnConfig> {
    let initial =
        (size(), size(), -9.0_f64..9.0).prop_map(|(input, recurrent, bias)| InitialWeights { input, recurrent, bias });
    let made_of = (
        neuron(),
        gate(),
        prop::collection::vec(synapse(), 1..4),
        size(),
        [prop::option::of(size()), prop::option::of(size())],
        wiring(),
    );
    let kinds = (
        prop::option::of(share()),
        learned(),
        prop::sample::select(vec![Integrator::Flow, Integrator::Heun]),
        checkpoint(),
        adjoint(),
        prop::sample::select(vec![NonFiniteGradient::Panic, NonFiniteGradient::Nan]),
        prop::option::of(initial),
    );
    (1_usize..100, 1_usize..100, made_of, kinds, any::<[bool; 7]>()).prop_map(
        |(d_input, d_hidden, made_of, kinds, flags)| {
            let (neuron, gate, synapses, dt, [input_tau, time_unit], wiring) = made_of;
            let (dale, learned, integrator, checkpointing, adjoint, non_finite_gradient, initial) = kinds;
            let [bias, autapses, learned_start, batch_first, record_v, record_charge, check_finite] = flags;
            SpikingRnnConfig {
                d_input,
                d_hidden,
                neuron,
                gate,
                synapses,
                dt,
                input_tau,
                time_unit,
                bias,
                autapses,
                wiring,
                dale,
                learned_start,
                learned,
                integrator,
                batch_first,
                record_v,
                record_charge,
                check_finite,
                non_finite_gradient,
                checkpointing,
                adjoint,
                initial,
            }
        },
    )
}

fn initializer() -> impl Strategy<Value = Initializer> {
    prop_oneof![
        Just(Initializer::Zeros),
        size().prop_map(|value| Initializer::Constant { value }),
        (size(), size()).prop_map(|(mean, std)| Initializer::Normal { mean, std }),
    ]
}

fn xor() -> impl Strategy<Value = DelayedXor> {
    let gaps = prop_oneof![
        (size(), size()).prop_map(|(min_ms, max_ms)| Gaps::Even { min_ms, max_ms }),
        (size(), size()).prop_map(|(step_ms, max_ms)| Gaps::Geometric { step_ms, max_ms }),
    ];
    let shape = prop::sample::select(vec![PulseShape::Square, PulseShape::Gaussian]);
    (1_usize..9, size(), 1_usize..99, gaps, shape, [size(), size(), size()]).prop_map(
        |(rounds, max_gap, neurons, gaps, shape, [dt, lead_ms, pulse_ms])| DelayedXor {
            gaps,
            shape,
            dt,
            lead_ms,
            pulse_ms,
            ..DelayedXor::new(rounds, max_gap, neurons)
        },
    )
}

/// Checks that a configuration is unchanged after Burn's `Config` saves and loads it.
fn through_file<C: Config + PartialEq + Debug>(config: &C) -> Result<(), TestCaseError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    config.save(&path).unwrap();
    match C::load(&path) {
        Ok(loaded) => prop_assert_eq!(&loaded, config),
        Err(error) => prop_assert!(false, "{error} for {config:?}"),
    }
    Ok(())
}

fn through_json<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) -> Result<(), TestCaseError> {
    let text = serde_json::to_string(value).unwrap();
    match serde_json::from_str::<T>(&text) {
        Ok(read) => prop_assert_eq!(&read, value),
        Err(error) => prop_assert!(false, "{error} in {text}"),
    }
    Ok(())
}

#[test]
fn defaults_come_back() {
    let layer = SpikingRnnConfig::new(2, 3);
    through_file(&SpikingNetworkConfig::new(layer.clone(), 1)).unwrap();
    through_file(&SpikingStackConfig::new(vec![layer.clone()])).unwrap();
    through_file(&layer).unwrap();
    through_file(&TrackingLossConfig::new()).unwrap();
    through_file(&RateBoundsConfig::new()).unwrap();
    through_json(&GradientScale::default()).unwrap();
    through_json(&ScheduleState::default()).unwrap();
    through_json(&DelayedXor::new(4, 500.0, 80)).unwrap();
    through_json(&Coding::auto_encoding(30, 10.0, 100)).unwrap();
    through_json(&YinYang::default()).unwrap();
    through_json(&Digits::default()).unwrap();
    through_json(&Evidence::default()).unwrap();
}

proptest! {
    #[test]
    fn layers_come_back(layer in layer()) {
        through_file(&layer)?;
    }

    #[test]
    fn networks_and_stacks_come_back(
        (layers, d_output, bias, initializer) in
            (prop::collection::vec(layer(), 1..4), 1_usize..9, any::<bool>(), initializer()),
    ) {
        let layer = layers[0].clone();
        through_file(&SpikingNetworkConfig::new(layer, d_output).with_bias(bias).with_initializer(initializer))?;
        through_file(&SpikingStackConfig::new(layers))?;
    }

    #[test]
    fn costs_come_back((lambda, lower, upper, weight) in (size(), size(), prop::option::of(size()), size())) {
        through_file(&TrackingLossConfig::new().with_lambda(lambda))?;
        through_file(&RateBoundsConfig::new().with_lower_hz(lower).with_upper_hz(upper).with_weight(weight))?;
    }

    #[test]
    fn parts_of_training_come_back(
        (a, b, share, window, below) in (size(), size(), share(), 1_usize..99, prop::option::of(size())),
        recent in prop::collection::vec(any::<f32>().prop_filter("a score", |score| score.is_finite()), 0..9),
    ) {
        let all = [
            GradientScale::Off,
            GradientScale::UnitNorm,
            GradientScale::GlobalNorm { limit: a },
            GradientScale::MedianClip { multiple: b, window },
        ];
        all.iter().try_for_each(through_json)?;
        through_json(&FollowScore { start: a, end: b, factor: share, above: share, below, batches: window })?;
        through_json(&ScheduleState { level: window, recent, at_end: 3 })?;
    }

    #[test]
    fn tasks_come_back((xor, tau, period) in (xor(), size(), size())) {
        through_json(&xor)?;
        through_json(&Coding { dt: period, ..Coding::auto_encoding(3, tau, 20) })?;
        through_json(&Coding::oscillator(tau, period, 20))?;
    }

    #[test]
    fn classifications_come_back((a, b, c, count, tau) in (size(), size(), share(), 1_usize..99, prop::option::of(size()))) {
        let latency = Latency { of_0: a, of_1: b, silent_up_to: tau };
        for filter in [InputFilter::Counts, InputFilter::Filtered { tau: b }, InputFilter::Charges { tau: b }] {
            through_json(&Binning { dt: a, steps: count, units: count, filter })?;
        }
        through_json(&Rate { of_1: a, bin: b })?;
        through_json(&Population { units: count, width: a })?;
        through_json(&YinYang { radius: a, dot: b, latency })?;
        through_json(&Digits { latency, held_out: c, order: count as u64 })?;
        through_json(&Evidence { cues: count, silence_ms: a, cue_ms: b, rarer: c, ..Evidence::default() })?;
        through_json(&Randman { alpha: a, dt: b, ..Randman::usual(count as u64) })?;
        through_json(&Pattern { dt: a, input_tau: b, v0_below: c, ..Pattern::usual(count as u64, count) })?;
    }
}
