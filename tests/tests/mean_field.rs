//! Tests of the mean-field adjoint: its gradient equals that of the rate model along the run of the
//! spiking network, in every implementation.

use burn::optim::GradientsParams;
use burn::tensor::{DType, Device, Distribution, Tensor};
use burn_spiking::neuron::{Flow, NeuronModel, RateCurve};
use burn_spiking::number::Number;
use burn_spiking::scan::{Adjoint, Implementation};
use burn_spiking::{Gate, Neuron, SpikingNetworkConfig, SpikingRnnConfig, Synapse, Trajectory, Wiring};
use burn_spiking_tests::{Draw, NEAR_ROUNDING, devices, draws, of_one_variable, sample_of};

/// Random networks with blocks of one to five steps. Some runs end in a shorter block.
fn rate_draws(count: usize) -> impl Iterator<Item = (Draw, usize)> {
    sample_of(of_one_variable(draws()), count).enumerate().map(|(at, draw)| (draw.by_rates(1 + at % 5), 1 + at % 5))
}

#[test]
fn gradients_are_those_of_the_rate_model() {
    for device in devices() {
        let mut felt = 0;
        for (at, (draw, every)) in rate_draws(200).enumerate() {
            let truth = draw.by_rate_model(&device, every);
            for body in [Implementation::Fused, Implementation::TensorOps] {
                let distance = draw.by_op(&device, DType::F64, body).distance(&truth);
                assert!(distance <= NEAR_ROUNDING, "draw {at}, {body:?}: {distance:e} for {:?}", draw.plan);
            }
            felt += (draw.plan.weight_planes() > 0 && draw.steps > every) as usize;
        }
        assert!(felt >= 50, "{felt} of 200 draws go back through weights");
    }
}

/// Tests the comparison itself: it must detect slightly different rates, decays and steps.
#[test]
fn planted_errors_are_caught() {
    let device = &devices()[0];
    let (mut caught, mut draws) = ([0; 3], 0);
    let recurrent = |draw: &Draw, every: usize| draw.plan.weight_planes() > 0 && draw.steps > every;
    for (draw, every) in rate_draws(60).filter(|(draw, every)| recurrent(draw, *every)) {
        let truth = draw.by_rate_model(device, every);
        let misses = |change: &dyn Fn(&mut burn_spiking::scan::ScanPlan)| {
            let mut plan = draw.plan.clone();
            change(&mut plan);
            (draw.by_adjoint_of(device, &plan).distance(&truth) > 1e3 * NEAR_ROUNDING) as usize
        };
        draws += 1;
        caught[0] += misses(&|plan| {
            let Adjoint::MeanField { step_ms, softness } = plan.adjoint else { panic!("a mean-field plan") };
            plan.adjoint = Adjoint::MeanField { step_ms, softness: 1.001 * softness };
        });
        caught[1] += misses(&|plan| plan.synapses.iter_mut().for_each(|synapse| synapse.decay *= 0.9999));
        caught[2] += misses(&|plan| plan.synapses.iter_mut().for_each(|synapse| synapse.amplitude *= 1.0001));
    }
    assert!(draws >= 15, "{draws}");
    assert_eq!(caught, [draws; 3]);
}

/// The forward run is the same to the last bit with every adjoint.
#[test]
fn spikes_are_the_same_under_every_adjoint() {
    let device = Device::flex().autodiff();
    let layer = SpikingRnnConfig::new(2, 20).init(&device).unwrap();
    let by_rates = layer.clone().with_adjoint(Adjoint::MeanField { step_ms: 5.0, softness: 0.005 }).unwrap();
    let input = Tensor::random([3, 57, 2], Distribution::Normal(0.0, 2.0), &device);
    let of = |layer: &burn_spiking::SpikingRnn| layer.forward(input.clone(), None).0.trace().into_data();
    assert_eq!(of(&layer), of(&by_rates));
    assert!(of(&layer).iter::<f32>().any(|x| x > 0.5), "somebody spikes");
}

/// Threshold-triggered spikes have no gradient, but the mean-field adjoint propagates errors
/// through the rates.
#[test]
fn hard_spikes_learn_by_rates() {
    let device = Device::flex().autodiff();
    let config = SpikingRnnConfig::new(2, 30)
        .with_gate(Gate::Threshold { at: 1.0 })
        .with_adjoint(Adjoint::MeanField { step_ms: 5.0, softness: 0.005 });
    let network = SpikingNetworkConfig::new(config, 1).init(&device).unwrap();
    let input = Tensor::random([4, 200, 2], Distribution::Normal(0.5, 0.5), &device);
    let (run, _) = network.forward(input, None);
    let gradients = GradientsParams::from_grads((run.output - 0.7).square().mean().backward(), &network);
    for id in [network.layer.input_weight.id, network.layer.recurrent_weights[0].id, network.readout.weight.id] {
        let norm = gradients.get::<2>(id).unwrap().square().sum().into_scalar::<f64>();
        assert!(norm.is_finite() && norm > 0.0, "{norm}");
    }
}

/// Tests wiring, Dale's law, several synapse types and lengths: a sample in a batch with other
/// samples has the same gradient as alone.
#[test]
fn samples_of_different_lengths_have_the_gradients_that_they_have_alone() {
    let device = Device::flex().autodiff();
    let options = (&device, DType::F64);
    let layer = SpikingRnnConfig::new(2, 12)
        .with_synapses(vec![Synapse::new(20.0), Synapse::recurrent_only(5.0)])
        .with_wiring(Wiring::Sparse { share: 0.5, seed: 3 })
        .with_dale(Some(0.75))
        .with_adjoint(Adjoint::MeanField { step_ms: 4.0, softness: 0.01 })
        .init(options)
        .unwrap();
    let input = Tensor::<3>::random([2, 31, 2], Distribution::Normal(0.5, 1.0), options);
    let gradient = |cost: Tensor<1>| -> Vec<f64> {
        layer.recurrent_weights[1].grad(&cost.backward()).unwrap().into_data().iter::<f64>().collect()
    };
    let cost = |trajectory: Trajectory| trajectory.trace().square().sum();
    let together = gradient(cost(layer.forward_lengths(input.clone(), &[31, 18], None).0));
    // The end of sample 1 cuts a block of sample 0, too. So the reference for sample 0 is cut
    // there.
    let first = input.clone().narrow(0, 0, 1);
    let (early, state) = layer.forward(first.clone().narrow(1, 0, 18), None);
    let (late, _) = layer.forward(first.narrow(1, 18, 13), Some(state));
    let first = gradient(cost(early) + cost(late));
    let second = gradient(cost(layer.forward(input.narrow(0, 1, 1).narrow(1, 0, 18), None).0));
    let scale = together.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    assert!(scale > 0.0);
    for (found, (first, second)) in together.iter().zip(first.iter().zip(&second)) {
        assert!((found - (first + second)).abs() < 1e-12 * scale, "{found}, {first} + {second}");
    }
}

/// A user-defined neuron, without an f-I curve or with a measured one.
#[derive(Debug, Clone, PartialEq)]
struct Own {
    measured: bool,
}

#[derive(Debug, Clone, Copy)]
struct OwnFlow(f64);

impl NeuronModel for Own {
    type Flow = OwnFlow;

    fn over(&self, dt: f64) -> OwnFlow {
        OwnFlow(dt)
    }

    fn rate_curve(&self) -> Option<RateCurve> {
        self.measured.then(|| RateCurve::measured(self).unwrap())
    }
}

impl Flow for OwnFlow {
    fn phi<X: Number>(&self, v: X, i: X) -> X {
        v + i.times(self.0)
    }
}

#[test]
fn what_has_no_mean_field_is_refused() {
    let adjoint = Adjoint::MeanField { step_ms: 5.0, softness: 0.005 };
    let config = SpikingRnnConfig::new(1, 3).with_adjoint(adjoint);
    let told = |config: SpikingRnnConfig| config.init(&Device::flex()).unwrap_err().to_string();
    let delayed = Synapse::new(20.0).with_delay(3.0);
    assert!(told(config.clone().with_synapses(vec![delayed])).contains("delays"));
    let learned = burn_spiking::Learned { tau_syn: true, ..Default::default() };
    assert!(told(config.clone().with_learned(learned)).contains("learned"));
    let message = told(config.clone().with_neuron(Neuron::own(Own { measured: false })));
    assert!(message.contains("f-I curve") && message.contains("Own { measured: false }"), "{message}");
    config.clone().with_neuron(Neuron::own(Own { measured: true })).init(&Device::flex()).unwrap();
    let with = |step_ms, softness| config.clone().with_adjoint(Adjoint::MeanField { step_ms, softness });
    assert!(told(with(2.5, 0.005)).contains("multiple of dt = 1 ms"));
    assert!(told(with(0.0, 0.005)).contains("step_ms is 0"));
    assert!(told(with(5.0, -1.0)).contains("softness is -1"));
    let layer =
        SpikingRnnConfig::new(1, 3).with_integrator(burn_spiking::Integrator::Heun).init(&Device::flex()).unwrap();
    assert!(layer.with_adjoint(adjoint).unwrap_err().to_string().contains("Heun"));
}
