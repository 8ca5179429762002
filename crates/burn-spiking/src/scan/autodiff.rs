//! The scan in Burn's autodiff graph.
//!
//! A hand-written backward step of Burn has one tracked output. The scan has up to seven. If they
//! were joined in one tensor, every trajectory would be copied in both directions. Instead, the
//! scan's node is a small *anchor*. Each output is a separate node whose only parent is the anchor.
//! In the backward pass, each output stores its gradient in a slot that it shares with the anchor.
//! Burn visits the anchor after all its outputs, and the anchor runs the adjoint on the gradients
//! in the slots.

use super::tensors::DIFFERENTIABLE;
use super::{
    AdjointRequest, GradientMask, InputGradients, OptionalTensor, OutputGradients, ScanInputs, ScanOutput, ScanPlan,
    ScanTape, SpikingBackend, finite,
};
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::{Device, FloatTensor};
use burn::backend::{Autodiff, AutodiffBackend, Backend, TensorMetadata};
use burn::tensor::{DType, Shape, read_sync};
use std::sync::{Arc, Mutex};

/// The gradients of the outputs, in the order of [`Output`].
type Slots<B> = Arc<Mutex<[Option<FloatTensor<B>>; 7]>>;

/// The scan's outputs that carry gradients.
#[derive(Debug, Clone, Copy)]
enum Output {
    Traces,
    V,
    Charge,
    LastV,
    LastS,
    Readout,
    Activity,
}

/// The backward step of the anchor: it runs the adjoint.
#[derive(Debug)]
struct AdjointStep;

#[derive(Debug, Clone)]
struct AdjointState<B: Backend> {
    inputs: ScanInputs<B>,
    tape: ScanTape<B>,
    slots: Slots<B>,
    plan: Arc<ScanPlan>,
}

impl<B: SpikingBackend> Backward<B, DIFFERENTIABLE> for AdjointStep {
    type State = AdjointState<B>;

    fn backward(self, ops: Ops<Self::State, DIFFERENTIABLE>, grads: &mut Gradients, _: &mut Checkpointer) {
        let _anchor = grads.consume::<B>(&ops.node);
        let AdjointState { inputs, tape, slots, plan } = ops.state;
        let mut slots = slots.lock().expect("no backward step panicked with the slots in hand");
        let mut take = |output: Output| OptionalTensor::from(slots[output as usize].take());
        let gradients = OutputGradients {
            traces: take(Output::Traces),
            v: take(Output::V),
            charge: take(Output::Charge),
            readout: take(Output::Readout),
            activity: take(Output::Activity),
            last_v: take(Output::LastV),
            last_s: take(Output::LastS),
        };
        let parents = ops.parents;
        let mut wanted = GradientMask::of(parents.each_ref().map(Option::is_some));
        // The mean-field adjoint gives the potentials the gradient 0. Its infinite or NaN values
        // show in the gradient of the traces.
        let look_at_s0 = plan.check_finite && plan.rates.is_some();
        wanted.s0 |= look_at_s0;
        let (check, otherwise) = (plan.check_finite, plan.non_finite_gradient);
        let [batch, steps] = [inputs.drive.shape()[0], inputs.drive.shape()[1]];
        let mut found: InputGradients<B> =
            B::spiking_scan_adjoint(AdjointRequest { inputs, tape, gradients }, plan, wanted);
        if check {
            let neurons = found.v0.shape()[1];
            let (suspect, values) = match found.s0.as_option().filter(|_| look_at_s0) {
                Some(of_s0) => (finite::DRIVE_ADJOINT, of_s0.clone()),
                None => (finite::ADJOINT, found.v0.clone()),
            };
            let values = read_sync(B::float_into_data(values)).expect("the device gives what it computed");
            let values: Vec<f64> = values.iter::<f64>().collect();
            let spoiled = finite::find(suspect, &values, [batch, neurons, steps]);
            found = finite::judged(found, spoiled, otherwise);
        }
        for (parent, gradient) in parents.into_iter().zip(found.in_order()) {
            if let (Some(parent), Some(gradient)) = (parent, gradient) {
                grads.register::<B>(parent.id, gradient);
            }
        }
    }
}

/// The backward step of an output: it stores the output's gradient for the anchor.
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

/// The message of the panic if a gradient is needed and the gate has none.
pub(crate) const NO_GRADIENT: &str = "the gate is Gate::Threshold, which has no gradient; choose a gate of width above 0, or \
     Adjoint::MeanField or Adjoint::Surrogate, or run the layer on a device without autodiff (`module.valid()`)";

impl<B: SpikingBackend, C: CheckpointStrategy> SpikingBackend for Autodiff<B, C> {
    fn spiking_scan(inputs: ScanInputs<Self>, plan: Arc<ScanPlan>, _keep_tape: bool) -> ScanOutput<Self> {
        let (device, dtype) = (inputs.drive.device(), inputs.drive.dtype());
        let constant = |tensor| <Self as AutodiffBackend>::from_inner(tensor);
        let nodes = inputs.differentiable().map(|tensor| match tensor {
            Some(tensor) => tensor.node(),
            None => constant(anchor_value::<B>(&device, dtype)).node(),
        });
        let inputs: ScanInputs<B> = inputs.map(|tensor| tensor.into_primitive());
        match AdjointStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::UnTracked(_) => {
                let out = B::spiking_scan(inputs, plan, false);
                outputs(out, |tensor, _| constant(tensor))
            }
            OpsKind::Tracked(prep) => {
                assert!(plan.has_gradient(), "{NO_GRADIENT}");
                let mut out = B::spiking_scan(inputs.clone(), plan.clone(), true);
                let slots: Slots<B> = Arc::default();
                let tape = std::mem::replace(&mut out.tape, ScanTape::empty());
                // The adjoint does not read a whole drive if the tape holds the currents. The
                // currents take its place here, to free its memory.
                let drive = match (&tape.currents, &inputs.projection) {
                    (OptionalTensor::Present(currents), OptionalTensor::Absent) => currents.clone(),
                    _ => inputs.drive.clone(),
                };
                let inputs = ScanInputs { drive, ..inputs };
                let state = AdjointState { inputs, tape, slots: slots.clone(), plan };
                let anchor = prep.finish(state, anchor_value::<B>(&device, dtype));
                outputs(out, |tensor, output| {
                    match OutputStep.prepare::<C>([anchor.node()]).compute_bound().stateful() {
                        OpsKind::Tracked(prep) => {
                            let (slots, device) = (slots.clone(), device.clone());
                            prep.finish(OutputState { slots, output, device, dtype }, tensor)
                        }
                        OpsKind::UnTracked(prep) => prep.finish(tensor),
                    }
                })
            }
        }
    }

    fn spiking_scan_adjoint(_: AdjointRequest<Self>, _: Arc<ScanPlan>, _: GradientMask) -> InputGradients<Self> {
        panic!("the scan has no second derivative; differentiate it once")
    }
}

/// Puts the outputs onto the graph by `lift`. The tape of the result is empty, since the anchor
/// holds the tape.
fn outputs<B: Backend, A: Backend>(
    out: ScanOutput<B>,
    lift: impl Fn(FloatTensor<B>, Output) -> FloatTensor<A>,
) -> ScanOutput<A> {
    let slot =
        |slot: OptionalTensor<B>, output| OptionalTensor::from(slot.into_option().map(|tensor| lift(tensor, output)));
    ScanOutput {
        traces: slot(out.traces, Output::Traces),
        v: slot(out.v, Output::V),
        charge: slot(out.charge, Output::Charge),
        readout: slot(out.readout, Output::Readout),
        activity: slot(out.activity, Output::Activity),
        last_v: lift(out.last_v, Output::LastV),
        last_s: lift(out.last_s, Output::LastS),
        tape: ScanTape::empty(),
    }
}
