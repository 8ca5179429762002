//! The scan and its explicit adjoint in tensor operations, for backends without a kernel.
//!
//! The equations are those of [`scan`](super). All products are dense, because tensor operations
//! cannot select the active neurons. The tape keeps the current and the potential of every step
//! and, with a readout, its trace. The plan's checkpointing has no effect.

use super::dynamics::{DynamicsOn, NumberConstants};
use super::tensor_number::TensorNumber;
use super::{
    GradientMask, InputGradients, OptionalTensor, OutputGradients, ScanInputs, ScanOutput, ScanPlan, ScanSynapse,
    ScanTape,
};
use crate::gate::Zone;
use crate::neuron::membrane::Membrane;
use crate::num::{Number, Own};
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::TensorData;
use std::collections::VecDeque;

/// The flow and the gate of a plan, on tensors with the dtype and the device of `like`.
pub(super) fn dynamics_of<B: Backend>(plan: &ScanPlan, like: &TensorNumber<B>) -> DynamicsOn<TensorNumber<B>> {
    let given = plan.per_neuron.as_ref().map(|each| {
        let row = |numbers: Vec<f64>| {
            let shape = [1, numbers.len()];
            let data = TensorData::new(numbers, shape).convert_dtype(like.0.dtype());
            Own(TensorNumber::<B>(B::float_from_data(data, &like.0.device())))
        };
        let membrane = plan.neuron.learns_tau().then(|| each.membranes(plan.dt).map(row));
        NumberConstants { membrane, zone: each.zones().map(row), decays: Vec::new() }
    });
    DynamicsOn::new(&plan.neuron, plan.gate, plan.dt, given)
}

/// The flow and the gate of a plan, differentiable with respect to the constants τ_mem, w,
/// α_1 … α_K, `[2 M + K]`, with M = 1 or N.
pub(super) fn dynamics_by<B: Backend>(plan: &ScanPlan, constants: &TensorNumber<B>) -> DynamicsOn<TensorNumber<B>> {
    let types = plan.synapses.len();
    let of = (constants.0.shape()[0] - types) / 2;
    let row = |first: usize, length: usize| constants.part(first..first + length).unsqueezed(1);
    let membrane = plan.neuron.learns_tau().then(|| Membrane::of(row(0, of), plan.dt).map(Own));
    let decays = (0..types).map(|k| row(2 * of + k, 1)).collect();
    let given = NumberConstants { membrane, zone: Zone::of(row(of, of)).map(Own), decays };
    DynamicsOn::new(&plan.neuron, plan.gate, plan.dt, Some(given))
}

/// The result of one step.
pub(crate) struct Step<B: Backend> {
    /// I_t.
    pub(crate) current: TensorNumber<B>,
    /// vpre_t.
    pub(crate) vpre: TensorNumber<B>,
    /// ΔQ_t.
    pub(crate) charge: TensorNumber<B>,
}

/// The state between two steps.
#[derive(Clone)]
pub(crate) struct State<B: Backend> {
    /// v_t, `[B, N]`.
    pub(crate) v: TensorNumber<B>,
    /// G(v_t), `[B, N]`.
    pub(crate) sent: TensorNumber<B>,
    /// sᵏ_t, `[B, N]` each.
    pub(crate) s: Vec<TensorNumber<B>>,
    /// The currents of each type in transit, in the order of their arrival.
    on_the_way: Vec<VecDeque<TensorNumber<B>>>,
}

impl<B: Backend> State<B> {
    pub(crate) fn new(
        v0: TensorNumber<B>,
        s0: &TensorNumber<B>,
        plan: &ScanPlan,
        dynamics: &DynamicsOn<TensorNumber<B>>,
    ) -> Self {
        let types = 0..plan.synapses.len();
        let s = types.clone().map(|k| s0.index(1, k)).collect();
        let on_the_way = types.map(|k| plan.rows_on_the_way(k).map(|row| s0.index(1, row)).collect());
        Self { sent: dynamics.charge(v0.clone()), v: v0, s, on_the_way: on_the_way.collect() }
    }

    /// All rows except v, `[B, K + D, N]`.
    pub(crate) fn rows(self) -> TensorNumber<B> {
        TensorNumber::stack(self.s.into_iter().chain(self.on_the_way.into_iter().flatten()).collect(), 1)
    }

    /// Advances by one step under the drive x, `[B, N]`, with `phi` as the flow.
    pub(crate) fn advance(
        &mut self,
        x: TensorNumber<B>,
        weights: &[TensorNumber<B>],
        (plan, dynamics): (&ScanPlan, &DynamicsOn<TensorNumber<B>>),
        phi: impl FnOnce(TensorNumber<B>, TensorNumber<B>) -> TensorNumber<B>,
    ) -> Step<B> {
        let mut current = x;
        for ((synapse, s), on_the_way) in plan.synapses.iter().zip(&self.s).zip(&mut self.on_the_way) {
            if let Some(plane) = synapse.weights {
                on_the_way.push_back(s.clone().product(weights[plane].clone()));
                current = current + on_the_way.pop_front().expect("one was just sent on its way");
            }
        }
        let vpre = phi(self.v.clone(), current.clone());
        let n = vpre.spikes();
        self.v = vpre.clone() - n.clone();
        let sent = dynamics.charge(self.v.clone());
        let charge = n + (sent.clone() - self.sent.clone());
        self.sent = sent;
        for (k, (synapse, s)) in plan.synapses.iter().zip(&mut self.s).enumerate() {
            let amplitude =
                if synapse.amplitude == 1.0 { charge.clone() } else { charge.clone().times(synapse.amplitude) };
            *s = decayed(dynamics.decay(k), synapse, s.clone()) + amplitude;
        }
        Step { current, vpre, charge }
    }

    /// Advances by one step of [`Integrator::Heun`](super::Integrator::Heun).
    pub(crate) fn advance_by_heun(
        &mut self,
        x: TensorNumber<B>,
        weights: &[TensorNumber<B>],
        (plan, dynamics): (&ScanPlan, &DynamicsOn<TensorNumber<B>>),
        phi: impl Fn(TensorNumber<B>, TensorNumber<B>) -> TensorNumber<B>,
    ) -> Step<B> {
        let recurrent = |s: &[TensorNumber<B>]| {
            let connected = plan.synapses.iter().zip(s).filter_map(|(synapse, s)| Some((synapse.weights?, s)));
            let currents = connected.map(|(plane, s)| s.clone().product(weights[plane].clone()));
            currents.reduce(|a, b| a + b)
        };
        let traces = |charge: &TensorNumber<B>| -> Vec<TensorNumber<B>> {
            let after = |(k, (synapse, s)): (usize, (&ScanSynapse, &TensorNumber<B>))| {
                let amplitude = charge.clone().times(synapse.amplitude);
                let amplitude = match dynamics.decay(k) {
                    Some(decay) => amplitude * decay.sqrt(),
                    None => amplitude.times(synapse.decay.sqrt()),
                };
                decayed(dynamics.decay(k), synapse, s.clone()) + amplitude
            };
            plan.synapses.iter().zip(&self.s).enumerate().map(after).collect()
        };
        let settled = |current: TensorNumber<B>| {
            let vpre = phi(self.v.clone(), current);
            let n = vpre.spikes();
            let v = vpre.clone() - n.clone();
            let sent = dynamics.charge(v.clone());
            let charge = n + (sent.clone() - self.sent.clone());
            (vpre, v, sent, charge)
        };
        let Some(before) = recurrent(&self.s) else {
            let (vpre, v, sent, charge) = settled(x.clone());
            self.s = traces(&charge);
            (self.v, self.sent) = (v, sent);
            return Step { current: x, vpre, charge };
        };
        let (_, _, _, predicted) = settled(x.clone() + before.clone());
        let after = recurrent(&traces(&predicted)).expect("there are weights");
        let current = x + (before + after).times(0.5);
        let (vpre, v, sent, charge) = settled(current.clone());
        self.s = traces(&charge);
        (self.v, self.sent) = (v, sent);
        Step { current, vpre, charge }
    }
}

/// α_k s, the trace after the decay of one step.
fn decayed<B: Backend>(decay: Option<TensorNumber<B>>, synapse: &ScanSynapse, s: TensorNumber<B>) -> TensorNumber<B> {
    match decay {
        Some(decay) => s * decay,
        None => s.times(synapse.decay),
    }
}

/// Collects, step by step, the trajectories that a plan records.
pub(crate) struct Recorder<B: Backend> {
    traces: Vec<Vec<TensorNumber<B>>>,
    v: Vec<TensorNumber<B>>,
    charge: Vec<TensorNumber<B>>,
}

/// The recorded trajectories, `[B, T, N]` each.
pub(crate) struct Recording<B: Backend> {
    pub(crate) traces: Vec<TensorNumber<B>>,
    pub(crate) v: Option<TensorNumber<B>>,
    pub(crate) charge: Option<TensorNumber<B>>,
}

impl<B: Backend> Recorder<B> {
    pub(crate) fn new(plan: &ScanPlan) -> Self {
        Self { traces: vec![Vec::new(); plan.readout_traces()], v: Vec::new(), charge: Vec::new() }
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
    }

    /// Joins the steps.
    pub(crate) fn finish(self) -> Recording<B> {
        let joined = |steps: Vec<TensorNumber<B>>| (!steps.is_empty()).then(|| TensorNumber::stack(steps, 1));
        let traces = self.traces.into_iter().map(|steps| TensorNumber::stack(steps, 1)).collect();
        Recording { traces, v: joined(self.v), charge: joined(self.charge) }
    }
}

fn planes<B: Backend>(weights: &OptionalTensor<B>, plan: &ScanPlan) -> Vec<TensorNumber<B>> {
    let weights = weights.as_option().map(|w| TensorNumber::<B>(w.clone()));
    (0..plan.weight_planes()).filter_map(|m| weights.as_ref().map(|w| w.index(0, m))).collect()
}

/// A tensor of the tape, which the forward run must have kept.
pub(super) fn kept<B: Backend>(slot: &OptionalTensor<B>) -> TensorNumber<B> {
    tensor(slot).expect("the forward run kept its tape")
}

/// The tensor of a slot, if there is one.
pub(super) fn tensor<B: Backend>(slot: &OptionalTensor<B>) -> Option<TensorNumber<B>> {
    slot.as_option().map(|tensor| TensorNumber(tensor.clone()))
}

/// The drive x, `[B, T, N]`, projected if the inputs have a projection.
pub(super) fn drive_of<B: Backend>(inputs: &ScanInputs<B>) -> TensorNumber<B> {
    let drive = TensorNumber::<B>(inputs.drive.clone());
    let Some(projection) = tensor(&inputs.projection) else { return drive };
    let projected = drive.product_last(projection);
    match tensor(&inputs.bias) {
        Some(bias) => projected + bias.unsqueezed(2),
        None => projected,
    }
}

/// Runs [`SpikingBackend::spiking_scan`](super::SpikingBackend::spiking_scan) in tensor operations.
pub fn forward<B: Backend>(inputs: ScanInputs<B>, plan: &ScanPlan, keep_tape: bool) -> ScanOutput<B> {
    let drive = drive_of(&inputs);
    let ScanInputs { weights, v0, s0, readout, activity_weight, .. } = inputs;
    let (steps, weights) = (drive.0.shape()[1], planes(&weights, plan));
    let dynamics = dynamics_of(plan, &drive);
    let mut state = State::new(TensorNumber(v0), &TensorNumber(s0), plan, &dynamics);
    let mut recorder = Recorder::new(plan);
    let (mut currents, mut potentials, mut trace) = (Vec::new(), Vec::new(), Vec::new());
    for t in 0..steps {
        let step = state.advance(drive.index(1, t), &weights, (plan, &dynamics), |v, i| dynamics.phi(v, i));
        recorder.record(&state, &step.charge, plan);
        trace.extend(plan.readout.map(|k| state.s[k].clone()));
        if keep_tape {
            currents.push(step.current);
            potentials.push(step.vpre);
        }
    }
    let joined =
        |steps: Vec<TensorNumber<B>>| if steps.is_empty() { None } else { Some(TensorNumber::stack(steps, 1)) };
    let slot = |tensor: Option<TensorNumber<B>>| OptionalTensor::from(tensor.map(|tensor| tensor.0));
    let trace = joined(trace);
    let (output, activity) = output_and_activity(tensor(&readout), trace.clone(), tensor(&activity_weight));
    let Recording { traces, v, charge } = recorder.finish();
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
pub(super) fn output_and_activity<B: Backend>(
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

/// The factor keep · min(1, L/|λ|) of each sample, `[B, 1]`.
fn left_of<B: Backend>(lambda: &TensorNumber<B>, limit: f64, keep: f64) -> TensorNumber<B> {
    let norm = (lambda.clone() * lambda.clone()).summed_but_first().sqrt();
    let left = if limit.is_finite() { norm.one().times(limit) / norm.within(limit, f64::MAX) } else { norm.one() };
    left.times(keep).unsqueezed_after(1)
}

/// Runs [`SpikingBackend::spiking_scan_adjoint`](super::SpikingBackend::spiking_scan_adjoint) in
/// tensor operations.
pub fn adjoint<B: Backend>(
    inputs: ScanInputs<B>,
    tape: ScanTape<B>,
    gradients: OutputGradients<B>,
    plan: &ScanPlan,
    wanted: GradientMask,
) -> InputGradients<B> {
    let weights = planes(&inputs.weights, plan);
    let (v0, s0) = (TensorNumber::<B>(inputs.v0.clone()), TensorNumber::<B>(inputs.s0.clone()));
    let (currents, potentials) = (kept(&tape.currents), kept(&tape.potentials));
    let steps = currents.0.shape()[1];
    let zero = v0.zeros(v0.0.shape());
    let (d_v, d_charge) = (tensor(&gradients.v), tensor(&gradients.charge));
    let (d_last_v, d_last_s) = (tensor(&gradients.last_v), tensor(&gradients.last_s));
    let traces = direct_errors(&inputs, &tape, &gradients, plan);

    let dynamics = dynamics_of(plan, &v0);
    let states = if wanted.constants { states_of(&potentials, &v0, &s0, (plan, &dynamics)) } else { Vec::new() };
    let mut d_tau = zero.clone();
    let mut d_width = zero.clone();
    let mut d_decays = vec![zero.clone(); plan.synapses.len()];
    let mut lambda = d_last_v.unwrap_or(zero.clone());
    let mut d = vec![zero.clone(); plan.synapses.len()];
    let mut p = vec![zero.clone(); plan.synapses.len()];
    let adjoint_limit = plan.adjoint.adjoint_limit(v0.0.shape()[0], steps);
    let mut d_drive = Vec::with_capacity(steps);
    let mut d_weights: Vec<Option<TensorNumber<B>>> = vec![None; weights.len()];
    let mut add_weights = |plane: usize, pre: TensorNumber<B>, post: TensorNumber<B>| {
        let outer = pre.transposed().product(post);
        d_weights[plane] = Some(match d_weights[plane].take() {
            Some(sum) => sum + outer,
            None => outer,
        });
    };

    // The adjoint of Jᵏ_t in transit: q of the step in which it arrives. `found` holds the q
    // computed so far, the last step first.
    let arriving = |found: &[TensorNumber<B>], k: usize, t: usize| {
        let arrival = t + plan.synapses[k].delay;
        d_arriving(plan, k, (arrival, steps), d_last_s.as_ref(), |t| found[steps - 1 - t].clone())
    };
    for t in (0..steps).rev() {
        if let Some(d_v) = &d_v {
            lambda = lambda + d_v.index(1, t);
        }
        let (current, vpre) = (currents.index(1, t), potentials.index(1, t));
        let n = vpre.spikes();
        let v_after = vpre - n.clone();
        let v = match t {
            0 => v0.clone(),
            _ => {
                let before = potentials.index(1, t - 1);
                before.clone() - before.spikes()
            }
        };
        let charge = n + (dynamics.charge(v_after.clone()) - dynamics.charge(v.clone()));

        let mut mu = d_charge.as_ref().map_or(zero.clone(), |d_charge| d_charge.index(1, t));
        for (k, synapse) in plan.synapses.iter().enumerate() {
            d[k] = d[k].clone().times(synapse.decay);
            if let Some(d_trace) = &traces[k] {
                d[k] = d[k].clone() + d_trace.index(1, t);
            }
            if let (Some(d_last_s), true) = (&d_last_s, t + 1 == steps) {
                d[k] = d[k].clone() + d_last_s.index(1, k);
            }
            let mut error = d[k].clone();
            if let Some(plane) = synapse.weights {
                p[k] = arriving(&d_drive, k, t + 1).unwrap_or(zero.clone()) + p[k].clone().times(synapse.decay);
                error = error + p[k].clone().product(weights[plane].clone().transposed());
            }
            mu = mu + error.times(synapse.amplitude);
            if let Some(s) = states.get(t) {
                let s = s[k].clone();
                let mut by_decay = d[k].clone() * s.clone();
                if let Some(plane) = synapse.weights {
                    by_decay = by_decay + p[k].clone() * s.product(weights[plane].clone());
                }
                d_decays[k] = d_decays[k].clone() + by_decay;
            }
        }
        let lambda_pre = lambda + dynamics.density(v_after.clone()) * mu.clone();
        let (dv, di) = dynamics.slopes(v.clone(), current.clone());
        if wanted.constants {
            let by_tau = dynamics.slope_by_tau(v_after.clone(), current, di.clone());
            d_tau = d_tau + lambda_pre.clone() * by_tau;
            let by_width = dynamics.charge_by_width(v_after) - dynamics.charge_by_width(v.clone());
            d_width = d_width + mu.clone() * by_width;
        }
        let mut q = di * lambda_pre.clone();
        lambda = dv * lambda_pre - dynamics.density(v) * mu;
        if let Some((limit, keep)) = adjoint_limit {
            let left = left_of(&lambda, limit, keep);
            (lambda, q) = (lambda * left.clone(), q * left.clone());
            p.iter_mut().for_each(|p| *p = p.clone() * left.clone());
        }
        let recurrent = plan.synapses.iter().zip(&p).filter(|_| wanted.weights);
        for (synapse, p) in recurrent {
            if let Some(plane) = synapse.weights {
                add_weights(plane, charge.clone().times(synapse.amplitude), p.clone());
            }
        }
        d_drive.push(q.clone());
    }

    let mut d_s0 = Vec::new();
    for (k, synapse) in plan.synapses.iter().enumerate() {
        let mut d_s = d[k].clone().times(synapse.decay);
        if let Some(plane) = synapse.weights {
            let p0 = arriving(&d_drive, k, 0).unwrap_or(zero.clone()) + p[k].clone().times(synapse.decay);
            d_s = d_s + p0.clone().product(weights[plane].clone().transposed());
            if wanted.weights {
                add_weights(plane, s0.index(1, k), p0);
            }
        }
        d_s0.push(d_s);
    }
    d_s0.extend(
        d_on_the_way(plan, steps, d_last_s.as_ref(), |t| d_drive[steps - 1 - t].clone())
            .map(|d| d.unwrap_or(zero.clone())),
    );
    d_drive.reverse();
    let sums = [d_tau, d_width].into_iter().map(|by| of_constant(by, plan));
    let sums = sums.chain(d_decays.into_iter().map(TensorNumber::summed));
    let found = Found {
        q: TensorNumber::stack(d_drive, 1),
        weights: d_weights.into_iter().flatten().collect(),
        v0: lambda,
        s0: d_s0,
        constants: if wanted.constants { Some(TensorNumber::joined(sums.collect())) } else { None },
    };
    found.gradients(inputs, &tape, tensor(&gradients.readout), wanted)
}

/// The gradient of τ_mem or w, from the contributions of the neurons, `[B, N]`. It is `[1]`, or
/// `[N]` if each neuron has its own constants.
pub(super) fn of_constant<B: Backend>(parts: TensorNumber<B>, plan: &ScanPlan) -> TensorNumber<B> {
    if plan.per_neuron.is_some() { parts.summed_rows() } else { parts.summed() }
}

/// ∂C/∂(currents in transit at the start), row by row; `None` if it is 0. `q` gives q_t.
pub(super) fn d_on_the_way<'a, B: Backend>(
    plan: &'a ScanPlan,
    steps: usize,
    d_last_s: Option<&'a TensorNumber<B>>,
    q: impl Fn(usize) -> TensorNumber<B> + 'a,
) -> impl Iterator<Item = Option<TensorNumber<B>>> + 'a {
    let arrivals = (0..plan.synapses.len()).flat_map(|k| (0..plan.synapses[k].delay).map(move |arrival| (k, arrival)));
    arrivals.map(move |(k, arrival)| d_arriving(plan, k, (arrival, steps), d_last_s, &q))
}

/// ∂C/∂(a current of type k that arrives in the step `arrival`). It is the q of that step. If the
/// current arrives after the end of the run, it is the cost's gradient with respect to the current
/// still in transit. `None` if it is 0.
fn d_arriving<B: Backend>(
    plan: &ScanPlan,
    k: usize,
    (arrival, steps): (usize, usize),
    d_last_s: Option<&TensorNumber<B>>,
    q: impl Fn(usize) -> TensorNumber<B>,
) -> Option<TensorNumber<B>> {
    if arrival < steps {
        return Some(q(arrival));
    }
    let row = plan.rows_on_the_way(k).nth(arrival - steps)?;
    d_last_s.map(|d_last_s| d_last_s.index(1, row))
}

/// s′ of each synapse type, `[B, T, N]`, with the contributions of the readout and the activity;
/// `None` if it is 0.
pub(super) fn direct_errors<B: Backend>(
    inputs: &ScanInputs<B>,
    tape: &ScanTape<B>,
    gradients: &OutputGradients<B>,
    plan: &ScanPlan,
) -> Vec<Option<TensorNumber<B>>> {
    let d_traces = tensor(&gradients.traces);
    let mut traces: Vec<Option<TensorNumber<B>>> =
        plan.readout_planes().map(|plane| Some(d_traces.as_ref()?.index(0, plane?))).collect();
    if let (Some(k), Some(readout)) = (plan.readout, tensor(&inputs.readout)) {
        let through_output = tensor(&gradients.readout).map(|d_output| d_output.product_last(readout.transposed()));
        let through_activity =
            tensor(&gradients.activity).map(|d_activity| kept(&tape.trace).times(2.0) * d_activity.unsqueezed_after(2));
        let through_activity = through_activity.map(|error| match tensor(&inputs.activity_weight) {
            Some(weight) => error * weight.unsqueezed_after(1),
            None => error,
        });
        for more in [through_output, through_activity].into_iter().flatten() {
            traces[k] = Some(match traces[k].take() {
                Some(direct) => direct + more,
                None => more,
            });
        }
    }
    traces
}

/// The results of the backward pass.
pub(super) struct Found<B: Backend> {
    /// q_t = ∂C/∂x_t, `[B, T, N]`.
    pub(super) q: TensorNumber<B>,
    /// ∂C/∂W of each plane, `[N, N]`; empty if not wanted.
    pub(super) weights: Vec<TensorNumber<B>>,
    /// ∂C/∂v_0.
    pub(super) v0: TensorNumber<B>,
    /// ∂C/∂s_0 row by row, `[B, N]` each.
    pub(super) s0: Vec<TensorNumber<B>>,
    /// The gradient of the constants.
    pub(super) constants: Option<TensorNumber<B>>,
}

impl<B: Backend> Found<B> {
    /// The gradients that `wanted` selects.
    pub(super) fn gradients(
        self,
        inputs: ScanInputs<B>,
        tape: &ScanTape<B>,
        d_output: Option<TensorNumber<B>>,
        wanted: GradientMask,
    ) -> InputGradients<B> {
        let Self { q: d_drive, weights: d_weights, v0, s0: d_s0, constants } = self;
        let input = TensorNumber::<B>(inputs.drive);
        let projection = tensor(&inputs.projection);
        let asked = |wanted: bool, gradient: &dyn Fn() -> Option<TensorNumber<B>>| {
            OptionalTensor::from(if wanted { gradient().map(|tensor| tensor.0) } else { None })
        };
        InputGradients {
            drive: asked(wanted.drive, &|| {
                Some(match &projection {
                    Some(projection) => d_drive.clone().product_last(projection.clone().transposed()),
                    None => d_drive.clone(),
                })
            }),
            projection: asked(wanted.projection, &|| {
                Some(input.clone().rows().transposed().product(d_drive.clone().rows()))
            }),
            bias: asked(wanted.bias, &|| Some(d_drive.clone().rows().summed_rows())),
            weights: if d_weights.is_empty() {
                OptionalTensor::Absent
            } else {
                OptionalTensor::Present(TensorNumber::stack(d_weights, 0).0)
            },
            v0: v0.0,
            s0: if wanted.s0 {
                OptionalTensor::Present(TensorNumber::stack(d_s0, 1).0)
            } else {
                OptionalTensor::Absent
            },
            readout: asked(wanted.readout, &|| {
                let Some(d_output) = d_output.clone() else {
                    return tensor(&inputs.readout).map(|readout| readout.zeros(readout.0.shape()));
                };
                Some(kept(&tape.trace).rows().transposed().product(d_output.rows()))
            }),
            constants: asked(wanted.constants, &|| constants.clone()),
        }
    }
}

/// sᵏ_t of all steps, computed again from the potentials on the tape.
fn states_of<B: Backend>(
    potentials: &TensorNumber<B>,
    v0: &TensorNumber<B>,
    s0: &TensorNumber<B>,
    (plan, dynamics): (&ScanPlan, &DynamicsOn<TensorNumber<B>>),
) -> Vec<Vec<TensorNumber<B>>> {
    let mut s: Vec<TensorNumber<B>> = (0..plan.synapses.len()).map(|k| s0.index(1, k)).collect();
    let mut sent = dynamics.charge(v0.clone());
    let steps = potentials.0.shape()[1];
    let mut states = Vec::with_capacity(steps);
    for t in 0..steps {
        states.push(s.clone());
        let vpre = potentials.index(1, t);
        let n = vpre.spikes();
        let after = dynamics.charge(vpre - n.clone());
        let charge = n + (after.clone() - sent);
        sent = after;
        for (synapse, s) in plan.synapses.iter().zip(&mut s) {
            *s = s.clone().times(synapse.decay) + charge.clone().times(synapse.amplitude);
        }
    }
    states
}
