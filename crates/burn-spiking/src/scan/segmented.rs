//! Checkpointing for programs that run all their steps at once. A run is cut into segments, and
//! each segment is a run of its own.
//!
//! In the forward pass, each segment starts from the last state of the previous segment, and only
//! these states are kept. In the backward pass, each segment runs again from its first state, this
//! time with its tape. Its adjoint takes ∂C/∂v_0 and ∂C/∂s_0 of the next segment as the gradients
//! of its own last state. This is correct because two calls in sequence are equivalent to one call.
//! Memory grows in proportion to B √T N, instead of B T N with all steps kept.

use super::tensor_number::TensorNumber;
use super::{
    Adjoint, AdjointRequest, Checkpointing, GradientMask, InputGradients, OptionalTensor, OutputGradients, ScanInputs,
    ScanOutput, ScanPlan, ScanTape,
};
use burn::backend::{Backend, Slice, TensorMetadata, tensor::FloatTensor};

/// The largest memory of a run, in bytes, for which all its steps are kept.
const KEPT: usize = 1 << 30;

/// The approximate number of tensors `[B, T, N]` that a run and its adjoint hold at a time.
const ROWS: usize = 8;

/// The number of steps in a segment; `None` if all steps are kept. `size` is the size of a number
/// in bytes.
pub(super) fn every(plan: &ScanPlan, [batch, steps, neurons]: [usize; 3], size: usize) -> Option<usize> {
    let root = (steps as f64).sqrt().ceil() as usize;
    let every = match plan.checkpointing {
        // `Adjoint::Limited` multiplies P, but not D, by a factor that depends on T. A segment that
        // runs on its own would give another result, so the run is not cut. `Adjoint::MeanField`
        // has its own tape.
        _ if plan.adjoint != Adjoint::Exact => steps,
        Checkpointing::Auto if batch * steps * neurons * size * ROWS <= KEPT => steps,
        Checkpointing::Currents => steps,
        Checkpointing::Auto | Checkpointing::States => root,
        Checkpointing::Every(every) => every,
    };
    (every < steps).then_some(every)
}

/// The part `from..to` of an axis.
fn steps_of<B: Backend>(tensor: FloatTensor<B>, axis: usize, [from, to]: [usize; 2]) -> FloatTensor<B> {
    let mut slices = vec![Slice::full(); axis + 1];
    slices[axis] = Slice::new(from as isize, Some(to as isize), 1);
    B::float_slice(tensor, &slices)
}

/// The same part of a tensor that may be absent.
fn part_of<B: Backend>(slot: &OptionalTensor<B>, axis: usize, segment: [usize; 2]) -> OptionalTensor<B> {
    slot.as_option().map(|tensor| steps_of::<B>(tensor.clone(), axis, segment)).into()
}

fn joined<B: Backend>(parts: Vec<OptionalTensor<B>>, axis: usize) -> OptionalTensor<B> {
    let parts: Option<Vec<_>> = parts.into_iter().map(OptionalTensor::into_option).collect();
    parts.map(|mut parts| if parts.len() == 1 { parts.remove(0) } else { B::float_cat(parts, axis) }).into()
}

/// The segments of a run in order: for each, its first step and the step after its last step.
fn segments(steps: usize, every: usize) -> impl DoubleEndedIterator<Item = [usize; 2]> + ExactSizeIterator {
    (0..steps.div_ceil(every)).map(move |at| [at * every, ((at + 1) * every).min(steps)])
}

/// Runs all steps in segments of `every` steps, each by `run`. The tape holds the state before each
/// segment, `[B, segments, 1 + H, N]`.
pub(super) fn forward<B: Backend>(
    inputs: ScanInputs<B>,
    plan: &ScanPlan,
    every: usize,
    run: impl Fn(ScanInputs<B>, &ScanPlan, bool) -> ScanOutput<B>,
) -> ScanOutput<B> {
    let steps = inputs.drive.shape()[1];
    let (mut v, mut s) = (inputs.v0.clone(), inputs.s0.clone());
    let (mut states, mut parts) = (Vec::new(), Vec::new());
    for segment in segments(steps, every) {
        let start: TensorNumber<B> = TensorNumber(v.clone());
        states.push(TensorNumber::<B>(B::float_cat(vec![start.unsqueezed_at(1).0, s.clone()], 1)));
        let drive = steps_of::<B>(inputs.drive.clone(), 1, segment);
        let activity_weight = part_of(&inputs.activity_weight, 1, segment);
        let part = run(ScanInputs { drive, v0: v, s0: s, activity_weight, ..inputs.clone() }, plan, false);
        (v, s) = (part.last_v.clone(), part.last_s.clone());
        parts.push(part);
    }
    let mut collected: [Vec<OptionalTensor<B>>; 5] = Default::default();
    for part in parts {
        let slots = [part.traces, part.v, part.charge, part.readout, part.activity];
        collected.iter_mut().zip(slots).for_each(|(all, slot)| all.push(slot));
    }
    let [traces, v_rows, charge, readout, activity] = collected;
    ScanOutput {
        traces: joined(traces, 2),
        v: joined(v_rows, 1),
        charge: joined(charge, 1),
        readout: joined(readout, 1),
        activity: activity.into_iter().reduce(OptionalTensor::plus).unwrap_or(OptionalTensor::Absent),
        last_v: v,
        last_s: s,
        tape: ScanTape { states: OptionalTensor::Present(TensorNumber::stack(states, 1).0), ..ScanTape::empty() },
    }
}

/// Runs the adjoint of [`forward`]. Each segment runs again by `run`, and then its adjoint runs by
/// `back`.
pub(super) fn adjoint<B: Backend>(
    request: AdjointRequest<B>,
    plan: &ScanPlan,
    wanted: GradientMask,
    every: usize,
    run: impl Fn(ScanInputs<B>, &ScanPlan, bool) -> ScanOutput<B>,
    back: impl Fn(AdjointRequest<B>, &ScanPlan, GradientMask) -> InputGradients<B>,
) -> InputGradients<B> {
    let AdjointRequest { inputs, tape, gradients } = request;
    let steps = inputs.drive.shape()[1];
    let states = TensorNumber::<B>(tape.states.into_option().expect("the forward run kept its states"));
    let rows = plan.state_rows();
    let (mut last_v, mut last_s) = (gradients.last_v.clone(), gradients.last_s.clone());
    let mut found = Vec::new();
    for (at, segment) in segments(steps, every).enumerate().rev() {
        let state = states.index(1, at);
        let part = |slot: &OptionalTensor<B>, axis| part_of(slot, axis, segment);
        let inputs = ScanInputs {
            drive: steps_of::<B>(inputs.drive.clone(), 1, segment),
            v0: state.index(1, 0).0,
            s0: steps_of::<B>(state.0.clone(), 1, [1, 1 + rows]),
            activity_weight: part(&inputs.activity_weight, 1),
            ..inputs.clone()
        };
        let gradients = OutputGradients {
            traces: part(&gradients.traces, 2),
            v: part(&gradients.v, 1),
            charge: part(&gradients.charge, 1),
            readout: part(&gradients.readout, 1),
            activity: gradients.activity.clone(),
            last_v,
            last_s,
        };
        let tape = run(inputs.clone(), plan, true).tape;
        let first = at == 0;
        let request = AdjointRequest { inputs, tape, gradients };
        let part = back(request, plan, GradientMask { s0: wanted.s0 || !first, ..wanted });
        (last_v, last_s) = (OptionalTensor::Present(part.v0.clone()), part.s0.clone());
        found.push(part);
    }
    found.reverse();
    let drive = joined(found.iter().map(|part| part.drive.clone()).collect(), 1);
    let of_parameters = found.into_iter().reduce(InputGradients::plus).expect("there is a first segment");
    let v0 = last_v.into_option().expect("there is a first segment");
    InputGradients { drive, v0, s0: last_s, ..of_parameters }
}
