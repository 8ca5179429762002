//! Tests of the GPU kernels against the CPU in double precision. On a machine without a GPU,
//! software Vulkan runs the kernels.
//!
//! `GRADIENT_DRAWS=n` changes the number of random networks.

#![cfg(all(feature = "flex", any(feature = "wgpu", feature = "cuda")))]

use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor, TensorData};
use burn_spiking::scan::fallbacks;
use burn_spiking::{
    Adjoint, Gate, Implementation, InitialWeights, Learn, Learned, Neuron, SpikingRnn, SpikingRnnConfig, Synapse,
};
use burn_spiking_tests::{
    Draw, OwnAdEx, crowds, draws, gpu, of_one_variable, planar_neuron, relative_distance, sample_of,
};
use std::sync::Mutex;

/// The allowed error of single precision. A network magnifies rounding errors by its own
/// sensitivity, which is measured on the CPU in double precision.
fn allowed(draw: &Draw, exact: &burn_spiking_tests::Values) -> f64 {
    let off_by_rounding = (0..4)
        .map(|seed| draw.jittered(f32::EPSILON as f64, seed).by_op(&Device::flex(), DType::F64, Implementation::Fused))
        .map(|jittered| jittered.distance(exact))
        .fold(0.0, f64::max);
    2e-6 + 20.0 * off_by_rounding
}

fn compare(draw: &Draw, at: usize) {
    let exact = draw.by_op(&Device::flex(), DType::F64, Implementation::Fused);
    let distance = draw.by_op(&gpu(), DType::F32, Implementation::Fused).distance(&exact);
    let allowed = allowed(draw, &exact);
    assert!(distance <= allowed, "draw {at}: {distance:e}, allowed {allowed:e}, for {:?}", draw.plan);
    // The only runs without a kernel: user-defined neurons with widths of their own on the CPU; a
    // limited adjoint of unconnected neurons, learned constants of neurons with two variables, and
    // networks too large for a cube, on the GPU.
    let expected = [
        "gate width of each neuron",
        "without recurrent weights",
        "with learned constants",
        "of a cube's shared memory",
    ];
    let fallbacks = fallbacks().into_iter().filter(|reason| !expected.iter().any(|expected| reason.contains(expected)));
    assert_eq!(fallbacks.collect::<Vec<_>>(), Vec::<String>::new(), "runs without a kernel");
}

#[test]
fn kernels_agree_with_the_cpu() {
    sample_of(draws(), 40).enumerate().for_each(|(at, draw)| compare(&draw, at));
}

#[test]
fn kernels_agree_with_the_cpu_where_many_neurons_are_active() {
    sample_of(crowds(), 6).enumerate().for_each(|(at, draw)| compare(&draw, at));
}

#[test]
fn a_restrained_adjoint_is_the_cpus() {
    for (at, mut draw) in sample_of(draws(), 6).enumerate() {
        let exact = draw.by_op(&Device::flex(), DType::F64, Implementation::Fused);
        draw.plan.adjoint = Adjoint::Limited { limit: Some(0.5), keep: 0.9 };
        assert!(
            draw.by_op(&Device::flex(), DType::F64, Implementation::Fused).distance(&exact) > 1e-3,
            "draw {at} is limited"
        );
        compare(&draw, at);
    }
}

/// Runs the forward pass in the kernel and the backward pass in tensor operations.
#[test]
fn a_mean_field_adjoint_is_the_cpus() {
    for (at, draw) in sample_of(of_one_variable(draws()), 8).enumerate() {
        compare(&draw.by_rates(1 + at % 4), at);
    }
}

/// Planted error: the comparison must detect a gate whose width is off by a thousandth.
#[test]
fn another_networks_gradient_does_not_pass() {
    let changed = |draw: &Draw| {
        let mut other = draw.clone();
        other.plan.gate = other.plan.gate.with_width(other.plan.gate.width() * 0.999);
        other
    };
    // A network in which the change matters more than rounding does, on the CPU.
    let felt = |draw: &Draw| {
        if draw.plan.per_neuron.is_some() {
            return None;
        }
        let exact = draw.by_op(&Device::flex(), DType::F64, Implementation::Fused);
        let allowed = allowed(draw, &exact);
        let other = changed(draw).by_op(&Device::flex(), DType::F64, Implementation::Fused);
        (other.distance(&exact) > 2.0 * allowed).then_some((draw.clone(), exact, allowed))
    };
    let found = sample_of(draws(), 40).find_map(|draw| felt(&draw));
    let (draw, exact, allowed) = found.expect("one of forty");
    let distance = changed(&draw).by_op(&gpu(), DType::F32, Implementation::Fused).distance(&exact);
    assert!(distance > allowed, "{distance:e} is allowed by {allowed:e}, for {:?}", draw.plan);
}

/// Returns a layer's loss, the gradients of its W and U, and its trace, computed on `device`. The
/// input is strided.
fn trained_once(layer: &SpikingRnn, device: &Device, [batch, steps]: [usize; 2]) -> [Vec<f64>; 4] {
    let device = device.clone().autodiff();
    let layer = layer.clone().fork(&device);
    let channels = layer.config().d_input;
    let value = |at: usize| ((at * 7919) % 101) as f32 * 0.02 - 0.6;
    let values: Vec<f32> = (0..batch * channels * steps).map(value).collect();
    let input = Tensor::<3>::from_data(TensorData::new(values, [batch, channels, steps]), &device);
    let (trajectory, state) = layer.forward(input.swap_dims(1, 2), None);
    let trace = trajectory.trace();
    let mut loss = trace.clone().square().mean() + state.v.mean() * 0.1;
    if let Some(w) = &trajectory.w {
        loss = loss + w.clone().square().mean();
    }
    let gradients = loss.clone().backward();
    let list = |data: TensorData| -> Vec<f64> { data.iter::<f64>().collect() };
    [
        list(loss.into_data()),
        list(layer.recurrent_weights[0].grad(&gradients).expect("learned").into_data()),
        list(layer.input_weight.grad(&gradients).expect("learned").into_data()),
        list(trace.into_data()),
    ]
}

/// Returns a layer with parameters from a seed. Tests in parallel share the device's random state.
fn drawn(config: &SpikingRnnConfig) -> SpikingRnn {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _alone = ONE_AT_A_TIME.lock().expect("no test panics here");
    let device = Device::flex().autodiff();
    device.seed(1);
    let layer = config.init(&device).expect("a layer");
    // Burn draws parameters on first access, so they must be drawn before the layer is copied to
    // two devices.
    let _drawn = layer.clone().num_params();
    layer
}

fn compare_layers(config: &SpikingRnnConfig, sizes: [usize; 2]) {
    let layer = drawn(config);
    let here = trained_once(&layer, &Device::flex(), sizes);
    let there = trained_once(&layer, &gpu(), sizes);
    let others = (0..4).map(|seed| trained_once(&off_by_rounding(layer.clone(), seed), &Device::flex(), sizes));
    let others: Vec<_> = others.collect();
    for (at, name) in ["loss", "W", "U", "trace"].into_iter().enumerate() {
        let distance = relative_distance(&here[at], &there[at]);
        let sensitivity = others.iter().map(|other| relative_distance(&here[at], &other[at])).fold(0.0, f64::max);
        let allowed = 2e-5 + 20.0 * sensitivity;
        assert!(distance < allowed, "{name}: {distance:e}, allowed {allowed:e}, for {sizes:?} of {config:?}");
    }
}

/// Returns the layer with each weight changed by one rounding error, up or down.
fn off_by_rounding(mut layer: SpikingRnn, seed: usize) -> SpikingRnn {
    layer.input_weight = rounded(layer.input_weight, seed);
    layer.recurrent_weights = layer.recurrent_weights.into_iter().map(|weight| rounded(weight, seed)).collect();
    layer
}

fn rounded(weight: Param<Tensor<2>>, seed: usize) -> Param<Tensor<2>> {
    weight.map(|w| {
        let [rows, columns] = w.dims();
        let sign = |at: usize| if ((at + 1) * (2 * seed + 7919)) % 101 < 50 { -1.0 } else { 1.0 };
        let factors: Vec<f32> = (0..rows * columns).map(|at| 1.0 + sign(at) * f32::EPSILON).collect();
        let factors = Tensor::from_data(TensorData::new(factors, [rows, columns]), &w.device());
        (w * factors).detach().require_grad()
    })
}

/// A layer that magnifies rounding errors only a little.
fn calm(neurons: usize) -> SpikingRnnConfig {
    let initial = InitialWeights { recurrent: 0.1, ..InitialWeights::of(&Neuron::Nif, 20.0) };
    SpikingRnnConfig::new(3, neurons).with_neuron(Neuron::Nif).with_initial(Some(initial))
}

#[test]
fn layers_of_odd_sizes_agree_with_the_cpu() {
    // Sizes below, at and above the largest cube, single samples, and long runs.
    for (neurons, sizes) in [(1, [1, 7]), (33, [1, 400]), (512, [2, 20]), (700, [1, 20])] {
        for width in [0.1, 1.0] {
            compare_layers(&calm(neurons).with_gate(Gate::Quintic { width }), sizes);
        }
    }
}

#[test]
fn layers_too_large_for_a_cube_run_in_tensor_operations() {
    compare_layers(&calm(4200), [1, 2]);
}

/// Every model with two variables, with spikes at the start and with a state that is passed on.
#[test]
fn neurons_of_two_variables_agree_with_the_cpu() {
    for which in 0..5 {
        let neuron = planar_neuron(which, 20.0, 0.5);
        let initial = InitialWeights { recurrent: 0.1, ..InitialWeights::of(&neuron, 20.0) };
        let config = SpikingRnnConfig::new(3, 5).with_dt(0.5).with_neuron(neuron).with_initial(Some(initial));
        let adapting = config.clone().with_synapses(vec![Synapse::new(5.0), Synapse::adaptation(50.0, 0.2)]);
        for config in [config.clone(), adapting, config.with_record_v(true)] {
            compare_layers(&config, [2, 20]);
        }
    }
    // A user's own, from a record of its equations.
    let neuron = Neuron::own_planar(OwnAdEx { tau_mem: 20.0, tau_w: 60.0, substeps: 2 });
    let initial = InitialWeights { recurrent: 0.1, ..InitialWeights::of(&neuron, 20.0) };
    compare_layers(&SpikingRnnConfig::new(3, 5).with_dt(0.5).with_neuron(neuron).with_initial(Some(initial)), [2, 20]);
    assert_eq!(fallbacks().iter().filter(|reason| reason.contains("variables")).count(), 0);
}

#[test]
fn learned_constants_of_two_variables_run_in_tensor_operations() {
    let learned = Learned { tau_w: Learn::PerNeuron, jump: Learn::Shared, ..Learned::default() };
    let neuron = planar_neuron(0, 20.0, 0.5);
    let initial = InitialWeights { recurrent: 0.1, ..InitialWeights::of(&neuron, 20.0) };
    let config = SpikingRnnConfig::new(3, 5).with_dt(0.5).with_neuron(neuron).with_initial(Some(initial));
    compare_layers(&config.with_learned(learned).with_record_v(true), [2, 20]);
    assert!(fallbacks().iter().any(|reason| reason.contains("ALIF") && reason.contains("with learned constants")));
}

#[test]
fn runs_repeat_bit_for_bit() {
    let config = calm(70).with_gate(Gate::Quintic { width: 0.3 });
    let layer = drawn(&config);
    let runs: Vec<_> = (0..3).map(|_| trained_once(&layer, &gpu(), [5, 60])).collect();
    println!("|gradient of W|^2 {:e}", runs[0][1].iter().map(|x| x * x).sum::<f64>());
    assert!(runs.iter().all(|run| *run == runs[0]));
}
