//! All mistakes that the library detects, in tables: the mistake, and the message for its user.
//!
//! A message names the value, its limit and the remedy. `examples/tests/mistakes.rs` has the
//! mistakes of the example programs.

use burn::module::{Module, Param};
use burn::nn::LinearConfig;
use burn::tensor::{Bool, DType, Device, Int, Tensor, TensorData};
use burn_spiking::neuron::{Alif, RefractoryLif};
use burn_spiking::{
    Adjoint, Checkpointing, ClassificationLoss, Gate, Implementation, Integrator, Learn, Learned, Neuron,
    RateBoundsConfig, Scores, SpikingNetwork, SpikingNetworkConfig, SpikingRnn, SpikingRnnConfig, SpikingStackConfig,
    SpikingState, Synapse, TrackingLossConfig, Wiring,
};
use burn_spiking_tasks::{Coding, DelayedXor, Gaps};
use burn_spiking_tests::devices;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

fn numbers<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    let data: Vec<f32> = (0..shape.iter().product()).map(|at| (0.7 * at as f32).sin()).collect();
    Tensor::from_data(TensorData::new(data, shape), device)
}

/// Runs code that must panic and returns the panic's message.
fn panic_of(run: impl FnOnce()) -> String {
    text_of(catch_unwind(AssertUnwindSafe(run)).expect_err("it should panic"))
}

fn text_of(panic: Box<dyn Any + Send>) -> String {
    panic.downcast_ref::<String>().cloned().or(panic.downcast_ref::<&str>().map(|s| s.to_string())).unwrap_or_default()
}

/// Fails unless each message contains all its parts.
fn hold(rows: Vec<(&str, &[&str], String)>) {
    for (mistake, parts, message) in rows {
        for part in parts {
            assert!(message.contains(part), "{mistake}: \"{part}\" is missing from \"{message}\"");
        }
    }
}

#[test]
fn configurations() {
    let base = || SpikingRnnConfig::new(2, 5);
    let told = |config: SpikingRnnConfig| config.init(&devices()[0]).unwrap_err().to_string();
    let network_told = |layer: SpikingRnnConfig, outputs: usize| {
        SpikingNetworkConfig::new(layer, outputs).init(&devices()[0]).unwrap_err().to_string()
    };
    let foreign = LinearConfig::new(4, 2).init(&devices()[0]);
    let foreign_readout = SpikingNetwork::new(base().init(&devices()[0]).unwrap(), foreign).unwrap_err().to_string();
    let with_gate = |gate| told(base().with_gate(gate));
    let loss = |lambda| TrackingLossConfig::new().with_lambda(lambda).init().unwrap_err().to_string();
    let base_of = |channels: usize| SpikingRnnConfig::new(channels, 5);
    let stack =
        |layers: Vec<SpikingRnnConfig>| SpikingStackConfig::new(layers).init(&devices()[0]).unwrap_err().to_string();
    let learned = |neuron: Neuron, tau_mem: bool, threshold: bool| {
        let tau_mem = if tau_mem { Learn::PerNeuron } else { Learn::No };
        let learned = Learned { tau_mem, threshold, ..Learned::default() };
        told(base().with_neuron(neuron).with_learned(learned))
    };
    let limited = |limit, keep| Adjoint::Limited { limit, keep };
    let connections = |k: usize, shape: [usize; 2]| {
        let all = Tensor::<2, Bool>::from_data(TensorData::new(vec![true; shape[0] * shape[1]], shape), &devices()[0]);
        base().init(&devices()[0]).unwrap().with_connections(k, all).unwrap_err().to_string()
    };
    let rates = |lower: f64, upper: f64, weight: f64| {
        let bounds = RateBoundsConfig::new().with_lower_hz(lower).with_upper_hz(Some(upper)).with_weight(weight);
        bounds.init().unwrap_err().to_string()
    };
    hold(vec![
        ("no step", &["dt is 0", "above 0", "in ms"], told(base().with_dt(0.0))),
        ("a step backwards", &["dt is -0.5", "above 0", "in ms"], told(base().with_dt(-0.5))),
        ("a step of NaN", &["dt is NaN", "finite"], told(base().with_dt(f64::NAN))),
        ("an infinite step", &["dt is inf", "finite"], told(base().with_dt(f64::INFINITY))),
        ("tau_mem", &["tau_mem is -1", "above 0", "ms"], told(base().with_neuron(Neuron::Qif { tau_mem: -1.0 }))),
        ("tau", &["synaptic tau is 0", "above 0", "ms"], told(base().with_synapses(vec![Synapse::new(0.0)]))),
        ("infinite tau", &["tau is inf", "finite"], told(base().with_synapses(vec![Synapse::new(f64::INFINITY)]))),
        ("no width", &["gate width is 0", "(0, 1]", "Threshold"], with_gate(Gate::Quintic { width: 0.0 })),
        ("a wide gate", &["gate width is 1.5", "(0, 1]"], with_gate(Gate::RaisedCosine { width: 1.5 })),
        ("a gate of NaN", &["gate width is NaN", "(0, 1]"], with_gate(Gate::Quintic { width: f64::NAN })),
        ("no neurons", &["d_hidden is 0", "at least 1"], told(SpikingRnnConfig::new(2, 0))),
        ("no channels", &["d_input is 0", "at least 1"], told(SpikingRnnConfig::new(0, 5))),
        ("no synapses", &["synapse types is 0", "at least 1", "Synapse::new"], told(base().with_synapses(vec![]))),
        (
            "two units",
            &["time_unit is 7 ms", "tau_mem = 25 ms", "leave time_unit out"],
            told(base().with_time_unit(Some(7.0))),
        ),
        (
            "no segments",
            &["checkpoint is 0", "at least 1", "Auto"],
            told(base().with_checkpointing(Checkpointing::Every(0))),
        ),
        ("no outputs", &["d_output is 0", "at least 1"], network_told(base(), 0)),
        (
            "nothing to read",
            &["reads 0 synapse types", "wants 1"],
            network_told(base().with_synapses(vec![Synapse::recurrent_only(5.0)]), 1),
        ),
        (
            "two to read",
            &["reads 2 synapse types", "wants 1", "recurrent_only"],
            network_told(base().with_synapses(vec![Synapse::new(5.0), Synapse::readout_only(9.0)]), 1),
        ),
        ("a foreign readout", &["4 inputs", "5 neurons", "LinearConfig::new(5"], foreign_readout),
        (
            "groups that do not add up",
            &["groups have 6 neurons", "layer has 5"],
            told(base().with_wiring(Wiring::chain([3, 3]))),
        ),
        ("an empty group", &["size of a group is 0", "leave empty"], told(base().with_wiring(Wiring::chain([5, 0])))),
        (
            "a group that is not there",
            &["names group 2", "2 groups"],
            told(base().with_wiring(Wiring::Groups { sizes: vec![2, 3], connections: vec![(0, 2)], inputs: vec![0] })),
        ),
        (
            "no connections",
            &["share of connections is 0", "(0, 1]", "readout_only"],
            told(base().with_wiring(Wiring::Sparse { share: 0.0, seed: 0 })),
        ),
        ("more excitation than neurons", &["dale", "is 1.2", "[0, 1]"], told(base().with_dale(Some(1.2)))),
        ("no adjoint", &["adjoint in a step is 0", "(0, 1]"], told(base().with_adjoint(limited(None, 0.0)))),
        ("an adjoint of 0", &["adjoint's limit is 0", "None"], told(base().with_adjoint(limited(Some(0.0), 1.0)))),
        (
            "a neuron from a file",
            &["\"mine\"", "its name alone", "Neuron::own"],
            told(base().with_neuron(serde_json::from_str(r#"{"Own":"mine"}"#).unwrap())),
        ),
        ("a learned tau_mem", &["tau_mem cannot be learned", "LIF, QIF", "NIF"], learned(Neuron::Nif, true, false)),
        (
            "a learned tau_w of one variable",
            &["tau_w cannot be learned", "ALIF, AdEx and Izhikevich", "QIF"],
            told(base().with_learned(Learned { tau_w: Learn::Shared, ..Learned::default() })),
        ),
        (
            "a learned frequency of a neuron that has none",
            &["frequency cannot be learned", "resonate-and-fire", "ALIF"],
            told(
                base()
                    .with_neuron(Neuron::Alif(Alif::new(20.0, 100.0, 0.1)))
                    .with_learned(Learned { frequency: Learn::PerNeuron, ..Learned::default() }),
            ),
        ),
        (
            "a learned jump of a period",
            &["jump of w cannot be learned", "refractory LIF"],
            told(
                base()
                    .with_neuron(Neuron::RefractoryLif(RefractoryLif::new(20.0, 2.0)))
                    .with_learned(Learned { jump: Learn::Shared, ..Learned::default() }),
            ),
        ),
        (
            "a learned threshold",
            &["threshold cannot be learned", "NIF and LIF", "QIF"],
            learned(Neuron::Qif { tau_mem: 20.0 }, false, true),
        ),
        (
            "a learned width of 0",
            &["width cannot be learned", "Gate::Threshold"],
            told(
                base()
                    .with_gate(Gate::Threshold { at: 1.0 })
                    .with_learned(Learned { width: Learn::Shared, ..Learned::default() }),
            ),
        ),
        (
            "Heun's integrator without a gate",
            &["Integrator::Heun", "Gate::Threshold", "Integrator::Flow"],
            told(base().with_integrator(Integrator::Heun).with_gate(Gate::Threshold { at: 1.0 })),
        ),
        (
            "Heun's integrator limited",
            &["Integrator::Heun", "limited adjoint", "Integrator::Flow"],
            told(base().with_integrator(Integrator::Heun).with_adjoint(limited(None, 0.9))),
        ),
        ("no layers", &["number of layers is 0", "at least 1"], stack(vec![])),
        ("layers that do not fit", &["layer 1 has d_input 4", "layer 0 has 5"], stack(vec![base(), base_of(4)])),
        (
            "a layer that reads nothing",
            &["layer 0 reads 0", "layer 1 wants 1"],
            stack(vec![base().with_synapses(vec![Synapse::recurrent_only(5.0)]), base_of(5)]),
        ),
        (
            "layers of two layouts",
            &["layer 0 has batch_first true", "layer 1 has false"],
            stack(vec![base(), base_of(5).with_batch_first(false)]),
        ),
        ("connections of another size", &["[4, 4]", "[5, 5]", "5 neurons"], connections(0, [4, 4])),
        ("connections of a type that is not there", &["type 1", "there are 1"], connections(1, [5, 5])),
        ("a rate below 0", &["lower_hz is -1", "at least 0"], rates(-1.0, 5.0, 1.0)),
        ("bounds that cross", &["upper_hz is 5", "above lower_hz = 10"], rates(10.0, 5.0, 1.0)),
        ("a weight of NaN", &["weight is NaN", "at least 0"], rates(1.0, 5.0, f64::NAN)),
        ("a negative cost", &["lambda is -1", "at least 0", "use 0"], loss(-1.0)),
        ("a cost of NaN", &["lambda is NaN", "at least 0"], loss(f64::NAN)),
    ]);
}

#[test]
fn tasks() {
    let xor = DelayedXor::new(2, 100.0, 5);
    let coding = Coding::auto_encoding(2, 10.0, 5);
    let xor_told = |task: DelayedXor| task.dataset(0, 1).unwrap_err().to_string();
    let coding_told = |task: Coding| task.dataset(0, 1).unwrap_err().to_string();
    let gaps = Gaps::Even { min_ms: 30.0, max_ms: 500.0 };
    hold(vec![
        (
            "gaps that do not fit the trial",
            &["trial_ms is 1100", "at least 2700", "500 ms", "shorten the gaps"],
            xor_told(DelayedXor { gaps, ..xor.clone() }),
        ),
        ("no rounds", &["rounds is 0", "at least 1"], xor_told(DelayedXor { rounds: 0, ..xor.clone() })),
        ("no step", &["dt is 0", "above 0"], xor_told(DelayedXor { dt: 0.0, ..xor })),
        ("no steps", &["steps is 0", "at least 1"], coding_told(Coding { steps: 0, ..coding.clone() })),
        ("no system", &["length of a row of A", "square"], coding_told(Coding { system: vec![vec![]; 2], ..coding })),
    ]);
}

/// A layer with 5 neurons and 2 channels.
fn layer(device: &Device) -> SpikingRnn {
    SpikingRnnConfig::new(2, 5).with_check_finite(true).init(device).unwrap()
}

#[test]
fn calls() {
    for plain in devices() {
        let device = plain.clone().autodiff();
        let layer = layer(&device);
        let input = || numbers([3, 10, 2], &device);
        let run = |input: Tensor<3>, state: Option<SpikingState>| panic_of(|| drop(layer.forward(input, state)));
        let resting = |batch: usize| layer.resting_state(batch);
        let of_f64 = SpikingState { v: resting(3).v.cast(DType::F64), s: resting(3).s.cast(DType::F64) };
        let hard = SpikingRnnConfig::new(2, 5).with_gate(Gate::Threshold { at: 1.0 }).init(&device).unwrap();
        let loss = TrackingLossConfig::new().init().unwrap();
        let layers = vec![SpikingRnnConfig::new(2, 5), SpikingRnnConfig::new(5, 5)];
        let stack = SpikingStackConfig::new(layers).init(&device).unwrap();
        let (output, trace) = (numbers([3, 10, 1], &device), numbers([3, 10, 5], &device));
        hold(vec![
            ("channels", &["2", "4"], run(numbers([3, 10, 4], &device), None)),
            ("no steps", &["0 time steps", "at least 1"], run(Tensor::empty([3, 0, 2], &device), None)),
            ("no samples", &["0 samples", "at least 1"], run(Tensor::empty([0, 10, 2], &device), None)),
            ("a state of another batch size", &["3", "4"], run(input(), Some(resting(4)))),
            (
                "a state of other synapses",
                &["1", "2"],
                run(input(), Some(SpikingState::from_potential(resting(3).v, 2))),
            ),
            ("an input of other dtype", &["input is F64", "F32", "cast"], run(input().cast(DType::F64), None)),
            ("a state of other dtype", &["state's v is F64", "F32", "cast"], run(input(), Some(of_f64))),
            (
                "a length too few",
                &["2 lengths", "3 samples"],
                panic_of(|| drop(layer.forward_lengths(input(), &[10, 5], None))),
            ),
            (
                "a length beyond the input",
                &["sample 1 is 11", "1..=10"],
                panic_of(|| drop(layer.forward_lengths(input(), &[10, 11, 5], None))),
            ),
            (
                "a sample without steps",
                &["sample 2 is 0", "1..=10"],
                panic_of(|| drop(layer.forward_lengths(input(), &[10, 10, 0], None))),
            ),
            (
                "states of another stack",
                &["1 states", "2 layers"],
                panic_of(|| drop(stack.forward(input(), Some(vec![resting(3)])))),
            ),
            (
                "targets of another batch",
                &["3", "2"],
                panic_of(|| {
                    let targets = Tensor::<1, Int>::from_data([0, 1], &device);
                    drop(ClassificationLoss::new(Scores::Mean).forward(output.clone(), targets))
                }),
            ),
            ("an empty range", &["[1, 0)", "lower bound"], panic_of(|| drop(layer.random_state(1, 1.0, 0.0, 0)))),
            (
                "a gradient of the threshold gate",
                &["Gate::Threshold", "valid()"],
                panic_of(|| drop(hard.forward(input(), None))),
            ),
            (
                "a target of other length",
                &["10", "9"],
                panic_of(|| drop(loss.forward(output.clone(), numbers([3, 9, 1], &device), trace.clone()))),
            ),
            (
                "weights of other length",
                &["10", "9"],
                panic_of(|| {
                    let weight = numbers([3, 9], &device);
                    drop(loss.forward_weighted(output.clone(), output.clone(), weight, trace.clone()))
                }),
            ),
        ]);
        // Without gradients, the threshold gate accepts the same run.
        hard.valid().forward(numbers([3, 10, 2], &plain), None);
    }
}

/// Returns the tensor with one number replaced.
fn with<const D: usize>(tensor: Tensor<D>, at: usize, value: f32) -> Tensor<D> {
    let mut data = tensor.to_data();
    data.as_mut_slice::<f32>().expect("single precision")[at] = value;
    Tensor::from_data(data, &tensor.device())
}

#[test]
fn values_that_are_not_finite() {
    for device in devices() {
        for neuron in [Neuron::Nif, Neuron::Lif { tau_mem: 25.0 }, Neuron::Qif { tau_mem: 25.0 }] {
            for body in [Implementation::Fused, Implementation::TensorOps] {
                let config = SpikingRnnConfig::new(2, 5)
                    .with_neuron(neuron.clone())
                    .with_check_finite(body == Implementation::TensorOps);
                let layer = || config.init(&device).unwrap().with_implementation(body);
                // The run is longer than any neuron stays inactive, so that every weight is read.
                let input = numbers([3, 400, 2], &device) + 2.0;
                for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                    let told = |what: &str, layer: SpikingRnn, input: Tensor<3>, state: Option<SpikingState>| {
                        let run = AssertUnwindSafe(|| drop(layer.forward(input, state)));
                        let silent = format!("{neuron}, {body:?}: {value} in the {what} passed in silence");
                        text_of(catch_unwind(run).expect_err(&silent))
                    };
                    let spoil = |at: usize, spoiled: Tensor<2>| Param::from_tensor(with(spoiled, at, value));
                    let in_input = told("input", layer(), with(input.clone(), 2 * 400 + 7, value), None);
                    assert!(in_input.contains("sample 1"), "{neuron}, {body:?}, {value}: {in_input}");
                    let mut spoiled = layer();
                    spoiled.input_weight = spoil(3, spoiled.input_weight.val());
                    let in_projection = told("projection", spoiled, input.clone(), None);
                    let mut spoiled = layer();
                    spoiled.recurrent_weights = vec![spoil(9, spoiled.recurrent_weights[0].val())];
                    let in_weights = told("weights", spoiled, input.clone(), None);
                    let mut state = layer().resting_state(3);
                    state.v = with(state.v, 6, value);
                    let in_potential = told("potentials", layer(), input.clone(), Some(state));
                    let mut state = layer().resting_state(3);
                    state.s = with(state.s, 6, value);
                    let in_trace = told("traces", layer(), input.clone(), Some(state));
                    for message in [&in_input, &in_projection, &in_weights, &in_potential, &in_trace] {
                        for part in ["must be finite", "look for", "neuron", "400 steps"] {
                            assert!(message.contains(part), "{neuron}, {body:?}, {value}: {message}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_cost_that_is_not_finite() {
    for plain in devices() {
        let device = plain.autodiff();
        let (trajectory, _) = layer(&device).forward(numbers([3, 10, 2], &device), None);
        let message = panic_of(|| drop((trajectory.trace() * f32::INFINITY).sum().backward()));
        assert!(message.contains("gradient") && message.contains("double precision"), "{message}");
    }
}

#[cfg(all(feature = "flex", feature = "ndarray"))]
#[test]
fn devices_that_differ() {
    let [flex, ndarray] = [&devices()[0], &devices()[1]].map(Device::clone);
    let message = panic_of(|| drop(layer(&flex).forward(numbers([3, 10, 2], &ndarray), None)));
    assert!(message.contains("input") && message.contains("device") && message.contains("move"), "{message}");
    let state = layer(&ndarray).resting_state(3);
    let message = panic_of(|| drop(layer(&flex).forward(numbers([3, 10, 2], &flex), Some(state))));
    assert!(message.contains("state's v") && message.contains("device"), "{message}");
}

#[test]
fn records() {
    let device = &devices()[0];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("layer.bpk");
    let config = SpikingRnnConfig::new(2, 5);
    config.init(device).unwrap().save(&path).unwrap();
    let told = |config: SpikingRnnConfig| config.init(device).unwrap().load(&path).unwrap_err().to_string();
    hold(vec![
        ("another step", &["dt 1 ms", "dt 0.5 ms", "record's own configuration"], told(config.clone().with_dt(0.5))),
        ("another size", &["d_hidden 5", "d_hidden 6"], told(SpikingRnnConfig::new(2, 6))),
        (
            "no file",
            &["none.bpk"],
            config.init(device).unwrap().load(folder.path().join("none.bpk")).unwrap_err().to_string(),
        ),
        (
            "a folder that cannot be written",
            &["layer.bpk"],
            config.init(device).unwrap().save(path.join("layer.bpk")).unwrap_err().to_string(),
        ),
    ]);
    // A file that is cut in half.
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    hold(vec![("half a file", &["layer.bpk"], told(config.clone()))]);
    // The parameters of another layer, beside the constants of this layer.
    SpikingRnnConfig::new(2, 7).init(device).unwrap().into_record().save(&path).unwrap();
    hold(vec![("foreign parameters", &["layer.bpk", "d_hidden 7", "d_hidden 5"], told(config))]);
}
