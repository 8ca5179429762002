//! A user-defined neuron with two variables: it is what the built-in neuron of the same equations
//! is, on every program, and its gradient is exact.

use burn::tensor::{DType, Device, Tensor, TensorData};
use burn_spiking::gradcheck::gradcheck;
use burn_spiking::neuron::AdEx;
use burn_spiking::neuron::planar::{PlanarFlow, PlanarModel, Plane};
use burn_spiking::number::Number;
use burn_spiking::scan::fallbacks;
use burn_spiking::{Gate, Implementation, Learn, Learned, Neuron, SpikingRnn, SpikingRnnConfig};
use burn_spiking_tests::{OwnAdEx, devices, numbers};

fn own(substeps: usize) -> Neuron {
    Neuron::own_planar(OwnAdEx { tau_mem: 12.0, tau_w: 60.0, substeps })
}

fn built_in(substeps: usize) -> Neuron {
    let (delta, onset, a, b) = (OwnAdEx::DELTA, OwnAdEx::ONSET, OwnAdEx::A, OwnAdEx::B);
    Neuron::AdEx(AdEx { tau_mem: 12.0, delta, onset, rest: 0.0, tau_w: 60.0, a, b, substeps })
}

fn config(neuron: Neuron) -> SpikingRnnConfig {
    SpikingRnnConfig::new(2, 9)
        .with_neuron(neuron)
        .with_gate(Gate::Quintic { width: 0.6 })
        .with_dt(0.5)
        .with_record_v(true)
}

fn input(device: &Device) -> Tensor<3> {
    let values: Vec<f64> = (0..3 * 60 * 2).map(|at| 2.0 + 2.0 * (0.7 * at as f64).sin()).collect();
    Tensor::from_data(TensorData::new(values, [3, 60, 2]), (device, DType::F64))
}

/// The trace, w, and the gradient of the input weights.
fn run(layer: &SpikingRnn) -> [Vec<f64>; 3] {
    let (trajectory, _) = layer.forward(input(&layer.device()), None);
    let (trace, w) = (trajectory.trace(), trajectory.w.expect("asked for"));
    let gradients = (trace.clone().square().mean() + w.clone().mean()).backward();
    [numbers(trace), numbers(w), numbers(layer.input_weight.grad(&gradients).expect("tracked"))]
}

#[test]
fn own_equations_run_like_the_built_in_ones() {
    for device in devices() {
        let device = device.autodiff();
        for substeps in [1, 3] {
            let layer = config(own(substeps)).init((&device, DType::F64)).unwrap();
            let mut other = config(built_in(substeps)).init((&device, DType::F64)).unwrap();
            (other.input_weight, other.bias) = (layer.input_weight.clone(), layer.bias.clone());
            other.recurrent_weights = layer.recurrent_weights.clone();
            let wanted = run(&other);
            assert!(wanted[1].iter().any(|&w| w > 0.2), "neurons spike, and w rises");
            for implementation in [Implementation::Fused, Implementation::TensorOps, Implementation::Autodiff] {
                let found = run(&layer.clone().with_implementation(implementation));
                for (found, wanted) in found.iter().zip(&wanted) {
                    let worst = found.iter().zip(wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                    assert!(worst < 1e-9, "{implementation:?}: {worst:e}");
                }
            }
        }
    }
    assert_eq!(fallbacks().len(), 0, "the kernel runs such neurons");
}

#[test]
fn gradients_are_exact_with_a_learned_jump_and_widths() {
    let learned = Learned { jump: Learn::PerNeuron, width: Learn::PerNeuron, tau_syn: true, ..Learned::default() };
    for shared in [false, true] {
        let learned = if shared { Learned { jump: Learn::Shared, ..Learned::default() } } else { learned };
        let config = SpikingRnnConfig { d_hidden: 4, ..config(own(2)).with_learned(learned) };
        let layer = config.init((&devices()[0], DType::F64)).unwrap();
        let input = input(&devices()[0]).narrow(1, 0, 12);
        let state = layer.random_state(3, 0.1, 0.9, 4);
        let report = gradcheck(&layer, input, Some(state), 1);
        assert!(report.differences.iter().any(|found| found.name == "constants.jump" && found.norm > 1e-3));
        report.check(1e-9, 1e-6).unwrap();
    }
}

/// A leaky neuron with a wrong second variable: what it adds to w at the crossing differs between
/// numbers with and without derivatives.
#[derive(Debug, Clone, PartialEq)]
struct Wrong;

#[derive(Debug, Clone)]
struct WrongPlane;

impl PlanarModel for Wrong {
    type Plane = WrongPlane;

    fn over(&self, dt: f64) -> PlanarFlow<WrongPlane> {
        PlanarFlow::new(WrongPlane, dt, 1)
    }
}

impl Plane for WrongPlane {
    #[inline(always)]
    fn advance<X: Number>(&self, v: X, w: X, i: X, time: X) -> (X, X) {
        // A part whose derivative is lost.
        let hidden = w.zero().with_value((w.clone() * w.clone()).plain());
        (v + i * time - hidden.times(0.05), w.times(0.9))
    }
}

#[test]
fn a_wrong_model_is_caught() {
    let config = SpikingRnnConfig { d_hidden: 3, ..config(Neuron::own_planar(Wrong)).with_time_unit(Some(10.0)) };
    let layer = config.init((&devices()[0], DType::F64)).unwrap();
    let input = input(&devices()[0]).narrow(1, 0, 10);
    let state = layer.random_state(3, 0.1, 0.9, 4);
    let s = state.s.clone() + 0.5;
    let report = gradcheck(&layer, input, Some(burn_spiking::SpikingState { s, ..state }), 1);
    assert!(report.check(1e-9, 1e-6).is_err());
}

#[test]
fn a_configuration_names_its_model() {
    let written = serde_json::to_string(&own(2)).unwrap();
    assert!(written.contains("OwnAdEx { tau_mem: 12.0"), "{written}");
    let read: Neuron = serde_json::from_str(&written).unwrap();
    assert_eq!(read, own(2));
    assert_ne!(read, own(3));
    let message = config(read.clone()).check().unwrap_err().to_string();
    assert!(message.contains("known by its name alone") && message.contains("Neuron::own_planar"), "{message}");
    assert!(config(read).with_neuron(own(2)).check().is_ok());
    let learned = Learned { tau_w: Learn::Shared, ..Learned::default() };
    let message = config(own(2)).with_learned(learned).check().unwrap_err().to_string();
    assert!(message.contains("tau_w cannot be learned"), "{message}");
}
