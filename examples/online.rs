//! Runs a network step by step. Each input depends on the last output, as in a control loop.
//!
//! `cargo run --release --example online`

use burn::tensor::{Device, Tensor};
use burn_spiking::{ConfigError, SpikingNetworkConfig, SpikingRnnConfig, SpikingState};

fn main() -> Result<(), ConfigError> {
    // On a device without autodiff, the network stores nothing for a backward pass.
    let device = Device::flex();
    device.seed(3);
    let network = SpikingNetworkConfig::new(SpikingRnnConfig::new(1, 50), 1).init(&device)?;

    let mut state: Option<SpikingState> = None;
    let mut angle = Tensor::<2>::full([1, 1], 0.5, &device);
    let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
    for ms in 0..500 {
        let (push, next) = network.step(angle.clone(), state);
        // The output of the untrained network pushes a leaky pendulum.
        inputs.push(angle.clone());
        angle = angle * 0.99 + push.clone() * 0.05;
        outputs.push(push);
        state = Some(next);
        if ms % 100 == 99 {
            println!("{:3} ms: angle {:.4}", ms + 1, angle.clone().into_scalar::<f32>());
        }
    }

    // The same inputs in one call give the same outputs.
    let input = Tensor::<2>::stack::<3>(inputs, 1);
    let (whole, _state) = network.forward(input, None);
    let difference = (whole.output - Tensor::<2>::stack::<3>(outputs, 1)).abs().max().into_scalar::<f32>();
    println!("largest difference between 500 steps and one run: {difference:e}");
    Ok(())
}
