//! Tests of the layer through its public interface: runs, states, records, mistakes.

mod costs;
mod network;

use burn::module::Param;
use burn::tensor::{DType, Device, Distribution, Tensor, TensorData};
use burn_spiking::neuron::Eif;
use burn_spiking::{
    Adjoint, Checkpointing, Gate, Implementation, Integrator, Neuron, RecordError, SpikingNetworkConfig, SpikingRnn,
    SpikingRnnConfig, SpikingState, Synapse, TrackingLossConfig,
};
use burn_spiking_tests::{OwnQif, devices, devices_with_kernel, normal, numbers, relative_distance};
use network::of_network;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Fixed numbers with a variance of about 1.
fn noise<const D: usize>(shape: [usize; D], device: &Device, dtype: DType) -> Tensor<D> {
    let count = shape.iter().product();
    let data: Vec<f64> = (0..count).map(|at| 1.4 * (0.71 * at as f64 + (0.13 * at as f64).sin()).sin()).collect();
    Tensor::from_data(TensorData::new(data, shape), (device, dtype))
}

fn neurons() -> [Neuron; 5] {
    [
        Neuron::Nif,
        Neuron::Lif { tau_mem: 25.0 },
        Neuron::Qif { tau_mem: 25.0 },
        Neuron::Eif(Eif { tau_mem: 25.0, delta: 0.1, onset: 0.7, substeps: 1 }),
        Neuron::own(OwnQif { tau_mem: 25.0 }),
    ]
}

/// Runs one neuron under a steady current for `duration` ms in steps of `dt` ms. Returns its charge
/// in each step and its last potential.
fn steady_charges(
    neuron: Neuron,
    (duration, dt): (f64, f64),
    gate: Gate,
    dtype: DType,
    implementation: Implementation,
) -> (Vec<f64>, f64) {
    let device = &devices()[0];
    let mut layer = SpikingRnnConfig::new(1, 1)
        .with_neuron(neuron)
        .with_gate(gate)
        .with_dt(dt)
        .with_synapses(vec![Synapse::readout_only(10.0)])
        .init((device, dtype))
        .unwrap()
        .with_implementation(implementation);
    layer.input_weight = layer.input_weight.map(|u| u.ones_like());
    let steps = (duration / dt) as usize;
    let input = Tensor::<3>::full([1, steps, 1], 0.9, (device, dtype));
    // At v = 0, the gate is closed.
    let state = SpikingState::from_potential(Tensor::zeros([1, 1], (device, dtype)), 1);
    let (trajectory, _) = layer.forward_recording(input, Some(state));
    let last_v = *numbers(trajectory.v.unwrap()).last().unwrap();
    (numbers(trajectory.charge.clone().unwrap()), last_v)
}

/// Runs a neuron like [`steady_charges`] for 400 ms. Returns the total charge and the part of it
/// that an unfinished spike sent.
fn steady_run(neuron: Neuron, dt: f64, gate: Gate, dtype: DType) -> (f64, f64) {
    let (charge, last_v) = steady_charges(neuron, (400.0, dt), gate, dtype, Implementation::Fused);
    (charge.iter().sum(), gate.charge(last_v))
}

#[test]
fn a_spike_is_charge_one_at_any_step() {
    for neuron in neurons() {
        for gate in [Gate::Quintic { width: 0.1 }, Gate::RaisedCosine { width: 0.7 }, Gate::Quintic { width: 1.0 }] {
            for dt in [0.01, 0.1, 1.0, 5.0] {
                for (dtype, rounding) in [(DType::F64, 1e-10), (DType::F32, 2e-3)] {
                    let (charge, sent) = steady_run(neuron.clone(), dt, gate, dtype);
                    let spikes = (charge - sent).round();
                    assert!(spikes >= 8.0, "{neuron} dt {dt}: {charge}");
                    assert!(
                        (charge - sent - spikes).abs() < rounding,
                        "{neuron} dt {dt} {gate}: {charge}, {sent} begun"
                    );
                }
            }
        }
    }
}

#[test]
fn threshold_gate_sends_whole_spikes() {
    for neuron in neurons() {
        let (charge, _) = steady_run(neuron, 0.5, Gate::Threshold { at: 1.0 }, DType::F64);
        assert!(charge >= 8.0 && charge == charge.round(), "{charge}");
    }
}

#[test]
fn a_threshold_in_the_middle_of_a_gate_sends_neither_early_nor_late() {
    const SPIKES: f64 = 6.0;
    let dt = 0.1;
    // The time at which a spike sends its charge, averaged over the first spikes.
    let mean_time = |neuron: &Neuron, gate, body| -> f64 {
        let (charges, _) = steady_charges(neuron.clone(), (400.0, dt), gate, DType::F64, body);
        assert!(charges.iter().sum::<f64>() > SPIKES, "{neuron}");
        let mut sent = 0.0;
        let times = charges.iter().enumerate().map(|(t, charge)| {
            let before = f64::min(sent, SPIKES);
            sent += charge;
            dt * t as f64 * (f64::min(sent, SPIKES) - before) / SPIKES
        });
        times.sum()
    };
    for body in [Implementation::Fused, Implementation::TensorOps] {
        for neuron in neurons() {
            let gate = Gate::Quintic { width: 0.2 };
            let smooth = mean_time(&neuron, gate, body);
            let middle = mean_time(&neuron, gate.threshold_triggered(), body);
            let late = mean_time(&neuron, Gate::Threshold { at: 1.0 }, body) - smooth;
            assert!(
                late > 2.0 * dt && (middle - smooth).abs() < 0.3 * late,
                "{neuron}: {smooth}, {middle}, {late} late"
            );
        }
    }
}

/// Returns the gradient with respect to W of the squared trace of a small network, averaged over
/// time (by the trapezoidal rule with Heun's integrator). The input signal, as a function of time,
/// is the same for every `dt`.
fn gradient_at(dt: f64, integrator: Integrator) -> Vec<f64> {
    let device = devices()[0].clone().autodiff();
    let mut layer = SpikingRnnConfig::new(2, 6)
        .with_gate(Gate::Quintic { width: 1.0 })
        .with_dt(dt)
        .with_integrator(integrator)
        .init((&device, DType::F64))
        .unwrap();
    // The parameters are the same for every dt, independent of the random numbers that other tests
    // draw from the device.
    layer.input_weight = Param::from_tensor(noise([2, 6], &device, DType::F64) * 0.2);
    layer.recurrent_weights = vec![Param::from_tensor(noise([6, 6], &device, DType::F64) * 0.1)];
    let steps = (40.0 / dt).round() as usize;
    let signal: Vec<f64> = (0..steps)
        .flat_map(|t| {
            let time = (t as f64 + 0.5) * dt;
            [(0.2 * time).sin(), (0.13 * time).cos()]
        })
        .collect();
    let input = Tensor::<3>::from_data(TensorData::new(signal, [1, steps, 2]), (&device, DType::F64));
    let (trajectory, _) = layer.forward(input, None);
    let squares = trajectory.trace().square();
    // In the trapezoidal rule, the first and the last value count half. The first trace is 0.
    let cost = match integrator {
        Integrator::Heun => {
            (squares.clone().sum() - squares.narrow(1, steps - 1, 1).sum() * 0.5) * (1.0 / steps as f64)
        }
        _ => squares.mean(),
    };
    numbers(layer.recurrent_weights[0].grad(&cost.backward()).unwrap())
}

#[test]
fn gradient_converges_with_the_step_at_the_order_of_the_scheme() {
    let distance = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
    for (integrator, wanted, longest) in [(Integrator::Flow, 1.0, 0.2), (Integrator::Heun, 2.0, 0.5)] {
        let at: Vec<Vec<f64>> = [1.0, 0.5, 0.25, 0.125].map(|part| gradient_at(part * longest, integrator)).into();
        let gaps: Vec<f64> = at.windows(2).map(|pair| distance(&pair[0], &pair[1])).collect();
        for pair in gaps.windows(2) {
            let order = (pair[0] / pair[1]).log2();
            assert!((order - wanted).abs() < 0.2, "{integrator:?}: order {order} from gaps {gaps:?}");
        }
    }
}

#[test]
fn heuns_scheme_goes_on_where_it_was_left_and_has_a_readout() {
    let device = devices()[0].clone().autodiff();
    let config = SpikingRnnConfig::new(2, 6).with_integrator(Integrator::Heun);
    let network = SpikingNetworkConfig::new(config, 2).init((&device, DType::F64)).unwrap();
    let input = noise([3, 20, 2], &device, DType::F64);
    let (whole, _) = network.forward(input.clone(), None);
    let (trajectory, _) = network.layer.forward(input.clone(), None);
    let apart = network.readout.forward(trajectory.trace());
    assert!(relative_distance(&numbers(whole.output.clone()), &numbers(apart)) < 1e-13);
    let (early, state) = network.forward(input.clone().narrow(1, 0, 7), None);
    let (late, _) = network.forward(input.narrow(1, 7, 13), Some(state));
    let two = Tensor::cat(vec![early.output, late.output], 1);
    assert!(relative_distance(&numbers(two), &numbers(whole.output)) < 1e-13);
    assert!(relative_distance(&numbers(early.activity + late.activity), &numbers(whole.activity)) < 1e-13);
}

/// All gradients of a layer on one batch.
fn gradients(layer: &SpikingRnn, input: Tensor<3>) -> Vec<Vec<f64>> {
    let (trajectory, state) = layer.forward_recording(input, None);
    let cost = trajectory.traces[0].clone().square().sum()
        + trajectory.charge.unwrap().powi_scalar(3).sum()
        + state.v.sum()
        + state.s.square().sum();
    let gradients = cost.backward();
    let mut all = vec![numbers(layer.input_weight.grad(&gradients).unwrap())];
    all.extend(layer.bias.iter().map(|bias| numbers(bias.grad(&gradients).unwrap())));
    all.extend(layer.recurrent_weights.iter().map(|w| numbers(w.grad(&gradients).unwrap())));
    all
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    for device in devices().into_iter().map(Device::autodiff) {
        // With a wide gate, the kernel runs samples side by side.
        for (neuron, width) in neurons().into_iter().flat_map(|neuron| [(neuron.clone(), 0.1), (neuron, 1.0)]) {
            let config = SpikingRnnConfig::new(3, 37).with_neuron(neuron).with_gate(Gate::Quintic { width });
            let layer = config.init(&device).unwrap();
            let input = noise([13, 60, 3], &device, DType::F32);
            let with = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| gradients(&layer, input.clone()))
            };
            let one = with(1);
            assert_eq!(one, with(2));
            assert_eq!(one, with(5));
            assert_eq!(one, gradients(&layer, input.clone()));
        }
    }
}

#[test]
fn views_run_like_copies() {
    for device in devices().into_iter().map(Device::autodiff) {
        let layer = SpikingRnnConfig::new(3, 19).init((&device, DType::F64)).unwrap();
        // A view of a tensor with time first: its dimensions are swapped, and it is a slice of a
        // longer and wider tensor.
        let long = noise([30, 5, 4], &device, DType::F64);
        let view = long.clone().swap_dims(0, 1).slice([1..4, 7..27, 1..4]);
        let copy = Tensor::<3>::from_data(view.clone().into_data(), (&device, DType::F64));
        assert_eq!(gradients(&layer, view), gradients(&layer, copy));
        let state = |v: Tensor<2>| SpikingState::from_potential(v, 1);
        let wide = noise([19, 3], &device, DType::F64).abs().clamp_max(0.9);
        let run = |v: Tensor<2>| numbers(layer.forward(long.clone().slice([0..3, 0..5, 0..3]), Some(state(v))).1.v);
        let copied = Tensor::<2>::from_data(wide.clone().transpose().into_data(), (&device, DType::F64));
        assert_eq!(run(wide.transpose()), run(copied));
    }
}

#[test]
fn smallest_sizes_run() {
    for device in devices().into_iter().map(Device::autodiff) {
        for neuron in neurons() {
            let layer = SpikingRnnConfig::new(1, 1).with_neuron(neuron).with_autapses(true).init(&device).unwrap();
            let all = gradients(&layer, noise([1, 1, 1], &device, DType::F32));
            assert!(all.iter().flatten().all(|x| x.is_finite()));
        }
    }
}

#[test]
fn layer_agrees_with_its_reference() {
    for device in devices().into_iter().map(Device::autodiff) {
        for neuron in neurons() {
            let synapses = vec![Synapse::new(15.0), Synapse::recurrent_only(2.0), Synapse::readout_only(30.0)];
            let config = SpikingRnnConfig::new(2, 9).with_neuron(neuron).with_synapses(synapses).with_record_v(true);
            let layer = config.init((&device, DType::F64)).unwrap();
            let input = noise([2, 15, 2], &device, DType::F64);
            let state = || Some(layer.random_state(2, 0.1, 0.9, 7));
            let found = |run: &dyn Fn() -> (burn_spiking::Trajectory, SpikingState)| {
                let (trajectory, state) = run();
                assert_eq!(trajectory.traces.len(), 2);
                let cost = trajectory.traces.into_iter().map(|s| s.square().sum()).reduce(|a, b| a + b).unwrap()
                    + trajectory.v.unwrap().sum()
                    + state.s.square().sum();
                let gradients = cost.backward();
                let mut all = numbers(layer.input_weight.grad(&gradients).unwrap());
                all.extend(layer.recurrent_weights.iter().flat_map(|w| numbers(w.grad(&gradients).unwrap())));
                all
            };
            let op = found(&|| layer.forward(input.clone(), state()));
            let composed = layer.clone().with_implementation(Implementation::TensorOps);
            let others = [
                found(&|| layer.clone().with_implementation(Implementation::Autodiff).forward(input.clone(), state())),
                found(&|| composed.forward(input.clone(), state())),
            ];
            for other in others {
                assert!(relative_distance(&op, &other) < 1e-11);
            }
        }
    }
}

#[test]
fn only_a_run_that_is_differentiated_keeps_a_tape() {
    use burn::backend::Dispatch;
    use burn_spiking::Checkpointing;
    use burn_spiking::scan::{OptionalTensor, ScanConnections, ScanInputs, ScanPlan, ScanSynapse, SpikingBackend};
    let plan = |checkpointing| ScanPlan {
        neuron: Neuron::Nif,
        gate: Gate::default(),
        dt: 1.0,
        synapses: vec![ScanSynapse {
            decay: 0.9,
            amplitude: 1.0,
            connections: ScanConnections::None,
            readout: true,
            delay: 0,
        }],
        record_v: false,
        record_charge: false,
        record_w: false,
        check_finite: false,
        panic_if_not_finite: true,
        non_finite_gradient: Default::default(),
        readout: None,
        checkpointing,
        adjoint: Adjoint::Exact,
        rates: None,
        per_neuron: None,
        planar_constants: false,
        constants: false,
        implementation: Implementation::Fused,
    };
    for device in devices_with_kernel() {
        for (keep_tape, checkpoint, currents, states) in [
            (false, Checkpointing::Currents, false, None),
            (true, Checkpointing::Currents, true, Some([2, 3, 2, 4])),
            (true, Checkpointing::States, false, Some([2, 3, 2, 4])),
            (true, Checkpointing::Every(2), false, Some([2, 4, 2, 4])),
        ] {
            let zeros = |shape: [usize; 3]| Tensor::<3>::zeros(shape, &device).into_dispatch();
            let inputs = ScanInputs::<Dispatch> {
                activity_weight: OptionalTensor::Absent,
                drive: zeros([2, 7, 4]),
                projection: OptionalTensor::Absent,
                bias: OptionalTensor::Absent,
                weights: OptionalTensor::Absent,
                self_weights: OptionalTensor::Absent,
                v0: Tensor::<2>::zeros([2, 4], &device).into_dispatch(),
                s0: zeros([2, 1, 4]),
                readout: OptionalTensor::Absent,
                constants: OptionalTensor::Absent,
            };
            let out = Dispatch::spiking_scan(inputs, std::sync::Arc::new(plan(checkpoint)), keep_tape);
            assert_eq!(matches!(out.tape.currents, OptionalTensor::Present(_)), currents, "{checkpoint:?}");
            let kept = out.tape.states.into_option().map(|states| Tensor::<4>::from_dispatch(states).dims());
            assert_eq!(kept, states, "{checkpoint:?}");
            assert!(matches!(out.v, OptionalTensor::Absent) && matches!(out.charge, OptionalTensor::Absent));
        }
    }
}

#[test]
fn autapses_count_only_if_asked_for() {
    let device = devices()[0].clone().autodiff();
    for autapses in [false, true] {
        let layer = SpikingRnnConfig::new(1, 4).with_autapses(autapses).init(&device).unwrap();
        let all = gradients(&layer, noise([2, 60, 1], &device, DType::F32));
        let diagonal: Vec<f64> = (0..4).map(|j| all[2][5 * j]).collect();
        assert_eq!(diagonal.iter().all(|g| *g == 0.0), !autapses, "{diagonal:?}");
    }
}

#[test]
fn every_neuron_of_a_fresh_layer_fires() {
    for device in devices() {
        for neuron in neurons() {
            for (channels, n) in [(1, 20), (3, 80), (40, 120)] {
                let layer = SpikingRnnConfig::new(channels, n).with_neuron(neuron.clone()).init(&device).unwrap();
                let input = Tensor::random([8, 1000, channels], Distribution::Normal(0.0, 1.0), &device);
                let state = layer.random_state(8, 0.0, 1.0, 1);
                let (trajectory, _) = layer.forward_recording(input, Some(state));
                let spikes = numbers(trajectory.charge.unwrap().sum_dim(1).sum_dim(0).flatten::<1>(0, 2));
                let rate = spikes.iter().sum::<f64>() / (8.0 * n as f64);
                assert!(spikes.iter().all(|&count| count > 8.0), "{neuron}, {channels} to {n}: {spikes:?}");
                assert!((10.0..40.0).contains(&rate), "{neuron}, {channels} to {n}: {rate} Hz");
            }
        }
    }
}

#[test]
fn a_record_comes_back() {
    let device = &devices()[0];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("layer.bpk");
    let config = SpikingRnnConfig::new(2, 5).with_dt(0.5).with_gate(Gate::RaisedCosine { width: 0.3 });
    let layer = config.init(device).unwrap();
    layer.save(&path).unwrap();
    let saved = SpikingRnnConfig::load_for_record(&path).unwrap();
    assert_eq!(saved, config);
    let loaded = saved.init(device).unwrap().load(&path).unwrap();
    let input = noise([2, 30, 2], device, DType::F32);
    let run = |layer: &SpikingRnn| numbers(layer.forward(input.clone(), None).0.trace());
    assert_eq!(run(&layer), run(&loaded));
}

#[test]
fn a_record_of_other_constants_is_refused() {
    let device = &devices()[0];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("layer.bpk");
    let config = SpikingRnnConfig::new(2, 5);
    config.init(device).unwrap().save(&path).unwrap();
    let others = [
        ("dt 1 ms", config.clone().with_dt(0.5)),
        ("tau_mem 25 ms", config.clone().with_neuron(Neuron::Qif { tau_mem: 20.0 })),
        ("width 0.5", config.clone().with_gate(Gate::Quintic { width: 0.4 })),
        ("tau 20 ms", config.clone().with_synapses(vec![Synapse::new(10.0)])),
        ("autapses false", config.clone().with_autapses(true)),
    ];
    for (saved, other) in others {
        let error = other.init(device).unwrap().load(&path).unwrap_err();
        assert!(matches!(error, RecordError::OtherConstants { .. }), "{error}");
        assert!(error.to_string().contains(saved), "{error}");
    }
    let missing = config.init(device).unwrap().load(folder.path().join("none.bpk")).unwrap_err();
    assert!(missing.to_string().contains("none"), "{missing}");
}

#[test]
fn constants_show_when_the_layer_is_printed() {
    let layer = SpikingRnnConfig::new(2, 5).with_dt(0.5).init(&devices()[0]).unwrap();
    let text = layer.to_string();
    for part in ["d_hidden: 5", "QIF, tau_mem 25 ms", "quintic, width 0.5", "tau 20 ms, recurrent, read", "dt: 0.5 ms"]
    {
        assert!(text.contains(part), "{part} is missing from {text}");
    }
}

#[test]
fn double_precision_is_kept_on_the_way_through_burn() {
    let device = devices()[0].clone().autodiff();
    let options = (&device, DType::F64);
    // This τ_mem leads to numbers that single precision cannot represent exactly.
    let layer = SpikingRnnConfig::new(2, 3).with_neuron(Neuron::Qif { tau_mem: 7.3 }).init(options).unwrap();
    let burn_spiking::scan::Drive::Projected { projection, .. } =
        layer.arguments(noise([1, 3, 2], &device, DType::F64), None).drive
    else {
        panic!("two channels are projected in the scan")
    };
    let found = numbers(layer.input_weight.grad(&projection.sum().backward()).unwrap());
    assert!(relative_distance(&found, &[1.0 / 7.3; 6]) < 1e-15, "{found:?}");

    let output = noise([3, 7, 2], &device, DType::F64).require_grad();
    let loss = TrackingLossConfig::new().init().unwrap();
    let trace = Tensor::zeros([3, 7, 4], options);
    let cost = loss.forward(output.clone(), output.zeros_like(), trace);
    let found = numbers(output.grad(&cost.backward()).unwrap());
    let want: Vec<f64> = numbers(output).into_iter().map(|o| o / 21.0).collect();
    assert!(relative_distance(&found, &want) < 1e-15);
}

/// Large networks: more neurons than a tile of registers or a word of bits holds. The batches have
/// more samples than there are partial sums, or one sample, whose segments two threads share.
#[test]
fn large_networks_agree_with_tensor_operations_for_any_number_of_threads() {
    let device = devices()[0].clone().autodiff();
    let crowds = [(0.15, DType::F64), (1.0, DType::F64), (0.15, DType::F32), (1.0, DType::F32)];
    let crowds = crowds.into_iter().map(|(width, dtype)| (width, dtype, [9, 6, 9]));
    let alone = [(0.15, DType::F64, [1, 70, 9]), (1.0, DType::F64, [1, 70, 9])];
    for (width, dtype, shape) in crowds.chain(alone) {
        let layer = SpikingRnnConfig::new(9, 400)
            .with_gate(Gate::Quintic { width })
            .with_checkpointing(Checkpointing::Every(30));
        let mut network = SpikingNetworkConfig::new(layer, 3).init((&device, dtype)).unwrap();
        // The network is the same in every run, because its parameters determine how much it
        // magnifies rounding errors.
        let mut random = ChaCha8Rng::seed_from_u64(400);
        let mut drawn = |[rows, columns]: [usize; 2], spread: f64| {
            let numbers: Vec<f64> = (0..rows * columns).map(|_| spread * normal(&mut random)).collect();
            Param::from_tensor(Tensor::from_data(TensorData::new(numbers, [rows, columns]), (&device, dtype)))
        };
        network.layer.input_weight = drawn([9, 400], 0.17);
        let recurrent = drawn([400, 400], 0.005).val();
        let balanced = recurrent.clone() - recurrent.mean_dim(0);
        network.layer.recurrent_weights =
            vec![Param::from_tensor(Tensor::from_data(balanced.into_data(), (&device, dtype)))];
        network.readout.weight = drawn([400, 3], 0.05);
        let input = || noise(shape, &device, dtype) * 2.0;
        let with = |threads: usize, fused: bool| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| of_network(&network, input(), fused))
        };
        let tensor_ops = of_network(&network.clone().with_implementation(Implementation::TensorOps), input(), true);
        // Rounding errors grow with the number of steps.
        let rounding = if dtype == DType::F64 { 2e-13 * shape[1] as f64 } else { 2e-4 };
        for fused in [true, false] {
            let found = with(1, fused);
            assert_eq!(found, with(3, fused), "width {width}");
            for (found, wanted) in found.iter().zip(&tensor_ops) {
                let distance = relative_distance(found, wanted);
                assert!(distance < rounding, "width {width}, {dtype:?}: {distance:e}");
            }
        }
    }
}
