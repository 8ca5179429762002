//! Tests, on these layers, of faults that users of spiking and recurrent layers have reported in
//! public. Each test names the report.

use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::{Bool, DType, Device, Int, Tensor, TensorData};
use burn_spiking::neuron::Eif;
use burn_spiking::{
    ClassificationLoss, Gate, Implementation, InitialWeights, Learn, Learned, Neuron, RestCost, Scores, SpikingNetwork,
    SpikingRnn, SpikingRnnConfig, SpikingStackConfig, SpikingState, Synapse, TrackingLossConfig, Trajectory, Wiring,
};
use burn_spiking_tests::{devices, normal, numbers, relative_distance};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

fn device() -> Device {
    devices()[0].clone().autodiff()
}

fn noise<const D: usize>(shape: [usize; D], seed: u64) -> Tensor<D> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let data: Vec<f64> = (0..shape.iter().product()).map(|_| normal(&mut random)).collect();
    Tensor::from_data(TensorData::new(data, shape), (&device(), DType::F64))
}

/// A layer whose neurons fire often.
fn config() -> SpikingRnnConfig {
    SpikingRnnConfig::new(2, 6).with_initial(Some(InitialWeights { input: 3.0, recurrent: 2.0, bias: 1.0 }))
}

fn init(config: &SpikingRnnConfig) -> SpikingRnn {
    config.init((&device(), DType::F64)).unwrap()
}

/// Returns the gradients of a cost with respect to all parameters of a layer that have a gradient.
fn gradients(layer: &SpikingRnn, cost: Tensor<1>) -> Vec<f64> {
    let found = cost.backward();
    let mut all = numbers(layer.input_weight.grad(&found).unwrap());
    layer.recurrent_weights.iter().for_each(|weights| all.extend(numbers(weights.grad(&found).unwrap())));
    all.extend(layer.bias.iter().flat_map(|bias| numbers(bias.grad(&found).unwrap())));
    if let Some(constants) = &layer.constants {
        let each = [&constants.log_tau_mem, &constants.log_tau_syn, &constants.logit_width, &constants.log_threshold];
        each.into_iter().flatten().for_each(|param| all.extend(numbers(param.grad(&found).unwrap())));
    }
    all
}

fn near(found: &[f64], wanted: &[f64], within: f64, what: &str) {
    assert!(wanted.iter().any(|&x| x != 0.0), "{what}: silent networks are always near");
    let distance = relative_distance(found, wanted);
    assert!(distance < within, "{what}: {distance:e}");
}

/// tracel-ai/burn#3727: NaN in values that a mask does not select appeared in gradients.
#[test]
fn what_a_reset_throws_away_may_be_nan() {
    let layer = init(&config().with_learned_start(true));
    let anew = Tensor::<1, Bool>::from_data([false, true, false], &devices()[0]);
    let run = |spoiled: f64| {
        let (_, state) = layer.forward(noise([3, 20, 2], 1), None);
        let rows = Tensor::<1>::from_data(TensorData::from([0.0, spoiled, 0.0]), (&device(), DType::F64));
        let bad = SpikingState {
            v: state.v.clone() + rows.clone().unsqueeze_dim(1),
            s: state.s + rows.unsqueeze_dims(&[1, 2]),
        };
        let (run, _) = layer.forward(noise([3, 20, 2], 2), Some(bad.reset(anew.clone(), layer.resting_state(3))));
        gradients(&layer, run.trace().square().sum())
    };
    let clean = run(0.0);
    assert_eq!(run(f64::NAN), clean);
    assert_eq!(run(f64::INFINITY), clean);
}

/// The same report, for the input after the end of a sample.
#[test]
fn padding_may_be_nan() {
    let layer = init(&config());
    let run = |padding: f64| {
        let cut = noise([2, 10, 2], 1);
        let rest = Tensor::full([2, 5, 2], padding, (&device(), DType::F64));
        let input = Tensor::cat(vec![cut, rest], 1);
        let (run, _) = layer.forward_lengths(input, &[10, 7], None);
        gradients(&layer, run.trace().square().sum())
    };
    assert_eq!(run(f64::NAN), run(0.0));
}

/// The same report, for targets, weights and costs of rest.
#[test]
fn what_costs_get_in_the_padding_may_be_nan() {
    let layer = init(&config());
    let target = noise([2, 15, 6], 2);
    let after = Tensor::<2, Bool>::from_data([[false; 15], std::array::from_fn(|t| t >= 7)], &devices()[0]);
    let run = |padding: f64| {
        let series = target.clone().mask_fill(after.clone().unsqueeze_dim::<3>(2).expand([2, 15, 6]), padding);
        let rows = noise([2, 15], 3).abs().mask_fill(after.clone(), padding);
        let (run, _) = layer.forward_lengths(noise([2, 15, 2], 1), &[15, 7], None);
        let tracking = TrackingLossConfig::new().with_lambda(0.1).init().unwrap();
        let cost = tracking.forward_layer(run.traces[0].clone() + 0.5, series.clone(), Some(rows.clone()), &run)
            + RestCost { weight: 0.2 }.forward(&run, rows);
        let scores = [Scores::Mean, Scores::Max, Scores::MeanProbability];
        let spoiled = run.traces[0].clone() + series * 0.0;
        let scored = scores.map(|scores| scores.forward_lengths(spoiled.clone(), &[15, 7]).square().sum());
        gradients(&layer, scored.into_iter().fold(cost, |sum, one| sum + one))
    };
    near(&run(f64::NAN), &run(0.0), 1e-15, "gradients");
}

/// synsense/sinabs-exodus#3: gradients across several calls were wrong.
#[test]
fn three_calls_are_one_for_networks_and_stacks_with_learned_constants() {
    let learned = Learned { tau_mem: Learn::Shared, tau_syn: true, width: Learn::Shared, ..Learned::default() };
    let layer = init(&config().with_learned(learned));
    let readout = Linear { weight: Param::from_tensor(noise([6, 2], 3)), bias: None };
    let network = SpikingNetwork::new(layer, readout).unwrap();
    let above = SpikingRnnConfig { d_input: 6, ..config() };
    let stack = SpikingStackConfig::new(vec![config(), above]).init((&device(), DType::F64)).unwrap();
    let input = noise([3, 45, 2], 4);
    let parts = |calls: usize| (0..calls).map(move |at| (at * 45 / calls, 45 / calls));
    let of_network = |calls: usize| {
        let (mut state, mut outputs) = (None, Vec::new());
        for (from, length) in parts(calls) {
            let (run, last) = network.forward(input.clone().narrow(1, from, length), state);
            (state, _) = (Some(last), outputs.push(run.output));
        }
        gradients(&network.layer, Tensor::cat(outputs, 1).square().sum())
    };
    let of_stack = |calls: usize| {
        let (mut states, mut traces) = (None, Vec::new());
        for (from, length) in parts(calls) {
            let (mut runs, last) = stack.forward(input.clone().narrow(1, from, length), states);
            (states, _) = (Some(last), traces.push(runs.pop().unwrap().trace()));
        }
        gradients(&stack.layers[0], Tensor::cat(traces, 1).square().sum())
    };
    near(&of_network(3), &of_network(1), 1e-10, "network");
    near(&of_stack(3), &of_stack(1), 1e-10, "stack");
}

/// synsense/sinabs-exodus#4: the backward pass received a gradient that was not contiguous in
/// memory.
#[test]
fn gradients_may_come_in_any_layout() {
    let layer = init(&config());
    let weight = noise([3, 6, 12], 5);
    let of = |cost: &dyn Fn(Tensor<3>) -> Tensor<1>| {
        let (run, _) = layer.forward(noise([3, 12, 2], 6), None);
        gradients(&layer, cost(run.trace()))
    };
    let turned = of(&|trace| (trace.swap_dims(1, 2) * weight.clone()).sum());
    near(&turned, &of(&|trace| (trace * weight.clone().swap_dims(1, 2)).sum()), 1e-12, "swapped");
    let flipped = of(&|trace| (trace.flip([1]) * weight.clone().swap_dims(1, 2)).sum());
    near(&flipped, &of(&|trace| (trace * weight.clone().swap_dims(1, 2).flip([1])).sum()), 1e-12, "flipped");
    let expanded = of(&|trace| trace.unsqueeze_dim::<4>(0).expand([5, 3, 12, 6]).mean());
    near(&expanded, &of(&|trace| trace.mean()), 1e-12, "expanded");
    let sliced = of(&|trace| trace.narrow(1, 3, 4).narrow(2, 1, 3).sum());
    let mask = Tensor::<3>::zeros([3, 12, 6], (&device(), DType::F64));
    let mask = mask.slice_assign([0..3, 3..7, 1..4], Tensor::ones([3, 4, 3], (&device(), DType::F64)));
    near(&sliced, &of(&|trace| (trace * mask.clone()).sum()), 1e-12, "sliced");
}

/// jeshraghian/snntorch#442: decays of single neurons were ignored, and a wrong number of decays
/// was accepted.
#[test]
fn a_neurons_own_tau_is_used_everywhere() {
    let taus = [5.0, 10.0, 20.0, 40.0, 80.0, 160.0];
    let none = InitialWeights { input: 3.0, recurrent: 0.0, bias: 2.0 };
    let neuron = |tau_mem: f64| Neuron::Lif { tau_mem };
    let learned = Learned { tau_mem: Learn::PerNeuron, ..Learned::default() };
    let config = config().with_initial(Some(none)).with_neuron(neuron(20.0));
    let layer = init(&config.clone().with_learned(learned)).with_tau_mem(&taus).unwrap();
    let input = noise([2, 60, 2], 7);
    let trace = |layer: &SpikingRnn| numbers(layer.forward(input.clone(), None).0.trace());
    let together = trace(&layer);
    for (what, found) in [
        ("tensor operations", trace(&layer.clone().with_implementation(Implementation::TensorOps))),
        (
            "reference",
            numbers(layer.clone().with_implementation(Implementation::Autodiff).forward(input.clone(), None).0.trace()),
        ),
    ] {
        near(&found, &together, 1e-9, what);
    }
    for (j, &tau) in taus.iter().enumerate() {
        let mut alone = init(&config.clone().with_neuron(neuron(tau)));
        (alone.input_weight, alone.bias) = (layer.input_weight.clone(), layer.bias.clone());
        let of_neuron = |trace: &[f64]| trace.iter().skip(j).step_by(6).copied().collect::<Vec<_>>();
        near(&of_neuron(&together), &of_neuron(&trace(&alone)), 1e-9, &format!("neuron {j}"));
    }
    assert!(layer.with_tau_mem(&taus[..5]).unwrap_err().to_string().contains("tau_mem is given 5 times"));
}

/// jeshraghian/snntorch#234: a second way to run a layer had different dynamics from the first.
#[test]
fn all_ways_to_run_a_layer_agree() {
    let synapses = vec![Synapse::new(15.0), Synapse::recurrent_only(4.0).with_delay(2.0)];
    for neuron in [
        Neuron::Nif,
        Neuron::Lif { tau_mem: 20.0 },
        Neuron::Qif { tau_mem: 20.0 },
        Neuron::Eif(Eif { tau_mem: 20.0, delta: 0.15, onset: 0.7, substeps: 1 }),
    ] {
        let layer = init(&config().with_neuron(neuron.clone()).with_synapses(synapses.clone()));
        let input = noise([3, 25, 2], 8);
        let wanted = numbers(layer.forward(input.clone(), None).0.trace());
        let steps = || {
            let (mut state, mut traces) = (None, Vec::new());
            for t in 0..25 {
                let (step, last) = layer.step(input.clone().narrow(1, t, 1).squeeze_dim(1), state);
                (state, _) = (Some(last), traces.push(step.trace().unsqueeze_dim::<3>(1)));
            }
            Tensor::cat(traces, 1)
        };
        for (what, found) in [
            ("resting state", layer.forward(input.clone(), Some(layer.resting_state(3))).0.trace()),
            ("steps", steps()),
            ("recording", layer.forward_recording(input.clone(), None).0.trace()),
            ("lengths", layer.forward_lengths(input.clone(), &[25; 3], None).0.trace()),
            (
                "reference",
                layer.clone().with_implementation(Implementation::Autodiff).forward(input.clone(), None).0.trace(),
            ),
        ] {
            near(&numbers(found), &wanted, 1e-9, &format!("{what} of {neuron}"));
        }
    }
}

/// jeshraghian/snntorch#428: losses failed with their default options and in double precision.
#[test]
fn costs_keep_their_dtype() {
    for dtype in [DType::F32, DType::F64] {
        let options = (&device(), dtype);
        let output = Tensor::<3>::random([3, 9, 4], burn::tensor::Distribution::Default, options).require_grad();
        let targets = Tensor::<1, Int>::from_data([0, 3, 1], &devices()[0]);
        for scores in [Scores::Mean, Scores::Last, Scores::Max, Scores::MeanProbability] {
            let (cost, found) = ClassificationLoss::new(scores).forward(output.clone(), targets.clone());
            assert_eq!((cost.dtype(), found.dtype()), (dtype, dtype), "{scores:?}");
            assert_eq!(output.grad(&cost.backward()).unwrap().dtype(), dtype);
        }
        let tracking = TrackingLossConfig::new().init().unwrap();
        let cost = tracking.forward(output.clone(), output.clone() * 0.5, output.clone());
        assert_eq!(cost.dtype(), dtype);
        assert_eq!(output.grad(&cost.backward()).unwrap().dtype(), dtype);
    }
}

/// norse/norse#125: an initial state that was not given received no gradient.
#[test]
fn a_learned_start_hears_of_every_sample() {
    let layer = init(&config().with_learned_start(true));
    let input = noise([3, 15, 2], 9);
    let of = |input: Tensor<3>, state: Option<SpikingState>| {
        let found = layer.forward(input, state).0.trace().square().sum().backward();
        let v = layer.start_v.as_ref().unwrap().grad(&found).map(numbers);
        (v, layer.start_s.as_ref().unwrap().grad(&found).map(numbers))
    };
    let (v, s) = of(input.clone(), None);
    let sum = |part: &dyn Fn(usize) -> Vec<f64>| -> Vec<f64> {
        (0..3).map(part).reduce(|a, b| a.iter().zip(&b).map(|(a, b)| a + b).collect()).unwrap()
    };
    let alone = |b: usize| of(input.clone().narrow(0, b, 1), None);
    near(&v.unwrap(), &sum(&|b| alone(b).0.unwrap()), 1e-10, "start v");
    near(&s.unwrap(), &sum(&|b| alone(b).1.unwrap()), 1e-10, "start s");
    let given = of(input, Some(layer.state_from_potential(Tensor::full([3, 6], 0.3, (&device(), DType::F64)))));
    assert_eq!(given, (None, None));
}

/// norse/norse#19: neurons were connected to themselves by default.
#[test]
fn the_diagonal_has_no_effect_unless_asked_for() {
    let layer = init(&config());
    let trace = |layer: &SpikingRnn| numbers(layer.forward(noise([2, 30, 2], 10), None).0.trace());
    let mut spoiled = layer.clone();
    let diagonal = Tensor::<2>::eye(6, &device()).cast(DType::F64) * 100.0;
    spoiled.recurrent_weights[0] = Param::from_tensor((layer.recurrent_weights[0].val() + diagonal).detach());
    assert_eq!(trace(&spoiled), trace(&layer));
    assert!((0..6).all(|j| numbers(spoiled.effective_weights(0).unwrap())[7 * j] == 0.0));
    let all = Tensor::<2>::ones([6, 6], &devices()[0]).greater_elem(0.5);
    assert_ne!(trace(&spoiled.with_connections(0, all).unwrap()), trace(&layer));
}

/// Runs a layer of two NIF neurons. The first neuron fires once, in step 3, and drives the second.
fn relay(delay: f64, dt: f64) -> Trajectory {
    let synapse = Synapse::new(20.0).with_delay(delay);
    let config = SpikingRnnConfig::new(1, 2).with_neuron(Neuron::Nif).with_bias(false).with_synapses(vec![synapse]);
    let mut layer = init(&config.with_gate(Gate::Quintic { width: 0.1 }).with_dt(dt));
    let options = (&device(), DType::F64);
    layer.input_weight = Param::from_tensor(Tensor::from_data([[20.0, 0.0]], options));
    layer.recurrent_weights[0] = Param::from_tensor(Tensor::from_data([[0.0, 5.0], [0.0, 0.0]], options));
    let steps = (60.0 / dt) as usize;
    let input: Vec<f64> = (0..steps).map(|t| if t == 3 { 1.2 / dt } else { 0.0 }).collect();
    layer.forward_recording(Tensor::from_data(TensorData::new(input, [1, steps, 1]), options), None).0
}

/// brainpy/BrainPy#709: a delay acted two steps too early.
#[test]
fn a_spike_arrives_after_its_delay() {
    for dt in [1.0, 0.5] {
        for steps in [0, 1, 2, 20] {
            let run = relay(steps as f64 * dt, dt);
            assert_eq!(run.spikes(0).first(), Some(&(3, 0)));
            let second: Vec<f64> = numbers(run.v.unwrap()).into_iter().skip(1).step_by(2).collect();
            assert_eq!(second.iter().position(|&v| v != 0.0), Some(4 + steps), "{steps} steps of {dt} ms");
        }
    }
}

/// lava-nc/lava-dl#226: the buffer for delays was that of another synapse.
#[test]
fn synapse_types_may_stand_in_any_order() {
    let types = [
        Synapse::new(15.0).with_delay(3.0),
        Synapse::recurrent_only(4.0).with_delay(10.0),
        Synapse::readout_only(30.0),
        Synapse::recurrent_only(8.0),
    ];
    let weights: Vec<Tensor<2>> = (0..3).map(|k| noise([6, 6], 20 + k) * 0.5).collect();
    let run = |order: [usize; 4]| {
        let mut layer = init(&config().with_synapses(order.map(|k| types[k]).to_vec()));
        layer.input_weight = Param::from_tensor(noise([2, 6], 30) * 2.0);
        let recurrent = order.iter().filter(|&&k| types[k].is_recurrent());
        // All types except the third of the four have weights.
        let of_type = |k: usize| weights[if k == 3 { 2 } else { k }].clone();
        layer.recurrent_weights = recurrent.map(|&k| Param::from_tensor(of_type(k))).collect();
        let forward = |reference: bool| {
            let input = noise([2, 40, 2], 31);
            let (run, _) = if reference {
                layer.clone().with_implementation(Implementation::Autodiff).forward(input, None)
            } else {
                layer.forward(input, None)
            };
            let read = order.iter().filter(|&&k| types[k].readout).zip(run.traces);
            let first = read.map(|(&k, trace)| trace * (k + 1) as f64).reduce(|a, b| a + b).unwrap();
            let found = first.clone().square().sum().backward();
            (numbers(first), numbers(layer.input_weight.grad(&found).unwrap()))
        };
        let (kernel, reference) = (forward(false), forward(true));
        near(&kernel.1, &reference.1, 1e-9, "the gradient of the reference");
        kernel
    };
    let (trace, gradient) = run([0, 1, 2, 3]);
    for order in [[3, 2, 1, 0], [2, 0, 3, 1], [1, 3, 0, 2]] {
        let found = run(order);
        near(&found.0, &trace, 1e-10, "trace");
        near(&found.1, &gradient, 1e-10, "gradient");
    }
}

/// lava-nc/lava-dl#260: weights arrived transposed.
#[test]
fn a_weight_leads_from_its_row_to_its_column() {
    let mut layer =
        init(&SpikingRnnConfig::new(1, 4).with_initial(Some(InitialWeights { input: 0.0, recurrent: 0.0, bias: 1.5 })));
    let trace = |layer: &SpikingRnn| numbers(layer.forward(noise([1, 80, 1], 11), None).0.trace());
    let without = trace(&layer);
    let weight = Tensor::<2>::zeros([4, 4], (&device(), DType::F64)).slice_fill([1..2, 3..4], 2.0);
    layer.recurrent_weights[0] = Param::from_tensor(weight.clone());
    assert_eq!(numbers(layer.effective_weights(0).unwrap()), numbers(weight));
    let folder = tempfile::tempdir().unwrap();
    layer.save(folder.path().join("layer.bpk")).unwrap();
    let fresh = init(layer.config());
    for layer in [&layer, &fresh.load(folder.path().join("layer.bpk")).unwrap()] {
        let with = trace(layer);
        let changed = |j: usize| with.iter().zip(&without).skip(j).step_by(4).any(|(a, b)| a != b);
        assert_eq!([0, 1, 2, 3].map(changed), [false, false, false, true]);
    }
}

/// lava-nc/lava-dl#383: decays that should be learned hardly changed.
#[test]
fn tau_v_is_learned_from_a_teacher() {
    use burn::optim::{AdamConfig, GradientsParams};
    let with = |tau_mem: f64| {
        let none = InitialWeights { input: 3.0, recurrent: 0.0, bias: 1.0 };
        config().with_initial(Some(none)).with_neuron(Neuron::Lif { tau_mem }).with_gate(Gate::Quintic { width: 1.0 })
    };
    let teacher = init(&with(20.0));
    let learned = Learned { tau_mem: Learn::Shared, ..Learned::default() };
    let mut student = init(&with(12.0).with_learned(learned));
    student.input_weight = teacher.input_weight.clone().set_require_grad(false);
    student.bias = teacher.bias.clone().map(|bias| bias.set_require_grad(false));
    let mut optimizer = AdamConfig::new().init();
    let tau =
        |layer: &SpikingRnn| numbers(layer.constants.as_ref().unwrap().log_tau_mem.as_ref().unwrap().val())[0].exp();
    for iteration in 0..150 {
        let input = noise([8, 60, 2], 100 + iteration);
        let wanted = teacher.forward(input.clone(), None).0.trace().detach();
        let cost = (student.forward(input, None).0.trace() - wanted).square().mean();
        let gradients = GradientsParams::from_grads(cost.backward(), &student);
        student = optimizer.step(0.02, student, gradients);
    }
    assert!((tau(&student) - 20.0).abs() < 1.0, "{}", tau(&student));
}

/// lava-nc/lava-dl#65: a recurrent block used the wrong synapse, but only if it had a bias.
#[test]
fn a_tonic_current_of_zero_is_none() {
    let wiring = Wiring::Sparse { share: 0.5, seed: 3 };
    let synapses = vec![Synapse::recurrent_only(4.0), Synapse::new(15.0)];
    let config = config().with_synapses(synapses).with_wiring(wiring);
    let mut with = init(&config);
    with.bias = Some(Param::from_tensor(Tensor::zeros([6], (&device(), DType::F64))));
    let mut without = init(&config.with_bias(false));
    (without.input_weight, without.recurrent_weights) = (with.input_weight.clone(), with.recurrent_weights.clone());
    for reference in [false, true] {
        let run = |layer: &SpikingRnn| {
            let input = noise([2, 40, 2], 12);
            let (run, _) = if reference {
                layer.clone().with_implementation(Implementation::Autodiff).forward(input, None)
            } else {
                layer.forward(input, None)
            };
            let trace = numbers(run.clone().trace());
            let found = run.trace().square().sum().backward();
            (trace, numbers(layer.recurrent_weights[1].grad(&found).unwrap()))
        };
        assert_eq!(run(&with), run(&without));
    }
}

/// jeshraghian/snntorch#366: spikes and resets were drawn separately, so that one occurred without
/// the other.
#[test]
fn spikes_counts_and_resets_agree() {
    for gate in [
        Gate::Quintic { width: 0.05 },
        Gate::Quintic { width: 1.0 },
        Gate::RaisedCosine { width: 0.4 },
        Gate::Threshold { at: 0.6 },
    ] {
        for dtype in [DType::F32, DType::F64] {
            // A drive so strong that some steps have two spikes.
            let strong = InitialWeights { input: 30.0, recurrent: 0.0, bias: 20.0 };
            let config = config().with_neuron(Neuron::Nif).with_gate(gate).with_initial(Some(strong));
            let layer = config.init((&devices()[0], dtype)).unwrap();
            let input = noise([1, 90, 2], 13).inner().cast(dtype);
            let (run, _) = layer.forward_recording(input.clone(), None);
            let spikes = run.spikes(0);
            assert!(spikes.windows(2).any(|pair| pair[0] == pair[1]), "no step has two spikes");
            let v = numbers(run.v.clone().unwrap());
            // A NIF neuron sums its currents, and each reset subtracts 1. So this check does not
            // depend on the charge.
            let drive = input.clone().squeeze_dim::<2>(0).matmul(layer.input_weight.val())
                + layer.bias.as_ref().unwrap().val().unsqueeze();
            let total = numbers(drive.sum_dim(0) * (1.0 / config.time_unit_ms()));
            for (j, total) in total.into_iter().enumerate() {
                let resets = spikes.iter().filter(|&&(_, neuron)| neuron == j).count() as f64;
                assert!((total - v[89 * 6 + j] - resets).abs() < 1e-3, "{gate:?}, neuron {j}: {total} and {resets}");
            }
            for (j, count) in numbers(run.spike_counts()).into_iter().enumerate() {
                let number = spikes.iter().filter(|&&(_, neuron)| neuron == j).count() as f64;
                // The part that an unfinished spike has sent at the end. Runs start at 0, where no
                // spike has begun.
                let begun = gate.charge(v[89 * 6 + j]);
                assert!((count - number - begun).abs() < 1e-3, "{gate:?}, neuron {j}: {count} and {number} + {begun}");
            }
        }
    }
}
