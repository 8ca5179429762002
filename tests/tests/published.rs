//! Runs the public gradient check on every built-in neuron with the constants at which it is used:
//! published ones, some with an upstroke so steep that a potential passes most of the way to the
//! threshold within a small part of a step.
//!
//! All are in one test, because Burn's stream of random numbers is shared by tests.

use burn::tensor::{DType, Distribution, Tensor};
use burn_spiking::gradcheck::gradcheck;
use burn_spiking::neuron::{AdEx, AdExConstants, Alif, Eif, Izhikevich, RefractoryLif, ResonateAndFire};
use burn_spiking::{Gate, InitialWeights, Neuron, SpikingRnnConfig, Synapse};
use burn_spiking_tests::devices;

/// Neurons, each with the time unit of its layer and a current (in 1/ms) under which it fires.
fn neurons() -> Vec<(String, Neuron, Option<f64>, f64)> {
    let mut all = vec![
        ("NIF".into(), Neuron::Nif, Some(25.0), 0.05),
        ("LIF".into(), Neuron::Lif { tau_mem: 20.0 }, None, 0.07),
        ("QIF".into(), Neuron::Qif { tau_mem: 20.0 }, None, 0.1),
        ("ALIF".into(), Neuron::Alif(Alif::new(20.0, 100.0, 0.3)), None, 0.1),
        ("refractory LIF".into(), Neuron::RefractoryLif(RefractoryLif::new(20.0, 2.0)), None, 0.2),
        ("resonate-and-fire".into(), Neuron::ResonateAndFire(ResonateAndFire::new(20.0, 20.0)), None, 0.4),
    ];
    for (delta, onset, substeps) in [(0.1, 0.7, 1), (0.03, 0.5, 1), (0.03, 0.5, 4)] {
        let neuron = Neuron::Eif(Eif { tau_mem: 15.0, delta, onset, substeps });
        all.push((format!("EIF {delta} {substeps}"), neuron, None, 0.08));
    }
    let published = [
        ("tonic", AdExConstants::tonic()),
        ("adapting", AdExConstants::adapting()),
        ("initial burst", AdExConstants::initial_burst()),
        ("bursting", AdExConstants::bursting()),
        ("transient", AdExConstants::transient()),
        ("delayed", AdExConstants::delayed()),
    ];
    for (name, constants) in published {
        for substeps in if name == "bursting" { vec![1, 4] } else { vec![4] } {
            let neuron = Neuron::AdEx(AdEx::published(constants, substeps));
            let current = constants.current(65.0) / constants.tau_mem;
            all.push((format!("AdEx {name} {substeps}"), neuron, None, current));
        }
    }
    for (name, model) in [("regular", Izhikevich::regular_spiking(4)), ("chattering", Izhikevich::chattering(4))] {
        all.push((format!("Izhikevich {name}"), Neuron::Izhikevich(model), None, model.current(15.0)));
    }
    all
}

#[test]
fn gradients_of_published_neurons_are_exact() {
    let device = &devices()[0];
    device.seed(1);
    for (name, neuron, time_unit, current) in neurons() {
        for width in [0.1, 1.0] {
            let unit = neuron.tau().or(time_unit).unwrap();
            let initial = InitialWeights { bias: current * unit, ..InitialWeights::of(&neuron, unit) };
            let layer = SpikingRnnConfig::new(2, 5)
                .with_neuron(neuron.clone())
                .with_time_unit(time_unit)
                .with_gate(Gate::Quintic { width })
                .with_synapses(vec![Synapse::new(20.0)])
                .with_initial(Some(initial))
                .init((device, DType::F64))
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            let input = Tensor::<3>::random([2, 3, 2], Distribution::Normal(0.0, 0.5), (device, DType::F64));
            let report = gradcheck(&layer, input, Some(layer.random_state(2, 0.0, 0.99, 3)), 5);
            report.check(1e-11, 1e-6).unwrap_or_else(|error| panic!("{name}, gate of width {width}: {error}"));
        }
    }
}
