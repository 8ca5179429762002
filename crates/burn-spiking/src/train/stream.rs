//! Streams: training on an endless task in chunks (feature `train`). Each chunk starts from the
//! state at the end of the chunk before it.
//!
//! ```text
//! chunk n of stream b starts from   its fresh state            if it starts anew
//!                                   the state after chunk n−1  otherwise, cut from the graph
//! ```
//!
//! In a stream, the network receives each question in the state after the previous answer. A
//! network that should answer indefinitely must be trained from such states. [`Streamed`] keeps
//! these states in a model that Burn's learner trains. They are part of its record, so a checkpoint
//! contains them, and a resumed run ends with the same result. The loader that cuts trials into
//! chunks is in `burn-spiking-tasks`. A user-written training loop does the same with
//! [`SpikingState::detach`] and [`SpikingState::reset`]:
//!
//! ```
//! # #[cfg(feature = "flex")] {
//! use burn::module::Module;
//! use burn::optim::{AdamConfig, GradientsParams};
//! use burn::tensor::{Device, Distribution, Tensor};
//! use burn_spiking::{SpikingNetworkConfig, SpikingRnnConfig};
//!
//! let device = Device::flex().autodiff();
//! let mut network = SpikingNetworkConfig::new(SpikingRnnConfig::new(1, 10), 1).init(&device)?;
//! let mut optimizer = AdamConfig::new().init();
//! let mut state = None;
//! for chunk in 0..3 {
//!     let input = Tensor::random([2, 50, 1], Distribution::Normal(0.0, 1.0), &device); // two streams
//!     let (run, last) = network.forward(input, state);
//!     let gradients = GradientsParams::from_grads(run.output.square().mean().backward(), &network);
//!     network = optimizer.step(0.01, network, gradients);
//!     // The second stream starts anew, the first goes on.
//!     let anew = Tensor::from_data([false, true], &device.clone().inner());
//!     let fresh = network.layer.resting_state(2);
//!     state = Some(last.detach().reset(anew, fresh));
//! }
//! # }
//! # Ok::<(), burn_spiking::ConfigError>(())
//! ```

use crate::layer::state::SpikingState;
use crate::train::wrapper::{infers_by, one_device_only};
use burn::lr_scheduler::module_lr_scheduler::ModuleLearningRate;
use burn::module::{Module, Param};
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{Bool, Tensor, TensorCreationOptions, TensorData};
use burn::train::{ItemLazy, TrainOutput, TrainStep};
use std::sync::{Arc, Mutex};

/// One chunk of each of B streams.
#[derive(Debug, Clone)]
pub struct Chunk<I> {
    /// The input of the model, for B samples in the order of the streams.
    pub input: I,
    /// For each stream, whether this chunk starts from a fresh state, `[B]`.
    pub fresh: Vec<bool>,
}

/// The result of a model's training step on a chunk.
pub struct ChunkOutput<O> {
    /// The gradients and the output.
    pub train: TrainOutput<O>,
    /// The state after the chunk. [`Streamed`] cuts it from the graph.
    pub state: SpikingState,
    /// The score of the chunk, if a [`ScoreSchedule`](crate::train::schedule::ScoreSchedule) should
    /// follow it.
    pub score: Option<f64>,
}

/// A model that can continue from a given state.
pub trait StreamStep {
    /// The input for B samples.
    type Input: Send + 'static;
    /// The output, for metrics.
    type Output: ItemLazy + 'static;

    /// The fresh state, `[B, ..]`, of samples that start anew.
    fn fresh_state(&self, input: &Self::Input) -> SpikingState;

    /// Runs the forward and the backward pass from a state.
    fn stream_step(&self, input: Self::Input, state: SpikingState) -> ChunkOutput<Self::Output>;
}

/// A model with the states of its streams. It trains on [`Chunk`]s. Validation runs the model
/// alone.
///
/// A training step stores its last state until the next step of the optimizer. Clones share this
/// stored state. So train only one of the clones, and do not load a record between a training step
/// and the optimizer's step. A schedule is not part of the record: save its
/// [`ScheduleState`](crate::train::schedule::ScheduleState) with the checkpoint.
///
/// # Panics
/// A training step panics if the number of streams in its chunk differs from that of this model, or
/// if the dtype of the stored states differs from that of the model's fresh states.
#[derive(Module, Debug)]
pub struct Streamed<M: Module> {
    /// The model that is trained.
    pub model: M,
    /// The membrane potentials from which the streams continue, `[B, N]`. They have no gradient.
    pub v: Param<Tensor<2>>,
    /// The traces from which the streams continue, as in [`SpikingState::s`]. They have no
    /// gradient.
    pub s: Param<Tensor<3>>,
    /// The last state of a training step, until the next step of the optimizer.
    #[module(skip)]
    latest: Arc<Mutex<Option<SpikingState>>>,
    #[module(skip)]
    schedule: Option<crate::train::schedule::ScoreSchedule>,
}

impl<M: Module> Streamed<M> {
    /// Wraps a model, with B streams that have not started.
    ///
    /// - `streams`: B.
    /// - `rows`: number of rows of [`SpikingState::s`]: the number of synapse types, plus the steps
    ///   of delay of all types.
    /// - `neurons`: N.
    pub fn new(model: M, [streams, rows, neurons]: [usize; 3], options: impl Into<TensorCreationOptions>) -> Self {
        let options = options.into();
        let constant = |tensor: Tensor<3>| Param::from_tensor(tensor).set_require_grad(false);
        let v: Tensor<2> = Tensor::zeros([streams, neurons], options.clone());
        Self {
            model,
            v: Param::from_tensor(v).set_require_grad(false),
            s: constant(Tensor::zeros([streams, rows, neurons], options)),
            latest: Arc::default(),
            schedule: None,
        }
    }

    /// Adds a schedule that follows the score of each chunk.
    pub fn with_schedule(mut self, schedule: crate::train::schedule::ScoreSchedule) -> Self {
        self.schedule = Some(schedule);
        self
    }

    /// The state from which a stream continues if its next chunk does not start anew.
    pub fn state(&self) -> SpikingState {
        SpikingState { v: self.v.val().detach(), s: self.s.val().detach() }
    }

    fn with_state(self, state: SpikingState) -> Self {
        Self { v: self.v.map(|_| state.v.detach()), s: self.s.map(|_| state.s.detach()), ..self }
    }
}

impl<M: Module + StreamStep> Streamed<M> {
    /// The state in which each sample of a chunk starts.
    fn start(&self, chunk: &Chunk<M::Input>) -> SpikingState {
        let fresh = self.model.fresh_state(&chunk.input);
        let [streams, _] = self.v.dims();
        assert_eq!(
            chunk.fresh.len(),
            streams,
            "the chunk's streams must be as many as the model carries the states of"
        );
        let (own, found) = (self.v.val().dtype(), fresh.v.dtype());
        assert_eq!(
            own, found,
            "the streams' states are {own:?}, but the model's fresh states are {found:?}; use \
             Streamed::new(model, sizes, (&device, DType::{found:?}))"
        );
        if chunk.fresh.iter().all(|&fresh| fresh) {
            return fresh;
        }
        let mask = Tensor::<1, Bool>::from_data(TensorData::from(chunk.fresh.as_slice()), &self.v.val().device());
        // If gradients are accumulated, several training steps precede one step of the optimizer.
        let latest = self.latest.lock().expect("no holder of the state panics").clone();
        latest.unwrap_or_else(|| self.state()).reset(mask, fresh)
    }
}

impl<M: Module + StreamStep + TrainStep> TrainStep for Streamed<M> {
    type Input = Chunk<<M as StreamStep>::Input>;
    type Output = <M as StreamStep>::Output;

    fn step(&self, chunk: Self::Input) -> TrainOutput<Self::Output> {
        let state = self.start(&chunk);
        let ChunkOutput { train, state, score } = self.model.stream_step(chunk.input, state);
        *self.latest.lock().expect("no holder of the state panics") = Some(state.detach());
        if let (Some(schedule), Some(score)) = (&self.schedule, score) {
            schedule.observe(score);
        }
        train
    }

    fn optimize(self, optim: &mut ModuleOptimizer, lr: ModuleLearningRate, grads: GradientsParams) -> Self {
        let latest = self.latest.lock().expect("no holder of the state panics").take();
        let stepped = Self { model: self.model.optimize(optim, lr, grads), ..self };
        match latest {
            Some(state) => stepped.with_state(state),
            None => stepped,
        }
    }

    one_device_only!("Streamed");
}

infers_by!(Streamed, model);

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use crate::{SpikingNetwork, SpikingNetworkConfig, SpikingRnnConfig};
    use burn::optim::SgdConfig;
    use burn::store::ModuleRecord;
    use burn::tensor::{Device, Distribution};

    #[derive(Module, Debug)]
    struct Model {
        network: SpikingNetwork,
    }

    #[derive(Debug)]
    struct Nothing;

    impl ItemLazy for Nothing {
        fn sync(self) -> Result<Self, burn::backend::ExecutionError> {
            Ok(self)
        }
    }

    impl StreamStep for Model {
        type Input = Tensor<3>;
        type Output = Nothing;

        fn fresh_state(&self, input: &Tensor<3>) -> SpikingState {
            self.network.layer.resting_state(input.dims()[0])
        }

        fn stream_step(&self, input: Tensor<3>, state: SpikingState) -> ChunkOutput<Nothing> {
            let (run, state) = self.network.forward(input, Some(state));
            let gradients = (run.output - 0.3).square().mean().backward();
            ChunkOutput { train: TrainOutput::new(self, gradients, Nothing), state, score: None }
        }
    }

    impl TrainStep for Model {
        type Input = Tensor<3>;
        type Output = Nothing;

        fn step(&self, input: Tensor<3>) -> TrainOutput<Nothing> {
            let state = self.fresh_state(&input);
            self.stream_step(input, state).train
        }
    }

    fn streamed(device: &Device) -> Streamed<Model> {
        let layer = SpikingRnnConfig::new(2, 6);
        let network = SpikingNetworkConfig::new(layer, 1).init(device).unwrap();
        Streamed::new(Model { network }, [3, 1, 6], device)
    }

    fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().iter::<f32>().collect()
    }

    fn chunk(device: &Device, fresh: [bool; 3]) -> Chunk<Tensor<3>> {
        Chunk { input: Tensor::random([3, 40, 2], Distribution::Normal(0.5, 1.0), device), fresh: fresh.to_vec() }
    }

    #[test]
    fn a_stream_goes_on_from_its_own_state_unless_it_starts_anew() {
        let device = Device::flex().autodiff();
        device.seed(3);
        let streamed = streamed(&device);
        let (first, second) = (chunk(&device, [true; 3]), chunk(&device, [false, true, false]));
        let mut optimizer = SgdConfig::new().init();
        // A learning rate of 0 leaves the network unchanged, so that the test can run it again by
        // hand.
        let network = streamed.model.network.clone();
        let gradients = TrainStep::step(&streamed, first.clone()).grads;
        let streamed = streamed.optimize(&mut optimizer, 0.0.into(), gradients);
        let (_, after) = network.forward(first.input, None);
        assert_eq!(numbers(streamed.state().v), numbers(after.v.clone()));
        let start = streamed.start(&second);
        let [kept, fresh] = [&after.v, &network.layer.resting_state(3).v].map(|v| numbers(v.clone()));
        let wanted = [&kept[..6], &fresh[6..12], &kept[12..]].concat();
        assert_eq!(numbers(start.v), wanted);
    }

    #[test]
    fn states_are_part_of_the_record() {
        let device = Device::flex().autodiff();
        let mut optimizer = SgdConfig::new().init();
        let run = |streamed: Streamed<Model>, chunk: Chunk<Tensor<3>>, optimizer: &mut ModuleOptimizer| {
            let gradients = TrainStep::step(&streamed, chunk).grads;
            streamed.optimize(optimizer, 0.1.into(), gradients)
        };
        let (first, second) = (chunk(&device, [true; 3]), chunk(&device, [false; 3]));
        let one = run(streamed(&device), first, &mut optimizer);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("streamed");
        one.clone().into_record().save(&path).unwrap();
        let again = streamed(&device).try_load_record(ModuleRecord::load(&path).unwrap()).unwrap();
        let [left_alone, resumed] = [one, again].map(|one| run(one, second.clone(), &mut optimizer));
        assert_eq!(numbers(left_alone.state().s), numbers(resumed.state().s));
        let readout = |one: &Streamed<Model>| numbers(one.model.network.readout.weight.val());
        assert_eq!(readout(&left_alone), readout(&resumed));
    }

    #[test]
    #[should_panic(expected = "as many as the model carries")]
    fn another_number_of_streams_is_refused() {
        let device = Device::flex().autodiff();
        let input = Tensor::zeros([2, 5, 2], &device);
        TrainStep::step(&streamed(&device), Chunk { input, fresh: vec![false; 2] });
    }
}

/// Implements `StreamStep` for a wrapper by the `StreamStep` of its model.
macro_rules! streams_as_its_model {
    ($wrapper:ident) => {
        impl<M: Module + $crate::train::stream::StreamStep> $crate::train::stream::StreamStep for $wrapper<M> {
            type Input = M::Input;
            type Output = M::Output;

            fn fresh_state(&self, input: &M::Input) -> $crate::layer::state::SpikingState {
                self.model.fresh_state(input)
            }

            fn stream_step(
                &self,
                input: M::Input,
                state: $crate::layer::state::SpikingState,
            ) -> $crate::train::stream::ChunkOutput<M::Output> {
                self.model.stream_step(input, state)
            }
        }
    };
}
pub(crate) use streams_as_its_model;
