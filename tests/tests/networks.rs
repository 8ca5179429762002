//! Runs the public gradient check on random layers of every kind: neurons, gates, synapses, wiring,
//! Dale's law, initial states, layouts.
//!
//! `GRADIENT_DRAWS=n` changes the number of random layers. `GRADIENT_FIRST=m` skips the first m of
//! them.

use burn::tensor::{DType, Tensor, TensorData};
use burn_spiking::gradcheck::gradcheck;
use burn_spiking::neuron::Eif;
use burn_spiking::neuron::planar::SecondConstant;
use burn_spiking::{
    Connections, DelayOf, Gate, InitialWeights, Integrator, Learn, Learned, LearnedDelays, Neuron, SpikingRnnConfig,
    Synapse, Wiring,
};
use burn_spiking_tests::{OwnQif, devices, normal, planar_neuron};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

fn neurons() -> impl Strategy<Value = Neuron> {
    // Neurons of two variables take most of the time, so they are fewer.
    let model = prop_oneof![7 => 0_usize..5, 1 => 5_usize..10];
    (model, 8.0_f64..40.0).prop_map(|(model, tau_mem)| match model {
        0 => Neuron::Nif,
        1 => Neuron::Lif { tau_mem },
        2 => Neuron::Qif { tau_mem },
        3 => Neuron::Eif(Eif { tau_mem, delta: 0.15, onset: 0.7, substeps: if tau_mem > 24.0 { 2 } else { 1 } }),
        4 => Neuron::own(OwnQif { tau_mem }),
        planar => planar_neuron(planar - 5, tau_mem, 1.0),
    })
}

/// Synapse types, with their delays in steps.
fn synapses() -> impl Strategy<Value = Vec<Synapse>> {
    let delay = prop_oneof![2 => Just(0_usize), 1 => 1_usize..=12];
    // Three in seven connect the neurons, two each neuron to itself, two none.
    let connections = (0_usize..7, -1.0_f64..1.0).prop_map(|(connected, weight)| match connected {
        0..3 => Connections::Recurrent,
        3..5 => Connections::SelfOnly { weight, learned: connected == 3 },
        _ => Connections::None,
    });
    let learned = prop_oneof![4 => Just(None), 1 => learned_delays(4).prop_map(Some)];
    prop::collection::vec((1.0_f64..40.0, connections, any::<bool>(), delay, learned), 1..=3).prop_map(|types| {
        let of = |(tau, connections, readout, delay, learned): (f64, _, bool, usize, Option<LearnedDelays>)| Synapse {
            tau,
            connections,
            readout,
            delay: if connections == Connections::None || learned.is_some() { 0.0 } else { delay as f64 },
            learned_delays: if connections == Connections::Recurrent { learned } else { None },
        };
        types.into_iter().map(of).collect()
    })
}

/// Learned delays of up to this many steps of 1 ms.
fn learned_delays(longest: usize) -> impl Strategy<Value = LearnedDelays> {
    let of = prop_oneof![Just(DelayOf::Type), Just(DelayOf::Sender), Just(DelayOf::Connection)];
    (of, 1..=longest).prop_map(|(of, longest)| LearnedDelays { of, longest: longest as f64 })
}

fn wirings(neurons: usize) -> impl Strategy<Value = Wiring> {
    let groups = move |cut: prop::sample::Index| {
        let first = 1 + cut.index(neurons.max(2) - 1);
        if first >= neurons { Wiring::chain([neurons]) } else { Wiring::chain([first, neurons - first]) }
    };
    prop_oneof![
        Just(Wiring::Full),
        (0.1_f64..1.0, any::<u64>()).prop_map(|(share, seed)| Wiring::Sparse { share, seed }),
        any::<prop::sample::Index>().prop_map(groups),
    ]
}

/// The configuration of a layer, the sizes of its input, and the seed of all random numbers.
fn layers() -> impl Strategy<Value = (SpikingRnnConfig, [usize; 2], u64)> {
    (1_usize..=5, neurons(), (0.1_f64..=1.0, any::<bool>()), synapses(), 1_usize..=2).prop_flat_map(
        |(n, neuron, (width, smooth), synapses, channels)| {
            let gate = if smooth { Gate::RaisedCosine { width } } else { Gate::Quintic { width } };
            let options =
                (any::<[bool; 10]>(), any::<Option<bool>>(), wirings(n), prop::option::of(0.0_f64..=1.0), 0.0_f64..0.6);
            let sizes = (1_usize..=2, 2_usize..=10, any::<u64>(), prop::sample::select(vec![0.2, 0.5, 1.0]));
            (options, sizes).prop_map(move |((flags, heun, wiring, dale, pull), (batch, steps, seed, dt))| {
                let [autapses, bias, learned_start, batch_first, rest @ ..] = flags;
                let [tau_mem, tau_syn, width, threshold, each_tau, each_width] = rest;
                let learn = |learned: bool, each: bool| match (learned, each) {
                    (false, _) => Learn::No,
                    (true, false) => Learn::Shared,
                    (true, true) => Learn::PerNeuron,
                };
                let leaky = matches!(neuron, Neuron::Lif { .. });
                let second = neuron.second_constant().map(|(name, _)| name);
                let jumps = neuron.is_planar() && !matches!(neuron, Neuron::RefractoryLif(_));
                // Thresholds belong to other neurons than a second constant and b.
                let learned = Learned {
                    tau_mem: learn(tau_mem && neuron.learns_tau(), each_tau),
                    tau_syn,
                    width: learn(width, each_width),
                    threshold: threshold && (leaky || neuron == Neuron::Nif),
                    tau_w: learn(threshold && second == Some(SecondConstant::TauW), each_width),
                    frequency: learn(threshold && second == Some(SecondConstant::Frequency), each_width),
                    jump: learn(jumps && tau_syn != tau_mem, each_tau),
                };
                // Some layers use Heun's scheme, which supports neither delays nor two variables.
                let integrator =
                    if heun == Some(true) && !neuron.is_planar() { Integrator::Heun } else { Integrator::Flow };
                let delayed = |synapse: &Synapse| match integrator {
                    Integrator::Heun => Synapse { learned_delays: None, ..synapse.with_delay(0.0) },
                    _ => match synapse.learned_delays {
                        Some(LearnedDelays { of, longest }) => synapse.with_learned_delays(of, longest * dt),
                        None => synapse.with_delay(synapse.delay * dt),
                    },
                };
                let mut config = SpikingRnnConfig::new(channels, n)
                    .with_neuron(neuron.clone())
                    .with_gate(gate)
                    .with_synapses(synapses.iter().map(delayed).collect())
                    .with_dt(dt)
                    .with_autapses(autapses)
                    .with_bias(bias)
                    .with_wiring(wiring)
                    .with_dale(dale)
                    .with_learned_start(learned_start)
                    .with_learned(learned)
                    .with_integrator(integrator)
                    .with_batch_first(batch_first);
                // The input causes about one spike in three steps, and the weights shift the
                // spikes. Explicit rules get a weaker input, because they magnify rounding errors
                // under such a drive.
                let per_step = match config.neuron {
                    Neuron::Izhikevich(_) => 0.03,
                    Neuron::Eif(_) | Neuron::Own(_) | Neuron::AdEx(_) => 0.06,
                    _ => 0.3,
                };
                let unit = per_step * config.time_unit_ms() / dt;
                config.initial = Some(InitialWeights { input: unit, recurrent: pull * unit, bias: 0.5 * unit });
                (config, [batch, steps], seed)
            })
        },
    )
}

#[test]
fn gradients_of_layers_of_every_kind_are_exact() {
    let number = |name: &str| std::env::var(name).ok().and_then(|n| n.parse::<usize>().ok());
    let (first, draws) = (number("GRADIENT_FIRST").unwrap_or(0), number("GRADIENT_DRAWS").unwrap_or(500));
    let options = (&devices()[0], DType::F64);
    let strategy = layers();
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let (mut compared, mut skipped, mut worst, mut whose) = (0, 0, (0.0_f64, 0.0_f64), String::new());
    for at in 0..draws {
        let (config, [batch, steps], seed) = strategy.new_tree(&mut runner).expect("draws reject nothing").current();
        if at < first {
            continue;
        }
        options.0.seed(seed);
        let layer = config.init(options).unwrap();
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let channels = config.d_input;
        let input: Vec<f64> = (0..batch * steps * channels).map(|_| normal(&mut random)).collect();
        let shape = if config.batch_first { [batch, steps, channels] } else { [steps, batch, channels] };
        let report = gradcheck(&layer, Tensor::from_data(TensorData::new(input, shape), options), None, seed);
        if let Err(error) = report.check(1e-9, 1e-6) {
            panic!("draw {at}: {error}, for {config:?}: {report:?}");
        }
        compared += report.differences.iter().filter(|found| found.central.is_some()).count();
        skipped += report.differences.iter().filter(|found| found.central.is_none()).count();
        let (automatic, central) = report.worst();
        worst.0 = worst.0.max(automatic);
        if central.is_some_and(|central| central > worst.1) {
            worst.1 = central.unwrap_or_default();
            let of = report.differences.iter().find(|found| found.central == central).expect("one is the worst");
            whose = format!("{} of draw {at}, {}, {}", of.name, config.neuron, config.gate);
        }
    }
    println!(
        "{} layers: automatic differentiation within {:e}; of {} gradients {compared} compared with central differences, \
         within {:e} ({whose}), {skipped} skipped, since a spike changed its step or h was magnified",
        draws.saturating_sub(first),
        worst.0,
        compared + skipped,
        worst.1
    );
    assert!(skipped * 5 <= compared, "{skipped} of {} gradients skipped", compared + skipped);
}
