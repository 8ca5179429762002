//! Classifies sequences with a spiking layer in the place of an `Lstm`.
//!
//! Burn's `Lstm` gives a hidden state at each step; `SpikingRnn` gives a synaptic trace. The rest
//! of the program stays the same: a linear layer on the last part of the trace, cross-entropy, and
//! Burn's learner with its accuracy metric.

use burn::data::dataloader::batcher::Batcher;
use burn::data::dataset::{Dataset, DatasetError};
use burn::grad_clipping::GradientClippingConfig;
use burn::lr_scheduler::cosine::CosineAnnealingLrSchedulerConfig;
use burn::module::Module;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::{Linear, LinearConfig};
use burn::optim::AdamConfig;
use burn::tensor::{Device, Int, Tensor, TensorData};
use burn::train::metric::{AccuracyMetric, LossMetric};
use burn::train::{ClassificationOutput, InferenceStep, Learner, SupervisedTraining, TrainOutput, TrainStep};
use burn_spiking::{ConfigError, Gate, SpikingRnn, SpikingRnnConfig};
use burn_spiking_examples::device::DeviceName;
use burn_spiking_examples::output::{Folder, Stop, exit_code};
use burn_spiking_examples::progress::EpochLines;
use burn_spiking_tasks::EpochLoader;
use clap::Parser;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// Trains 40 spiking neurons to tell which of two pulses came first, or whether they came together.
#[derive(Parser, Debug)]
#[command(version)]
struct Args {
    /// Seed of the initial parameters and of all sequences
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Number of epochs of 2000 sequences
    #[arg(long, default_value_t = 10)]
    epochs: usize,
    /// Folder for the logs of the learner
    #[arg(long, default_value = "runs/pulse-order")]
    out: PathBuf,
    /// Device to compute on
    #[arg(long, value_enum, default_value_t = DeviceName::Flex)]
    device: DeviceName,
}

const CLASSES: usize = 3;
const BATCH: usize = 50;
/// Number of sequences in an epoch.
const SEQUENCES: usize = 2000;
const CHANNELS: usize = 2;
const STEPS: usize = 200;

#[derive(Module, Debug)]
struct Classifier {
    network: SpikingRnn, // was: lstm: Lstm
    readout: Linear,
}

impl Classifier {
    fn init(device: &Device) -> Result<Self, ConfigError> {
        Ok(Self {
            network: SpikingRnnConfig::new(CHANNELS, 40).with_gate(Gate::Quintic { width: 0.5 }).init(device)?,
            readout: LinearConfig::new(40, CLASSES).init(device),
        })
    }

    fn forward(&self, (sequences, classes): (Tensor<3>, Tensor<1, Int>)) -> ClassificationOutput {
        let (trajectory, _state) = self.network.forward(sequences, None);
        let late = trajectory.trace().narrow(1, STEPS / 2, STEPS / 2).mean_dim(1).squeeze_dim(1);
        let logits: Tensor<2> = self.readout.forward(late);
        let loss = CrossEntropyLossConfig::new().init(&logits.device()).forward(logits.clone(), classes.clone());
        ClassificationOutput::new(loss, logits, classes)
    }
}

impl TrainStep for Classifier {
    type Input = (Tensor<3>, Tensor<1, Int>);
    type Output = ClassificationOutput;

    fn step(&self, batch: Self::Input) -> TrainOutput<ClassificationOutput> {
        let output = self.forward(batch);
        TrainOutput::new(self, output.loss.backward(), output)
    }
}

impl InferenceStep for Classifier {
    type Input = (Tensor<3>, Tensor<1, Int>);
    type Output = ClassificationOutput;

    fn step(&self, batch: Self::Input) -> ClassificationOutput {
        self.forward(batch)
    }
}

/// Sequences `[T, C]` of three classes: the pulse of the first channel comes first, that of the
/// second channel comes first, or both come together. Seed and index determine a sequence.
struct PulseOrder {
    seed: u64,
    len: usize,
}

impl Dataset<(Vec<f32>, i32)> for PulseOrder {
    fn get(&self, index: usize) -> Result<(Vec<f32>, i32), DatasetError> {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(index as u64);
        let class = random.random_range(0..CLASSES);
        let (first, gap) = (random.random_range(10..50), random.random_range(20..60));
        let onsets = [[first, first + gap], [first + gap, first], [first, first]][class];
        let value = |at: usize| {
            let (t, channel) = (at / CHANNELS, at % CHANNELS);
            let pulse = if (onsets[channel]..onsets[channel] + 20).contains(&t) { 1.0 } else { 0.0 };
            pulse + random.random_range(-0.2..0.2)
        };
        Ok(((0..STEPS * CHANNELS).map(value).collect(), class as i32))
    }

    fn len(&self) -> usize {
        self.len
    }
}

struct SequenceBatcher;

impl Batcher<(Vec<f32>, i32), (Tensor<3>, Tensor<1, Int>)> for SequenceBatcher {
    fn batch(&self, items: Vec<(Vec<f32>, i32)>, device: &Device) -> (Tensor<3>, Tensor<1, Int>) {
        let (sequences, classes): (Vec<_>, Vec<_>) = items.into_iter().unzip();
        let batch = classes.len();
        let sequences = TensorData::new(sequences.concat(), [batch, STEPS, CHANNELS]);
        (Tensor::from_data(sequences, device), Tensor::from_data(TensorData::new(classes, [batch]), device))
    }
}

fn run(args: &Args) -> Result<(), Stop> {
    let device = args.device.device()?;
    let folder = Folder::make(&args.out)?;
    device.seed(args.seed);
    let model = Classifier::init(&device.clone().autodiff()).map_err(|error| error.to_string())?;
    let loader = |stream: u64, len: usize| {
        let data = move |epoch: usize| -> Arc<dyn Dataset<(Vec<f32>, i32)>> {
            Arc::new(PulseOrder { seed: 1_000_003 * stream + epoch as u64, len })
        };
        Arc::new(EpochLoader::new(data, SequenceBatcher, BATCH, &device))
    };
    // The gradients of some batches are larger than the others by orders of magnitude. Clipping
    // limits their influence.
    let clipping = GradientClippingConfig::Norm(0.1);
    let optimizer = AdamConfig::new().with_grad_clipping(Some(clipping)).with_epsilon(1e-8).init();
    let rate = CosineAnnealingLrSchedulerConfig::new(0.002, args.epochs * SEQUENCES / BATCH).init()?;
    SupervisedTraining::new(folder.path(), loader(2 * args.seed, SEQUENCES), loader(2 * args.seed + 1, 500))
        .metrics((LossMetric::new(), AccuracyMetric::new()))
        .num_epochs(args.epochs)
        .renderer(Box::new(EpochLines::default()))
        .launch(Learner::new(model, optimizer, rate));
    Ok(())
}

fn main() -> ExitCode {
    exit_code(run(&Args::parse()))
}
