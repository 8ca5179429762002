//! Costs on a layer's trajectory.

use super::noise;
use burn::tensor::{DType, Distribution, Tensor};
use burn_spiking::{RestCost, SpikingNetworkConfig, SpikingRnn, SpikingRnnConfig, TrackingLossConfig};
use burn_spiking_tests::{devices, relative_distance};

#[test]
fn a_cost_of_the_trace_alone_trains() {
    use burn::optim::{AdamConfig, GradientsParams};
    let device = devices()[0].clone().autodiff();
    let mut layer = SpikingRnnConfig::new(2, 12).init(&device).unwrap();
    let loss = TrackingLossConfig::new().init().unwrap();
    let mut optimizer = AdamConfig::new().init();
    let input = noise([4, 100, 2], &device, DType::F32);
    let cost = |layer: &SpikingRnn| {
        let trace = layer.forward(input.clone(), None).0.trace();
        loss.forward(trace.clone().mean_dim(2), trace.zeros_like().mean_dim(2) + 0.1, trace)
    };
    let before = cost(&layer).into_scalar::<f64>();
    for _ in 0..60 {
        let gradients = GradientsParams::from_grads(cost(&layer).backward(), &layer);
        layer = optimizer.step(0.01, layer, gradients);
    }
    let after = cost(&layer).into_scalar::<f64>();
    assert!(after < 0.3 * before, "{before} to {after}");
}

#[test]
fn a_cost_of_rest_needs_no_trajectory() {
    let device = devices()[0].clone().autodiff();
    let options = (&device, DType::F64);
    let network = SpikingNetworkConfig::new(SpikingRnnConfig::new(2, 9), 2).init(options).unwrap();
    let input = noise([3, 70, 2], &device, DType::F64);
    let rest = Tensor::<2>::random([3, 70], Distribution::Bernoulli(0.4), options);
    let cost = RestCost { weight: 0.3 };
    let (traced, state) = network.forward_with_trace(input.clone(), None);
    let by_trace = cost.forward(traced.trajectory(), rest.clone());
    let (run, other_state) = network.forward_weighted(input, None, cost.activity_weight(rest, 0.0));
    let by_activity = run.activity.sum() * (0.5 / 210.0);
    assert_eq!(state.s.into_data(), other_state.s.into_data());
    let of = |cost: Tensor<1>| -> Vec<f64> {
        let value = cost.clone().into_scalar::<f64>();
        let gradients = cost.backward();
        let recurrent = network.layer.recurrent_weights[0].grad(&gradients).unwrap().into_data();
        std::iter::once(value).chain(recurrent.iter::<f64>()).collect()
    };
    let distance = relative_distance(&of(by_trace), &of(by_activity));
    assert!(distance < 1e-12, "{distance:e}");
}
