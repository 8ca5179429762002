//! Tests that the gradient of the quartic neuron is exact, and that kernel and tensor operations
//! compute the same traces.

use burn::tensor::{DType, Device, Distribution, Tensor};
use burn_spiking::gradcheck::gradcheck;
use burn_spiking::{Gate, Implementation, Neuron, SpikingRnn, SpikingRnnConfig};
use own_neuron::Quartic;

fn layer(neurons: usize, dtype: DType) -> SpikingRnn {
    SpikingRnnConfig::new(2, neurons)
        .with_neuron(Neuron::own(Quartic { tau_mem: 20.0 }))
        .with_gate(Gate::Quintic { width: 0.4 })
        .init((&Device::flex(), dtype))
        .unwrap()
}

#[test]
fn gradient_is_exact() {
    for seed in 0..10 {
        let input = Tensor::random([2, 12, 2], Distribution::Normal(0.0, 2.0), (&Device::flex(), DType::F64));
        gradcheck(&layer(5, DType::F64), input, None, seed).check(1e-9, 1e-6).unwrap();
    }
}

#[test]
fn kernel_computes_what_tensor_operations_do() {
    let layer = layer(37, DType::F64);
    let input = Tensor::random([4, 100, 2], Distribution::Normal(0.0, 1.0), (&Device::flex(), DType::F64));
    let state = layer.random_state(4, 0.0, 1.0, 1);
    let run = |layer: SpikingRnn| -> Vec<f64> {
        layer.forward(input.clone(), Some(state.clone())).0.trace().into_data().iter::<f64>().collect()
    };
    let (kernel, tensor_ops) = (run(layer.clone()), run(layer.with_implementation(Implementation::TensorOps)));
    assert!(kernel.iter().sum::<f64>() > 10.0, "neurons fire");
    for (a, b) in kernel.iter().zip(tensor_ops) {
        assert!((a - b).abs() < 1e-9, "{a}, {b}");
    }
}
