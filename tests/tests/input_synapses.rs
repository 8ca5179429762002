//! Input synapses: a layer that filters the charges of its channels.

use burn::tensor::{DType, Device, Tensor, TensorData};
use burn_spiking::gradcheck::gradcheck;
use burn_spiking::neuron::Alif;
use burn_spiking::{
    Gate, Implementation, InitialWeights, Integrator, Learn, Learned, Neuron, SpikingRnnConfig, Synapse,
};
use burn_spiking_tests::{devices, normal, numbers, relative_distance};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const TAU: f64 = 7.0;

/// Charges of channels of which a few are open in each step, or all.
fn charges([batch, steps, channels]: [usize; 3], open: f64, device: &Device) -> Tensor<3> {
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let mut number = || if random.random::<f64>() < open { 3.0 * normal(&mut random) } else { 0.0 };
    let numbers: Vec<f64> = (0..batch * steps * channels).map(|_| number()).collect();
    Tensor::from_data(TensorData::new(numbers, [batch, steps, channels]), (device, DType::F64))
}

fn config(channels: usize, neurons: usize) -> SpikingRnnConfig {
    SpikingRnnConfig::new(channels, neurons).with_gate(Gate::Quintic { width: 0.6 }).with_input_tau(Some(TAU))
}

/// The traces of all channels, by plain loops.
fn filtered(charges: Tensor<3>, dt: f64) -> Tensor<3> {
    let ([batch, steps, channels], device) = (charges.dims(), charges.device());
    let mut trace = numbers(charges);
    for b in 0..batch {
        for t in 1..steps {
            for c in 0..channels {
                let at = (b * steps + t) * channels + c;
                trace[at] += (-dt / TAU).exp() * trace[at - channels];
            }
        }
    }
    Tensor::from_data(TensorData::new(trace, [batch, steps, channels]), (&device, DType::F64))
}

/// Fails unless two tensors agree up to rounding.
fn agree(a: Tensor<3>, b: Tensor<3>) {
    let far = relative_distance(&numbers(a), &numbers(b));
    assert!(far < 1e-11, "{far:e}");
}

#[test]
fn the_layer_runs_as_on_filtered_input() {
    for device in devices() {
        // The scan projects few channels itself; the operation lists few open ones of many.
        for (channels, open) in [(3, 0.3), (90, 0.05), (90, 0.8)] {
            let with = config(channels, 21).with_dt(0.5).init((&device, DType::F64)).unwrap();
            let mut without =
                config(channels, 21).with_dt(0.5).with_input_tau(None).init((&device, DType::F64)).unwrap();
            without.input_weight = with.input_weight.clone();
            without.recurrent_weights = with.recurrent_weights.clone();
            let charges = charges([4, 40, channels], open, &device);
            let (wanted, _) = without.forward(filtered(charges.clone(), 0.5), None);
            let wanted = numbers(wanted.trace().clone());
            assert!(wanted.iter().any(|&s| s > 0.1));
            for implementation in [Implementation::Fused, Implementation::TensorOps, Implementation::Autodiff] {
                let (found, _) = with.clone().with_implementation(implementation).forward(charges.clone(), None);
                let far = relative_distance(&numbers(found.trace().clone()), &wanted);
                assert!(far < 1e-9, "{channels} channels, {open} open, {implementation:?}: {far:e}");
            }
        }
    }
}

#[test]
fn gradients_are_those_of_automatic_differentiation_and_of_central_differences() {
    let device = &devices()[0];
    let plain = config(66, 4);
    let learned = Learned { tau_mem: Learn::PerNeuron, ..Learned::default() };
    for config in [
        plain.clone(),
        plain.clone().with_neuron(Neuron::Lif { tau_mem: 20.0 }),
        // Rows of the state in between: currents on their way, and w.
        plain.clone().with_synapses(vec![Synapse::new(10.0).with_delay(2.0)]),
        plain.clone().with_neuron(Neuron::Alif(Alif::new(20.0, 50.0, 0.3))),
        plain.clone().with_learned_start(true),
        plain.with_learned(learned),
    ] {
        let layer = config.init((&device.clone().autodiff(), DType::F64)).unwrap();
        let input = charges([1, 8, 66], 0.1, device);
        let report = gradcheck(&layer, input, None, 3);
        report.check(1e-9, 1e-6).unwrap_or_else(|error| panic!("{error}: {config}"));
        assert!(report.worst().1.is_some(), "central differences were unreliable for {config}");
    }
}

#[test]
fn a_run_in_pieces_is_the_whole_run() {
    for device in devices() {
        for neuron in [Neuron::Qif { tau_mem: 25.0 }, Neuron::Alif(Alif::new(20.0, 50.0, 0.3))] {
            for channels in [4, 80] {
                let layer = config(channels, 17).with_neuron(neuron.clone()).init((&device, DType::F64)).unwrap();
                let input = charges([3, 30, channels], 0.1, &device);
                let (whole, end) = layer.forward(input.clone(), None);
                let (first, state) = layer.forward(input.clone().narrow(1, 0, 11), None);
                let (second, last) = layer.forward(input.clone().narrow(1, 11, 19), Some(state));
                let pieces = Tensor::cat(vec![first.trace().clone(), second.trace().clone()], 1);
                agree(pieces, whole.trace().clone());
                agree(last.s, end.s.clone());
                // Step by step, too.
                let mut state = None;
                for t in 0..30 {
                    let (_, next) = layer.step(input.clone().narrow(1, t, 1).squeeze_dim(1), state);
                    state = Some(next);
                }
                agree(state.unwrap().s, end.s);
            }
        }
    }
}

#[test]
fn the_gradient_goes_through_the_state_between_pieces() {
    let device = devices()[0].clone().autodiff();
    let layer = config(80, 9).init((&device, DType::F64)).unwrap();
    let input = charges([2, 20, 80], 0.1, &device);
    let gradient = |pieces: &[usize]| {
        let (mut state, mut cost, mut first) = (None, None, 0);
        for &steps in pieces {
            let (run, next) = layer.forward(input.clone().narrow(1, first, steps), state);
            let part = run.trace().clone().square().sum();
            cost = Some(cost.map_or(part.clone(), |cost: Tensor<1>| cost + part));
            (state, first) = (Some(next), first + steps);
        }
        numbers(layer.input_weight.grad(&cost.unwrap().backward()).unwrap())
    };
    let (whole, pieces) = (gradient(&[20]), gradient(&[7, 13]));
    assert!(relative_distance(&pieces, &whole) < 1e-10, "{:e}", relative_distance(&pieces, &whole));
}

#[test]
fn samples_of_different_lengths_run_like_each_alone() {
    let device = devices()[0].clone();
    let layer = config(75, 11).init((&device, DType::F64)).unwrap();
    let input = charges([3, 25, 75], 0.1, &device);
    let lengths = [25, 9, 16];
    let (_, ends) = layer.forward_lengths(input.clone(), &lengths, None);
    for (b, &length) in lengths.iter().enumerate() {
        let (_, end) = layer.forward(input.clone().narrow(0, b, 1).narrow(1, 0, length), None);
        agree(ends.s.clone().narrow(0, b, 1), end.s);
    }
}

#[test]
fn heun_steps_converge_to_the_flow() {
    let device = devices()[0].clone();
    let of = |dt: f64, integrator: Integrator| -> Vec<f64> {
        let none = InitialWeights { input: 0.0, recurrent: 0.0, bias: 0.4 };
        let config = config(3, 8).with_dt(dt).with_integrator(integrator).with_initial(Some(none));
        let mut layer = config.init((&device, DType::F64)).unwrap();
        layer.input_weight = layer.input_weight.map(|u| u.ones_like() * 0.2);
        // One charge at the start of each ms.
        let every = (1.0 / dt).round() as usize;
        let charge = (0..20 * every * 3).map(|at| if (at / 3) % every == 0 { 0.5 } else { 0.0 }).collect::<Vec<f64>>();
        let input = Tensor::from_data(TensorData::new(charge, [1, 20 * every, 3]), (&device, DType::F64));
        numbers(layer.forward(input, None).1.v)
    };
    let (flow, heun) = (of(0.01, Integrator::Flow), of(0.01, Integrator::Heun));
    assert!(relative_distance(&heun, &flow) < 1e-3, "{:e}", relative_distance(&heun, &flow));
}

#[test]
fn time_constants_out_of_range_and_foreign_states_are_refused() {
    for tau in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let told = SpikingRnnConfig::new(2, 3).with_input_tau(Some(tau)).init(&devices()[0]).unwrap_err().to_string();
        assert!(told.contains("input_tau is") && told.contains("time constant of the input synapses"), "{told}");
    }
    let device = &devices()[0];
    let with = config(3, 4).with_synapses(vec![Synapse::new(10.0).with_delay(1.0)]).init(device).unwrap();
    let without =
        SpikingRnnConfig::new(3, 4).with_synapses(vec![Synapse::new(10.0).with_delay(1.0)]).init(device).unwrap();
    let state = without.resting_state(2);
    let told = with.try_forward(Tensor::zeros([2, 5, 3], device), Some(state)).unwrap_err().to_string();
    assert!(told.contains("s [2, 2, 4]") && told.contains("s [2, 3, 4]"), "{told}");
}
