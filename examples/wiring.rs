//! A sparse network of 80 excitatory and 20 inhibitory neurons, with fast and slow synapses and a
//! transmission delay.
//!
//! `cargo run --release --example wiring`

use burn::tensor::{Device, Distribution, Tensor};
use burn_spiking::{ConfigError, SpikingRnnConfig, Synapse, Wiring};

fn main() -> Result<(), ConfigError> {
    let device = Device::flex().autodiff();
    device.seed(0);
    let layer = SpikingRnnConfig::new(1, 100)
        // One connection in ten exists.
        .with_wiring(Wiring::Sparse { share: 0.1, seed: 7 })
        // The first 80 neurons only excite, the other 20 only inhibit.
        .with_dale(Some(0.8))
        .with_synapses(vec![
            // The current of a fast synapse arrives 2 ms after the spike. Its time constant is
            // 5 ms.
            Synapse::recurrent_only(5.0).with_delay(2.0),
            // The trace of the slow synapses is the output of the layer.
            Synapse::new(50.0),
        ])
        .init(&device)?;

    let input = Tensor::<3>::random([8, 500, 1], Distribution::Normal(0.0, 1.0), &device);
    let (trajectory, _state) = layer.forward_recording(input, None);

    let rates = trajectory.rates_hz().mean_dim(0);
    let mean = |first: usize, neurons: usize| rates.clone().narrow(1, first, neurons).mean().into_scalar::<f32>();
    println!("excitatory neurons: {:.1} Hz, inhibitory: {:.1} Hz", mean(0, 80), mean(80, 20));
    for (step, neuron) in trajectory.spikes(0).iter().take(5) {
        println!("neuron {neuron:2} of sample 0 spikes {step} ms after the start");
    }

    // Training changes only the weights of existing connections, and never changes their sign.
    let gradients = trajectory.trace().square().mean().backward();
    for (k, name) in ["fast", "slow"].iter().enumerate() {
        let weights = layer.effective_weights(k)?.inner();
        let gradient = layer.recurrent_weights[k].grad(&gradients).expect("the cost depends on the weights");
        let count = |tensor: Tensor<2>| tensor.not_equal_elem(0.0).int().sum().into_scalar::<i64>();
        println!(
            "{name} synapses: {} connections, {} of them with a gradient, {} in wrong places; excitation is {:.2} to {:.2}",
            count(weights.clone()),
            count(gradient.clone()),
            count(gradient.mask_fill(weights.clone().not_equal_elem(0.0), 0.0)),
            weights.clone().narrow(0, 0, 80).min().into_scalar::<f32>(),
            weights.narrow(0, 0, 80).max().into_scalar::<f32>(),
        );
    }
    Ok(())
}
