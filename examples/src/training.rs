//! Training with Burn's learner. It can be stopped at any moment and resumed to the same result.
//!
//! A run that was stopped or killed and then resumed ends with the same parameters, bit for bit, as
//! an uninterrupted run:
//!
//! - The data depend on the seed, the epoch and the state of a schedule.
//! - A checkpoint holds the states of the optimizer and of the learning rates. The history holds
//!   the state of the schedule.
//! - All arithmetic is repeatable.

use crate::checkpoint::{self, KeepLastAndBest, PARTS, WholeFiles};
use crate::history::{History, Judge};
use crate::output::{Folder, Stop};
use crate::progress::EpochLines;
use burn::data::dataloader::DataLoader;
use burn::lr_scheduler::cosine::CosineAnnealingLrSchedulerConfig;
use burn::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::train::metric::{Adaptor, LossInput, LossMetric, Metric, Numeric};
use burn::train::renderer::default_renderer;
use burn::train::{InferenceStep, Interrupter, ItemLazy, Learner, SupervisedTraining, TrainStep};
use burn_spiking::train::metric::{BadGradients, active_share, bad_gradients, firing_rate, silent_share};
use burn_spiking::{Averaged, Firing, Scaling, ScoreSchedule, Skipping, Streamed};
use std::io::IsTerminal;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// The criterion for the best epoch, on validation data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Best {
    /// The lowest cost.
    Cost,
    /// The best score, and for equal scores the lowest cost.
    Score,
}

/// A model that trains the network inside it.
pub trait Learns {
    /// The network inside.
    type Network;

    /// Returns the network to judge and to save.
    fn learned(self) -> Self::Network;
}

impl<N: Module> Learns for Averaged<N> {
    type Network = N;

    fn learned(self) -> N {
        self.average
    }
}

impl<M: Module + Learns> Learns for Scaling<M> {
    type Network = M::Network;

    fn learned(self) -> M::Network {
        self.model.learned()
    }
}

impl<M: Module + Learns> Learns for Skipping<M> {
    type Network = M::Network;

    fn learned(self) -> M::Network {
        self.model.learned()
    }
}

impl<M: Module + Learns> Learns for Streamed<M> {
    type Network = M::Network;

    fn learned(self) -> M::Network {
        self.model.learned()
    }
}

/// A learning rate that falls to a fiftieth along a cosine.
pub fn to_a_fiftieth(rate: f64, iterations: usize) -> CosineAnnealingLrSchedulerConfig {
    CosineAnnealingLrSchedulerConfig::new(rate, iterations).with_min_lr(0.02 * rate)
}

/// A function that makes a loader of the data from a given epoch on.
pub type DataFrom<I> = Box<dyn FnOnce(usize) -> Arc<dyn DataLoader<I>>>;

/// A training: model, data, methods and folder.
pub struct Training<'a, M: TrainStep + InferenceStep> {
    /// The folder of the run.
    pub folder: &'a Folder,
    /// Whether to continue from the newest checkpoint in the folder.
    pub resumed: bool,
    /// Whether to print lines instead of the dashboard, even in a terminal.
    pub plain: bool,
    /// The initial model.
    pub model: M,
    /// The initial optimizer.
    pub optimizer: ModuleOptimizer,
    /// The initial learning rates.
    pub rates: ModuleLrScheduler,
    /// The criterion for the best epoch.
    pub best: Best,
    /// Number of epochs.
    pub epochs: usize,
    /// The training data. Epochs count from 1.
    pub training: DataFrom<<M as TrainStep>::Input>,
    /// The schedule that follows the score in training.
    pub schedule: Option<ScoreSchedule>,
    /// The validation data.
    pub validation: Arc<dyn DataLoader<<M as InferenceStep>::Input>>,
}

/// Reads all batches of a loader once.
///
/// # Errors
/// If an item cannot be read.
pub fn batches<I>(loader: &dyn DataLoader<I>) -> Result<Vec<I>, String> {
    loader.iter().map(|batch| batch.map_err(|error| error.to_string())).collect()
}

/// The result of a training.
pub struct Trained<N> {
    /// The averaged model after the best epoch, in validation mode.
    pub model: N,
    /// The best epoch.
    pub best_epoch: usize,
    /// The history of all epochs.
    pub history: History,
}

/// The output of a model in training: its cost, its firing in validation, and its bad gradients.
pub trait Judged: ItemLazy + Adaptor<LossInput> + Adaptor<Firing> + Adaptor<BadGradients> + 'static {}

impl<O: ItemLazy + Adaptor<LossInput> + Adaptor<Firing> + Adaptor<BadGradients> + 'static> Judged for O {}

impl<M, O> Training<'_, M>
where
    M: TrainStep<Output = O> + InferenceStep<Output = O> + Module + Learns + std::fmt::Display + 'static,
    O: Judged,
{
    /// Trains to the last epoch and returns the model of the best epoch.
    ///
    /// Records score and cost. Also records the skipped batches on training data, and on validation
    /// data the firing rate, the share of silent neurons and the share of active neurons.
    ///
    /// # Errors
    /// If the user stopped the training, which gives [`Stop::Interrupted`]; if a checkpoint is
    /// unusable; if a file cannot be written; if the metric of the best epoch was never a number.
    pub fn train<S>(self, score: S) -> Result<Trained<M::Network>, Stop>
    where
        S: Metric + Numeric + 'static,
        O: Adaptor<S::Input>,
    {
        let run = self.folder.path();
        let judge = judged_by(self.best, &score);
        let score_name = score.name().to_string();
        let mut from = if self.resumed { checkpoint::newest(run, &self.model, usize::MAX)? } else { None };
        let mut history = History::open(run, from.unwrap_or(0))?;
        // Train an epoch again if its line in the history is missing.
        if from.is_some_and(|epoch| history.epochs().len() < epoch) {
            from = checkpoint::newest(run, &self.model, history.epochs().len())?;
            history = History::open(run, from.unwrap_or(0))?;
        }
        if self.resumed {
            println!("resuming after epoch {} of {}", from.unwrap_or(0), self.epochs);
        }
        if let Some(schedule) = &self.schedule {
            let last = history.epochs().last().and_then(|epoch| epoch.schedule.clone());
            last.into_iter().for_each(|state| schedule.restore(state));
        }
        let history = Arc::new(Mutex::new(history));

        let trains = from.unwrap_or(0) < self.epochs;
        if trains {
            let interrupter = Interrupter::new();
            stop_on_signal(&interrupter)?;
            let names = |all: &[&str]| all.iter().map(|name| name.to_string()).collect::<Vec<_>>();
            let strategy = KeepLastAndBest {
                run: run.to_path_buf(),
                history: history.clone(),
                judge: judge.clone(),
                metrics: [
                    names(&["Loss", &score_name, "Bad gradients"]),
                    names(&["Loss", &score_name, "Rate", "Silent", "Active"]),
                ],
                schedule: self.schedule.clone(),
                interrupter: interrupter.clone(),
            };
            let [model, optim, scheduler] = PARTS.map(|part| WholeFiles::new(run, part));
            let training = (self.training)(from.unwrap_or(0) + 1);
            let mut learning = SupervisedTraining::new(run, training, self.validation)
                .metrics((LossMetric::new(), score))
                .metric_train_numeric(bad_gradients())
                .metric_valid_numeric(firing_rate())
                .metric_valid_numeric(silent_share())
                .metric_valid_numeric(active_share())
                .num_epochs(self.epochs)
                .with_custom_checkpointers(model?, optim?, scheduler?)
                .with_checkpointing_strategy(strategy)
                .with_interrupter(interrupter.clone());
            let dashboard = cfg!(feature = "tui") && !self.plain && std::io::stdout().is_terminal();
            learning = learning.renderer(match dashboard {
                true => default_renderer(interrupter, from),
                false => Box::new(EpochLines::default()),
            });
            if let Some(epoch) = from {
                learning = learning.checkpoint(epoch);
            }
            let result = learning.launch(Learner::new(self.model.clone(), self.optimizer, self.rates));
            if let Some(error) = result.error {
                return Err(Stop::Failed(error.to_string()));
            }
        }

        let history = history.lock().expect("no holder of the history panics").clone();
        let done = history.epochs().len();
        if done < self.epochs {
            return Err(Stop::Interrupted(stopped(run, done, self.epochs)));
        }
        let best_epoch = history
            .best(&judge, done)
            .ok_or_else(|| format!("{} was never a number in {done} epochs; lower the learning rates", judge.metric))?;
        let model = checkpoint::model_of(run, &self.model.valid(), best_epoch)?;
        Ok(Trained { model: model.learned(), best_epoch, history })
    }
}

fn judged_by<S: Metric>(best: Best, score: &S) -> Judge {
    if best == Best::Cost {
        return Judge { metric: "Loss".into(), higher_is_better: false };
    }
    let higher_is_better = match score.attributes() {
        burn::train::metric::MetricAttributes::Numeric(attributes) => attributes.higher_is_better,
        burn::train::metric::MetricAttributes::None => true,
    };
    Judge { metric: score.name().to_string(), higher_is_better }
}

fn stopped(run: &Path, done: usize, epochs: usize) -> String {
    format!("stopped after epoch {done} of {epochs}; go on with --resume {}", run.display())
}

/// Stops the run safely at a first SIGINT or SIGTERM, and at once at a second one.
fn stop_on_signal(interrupter: &Interrupter) -> Result<(), String> {
    /// The interrupter of the current training. A process has one signal handler, even if it runs
    /// several trainings in turn.
    static CURRENT: Mutex<Option<Interrupter>> = Mutex::new(None);
    let heard = CURRENT.lock().expect("no holder panics").replace(interrupter.clone()).is_some();
    if heard {
        return Ok(());
    }
    ctrlc::set_handler(|| {
        let current = CURRENT.lock().expect("no holder panics").clone();
        match current {
            Some(interrupter) if !interrupter.should_stop() => interrupter.stop(Some("stopped by the user")),
            _ => std::process::exit(130),
        }
    })
    .map_err(|error| format!("signals cannot be heard: {error}"))
}
