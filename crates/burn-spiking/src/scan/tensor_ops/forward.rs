//! The forward run in tensor operations, and the recording of its trajectories.

use super::network::State;
use super::{connections_of, drive_of, dynamics_of, tensor};
use crate::scan::tensor_number::TensorNumber;
use crate::scan::{OptionalTensor, ScanInputs, ScanOutput, ScanPlan, ScanTape};
use burn::backend::{Backend, TensorMetadata};

/// Collects, step by step, the trajectories that a plan records.
pub(crate) struct Recorder<B: Backend> {
    traces: Vec<Vec<TensorNumber<B>>>,
    v: Vec<TensorNumber<B>>,
    charge: Vec<TensorNumber<B>>,
    w: Vec<TensorNumber<B>>,
}

/// The recorded trajectories, `[B, T, N]` each.
pub(crate) struct Recording<B: Backend> {
    pub(crate) traces: Vec<TensorNumber<B>>,
    pub(crate) v: Option<TensorNumber<B>>,
    pub(crate) charge: Option<TensorNumber<B>>,
    pub(crate) w: Option<TensorNumber<B>>,
}

impl<B: Backend> Recorder<B> {
    pub(crate) fn new(plan: &ScanPlan) -> Self {
        let traces = vec![Vec::new(); plan.readout_traces()];
        Self { traces, v: Vec::new(), charge: Vec::new(), w: Vec::new() }
    }

    pub(crate) fn record(&mut self, state: &State<B>, charge: &TensorNumber<B>, plan: &ScanPlan) {
        let read = plan.synapses.iter().zip(&state.s).filter(|(synapse, _)| synapse.readout);
        for (trace, (_, s)) in self.traces.iter_mut().zip(read) {
            trace.push(s.clone());
        }
        if plan.record_v {
            self.v.push(state.v.clone());
        }
        if plan.record_charge {
            self.charge.push(charge.clone());
        }
        if plan.record_w {
            self.w.extend(state.w.clone());
        }
    }

    /// Joins the steps.
    pub(crate) fn finish(self) -> Recording<B> {
        let joined = |steps: Vec<TensorNumber<B>>| (!steps.is_empty()).then(|| TensorNumber::stack(steps, 1));
        let traces = self.traces.into_iter().map(|steps| TensorNumber::stack(steps, 1)).collect();
        Recording { traces, v: joined(self.v), charge: joined(self.charge), w: joined(self.w) }
    }
}

/// Runs the scan ([`SpikingBackend::spiking_scan`](crate::scan::SpikingBackend::spiking_scan)).
pub fn forward<B: Backend>(inputs: ScanInputs<B>, plan: &ScanPlan, keep_tape: bool) -> ScanOutput<B> {
    let drive = drive_of(&inputs);
    let connections = connections_of(&inputs, plan);
    let ScanInputs { v0, s0, readout, activity_weight, .. } = inputs;
    let steps = drive.0.shape()[1];
    let dynamics = dynamics_of(plan, &drive);
    let mut state = State::new(TensorNumber(v0), &TensorNumber(s0), plan, &dynamics);
    let mut recorder = Recorder::new(plan);
    let (mut currents, mut potentials, mut trace) = (Vec::new(), Vec::new(), Vec::new());
    for t in 0..steps {
        let step = state.advance(drive.index(1, t), &connections, (plan, &dynamics), |v, i| dynamics.phi(v, i));
        recorder.record(&state, &step.charge, plan);
        trace.extend(plan.readout.map(|k| state.s[k].clone()));
        if keep_tape {
            currents.push(step.current);
            potentials.extend(step.vpre);
        }
    }
    let joined =
        |steps: Vec<TensorNumber<B>>| if steps.is_empty() { None } else { Some(TensorNumber::stack(steps, 1)) };
    let slot = |tensor: Option<TensorNumber<B>>| OptionalTensor::from(tensor.map(|tensor| tensor.0));
    let trace = joined(trace);
    let (output, activity) = output_and_activity(tensor(&readout), trace.clone(), tensor(&activity_weight));
    let Recording { mut traces, v, charge, w } = recorder.finish();
    traces.extend(w);
    ScanOutput {
        traces: if traces.is_empty() {
            OptionalTensor::Absent
        } else {
            OptionalTensor::Present(TensorNumber::stack(traces, 0).0)
        },
        v: slot(v),
        charge: slot(charge),
        readout: slot(output),
        activity: slot(activity),
        last_v: state.v.0.clone(),
        last_s: state.rows().0,
        tape: ScanTape {
            currents: slot(joined(currents)),
            potentials: slot(joined(potentials)),
            trace: if keep_tape { slot(trace) } else { OptionalTensor::Absent },
            ..ScanTape::empty()
        },
    }
}

/// The readout o, `[B, T, O]`, and the activity A, `[B]`, from the trace that is read out and the
/// weights of its steps.
pub(in crate::scan) fn output_and_activity<B: Backend>(
    readout: Option<TensorNumber<B>>,
    trace: Option<TensorNumber<B>>,
    weight: Option<TensorNumber<B>>,
) -> (Option<TensorNumber<B>>, Option<TensorNumber<B>>) {
    let output = readout.zip(trace.clone()).map(|(readout, trace)| trace.product_last(readout));
    let squares = trace.map(|trace| trace.clone() * trace);
    let weighted = squares.map(|squares| match weight {
        Some(weight) => squares * weight.unsqueezed_after(1),
        None => squares,
    });
    (output, weighted.map(TensorNumber::summed_but_first))
}
