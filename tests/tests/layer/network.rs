//! The network: a layer and its readout in one operation.

use super::{neurons, noise};
use burn::tensor::{DType, Device, Tensor};
use burn_spiking::{
    Implementation, SpikingNetwork, SpikingNetworkConfig, SpikingRnnConfig, Synapse, TrackingLossConfig,
};
use burn_spiking_tests::{devices, numbers, relative_distance};

/// Output, activity and all gradients of a network, by the fused readout or by a layer followed by
/// Burn's products.
pub(super) fn of_network(network: &SpikingNetwork, input: Tensor<3>, fused: bool) -> Vec<Vec<f64>> {
    let [batch, steps, _] = input.dims();
    let state = network.layer.random_state(batch, 0.1, 0.9, 3);
    let (output, activity, state) = if fused {
        let (run, state) = network.forward(input, Some(state));
        (run.output, run.activity, state)
    } else {
        let (trajectory, state) = network.layer.forward(input, Some(state));
        let trace = trajectory.trace();
        (network.readout.forward(trace.clone()), trace.square().sum_dim(2).sum_dim(1).flatten(0, 2), state)
    };
    let outputs = output.dims()[2];
    let wanted = noise([batch, steps, outputs], &output.device(), output.dtype());
    let cost = (output.clone() - wanted).square().sum() + activity.clone().sum() * 0.3 + state.s.square().sum();
    let gradients = cost.backward();
    let mut all =
        vec![numbers(output), numbers(activity), numbers(network.layer.input_weight.grad(&gradients).unwrap())];
    all.extend(network.layer.bias.iter().map(|p| numbers(p.grad(&gradients).unwrap())));
    all.extend(network.layer.recurrent_weights.iter().map(|p| numbers(p.grad(&gradients).unwrap())));
    all.push(numbers(network.readout.weight.grad(&gradients).unwrap()));
    all.extend(network.readout.bias.iter().map(|p| numbers(p.grad(&gradients).unwrap())));
    all
}

#[test]
fn network_is_layer_and_readout() {
    for device in devices().into_iter().map(Device::autodiff) {
        for (neuron, bias) in neurons().into_iter().zip([false, true].into_iter().cycle()) {
            let synapses = vec![Synapse::recurrent_only(3.0), Synapse::new(15.0)];
            let layer = SpikingRnnConfig::new(3, 21).with_neuron(neuron.clone()).with_synapses(synapses);
            let network = SpikingNetworkConfig::new(layer, 3).with_bias(bias).init((&device, DType::F64)).unwrap();
            let input = || noise([4, 23, 3], &device, DType::F64);
            let apart = of_network(&network, input(), false);
            for network in [network.clone(), network.with_implementation(Implementation::TensorOps)] {
                for (fused, apart) in of_network(&network, input(), true).iter().zip(&apart) {
                    assert!(relative_distance(fused, apart) < 1e-11, "{neuron}: {fused:?}, {apart:?}");
                }
            }
        }
    }
}

#[test]
fn network_does_not_depend_on_the_number_of_threads() {
    for device in devices().into_iter().map(Device::autodiff) {
        let network = SpikingNetworkConfig::new(SpikingRnnConfig::new(2, 37), 2).init(&device).unwrap();
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| of_network(&network, noise([11, 70, 2], &device, DType::F32), true))
        };
        let one = with(1);
        assert_eq!(one, with(2));
        assert_eq!(one, with(5));
    }
}

#[test]
fn recording_a_network_changes_nothing() {
    let device = &devices()[0];
    let network = SpikingNetworkConfig::new(SpikingRnnConfig::new(2, 12), 1).init(device).unwrap();
    let input = noise([3, 50, 2], device, DType::F32);
    let (run, state) = network.forward(input.clone(), None);
    let (recorded, again) = network.forward_recording(input.clone(), None);
    let trajectory = recorded.trajectory();
    assert_eq!(numbers(run.output), numbers(recorded.output.clone()));
    assert_eq!(numbers(state.v), numbers(again.v));
    let (of_layer, _) = network.layer.forward_recording(input, None);
    assert_eq!(numbers(trajectory.charge.clone().unwrap()), numbers(of_layer.charge.clone().unwrap()));
    assert_eq!(numbers(trajectory.traces[0].clone()), numbers(of_layer.trace()));
}

#[test]
fn a_cost_on_activity_is_the_same_for_a_network() {
    let device = devices()[0].clone().autodiff();
    let network = SpikingNetworkConfig::new(SpikingRnnConfig::new(2, 12), 2).init((&device, DType::F64)).unwrap();
    let loss = TrackingLossConfig::new().with_lambda(0.2).init().unwrap();
    let (input, target) = (noise([3, 40, 2], &device, DType::F64), noise([3, 40, 2], &device, DType::F64) * 0.5);
    let weight = noise([3, 40], &device, DType::F64).abs();
    let trace = network.layer.forward(input.clone(), None).0.trace();
    let apart = loss.forward_weighted(network.readout.forward(trace.clone()), target.clone(), weight.clone(), trace);
    let fused = loss.forward_network(network.forward(input, None).0, target, Some(weight));
    assert!(relative_distance(&numbers(fused), &numbers(apart)) < 1e-13);
}
