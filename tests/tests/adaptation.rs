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
        .with_gate(Gate::Quintic { width: 0.02 })
        .with_synapses(synapses)
        .with_dt(0.25)
        .with_initial(Some(none))
        .init((device, DType::F64))
        .unwrap();
    layer.bias = layer.bias.map(|bias| bias.map(|_| Tensor::from_data(TensorData::from(drives), (device, DType::F64))));
    layer
}

/// The spikes per ms of each neuron in the second half of a run of 1 s: the intervals from the
/// first to the last of its spikes there.
fn rates(layer: &SpikingRnn) -> Vec<f64> {
    let (steps, dt) = (4000, layer.config().dt);
    let input = Tensor::zeros([1, steps, 1], (&layer.device(), DType::F64));
    let (trajectory, _) = layer.forward_recording(input, None);
    let v = trajectory.v.expect("recorded");
    let [_, _, neurons] = v.dims();
    let v = numbers(v);
    let at = |t: usize, n: usize| v[t * neurons + n];
    let of = |n: usize| {
        // A reset lowers the potential by about 1. The step is cut where a straight line crosses 1.
        let crossed = |t: usize| at(t, n) < at(t - 1, n) - 0.5;
        let time = |t: usize| {
            let (before, after) = (at(t - 1, n), at(t, n) + 1.0);
            (t as f64 + (1.0 - before) / (after - before)) * dt
        };
        let times: Vec<f64> = (steps / 2..steps).filter(|&t| crossed(t)).map(time).collect();
        (times.len() - 1) as f64 / (times[times.len() - 1] - times[0])
    };
    (0..neurons).map(of).collect()
}

/// The number in an interval at which a falling function crosses 0, by bisection.
fn zero_of(falling: impl Fn(f64) -> f64, mut low: f64, mut high: f64) -> f64 {
    for _ in 0..80 {
        let middle = 0.5 * (low + high);
        if falling(middle) > 0.0 { low = middle } else { high = middle }
    }
    low
}

/// The rate of LIF neurons under a current x and adaptation of strength b, in periodic firing. Each
/// spike adds b, so w is b/(1 − e^(−T/τ_a)) after a spike, and the period T solves
///
/// ```text
/// 1 = v(T) = x (1 − e^(−T/τ)) − b/(1 − e^(−T/τ_a)) (e^(−T/τ_a) − e^(−T/τ))/(1 − τ/τ_a)
/// ```
fn lif(x: f64, strength: f64) -> f64 {
    let end = |period: f64| {
        let [left, of_w] = [TAU_MEM, TAU_ADAPTATION].map(|tau| (-period / tau).exp());
        x * (1.0 - left) - strength / (1.0 - of_w) * (of_w - left) / (1.0 - TAU_MEM / TAU_ADAPTATION)
    };
    1.0 / zero_of(|period| 1.0 - end(period), 1e-3, 1e4)
}

/// The rate r of QIF neurons for which r = f(x − b τ_a r), as if the adaptation did not change
/// between spikes. Under a constant current x, with u = tan π(v − ½), du/dt = 2π(x + u²)/τ, so the
/// interval is τ/(2√x).
fn qif(x: f64, strength: f64) -> f64 {
    let f = |x: f64| 2.0 * x.max(0.0).sqrt() / TAU_MEM;
    zero_of(|rate| f(x - strength * TAU_ADAPTATION * rate) - rate, 0.0, f(x))
}

#[test]
fn the_rate_under_adaptation_is_that_of_the_steady_state() {
    for device in devices() {
        for (neuron, rate, drives, tolerance) in [
            (Neuron::Lif { tau_mem: TAU_MEM }, lif as fn(f64, f64) -> f64, [1.5, 2.0, 3.0, 5.0], 0.01),
            (Neuron::Qif { tau_mem: TAU_MEM }, qif as fn(f64, f64) -> f64, [0.5, 1.0, 2.0, 4.0], 0.03),
        ] {
            for strength in [0.0, 0.05, 0.1] {
                let adapting = vec![Synapse::readout_only(20.0), Synapse::adaptation(TAU_ADAPTATION, strength)];
                let found = rates(&layer(neuron.clone(), adapting, &drives, &device));
                for (&x, found) in drives.iter().zip(found) {
                    let expected = rate(x, strength);
                    let error = (found / expected - 1.0).abs();
                    assert!(error < tolerance, "{neuron} at {x}, strength {strength}: {found}, not {expected}");
                    assert!(strength < 0.1 || expected < 0.9 * rate(x, 0.0), "the adaptation is weak");
                }
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
            let mut with_autapses = config.init((&device, DType::F64)).unwrap();
            with_autapses.bias = full.bias;
            let diagonal = Tensor::<2>::eye(4, &device).cast(DType::F64) * -0.3;
            let weights = &mut with_autapses.recurrent_weights[0];
            *weights = weights.clone().map(|_| diagonal);
            for (own, full) in rates(&own).into_iter().zip(rates(&with_autapses)) {
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
