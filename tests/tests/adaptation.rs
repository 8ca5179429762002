//! Spike-frequency adaptation: connections of each neuron to itself alone.

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor, TensorData};
use burn_spiking::{ConfigError, Connections, Gate, InitialWeights, Neuron, SpikingRnn, SpikingRnnConfig, Synapse};
use burn_spiking_tests::{devices, numbers};

const TAU_MEM: f64 = 25.0;
const TAU_ADAPTATION: f64 = 200.0;

/// Neurons without weights between them, each with its own constant drive, in units of 1/τ_mem.
fn layer(neuron: Neuron, synapses: Vec<Synapse>, drives: &[f64], device: &Device) -> SpikingRnn {
    let none = InitialWeights { input: 0.0, recurrent: 0.0, bias: 0.0 };
    let mut layer = SpikingRnnConfig::new(1, drives.len())
        .with_neuron(neuron)
        .with_gate(Gate::Quintic { width: 0.3 })
        .with_synapses(synapses)
        .with_dt(0.5)
        .with_initial(Some(none))
        .init((device, DType::F64))
        .unwrap();
    layer.bias = layer.bias.map(|bias| bias.map(|_| Tensor::from_data(TensorData::from(drives), (device, DType::F64))));
    layer
}

/// The spikes per ms of each neuron over the second 500 ms of a run of 1 s.
fn rates(layer: &SpikingRnn) -> Vec<f64> {
    let input = Tensor::zeros([1, 2000, 1], (&layer.device(), DType::F64));
    let (trajectory, _) = layer.forward_recording(input, None);
    let charge = trajectory.charge.expect("recorded");
    let sums: Tensor<2> = charge.narrow(1, 1000, 1000).sum_dim(1).squeeze_dim(1);
    numbers(sums).into_iter().map(|spikes| spikes / 500.0).collect()
}

/// The rate r for which r = f(x − b τ r), by bisection. f is the f-I curve, in spikes per ms, of a
/// current x in units of 1/τ_mem.
fn steady_rate(f: impl Fn(f64) -> f64, x: f64, strength: f64) -> f64 {
    let (mut low, mut high) = (0.0, f(x));
    for _ in 0..60 {
        let rate = 0.5 * (low + high);
        if f(x - strength * TAU_ADAPTATION * rate) > rate { low = rate } else { high = rate }
    }
    low
}

/// LIF under a constant current x fires at the intervals τ ln(x/(x − 1)).
fn lif(x: f64) -> f64 {
    if x <= 1.0 { 0.0 } else { 1.0 / (TAU_MEM * (x / (x - 1.0)).ln()) }
}

/// QIF under a constant current x: with u = tan π(v − ½), du/dt = 2π(x + u²)/τ, so the interval is
/// τ/(2√x).
fn qif(x: f64) -> f64 {
    2.0 * x.max(0.0).sqrt() / TAU_MEM
}

#[test]
fn the_rate_under_adaptation_is_that_of_the_steady_state() {
    let strength = 0.1;
    for device in devices() {
        for (neuron, f, drives) in [
            (Neuron::Lif { tau_mem: TAU_MEM }, lif as fn(f64) -> f64, [1.5, 2.0, 3.0, 5.0]),
            (Neuron::Qif { tau_mem: TAU_MEM }, qif as fn(f64) -> f64, [0.5, 1.0, 2.0, 4.0]),
        ] {
            let adapting = vec![Synapse::readout_only(20.0), Synapse::adaptation(TAU_ADAPTATION, strength)];
            let found = rates(&layer(neuron.clone(), adapting, &drives, &device));
            let free = rates(&layer(neuron.clone(), vec![Synapse::readout_only(20.0)], &drives, &device));
            for ((&x, found), free) in drives.iter().zip(found).zip(free) {
                let expected = steady_rate(f, x, strength);
                assert!((free / f(x) - 1.0).abs() < 0.03, "{neuron} at {x}: {free}, not {}", f(x));
                assert!((found / expected - 1.0).abs() < 0.03, "{neuron} at {x}: {found}, not {expected}");
                assert!(expected < 0.9 * f(x), "the adaptation is weak: {expected} of {}", f(x));
            }
        }
    }
}

#[test]
fn a_self_weight_is_the_diagonal_of_a_recurrent_weight() {
    for device in devices() {
        let drives = [1.5, 2.0, 3.0, 5.0];
        let neuron = Neuron::Lif { tau_mem: TAU_MEM };
        let alone = |delay| vec![Synapse::readout_only(20.0), Synapse::self_only(40.0, -0.3).with_delay(delay)];
        let dense = |delay| vec![Synapse::readout_only(20.0), Synapse::recurrent_only(40.0).with_delay(delay)];
        for delay in [0.0, 2.5] {
            let own = layer(neuron.clone(), alone(delay), &drives, &device);
            let full = layer(neuron.clone(), dense(delay), &drives, &device);
            let config = full.config().clone().with_autapses(true);
            let mut full = SpikingRnn { bias: full.bias, ..config.init((&device, DType::F64)).unwrap() };
            let diagonal = Tensor::<2>::eye(4, &device).cast(DType::F64) * -0.3;
            full.recurrent_weights[0] = full.recurrent_weights[0].clone().map(|_| diagonal);
            for (own, full) in rates(&own).into_iter().zip(rates(&full)) {
                assert!((own - full).abs() < 1e-12, "{own} {full}");
            }
        }
    }
}

#[test]
fn fixed_self_weights_are_frozen_and_stay_so() {
    let device = Device::flex().autodiff();
    let synapses = vec![Synapse::new(20.0), Synapse::adaptation(100.0, 0.2), Synapse::self_only(50.0, 0.1)];
    let layer = SpikingRnnConfig::new(2, 3).with_synapses(synapses).init(&device).unwrap();
    let learns = |layer: &SpikingRnn| layer.self_weights.iter().map(|d| d.is_require_grad()).collect::<Vec<_>>();
    assert_eq!(learns(&layer), [false, true]);
    assert_eq!(numbers(layer.self_weights[0].val()), [-0.2_f32 as f64; 3]);
    assert_eq!(learns(&layer.clone().valid().train()), [false, true]);

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("layer");
    layer.save(&path).unwrap();
    let loaded = layer.config().init(&device).unwrap().load(&path).unwrap();
    assert_eq!(learns(&loaded), [false, true]);
    let input = Tensor::<3>::ones([1, 20, 2], &device);
    let gradients = loaded.forward(input, None).0.trace().sum().backward();
    assert!(loaded.self_weights[0].grad(&gradients).is_none());
    assert!(loaded.self_weights[1].grad(&gradients).is_some());
}

#[test]
fn a_self_weight_that_is_not_finite_is_refused() {
    let of = |weight| SpikingRnnConfig::new(1, 2).with_synapses(vec![Synapse::self_only(20.0, weight)]).check();
    let Err(ConfigError::OutOfRange { name, .. }) = of(f64::NAN) else { panic!("NaN is refused") };
    assert_eq!(name, "self-weight");
    assert!(of(-0.3).is_ok());
    let other = Synapse::new(20.0).with_learned_weights(false);
    assert_eq!(other.connections, Connections::Recurrent);
}
