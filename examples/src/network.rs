//! What both tasks' models are: a spiking network with a linear readout of its trace, and the cost of tracking a target.

use crate::output::Folder;
use burn::backend::ExecutionError;
use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use burn::train::metric::{Adaptor, LossInput};
use burn::train::{InferenceStep, ItemLazy, TrainOutput, TrainStep};
use burn_spiking::{Firing, NetworkOutput, PotentialFloor, SpikingNetwork, SpikingState, TrackingLoss, Trajectory};
use burn_spiking_tasks::{Answers, Round, Tracking, TrialBatch};

/// A spiking network and the cost of its output.
#[derive(Module, Debug)]
pub struct ReadoutNetwork {
    /// The neurons and O.
    pub network: SpikingNetwork,
    /// The cost.
    pub loss: TrackingLoss,
    /// What keeps potentials up while trials grow.
    #[module(skip)]
    pub floor: Option<GrowingFloor>,
    /// What asks for silence between rounds.
    #[module(skip)]
    pub rest: Option<RestCost>,
}

/// A cost on the traces of all neurons after each answer, until the next input: the network should be back where it began.
///
/// ```text
/// C = mean over batch and time of κ r_t Σ_neurons |ŝ|²/2        r_t = 1 at rest, else 0
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RestCost {
    /// κ.
    pub weight: f64,
    /// Steps after an answer's window in which traces may fade.
    pub grace: usize,
}

impl RestCost {
    /// The cost, `[1]`, of traces `[B, T, N]`.
    fn forward(&self, batch: &TrialBatch, trace: Tensor<3>) -> Tensor<1> {
        let [trials, steps, channels] = batch.input.dims();
        let input = floats(batch.input.clone());
        let mut rest = vec![0.0_f32; trials * steps];
        for (trial, rounds) in batch.rounds.iter().enumerate() {
            for round in rounds {
                let quiet = |t: &usize| {
                    let at = (trial * steps + t) * channels;
                    input[at..at + channels].iter().all(|&x| x == 0.0)
                };
                let from = round.window.end;
                let until = (from..steps).take_while(quiet).count() + from;
                for t in from + self.grace..until {
                    rest[trial * steps + t] = 1.0;
                }
            }
        }
        let rest = Tensor::<3>::from_data(TensorData::new(rest, [trials, steps, 1]), &trace.device());
        (trace.square() * rest).sum() * (0.5 * self.weight / (trials * steps) as f64)
    }
}

/// A cost on low potentials in trials shorter than these: the first ones, while trials grow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GrowingFloor {
    /// The cost.
    pub cost: PotentialFloor,
    /// It counts in trials of fewer steps.
    pub steps_below: usize,
}

impl ReadoutNetwork {
    /// Writes the model to `model.bpk`, and its spiking layer with its constants to `network.bpk` and `network.json`.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn save(&self, folder: &Folder) -> Result<(), String> {
        let path = folder.file("model.bpk");
        self.network.layer.save(folder.file("network.bpk")).map_err(|error| error.to_string())?;
        self.clone().into_record().save(&path).map_err(|error| format!("{}: {error}", path.display()))
    }

    fn start(&self, batch: &TrialBatch) -> Option<SpikingState> {
        Some(SpikingState::at(batch.v0.clone(), self.network.layer.config().synapses.len()))
    }

    fn outcome(&self, batch: TrialBatch, run: NetworkOutput, firing: Option<Firing>) -> Outcome {
        let output = run.output.clone();
        let cost = self.loss.forward_network(run, batch.target.clone(), Some(batch.weight));
        Outcome { cost, output, target: batch.target, rounds: batch.rounds, firing }
    }

    /// Runs a batch and judges it.
    pub fn forward(&self, batch: TrialBatch) -> Outcome {
        let (run, _) = self.network.forward(batch.input.clone(), self.start(&batch));
        self.outcome(batch, run, None)
    }

    /// What the network gives for a batch, and all that was recorded on the way.
    pub fn recorded(&self, batch: &TrialBatch) -> (NetworkOutput, Trajectory) {
        let (run, trajectory, _) = self.network.forward_recording(batch.input.clone(), self.start(batch));
        (run, trajectory)
    }

    /// Runs a batch to learn from.
    fn forward_growing(&self, batch: TrialBatch) -> Outcome {
        let [_, steps, _] = batch.input.dims();
        let floor = self.floor.filter(|floor| steps < floor.steps_below);
        if floor.is_none() && self.rest.is_none() {
            return self.forward(batch);
        }
        let (run, trajectory) = self.recorded(&batch);
        let floor = floor.map(|floor| floor.cost.forward(trajectory.v.expect("a recording has the potentials")));
        let rest = self.rest.map(|rest| rest.forward(&batch, trajectory.traces[0].clone()));
        let outcome = self.outcome(batch, run, None);
        let cost = [floor, rest].into_iter().flatten().fold(outcome.cost.clone(), |sum, more| sum + more);
        Outcome { cost, ..outcome }
    }

    /// The same with the network's firing.
    pub fn forward_recording(&self, batch: TrialBatch) -> Outcome {
        let (run, trajectory) = self.recorded(&batch);
        let charge = trajectory.charge.expect("a recording has the charge");
        self.outcome(batch, run, Some(Firing::of(charge, self.network.layer.config().dt)))
    }
}

/// What came of a batch.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The cost, `[1]`.
    pub cost: Tensor<1>,
    /// The readout, `[B, T, O]`.
    pub output: Tensor<3>,
    /// What it should have been.
    pub target: Tensor<3>,
    /// Each trial's rounds.
    pub rounds: Vec<Vec<Round>>,
    /// How the neurons fired, if recorded.
    pub firing: Option<Firing>,
}

/// A tensor's numbers in order.
pub fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

impl Outcome {
    /// How well the readout follows its target.
    pub fn tracking(&self) -> Tracking {
        let mut tracking = Tracking::new();
        let [_, _, width] = self.output.dims();
        tracking.add(&floats(self.output.clone()), &floats(self.target.clone()), width);
        tracking
    }

    /// How the rounds were answered; a task with rounds has one output.
    pub fn answers(&self) -> Answers {
        let mut answers = Answers::new();
        let [_, steps, width] = self.output.dims();
        assert!(width == 1, "rounds are answered by 1 output, but the network has {width}");
        let output = floats(self.output.clone());
        self.rounds.iter().zip(output.chunks_exact(steps)).for_each(|(rounds, output)| answers.add(output, rounds));
        answers
    }
}

impl ItemLazy for Outcome {
    fn sync(self) -> Result<Self, ExecutionError> {
        Ok(self)
    }
}

impl Adaptor<LossInput> for Outcome {
    fn adapt(&self) -> LossInput {
        LossInput::new(self.cost.clone())
    }
}

impl Adaptor<Tracking> for Outcome {
    fn adapt(&self) -> Tracking {
        self.tracking()
    }
}

impl Adaptor<Answers> for Outcome {
    fn adapt(&self) -> Answers {
        self.answers()
    }
}

impl Adaptor<Firing> for Outcome {
    fn adapt(&self) -> Firing {
        self.firing.clone().unwrap_or_default()
    }
}

impl TrainStep for ReadoutNetwork {
    type Input = TrialBatch;
    type Output = Outcome;

    fn step(&self, batch: TrialBatch) -> TrainOutput<Outcome> {
        let outcome = self.forward_growing(batch);
        let gradients = outcome.cost.backward();
        let judged = Outcome { cost: outcome.cost.detach(), output: outcome.output.detach(), ..outcome };
        TrainOutput::new(self, gradients, judged)
    }
}

impl InferenceStep for ReadoutNetwork {
    type Input = TrialBatch;
    type Output = Outcome;

    fn step(&self, batch: TrialBatch) -> Outcome {
        self.forward_recording(batch)
    }
}
