//! Training with Burn's learner that can be stopped at any moment and resumed to the same end.
//!
//! Data depend on the seed, the epoch and a schedule's state, the optimizer's and the rates' states
//! are in the checkpoint, that of a schedule in the history, and all arithmetic is repeatable: a
//! run that was stopped or killed and resumed ends with the same parameters, bit for bit, as one
//! left alone.

use crate::checkpoint::{self, KeepLastAndBest, PARTS, WholeFiles};
use crate::history::{History, Judge};
use crate::network::{Outcome, ReadoutNetwork};
use crate::output::{Folder, Stop};
use crate::progress::EpochLines;
use burn::data::dataloader::DataLoader;
use burn::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::train::metric::{Adaptor, LossMetric, Metric, Numeric};
use burn::train::renderer::default_renderer;
use burn::train::{InferenceStep, Interrupter, Learner, SupervisedTraining, TrainStep};
use burn_spiking::train::metric::{active_share, bad_gradients, firing_rate, silent_share};
use burn_spiking::{Averaged, Scaling, ScoreSchedule, Skipping, Streamed};
use burn_spiking_tasks::TrialBatch;
use std::io::IsTerminal;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// What makes an epoch the best, on validation data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Best {
    /// The lowest cost.
    Cost,
    /// The best score; of equals, the lowest cost.
    Score,
}

/// A model that is trained for the sake of the network in it.
pub trait Learns {
    /// The network as it should be judged and kept.
    fn learned(self) -> ReadoutNetwork;
}

impl Learns for Averaged<ReadoutNetwork> {
    fn learned(self) -> ReadoutNetwork {
        self.average
    }
}

impl<M: Module + Learns> Learns for Scaling<M> {
    fn learned(self) -> ReadoutNetwork {
        self.model.learned()
    }
}

impl<M: Module + Learns> Learns for Skipping<M> {
    fn learned(self) -> ReadoutNetwork {
        self.model.learned()
    }
}

impl<M: Module + Learns> Learns for Streamed<M> {
    fn learned(self) -> ReadoutNetwork {
        self.model.learned()
    }
}

/// Data from an epoch on.
pub type DataFrom<I> = Box<dyn FnOnce(usize) -> Arc<dyn DataLoader<I>>>;

/// What is trained, how, and where.
pub struct Training<'a, M: TrainStep> {
    /// The run's folder.
    pub folder: &'a Folder,
    /// Whether to go on from the newest checkpoint in it.
    pub resumed: bool,
    /// Lines instead of the dashboard, even in a terminal.
    pub plain: bool,
    /// The model at its start.
    pub model: M,
    /// The optimizer at its start.
    pub optimizer: ModuleOptimizer,
    /// The learning rates at their start.
    pub rates: ModuleLrScheduler,
    /// What makes an epoch the best.
    pub best: Best,
    /// Number of epochs.
    pub epochs: usize,
    /// Training data; epochs count from 1.
    pub training: DataFrom<M::Input>,
    /// What follows the score in training.
    pub schedule: Option<ScoreSchedule>,
    /// Validation data.
    pub validation: Arc<dyn DataLoader<TrialBatch>>,
}

/// All batches of a loader, read once.
///
/// # Errors
/// If an item cannot be read.
pub fn batches(loader: &dyn DataLoader<TrialBatch>) -> Result<Vec<TrialBatch>, String> {
    loader.iter().map(|batch| batch.map_err(|error| error.to_string())).collect()
}

/// What training gives.
pub struct Trained {
    /// The averaged model after the best epoch, in validation mode.
    pub model: ReadoutNetwork,
    /// That epoch.
    pub best_epoch: usize,
    /// All epochs.
    pub history: History,
}

impl<M> Training<'_, M>
where
    M: TrainStep<Output = Outcome>
        + InferenceStep<Input = TrialBatch, Output = Outcome>
        + Module
        + Learns
        + std::fmt::Display
        + 'static,
{
    /// Trains to the last epoch and gives the model of the best epoch.
    ///
    /// Beside the score and the cost, batches that were skipped are recorded on training data,
    /// firing rate, silent and active share on validation data.
    ///
    /// # Errors
    /// If it was stopped, which is no failure but has no model to give; if a checkpoint cannot be
    /// used; if a file cannot be written.
    pub fn train<S>(self, score: S) -> Result<Trained, Stop>
    where
        S: Metric + Numeric + 'static,
        Outcome: Adaptor<S::Input>,
    {
        let run = self.folder.path();
        let judge = judged_by(self.best, &score);
        let score_name = score.name().to_string();
        let mut from = if self.resumed { checkpoint::newest(run, &self.model, usize::MAX)? } else { None };
        let mut history = History::open(run, from.unwrap_or(0))?;
        // An epoch without its line in the history is trained again.
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

/// A first SIGINT or SIGTERM ends the run in good order, a second one ends it at once.
fn stop_on_signal(interrupter: &Interrupter) -> Result<(), String> {
    /// Of the training that goes on; a process hears signals in one place, however many it does in
    /// turn.
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
