//! The model of both tasks: a spiking network with a linear readout of its trace, and the cost of
//! tracking a target.

use crate::output::Folder;
use burn::backend::ExecutionError;
use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use burn::train::metric::{Adaptor, LossInput};
use burn::train::{InferenceStep, ItemLazy, TrainOutput, TrainStep};
use burn_spiking::train::metric::BadGradients;
use burn_spiking::train::stream::{ChunkOutput, StreamStep};
use burn_spiking::{
    Adjoint, ConfigError, Firing, NetworkOutput, PotentialFloor, RestCost, SpikingNetwork, SpikingState, TrackingLoss,
    Trajectory,
};
use burn_spiking_tasks::{Answers, Round, Tracking, TrialBatch};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A spiking network and the cost of its output.
#[derive(Module, Debug)]
pub struct ReadoutNetwork {
    /// The spiking layer and the readout O.
    pub network: SpikingNetwork,
    /// The cost of tracking the target.
    pub loss: TrackingLoss,
    /// Keeps potentials from falling too low in short trials.
    #[module(skip)]
    pub floor: Option<GrowingFloor>,
    /// Penalises activity between rounds.
    #[module(skip)]
    pub rest: Option<QuietRest>,
    /// Mixes the exact gradient with the mean-field gradient.
    #[module(skip)]
    pub mixture: Option<Mixture>,
}

/// A cost on activity between rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QuietRest {
    /// The cost.
    pub cost: RestCost,
    /// Number of steps after an answer in which this cost is 0, so that the traces can decay.
    pub grace: usize,
}

/// A mixture of the exact gradient and the mean-field gradient. The mixture is neither of them.
///
/// ```text
/// g_p = m e_p/|e_p| + (1 − m) r_p/|r_p|        for each parameter tensor: e exact, r by rates
/// ```
#[derive(Debug, Clone)]
pub struct Mixture {
    /// The mean-field adjoint.
    pub rates: Adjoint,
    /// m. The data loader sets it for each training trial.
    pub exact_share: SharedNumber,
}

/// A number that a data loader sets and a training step reads.
#[derive(Debug, Clone, Default)]
pub struct SharedNumber(Arc<AtomicU64>);

impl SharedNumber {
    /// Sets the number.
    pub fn set(&self, number: f64) {
        self.0.store(number.to_bits(), Ordering::SeqCst);
    }

    /// Returns the number.
    pub fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::SeqCst))
    }
}

/// A cost on low potentials in short trials, such as the first ones of a training whose trials get
/// longer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GrowingFloor {
    /// The cost.
    pub cost: PotentialFloor,
    /// The cost applies to trials with fewer steps than this.
    pub steps_below: usize,
}

impl ReadoutNetwork {
    /// Writes the model; see [`Folder::write_model`].
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn save(&self, folder: &Folder) -> Result<(), String> {
        folder.write_model(self, &self.network.layer)
    }

    fn start(&self, batch: &TrialBatch) -> Option<SpikingState> {
        Some(self.fresh_state(batch))
    }

    /// Computes the cost of a finished run of a batch.
    pub fn judged(&self, batch: TrialBatch, run: NetworkOutput) -> Outcome {
        self.outcome(batch, run, None)
    }

    fn outcome(&self, batch: TrialBatch, run: NetworkOutput, firing: Option<Firing>) -> Outcome {
        self.outcome_by(&self.loss, batch, run, firing)
    }

    fn outcome_by(
        &self,
        loss: &TrackingLoss,
        batch: TrialBatch,
        run: NetworkOutput,
        firing: Option<Firing>,
    ) -> Outcome {
        let output = run.output.clone();
        let cost = loss.forward_network(run, batch.target.clone(), Some(batch.weight));
        Outcome {
            cost,
            output,
            target: batch.target,
            rounds: batch.rounds,
            firing,
            bad_gradients: BadGradients::default(),
        }
    }

    /// Runs a batch and computes its cost.
    pub fn forward(&self, batch: TrialBatch) -> Outcome {
        let (run, _) = self.network.forward(batch.input.clone(), self.start(&batch));
        self.outcome(batch, run, None)
    }

    /// Runs a batch. Returns the output and the recorded trajectory.
    pub fn recorded(&self, batch: &TrialBatch) -> (NetworkOutput, Trajectory) {
        let (run, _) = self.network.forward_recording(batch.input.clone(), self.start(batch));
        let trajectory = run.trajectory().clone();
        (run, trajectory)
    }

    /// Returns the network with another adjoint.
    ///
    /// # Errors
    /// If the layer does not support this adjoint.
    pub fn with_adjoint(mut self, adjoint: Adjoint) -> Result<Self, ConfigError> {
        self.network.layer = self.network.layer.with_adjoint(adjoint)?;
        Ok(self)
    }

    /// Runs a batch from a state, for training. The cost includes that of `floor` in short trials,
    /// or else that of `rest`.
    pub fn forward_learning(&self, batch: TrialBatch, state: SpikingState) -> (Outcome, SpikingState) {
        let [_, steps, _] = batch.input.dims();
        let (input, state) = (batch.input.clone(), Some(state));
        let (run, more, state) = match (self.floor.filter(|floor| steps < floor.steps_below), self.rest) {
            (Some(floor), _) => {
                let (run, state) = self.network.forward_recording(input, state);
                let below = floor.cost.forward(run.trajectory());
                (run, Some(below), state)
            }
            (None, Some(rest)) => {
                let weight = rest.cost.activity_weight(batch.rest(rest.grace), self.loss.lambda);
                let (run, state) = self.network.forward_weighted(input, state, weight);
                let whole = TrackingLoss { lambda: 1.0 };
                return (self.outcome_by(&whole, batch, run, None), state);
            }
            (None, None) => {
                let (run, state) = self.network.forward(input, state);
                (run, None, state)
            }
        };
        let outcome = self.outcome(batch, run, None);
        let cost = more.into_iter().fold(outcome.cost.clone(), |sum, more| sum + more);
        (Outcome { cost, ..outcome }, state)
    }

    /// Computes the mean-field gradients of a mixture, from the same state.
    fn gradients_by_rates(&self, mixture: &Mixture, batch: TrialBatch, state: SpikingState) -> GradientsParams {
        let by_rates = self.clone().with_adjoint(mixture.rates).expect("the mixture was checked");
        let (outcome, _) = by_rates.forward_learning(batch, state);
        GradientsParams::from_grads(outcome.cost.backward(), self)
    }

    /// Runs a batch, computes its cost and records how the neurons fire.
    pub fn forward_recording(&self, batch: TrialBatch) -> Outcome {
        let (run, trajectory) = self.recorded(&batch);
        self.outcome(batch, run, Some(Firing::of(&trajectory)))
    }
}

/// The result of a batch.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The cost, `[1]`.
    pub cost: Tensor<1>,
    /// The output of the readout, `[B, T, O]`.
    pub output: Tensor<3>,
    /// The target, `[B, T, O]`.
    pub target: Tensor<3>,
    /// The rounds of each trial.
    pub rounds: Vec<Vec<Round>>,
    /// How the neurons fired, if recorded.
    pub firing: Option<Firing>,
    /// Whether the gradient was infinite or NaN, for a batch in training.
    pub bad_gradients: BadGradients,
}

/// Returns the numbers of a tensor in order.
pub fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

impl Outcome {
    /// Measures how well the readout follows its target.
    pub fn tracking(&self) -> Tracking {
        let mut tracking = Tracking::new();
        let [_, _, width] = self.output.dims();
        tracking.add(&floats(self.output.clone()), &floats(self.target.clone()), width);
        tracking
    }

    /// Judges the answers to the rounds.
    ///
    /// # Panics
    /// If the network does not have exactly one output.
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

impl Adaptor<BadGradients> for Outcome {
    fn adapt(&self) -> BadGradients {
        self.bad_gradients.clone()
    }
}

impl TrainStep for ReadoutNetwork {
    type Input = TrialBatch;
    type Output = Outcome;

    fn step(&self, batch: TrialBatch) -> TrainOutput<Outcome> {
        let state = self.fresh_state(&batch);
        self.stream_step(batch, state).train
    }
}

impl StreamStep for ReadoutNetwork {
    type Input = TrialBatch;
    type Output = Outcome;

    fn fresh_state(&self, batch: &TrialBatch) -> SpikingState {
        self.network.layer.state_from_potential(batch.v0.clone())
    }

    fn stream_step(&self, batch: TrialBatch, state: SpikingState) -> ChunkOutput<Outcome> {
        let exact_share = self.mixture.as_ref().map_or(1.0, |mixture| mixture.exact_share.get());
        let by_rates = self.mixture.as_ref().filter(|_| exact_share < 1.0);
        let by_rates = by_rates.map(|mixture| self.gradients_by_rates(mixture, batch.clone(), state.clone()));
        let (outcome, state) = self.forward_learning(batch, state);
        let mut grads = GradientsParams::from_grads(outcome.cost.backward(), self);
        if let Some(by_rates) = by_rates {
            let mut mix = Mix { exact: grads, by_rates, exact_share };
            self.visit(&mut mix);
            grads = mix.exact;
        }
        let item = Outcome {
            cost: outcome.cost.detach(),
            output: outcome.output.detach(),
            bad_gradients: BadGradients::of(self, &grads),
            ..outcome
        };
        let score = item.rounds.iter().any(|rounds| !rounds.is_empty()).then(|| item.answers().accuracy());
        ChunkOutput { train: TrainOutput { grads, item }, state, score }
    }
}

/// Mixes two gradients into `exact`.
struct Mix {
    exact: GradientsParams,
    by_rates: GradientsParams,
    exact_share: f64,
}

impl ModuleVisitor for Mix {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(exact) = self.exact.remove::<D>(param.id) else { return };
        let unit = |gradient: Tensor<D>, share: f64| {
            // Use double precision, because squares of large gradients overflow single precision.
            let square: f64 = gradient.to_data().iter::<f64>().map(|x| x * x).sum();
            let norm = square.sqrt();
            gradient * if norm > 0.0 { share / norm } else { 0.0 }
        };
        let mixed = unit(exact, self.exact_share);
        let mixed = match self.by_rates.remove::<D>(param.id) {
            Some(by_rates) => mixed + unit(by_rates, 1.0 - self.exact_share),
            None => mixed,
        };
        self.exact.register(param.id, mixed);
    }
}

impl InferenceStep for ReadoutNetwork {
    type Input = TrialBatch;
    type Output = Outcome;

    fn step(&self, batch: TrialBatch) -> Outcome {
        self.forward_recording(batch)
    }
}
