//! Delays of synapse types.

use super::{config, device, noise};
use burn::module::Param;
use burn::tensor::{Bool, DType, Tensor, TensorData};
use burn_spiking::{Integrator, Neuron, SpikingRnnConfig, SpikingState, Synapse};
use burn_spiking_tests::{devices, numbers};

/// One neuron spikes, and a synapse with a delay transmits the spike to another neuron.
#[test]
fn a_delayed_current_sets_in_later() {
    for device in devices() {
        let heard = |delay: f64| -> usize {
            let synapse = Synapse::new(10.0).with_delay(delay);
            let config = SpikingRnnConfig::new(1, 2).with_neuron(Neuron::Nif).with_synapses(vec![synapse]).with_dt(0.5);
            let mut layer = config.with_bias(false).with_record_v(true).init((&device, DType::F64)).unwrap();
            let of = |values: [f64; 4], shape: [usize; 2]| {
                let values = values[..shape[0] * shape[1]].to_vec();
                Param::from_tensor(Tensor::<2>::from_data(TensorData::new(values, shape), (&device, DType::F64)))
            };
            layer.input_weight = of([1.0, 0.0, 0.0, 0.0], [1, 2]);
            layer.recurrent_weights[0] = of([0.0, 1.0, 0.0, 0.0], [2, 2]);
            let input = Tensor::<3>::ones([1, 80, 1], (&device, DType::F64));
            let v = layer.forward(input, None).0.v.expect("asked for");
            let v: Vec<f64> = v.into_data().iter::<f64>().collect();
            v.chunks_exact(2).position(|v| v[1] != 0.0).expect("the other neuron hears of it")
        };
        assert_eq!([heard(1.0), heard(7.5)], [heard(0.0) + 2, heard(0.0) + 15]);
    }
}

#[test]
fn delays_that_no_step_measures_are_refused() {
    let message = |synapse: Synapse, integrator: Integrator| {
        let config = SpikingRnnConfig::new(1, 2).with_synapses(vec![synapse]).with_integrator(integrator);
        config.init(&devices()[0]).unwrap_err().to_string()
    };
    assert!(message(Synapse::new(10.0).with_delay(1.5), Integrator::Flow).contains("delay is 1.5 ms"));
    assert!(message(Synapse::new(10.0).with_delay(-1.0), Integrator::Flow).contains("delay is -1 ms"));
    assert!(message(Synapse::new(10.0).with_delay(f64::NAN), Integrator::Flow).contains("delay is NaN ms"));
    assert!(message(Synapse::readout_only(10.0).with_delay(1.0), Integrator::Flow).contains("connects no neurons"));
    assert!(message(Synapse::new(10.0).with_delay(1.0), Integrator::Heun).contains("choose Integrator::Flow"));
}

/// A layer whose synapses have delays.
fn delayed() -> SpikingRnnConfig {
    config().with_synapses(vec![Synapse::new(15.0).with_delay(3.0), Synapse::recurrent_only(4.0).with_delay(2.0)])
}

#[test]
fn all_states_of_a_layer_have_one_shape_and_a_sample_that_starts_anew_is_a_fresh_one() {
    let device = device();
    for config in [config(), delayed(), delayed().with_learned_start(true)] {
        let layer = config.init((&device, DType::F64)).unwrap();
        let (_, last) = layer.forward(noise([3, 30, 2], &device), None);
        let fresh = layer.resting_state(3);
        let at = layer.state_from_potential(Tensor::full([3, 7], 0.4, (&device, DType::F64)));
        for state in [&fresh, &at, &layer.random_state(3, 0.0, 1.0, 1)] {
            assert_eq!((state.v.dims(), state.s.dims()), (last.v.dims(), last.s.dims()));
        }
        let anew = Tensor::<1, Bool>::from_data(TensorData::from([false, true, false]), &device.clone().inner());
        // A state with only the traces is also valid: no delayed current is on its way.
        let traces_alone = SpikingState { s: fresh.s.clone().narrow(1, 0, 2), ..fresh.clone() };
        let input = noise([3, 20, 2], &device);
        let run = |state: Option<SpikingState>| numbers(layer.forward(input.clone(), state).0.v.unwrap());
        let (going_on, from_fresh) = (run(Some(last.clone())), run(None));
        for to in [fresh, traces_alone] {
            let mixed = run(Some(last.clone().reset(anew.clone(), to)));
            let sample = |all: &[f64], b: usize| all[b * 140..(b + 1) * 140].to_vec();
            assert_eq!(sample(&mixed, 0), sample(&going_on, 0));
            assert_eq!(sample(&mixed, 1), sample(&from_fresh, 1));
            assert_eq!(sample(&mixed, 2), sample(&going_on, 2));
        }
    }
}

#[test]
#[should_panic(expected = "in steps of 0.5 ms needs")]
fn a_state_of_another_step_is_refused_where_delays_are() {
    let device = device();
    let layer = delayed().init((&device, DType::F64)).unwrap();
    let (_, last) = layer.forward(noise([3, 30, 2], &device), None);
    layer.with_dt(0.5).unwrap().forward(noise([3, 30, 2], &device), Some(last));
}
