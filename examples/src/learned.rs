//! The trained network of a run, its task, and its score after changes to the network.

use crate::autoencoder::{self, LONG, LONGEST, SystemName, autoencoder};
use crate::delayed_xor::{self, Options, Recipe, delayed_xor};
use crate::network::{Outcome, ReadoutNetwork};
use crate::output::{Folder, Stop};
use crate::run::seeded;
use crate::training::{Best, Training, batches};
use burn::data::dataset::Dataset;
use burn::data::dataset::transform::{Mapper, MapperDataset};
use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::store::ModuleRecord;
use burn::tensor::{DType, Device, Distribution, Tensor};
use burn_spiking::train::metric::BadGradients;
use burn_spiking::{Averaged, ConfigError, Gate, GradientScale, Scaling, Skipping, SpikingNetwork, SpikingRnn};
use burn_spiking_tasks::metric::{answer_accuracy, nmse};
use burn_spiking_tasks::{Answers, Coding, DelayedXor, EpochLoader, Tracking, Trial, TrialBatch, TrialBatcher};
use serde::Deserialize;
use std::path::Path;
use std::sync::Arc;

/// The part of `run.json` that determines the network and its task.
#[derive(Deserialize)]
#[serde(tag = "program", content = "options", rename_all = "kebab-case")]
enum Started {
    DelayedXor(Box<Options>),
    Autoencoder { seed: u64, system: SystemName },
}

/// A task with its sizes.
#[derive(Debug, Clone)]
enum Task {
    Xor(Box<Options>),
    Coding(SystemName),
}

impl Task {
    /// Builds an untrained network for the task.
    fn fresh(&self, device: &Device) -> Result<ReadoutNetwork, ConfigError> {
        match self {
            Task::Xor(options) => delayed_xor(&options.task(), &options.recipe(), device),
            Task::Coding(system) => autoencoder(&system.task(), system.recurrence(), device),
        }
    }
}

/// A trained network and its task.
#[derive(Debug, Clone)]
pub struct Learned {
    /// The network.
    pub model: ReadoutNetwork,
    /// The seed of the run.
    pub seed: u64,
    task: Task,
    /// Number of time steps that replace one step of the run.
    parts: usize,
}

/// Replaces each time step of a trial by this number of shorter steps.
struct FinerSteps(usize);

impl Mapper<Trial, Trial> for FinerSteps {
    fn map(&self, trial: &Trial) -> Trial {
        trial.clone().in_finer_steps(self.0)
    }
}

/// A change to a network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    /// No change.
    None,
    /// Each time step is replaced by this number of shorter steps.
    Finer(usize),
    /// The gate has this share of its width.
    Narrower(f64),
    /// Synapses send their charge in the middle of the gate's active zone.
    Middle,
    /// Synapses send their charge at the spike.
    Spike,
    /// The network runs in double precision.
    Double,
    /// Normal noise with this standard deviation is added to the initial potentials.
    Noise(f64),
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Change::None => write!(f, "as trained"),
            Change::Finer(parts) => write!(f, "dt/{parts}"),
            Change::Narrower(share) => write!(f, "width x {share}"),
            Change::Middle => write!(f, "triggered in the middle"),
            Change::Spike => write!(f, "triggered by the spike"),
            Change::Double => write!(f, "double precision"),
            Change::Noise(spread) => write!(f, "noise {spread} in v_0"),
        }
    }
}

/// The score of a network.
#[derive(Debug, Clone)]
pub enum Score {
    /// The score on the rounds of `delayed-xor`.
    Answers(Answers),
    /// The score on the targets of `autoencoder`.
    Tracking(Tracking),
}

impl Score {
    /// Returns the accuracy, or the normalised error.
    pub fn value(&self) -> f64 {
        match self {
            Score::Answers(answers) => answers.accuracy(),
            Score::Tracking(tracking) => tracking.nmse(),
        }
    }

    fn merge(&mut self, other: &Self) {
        match (self, other) {
            (Score::Answers(own), Score::Answers(other)) => own.merge(other),
            (Score::Tracking(own), Score::Tracking(other)) => own.merge(other),
            _ => unreachable!("scores of one task"),
        }
    }
}

/// Returns a parameter with the values of `from`, on the device and in the precision of `to`.
fn copied<const D: usize>(to: &Param<Tensor<D>>, from: &Param<Tensor<D>>) -> Param<Tensor<D>> {
    let (device, dtype) = (to.val().device(), to.val().dtype());
    Param::from_tensor(Tensor::from_data(from.val().into_data(), (&device, dtype)))
}

/// Returns `layer` with the parameters of `other`. The constants stay those of `layer`.
fn with_parameters_of(mut layer: SpikingRnn, other: &SpikingRnn) -> SpikingRnn {
    layer.input_weight = copied(&layer.input_weight, &other.input_weight);
    layer.bias = layer.bias.as_ref().zip(other.bias.as_ref()).map(|(to, from)| copied(to, from));
    layer.recurrent_weights =
        layer.recurrent_weights.iter().zip(&other.recurrent_weights).map(|(to, from)| copied(to, from)).collect();
    layer
}

impl Learned {
    /// Reads the run in a folder.
    ///
    /// # Errors
    /// If the folder holds no finished run of `autoencoder` or `delayed-xor`.
    pub fn open(folder: &Path, device: &Device) -> Result<Self, String> {
        let told = |path: &Path, error: &dyn std::fmt::Display| {
            format!("{}: {error}; give the folder of a finished run of autoencoder or delayed-xor", path.display())
        };
        let file = folder.join("run.json");
        let text = std::fs::read_to_string(&file).map_err(|error| told(&file, &error))?;
        let started: Started = serde_json::from_str(&text).map_err(|error| told(&file, &error))?;
        let (seed, task) = match started {
            Started::DelayedXor(options) => (options.seed, Task::Xor(options)),
            Started::Autoencoder { seed, system } => (seed, Task::Coding(system)),
        };
        let file = folder.join("model.bpk");
        let record = ModuleRecord::load(&file).map_err(|error| told(&file, &error))?;
        let model = task.fresh(device).map_err(|error| told(folder, &error))?;
        let model = model.try_load_record(record).map_err(|error| told(&file, &error))?;
        Ok(Self { model, seed, task, parts: 1 })
    }

    /// Checks that a run can start from this network.
    ///
    /// # Errors
    /// If the numbers of channels, neurons or synapse types differ.
    pub fn check_start_of(&self, task: &DelayedXor, recipe: &Recipe) -> Result<(), String> {
        let own = self.model.network.layer.config();
        let other = delayed_xor::layer(task, recipe);
        if (own.d_input, own.d_hidden, own.synapses.len()) == (other.d_input, other.d_hidden, other.synapses.len()) {
            return Ok(());
        }
        Err(format!(
            "the network to start from has {} channels and {} neurons, but this run has {} and {}; give a run of delayed-xor with as many",
            own.d_input, own.d_hidden, other.d_input, other.d_hidden
        ))
    }

    /// Copies the parameters of this network into an untrained network of the same size.
    pub fn into_start_of(&self, mut network: ReadoutNetwork) -> ReadoutNetwork {
        network.network.layer = with_parameters_of(network.network.layer, &self.model.network.layer);
        let readout = &mut network.network.readout;
        readout.weight = copied(&readout.weight, &self.model.network.readout.weight);
        network
    }

    /// Replaces each time step of the run by `parts` shorter steps, in the network and in its task.
    ///
    /// # Errors
    /// If `parts` is 0.
    pub fn in_steps(mut self, parts: usize) -> Result<Self, ConfigError> {
        let network = &mut self.model.network;
        let of_run = network.layer.config().dt * self.parts as f64;
        network.layer = network.layer.clone().with_dt(of_run / parts as f64)?;
        self.parts = parts;
        Ok(self)
    }

    /// Returns the number of time steps that replace one step of the run.
    pub fn parts(&self) -> usize {
        self.parts
    }

    /// Returns the name of [`Score::value`].
    pub fn score_name(&self) -> &'static str {
        match self.task {
            Task::Xor { .. } => "accuracy",
            Task::Coding(_) => "normalised error",
        }
    }

    /// Draws trials from one random stream of the run's seed.
    ///
    /// - `steps`: number of time steps of a trial of `autoencoder`. The trials of `delayed-xor`
    ///   have their own length.
    fn data(&self, stream: u64, trials: usize, steps: usize) -> Result<Arc<dyn Dataset<Trial>>, String> {
        let seed = seeded(self.seed, stream);
        let trials: Arc<dyn Dataset<Trial>> = match &self.task {
            Task::Xor(options) => Arc::new(options.task().dataset(seed, trials).map_err(|error| error.to_string())?),
            Task::Coding(system) => {
                let task = Coding { steps, ..system.task() };
                Arc::new(task.dataset(seed, trials).map_err(|error| error.to_string())?)
            }
        };
        Ok(Arc::new(MapperDataset::new(trials, FinerSteps(self.parts))))
    }

    /// Returns the number of trials in a batch.
    fn batch(&self) -> usize {
        match &self.task {
            Task::Xor(options) => options.recipe().batch,
            Task::Coding(_) => autoencoder::BATCH,
        }
    }

    fn loader(&self, stream: u64, trials: usize, device: &Device) -> Result<EpochLoader<Trial, TrialBatch>, String> {
        let data = self.data(stream, trials, LONG)?;
        Ok(EpochLoader::new(move |_| data.clone(), TrialBatcher, self.batch(), device))
    }

    /// Returns the test trials of the run. They are not in its training data.
    ///
    /// # Errors
    /// If the task is invalid.
    pub fn test(&self, device: &Device) -> Result<Vec<TrialBatch>, String> {
        let trials = match &self.task {
            Task::Xor(options) => delayed_xor::TEST_ROUNDS.div_ceil(options.rounds),
            Task::Coding(_) => autoencoder::TEST_TRIALS,
        };
        batches(&self.loader(2, trials, device)?)
    }

    /// Draws fresh trials of the run's task, in one batch. The gaps reach from 30 ms to `max_gap`,
    /// in ms.
    ///
    /// - `stream`: the random stream of the run's seed.
    ///
    /// # Errors
    /// If the run is not a run of `delayed-xor`, or the gap is too short.
    pub fn fresh_batch(&self, stream: u64, trials: usize, max_gap: f64, device: &Device) -> Result<TrialBatch, String> {
        let Task::Xor(options) = &self.task else {
            return Err(
                "the trials of autoencoder have no gaps; give the folder of a finished run of delayed-xor".into()
            );
        };
        let task = options.task().with_max_gap(max_gap);
        let data = task.dataset(seeded(self.seed, stream), trials).map_err(|error| error.to_string())?;
        let mut found = batches(&EpochLoader::constant(data, TrialBatcher, trials, device))?;
        found.pop().ok_or_else(|| "a batch needs at least 1 trial".into())
    }

    /// Returns the validation trials of the run, which decided its best epoch.
    ///
    /// # Errors
    /// If the task is invalid.
    pub fn validation(&self, device: &Device) -> Result<Vec<TrialBatch>, String> {
        batches(&self.validation_loader(device)?)
    }

    fn validation_loader(&self, device: &Device) -> Result<EpochLoader<Trial, TrialBatch>, String> {
        let trials = match &self.task {
            Task::Xor(options) => delayed_xor::VALIDATION_ROUNDS.div_ceil(options.rounds),
            Task::Coding(_) => autoencoder::VALIDATION_TRIALS,
        };
        self.loader(1, trials, device)
    }

    /// Measures the score of the network on trials after a change.
    ///
    /// # Errors
    /// If the changed network is invalid, or there are no trials.
    pub fn score(&self, batches: &[TrialBatch], change: Change) -> Result<Score, String> {
        let SpikingNetwork { layer, readout } = self.model.network.clone();
        let config = layer.config().clone();
        let width = config.gate.width();
        let layer = match change {
            Change::None | Change::Noise(_) => Ok(layer),
            Change::Finer(parts) => layer.with_dt(config.dt / parts as f64),
            Change::Narrower(share) => layer.with_gate(config.gate.with_width(share * width)),
            Change::Middle => layer.with_gate(config.gate.threshold_triggered()),
            Change::Spike => layer.with_gate(Gate::Threshold { at: 1.0 }),
            Change::Double => {
                let fresh = config.init((&layer.device(), DType::F64));
                fresh.map(|fresh| with_parameters_of(fresh, &layer))
            }
        };
        let dtype = if change == Change::Double { DType::F64 } else { DType::F32 };
        let readout = Linear { weight: readout.weight.map(|weight| weight.cast(dtype)), bias: readout.bias };
        let network = layer.and_then(|layer| SpikingNetwork::new(layer, readout)).map_err(|error| error.to_string())?;
        let device = network.layer.device();
        device.seed(self.seed);
        let parts = if let Change::Finer(parts) = change { parts } else { 1 };
        let mut score: Option<Score> = None;
        for batch in batches {
            let [trials, steps, channels] = batch.input.dims();
            let input = batch.input.clone().unsqueeze_dim::<4>(2).expand([trials, steps, parts, channels]);
            let input = input.reshape([trials, steps * parts, channels]).cast(dtype);
            let v0 = match change {
                Change::Noise(spread) => {
                    let noise = batch.v0.random_like(Distribution::Normal(0.0, spread));
                    (batch.v0.clone() + noise).clamp(0.0, 0.999)
                }
                _ => batch.v0.clone(),
            };
            let state = network.layer.state_from_potential(v0.cast(dtype));
            let (run, _) = network.forward(input, Some(state));
            let [.., outputs] = run.output.dims();
            let output = run.output.reshape([trials, steps, parts, outputs]).narrow(2, parts - 1, 1);
            let output = output.squeeze_dim::<3>(2).cast(DType::F32);
            let cost = Tensor::zeros([1], &device);
            let (target, rounds) = (batch.target.clone(), batch.rounds.clone());
            let outcome =
                Outcome { cost, output, target, rounds, firing: None, bad_gradients: BadGradients::default() };
            let found = match self.task {
                Task::Xor(_) => Score::Answers(outcome.answers()),
                Task::Coding(_) => Score::Tracking(outcome.tracking()),
            };
            match &mut score {
                Some(score) => score.merge(&found),
                None => score = Some(found),
            }
        }
        score.ok_or_else(|| "there are no trials".into())
    }

    /// Trains the network further with a gate of another width, and returns it. The trials are
    /// fresh, and as long as the longest trials of the run.
    ///
    /// - `folder`: gets the checkpoints of this training. If it has some already, the training
    ///   continues from there.
    /// - `share`: a factor on the usual learning rates.
    ///
    /// # Errors
    /// If the training was stopped, or as [`Training::train`].
    pub fn trained_on(&self, folder: &Path, width: f64, iterations: usize, share: f64) -> Result<Self, Stop> {
        const EPOCH: usize = 50;
        let device = self.model.network.layer.device().inner();
        let training_device = device.clone().autodiff();
        let fresh = self.task.fresh(&training_device).map_err(|error| error.to_string())?;
        let mut model = self.into_start_of(fresh);
        let config = model.network.layer.config().clone();
        let layer = model.network.layer.with_gate(config.gate.with_width(width));
        let layer = layer.and_then(|layer| layer.with_dt(config.dt / self.parts as f64));
        model.network.layer = layer.map_err(|error| error.to_string())?;
        let resumed = folder.join("checkpoint").exists();
        let folder = Folder::make(folder)?;
        let epochs = iterations.div_ceil(EPOCH);
        let batch = self.batch();
        let (rates, optimizer, best, scale) = match &self.task {
            Task::Xor(options) => {
                let recipe = options.recipe();
                let recipe = Recipe { rate: share * recipe.rate, ..recipe };
                let rates = delayed_xor::rates(&recipe, iterations, iterations)?;
                (rates, delayed_xor::optimizer(), Best::Score, recipe.scale)
            }
            Task::Coding(_) => {
                (autoencoder::rates(iterations, share)?, autoencoder::optimizer(), Best::Cost, GradientScale::Off)
            }
        };
        // Each epoch at each width draws its trials from another stream.
        let stream = move |epoch: usize| 1000 + (width * 1e6) as u64 + epoch as u64;
        let learned = self.clone();
        let data = move |epoch: usize| {
            learned.data(stream(epoch), EPOCH * batch, LONGEST).expect("the run has had such trials before")
        };
        let validation = self.validation_loader(&device)?;
        let training = Training {
            folder: &folder,
            resumed,
            plain: true,
            model: Averaged::new(model, 0.98)
                .and_then(|model| Scaling::new(model, scale))
                .map(Skipping::new)
                .map_err(|e| e.to_string())?,
            optimizer,
            rates,
            best,
            epochs,
            training: Box::new(move |epoch| {
                Arc::new(EpochLoader::new(data, TrialBatcher, batch, &training_device).start_at(epoch))
            }),
            schedule: None,
            validation: Arc::new(validation),
        };
        let trained = match self.task {
            Task::Xor(_) => training.train(answer_accuracy())?,
            Task::Coding(_) => training.train(nmse())?,
        };
        Ok(Self { model: trained.model, ..self.clone() })
    }
}
