//! The explicit adjoint in tensor operations. Its derivation is in [`scan`](crate::scan).

use super::gradients::Found;
use super::{by_place, connections_of, dynamics_of, kept, tensor};
use crate::num::Number;
use crate::scan::dynamics::DynamicsOn;
use crate::scan::tensor_number::TensorNumber;
use crate::scan::{AdjointRequest, GradientMask, InputGradients, OutputGradients, ScanInputs, ScanPlan, ScanTape};
use burn::backend::{Backend, TensorMetadata};

/// The factor keep · min(1, L/|λ|) of each sample, `[B, 1]`.
fn left_of<B: Backend>(lambda: &TensorNumber<B>, limit: f64, keep: f64) -> TensorNumber<B> {
    let norm = (lambda.clone() * lambda.clone()).summed_but_first().sqrt();
    let left = if limit.is_finite() { norm.one().times(limit) / norm.within(limit, f64::MAX) } else { norm.one() };
    left.times(keep).unsqueezed_after(1)
}

/// Runs the adjoint
/// ([`SpikingBackend::spiking_scan_adjoint`](crate::scan::SpikingBackend::spiking_scan_adjoint)).
pub fn adjoint<B: Backend>(request: AdjointRequest<B>, plan: &ScanPlan, wanted: GradientMask) -> InputGradients<B> {
    let AdjointRequest { inputs, tape, gradients } = request;
    let connections = connections_of(&inputs, plan);
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
    let asked = |k: usize| wanted.of_connections(plan.synapses[k].connections);
    let mut by_weights: Vec<Option<TensorNumber<B>>> = vec![None; plan.synapses.len()];
    let mut add_weights = |k: usize, more: TensorNumber<B>| {
        by_weights[k] = Some(match by_weights[k].take() {
            Some(sum) => sum + more,
            None => more,
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
            if let Some(connection) = &connections[k] {
                p[k] = arriving(&d_drive, k, t + 1).unwrap_or(zero.clone()) + p[k].clone().times(synapse.decay);
                error = error + connection.errors(p[k].clone());
            }
            mu = mu + error.times(synapse.amplitude);
            if let Some(s) = states.get(t) {
                let s = s[k].clone();
                let mut by_decay = d[k].clone() * s.clone();
                if let Some(connection) = &connections[k] {
                    by_decay = by_decay + p[k].clone() * connection.current(s);
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
        for (k, synapse) in plan.synapses.iter().enumerate() {
            if let (Some(connection), true) = (&connections[k], asked(k)) {
                add_weights(k, connection.gradient(charge.clone().times(synapse.amplitude), p[k].clone()));
            }
        }
        d_drive.push(q.clone());
    }

    let mut d_s0 = Vec::new();
    for (k, synapse) in plan.synapses.iter().enumerate() {
        let mut d_s = d[k].clone().times(synapse.decay);
        if let Some(connection) = &connections[k] {
            let p0 = arriving(&d_drive, k, 0).unwrap_or(zero.clone()) + p[k].clone().times(synapse.decay);
            d_s = d_s + connection.errors(p0.clone());
            if asked(k) {
                add_weights(k, connection.gradient(s0.index(1, k), p0));
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
    let (weights, self_weights) = by_place(plan, by_weights);
    let found = Found {
        q: TensorNumber::stack(d_drive, 1),
        weights,
        self_weights,
        v0: lambda,
        s0: d_s0,
        constants: if wanted.constants { Some(TensorNumber::joined(sums.collect())) } else { None },
    };
    found.gradients(inputs, &tape, tensor(&gradients.readout), wanted)
}

/// The gradient of τ_mem or w, from the contributions of the neurons, `[B, N]`. It is `[1]`, or
/// `[N]` if each neuron has its own constants.
pub(in crate::scan) fn of_constant<B: Backend>(parts: TensorNumber<B>, plan: &ScanPlan) -> TensorNumber<B> {
    if plan.per_neuron.is_some() { parts.summed_rows() } else { parts.summed() }
}

/// ∂C/∂(currents in transit at the start), row by row; `None` if it is 0. `q` gives q_t.
pub(in crate::scan) fn d_on_the_way<'a, B: Backend>(
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
pub(in crate::scan) fn direct_errors<B: Backend>(
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
