//! A layer's runs: over series, over lengths, step by step, in the reference; with a readout taken along or not.

use super::rnn::SpikingRnn;
use super::sequence::{Timing, run_lengths};
use super::state::SpikingState;
use super::trajectory::{GateNow, Step, Trajectory};
use crate::scan::reference::Start;
use crate::scan::{self, Arguments, Drive, Run, ScanPlan, Scheme};
use burn::tensor::{Tensor, assert_shape};
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
