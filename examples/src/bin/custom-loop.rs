//! Trains a spiking layer in a user-written loop with Burn's optimizer.
//!
//! Ten QIF neurons and a linear readout learn to draw one period of a sine after a cue.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, Tensor};
use burn_spiking::{ConfigError, SpikingRnn, SpikingRnnConfig, Synapse, TrackingLoss, TrackingLossConfig};
use burn_spiking_examples::device::DeviceName;
use clap::Parser;

/// Trains ten spiking neurons to draw a sine after a cue, in a user-written loop.
#[derive(Parser, Debug)]
#[command(version)]
struct Args {
    /// Number of iterations
    #[arg(long, default_value_t = 400)]
    iterations: usize,
    /// Learning rate
    #[arg(long, default_value_t = 0.02)]
    lr: f64,
    /// Device to compute on
    #[arg(long, value_enum, default_value_t = DeviceName::Flex)]
    device: DeviceName,
}

#[derive(Module, Debug)]
struct Model {
    network: SpikingRnn,
    readout: Linear,
    loss: TrackingLoss,
}

const STEPS: usize = 200;
const CUE: usize = 20;

impl Model {
    fn init(device: &Device) -> Result<Self, ConfigError> {
        Ok(Self {
            network: SpikingRnnConfig::new(1, 10).with_synapses(vec![Synapse::new(20.0)]).init(device)?,
            readout: LinearConfig::new(10, 1).init(device),
            loss: TrackingLossConfig::new().init()?,
        })
    }

    /// Computes the output of the readout and its cost. `input`, `target`, output: `[B, T, 1]`.
    fn forward(&self, input: Tensor<3>, target: Tensor<3>) -> (Tensor<3>, Tensor<1>) {
        let (trajectory, _state) = self.network.forward(input, None);
        let trace = trajectory.trace();
        let output = self.readout.forward(trace.clone());
        (output.clone(), self.loss.forward(output, target, trace))
    }
}

/// Makes a trial, `[1, T, 1]`, from a function that gives the value of each step.
fn trial(value: impl Fn(usize) -> f32, device: &Device) -> Tensor<3> {
    let values: Vec<f32> = (0..STEPS).map(value).collect();
    Tensor::<1>::from_floats(values.as_slice(), device).reshape([1, STEPS, 1])
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    let device = args.device.device()?.autodiff();
    device.seed(0);
    let mut model = Model::init(&device)?;
    let mut optimizer = AdamConfig::new().init();
    let after_cue = |t: usize| t.saturating_sub(CUE) as f32 / (STEPS - CUE) as f32;
    let input = trial(|t| if (CUE..CUE + 20).contains(&t) { 1.0 } else { 0.0 }, &device);
    let target = trial(|t| (after_cue(t) * std::f32::consts::TAU).sin(), &device);

    for iteration in 1..=args.iterations {
        let (_, cost) = model.forward(input.clone(), target.clone());
        let gradients = GradientsParams::from_grads(cost.backward(), &model);
        model = optimizer.step(args.lr, model, gradients);
        if iteration % 50 == 0 || iteration == args.iterations {
            println!("iteration {iteration:>4}  cost {:.5}", cost.into_scalar::<f64>());
        }
    }

    let (output, _) = model.valid().forward(input.inner(), target.clone().inner());
    let numbers = |tensor: Tensor<3>| tensor.into_data().iter::<f32>().collect::<Vec<_>>();
    println!("\n{:>6} {:>8} {:>8}", "ms", "target", "output");
    for (t, (target, output)) in numbers(target).iter().zip(numbers(output)).enumerate().step_by(20) {
        println!("{t:>6} {target:>8.3} {output:>8.3}");
    }
    Ok(())
}
