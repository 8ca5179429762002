//! The times of first spikes against closed forms, the flows of the neurons, and central
//! differences through whole networks.

use burn::module::Param;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use burn_spiking::neuron::Eif;
use burn_spiking::{
    Adjoint, FirstSpikeLoss, FirstSpikes, Gate, InitialWeights, Learn, Learned, Neuron, SpikingRnn, SpikingRnnConfig,
    Synapse,
};
use burn_spiking_tests::{devices, normal, numbers, relative_distance};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

const NEURONS: [Neuron; 3] = [Neuron::Nif, Neuron::Lif { tau_mem: 20.0 }, Neuron::Qif { tau_mem: 20.0 }];

#[test]
fn the_time_to_threshold_agrees_with_the_flow() {
    for neuron in NEURONS {
        let mut reached = 0;
        for v in [0.0, 0.2, 0.499, 0.5, 0.53, 0.7, 0.9, 0.9999] {
            for i in [-0.5, -0.01, -1e-5, -1e-9, 1e-9, 1e-5, 0.001, 0.04, 0.0501, 0.06, 0.5, 3.0] {
                let Some(found) = neuron.time_to_threshold(v, i) else { continue };
                reached += 1;
                // The potential at the threshold or a little below it.
                let there = neuron.phi(v, i, 0.999_999 * found.time);
                let speed = (1.0 - there) / (1e-6 * found.time);
                assert!(there < 1.0, "{neuron} v {v} I {i}: {there}");
                let past = neuron.phi(v, i, 1.000_001 * found.time);
                assert!(past >= 1.0, "{neuron} v {v} I {i}: {past}, {speed}");
                let slope = |by: &dyn Fn(f64) -> Option<f64>, h: f64| Some((by(h)? - by(-h)?) / (2.0 * h));
                let time = |v: f64, i: f64| neuron.time_to_threshold(v, i).map(|found| found.time);
                let pairs = [
                    (found.by_v, slope(&|h| time(v + h, i), 1e-6 * (1.0 - v))),
                    (found.by_i, slope(&|h| time(v, i + h), 1e-6 * i.abs().max(1e-2))),
                ];
                for (found, wanted) in pairs {
                    // Tiny currents change the time by less than its rounding.
                    let Some(wanted) = wanted.filter(|_| i.abs() > 1e-8) else { continue };
                    let distance = (found - wanted).abs() / wanted.abs().max(1e-4);
                    let tolerance = if i.abs() < 1e-4 { 1e-3 } else { 1e-6 };
                    assert!(distance < tolerance, "{neuron} v {v} I {i}: {found}, not {wanted}");
                }
            }
        }
        assert!(reached >= 30, "{neuron}: {reached}");
    }
}

fn set<const D: usize>(param: &mut Param<Tensor<D>>, values: Tensor<D>) {
    *param = param.clone().map(|_| values.require_grad());
}

#[test]
fn one_neurons_time_and_gradient_are_those_of_the_closed_form() {
    // t under a constant current I from rest, and dt/dI.
    let tau: f64 = 20.0;
    let lif = |i: f64| (tau * (tau * i / (tau * i - 1.0)).ln(), -tau / (i * (tau * i - 1.0)));
    let qif = |i: f64| (0.25 * (tau / i).sqrt(), -0.125 * (tau / (i * i * i)).sqrt());
    let cases = [(&NEURONS[1], 0.07, lif(0.07)), (&NEURONS[2], 0.01, qif(0.01))];
    for device in devices().into_iter().map(|device| device.autodiff()) {
        for (neuron, current, (time, by_current)) in cases {
            let layer = SpikingRnnConfig::new(1, 1).with_neuron(neuron.clone()).with_bias(false).with_dt(0.7);
            let mut layer = layer.init((&device, DType::F64)).unwrap();
            // The weight is in units of 1/τ_mem.
            let weight = Tensor::full([1, 1], current * tau, (&device, DType::F64));
            set(&mut layer.input_weight, weight);
            let input = Tensor::ones([1, 100, 1], (&device, DType::F64));
            let FirstSpikes { times, spiked } = layer.forward_recording(input, None).0.first_spikes();
            assert_eq!(spiked.into_data().iter::<bool>().collect::<Vec<_>>(), [true]);
            assert!((times.clone().into_scalar::<f64>() - time).abs() < 1e-10, "{neuron}: {times}, not {time}");
            let gradients = times.sum().backward();
            let found = numbers(layer.input_weight.grad(&gradients).unwrap())[0];
            let wanted = by_current / tau;
            assert!((found / wanted - 1.0).abs() < 1e-9, "{neuron}: {found}, not {wanted}");
        }
    }
}

/// A network that spikes soon, with its input and initial state.
fn network(neuron: &Neuron, seed: u64, device: &Device) -> (SpikingRnn, Tensor<3>, Tensor<2>) {
    // The tests of this file run at once, so these numbers do not come from the random state of the
    // device.
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut drawn = |size: f64, count: usize| -> Vec<f64> { (0..count).map(|_| size * normal(&mut random)).collect() };
    let mut layer = SpikingRnnConfig::new(2, 5)
        .with_neuron(neuron.clone())
        .with_gate(Gate::Quintic { width: 0.7 })
        .with_synapses(vec![Synapse::new(8.0)])
        .with_initial(Some(InitialWeights {
            bias: if *neuron == Neuron::Nif { 0.5 } else { 1.3 },
            ..InitialWeights::of(neuron, 20.0)
        }))
        .init((device, DType::F64))
        .unwrap();
    let options = (device, DType::F64);
    let matrix = |values: Vec<f64>, shape: [usize; 2]| Tensor::<2>::from_data(TensorData::new(values, shape), options);
    set(&mut layer.input_weight, matrix(drawn(0.7, 10), [2, 5]));
    set(&mut layer.recurrent_weights[0], matrix(drawn(1.3, 25), [5, 5]));
    let input = Tensor::from_data(TensorData::new(drawn(0.5, 160), [2, 40, 2]), options);
    let v0 = (0..10).map(|at| 0.1 + 0.5 * (0.618 * (at as f64 + seed as f64)).fract()).collect();
    (layer, input, matrix(v0, [2, 5]))
}

/// Σ c t* with c that differ, over the neurons that spike; and the steps of the spikes.
fn cost(layer: &SpikingRnn, input: &Tensor<3>, v0: &Tensor<2>) -> (Tensor<1>, Vec<i64>) {
    let state = layer.state_from_potential(v0.clone());
    let found = layer.forward_recording(input.clone(), Some(state)).0.first_spikes();
    let factors: Vec<f64> = (0..10).map(|at| (1.0 + at as f64).sin()).collect();
    let factors = Tensor::<2>::from_data(TensorData::new(factors, [2, 5]), (&input.device(), DType::F64));
    let steps = numbers(found.times.clone()).iter().map(|time| time.floor() as i64).collect();
    ((found.times * factors).sum(), steps)
}

#[test]
fn gradients_of_networks_match_central_differences() {
    let device = devices()[0].clone().autodiff();
    for neuron in NEURONS {
        let mut checked = 0;
        for seed in 0..4 {
            let (layer, input, v0) = network(&neuron, seed, &device);
            let v0 = v0.require_grad();
            let (found, steps) = cost(&layer, &input, &v0);
            let gradients = found.backward();
            let by_v0 = numbers(v0.grad(&gradients).unwrap());
            let by_weights = numbers(layer.recurrent_weights[0].grad(&gradients).unwrap());
            let by_input = numbers(layer.input_weight.grad(&gradients).unwrap());
            assert!(by_weights.iter().chain(&by_v0).chain(&by_input).any(|&x| x != 0.0));

            // With `set`, values are put into a copy of the layer.
            let differences = |values: Vec<f64>, set: &mut dyn FnMut(&mut SpikingRnn, &[f64]) -> Tensor<2>, h: f64| {
                let slopes: Vec<Option<f64>> = (0..values.len())
                    .map(|at| {
                        let mut of = |h: f64| {
                            let mut moved = values.clone();
                            moved[at] += h;
                            let mut layer = layer.clone();
                            let v0 = set(&mut layer, &moved);
                            let (cost, there) = cost(&layer, &input, &v0);
                            (there == steps).then(|| cost.into_scalar::<f64>())
                        };
                        let slope = |a: f64, b: f64, h: f64| (a - b) / (2.0 * h);
                        let whole = slope(of(h)?, of(-h)?, h);
                        let half = slope(of(0.5 * h)?, of(-0.5 * h)?, 0.5 * h);
                        Some((4.0 * half - whole) / 3.0)
                    })
                    .collect();
                slopes
            };
            let tensor = |values: &[f64], shape: [usize; 2]| {
                Tensor::<2>::from_data(TensorData::new(values.to_vec(), shape), (&device, DType::F64))
            };
            let same = v0.clone().detach();
            let weights = numbers(layer.recurrent_weights[0].val());
            let inputs = numbers(layer.input_weight.val());
            let cases = [
                (by_v0, differences(numbers(same.clone()), &mut |_, values| tensor(values, [2, 5]), 1e-5)),
                (
                    by_weights,
                    differences(
                        weights,
                        &mut |layer, values| {
                            set(&mut layer.recurrent_weights[0], tensor(values, [5, 5]));
                            same.clone()
                        },
                        1e-4,
                    ),
                ),
                (
                    by_input,
                    differences(
                        inputs,
                        &mut |layer, values| {
                            set(&mut layer.input_weight, tensor(values, [2, 5]));
                            same.clone()
                        },
                        1e-4,
                    ),
                ),
            ];
            for (found, wanted) in cases {
                // A spike that a change of h moves to another step has no central difference.
                let (found, wanted): (Vec<f64>, Vec<f64>) =
                    found.into_iter().zip(wanted).filter_map(|(found, wanted)| Some((found, wanted?))).unzip();
                checked += found.len();
                let distance = relative_distance(&found, &wanted);
                assert!(distance < 1e-6, "{neuron}, seed {seed}: {distance:e}\n{found:?}\n{wanted:?}");
            }
        }
        assert!(checked > 60, "{neuron}: {checked}");
    }
}

#[test]
fn silent_neurons_have_the_length_of_their_sample() {
    for device in devices() {
        let config = SpikingRnnConfig::new(1, 2)
            .with_neuron(Neuron::Lif { tau_mem: 10.0 })
            .with_synapses(vec![Synapse::readout_only(10.0)])
            .with_bias(false);
        for batch_first in [true, false] {
            let mut layer =
                config.clone().with_batch_first(batch_first).with_dt(0.5).init((&device, DType::F64)).unwrap();
            layer.input_weight = layer.input_weight.map(|weights| weights * 0.0 + 2.0);
            // The second sample has no input.
            let input = Tensor::<3>::ones([1, 40, 1], (&device, DType::F64));
            let input = Tensor::cat(vec![input.clone(), input * 0.0], 0);
            let input = if batch_first { input } else { input.swap_dims(0, 1) };
            let found = layer.forward_lengths_recording(input, &[40, 30], None).0.first_spikes();
            // The neuron reaches 1 on its way to 2 after τ ln 2.
            let time = 10.0 * 2.0_f64.ln();
            let times = numbers(found.times);
            assert!(times.iter().zip([time, time, 15.0, 15.0]).all(|(a, b)| (a - b).abs() < 1e-10), "{times:?}");
            assert_eq!(found.spiked.into_data().iter::<bool>().collect::<Vec<_>>(), [true, true, false, false]);
        }
    }
}

#[test]
fn the_cost_prefers_the_neuron_that_spikes_first() {
    let device = &devices()[0];
    let times = Tensor::<2>::from_data([[10.0, 14.0], [10.0, 14.0]], device);
    let spikes = FirstSpikes { spiked: times.clone().greater_elem(0.0), times };
    let (cost, scores) = FirstSpikeLoss::new(4.0).forward(&spikes, Tensor::<1, Int>::from_data([0, 1], device));
    assert_eq!(numbers(scores), [-2.5, -3.5, -2.5, -3.5]);
    let wanted = 0.5 * ((1.0 + (-1.0_f64).exp()).ln() + (1.0 + 1.0_f64.exp()).ln());
    assert!((cost.into_scalar::<f64>() - wanted).abs() < 1e-6);
}

fn refusal(run: impl FnOnce()) -> String {
    let payload = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).expect_err("the mistake is refused");
    payload.downcast_ref::<String>().cloned().unwrap_or_else(|| payload.downcast_ref::<&str>().unwrap().to_string())
}

#[test]
fn mistakes_are_refused() {
    let of = |config: SpikingRnnConfig, recording: bool| {
        move || {
            let device = &devices()[0];
            let layer = config.init(device).unwrap();
            let input = Tensor::zeros([1, 5, 1], device);
            let (trajectory, _) =
                if recording { layer.forward_recording(input, None) } else { layer.forward(input, None) };
            trajectory.first_spikes();
        }
    };
    let config = SpikingRnnConfig::new(1, 2);
    let eif = Neuron::Eif(Eif { tau_mem: 20.0, delta: 0.1, onset: 0.7, substeps: 1 });
    assert!(refusal(of(config.clone().with_neuron(eif), true)).contains("use NIF, LIF or QIF"));
    let learned = Learned { tau_mem: Learn::Shared, ..Learned::default() };
    assert!(refusal(of(config.clone().with_learned(learned), true)).contains("take `tau_mem` out"));
    let by_rates = Adjoint::MeanField { step_ms: 5.0, softness: 0.005 };
    assert!(refusal(of(config.clone().with_adjoint(by_rates), true)).contains("Adjoint::MeanField"));
    assert!(refusal(of(config, false)).contains("forward_recording"));
    assert!(
        refusal(|| {
            FirstSpikeLoss::new(0.0);
        })
        .contains("tau 0 ms")
    );
}
