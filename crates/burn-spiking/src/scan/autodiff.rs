//! The scan's place in Burn's graph.
//!
//! Burn's hand-written backward steps have one tracked output each. The scan has up to five, and joining them in one tensor
//! would copy every trajectory in both directions. Instead the scan's node is a small *anchor*, and each output is a node of its
//! own whose only parent is the anchor. Going back, an output leaves its gradient in a slot that the anchor shares; Burn
//! reaches the anchor when all its outputs have been, and the adjoint runs on what the slots hold.

use super::{InputGradients, OutputGradients, ScanOutput, ScanPlan, ScanTape, Slot, SpikingBackend, Wanted};
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::{Device, FloatTensor};
use burn::backend::{Autodiff, AutodiffBackend, Backend, TensorMetadata};
use burn::tensor::{DType, Shape};
use std::sync::{Arc, Mutex};

/// Gradients of the outputs, in the order of [`Output`].
type Slots<B> = Arc<Mutex<[Option<FloatTensor<B>>; 5]>>;

/// The scan's outputs that carry gradients.
#[derive(Debug, Clone, Copy)]
enum Output {
    Traces,
    V,
    Charge,
    LastV,
    LastS,
}

/// Backward of the anchor: the adjoint.
#[derive(Debug)]
struct AdjointStep;

#[derive(Debug, Clone)]
struct AdjointState<B: Backend> {
    tape: ScanTape<B>,
    slots: Slots<B>,
    plan: Arc<ScanPlan>,
}

impl<B: SpikingBackend> Backward<B, 4> for AdjointStep {
    type State = AdjointState<B>;

    fn backward(self, ops: Ops<Self::State, 4>, grads: &mut Gradients, _: &mut Checkpointer) {
        let _anchor = grads.consume::<B>(&ops.node);
        let AdjointState { tape, slots, plan } = ops.state;
        let mut slots = slots.lock().expect("no backward step panicked with the slots in hand");
        let mut take = |output: Output| Slot::from(slots[output as usize].take());
        let gradients = OutputGradients {
            traces: take(Output::Traces),
            v: take(Output::V),
            charge: take(Output::Charge),
            last_v: take(Output::LastV),
            last_s: take(Output::LastS),
        };
        let [drive, weights, v0, s0] = ops.parents;
        let wanted = Wanted { weights: weights.is_some(), s0: s0.is_some() };
        let inputs: InputGradients<B> = B::spiking_scan_adjoint(tape, gradients, plan, wanted);
        let found = [
            (drive, Some(inputs.drive)),
            (weights, inputs.weights.into_option()),
            (v0, Some(inputs.v0)),
            (s0, inputs.s0.into_option()),
        ];
        for (parent, gradient) in found {
            if let (Some(parent), Some(gradient)) = (parent, gradient) {
                grads.register::<B>(parent.id, gradient);
            }
        }
    }
}

/// Backward of an output: leaves its gradient for the anchor.
#[derive(Debug)]
struct OutputStep;

#[derive(Debug, Clone)]
struct OutputState<B: Backend> {
    slots: Slots<B>,
    output: Output,
    device: Device<B>,
    dtype: DType,
}

impl<B: Backend> Backward<B, 1> for OutputStep {
    type State = OutputState<B>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let OutputState { slots, output, device, dtype } = ops.state;
        slots.lock().expect("no backward step panicked with the slots in hand")[output as usize] = Some(gradient);
        let [anchor] = ops.parents;
        if let Some(anchor) = anchor {
            grads.register::<B>(anchor.id, anchor_value::<B>(&device, dtype));
        }
    }
}

fn anchor_value<B: Backend>(device: &Device<B>, dtype: DType) -> FloatTensor<B> {
    B::float_zeros(Shape::from([1]), device, dtype.into())
}

impl<B: SpikingBackend, C: CheckpointStrategy> SpikingBackend for Autodiff<B, C> {
    fn spiking_scan(
        drive: FloatTensor<Self>,
        weights: Slot<Self>,
        v0: FloatTensor<Self>,
        s0: FloatTensor<Self>,
        plan: Arc<ScanPlan>,
        _keep_tape: bool,
    ) -> ScanOutput<Self> {
        let (device, dtype) = (drive.device(), drive.dtype());
        let constant = |tensor| <Self as AutodiffBackend>::from_inner(tensor);
        let weights_node = match &weights {
            Slot::Full(weights) => weights.node(),
            Slot::Empty => constant(anchor_value::<B>(&device, dtype)).node(),
        };
        let nodes = [drive.node(), weights_node, v0.node(), s0.node()];
        let (drive, v0, s0) = (drive.into_primitive(), v0.into_primitive(), s0.into_primitive());
        let weights: Slot<B> = weights.into_option().map(|weights| weights.into_primitive()).into();
        match AdjointStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::UnTracked(_) => {
                let out = B::spiking_scan(drive, weights, v0, s0, plan, false);
                let slot = |slot: Slot<B>| Slot::from(slot.into_option().map(constant));
                ScanOutput {
                    traces: slot(out.traces),
                    v: slot(out.v),
                    charge: slot(out.charge),
                    last_v: constant(out.last_v),
                    last_s: constant(out.last_s),
                    tape: Slot::Empty,
                }
            }
            OpsKind::Tracked(prep) => {
                assert!(
                    plan.gate.is_differentiable(),
                    "the gate is Gate::Threshold, which has no gradient; choose a gate of width above 0, or run the \
                     layer on a device without autodiff (`module.valid()`)"
                );
                let out = B::spiking_scan(drive, weights.clone(), v0.clone(), s0.clone(), plan.clone(), true);
                let steps = out.tape.into_option().expect("the tape was asked for");
                let slots: Slots<B> = Arc::default();
                let tape = ScanTape { steps, weights, v0, s0 };
                let state = AdjointState { tape, slots: slots.clone(), plan };
                let anchor = prep.finish(state, anchor_value::<B>(&device, dtype));
                let tracked = |tensor: FloatTensor<B>, output: Output| match OutputStep
                    .prepare::<C>([anchor.node()])
                    .compute_bound()
                    .stateful()
                {
                    OpsKind::Tracked(prep) => {
                        let (slots, device) = (slots.clone(), device.clone());
                        prep.finish(OutputState { slots, output, device, dtype }, tensor)
                    }
                    OpsKind::UnTracked(prep) => prep.finish(tensor),
                };
                let slot = |slot: Slot<B>, output| Slot::from(slot.into_option().map(|tensor| tracked(tensor, output)));
                ScanOutput {
                    traces: slot(out.traces, Output::Traces),
                    v: slot(out.v, Output::V),
                    charge: slot(out.charge, Output::Charge),
                    last_v: tracked(out.last_v, Output::LastV),
                    last_s: tracked(out.last_s, Output::LastS),
                    tape: Slot::Empty,
                }
            }
        }
    }

    fn spiking_scan_adjoint(
        _: ScanTape<Self>,
        _: OutputGradients<Self>,
        _: Arc<ScanPlan>,
        _: Wanted,
    ) -> InputGradients<Self> {
        panic!("the scan has no second derivative; differentiate it once")
    }
}
