//! Tests of sequences in typical use: different lengths, time first, step by step, learned initial
//! states, wiring and stacks.

mod delays;

use burn::module::{Module, Param};
use burn::tensor::{Bool, DType, Device, Tensor, TensorData};
use burn_spiking::{
    Gate, Learn, Learned, NetworkOutput, Neuron, SpikingNetwork, SpikingNetworkConfig, SpikingRnn, SpikingRnnConfig,
    SpikingStackConfig, SpikingState, Synapse, TrackingLossConfig, Trajectory, Wiring, step_mask,
};
use burn_spiking_tests::{devices, numbers, relative_distance};

/// Fixed numbers with a variance of about 1.
fn noise<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    let count = shape.iter().product();
    let data: Vec<f64> = (0..count).map(|at| 1.4 * (0.71 * at as f64 + (0.13 * at as f64).sin()).sin()).collect();
    Tensor::from_data(TensorData::new(data, shape), (device, DType::F64))
}

fn device() -> Device {
    devices()[0].clone().autodiff()
}

fn config() -> SpikingRnnConfig {
    SpikingRnnConfig::new(2, 7)
        .with_synapses(vec![Synapse::new(15.0), Synapse::recurrent_only(4.0)])
        .with_record_v(true)
        .with_record_charge(true)
}

/// A cost that depends on every output of a run.
fn cost(trajectory: Trajectory, state: SpikingState) -> Tensor<1> {
    let weighed = |x: Tensor<3>| (x.clone().square() + x).sum();
    weighed(trajectory.v.unwrap())
        + weighed(trajectory.charge.unwrap())
        + trajectory.traces.into_iter().map(weighed).reduce(|a, b| a + b).unwrap()
        + state.v.square().sum()
        + state.s.sum()
}

fn gradients(layer: &SpikingRnn, cost: Tensor<1>) -> Vec<Vec<f64>> {
    let gradients = cost.backward();
    let mut all = vec![numbers(layer.input_weight.grad(&gradients).unwrap())];
    all.extend(layer.recurrent_weights.iter().map(|w| numbers(w.grad(&gradients).unwrap())));
    all
}

fn sum(all: impl IntoIterator<Item = Vec<Vec<f64>>>) -> Vec<Vec<f64>> {
    let add = |a: Vec<f64>, b: Vec<f64>| a.iter().zip(b).map(|(a, b)| a + b).collect();
    all.into_iter().reduce(|a, b| a.into_iter().zip(b).map(|(a, b)| add(a, b)).collect()).unwrap()
}

#[test]
fn samples_of_different_lengths_are_what_they_are_alone() {
    let device = device();
    let layer = config().init((&device, DType::F64)).unwrap();
    let (input, lengths) = (noise([5, 40, 2], &device), [17, 40, 1, 17, 33]);
    let start = layer.random_state(5, 0.0, 1.0, 3);
    let (together, last) = layer.forward_lengths(input.clone(), &lengths, Some(start.clone()));
    let v = together.v.clone().unwrap();
    assert_eq!(v.dims(), [5, 40, 7]);
    let mut alone = Vec::new();
    for (b, length) in lengths.into_iter().enumerate() {
        let one = |x: Tensor<3>| x.narrow(0, b, 1).narrow(1, 0, length);
        let state = SpikingState { v: start.v.clone().narrow(0, b, 1), s: start.s.clone().narrow(0, b, 1) };
        let (trajectory, state) = layer.forward(one(input.clone()), Some(state));
        // Equal up to rounding: each piece computes the currents at its start anew.
        let pairs = [
            (numbers(one(v.clone())), numbers(trajectory.v.clone().unwrap())),
            (numbers(one(together.traces[0].clone())), numbers(trajectory.traces[0].clone())),
            (numbers(last.v.clone().narrow(0, b, 1)), numbers(state.v.clone())),
            (numbers(last.s.clone().narrow(0, b, 1)), numbers(state.s.clone())),
        ];
        for (found, wanted) in pairs {
            assert!(relative_distance(&found, &wanted) < 1e-12, "sample {b}");
        }
        if length < 40 {
            let after = v.clone().narrow(0, b, 1).narrow(1, length, 40 - length);
            assert!(numbers(after).iter().all(|&x| x == 0.0), "sample {b}");
        }
        alone.push(gradients(&layer, cost(trajectory, state)));
    }
    let alone = sum(alone);
    for (together, alone) in gradients(&layer, cost(together, last)).iter().zip(&alone) {
        assert!(relative_distance(together, alone) < 1e-11);
    }
}

#[test]
fn a_network_of_different_lengths_is_layer_and_readout() {
    let device = device();
    let layer = config().init((&device, DType::F64)).unwrap();
    let readout = burn::nn::Linear {
        weight: Param::from_tensor(noise([7, 2], &device)),
        bias: Some(Param::from_tensor(noise([2], &device) + 0.3)),
    };
    let network = SpikingNetwork::new(layer, readout).unwrap();
    let (input, lengths) = (noise([3, 30, 2], &device), [30, 9, 21]);
    let mask = step_mask(&lengths, 30, (&device, DType::F64));
    let (run, state) = network.forward_lengths(input.clone(), &lengths, None);
    let (trajectory, last) = network.layer.forward_lengths(input, &lengths, None);
    let trace = trajectory.trace();
    let output = network.readout.forward(trace.clone()) * mask.clone().unsqueeze_dim(2);
    assert!(relative_distance(&numbers(run.output.clone()), &numbers(output.clone())) < 1e-12);
    assert!(relative_distance(&numbers(state.v), &numbers(last.v)) < 1e-12);
    let activity = trace.clone().square().sum_dim(2).sum_dim(1).flatten::<1>(0, 2);
    assert!(relative_distance(&numbers(run.activity.clone()), &numbers(activity)) < 1e-12);
    let loss = TrackingLossConfig::new().with_lambda(0.1).init().unwrap();
    let target = noise([3, 30, 2], &device);
    let fused = loss.forward_network(run, target.clone(), Some(mask.clone()));
    // The mean is over the 60 steps of the samples. `forward_weighted` averages over all 90 steps.
    let apart = loss.forward_weighted(output, target, mask, trace) * 1.5;
    let (fused, apart) = (gradients(&network.layer, fused), gradients(&network.layer, apart));
    for (fused, apart) in fused.iter().zip(&apart) {
        assert!(relative_distance(fused, apart) < 1e-11);
    }
}

#[test]
fn steps_are_a_run() {
    let device = device();
    let layer = config().init((&device, DType::F64)).unwrap();
    let network = SpikingNetworkConfig::new(config(), 2).init((&device, DType::F64)).unwrap();
    let input = noise([3, 12, 2], &device);
    let (trajectory, last) = layer.forward(input.clone(), None);
    let (NetworkOutput { output, .. }, _) = network.forward(input.clone(), None);
    let (mut state, mut of_network) = (None, None);
    for t in 0..12 {
        let now = input.clone().narrow(1, t, 1).squeeze_dim::<2>(1);
        let (step, after) = layer.step(now.clone(), state.take());
        let at = |x: &Tensor<3>| numbers(x.clone().narrow(1, t, 1));
        // Equal up to rounding: each call computes the currents at its start anew.
        let near = |found: Tensor<2>, wanted: &Tensor<3>| {
            let distance = relative_distance(&numbers(found), &at(wanted));
            assert!(distance < 1e-12, "step {t}: {distance:e}");
        };
        near(step.traces[0].clone(), &trajectory.traces[0]);
        near(step.v.unwrap(), trajectory.v.as_ref().unwrap());
        near(step.charge.unwrap(), trajectory.charge.as_ref().unwrap());
        let (found, next) = network.step(now, of_network.take());
        near(found, &output);
        (state, of_network) = (Some(after), Some(next));
    }
    let state = state.unwrap();
    assert!(relative_distance(&numbers(state.v.clone()), &numbers(last.v)) < 1e-12);
    // The gradient goes back through all steps, because the state is not detached.
    let back = |state: SpikingState| layer.input_weight.grad(&state.v.sum().backward()).map(numbers);
    assert!(back(state.clone()).unwrap().iter().any(|g| *g != 0.0));
}

#[test]
fn a_state_that_is_detached_sends_no_error_back() {
    let device = device();
    let layer = config().init((&device, DType::F64)).unwrap();
    let input = noise([3, 24, 2], &device);
    let (_, state) = layer.forward(input.clone().narrow(1, 0, 12), None);
    let tracked = state.v.clone();
    let of = |state: SpikingState| {
        let (trajectory, last) = layer.forward(input.clone().narrow(1, 12, 12), Some(state));
        gradients(&layer, cost(trajectory, last))
    };
    let copied = SpikingState {
        v: Tensor::from_data(tracked.into_data(), (&device, DType::F64)),
        s: Tensor::from_data(state.s.clone().into_data(), (&device, DType::F64)),
    };
    let truncated = of(state.clone().detach());
    assert_eq!(truncated, of(copied));
    assert_ne!(truncated, of(state));
}

#[test]
fn time_first_is_batch_first_turned() {
    let device = device();
    let layer = config().init((&device, DType::F64)).unwrap();
    let mut turned = config().with_batch_first(false).init((&device, DType::F64)).unwrap();
    (turned.input_weight, turned.recurrent_weights) = (layer.input_weight.clone(), layer.recurrent_weights.clone());
    let input = noise([3, 12, 2], &device);
    let lengths = [12, 5, 9];
    let runs = [
        (layer.forward(input.clone(), None), turned.forward(input.clone().swap_dims(0, 1), None)),
        (
            layer.forward_lengths(input.clone(), &lengths, None),
            turned.forward_lengths(input.clone().swap_dims(0, 1), &lengths, None),
        ),
    ];
    for ((trajectory, state), (of_turned, state_of_turned)) in runs {
        assert_eq!(of_turned.traces[0].dims(), [12, 3, 7]);
        let [found, wanted] =
            [of_turned.v.clone().unwrap().swap_dims(0, 1), trajectory.v.clone().unwrap()].map(numbers);
        assert_eq!(found, wanted);
        assert_eq!(numbers(state_of_turned.s.clone()), numbers(state.s.clone()));
        let wanted = gradients(&layer, cost(trajectory, state));
        for (found, wanted) in gradients(&turned, cost(of_turned, state_of_turned)).iter().zip(&wanted) {
            assert!(relative_distance(found, wanted) < 1e-12);
        }
    }
    let of_network = |batch_first: bool, input: Tensor<3>| {
        let layer = if batch_first { layer.clone() } else { turned.clone() };
        let readout = burn::nn::Linear { weight: Param::from_tensor(noise([7, 1], &device)), bias: None };
        let (run, _) = SpikingNetwork::new(layer, readout).unwrap().forward(input, None);
        run.output
    };
    let output = of_network(false, input.clone().swap_dims(0, 1));
    assert_eq!(output.dims(), [12, 3, 1]);
    assert_eq!(numbers(output.swap_dims(0, 1)), numbers(of_network(true, input)));
}

#[test]
fn marked_samples_start_anew() {
    let device = &devices()[0];
    let layer = config().init((device, DType::F64)).unwrap();
    let (_, state) = layer.forward(noise([3, 20, 2], device), None);
    let marked = Tensor::<1, Bool>::from_data([false, true, false], device);
    let reset = state.clone().reset(marked, layer.resting_state(3));
    assert_eq!(numbers(reset.v.clone().narrow(0, 1, 1)), [0.5; 7]);
    assert_eq!(numbers(reset.s.clone().narrow(0, 1, 1)), [0.0; 14]);
    for b in [0, 2] {
        assert_eq!(numbers(reset.v.clone().narrow(0, b, 1)), numbers(state.v.clone().narrow(0, b, 1)));
        assert_eq!(numbers(reset.s.clone().narrow(0, b, 1)), numbers(state.s.clone().narrow(0, b, 1)));
    }
}

#[test]
fn a_learned_start_is_learned_and_recorded() {
    let device = device();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("layer.bpk");
    let config = config().with_learned_start(true);
    let mut layer = config.init((&device, DType::F64)).unwrap();
    let input = noise([3, 20, 2], &device);
    // Before training, runs start at rest.
    assert!(relative_distance(&numbers(layer.resting_state(3).v), &[0.5; 21]) < 1e-15);
    let (trajectory, last) = layer.forward(input, None);
    let gradients = cost(trajectory, last).backward();
    let [v, s] = [
        numbers(layer.start_v.as_ref().unwrap().grad(&gradients).unwrap()),
        numbers(layer.start_s.as_ref().unwrap().grad(&gradients).unwrap()),
    ];
    assert!(v.iter().chain(&s).all(|g| *g != 0.0));
    layer.start_v = layer.start_v.map(|v| v.map(|v| v + 1.0));
    layer.save(&path).unwrap();
    let loaded = config.init((&device, DType::F64)).unwrap().load(&path).unwrap();
    assert_eq!(numbers(loaded.resting_state(2).v), numbers(layer.resting_state(2).v));
}

#[test]
fn learned_constants_are_run_and_recorded() {
    let device = device();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("layer.bpk");
    let learned = Learned { tau_mem: Learn::Shared, tau_syn: true, width: Learn::Shared, ..Learned::default() };
    let config = config().with_learned(learned);
    let mut layer = config.init((&device, DType::F64)).unwrap();
    let run = |layer: &SpikingRnn| numbers(layer.forward(noise([3, 20, 2], &device), None).0.trace());
    let moved = |param: &Option<Param<Tensor<1>>>, by: f64| {
        let value = param.as_ref().unwrap().val() + by;
        Some(Param::from_tensor(Tensor::from_data(value.into_data(), (&device, DType::F64))))
    };
    let constants = layer.constants.as_mut().unwrap();
    constants.log_tau_mem = moved(&constants.log_tau_mem, 0.2);
    constants.log_tau_syn = moved(&constants.log_tau_syn, -0.3);
    constants.logit_width = moved(&constants.logit_width, 0.5);
    // A layer with these values in its configuration.
    let width = 1.0 / (1.0 + f64::exp(-0.5));
    let mut fixed = self::config()
        .with_neuron(Neuron::Qif { tau_mem: 25.0 * f64::exp(0.2) })
        .with_gate(Gate::Quintic { width })
        .with_synapses(vec![Synapse::new(15.0 * f64::exp(-0.3)), Synapse::recurrent_only(4.0 * f64::exp(-0.3))])
        .init((&device, DType::F64))
        .unwrap();
    (fixed.input_weight, fixed.recurrent_weights, fixed.bias) =
        (layer.input_weight.clone(), layer.recurrent_weights.clone(), layer.bias.clone());
    assert!(relative_distance(&run(&layer), &run(&fixed)) < 1e-11);
    layer.save(&path).unwrap();
    let loaded = config.init((&device, DType::F64)).unwrap().load(&path).unwrap();
    assert_eq!(run(&loaded), run(&layer));
    // A new gate replaces the learned one.
    let narrow = layer.with_gate(Gate::Quintic { width: 0.1 }).unwrap();
    let fixed = fixed.with_gate(Gate::Quintic { width: 0.1 }).unwrap();
    assert!(relative_distance(&run(&narrow), &run(&fixed)) < 1e-11);
}

/// A neuron with its own constants runs like the same neuron in a layer in which all neurons have
/// these constants.
#[test]
fn each_neuron_has_its_own_constants() {
    let device = device();
    let learned = Learned { tau_mem: Learn::PerNeuron, width: Learn::PerNeuron, ..Learned::default() };
    let silent = || vec![Synapse::readout_only(15.0)];
    let taus = [8.0, 25.0, 60.0];
    let widths = [0.2, 0.5, 0.9];
    for neuron in [Neuron::Qif { tau_mem: 25.0 }, Neuron::Lif { tau_mem: 25.0 }] {
        let config = SpikingRnnConfig::new(2, 3).with_neuron(neuron.clone()).with_synapses(silent());
        let layer = config.clone().with_learned(learned).init((&device, DType::F64)).unwrap();
        let layer = layer.with_tau_mem(&taus).unwrap().with_widths(&widths).unwrap();
        let input = noise([3, 60, 2], &device) * 10.0;
        let all = layer.forward(input.clone(), None).0.trace();
        assert!(numbers(all.clone().sum())[0] > 5.0, "they fire");
        for (j, (tau, width)) in taus.into_iter().zip(widths).enumerate() {
            let of_tau = match &neuron {
                Neuron::Lif { .. } => Neuron::Lif { tau_mem: tau },
                _ => Neuron::Qif { tau_mem: tau },
            };
            let alike = config.clone().with_neuron(of_tau).with_gate(Gate::Quintic { width });
            let mut alike = alike.init((&device, DType::F64)).unwrap();
            (alike.input_weight, alike.bias) = (layer.input_weight.clone(), layer.bias.clone());
            let own = alike.forward(input.clone(), None).0.trace();
            let of = |trace: &Tensor<3>| numbers(trace.clone().narrow(2, j, 1));
            assert!(relative_distance(&of(&all), &of(&own)) < 1e-11, "{neuron}, neuron {j}");
        }
        let message = layer.with_tau_mem(&[1.0, -2.0, 3.0]).unwrap_err().to_string();
        assert!(message.contains("tau_mem") && message.contains("-2"), "{message}");
        let message = config.init(&device).unwrap().with_widths(&widths).unwrap_err().to_string();
        assert!(message.contains("Learn::PerNeuron"), "{message}");
    }
}

#[test]
fn steps_of_another_length_mean_the_same_parameters() {
    let device = device();
    let mut layer = config().init((&device, DType::F64)).unwrap();
    // An input that excites every neuron, independent of the random weights.
    layer.input_weight = Param::from_tensor(Tensor::ones([2, 7], (&device, DType::F64)));
    let count = |layer: SpikingRnn, parts: usize| {
        let dt = layer.config().dt;
        let input = Tensor::<3>::full([1, 200 * parts, 2], 1.0, (&device, DType::F64));
        let charge = layer.with_dt(dt / parts as f64).unwrap().forward(input, None).0.charge.unwrap();
        numbers(charge.sum())[0]
    };
    let (coarse, fine) = (count(layer.clone(), 1), count(layer, 10));
    assert!(coarse > 10.0 && (coarse - fine).abs() < 0.1 * coarse, "{coarse}, {fine}");
}

#[test]
fn what_is_not_connected_has_no_effect_and_no_gradient() {
    let device = device();
    let wiring = Wiring::chain([3, 2, 2]);
    let layer = config().with_wiring(wiring.clone()).init((&device, DType::F64)).unwrap();
    let connected = wiring.connected(7, 0, false);
    let run = |layer: &SpikingRnn| {
        let (trajectory, state) = layer.forward(noise([3, 30, 2], &device), None);
        let v = numbers(trajectory.v.clone().unwrap());
        (v, gradients(layer, cost(trajectory, state)))
    };
    let (v, found) = run(&layer);
    for weights in &found[1..] {
        assert!(weights.iter().zip(&connected).all(|(g, &there)| there || *g == 0.0));
    }
    // The input reaches only the first group.
    assert!(found[0].chunks(7).all(|row| row[..3].iter().all(|g| *g != 0.0) && row[3..].iter().all(|g| *g == 0.0)));
    let mut other = layer.clone();
    let elsewhere: Vec<f64> = connected.iter().map(|&there| if there { 0.0 } else { 5.0 }).collect();
    let elsewhere = Tensor::<2>::from_data(TensorData::new(elsewhere, [7, 7]), (&device, DType::F64));
    let moved = |w: &Param<Tensor<2>>| (w.val() + elsewhere.clone()).into_data();
    let moved =
        layer.recurrent_weights.iter().map(|w| Param::from_tensor(Tensor::from_data(moved(w), (&device, DType::F64))));
    other.recurrent_weights = moved.collect();
    assert_eq!(run(&other).0, v);
    // Connections given by hand replace those of the configuration.
    let all = Tensor::<2, Bool>::from_data(TensorData::new(vec![true; 49], [7, 7]), &device);
    assert_ne!(run(&other.with_connections(0, all).unwrap()).0, v);
}

#[test]
fn dales_law_holds_through_training() {
    let device = device();
    let layer = config().with_dale(Some(0.6)).init((&device, DType::F64)).unwrap();
    // Imitates training that has changed the sign of every recurrent weight.
    let mut pushed = layer.clone();
    pushed.recurrent_weights = pushed.recurrent_weights.into_iter().map(|w| w.map(|w| -w)).collect();
    for layer in [&layer, &pushed] {
        for k in 0..2 {
            for (j, row) in numbers(layer.effective_weights(k).unwrap()).chunks(7).enumerate() {
                assert!(row.iter().all(|&w| if j < 4 { w >= 0.0 } else { w <= 0.0 }), "neuron {j}: {row:?}");
                assert!(row.iter().filter(|&&w| w != 0.0).count() == 6, "neuron {j}: {row:?}");
            }
        }
    }
    let (trajectory, state) = layer.forward(noise([3, 30, 2], &device), None);
    assert!(gradients(&layer, cost(trajectory, state))[1].iter().any(|g| *g != 0.0));
}

#[test]
fn a_stack_is_its_layers_one_after_the_other() {
    let device = device();
    let below = SpikingRnnConfig::new(2, 6)
        .with_neuron(Neuron::Lif { tau_mem: 12.0 })
        .with_synapses(vec![Synapse::readout_only(5.0)]);
    let layers = vec![below, SpikingRnnConfig { d_input: 6, ..config() }];
    let stack = SpikingStackConfig::new(layers).init((&device, DType::F64)).unwrap();
    let input = noise([3, 24, 2], &device);
    let (found, states) = stack.forward(input.clone(), None);
    let (below, _) = stack.layers[0].forward(input.clone(), None);
    let (above, last) = stack.layers[1].forward(below.trace(), None);
    assert_eq!(numbers(found[1].v.clone().unwrap()), numbers(above.v.clone().unwrap()));
    assert_eq!(numbers(states[1].v.clone()), numbers(last.v.clone()));
    // Errors reach the first layer, and two calls are equivalent to one.
    let back = |cost: Tensor<1>| numbers(stack.layers[0].input_weight.grad(&cost.backward()).unwrap());
    let whole = back(cost(found[1].clone(), states[1].clone()));
    assert!(whole.iter().any(|g| *g != 0.0));
    let (_, middle) = stack.forward(input.clone().narrow(1, 0, 10), None);
    let (_, end) = stack.forward(input.clone().narrow(1, 10, 14), Some(middle));
    assert!(relative_distance(&numbers(end[1].v.clone()), &numbers(states[1].v.clone())) < 1e-12);
    let (_, once) = stack.forward(input, None);
    let [one, two] = [once, end].map(|states| back(states[1].v.clone().square().sum()));
    assert!(relative_distance(&one, &two) < 1e-11);
}

#[test]
fn a_gate_that_differs_from_layer_to_layer_is_kept() {
    let device = &devices()[0];
    let layer = |channels, width| SpikingRnnConfig::new(channels, 4).with_gate(Gate::Quintic { width });
    let stack = SpikingStackConfig::new(vec![layer(2, 0.2), layer(4, 0.9)]).init(device).unwrap();
    let widths: Vec<f64> = stack.layers.iter().map(|layer| layer.config().gate.width()).collect();
    assert_eq!(widths, [0.2, 0.9]);
}

#[test]
fn constants_that_are_given_anew_keep_their_id_and_stay_frozen() {
    let device = device();
    let learned = Learned { tau_mem: Learn::PerNeuron, width: Learn::PerNeuron, ..Learned::default() };
    let layer = config().with_learned(learned).init((&device, DType::F64)).unwrap();
    let of = |layer: &SpikingRnn| {
        let constants = layer.constants.as_ref().unwrap();
        let [tau_mem, width] =
            [&constants.log_tau_mem, &constants.logit_width].map(|param| param.as_ref().unwrap().clone());
        [(tau_mem.id, tau_mem.is_require_grad()), (width.id, width.is_require_grad())]
    };
    let given = |layer: SpikingRnn| {
        let layer = layer.with_tau_mem(&[5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0]).unwrap();
        layer.with_widths(&[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]).unwrap()
    };
    assert_eq!(of(&given(layer.clone())), of(&layer));
    assert!(of(&layer).iter().all(|(_, learns)| *learns));
    let frozen = layer.no_grad();
    assert_eq!(of(&given(frozen.clone())), of(&frozen));
    assert!(of(&frozen).iter().all(|(_, learns)| !learns));
    // The layer runs with the given constants.
    let [slow, fast] = [vec![200.0; 7], vec![5.0; 7]].map(|taus| {
        let layer = frozen.clone().with_tau_mem(&taus).unwrap();
        numbers(layer.forward(noise([3, 30, 2], &device), None).0.v.unwrap())
    });
    assert_ne!(slow, fast);
}
