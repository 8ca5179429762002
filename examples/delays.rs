//! Tells two patterns apart by the time between their pulses, which is longer than the neurons and
//! synapses remember: without delays, with delays drawn at random, and with learned delays.
//!
//! `cargo run --release --example delays [SEEDS]`

use burn::module::Module;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, Int, Tensor, TensorData};
use burn_spiking::{ConfigError, DelayOf, InitialWeights, Neuron, SpikingRnn, SpikingRnnConfig, Synapse};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const NEURONS: usize = 5;
const BATCH: usize = 50;
const STEPS: usize = 60;
/// The time between the pulses of the two channels, in ms, for each class.
const LAGS: [usize; 2] = [11, 18];

#[derive(Module, Debug)]
struct Model {
    network: SpikingRnn,
    readout: Linear,
}

impl Model {
    fn init(delays: bool, device: &Device) -> Result<Self, ConfigError> {
        let synapse = Synapse::new(2.0);
        let synapse = if delays { synapse.with_learned_delays(DelayOf::Connection, 24.0) } else { synapse };
        let network = SpikingRnnConfig::new(2, NEURONS)
            .with_neuron(Neuron::Lif { tau_mem: 3.0 })
            .with_synapses(vec![synapse])
            .with_initial(Some(InitialWeights { input: 3.0, recurrent: 6.0, bias: 0.2 }))
            .init(device)?;
        Ok(Self { network, readout: LinearConfig::new(NEURONS, LAGS.len()).init(device) })
    }

    fn forward(&self, input: Tensor<3>) -> Tensor<2> {
        self.readout.forward(self.network.forward(input, None).0.trace().mean_dim(1).squeeze_dim(1))
    }
}

/// Draws trials of one pulse in each channel, `[B, T, 2]`, and their classes.
fn trials(random: &mut ChaCha8Rng, device: &Device) -> (Tensor<3>, Tensor<1, Int>) {
    let mut input = vec![0.0_f32; BATCH * STEPS * 2];
    let classes: Vec<i32> = (0..BATCH).map(|_| random.random_range(0..LAGS.len() as i32)).collect();
    for (b, &class) in classes.iter().enumerate() {
        let first = random.random_range(3..15);
        let second = first + LAGS[class as usize];
        (input[(b * STEPS + first) * 2], input[(b * STEPS + second) * 2 + 1]) = (2.0, 2.0);
    }
    let input = Tensor::from_data(TensorData::new(input, [BATCH, STEPS, 2]), device);
    (input, Tensor::from_data(TensorData::new(classes, [BATCH]), device))
}

/// Trains a network and returns the share of right answers in new trials.
fn accuracy(mut model: Model, seed: u64, device: &Device) -> f64 {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut optimizer = AdamConfig::new().init();
    for _ in 0..400 {
        let (input, classes) = trials(&mut random, device);
        let cost = CrossEntropyLossConfig::new().init(device).forward(model.forward(input), classes);
        let gradients = GradientsParams::from_grads(cost.backward(), &model);
        model = optimizer.step(0.02, model, gradients);
    }
    let right = (0..10).map(|_| {
        let (input, classes) = trials(&mut random, device);
        let answers = model.forward(input).argmax(1).squeeze_dim::<1>(1);
        answers.equal(classes).int().sum().into_scalar::<i64>()
    });
    right.sum::<i64>() as f64 / (10 * BATCH) as f64
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let seeds = std::env::args().nth(1).map_or(Ok(5), |seeds| seeds.parse())?;
    let device = Device::flex().autodiff();
    println!("{:>4} {:>16} {:>16} {:>16}", "seed", "without delays", "fixed delays", "learned delays");
    for seed in 0..seeds {
        device.seed(seed);
        let without = accuracy(Model::init(false, &device)?, seed, &device);
        let learned = Model::init(true, &device)?;
        let mut fixed = learned.clone();
        fixed.network.delay_logits = fixed.network.delay_logits.into_iter().map(|delays| delays.no_grad()).collect();
        let [fixed, learned] = [fixed, learned].map(|model| accuracy(model, seed, &device));
        println!("{seed:>4} {without:>16.3} {fixed:>16.3} {learned:>16.3}");
    }
    Ok(())
}
