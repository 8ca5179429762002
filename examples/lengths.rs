//! A network learns to classify samples of different lengths. The class of a sample is the channel
//! of its last pulse, one of three.
//!
//! `cargo run --release --example lengths`

use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, Int, Tensor, TensorData};
use burn_spiking::{ClassificationLoss, ConfigError, Scores, SpikingNetworkConfig, SpikingRnnConfig};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const CHANNELS: usize = 3;
const BATCH: usize = 32;
/// The longest sample, in steps of 1 ms.
const LONGEST: usize = 150;

struct Batch {
    /// `[BATCH, LONGEST, CHANNELS]`. Padding follows the end of each sample. No result depends on
    /// the padding.
    input: Tensor<3>,
    lengths: Vec<usize>,
    class: Tensor<1, Int>,
}

/// Draws a batch. Each sample has one pulse of 15 ms every 25 ms, and each pulse is in a random
/// channel. The sample ends 10 ms after its last pulse.
fn draw(random: &mut ChaCha8Rng, device: &Device) -> Batch {
    let mut input = vec![f32::NAN; BATCH * LONGEST * CHANNELS];
    let (mut lengths, mut classes) = (Vec::new(), Vec::new());
    for sample in input.chunks_mut(LONGEST * CHANNELS) {
        let pulses = random.random_range(2..=6);
        let length = 25 * pulses;
        sample[..length * CHANNELS].fill(0.0);
        let mut channel = 0;
        for pulse in 0..pulses {
            channel = random.random_range(0..CHANNELS);
            (25 * pulse..25 * pulse + 15).for_each(|step| sample[step * CHANNELS + channel] = 2.0);
        }
        lengths.push(length);
        classes.push(channel as i64);
    }
    Batch {
        input: Tensor::from_data(TensorData::new(input, [BATCH, LONGEST, CHANNELS]), device),
        class: Tensor::from_data(TensorData::new(classes, [BATCH]), device),
        lengths,
    }
}

fn main() -> Result<(), ConfigError> {
    let device = Device::flex().autodiff();
    device.seed(0);
    let mut random = ChaCha8Rng::seed_from_u64(0);
    let mut network = SpikingNetworkConfig::new(SpikingRnnConfig::new(CHANNELS, 40), CHANNELS).init(&device)?;
    let cost = ClassificationLoss { scores: Scores::Last };
    let mut optimizer = AdamConfig::new().init();
    for iteration in 0..=150 {
        let Batch { input, lengths, class } = draw(&mut random, &device);
        let (run, _state) = network.forward_lengths(input, &lengths, None);
        let (loss, scores) = cost.forward_network(&run, class.clone());
        let right = scores.argmax(1).squeeze_dim::<1>(1).equal(class).float().mean().into_scalar::<f32>();
        if iteration % 30 == 0 {
            println!("{iteration:3}: cost {:.3}, right {right:.2}", loss.clone().into_scalar::<f32>());
        }
        let gradients = GradientsParams::from_grads(loss.backward(), &network);
        network = optimizer.step(0.02, network, gradients);
    }
    Ok(())
}
