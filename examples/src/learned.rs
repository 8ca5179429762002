//! A run's trained network, its task, and how well it does when something about it is changed.

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

/// What of a run's options says what was learned.
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
    /// A network for the task, not trained.
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
    /// The run's seed.
    pub seed: u64,
    task: Task,
    /// How many steps one of the run's is taken in.
    parts: usize,
}

/// Trials where each step is this many.
struct FinerSteps(usize);

impl Mapper<Trial, Trial> for FinerSteps {
    fn map(&self, trial: &Trial) -> Trial {
        trial.clone().in_finer_steps(self.0)
    }
}

/// What is changed about a network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    /// Nothing.
    None,
    /// Each step is this many.
    Finer(usize),
    /// The gate has this share of its width.
    Narrower(f64),
    /// Synapses are triggered in the middle of the gate's active zone.
    Middle,
    /// Synapses are triggered by the spike.
    Spike,
    /// Double precision.
    Double,
    /// Initial potentials are off by normal numbers of this spread.
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

/// How well a network does.
#[derive(Debug, Clone)]
pub enum Score {
    /// Of rounds.
    Answers(Answers),
    /// Of a target.
    Tracking(Tracking),
}

impl Score {
    /// Accuracy, or normalised error.
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

/// A parameter's numbers as a parameter of another's kind.
fn copied<const D: usize>(to: &Param<Tensor<D>>, from: &Param<Tensor<D>>) -> Param<Tensor<D>> {
    let (device, dtype) = (to.val().device(), to.val().dtype());
    Param::from_tensor(Tensor::from_data(from.val().into_data(), (&device, dtype)))
}

/// A layer's parameters under another layer's constants.
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

    /// Refuses to start another network from this one if it has other neurons.
    ///
    /// # Errors
    /// If their numbers differ, or this is no network of the same task.
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

    /// Its parameters in a network for the same neurons that is yet to be trained.
    pub fn into_start_of(&self, mut network: ReadoutNetwork) -> ReadoutNetwork {
        network.network.layer = with_parameters_of(network.network.layer, &self.model.network.layer);
        let readout = &mut network.network.readout;
        readout.weight = copied(&readout.weight, &self.model.network.readout.weight);
        network
    }

    /// The network and its task where each step of the run's is this many.
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

    /// How many steps one of the run's is taken in.
    pub fn parts(&self) -> usize {
        self.parts
    }

    /// What [`Score::value`] is.
    pub fn score_name(&self) -> &'static str {
        match self.task {
            Task::Xor { .. } => "accuracy",
            Task::Coding(_) => "normalised error",
        }
    }

    /// Trials of one stream of the run's seed; `steps` of those that have no length of their own.
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

    /// Trials in a batch.
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

    /// The trials that the run was judged on, which it was not trained on.
    ///
    /// # Errors
    /// If the task cannot be.
    pub fn test(&self, device: &Device) -> Result<Vec<TrialBatch>, String> {
        let trials = match &self.task {
            Task::Xor(options) => delayed_xor::TEST_ROUNDS.div_ceil(options.rounds),
            Task::Coding(_) => autoencoder::TEST_TRIALS,
        };
        batches(&self.loader(2, trials, device)?)
    }

    /// Trials of the run's task with gaps of 30 ms to another longest gap, drawn anew, in one
    /// batch.
    ///
    /// - `stream`: which of the trials that the run's seed fixes.
    ///
    /// # Errors
    /// If the run is not one of delayed-xor, or the gap is too short.
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

    /// The trials by which the run's best epoch was chosen.
    ///
    /// # Errors
    /// If the task cannot be.
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

    /// How well the network does on trials with something changed.
    ///
    /// # Errors
    /// If the change describes no network.
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

    /// The network after some more training with a gate of another width. Trials are those of the
    /// longest kind that the run was trained on, drawn anew.
    ///
    /// - `folder`: keeps the training's checkpoints; a training that was stopped goes on.
    /// - `share`: of the usual learning rates.
    ///
    /// # Errors
    /// If it was stopped, or as [`Training::train`].
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
        // Each epoch has trials of its own, and each width too.
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
