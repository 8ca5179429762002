//! Tests of surrogate gradients: the explicit adjoint equals automatic differentiation of the
//! forward pass with the surrogate in the place of each spike's derivative.

use burn::tensor::{DType, Device};
use burn_spiking::scan::{Adjoint, Implementation, ScanPlan, Surrogate};
use burn_spiking::{Gate, Learn, Learned, Neuron, SpikingRnnConfig};
use burn_spiking_tests::{Draw, NEAR_ROUNDING, crowds, devices, draws, of_one_variable, sample_of};

fn surrogate_draws(count: usize) -> impl Iterator<Item = Draw> {
    sample_of(of_one_variable(draws()), count).enumerate().map(|(at, draw)| draw.by_surrogate(at))
}

#[test]
fn gradients_are_those_of_automatic_differentiation() {
    for device in devices() {
        let draws =
            surrogate_draws(200).chain(sample_of(of_one_variable(crowds()), 6).map(|draw| draw.by_surrogate(0)));
        for (at, draw) in draws.enumerate() {
            let truth = draw.by_op(&device, DType::F64, Implementation::Autodiff);
            for body in [Implementation::Fused, Implementation::TensorOps] {
                let distance = draw.by_op(&device, DType::F64, body).distance(&truth);
                assert!(distance <= NEAR_ROUNDING, "draw {at}, {body:?}: {distance:e} for {:?}", draw.plan);
            }
        }
    }
}

/// Tests the comparison itself: it must detect a slightly different surrogate.
#[test]
fn planted_errors_are_caught() {
    let device = &devices()[0];
    let steeper = |surrogate: Surrogate| match surrogate {
        Surrogate::FastSigmoid { slope } => Surrogate::FastSigmoid { slope: 1.001 * slope },
        Surrogate::ArcTangent { slope } => Surrogate::ArcTangent { slope: 1.001 * slope },
        Surrogate::Triangle { slope, height } => Surrogate::Triangle { slope, height: 1.001 * height },
        other => panic!("{other} is not drawn"),
    };
    // Networks whose charges reach the cost.
    let with_charges = surrogate_draws(60).filter(|draw| draw.plan.record_charge);
    let (mut caught, mut draws) = (0, 0);
    for draw in with_charges {
        let truth = draw.by_op(device, DType::F64, Implementation::Autodiff);
        let Adjoint::Surrogate(surrogate) = draw.plan.adjoint else { panic!("a plan with a surrogate") };
        let mut other = draw.clone();
        other.plan.adjoint = Adjoint::Surrogate(steeper(surrogate));
        draws += 1;
        caught +=
            (other.by_op(device, DType::F64, Implementation::Fused).distance(&truth) > 1e3 * NEAR_ROUNDING) as usize;
    }
    assert!(draws >= 15, "{draws}");
    assert_eq!(caught, draws);
}

/// The forward run is the same to the last bit with every adjoint.
#[test]
fn spikes_are_the_same_under_every_adjoint() {
    for draw in surrogate_draws(20) {
        let device = &devices()[0];
        let exact = Draw { plan: ScanPlan { adjoint: Adjoint::Exact, ..draw.plan.clone() }, ..draw.clone() };
        let charges = |draw: &Draw| draw.run(device).charge.unwrap().into_data();
        assert_eq!(charges(&draw), charges(&exact));
    }
}

#[test]
fn plans_that_a_surrogate_does_not_serve_are_refused() {
    let adjoint = Adjoint::Surrogate(Surrogate::FastSigmoid { slope: 25.0 });
    let config = || {
        SpikingRnnConfig::new(1, 2)
            .with_neuron(Neuron::Lif { tau_mem: 20.0 })
            .with_gate(Gate::Threshold { at: 1.0 })
            .with_adjoint(adjoint)
    };
    let refusal = |config: SpikingRnnConfig| match config.init(&Device::flex().autodiff()) {
        Ok(_) => panic!("{config:?} is accepted"),
        Err(error) => error.to_string(),
    };
    assert!(config().init(&Device::flex().autodiff()).is_ok());
    for (config, part) in [
        (config().with_gate(Gate::Quintic { width: 0.5 }), "the gate is \"quintic, width 0.5\""),
        (config().with_gate(Gate::Threshold { at: 0.9 }), "choose Gate::Threshold { at: 1.0 }"),
        (config().with_neuron(Neuron::Qif { tau_mem: 20.0 }), "serves NIF and LIF neurons"),
        (config().with_learned(Learned { tau_mem: Learn::Shared, ..Learned::default() }), "learned time constants"),
        (config().with_adjoint(Adjoint::Surrogate(Surrogate::ArcTangent { slope: -1.0 })), "slope is -1"),
    ] {
        let message = refusal(config);
        assert!(message.contains(part), "{message}");
    }
}
