//! A layer's runs: over series, over lengths, step by step, in the reference; with a readout taken along or not.

use super::rnn::SpikingRnn;
use super::sequence::{Timing, run_lengths};
use super::state::SpikingState;
use super::trajectory::{GateNow, StepOutput, Trajectory};
use crate::error::ForwardError;
use crate::scan::autodiff::NO_GRADIENT;
use crate::scan::{self, Arguments, Drive, Implementation, Integrator, Run, ScanPlan, finite};
use burn::tensor::Tensor;
use std::sync::Arc;

/// Inputs of up to this many channels are projected inside the scan, step by step, so that no drive `[B, T, N]` exists; beyond,
/// one matrix product over all steps is faster.
const PROJECTED_CHANNELS: usize = 64;

/// What a run that takes a readout along has beside the layer's own tensors.
pub(crate) struct ReadoutTensors {
    /// O, `[N, O]`.
    pub(crate) weights: Option<Tensor<2>>,
    /// m, the weights of the steps in the activity, `[B, T]`; 1 if `None`.
    pub(crate) activity_weight: Option<Tensor<2>>,
}

impl ReadoutTensors {
    pub(super) fn none() -> Self {
        Self { weights: None, activity_weight: None }
    }
}

impl SpikingRnn {
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
    /// asked of [`Gate::Threshold`](crate::Gate::Threshold), and if a value becomes infinite or NaN (in the CPU kernel; elsewhere if the configuration
    /// has `check_finite`).
    pub fn forward(&self, input: Tensor<3>, state: Option<SpikingState>) -> (Trajectory, SpikingState) {
        self.run_planned(input, state, self.plan.clone())
    }

    /// As [`forward`](Self::forward), for callers that cannot panic: an input or a state that does not fit, and a run whose end is
    /// infinite or NaN, is an error. Waits for the device.
    ///
    /// # Errors
    /// [`ForwardError`] names what was found, what must be, and the remedy.
    ///
    /// # Panics
    /// If a gradient is asked of [`Gate::Threshold`](crate::Gate::Threshold) by the input or the state alone, while all parameters are
    /// frozen.
    pub fn try_forward(
        &self,
        input: Tensor<3>,
        state: Option<SpikingState>,
    ) -> Result<(Trajectory, SpikingState), ForwardError> {
        let (start_v, run) = self.try_run(input, state, (*self.plan).clone(), |input, state, plan| {
            self.run(input, Some(state), ReadoutTensors::none(), plan)
        })?;
        Ok(self.output_of(run, start_v, None))
    }

    /// Runs a plan that is told to find infinite values and NaN nowhere, and looks for them at the end. Returns v_0 and the run.
    pub(crate) fn try_run(
        &self,
        input: Tensor<3>,
        state: Option<SpikingState>,
        plan: ScanPlan,
        run: impl Fn(Tensor<3>, SpikingState, Arc<ScanPlan>) -> Run,
    ) -> Result<(Tensor<2>, Run), ForwardError> {
        let input = self.config.in_layout(input);
        let state = self.complete_state(state, input.dims()[0]);
        self.fits(&input, &state)?;
        self.has_a_gradient(&input)?;
        let (start_v, [_, steps, _]) = (state.v.clone(), input.dims());
        let plan = ScanPlan { check_finite: false, panic_if_not_finite: false, ..plan };
        let run = run(input, state, Arc::new(plan));
        match finite::find_in_run(&run, steps) {
            Some(found) => Err(ForwardError::NotFinite(found)),
            None => Ok((start_v, run)),
        }
    }

    /// Refuses a gate without a gradient where one would be asked of it.
    pub(crate) fn has_a_gradient(&self, input: &Tensor<3>) -> Result<(), ForwardError> {
        let mut parameters = self.recurrent_weights.iter().map(|weights| weights.is_require_grad());
        let bias = self.bias.as_ref().is_some_and(|bias| bias.is_require_grad());
        let learns = parameters.any(|learns| learns) || bias || self.input_weight.is_require_grad();
        let device = self.device();
        let asked = device.clone().inner() != device && (learns || input.is_require_grad());
        match asked && !self.plan.gate.is_differentiable() && self.plan.rates.is_none() {
            true => Err(ForwardError::Mismatch(NO_GRADIENT.into())),
            false => Ok(()),
        }
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
    pub fn step(&self, input: Tensor<2>, state: Option<SpikingState>) -> (StepOutput, SpikingState) {
        let run = self.run(input.unsqueeze_dim(1), state, ReadoutTensors::none(), self.plan.clone());
        let state = SpikingState { v: run.last_v.clone(), s: run.last_s.clone() };
        (StepOutput::of(run), state)
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
    pub(crate) fn recording_all(mut self) -> Self {
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
        let input = self.config.in_layout(input);
        let state = self.complete_state(state, input.dims()[0]);
        let start_v = state.v.clone();
        self.output_of(self.run(input, Some(state), ReadoutTensors::none(), plan), start_v, None)
    }

    /// The same for samples that end at different steps.
    fn run_lengths(
        &self,
        input: Tensor<3>,
        lengths: &[usize],
        state: Option<SpikingState>,
        plan: Arc<ScanPlan>,
    ) -> (Trajectory, SpikingState) {
        let input = self.config.in_layout(input);
        let state = self.complete_state(state, input.dims()[0]);
        self.check_input(&input, &state);
        let start_v = state.v.clone();
        let run = run_lengths(input, lengths, state, |input, state| {
            self.run(input, Some(state), ReadoutTensors::none(), plan.clone())
        });
        self.output_of(run, start_v, Some(lengths))
    }

    /// How the series of a run lie in time.
    pub(crate) fn timing(&self, lengths: Option<&[usize]>) -> Timing {
        Timing { dt: self.config.dt, batch_first: self.config.batch_first, lengths: lengths.map(Arc::from) }
    }

    /// A run's parts as the layer gives them.
    ///
    /// - `start_v`: the potentials that it started from, `[B, N]`.
    pub(crate) fn output_of(
        &self,
        run: Run,
        start_v: Tensor<2>,
        lengths: Option<&[usize]>,
    ) -> (Trajectory, SpikingState) {
        let in_layout = |x: Tensor<3>| self.config.in_layout(x);
        let logit_width = self.constants.as_ref().and_then(|constants| constants.logit_width.as_ref());
        let trajectory = Trajectory {
            traces: run.traces.into_iter().map(in_layout).collect(),
            v: run.v.map(in_layout),
            charge: run.charge.map(in_layout),
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
        let ReadoutTensors { weights, activity_weight } = readout;
        let arguments = Arguments { readout: weights, activity_weight, ..self.arguments(input, state) };
        let plan = match &self.constants {
            Some(constants) => Arc::new(constants.plan(&plan, self.each())),
            None => plan,
        };
        match self.config.integrator {
            Integrator::Flow => scan::scan(arguments, &plan),
            Integrator::Heun => scan::oracle::run(arguments, &plan, Integrator::Heun),
        }
    }

    /// Whether Burn differentiates the run, step by step.
    fn is_differentiated_by_burn(&self) -> bool {
        self.config.integrator == Integrator::Heun || self.plan.implementation == Implementation::Autodiff
    }

    /// N, where neurons have constants of their own.
    fn each(&self) -> Option<usize> {
        self.config.learned.each().then_some(self.config.d_hidden)
    }

    /// What the layer lets [`scan`] run on: its parameters in units of 1/ms.
    ///
    /// - `input`: `[B, T, C]`.
    /// - `state`: the state to start from; at rest if `None`.
    ///
    /// # Panics
    /// If the input's channels or the state's shape do not fit the layer, or if dtypes or devices differ.
    pub fn arguments(&self, input: Tensor<3>, state: Option<SpikingState>) -> Arguments {
        let [channels, neurons] = self.input_weight.dims();
        let [batch, steps, _] = input.dims();
        let state = self.complete_state(state, batch);
        self.check_input(&input, &state);

        let (projection, bias) = self.scaled_projection();
        let drive = match channels <= PROJECTED_CHANNELS || self.is_differentiated_by_burn() {
            true => Drive::Projected { input, projection, bias },
            false => {
                let drive = input.reshape([batch * steps, channels]).matmul(projection);
                let drive = match bias {
                    Some(bias) => drive + bias.unsqueeze(),
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

    /// τ_mem, w, α_1 … α_K, where one of them is learned.
    fn constants_to_differentiate_by(&self) -> Option<Tensor<1>> {
        let constants = self.constants.as_ref().filter(|_| self.plan.constants)?;
        Some(constants.tensor(&self.plan, self.each(), &self.options()))
    }

    /// The state to start from, at rest if `None`; with nothing on its way if it has the traces alone.
    pub(crate) fn complete_state(&self, state: Option<SpikingState>, batch: usize) -> SpikingState {
        let state = state.unwrap_or_else(|| self.resting_state(batch));
        let [_, rows, _] = state.s.dims();
        // The traces alone say that nothing is on its way.
        if rows == self.plan.synapses.len() { state.with_rows(self.plan.state_rows()) } else { state }
    }

    /// Panics if an input `[B, T, C]` or a state does not fit the layer.
    pub(crate) fn check_input(&self, input: &Tensor<3>, state: &SpikingState) {
        if let Err(error) = self.fits(input, state) {
            panic!("{error}");
        }
    }

    /// Refuses an input `[B, T, C]` or a state that does not fit the layer.
    pub(crate) fn fits(&self, input: &Tensor<3>, state: &SpikingState) -> Result<(), ForwardError> {
        let mismatch = |message: String| Err(ForwardError::Mismatch(message));
        let [channels, neurons] = self.input_weight.dims();
        let [batch, steps, found] = input.dims();
        if found != channels {
            return mismatch(format!(
                "the input has {found} channels, but the layer has d_input {channels}; give [batch, steps, {channels}], or \
                 [steps, batch, {channels}] to a layer that is not batch_first"
            ));
        }
        if batch == 0 || steps == 0 {
            return mismatch(format!(
                "the input has {batch} samples of {steps} time steps, but needs at least 1 of each"
            ));
        }
        self.fits_kind(input, "input")?;
        let (rows, found) = (self.plan.state_rows(), (state.v.dims(), state.s.dims()));
        if found != ([batch, neurons], [batch, rows, neurons]) {
            return mismatch(format!(
                "the state has v {:?} and s {:?}, but this layer in steps of {} ms needs v {:?} and s {:?} for {batch} samples; take it \
                 from a run of the same layer, its `resting_state` or `state_from_potential`",
                found.0,
                found.1,
                self.config.dt,
                [batch, neurons],
                [batch, rows, neurons]
            ));
        }
        self.fits_kind(&state.v, "state's v")?;
        self.fits_kind(&state.s, "state's s")
    }

    /// Refuses a tensor of another dtype or on another device than the parameters.
    fn fits_kind<const D: usize>(&self, tensor: &Tensor<D>, name: &str) -> Result<(), ForwardError> {
        let own = self.input_weight.val();
        let (dtype, device) = (tensor.dtype(), tensor.device().inner());
        let (own_dtype, own_device) = (own.dtype(), own.device().inner());
        if dtype != own_dtype {
            return Err(ForwardError::Mismatch(format!(
                "the {name} is {dtype:?}, but the layer's parameters are {own_dtype:?}; cast the {name}"
            )));
        }
        if device != own_device {
            return Err(ForwardError::Mismatch(format!(
                "the {name} is on {device:?}, but the layer's parameters are on {own_device:?}; move the {name} with `to_device`"
            )));
        }
        Ok(())
    }

    /// Parameters in units of 1/ms: times 1/τ_u, and for their last axis by 1/θ where thresholds are learned.
    fn scaled<const D: usize>(&self, parameters: Tensor<D>) -> Tensor<D> {
        // To be multiplied by: Burn differentiates a division by a number in single precision.
        let unit = 1.0 / self.config.time_unit_ms();
        match &self.constants {
            Some(constants) => constants.scaled(parameters, unit),
            None => parameters * unit,
        }
    }

    /// U/τ_u and I_o/τ_u.
    fn scaled_projection(&self) -> (Tensor<2>, Option<Tensor<1>>) {
        let input = match &self.unreached {
            Some(unreached) => unreached.erase(self.input_weight.val()),
            None => self.input_weight.val(),
        };
        (self.scaled(input), self.bias.as_ref().map(|bias| self.scaled(bias.val())))
    }

    /// W/τ_u, `[M, N, N]`.
    fn scaled_weights(&self) -> Option<Tensor<3>> {
        let scaled = |k: usize| self.scaled(self.connected_weights(k));
        match self.recurrent_weights.len() {
            0 => None,
            1 => Some(scaled(0).unsqueeze()),
            planes => Some(Tensor::stack((0..planes).map(scaled).collect(), 0)),
        }
    }
}
