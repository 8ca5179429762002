//! Runs of a layer: over whole series, over samples of different lengths, or step by step. A run
//! uses the scan or its oracle, with or without a readout inside.

use super::constants::Learn;
use super::rnn::SpikingRnn;
use super::sequence::{Timing, run_lengths};
use super::state::SpikingState;
use super::trajectory::{GateNow, StepOutput, Trajectory};
use crate::error::ForwardError;
use crate::scan::autodiff::NO_GRADIENT;
use crate::scan::{self, Adjoint, Arguments, Integrator, Run, ScanPlan, finite};
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use std::sync::Arc;

/// The tensors of a run's readout, in addition to the layer's own tensors.
pub(crate) struct ReadoutTensors {
    /// The readout weights O, `[N, O]`; `None` without a readout.
    pub(crate) weights: Option<Tensor<2>>,
    /// The weights m of the steps in the activity, `[B, T]`; all 1 if `None`.
    pub(crate) activity_weight: Option<Tensor<2>>,
}

impl ReadoutTensors {
    pub(super) fn none() -> Self {
        Self { weights: None, activity_weight: None }
    }
}

/// The error message if a run ended with a value that is infinite or NaN. Waits for the device.
fn not_finite(run: &Run, steps: usize) -> Option<String> {
    use finite::{OUTPUT, POTENTIAL, TRACE, find_in_tensor};
    find_in_tensor(POTENTIAL, &run.last_v, steps)
        .or_else(|| find_in_tensor(TRACE, &run.last_s, steps))
        .or_else(|| run.output.as_ref().and_then(|output| find_in_tensor(OUTPUT, output, steps)))
}

/// Whether a parameter of a module requires a gradient.
pub(crate) fn learns(module: &impl Module) -> bool {
    struct Learns(bool);
    impl ModuleVisitor for Learns {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0 |= param.is_require_grad();
        }
    }
    let mut learns = Learns(false);
    module.visit(&mut learns);
    learns.0
}

impl SpikingRnn {
    /// Runs the layer over an input.
    ///
    /// - `input`: `[B, T, C]`, or `[T, B, C]` if the configuration is not `batch_first`.
    /// - `state`: the initial state. If `None`, it is [`resting_state`](Self::resting_state).
    ///
    /// Returns the trajectory and the final state. Row t of the trajectory is the state after step
    /// t. A call that starts from the final state of an earlier call continues that run. Values and
    /// gradients are then the same as in one long run. A run without a gradient keeps nothing for
    /// the adjoint.
    ///
    /// # Panics
    /// If the input's channels or the state's shape do not fit the layer, if dtypes or devices
    /// differ, if a gradient through [`Gate::Threshold`](crate::Gate::Threshold) is required, or if
    /// a value becomes infinite or NaN. The CPU kernel always checks for such values. Other
    /// implementations check only if the configuration has `check_finite`.
    pub fn forward(&self, input: Tensor<3>, state: Option<SpikingState>) -> (Trajectory, SpikingState) {
        self.run_planned(input, state, self.plan.clone())
    }

    /// Runs the layer like [`forward`](Self::forward), with errors instead of panics. An input or a
    /// state that does not fit is an error, and so are values at the end of the run that are
    /// infinite or NaN. Waits for the device.
    ///
    /// # Errors
    /// A [`ForwardError`] that names the value found, the value required and the remedy.
    ///
    /// # Panics
    /// If all parameters are frozen, and a gradient through
    /// [`Gate::Threshold`](crate::Gate::Threshold) is required only by tensors from which the input
    /// or the state was computed.
    pub fn try_forward(
        &self,
        input: Tensor<3>,
        state: Option<SpikingState>,
    ) -> Result<(Trajectory, SpikingState), ForwardError> {
        let (start_v, run) =
            self.try_run((input, state), learns(self), (*self.plan).clone(), |input, state, plan| {
                self.run(input, Some(state), ReadoutTensors::none(), plan)
            })?;
        Ok(self.output_of(run, start_v, None))
    }

    /// Runs a plan without its own checks for infinite values and NaN, and checks the end of the
    /// run instead. Returns v_0 and the run.
    ///
    /// - `learns`: whether a parameter of the run requires a gradient.
    pub(crate) fn try_run(
        &self,
        (input, state): (Tensor<3>, Option<SpikingState>),
        learns: bool,
        plan: ScanPlan,
        run: impl Fn(Tensor<3>, SpikingState, Arc<ScanPlan>) -> Run,
    ) -> Result<(Tensor<2>, Run), ForwardError> {
        let input = self.config.in_layout(input);
        let state = self.complete_state(state, input.dims()[0]);
        self.fits(&input, &state)?;
        let tracked = learns || input.is_require_grad() || state.v.is_require_grad() || state.s.is_require_grad();
        if tracked && self.device().is_autodiff() && !plan.has_gradient() {
            return Err(ForwardError::Mismatch(NO_GRADIENT.into()));
        }
        let (start_v, [_, steps, _]) = (state.v.clone(), input.dims());
        let plan = ScanPlan { check_finite: false, panic_if_not_finite: false, ..plan };
        let run = run(input, state, Arc::new(plan));
        match not_finite(&run, steps) {
            Some(found) => Err(ForwardError::NotFinite(found)),
            None => Ok((start_v, run)),
        }
    }

    /// Runs the layer like [`forward`](Self::forward), for samples that end at different steps.
    /// Nothing is computed after the end of a sample. Its trajectory is 0 there, and its final
    /// state is the state after its last step. The gradients are the same as if each sample ran
    /// alone.
    ///
    /// - `input`: `[B, T, C]`, or `[T, B, C]` if the configuration is not `batch_first`. Values
    ///   after the end of a sample are ignored.
    /// - `lengths`: number of steps of each sample.
    /// - `state`: the initial state. If `None`, it is [`resting_state`](Self::resting_state).
    ///
    /// # Panics
    /// If the number of lengths is not the number of samples, or a length is not in 1 ..= T;
    /// otherwise as [`forward`](Self::forward). If a value is not finite, the message numbers the
    /// samples from the longest to the shortest, and counts the steps from the end of the sample
    /// that ended last.
    pub fn forward_lengths(
        &self,
        input: Tensor<3>,
        lengths: &[usize],
        state: Option<SpikingState>,
    ) -> (Trajectory, SpikingState) {
        self.run_lengths(input, lengths, state, self.plan.clone())
    }

    /// Runs the layer like [`forward_lengths`](Self::forward_lengths). The trajectory contains
    /// membrane potentials and charges, regardless of the configuration.
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

    /// Runs one time step, for online use. The result is that of [`forward`](Self::forward) over
    /// one step.
    ///
    /// - `input`: `[B, C]`.
    /// - `state`: the initial state. If `None`, it is [`resting_state`](Self::resting_state).
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    pub fn step(&self, input: Tensor<2>, state: Option<SpikingState>) -> (StepOutput, SpikingState) {
        let run = self.run(input.unsqueeze_dim(1), state, ReadoutTensors::none(), self.plan.clone());
        let state = SpikingState { v: run.last_v.clone(), s: run.last_s.clone() };
        (StepOutput::of(run), state)
    }

    /// Runs the layer like [`forward`](Self::forward). The trajectory contains membrane potentials,
    /// charges, and w of neurons with two variables, regardless of the configuration.
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    pub fn forward_recording(&self, input: Tensor<3>, state: Option<SpikingState>) -> (Trajectory, SpikingState) {
        self.run_planned(input, state, self.recording())
    }

    /// Returns the layer's plan with everything in the trajectory that it can contain.
    fn recording(&self) -> Arc<ScanPlan> {
        Arc::new((*self.plan).clone().recording_all())
    }

    /// Makes the layer record everything in all trajectories.
    pub(crate) fn recording_all(mut self) -> Self {
        self.plan = self.recording();
        self
    }

    /// Runs a plan of this layer over an input in the configured layout.
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

    /// Runs a plan like `run_planned`, for samples that end at different steps.
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

    /// Returns the time step, the layout and the lengths of a run's series.
    pub(crate) fn timing(&self, lengths: Option<&[usize]>) -> Timing {
        Timing { dt: self.config.dt, batch_first: self.config.batch_first, lengths: lengths.map(Arc::from) }
    }

    /// Converts a run to a trajectory and a final state.
    ///
    /// - `start_v`: the initial membrane potentials, `[B, N]`.
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
            w: run.w.map(in_layout),
            start_v,
            neuron: match (self.config.learned.tau_mem, self.config.adjoint) {
                (Learn::No, Adjoint::MeanField { .. }) => Err("Adjoint::MeanField gives potentials no gradient"),
                (Learn::No, Adjoint::Surrogate(_)) => Err("Adjoint::Surrogate replaces the derivatives of spikes"),
                (Learn::No, _) => Ok(self.config.neuron.clone()),
                _ => Err("the times have no gradient with respect to a learned tau_mem"),
            },
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
        let input_current = self.last_input_current(&arguments.drive);
        let run = match self.config.integrator {
            Integrator::Flow => scan::scan(arguments, &plan),
            Integrator::Heun => scan::oracle::run(arguments, &plan, Integrator::Heun),
        };
        match input_current {
            Some(current) => Run { last_s: Tensor::cat(vec![run.last_s, current.unsqueeze_dim(1)], 1), ..run },
            None => run,
        }
    }

    /// Returns N if neurons have their own constants, otherwise `None`.
    fn each(&self) -> Option<usize> {
        self.config.learned.each().then_some(self.config.d_hidden)
    }

    /// Returns the arguments of the layer's [`scan`]. The parameters are in units of 1/ms.
    ///
    /// - `input`: `[B, T, C]`.
    /// - `state`: the initial state. If `None`, it is [`resting_state`](Self::resting_state).
    ///
    /// # Panics
    /// If the input's channels or the state's shape do not fit the layer, or if dtypes or devices
    /// differ.
    pub fn arguments(&self, input: Tensor<3>, state: Option<SpikingState>) -> Arguments {
        let state = self.complete_state(state, input.dims()[0]);
        self.check_input(&input, &state);
        let (state, before) = self.without_input_current(state);
        let drive = self.drive(input, before);
        let constants = self.constants_to_differentiate_by();
        Arguments {
            drive,
            weights: self.scaled_weights(),
            self_weights: self.scaled_self_weights(),
            v0: state.v,
            s0: state.s,
            readout: None,
            activity_weight: None,
            constants,
        }
    }

    /// Returns τ_mem, w and α_1 … α_K as one tensor, if at least one of them is learned.
    fn constants_to_differentiate_by(&self) -> Option<Tensor<1>> {
        let constants = self.constants.as_ref().filter(|_| self.plan.constants)?;
        let of_types = |values: Tensor<1>| self.of_scan_types(values, 0);
        Some(constants.tensor(&self.plan, self.each(), &self.options(), of_types))
    }

    /// Completes the initial state. `None` becomes [`resting_state`](Self::resting_state). A state
    /// of the traces alone gets rows of zeros, so that no current is in transit and w and the input
    /// current are 0.
    pub(crate) fn complete_state(&self, state: Option<SpikingState>, batch: usize) -> SpikingState {
        let state = state.unwrap_or_else(|| self.resting_state(batch));
        let [_, rows, _] = state.s.dims();
        if rows != self.config.synapses.len() {
            return state;
        }
        SpikingState { s: self.of_scan_types(state.s, 1), ..state }.with_rows(self.state_rows())
    }

    /// Panics if an input `[B, T, C]` or a state does not fit the layer.
    pub(crate) fn check_input(&self, input: &Tensor<3>, state: &SpikingState) {
        if let Err(error) = self.fits(input, state) {
            panic!("{error}");
        }
    }

    /// Returns an error if an input `[B, T, C]` or a state does not fit the layer.
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
        let (rows, found) = (self.state_rows(), (state.v.dims(), state.s.dims()));
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

    /// Returns an error if the dtype or device of a tensor is not that of the parameters.
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

    /// Scales parameters to units of 1/ms. Multiplies them by 1/τ_u and, if thresholds are learned,
    /// by 1/θ along their last axis.
    pub(super) fn scaled<const D: usize>(&self, parameters: Tensor<D>) -> Tensor<D> {
        // A factor, not a divisor: Burn differentiates a division by a number in single precision.
        let unit = 1.0 / self.config.time_unit_ms();
        match &self.constants {
            Some(constants) => constants.scaled(parameters, unit),
            None => parameters * unit,
        }
    }

    /// Returns W/τ_u, `[M, N, N]`: one plane for each recurrent synapse type, or one for each lag
    /// of a type with learned delays.
    fn scaled_weights(&self) -> Option<Tensor<3>> {
        let planes = |k: usize| self.at_lags(k, self.scaled(self.connected_weights(k)));
        match self.recurrent_weights.len() {
            0 => None,
            1 => Some(planes(0)),
            types => Some(Tensor::cat((0..types).map(planes).collect(), 0)),
        }
    }

    /// Returns d/τ_u, `[L, N]`, one row for each synapse type that connects each neuron to itself
    /// alone.
    fn scaled_self_weights(&self) -> Option<Tensor<2>> {
        let rows: Vec<_> = self.self_weights.iter().map(|weights| self.scaled(weights.val())).collect();
        (!rows.is_empty()).then(|| Tensor::stack(rows, 0))
    }
}
