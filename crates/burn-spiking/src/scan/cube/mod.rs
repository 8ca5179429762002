//! The scan on GPUs: one launch runs all steps forwards, another all steps backwards. One source
//! serves every CubeCL runtime.
//!
//! [`forward`] and [`adjoint`] are the kernels. [`layout`] divides a run among the units of a
//! device. [`model`] holds flow and gate as code of a kernel; they are compiled from the same
//! source as on the CPU, by way of [`expression`] numbers; [`planar`] does this for neurons with
//! two variables. Burn's matrix products do everything that is not a recursion: the projection
//! before a run, the readout after it, and the gradients of parameters.
//!
//! A run whose rows would fill the memory is cut into segments, see [`segmented`].
//!
//! The tape is that of [`tensor_ops`], which runs the scan if the kernel cannot: if the network's
//! rows need more shared memory than a cube has, if the device has too few buffer bindings, or if
//! the adjoint is limited and the network has no recurrent weights.

mod active;
#[allow(clippy::collapsible_if, reason = "an `if` of its own is decided when the kernel is compiled")]
mod adjoint;
mod expression;
mod forward;
mod layout;
mod model;
mod planar;

use super::tensor_number::TensorNumber;
use super::tensor_ops::{
    self, Found, by_place, connections_of, d_on_the_way, direct_error_of_w, direct_errors, drive_of, kept, of_constant,
    output_and_activity, tensor,
};
use super::{
    AdjointRequest, GradientMask, Implementation, InputGradients, OptionalTensor, ScanInputs, ScanOutput, ScanPlan,
    ScanTape, SpikingBackend,
};
use super::{fallback, mean_field, segmented};
use crate::num::Number;
use burn::backend::TensorMetadata;
use burn::backend::cubecl::dtype_to_storage_type;
use burn::backend::ops::FloatTensorOps;
use burn::tensor::{DType, Shape, TensorData};
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;
use layout::{Layout, Type};
use model::Model;
use std::sync::Arc;

type Tensors = TensorNumber<CubeBackend>;

/// The plan that the kernel runs. Unlike the caller's plan, it always records the trace of the
/// readout.
fn recording(plan: &ScanPlan) -> ScanPlan {
    let mut plan = plan.clone();
    if let Some(k) = plan.readout {
        plan.synapses[k].readout = true;
    }
    plan
}

/// The layout of a run; `None` if tensor operations run it.
fn layout_of(plan: &ScanPlan, v0: &CubeTensor, tape: bool) -> Option<Layout> {
    let neurons = v0.shape()[1];
    if plan.implementation != Implementation::Fused {
        return None;
    }
    if tape && plan.surrogate().is_some() {
        fallback::tell(plan, || "Adjoint::Surrogate has no kernel on a GPU".into());
        return None;
    }
    if plan.planar_constants {
        fallback::tell(plan, || format!("{} with learned constants has no kernel on a GPU", plan.neuron));
        return None;
    }
    if plan.adjoint.adjoint_limit(1, 1).is_some() && plan.weight_planes() == 0 {
        fallback::tell(plan, || "Adjoint::Limited without recurrent weights has no kernel on a GPU".into());
        return None;
    }
    assert!(
        matches!(v0.dtype, DType::F32 | DType::F64),
        "a spiking scan runs in f32 or f64, not in {:?}; cast the inputs and the layer",
        v0.dtype
    );
    let layout = Layout::of(plan, neurons, tape, dtype_to_storage_type(v0.dtype), &v0.client);
    layout.inspect_err(|why| fallback::tell(plan, || why.clone())).ok()
}

/// An uninitialised tensor on the device and with the dtype of `like`; it has one element if it is
/// not wanted.
fn space(like: &CubeTensor, wanted: bool, shape: &[usize]) -> CubeTensor {
    let shape = if wanted { Shape::from(shape.to_vec()) } else { Shape::from([1]) };
    empty_device_contiguous_dtype(like.client.clone(), like.device.clone(), shape, like.dtype)
}

/// A tensor as an argument of the kernel; a tensor of one element if there is none.
fn given(like: &CubeTensor, tensor: Option<CubeTensor>) -> CubeTensor {
    tensor.map_or_else(|| space(like, false, &[]), into_contiguous)
}

/// The table of constants that the kernel of a model reads.
fn table(like: &CubeTensor, plan: &ScanPlan, model: &Model) -> CubeTensor {
    let table = model.table(plan);
    if table.is_empty() {
        return space(like, false, &[]);
    }
    CubeBackend::float_from_data(TensorData::from(&*table).convert_dtype(like.dtype), &like.device)
}

/// The weight planes, followed by the rows of self-weights, as the kernels read them.
fn all_weights(
    weights: &OptionalTensor<CubeBackend>,
    self_weights: &OptionalTensor<CubeBackend>,
) -> Option<CubeTensor> {
    let flat = |tensor: &CubeTensor| {
        let length = tensor.shape().num_elements();
        CubeBackend::float_reshape(tensor.clone(), Shape::from([length]))
    };
    match (weights.as_option(), self_weights.as_option()) {
        (weights, None) => weights.cloned(),
        (None, Some(own)) => Some(flat(own)),
        (Some(weights), Some(own)) => Some(CubeBackend::float_cat(vec![flat(weights), flat(own)], 0)),
    }
}

fn slot(wanted: bool, tensor: CubeTensor) -> OptionalTensor<CubeBackend> {
    if wanted { OptionalTensor::Present(tensor) } else { OptionalTensor::Absent }
}

impl SpikingBackend for CubeBackend {
    fn spiking_scan(inputs: ScanInputs<Self>, plan: Arc<ScanPlan>, keep_tape: bool) -> ScanOutput<Self> {
        if keep_tape && plan.rates.is_some() {
            return mean_field::forward(inputs, &plan, |inputs, plan| forward_of(inputs, plan, false));
        }
        match every_of(&inputs, &plan).filter(|_| keep_tape) {
            Some(every) => segmented::forward(inputs, &plan, every, forward_of),
            None => forward_of(inputs, &plan, keep_tape),
        }
    }

    fn spiking_scan_adjoint(
        request: AdjointRequest<Self>,
        plan: Arc<ScanPlan>,
        wanted: GradientMask,
    ) -> InputGradients<Self> {
        if plan.rates.is_some() {
            return mean_field::adjoint(request, &plan, wanted);
        }
        match every_of(&request.inputs, &plan) {
            Some(every) => segmented::adjoint(request, &plan, wanted, every, forward_of, adjoint_of),
            None => adjoint_of(request, &plan, wanted),
        }
    }
}

/// Number of steps of a segment; `None` if the run is not cut into segments.
fn every_of(inputs: &ScanInputs<CubeBackend>, plan: &ScanPlan) -> Option<usize> {
    let [batch, steps, _] = inputs.drive.shape().dims::<3>();
    segmented::every(plan, [batch, steps, inputs.v0.shape()[1]], inputs.v0.dtype.size())
}

fn forward_of(inputs: ScanInputs<CubeBackend>, plan: &ScanPlan, keep_tape: bool) -> ScanOutput<CubeBackend> {
    match layout_of(&recording(plan), &inputs.v0, keep_tape) {
        Some(layout) => run(inputs, plan, layout),
        None => tensor_ops::forward::<CubeBackend>(inputs, plan, keep_tape),
    }
}

fn adjoint_of(
    request: AdjointRequest<CubeBackend>,
    plan: &ScanPlan,
    wanted: GradientMask,
) -> InputGradients<CubeBackend> {
    match layout_of(&recording(plan), &request.inputs.v0, true) {
        Some(layout) => run_back(request, plan, wanted, layout),
        None => tensor_ops::adjoint::<CubeBackend>(request, plan, wanted),
    }
}

fn run(inputs: ScanInputs<CubeBackend>, plan: &ScanPlan, layout: Layout) -> ScanOutput<CubeBackend> {
    let drive = into_contiguous(drive_of(&inputs).0);
    let [batch, steps, neurons] = drive.shape().dims::<3>();
    let recorded = recording(plan);
    let planes = recorded.recorded_planes();
    let like = &drive;
    let rows = [batch, steps, neurons];
    let (v, charge) = (space(like, plan.record_v, &rows), space(like, plan.record_charge, &rows));
    let traces = space(like, planes > 0, &[planes, batch, steps, neurons]);
    let (currents, potentials) = (space(like, layout.tape, &rows), space(like, layout.tape && !layout.planar, &rows));
    let (last_v, last_s) =
        (space(like, true, &[batch, neurons]), space(like, true, &[batch, layout.state_rows, neurons]));
    let keep_tape = layout.tape;
    let model = Model::of(plan);
    let readout_plane = plan.readout.and_then(|k| layout.types[k].readout);
    forward::run::launch(
        &drive.client,
        layout.cubes(batch, neurons),
        layout.cube(),
        drive.clone().into_tensor_arg(),
        given(like, all_weights(&inputs.weights, &inputs.self_weights)).into_tensor_arg(),
        into_contiguous(inputs.v0).into_tensor_arg(),
        into_contiguous(inputs.s0).into_tensor_arg(),
        table(&drive, plan, &model).into_tensor_arg(),
        traces.clone().into_tensor_arg(),
        v.clone().into_tensor_arg(),
        charge.clone().into_tensor_arg(),
        currents.clone().into_tensor_arg(),
        potentials.clone().into_tensor_arg(),
        last_v.clone().into_tensor_arg(),
        last_s.clone().into_tensor_arg(),
        steps as u32,
        neurons as u32,
        layout,
        model,
        dtype_to_storage_type(drive.dtype),
    );

    let last_s = in_order_of_arrival(TensorNumber(last_s), plan, steps).0;
    let traces: Tensors = TensorNumber(traces);
    let trace = readout_plane.map(|plane| traces.index(0, plane));
    let (output, activity) =
        output_and_activity(tensor(&inputs.readout), trace.clone(), tensor(&inputs.activity_weight));
    let optional = |tensor: Option<Tensors>| OptionalTensor::from(tensor.map(|TensorNumber(tensor)| tensor));
    // The kernel may have recorded one trace more than the caller asked for.
    let traces = match plan.recorded_planes() {
        0 => OptionalTensor::Absent,
        all if all == planes => OptionalTensor::Present(traces.0),
        _ => {
            let planes = plan.readout_planes().zip(recorded.readout_planes());
            let planes = planes.filter_map(|(asked, recorded)| asked.and(recorded));
            let planes = planes.chain(recorded.second_variable_plane());
            OptionalTensor::Present(TensorNumber::stack(planes.map(|plane| traces.index(0, plane)).collect(), 0).0)
        }
    };
    ScanOutput {
        traces,
        v: slot(plan.record_v, v),
        charge: slot(plan.record_charge, charge),
        readout: optional(output),
        activity: optional(activity),
        last_v,
        last_s,
        tape: ScanTape {
            currents: slot(keep_tape, currents),
            potentials: slot(keep_tape && !plan.neuron.is_planar(), potentials),
            trace: if keep_tape { optional(trace) } else { OptionalTensor::Absent },
            ..ScanTape::empty()
        },
    }
}

/// Returns the rows of a state with the currents on their way in the order of arrival. In `rows`
/// they are in the order of the kernel's ring buffers.
fn in_order_of_arrival(rows: Tensors, plan: &ScanPlan, steps: usize) -> Tensors {
    if plan.synapses.iter().all(|synapse| synapse.delay == 0 || steps.is_multiple_of(synapse.delay)) {
        return rows;
    }
    let mut order: Vec<usize> = (0..plan.synapses.len()).collect();
    for k in 0..plan.synapses.len() {
        let on_the_way = plan.rows_on_the_way(k);
        let delay = on_the_way.len();
        order.extend((0..delay).map(|i| on_the_way.start + (steps + i) % delay));
    }
    order.extend(plan.second_variable_row());
    TensorNumber::stack(order.into_iter().map(|row| rows.index(1, row)).collect(), 1)
}

/// The rows that the adjoint of neurons with two variables reads; see [`planar::path`].
fn path(inputs: &ScanInputs<CubeBackend>, currents: &CubeTensor, plan: &ScanPlan, layout: &Layout) -> CubeTensor {
    let [batch, steps, neurons] = currents.shape().dims::<3>();
    let path = space(currents, true, &[planar::PLANES, batch, steps, neurons]);
    let model = Model::of(plan);
    let cube = CubeDim::new_1d(64);
    planar::path::launch(
        &currents.client,
        CubeCount::Static((batch * neurons).div_ceil(64) as u32, 1, 1),
        cube,
        currents.clone().into_tensor_arg(),
        into_contiguous(inputs.v0.clone()).into_tensor_arg(),
        into_contiguous(inputs.s0.clone()).into_tensor_arg(),
        table(currents, plan, &model).into_tensor_arg(),
        path.clone().into_tensor_arg(),
        steps as u32,
        neurons as u32,
        batch as u32,
        layout.clone(),
        model,
        dtype_to_storage_type(currents.dtype),
    );
    path
}

fn run_back(
    request: AdjointRequest<CubeBackend>,
    plan: &ScanPlan,
    wanted: GradientMask,
    layout: Layout,
) -> InputGradients<CubeBackend> {
    let AdjointRequest { inputs, tape, gradients } = request;
    let currents = into_contiguous(kept(&tape.currents).0);
    let potentials = match layout.planar {
        true => path(&inputs, &currents, plan, &layout),
        false => into_contiguous(kept(&tape.potentials).0),
    };
    let [batch, steps, neurons] = currents.shape().dims::<3>();
    let (types, with_current) = (plan.synapses.len(), layout.with_current);
    let kinds: Vec<Type> = layout.types.clone();
    let like = &currents;
    let rows = [batch, steps, neurons];

    // s′ of the types that are read, in the kernel's order of trace planes.
    let errors = direct_errors(&inputs, &tape, &gradients, plan);
    let zero = || TensorNumber(like.clone()).zeros(rows);
    let d_w = direct_error_of_w(&gradients, plan);
    let d_traces = (d_w.is_some() || errors.iter().any(Option::is_some)).then(|| {
        let read = errors.into_iter().zip(&layout.types).filter(|(_, kind)| kind.readout.is_some());
        let read = read.map(|(error, _)| error).chain(layout.w_plane.map(|_| d_w));
        let mut read: Vec<Tensors> = read.map(|error| error.unwrap_or_else(zero)).collect();
        if read.len() == 1 { read.remove(0).0 } else { TensorNumber::stack(read, 0).0 }
    });
    let (d_last_v, d_last_s) = (tensor(&gradients.last_v), tensor(&gradients.last_s));
    let d_last = (d_last_v.is_some() || d_last_s.is_some()).then(|| {
        let like: Tensors = TensorNumber(inputs.v0.clone());
        let v = d_last_v.unwrap_or_else(|| like.zeros([batch, neurons]));
        let mut all = vec![v];
        all.extend((0..layout.state_rows).map(|row| match &d_last_s {
            Some(s) => s.index(1, row),
            None => like.zeros([batch, neurons]),
        }));
        TensorNumber::stack(all, 1).0
    });
    let adjoint_limit = plan.adjoint.adjoint_limit(batch, steps);
    let flags = adjoint::AdjointFlags {
        traces: d_traces.is_some(),
        v: gradients.v.as_option().is_some(),
        charge: gradients.charge.as_option().is_some(),
        last: d_last.is_some(),
        limited: adjoint_limit.is_some(),
    };
    let (limit, keep) = adjoint_limit.unwrap_or((0.0, 1.0));
    let weights = all_weights(&inputs.weights, &inputs.self_weights);
    let transposed =
        inputs.weights.as_option().cloned().map(|weights| TensorNumber::<CubeBackend>(weights).transposed().0);

    let model = Model::of(plan);
    let (q, charge) = (space(like, true, &rows), space(like, true, &rows));
    // With learned constants, the rows Fᵏ follow the rows Pᵏ.
    let p_rows = if layout.learned { 2 * with_current } else { with_current };
    let p = space(like, with_current > 0, &[p_rows, batch, steps, neurons]);
    let starts = space(like, true, &[batch, layout.rows_at_start(), neurons]);
    let (planar, second_row) = (layout.planar, layout.second_row_at_start());
    let element = dtype_to_storage_type(currents.dtype);
    let cubes = layout.cubes(batch, neurons);
    let cube = layout.cube();
    adjoint::run::launch(
        &currents.client,
        cubes,
        cube,
        currents.clone().into_tensor_arg(),
        potentials.into_tensor_arg(),
        into_contiguous(inputs.v0.clone()).into_tensor_arg(),
        given(like, weights).into_tensor_arg(),
        given(like, transposed).into_tensor_arg(),
        given(like, d_traces).into_tensor_arg(),
        given(like, gradients.v.as_option().cloned()).into_tensor_arg(),
        given(like, gradients.charge.as_option().cloned()).into_tensor_arg(),
        given(like, d_last).into_tensor_arg(),
        table(like, plan, &model).into_tensor_arg(),
        q.clone().into_tensor_arg(),
        charge.clone().into_tensor_arg(),
        p.clone().into_tensor_arg(),
        starts.clone().into_tensor_arg(),
        steps as u32,
        neurons as u32,
        InputScalar::new(limit.min(f32::MAX as f64), element),
        InputScalar::new(keep, element),
        flags,
        layout,
        model,
        element,
    );

    let (charge, p, starts): (Tensors, Tensors, Tensors) =
        (TensorNumber(charge), TensorNumber(p), TensorNumber(starts));
    let connections = connections_of(&inputs, plan);
    let s0: Tensors = TensorNumber(inputs.s0.clone());
    let mut by_weights: Vec<Option<Tensors>> = Vec::new();
    let mut d_s0 = Vec::new();
    let sums = 1 + 2 * (types + with_current);
    let mut d_constants = Vec::new();
    if wanted.constants {
        d_constants.extend([0, 1].map(|at| of_constant(starts.index(1, sums + at), plan)));
    }
    for (k, synapse) in plan.synapses.iter().enumerate() {
        let mut d_s = starts.index(1, 1 + k);
        let mut d_decay = wanted.constants.then(|| {
            let at_start = s0.index(1, k) * starts.index(1, 1 + types + with_current + k);
            (at_start + starts.index(1, sums + 2 + k)).summed()
        });
        let mut of_type = None;
        if let (Some(c), Some(connection)) = (kinds[k].current, &connections[k]) {
            // The gradient of the weights from rows of Pᵏ, or of Fᵏ, and their value at the start.
            let from = |rows: usize, at_start: Tensors| {
                let sent = connection.gradient(charge.clone().rows(), p.index(0, rows).rows());
                sent.times(synapse.amplitude) + connection.gradient(s0.index(1, k), at_start)
            };
            let p0 = starts.index(1, 1 + types + c);
            if wanted.s0 {
                d_s = d_s + connection.errors(p0.clone());
            }
            if wanted.of_connections(synapse.connections) {
                of_type = Some(from(c, p0));
            }
            if let Some(sum) = d_decay.take() {
                let f0 = starts.index(1, 1 + 2 * types + with_current + c);
                d_decay = Some(sum + connection.weighted_sum(from(with_current + c, f0)));
            }
        }
        by_weights.push(of_type);
        d_constants.extend(d_decay);
        d_s0.push(d_s);
    }
    let (q, d_last_s): (Tensors, _) = (TensorNumber(q), tensor(&gradients.last_s));
    let on_the_way = d_on_the_way(plan, steps, d_last_s.as_ref(), |t| q.index(1, t));
    d_s0.extend(on_the_way.map(|d| d.unwrap_or_else(|| q.zeros([batch, neurons]))));
    d_s0.extend(planar.then(|| starts.index(1, second_row)));
    let (weights, self_weights) = by_place(plan, by_weights);
    let found = Found {
        q,
        weights,
        self_weights,
        v0: starts.index(1, 0),
        s0: d_s0,
        constants: (!d_constants.is_empty()).then(|| TensorNumber::joined(d_constants)),
    };
    found.gradients(inputs, &tape, tensor(&gradients.readout), wanted)
}
