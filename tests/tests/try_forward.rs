//! `try_forward` returns an error where `forward` panics, and the same run where it does not.

use burn::tensor::{DType, Device, Tensor};
use burn_spiking::{
    ForwardError, Gate, Implementation, SpikingNetworkConfig, SpikingRnn, SpikingRnnConfig, SpikingState,
};
use burn_spiking_tests::{devices, numbers};

fn device() -> Device {
    devices()[0].clone().autodiff()
}

fn layer(implementation: Implementation) -> SpikingRnn {
    SpikingRnnConfig::new(2, 6).init(&device()).unwrap().with_implementation(implementation)
}

fn input(shape: [usize; 3], value: f64) -> Tensor<3> {
    Tensor::full(shape, value, &device())
}

fn mismatch<T>(result: Result<T, ForwardError>) -> String {
    match result {
        Err(ForwardError::Mismatch(message)) => message,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("the run was accepted"),
    }
}

fn not_finite<T>(result: Result<T, ForwardError>) -> String {
    match result {
        Err(ForwardError::NotFinite(message)) => message,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("the run was accepted"),
    }
}

#[test]
fn a_run_that_fits_is_that_of_forward_gradients_included() {
    for implementation in [Implementation::Fused, Implementation::TensorOps, Implementation::Autodiff] {
        let layer = layer(implementation);
        let (run, state) = layer.try_forward(input([3, 30, 2], 0.8), None).unwrap();
        let (wanted, wanted_state) = layer.forward(input([3, 30, 2], 0.8), None);
        assert_eq!(numbers(state.v), numbers(wanted_state.v));
        let gradient = |trace: Tensor<3>| {
            let gradients = trace.square().mean().backward();
            numbers(layer.recurrent_weights[0].grad(&gradients).unwrap())
        };
        assert_eq!(numbers(run.trace()), numbers(wanted.trace()));
        assert_eq!(gradient(run.trace()), gradient(wanted.trace()));
    }
}

#[test]
fn inputs_and_states_that_do_not_fit_are_errors() {
    let layer = layer(Implementation::Fused);
    let message = mismatch(layer.try_forward(input([3, 30, 5], 0.8), None));
    assert!(message.contains("5 channels") && message.contains("d_input 2"), "{message}");
    let message = mismatch(layer.try_forward(input([3, 30, 2], 0.8), Some(layer.resting_state(4))));
    assert!(message.contains("[4, 6]") && message.contains("[3, 6]"), "{message}");
    let double = Tensor::<3>::full([3, 30, 2], 0.8, (&device(), DType::F64));
    let message = mismatch(layer.try_forward(double, None));
    assert!(message.contains("F64") && message.contains("cast"), "{message}");
}

#[test]
fn values_that_become_infinite_or_nan_are_errors_on_every_implementation() {
    for implementation in [Implementation::Fused, Implementation::TensorOps, Implementation::Autodiff] {
        let layer = layer(implementation);
        let message = not_finite(layer.try_forward(input([3, 30, 2], f64::NAN), None));
        assert!(message.contains("membrane potential of neuron"), "{message}");
    }
    let mut network = SpikingNetworkConfig::new(SpikingRnnConfig::new(2, 6), 1).init(&device()).unwrap();
    assert!(network.try_forward(input([3, 30, 2], 0.8), None).is_ok());
    network.readout.weight = network.readout.weight.map(|weight| weight * f32::INFINITY);
    let message = not_finite(network.try_forward(input([3, 30, 2], 0.8), None));
    assert!(message.contains("output"), "{message}");
}

#[test]
fn a_gate_without_a_gradient_is_an_error_only_if_one_is_asked_of_it() {
    let config = SpikingRnnConfig::new(2, 6).with_gate(Gate::Threshold { at: 1.0 });
    let message = mismatch(config.init(&device()).unwrap().try_forward(input([3, 30, 2], 0.8), None));
    assert!(message.contains("Gate::Threshold"), "{message}");
    let plain = device().inner();
    let input = Tensor::<3>::full([3, 30, 2], 0.8, &plain);
    assert!(config.init(&plain).unwrap().try_forward(input, None).is_ok());
}

#[test]
fn states_are_cut_and_joined_along_the_batch() {
    let layer = layer(Implementation::Fused);
    let (_, state) = layer.forward(input([3, 30, 2], 0.8), Some(layer.random_state(3, 0.0, 1.0, 1)));
    let joined = SpikingState::cat(vec![state.slice(0, 1), state.slice(1, 2)]);
    assert_eq!(numbers(joined.v), numbers(state.v.clone()));
    assert_eq!(numbers(joined.s), numbers(state.s.clone()));
    assert_eq!(state.slice(1, 2).v.dims(), [2, 6]);
}
