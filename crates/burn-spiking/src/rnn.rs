//! The layer: `SpikingRnnConfig` → [`SpikingRnn`] → [`SpikingState`], used like Burn's `Lstm`.
//!
//! ```text
//! I = (U i + I_o + Σ_k W_k ŝᵏ)/τ_m        ŝᵏ = τ_k sᵏ: one spike adds 1
//! ```
//!
//! [`Wiring`](crate::Wiring) and Dale's law say what W_k is of the parameters; see [`wiring`](crate::wiring).
//!
//! The parameters U, I_o and W_k are dimensionless, so that one learning rate serves all. τ_m is τ_v for QIF and LIF;
//! NIF has no time constant, so the configuration gives one (the first synapse's, if it does not).

mod config;
mod record;

pub use config::{Initial, SpikingRnnConfig};

use self::record::Described;
use crate::constants::{Constants, Learn, Learned, WIDEST};
use crate::error::{ConfigError, positive, positive_at_most};
use crate::gate::Gate;
use crate::scan::reference::Start;
use crate::scan::{self, Adjoint, Arguments, Body, Drive, Run, ScanPlan, Scheme};
use crate::sequence::{Timing, run_lengths};
use crate::state::SpikingState;
use crate::trajectory::{GateNow, Step, Trajectory};
use burn::module::{Content, DisplaySettings, Module, ModuleDisplay, Param};
use burn::tensor::activation::sigmoid;
use burn::tensor::{Bool, Device, Tensor, TensorCreationOptions, TensorData, assert_shape};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;

/// Inputs of up to this many channels are projected inside the scan, step by step, so that no drive `[B, T, N]` exists; beyond,
/// one matrix product over all steps is faster.
const PROJECTED_CHANNELS: usize = 64;

/// A recurrent layer of smooth-gated spiking neurons with an exact gradient.
///
/// Should be created with [`SpikingRnnConfig`]. The equations are at the top of [this module](self) and of
/// [`scan`]. Differentiable once, with respect to the parameters, the input and the initial state.
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct SpikingRnn {
    /// U, `[C, N]`.
    pub input: Param<Tensor<2>>,
    /// I_o, `[N]`, if the configuration has one.
    pub tonic: Option<Param<Tensor<1>>>,
    /// w_k, `[N, N]` stored `[pre, post]`, for each recurrent synapse type in order; see [`weights`](Self::weights). Where neurons
    /// are not connected, such as on the diagonals unless autapses are asked for, they have no effect and no gradient.
    pub recurrent: Vec<Param<Tensor<2>>>,
    /// The logit of the potential that runs start from, `[N]`, if it is learned.
    pub start_v: Option<Param<Tensor<1>>>,
    /// The traces ŝ that runs start from, `[K, N]`, if they are learned.
    pub start_s: Option<Param<Tensor<2>>>,
    /// The constants that are learned, if any is.
    pub constants: Option<Constants>,
    /// Where the input does not reach, `[C, N]`.
    unreached: Option<Missing>,
    /// ±1 for each sending neuron, `[N, 1]`, under Dale's law.
    signs: Option<Tensor<2>>,
    #[module(skip)]
    plan: Arc<ScanPlan>,
    config: Described,
}

/// Pairs that are not connected.
#[derive(Module, Debug)]
struct Missing {
    /// 1 where there is a connection, else 0, `[pre, post]`. Numbers, since Burn 0.22 cannot move booleans from a CPU to a GPU.
    there: Tensor<2>,
}

impl Missing {
    /// `None` if nothing is missing.
    fn of(connected: &[bool], shape: [usize; 2], device: &Device) -> Option<Self> {
        let there: Vec<f32> = connected.iter().map(|&there| there as u8 as f32).collect();
        connected.contains(&false).then(|| Self { there: Tensor::from_data(TensorData::new(there, shape), device) })
    }

    fn erase(&self, weights: Tensor<2>) -> Tensor<2> {
        let there = self.there.clone().cast(weights.dtype());
        weights * there
    }
}

impl ModuleDisplay for SpikingRnn {
    fn custom_settings(&self) -> Option<DisplaySettings> {
        DisplaySettings::new().with_new_line_after_attribute(false).optional()
    }

    fn custom_content(&self, content: Content) -> Option<Content> {
        let constants = self.config.constants().into_iter();
        constants.fold(content, |content, (name, value)| content.add(name, value.as_str())).optional()
    }
}

/// Gives the neurons' own constant other values.
fn set_each(
    param: Option<&mut Param<Tensor<1>>>,
    learn: Learn,
    name: &str,
    values: Vec<f64>,
) -> Result<(), ConfigError> {
    let (Some(param), Learn::Each) = (param, learn) else {
        return Err(ConfigError::Mismatch(format!(
            "{name} is given for each neuron, but the layer has one for all; configure Learned {{ {name}: Learn::Each, .. }}"
        )));
    };
    let [neurons] = param.dims();
    if values.len() != neurons {
        return Err(ConfigError::Mismatch(format!(
            "{name} is given {} times, but there are {neurons} neurons; give one for each",
            values.len()
        )));
    }
    // An optimizer knows the parameter by its id, and a frozen one stays frozen.
    let (tensor, learns) = (param.val(), param.is_require_grad());
    let options = (&tensor.device(), tensor.dtype());
    let values = Tensor::from_data(TensorData::new(values, [neurons]), options).set_require_grad(learns);
    *param = param.clone().map(|_| values);
    Ok(())
}

/// What a run that takes a readout along has beside the layer's own tensors.
pub(crate) struct ReadoutTensors {
    /// O, `[N, O]`.
    pub(crate) weights: Option<Tensor<2>>,
    /// m, the weights of the steps in the activity, `[B, T]`; 1 if `None`.
    pub(crate) activity_weight: Option<Tensor<2>>,
}

impl ReadoutTensors {
    fn none() -> Self {
        Self { weights: None, activity_weight: None }
    }
}

impl SpikingRnn {
    /// The configuration that the layer was made from.
    pub fn config(&self) -> &SpikingRnnConfig {
        &self.config
    }

    /// What the layer lets [`scan`] run; where constants are learned, with the values that they started from.
    pub fn plan(&self) -> &Arc<ScanPlan> {
        &self.plan
    }

    /// The device that the parameters are on.
    pub fn device(&self) -> Device {
        self.input.val().device()
    }

    /// The same layer, run by another program.
    pub fn with_body(mut self, body: Body) -> Self {
        Arc::make_mut(&mut self.plan).body = body;
        self
    }

    /// The same layer with another adjoint: how errors go back through it.
    ///
    /// # Errors
    /// [`ConfigError`] if a number of it is out of range, the layer's scheme is [`Scheme::Heun`], or, for [`Adjoint::MeanField`], the
    /// neuron has no f-I curve, a synapse type has a delay or constants are learned.
    pub fn with_adjoint(mut self, adjoint: Adjoint) -> Result<Self, ConfigError> {
        self.config.adjoint = adjoint;
        self.config.check()?;
        let plan = Arc::unwrap_or_clone(self.plan).with_adjoint(adjoint)?;
        Ok(Self { plan: Arc::new(plan), ..self })
    }

    /// The same layer with another gate: the same parameters, as to see what becomes of a network without its gradual synapses. A
    /// width that was learned is learned no longer.
    ///
    /// # Errors
    /// [`ConfigError`] if the gate's width is out of range, or the layer's scheme does not go with it.
    pub fn with_gate(mut self, gate: Gate) -> Result<Self, ConfigError> {
        let learned = Learned { width: Learn::No, ..self.config.learned };
        if let Some(constants) = &mut self.constants {
            constants.logit_width = None;
        }
        (self.config.gate, self.config.learned) = (gate, learned);
        self.config.check()?;
        let plan = Arc::make_mut(&mut self.plan);
        (plan.gate, plan.constants) = (gate, learned.of_scan());
        Ok(self)
    }

    /// The same layer whose neurons have these τ_v, in ms; they go on being learned, unless the parameter is frozen.
    ///
    /// # Errors
    /// [`ConfigError`] if the layer learns no τ_v of each neuron, or there are not N numbers above 0.
    pub fn with_tau_v(mut self, tau_v: &[f64]) -> Result<Self, ConfigError> {
        tau_v.iter().try_for_each(|&tau| positive("tau_v", tau, "give each neuron's time constant in ms"))?;
        let logs: Vec<f64> = tau_v.iter().map(|tau| tau.ln()).collect();
        let param = self.constants.as_mut().and_then(|constants| constants.log_tau_v.as_mut());
        set_each(param, self.config.learned.tau_v, "tau_v", logs)?;
        Ok(self)
    }

    /// The same layer whose neurons have gates of these widths; they go on being learned, unless the parameter is frozen.
    ///
    /// # Errors
    /// [`ConfigError`] if the layer learns no width of each neuron, or there are not N numbers above 0 and at most
    /// [`WIDEST`].
    pub fn with_widths(mut self, widths: &[f64]) -> Result<Self, ConfigError> {
        widths.iter().try_for_each(|&width| {
            positive_at_most("gate width", width, WIDEST, "a learned width is below 1, which no parameter stands for")
        })?;
        let logits: Vec<f64> = widths.iter().map(|width| (width / (1.0 - width)).ln()).collect();
        let param = self.constants.as_mut().and_then(|constants| constants.logit_width.as_mut());
        set_each(param, self.config.learned.width, "width", logits)?;
        Ok(self)
    }

    /// The same layer in steps of `dt` ms. The parameters mean the same: currents are per ms, and a spike adds 1 to ŝ.
    ///
    /// # Errors
    /// [`ConfigError`] if `dt` is not above 0.
    pub fn with_dt(mut self, dt: f64) -> Result<Self, ConfigError> {
        self.config.dt = dt;
        self.config.check()?;
        let body = self.plan.body;
        self.plan = Arc::new(ScanPlan { body, ..self.config.plan() });
        Ok(self)
    }

    /// The state of a layer at rest, nothing on its way, for `batch` samples; the one that is learned, if it is.
    pub fn resting_state(&self, batch: usize) -> SpikingState {
        let (n, synapses) = (self.config.n_neurons, self.config.synapses.len());
        if let (Some(v), Some(s)) = (&self.start_v, &self.start_s) {
            let v = sigmoid(v.val()).unsqueeze::<2>().expand([batch, n]);
            let s = s.val().unsqueeze::<3>().expand([batch, synapses, n]);
            return SpikingState { v, s }.with_rows(self.plan.state_rows());
        }
        let v = self.config.neuron.resting_potential();
        self.state_at(Tensor::full([batch, n], v, self.options()))
    }

    /// The state of given membrane potentials, `[B, N]`, in which no synapse is active and nothing is on its way.
    pub fn state_at(&self, v: Tensor<2>) -> SpikingState {
        SpikingState::at(v, self.plan.state_rows())
    }

    /// W_k of the k-th recurrent synapse type as the neurons meet it, `[pre, post]`, with its signs and without what is not
    /// connected.
    ///
    /// # Panics
    /// If there are not so many recurrent synapse types.
    pub fn weights(&self, k: usize) -> Tensor<2> {
        let weights = self.recurrent[k].val();
        let weights = match &self.signs {
            Some(signs) => {
                let signs = signs.clone().cast(weights.dtype());
                weights.abs() * signs
            }
            None => weights,
        };
        match self.config.missing(k) {
            Some(missing) => missing.erase(weights),
            None => weights,
        }
    }

    /// The same layer with other connections for the k-th recurrent synapse type. They are part of the layer's record: a layer that loads it
    /// has them.
    ///
    /// - `connected`: `[pre, post]`, true where neurons are connected, also on the diagonal.
    ///
    /// # Errors
    /// [`ConfigError`] if there are not so many recurrent synapse types, or the shape is not `[N, N]`.
    pub fn with_connections(mut self, k: usize, connected: Tensor<2, Bool>) -> Result<Self, ConfigError> {
        let (types, n, dims) = (self.recurrent.len(), self.config.n_neurons, connected.dims());
        if k >= types {
            return Err(ConfigError::Mismatch(format!(
                "connections are given for recurrent synapse type {k}, but there are {types}, counted from 0"
            )));
        }
        if dims != [n, n] {
            return Err(ConfigError::Mismatch(format!(
                "connections are {dims:?}, but must be [{n}, {n}] for {n} neurons; give one for each pair [pre, post]"
            )));
        }
        self.config.connect(k, connected.float());
        Ok(self)
    }

    /// A state whose membrane potentials are drawn evenly from [low, high), from a seed; no synapse is active.
    ///
    /// # Panics
    /// If the range is empty.
    pub fn random_state(&self, batch: usize, low: f64, high: f64, seed: u64) -> SpikingState {
        assert!(
            low < high,
            "the range [{low}, {high}) of initial potentials is empty; give a lower bound below the upper"
        );
        let n = self.config.n_neurons;
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let v: Vec<f64> = (0..batch * n).map(|_| random.random_range(low..high)).collect();
        let v = Tensor::<2>::from_data(TensorData::new(v, [batch, n]), self.options());
        self.state_at(v)
    }

    fn options(&self) -> TensorCreationOptions {
        let input = self.input.val();
        TensorCreationOptions::from((&input.device(), input.dtype()))
    }

    /// Runs the layer over an input.
    ///
    /// - `input`: `[B, T, C]`, or `[T, B, C]` if the configuration is not `batch_first`.
    /// - `state`: the state to start from; at rest if `None`.
    ///
    /// Returns the trajectory, whose row t is the state after step t, and the final state. Fed to the next call, that state
    /// continues the run as if it had been one, gradients included. A run that nobody differentiates keeps no adjoint state.
    ///
    /// # Panics
    /// If the input's channels or the state's shape do not fit the layer, if dtypes or devices differ, if a gradient would be
    /// asked of [`Gate::Threshold`], and if a value becomes infinite or NaN (in the CPU kernel; elsewhere if the configuration
    /// has `check_finite`).
    pub fn forward(&self, input: Tensor<3>, state: Option<SpikingState>) -> (Trajectory, SpikingState) {
        self.run_planned(input, state, self.plan.clone())
    }

    /// As [`forward`](Self::forward), for samples that end at different steps. Nothing is computed after a sample's end: its
    /// trajectory is 0 there, and its final state is that after its last step. The gradients are those of each sample run alone.
    ///
    /// - `input`: `[B, T, C]`; what stands after a sample's end does not count.
    /// - `lengths`: number of steps of each sample.
    /// - `state`: the state to start from; at rest if `None`.
    ///
    /// # Panics
    /// If there are not as many lengths as samples, or one is not in 1 ..= T; otherwise as [`forward`](Self::forward). A panic over a value
    /// that is not finite counts the samples from the longest on, and the steps since another sample's end.
    pub fn forward_lengths(
        &self,
        input: Tensor<3>,
        lengths: &[usize],
        state: Option<SpikingState>,
    ) -> (Trajectory, SpikingState) {
        self.run_lengths(input, lengths, state, self.plan.clone())
    }

    /// As [`forward_lengths`](Self::forward_lengths), with membrane potentials and charges in the trajectory whatever the configuration
    /// says.
    ///
    /// # Panics
    /// As [`forward_lengths`](Self::forward_lengths).
    pub fn forward_lengths_recording(
        &self,
        input: Tensor<3>,
        lengths: &[usize],
        state: Option<SpikingState>,
    ) -> (Trajectory, SpikingState) {
        self.run_lengths(input, lengths, state, self.recording())
    }

    /// One time step, for use online: the same as [`forward`](Self::forward) over one step.
    ///
    /// - `input`: `[B, C]`.
    /// - `state`: the state to start from; at rest if `None`.
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    pub fn step(&self, input: Tensor<2>, state: Option<SpikingState>) -> (Step, SpikingState) {
        let run = self.run(input.unsqueeze_dim(1), state, ReadoutTensors::none(), self.plan.clone());
        let state = SpikingState { v: run.last_v.clone(), s: run.last_s.clone() };
        (Step::of(run), state)
    }

    /// As [`forward`](Self::forward), with membrane potentials and charges in the trajectory whatever the configuration says.
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    pub fn forward_recording(&self, input: Tensor<3>, state: Option<SpikingState>) -> (Trajectory, SpikingState) {
        self.run_planned(input, state, self.recording())
    }

    /// The layer's plan with potentials and charges in the trajectory.
    fn recording(&self) -> Arc<ScanPlan> {
        Arc::new(ScanPlan { record_v: true, record_charge: true, ..(*self.plan).clone() })
    }

    /// The same layer, all of whose trajectories have potentials and charges.
    pub(crate) fn that_records(mut self) -> Self {
        self.plan = self.recording();
        self
    }

    /// Runs a plan of this layer over an input as the configuration has it.
    fn run_planned(
        &self,
        input: Tensor<3>,
        state: Option<SpikingState>,
        plan: Arc<ScanPlan>,
    ) -> (Trajectory, SpikingState) {
        let input = self.config.turned(input);
        let state = self.whole_state(state, input.dims()[0]);
        let start_v = state.v.clone();
        self.outcome(self.run(input, Some(state), ReadoutTensors::none(), plan), start_v, None)
    }

    /// The same for samples that end at different steps.
    fn run_lengths(
        &self,
        input: Tensor<3>,
        lengths: &[usize],
        state: Option<SpikingState>,
        plan: Arc<ScanPlan>,
    ) -> (Trajectory, SpikingState) {
        let input = self.config.turned(input);
        let state = self.whole_state(state, input.dims()[0]);
        self.check_input(&input, &state);
        let start_v = state.v.clone();
        let run = run_lengths(input, lengths, state, |input, state| {
            self.run(input, Some(state), ReadoutTensors::none(), plan.clone())
        });
        self.outcome(run, start_v, Some(lengths))
    }

    /// How the series of a run lie in time.
    pub(crate) fn timing(&self, lengths: Option<&[usize]>) -> Timing {
        Timing { dt: self.config.dt, batch_first: self.config.batch_first, lengths: lengths.map(Arc::from) }
    }

    /// A run's parts as the layer gives them.
    ///
    /// - `start_v`: the potentials that it started from, `[B, N]`.
    pub(crate) fn outcome(
        &self,
        run: Run,
        start_v: Tensor<2>,
        lengths: Option<&[usize]>,
    ) -> (Trajectory, SpikingState) {
        let turned = |x: Tensor<3>| self.config.turned(x);
        let logit_width = self.constants.as_ref().and_then(|constants| constants.logit_width.as_ref());
        let trajectory = Trajectory {
            traces: run.traces.into_iter().map(turned).collect(),
            v: run.v.map(turned),
            charge: run.charge.map(turned),
            start_v: start_v.detach(),
            gate: GateNow { gate: self.config.gate, logit_width: logit_width.map(|logit| logit.val().detach()) },
            timing: self.timing(lengths),
        };
        (trajectory, SpikingState { v: run.last_v, s: run.last_s })
    }

    /// Runs a plan of this layer, with a readout if the plan has one.
    pub(crate) fn run(
        &self,
        input: Tensor<3>,
        state: Option<SpikingState>,
        readout: ReadoutTensors,
        plan: Arc<ScanPlan>,
    ) -> Run {
        if self.config.scheme == Scheme::Heun {
            return self.run_reference(input, state, readout, &plan);
        }
        let ReadoutTensors { weights, activity_weight } = readout;
        let arguments = Arguments { readout: weights, activity_weight, ..self.arguments(input, state) };
        match &self.constants {
            Some(constants) => scan::scan(arguments, &Arc::new(constants.plan(&plan, self.each()))),
            None => scan::scan(arguments, &plan),
        }
    }

    /// N, where neurons have constants of their own.
    fn each(&self) -> Option<usize> {
        self.config.learned.each().then_some(self.config.n_neurons)
    }

    /// What the layer lets [`scan`] run on: its parameters in units of 1/ms.
    ///
    /// - `input`: `[B, T, C]`.
    /// - `state`: the state to start from; at rest if `None`.
    ///
    /// # Panics
    /// If the input's channels or the state's shape do not fit the layer, or if dtypes or devices differ.
    pub fn arguments(&self, input: Tensor<3>, state: Option<SpikingState>) -> Arguments {
        let [channels, neurons] = self.input.dims();
        let [batch, steps, _] = input.dims();
        let state = self.whole_state(state, batch);
        self.check_input(&input, &state);

        let (projection, tonic) = self.scaled_projection();
        let drive = match channels <= PROJECTED_CHANNELS {
            true => Drive::Projected { input, projection, tonic },
            false => {
                let drive = input.reshape([batch * steps, channels]).matmul(projection);
                let drive = match tonic {
                    Some(tonic) => drive + tonic.unsqueeze(),
                    None => drive,
                };
                Drive::Whole(drive.reshape([batch, steps, neurons]))
            }
        };
        let constants = self.constants_to_differentiate_by();
        Arguments {
            drive,
            weights: self.scaled_weights(),
            v0: state.v,
            s0: state.s,
            readout: None,
            activity_weight: None,
            constants,
        }
    }

    /// τ_v, w, α_1 … α_K, where one of them is learned.
    fn constants_to_differentiate_by(&self) -> Option<Tensor<1>> {
        let constants = self.constants.as_ref().filter(|_| self.plan.constants)?;
        Some(constants.tensor(&self.plan, self.each(), &self.options()))
    }

    /// The state to start from, at rest if `None`; with nothing on its way if it has the traces alone.
    pub(crate) fn whole_state(&self, state: Option<SpikingState>, batch: usize) -> SpikingState {
        let state = state.unwrap_or_else(|| self.resting_state(batch));
        let [_, rows, _] = state.s.dims();
        // The traces alone say that nothing is on its way.
        if rows == self.plan.synapses.len() { state.with_rows(self.plan.state_rows()) } else { state }
    }

    /// Refuses an input `[B, T, C]` or a state that does not fit the layer.
    pub(crate) fn check_input(&self, input: &Tensor<3>, state: &SpikingState) {
        let [channels, neurons] = self.input.dims();
        assert_shape!(input, [_, _, channels]);
        let [batch, steps, _] = input.dims();
        assert!(
            batch > 0 && steps > 0,
            "the input has {batch} samples of {steps} time steps, but needs at least 1 of each"
        );
        self.check_kind(input, "input");
        let (rows, found) = (self.plan.state_rows(), (state.v.dims(), state.s.dims()));
        assert!(
            found == ([batch, neurons], [batch, rows, neurons]),
            "the state has v {:?} and s {:?}, but this layer in steps of {} ms needs v {:?} and s {:?} for {batch} samples; take it \
             from a run of the same layer, its `resting_state` or `state_at`",
            found.0,
            found.1,
            self.config.dt,
            [batch, neurons],
            [batch, rows, neurons]
        );
        self.check_kind(&state.v, "state's v");
        self.check_kind(&state.s, "state's s");
    }

    /// Refuses a tensor of another dtype or on another device than the parameters.
    fn check_kind<const D: usize>(&self, tensor: &Tensor<D>, name: &str) {
        let own = self.input.val();
        let (dtype, device) = (tensor.dtype(), tensor.device().inner());
        let (own_dtype, own_device) = (own.dtype(), own.device().inner());
        assert_eq!(
            dtype, own_dtype,
            "the {name} is {dtype:?}, but the layer's parameters are {own_dtype:?}; cast the {name}"
        );
        assert_eq!(
            device, own_device,
            "the {name} is on {device:?}, but the layer's parameters are on {own_device:?}; move the {name} with `to_device`"
        );
    }

    /// The same run in plain tensor operations, differentiated by Burn: see [`scan::reference`].
    pub fn forward_reference(&self, input: Tensor<3>, state: Option<SpikingState>) -> (Trajectory, SpikingState) {
        let input = self.config.turned(input);
        let state = self.whole_state(state, input.dims()[0]);
        let start_v = state.v.clone();
        self.outcome(self.run_reference(input, Some(state), ReadoutTensors::none(), &self.plan), start_v, None)
    }

    fn run_reference(
        &self,
        input: Tensor<3>,
        state: Option<SpikingState>,
        readout: ReadoutTensors,
        plan: &ScanPlan,
    ) -> Run {
        let [batch, steps, channels] = input.dims();
        let state = self.whole_state(state, batch);
        self.check_input(&input, &state);
        let (projection, tonic) = self.scaled_projection();
        let tonic = tonic.map(|tonic| tonic.unsqueeze());
        let drive = |t: usize| {
            let x = input.clone().narrow(1, t, 1).reshape([batch, channels]).matmul(projection.clone());
            match &tonic {
                Some(tonic) => x + tonic.clone(),
                None => x,
            }
        };
        let now = self.constants.as_ref().map(|constants| constants.plan(plan, self.each()));
        let plan = now.as_ref().unwrap_or(plan);
        let constants = self.constants_to_differentiate_by();
        let ReadoutTensors { weights, activity_weight } = readout;
        let start = Start {
            weights: self.scaled_weights(),
            v0: state.v,
            s0: state.s,
            readout: weights,
            activity_weight,
            constants,
        };
        scan::reference::run(steps, drive, start, plan, self.config.scheme)
    }

    /// Parameters in units of 1/ms: times 1/τ_m, and for their last axis by 1/θ where thresholds are learned.
    fn scaled<const D: usize>(&self, parameters: Tensor<D>) -> Tensor<D> {
        // To be multiplied by: Burn differentiates a division by a number in single precision.
        let unit = 1.0 / self.config.membrane_tau();
        match &self.constants {
            Some(constants) => constants.scaled(parameters, unit),
            None => parameters * unit,
        }
    }

    /// U/τ_m and I_o/τ_m.
    fn scaled_projection(&self) -> (Tensor<2>, Option<Tensor<1>>) {
        let input = match &self.unreached {
            Some(unreached) => unreached.erase(self.input.val()),
            None => self.input.val(),
        };
        (self.scaled(input), self.tonic.as_ref().map(|tonic| self.scaled(tonic.val())))
    }

    /// W/τ_m, `[M, N, N]`.
    fn scaled_weights(&self) -> Option<Tensor<3>> {
        let scaled = |k: usize| self.scaled(self.weights(k));
        match self.recurrent.len() {
            0 => None,
            1 => Some(scaled(0).unsqueeze()),
            planes => Some(Tensor::stack((0..planes).map(scaled).collect(), 0)),
        }
    }
}
