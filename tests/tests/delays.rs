//! Learned delays against runs that an independent program computed (`tests/golden/delays.py`),
//! against central differences, and in layers with everything else.

use burn::module::Param;
use burn::tensor::{DType, Device, Tensor, TensorData};
use burn_spiking::gradcheck::gradcheck;
use burn_spiking::{
    Adjoint, ConfigError, DelayOf, Gate, Integrator, Learned, Neuron, SpikingRnn, SpikingRnnConfig, SpikingState,
    Synapse,
};
use burn_spiking_tests::{devices, normal, numbers, relative_distance};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

const KINDS: [DelayOf; 3] = [DelayOf::Type, DelayOf::Sender, DelayOf::Connection];

/// A run of four neurons, with its gradients.
#[derive(Deserialize)]
struct Golden {
    sharing: String,
    weights: Vec<f64>,
    delays: Vec<f64>,
    drive: Vec<f64>,
    start: Vec<f64>,
    cost: f64,
    v: Vec<f64>,
    s: Vec<f64>,
    by_weights: Vec<f64>,
    by_delays: Vec<f64>,
}

fn tensor<const D: usize>(values: &[f64], shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), (device, DType::F64))
}

fn set<const D: usize>(param: &mut Param<Tensor<D>>, values: Tensor<D>) {
    *param = param.clone().map(|_| values.require_grad());
}

/// The layer of a golden run, with its inputs as currents of its neurons.
fn layer_of(golden: &Golden, device: &Device) -> SpikingRnn {
    let (of, shape) = match golden.sharing.as_str() {
        "type" => (DelayOf::Type, [1, 1]),
        "sender" => (DelayOf::Sender, [4, 1]),
        "connection" => (DelayOf::Connection, [4, 4]),
        other => panic!("no kind of delays is called {other}"),
    };
    let config = SpikingRnnConfig::new(4, 4)
        .with_neuron(Neuron::Nif)
        .with_gate(Gate::Quintic { width: 0.6 })
        .with_synapses(vec![Synapse::new(4.0).with_learned_delays(of, 6.0)])
        .with_dt(0.5)
        .with_bias(false)
        .with_autapses(true);
    let mut layer = config.init((device, DType::F64)).unwrap();
    set(&mut layer.input_weight, Tensor::<2>::eye(4, device).cast(DType::F64));
    set(&mut layer.recurrent_weights[0], tensor(&golden.weights, [4, 4], device));
    layer.with_delays(0, tensor(&golden.delays, shape, device)).unwrap()
}

#[test]
fn runs_and_gradients_are_those_of_an_independent_program() {
    let cases: Vec<Golden> = serde_json::from_str(include_str!("../golden/delays.json")).unwrap();
    assert_eq!(cases.len(), 3);
    for device in devices().into_iter().map(|device| device.autodiff()) {
        for golden in &cases {
            let layer = layer_of(golden, &device);
            let (steps, n) = (60, 4);
            let at = |f: &dyn Fn(f64, usize) -> f64| -> Vec<f64> {
                (0..steps).flat_map(|t| (0..n).map(move |post| (t, post))).map(|(t, post)| f(t as f64, post)).collect()
            };
            let input = at(&|t, post| golden.drive[post] * (1.0 + (0.31 * t + post as f64).sin()));
            let factors = at(&|t, post| (1.0 + 0.7 * t + 1.3 * post as f64).sin());
            let state = layer.state_from_potential(tensor(&golden.start, [1, 4], &device));
            let (trajectory, last) = layer.forward(tensor(&input, [1, steps, n], &device), Some(state));
            let cost = (trajectory.trace() * tensor(&factors, [1, steps, n], &device)).sum();
            assert!((cost.clone().into_scalar::<f64>() - golden.cost).abs() < 1e-11, "{}", golden.sharing);
            let gradients = cost.backward();
            let by_weights = numbers(layer.recurrent_weights[0].grad(&gradients).unwrap());
            // dδ/dθ = δ (1 − δ/δ_max).
            let chain = golden.delays.iter().map(|delay| delay * (1.0 - delay / 6.0));
            let by_delays: Vec<f64> = golden.by_delays.iter().zip(chain).map(|(by, slope)| by * slope).collect();
            let found = numbers(layer.delay_logits[0].grad(&gradients).unwrap());
            let pairs = [
                ("v", numbers(last.v), &golden.v, 1e-12),
                ("s", numbers(last.s.narrow(1, 0, 1)), &golden.s, 1e-12),
                ("the weights", by_weights, &golden.by_weights, 5e-8),
                ("the delays", found, &by_delays, 5e-8),
            ];
            for (name, found, wanted, tolerance) in pairs {
                let distance = relative_distance(&found, wanted);
                assert!(distance < tolerance, "{} of {}: {distance:e}", name, golden.sharing);
            }
        }
    }
}

/// A small layer with two recurrent types, of which the second has learned delays.
fn config(of: DelayOf) -> SpikingRnnConfig {
    let slow = Synapse::new(9.0).with_learned_delays(of, 4.0);
    SpikingRnnConfig::new(2, 5).with_synapses(vec![Synapse::recurrent_only(5.0).with_delay(1.0), slow])
}

/// The layer of a configuration, in double precision, with strong weights. The tests of this file
/// run at once, so its numbers do not come from the random state of the device.
fn layer(config: &SpikingRnnConfig, seed: u64, device: &Device) -> SpikingRnn {
    let mut layer = config.init((device, DType::F64)).unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut normal = |size: f64, count: usize| -> Vec<f64> { (0..count).map(|_| size * normal(&mut random)).collect() };
    let mut fill = |param: &mut Param<Tensor<2>>, size: f64| {
        let ([rows, columns], learns) = (param.dims(), param.is_require_grad());
        let values = tensor(&normal(size, rows * columns), [rows, columns], device);
        *param = param.clone().map(|_| values.set_require_grad(learns));
    };
    fill(&mut layer.input_weight, 0.5);
    layer.recurrent_weights.iter_mut().for_each(|weights| fill(weights, 0.5));
    layer.delay_logits.iter_mut().for_each(|logits| fill(logits, 0.8));
    layer
}

fn input_of(layer: &SpikingRnn, shape: [usize; 3]) -> Tensor<3> {
    let mut random = ChaCha8Rng::seed_from_u64(9);
    let values: Vec<f64> = (0..shape.iter().product()).map(|_| normal(&mut random)).collect();
    tensor(&values, shape, &layer.device())
}

#[test]
fn gradients_pass_the_check() {
    for device in devices() {
        for of in KINDS {
            let others = [
                config(of),
                config(of).with_learned_start(true).with_learned(Learned { tau_syn: true, ..Learned::default() }),
                config(of).with_dale(Some(0.6)).with_autapses(true),
            ];
            for config in others {
                let layer = layer(&config, 1, &device);
                let input = input_of(&layer, [2, 12, 2]);
                let report = gradcheck(&layer, input, None, 3);
                report.check(1e-9, 1e-6).unwrap_or_else(|error| panic!("{of:?}: {error}"));
                let delays = report.differences.iter().find(|found| found.name == "delay_logits.0").unwrap();
                assert!(delays.norm > 0.0 && delays.central.is_some(), "{of:?}: {delays:?}");
            }
        }
    }
}

#[test]
fn a_delay_of_whole_steps_is_that_fixed_delay() {
    for device in devices() {
        let learned = layer(&config(DelayOf::Type), 2, &device);
        // The nearest number above 3 for which there is a parameter.
        let learned = learned.with_delays(1, Tensor::full([1, 1], 3.0 + 1e-12, (&device, DType::F64))).unwrap();
        let synapses = vec![Synapse::recurrent_only(5.0).with_delay(1.0), Synapse::new(9.0).with_delay(3.0)];
        let mut fixed = config(DelayOf::Type).with_synapses(synapses).init((&device, DType::F64)).unwrap();
        fixed.input_weight = learned.input_weight.clone();
        fixed.recurrent_weights = learned.recurrent_weights.clone();
        let input = input_of(&learned, [2, 40, 2]);
        let [a, b] = [&learned, &fixed].map(|layer| numbers(layer.forward(input.clone(), None).0.trace()));
        assert!(relative_distance(&a, &b) < 1e-8, "{:e}", relative_distance(&a, &b));
    }
}

#[test]
fn calls_in_sequence_and_samples_of_several_lengths_are_single_runs() {
    for device in devices() {
        for of in KINDS {
            let layer = layer(&config(of), 3, &device);
            let input = input_of(&layer, [2, 30, 2]);
            let (whole, last) = layer.forward(input.clone(), None);
            let (first, middle) = layer.forward(input.clone().narrow(1, 0, 13), None);
            let (second, end) = layer.forward(input.clone().narrow(1, 13, 17), Some(middle));
            // The second call computes the currents from the traces, which rounds once more.
            let parts = numbers(Tensor::cat(vec![first.trace(), second.trace()], 1));
            assert!(relative_distance(&numbers(whole.trace()), &parts) < 1e-12);
            assert!(relative_distance(&numbers(last.s), &numbers(end.s)) < 1e-12);
            let (ragged, _) = layer.forward_lengths(input.clone(), &[30, 11], None);
            let (alone, _) = layer.forward(input.narrow(0, 1, 1).narrow(1, 0, 11), None);
            assert_eq!(numbers(ragged.trace().narrow(0, 1, 1).narrow(1, 0, 11)), numbers(alone.trace()));
        }
    }
}

#[test]
fn a_state_of_the_traces_alone_is_one_without_currents_in_transit() {
    for device in devices() {
        let layer = layer(&config(DelayOf::Sender), 5, &device);
        let v = tensor(&[0.1, 0.3, 0.5, 0.2, 0.4], [1, 5], &device);
        let traces = tensor(&[0.0, 0.5, 0.2, 0.0, 1.0, 0.3, 0.0, 0.0, 0.7, 0.1], [1, 2, 5], &device);
        // The learned type has five lags.
        let lags = traces.clone().narrow(1, 1, 1).repeat_dim(1, 5);
        let rows = Tensor::zeros([1, layer.plan().state_rows() - 6, 5], (&device, DType::F64));
        let whole = Tensor::cat(vec![traces.clone().narrow(1, 0, 1), lags, rows], 1);
        let input = input_of(&layer, [1, 20, 2]);
        let run = |s: Tensor<3>| {
            let (trajectory, last) = layer.forward(input.clone(), Some(SpikingState { v: v.clone(), s }));
            (numbers(trajectory.trace()), numbers(last.s))
        };
        assert_eq!(run(traces), run(whole));
    }
}

#[test]
fn delays_of_any_device_and_dtype_can_be_given() {
    let device = &devices()[0];
    let given = |device: &Device, dtype: DType| Tensor::<2>::full([5, 1], 1.5, (device, dtype));
    let learning = config(DelayOf::Sender).init(&device.clone().autodiff()).unwrap();
    let plain = config(DelayOf::Sender).init(device).unwrap();
    for dtype in [DType::F32, DType::F64] {
        for from in [device.clone(), device.clone().autodiff()] {
            let set = learning.clone().with_delays(1, given(&from, dtype)).unwrap();
            assert!(set.delay_logits[0].is_require_grad());
            let set = plain.clone().with_delays(1, given(&from, dtype)).unwrap();
            assert!(!set.delay_logits[0].val().device().is_autodiff());
            assert!(numbers(set.delays(1).unwrap()).into_iter().all(|delay| (delay - 1.5).abs() < 1e-6));
        }
    }
    // In single precision, this delay would be the longest.
    let nearly = Tensor::<2>::full([5, 1], 4.0 - 1e-9, (device, DType::F64));
    assert!(plain.with_delays(1, nearly).unwrap_err().to_string().contains("below the longest"));
}

#[test]
fn a_delay_is_found_by_gradient_descent() {
    let device = devices()[0].clone().autodiff();
    let wanted = [2.7, 0.6, 3.3, 1.9, 1.2];
    let layer = layer(&config(DelayOf::Sender), 4, &device);
    let with = |layer: &SpikingRnn, delays: &[f64]| {
        layer.clone().with_delays(1, tensor(delays, [5, 1], &device)).expect("delays between the limits")
    };
    let input = input_of(&layer, [8, 60, 2]);
    let mut student = with(&layer, &[2.4, 0.9, 2.9, 1.6, 1.5]);
    let goal = with(&layer, &wanted).forward(input.clone(), None).0.trace().detach();
    let cost_of = |layer: &SpikingRnn| (layer.forward(input.clone(), None).0.trace() - goal.clone()).square().mean();
    let before = cost_of(&student).into_scalar::<f64>();
    let (mut mean, mut square) = (vec![0.0; 5], vec![0.0; 5]);
    for step in 1..=300 {
        let gradients = cost_of(&student).backward();
        let gradient = numbers(student.delay_logits[0].grad(&gradients).unwrap());
        // Adam.
        let mut logits = numbers(student.delay_logits[0].val());
        for ((logit, by), (m, s)) in logits.iter_mut().zip(gradient).zip(mean.iter_mut().zip(&mut square)) {
            *m = 0.9 * *m + 0.1 * by;
            *s = 0.99 * *s + 0.01 * by * by;
            let rate = 0.05 * (1.0 - 0.99_f64.powi(step)).sqrt() / (1.0 - 0.9_f64.powi(step));
            *logit -= rate * *m / (s.sqrt() + 1e-12);
        }
        set(&mut student.delay_logits[0], tensor(&logits, [5, 1], &device));
    }
    let found = numbers(student.delays(1).unwrap());
    let after = cost_of(&student).into_scalar::<f64>();
    assert!(after < 1e-3 * before, "{before} to {after}: {found:?}");
    assert!(found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 0.02), "{found:?}, not {wanted:?}");
}

#[test]
fn mistakes_are_refused() {
    let device = &devices()[0];
    let refused = |synapse: Synapse, words: &str| {
        let error = SpikingRnnConfig::new(1, 3).with_synapses(vec![synapse]).init(device).unwrap_err();
        assert!(matches!(error, ConfigError::Mismatch(_)) && error.to_string().contains(words), "{error}");
    };
    refused(Synapse::new(5.0).with_learned_delays(DelayOf::Type, 2.5), "is 2.5 ms, but must be a whole number");
    refused(Synapse::new(5.0).with_learned_delays(DelayOf::Type, 0.0), "is 0 ms");
    refused(Synapse::new(5.0).with_learned_delays(DelayOf::Type, 201.0), "from 1 to 200");
    refused(Synapse::new(5.0).with_learned_delays(DelayOf::Type, f64::NAN), "is NaN ms");
    refused(Synapse::readout_only(5.0).with_learned_delays(DelayOf::Type, 2.0), "does not connect the neurons");
    refused(Synapse::self_only(5.0, -1.0).with_learned_delays(DelayOf::Type, 2.0), "does not connect the neurons");
    refused(Synapse::new(5.0).with_delay(1.0).with_learned_delays(DelayOf::Type, 2.0), "leave out with_delay");

    let heun = config(DelayOf::Type).with_integrator(Integrator::Heun).init(device).unwrap_err();
    assert!(heun.to_string().contains("Integrator::Heun"), "{heun}");
    let adjoint = Adjoint::MeanField { step_ms: 20.0, softness: 0.1 };
    let mean_field = config(DelayOf::Type).with_adjoint(adjoint).init(device).unwrap_err();
    assert!(mean_field.to_string().contains("no synaptic delays"), "{mean_field}");

    let layer = config(DelayOf::Sender).init(device).unwrap();
    assert!(layer.delays(0).unwrap_err().to_string().contains("no learned delays"));
    assert!(layer.delays(2).unwrap_err().to_string().contains("there are 2"));
    let given = |delay: f64, shape: [usize; 2]| layer.clone().with_delays(1, Tensor::full(shape, delay, device));
    assert!(given(1.0, [1, 1]).unwrap_err().to_string().contains("[5, 1]"));
    assert!(given(4.0, [5, 1]).unwrap_err().to_string().contains("is 4 ms"));
    assert!(given(0.0, [5, 1]).unwrap_err().to_string().contains("is 0 ms"));
    assert!(given(f64::NAN, [5, 1]).unwrap_err().to_string().contains("is NaN ms"));
}

#[test]
fn records_hold_the_delays() {
    let device = &devices()[0];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("layer");
    let layer = config(DelayOf::Connection).init(device).unwrap();
    layer.save(&path).unwrap();
    let loaded = config(DelayOf::Connection).init(device).unwrap().load(&path).unwrap();
    assert_eq!(numbers(loaded.delays(1).unwrap()), numbers(layer.delays(1).unwrap()));
    let mut frozen = layer;
    frozen.delay_logits[0] = frozen.delay_logits[0].clone().set_require_grad(false);
    let id = frozen.delay_logits[0].id;
    let set = frozen.with_delays(1, Tensor::full([5, 5], 1.5, device)).unwrap();
    assert_eq!((set.delay_logits[0].id, set.delay_logits[0].is_require_grad()), (id, false));
    assert!(numbers(set.delays(1).unwrap()).into_iter().all(|delay| (delay - 1.5).abs() < 1e-6));
    assert!(set.config().synapses[1].to_string().contains("learned delay of each connection up to 4 ms"));
}
