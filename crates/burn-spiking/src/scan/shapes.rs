//! The shapes of a scan's outputs on a GPU. Burn's fusion needs them, because it returns the
//! outputs before the scan has run.

use super::mean_field::Blocks;
use super::segmented;
use super::tensors::{
    AdjointRequestMetadata, InputGradientsMetadata, OptionalTensorMetadata, ScanInputsMetadata, ScanOutputMetadata,
    ScanTapeMetadata,
};
use super::{GradientMask, ScanPlan};
use burn::backend::fusion::custom::TensorSpec;
use std::sync::Arc;

/// The shapes of the outputs of a run.
pub(super) fn of_run(inputs: &ScanInputsMetadata, plan: &Arc<ScanPlan>, keep_tape: &bool) -> ScanOutputMetadata {
    let spec = |dims: &[usize]| TensorSpec::new(dims.to_vec().into(), inputs.drive.dtype);
    let slot = |there: bool, dims: &[usize]| {
        if there { OptionalTensorMetadata::Present(spec(dims)) } else { OptionalTensorMetadata::Absent }
    };
    let (batch, steps, neurons) = (inputs.drive.shape[0], inputs.drive.shape[1], inputs.v0.shape[1]);
    let run = [batch, steps, neurons];
    let read = plan.recorded_planes();
    let outputs = match (&inputs.readout, plan.readout) {
        (OptionalTensorMetadata::Present(readout), Some(_)) => Some(readout.shape[1]),
        _ => None,
    };
    ScanOutputMetadata {
        traces: slot(read > 0, &[read, batch, steps, neurons]),
        v: slot(plan.record_v, &run),
        charge: slot(plan.record_charge, &run),
        readout: slot(outputs.is_some(), &[batch, steps, outputs.unwrap_or(0)]),
        activity: slot(plan.readout.is_some(), &[batch]),
        last_v: spec(&[batch, neurons]),
        last_s: spec(&[batch, plan.state_rows(), neurons]),
        tape: match segmented::every(plan, run, inputs.drive.dtype.size()).filter(|_| *keep_tape) {
            _ if *keep_tape && plan.rates.is_some() => ScanTapeMetadata {
                means: slot(true, &[plan.synapses.len(), batch, Blocks::of(plan, steps).count(), neurons]),
                ..nothing_kept()
            },
            None => ScanTapeMetadata {
                currents: slot(*keep_tape, &run),
                potentials: slot(*keep_tape && !plan.neuron.is_planar(), &run),
                trace: slot(*keep_tape && plan.readout.is_some(), &run),
                ..nothing_kept()
            },
            Some(every) => ScanTapeMetadata {
                states: slot(true, &[batch, steps.div_ceil(every), 1 + plan.state_rows(), neurons]),
                ..nothing_kept()
            },
        },
    }
}

fn nothing_kept() -> ScanTapeMetadata {
    ScanTapeMetadata {
        currents: OptionalTensorMetadata::Absent,
        potentials: OptionalTensorMetadata::Absent,
        trace: OptionalTensorMetadata::Absent,
        states: OptionalTensorMetadata::Absent,
        means: OptionalTensorMetadata::Absent,
    }
}

/// The shapes of the outputs of an adjoint.
pub(super) fn of_adjoint(
    request: &AdjointRequestMetadata,
    _plan: &Arc<ScanPlan>,
    wanted: &GradientMask,
) -> InputGradientsMetadata {
    let inputs = &request.inputs;
    let like = |wanted: bool, slot: &OptionalTensorMetadata| {
        if wanted { slot.clone() } else { OptionalTensorMetadata::Absent }
    };
    let neurons = inputs.v0.shape[1];
    let bias = TensorSpec::new(vec![neurons].into(), inputs.drive.dtype);
    InputGradientsMetadata {
        drive: like(wanted.drive, &OptionalTensorMetadata::Present(inputs.drive.clone())),
        projection: like(wanted.projection, &inputs.projection),
        bias: like(wanted.bias, &OptionalTensorMetadata::Present(bias)),
        weights: like(wanted.weights, &inputs.weights),
        self_weights: like(wanted.self_weights, &inputs.self_weights),
        v0: inputs.v0.clone(),
        s0: like(wanted.s0, &OptionalTensorMetadata::Present(inputs.s0.clone())),
        readout: like(wanted.readout, &inputs.readout),
        constants: like(wanted.constants, &inputs.constants),
    }
}
