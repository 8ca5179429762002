//! Two stacked spiking layers learn which of two channels has more spikes. The input of the second
//! layer is the trace of the first.
//!
//! `cargo run --release --example stack`

use burn::module::Module;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, Distribution, Int, Tensor};
use burn_spiking::{ConfigError, SpikingRnnConfig, SpikingStack, SpikingStackConfig, Trajectory};

const STEPS: usize = 150;

#[derive(Module, Debug)]
struct Model {
    stack: SpikingStack,
    readout: Linear,
}

impl Model {
    fn init(device: &Device) -> Result<Self, ConfigError> {
        let layers = vec![SpikingRnnConfig::new(2, 20), SpikingRnnConfig::new(20, 10)];
        let stack = SpikingStackConfig::new(layers).init(device)?;
        Ok(Self { stack, readout: LinearConfig::new(10, 2).init(device) })
    }

    /// Runs the model over spike trains, `[batch, time, 2]`. Returns the scores of the classes,
    /// `[batch, 2]`, and the trajectory of each layer.
    fn forward(&self, spikes: Tensor<3>) -> (Tensor<2>, Vec<Trajectory>) {
        let (layers, _states) = self.stack.forward_recording(spikes, None);
        let trace = layers[1].trace().mean_dim(1).squeeze_dim(1);
        (self.readout.forward(trace), layers)
    }
}

/// Draws spike trains of two channels, `[batch, time, 2]`. Also returns the channel with the higher
/// rate, `[batch]`.
fn draw(batch: usize, device: &Device) -> (Tensor<3>, Tensor<1, Int>) {
    let more = Tensor::<1>::random([batch], Distribution::Bernoulli(0.5), device);
    let less = more.clone().neg() + 1.0;
    let rates = Tensor::stack::<2>(vec![less, more.clone()], 1) * 0.04 + 0.03;
    let rates = rates.unsqueeze_dim::<3>(1).expand([batch, STEPS, 2]);
    let uniform = Tensor::<3>::random([batch, STEPS, 2], Distribution::Uniform(0.0, 1.0), device);
    // The integral of one spike, 10 for one step of 1 ms, is that of a current of 1 over 10 ms.
    (uniform.lower(rates).float() * 10.0, more.int())
}

fn main() -> Result<(), ConfigError> {
    let device = Device::flex().autodiff();
    device.seed(0);
    let mut model = Model::init(&device)?;
    let mut optimizer = AdamConfig::new().init();
    let cost = CrossEntropyLossConfig::new().init(&device);
    for iteration in 0..=100 {
        let (spikes, class) = draw(32, &device);
        let (scores, layers) = model.forward(spikes);
        let right = scores.clone().argmax(1).squeeze_dim::<1>(1).equal(class.clone()).float().mean();
        let loss = cost.forward(scores, class);
        if iteration % 20 == 0 {
            let rates: Vec<f32> = layers.iter().map(|layer| layer.rates_hz().mean().into_scalar()).collect();
            let (loss, right) = (loss.clone().into_scalar::<f32>(), right.into_scalar::<f32>());
            println!("{iteration:3}: cost {loss:.3}, right {right:.2}, rates {:.0} and {:.0} Hz", rates[0], rates[1]);
        }
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        model = optimizer.step(0.003, model, gradients);
    }
    Ok(())
}
