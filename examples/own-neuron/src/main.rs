//! Checks the gradient of the quartic neuron. Then compares the times of kernel and tensor
//! operations, for this neuron and for a built-in one.

use burn::tensor::{DType, Device, Distribution, Tensor};
use burn_spiking::gradcheck::gradcheck;
use burn_spiking::{ConfigError, Gate, Implementation, Neuron, SpikingRnn, SpikingRnnConfig};
use own_neuron::Quartic;
use std::time::Instant;

/// Returns the median time of `runs` forward and backward passes, in ms.
fn time(layer: &SpikingRnn, input: &Tensor<3>, runs: usize) -> f64 {
    let mut times: Vec<f64> = (0..runs)
        .map(|_| {
            let start = Instant::now();
            let (trajectory, _) = layer.forward(input.clone(), None);
            let gradients = trajectory.trace().mean().backward();
            let gradient = layer.recurrent_weights[0].grad(&gradients).expect("the layer is recurrent");
            gradient.into_data();
            1e3 * start.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[runs / 2]
}

fn main() -> Result<(), ConfigError> {
    let neuron = Neuron::own(Quartic { tau_mem: 25.0 });
    let double = (&Device::flex(), DType::F64);
    let small = SpikingRnnConfig::new(2, 5).with_neuron(neuron.clone()).init(double)?;
    let input = Tensor::random([2, 12, 2], Distribution::Normal(0.0, 1.0), double);
    let report = gradcheck(&small, input, None, 0);
    for found in &report.differences {
        let central = found.central.map_or("none".into(), |central| format!("{central:.1e}"));
        println!("{:>6}: automatic differentiation {:.1e}, central differences {central}", found.name, found.automatic);
    }
    report.check(1e-9, 1e-6).expect("the gradient is exact");

    let device = Device::flex().autodiff();
    let input = Tensor::<3>::random([50, 1000, 3], Distribution::Normal(0.0, 1.0), &device);
    println!("\nforward and backward, 50 samples, 1000 steps, 80 neurons, gate of width 0.1");
    let config = SpikingRnnConfig::new(3, 80).with_gate(Gate::Quintic { width: 0.1 });
    for (name, neuron) in [("QIF", Neuron::Qif { tau_mem: 25.0 }), ("quartic", neuron)] {
        let layer = config.clone().with_neuron(neuron).init(&device)?;
        let kernel = time(&layer, &input, 9);
        let tensor_ops = time(&layer.with_implementation(Implementation::TensorOps), &input, 1);
        println!("{name:>8}: kernel {kernel:.0} ms, tensor operations {tensor_ops:.0} ms");
    }
    Ok(())
}
