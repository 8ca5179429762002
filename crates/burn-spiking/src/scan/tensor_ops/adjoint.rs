//! The explicit adjoint in tensor operations. Its derivation is in [`scan`](crate::scan).

use super::gradients::Found;
use super::{by_place, connections_of, dynamics_of, kept, tensor};
use crate::neuron::planar::{Jacobian, Moved};
use crate::num::Number;
use crate::scan::dynamics::{DynamicsOn, PlanarSlopes};
use crate::scan::surrogate::slopes_without_spike;
use crate::scan::tensor_number::TensorNumber;
use crate::scan::{AdjointRequest, GradientMask, InputGradients, OutputGradients, ScanInputs, ScanPlan, ScanTape};
use burn::backend::{Backend, TensorMetadata};

/// The factor min(1, L/|λ|) of each sample, `[B, 1]`.
fn share_within<B: Backend>(lambda: &TensorNumber<B>, limit: f64) -> TensorNumber<B> {
    let norm = (lambda.clone() * lambda.clone()).summed_but_first().sqrt();
    let share = if limit.is_finite() { norm.one().times(limit) / norm.within(limit, f64::MAX) } else { norm.one() };
    share.unsqueezed_after(1)
}

/// Runs the adjoint
/// ([`SpikingBackend::spiking_scan_adjoint`](crate::scan::SpikingBackend::spiking_scan_adjoint)).
pub fn adjoint<B: Backend>(request: AdjointRequest<B>, plan: &ScanPlan, wanted: GradientMask) -> InputGradients<B> {
    let AdjointRequest { inputs, tape, gradients } = request;
    let connections = connections_of(&inputs, plan);
    let (v0, s0) = (TensorNumber::<B>(inputs.v0.clone()), TensorNumber::<B>(inputs.s0.clone()));
    let currents = kept(&tape.currents);
    let steps = currents.0.shape()[1];
    let zero = v0.zeros(v0.0.shape());
    let (d_v, d_charge) = (tensor(&gradients.v), tensor(&gradients.charge));
    let (d_last_v, d_last_s) = (tensor(&gradients.last_v), tensor(&gradients.last_s));
    let traces = direct_errors(&inputs, &tape, &gradients, plan);
    let d_w = direct_error_of_w(&gradients, plan);

    let dynamics = dynamics_of(plan, &v0);
    let path = Path::of(&tape, &currents, (&v0, &s0), (plan, &dynamics));
    let states =
        if wanted.constants { states_of((0..steps).map(|t| path.charge(t, &dynamics)), &s0, plan) } else { Vec::new() };
    let mut d_tau = zero.clone();
    let mut d_width = zero.clone();
    let (mut d_second, mut d_jump) = (zero.clone(), zero.clone());
    let mut d_decays = vec![zero.clone(); plan.synapses.len()];
    let mut lambda = d_last_v.unwrap_or(zero.clone());
    // κ, the adjoint of w.
    let of_w = |d_last_s: &TensorNumber<B>| Some(d_last_s.index(1, plan.second_variable_row()?));
    let mut kappa = plan.second_variable_row().map(|_| d_last_s.as_ref().and_then(of_w).unwrap_or(zero.clone()));
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
        if let Some(d_w) = &d_w {
            kappa = kappa.map(|kappa| kappa + d_w.index(1, t));
        }
        let current = currents.index(1, t);
        let (v, v_after, charge) = (path.v(t), path.v(t + 1), path.charge(t, &dynamics));

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
        if let Some(jump) = kappa.clone().and_then(|kappa| dynamics.jump(kappa)) {
            mu = mu + jump;
        }
        let (density_after, density) = match plan.surrogate() {
            Some(surrogate) => (surrogate.density((v_after.clone() + charge.clone()).plus(-1.0)), zero.clone()),
            None => (dynamics.density(v_after.clone()), dynamics.density(v.clone())),
        };
        let lambda_pre = lambda + density_after * mu.clone();
        let slopes = path.slopes(t);
        let (by_v, by_w, by_i) = match slopes.map(|slopes| slopes.of_state.clone()) {
            Some(Jacobian { v: [vv, vw, vi], w: [wv, ww, wi] }) => ([vv, wv], Some([vw, ww]), [vi, wi]),
            None => {
                let (dv, di) = match plan.surrogate().and_then(|_| slopes_without_spike(&plan.neuron, plan.dt)) {
                    Some((by_v, by_i)) => (v.one().times(by_v), v.one().times(by_i)),
                    None => dynamics.slopes(v.clone(), current.clone()),
                };
                ([dv, zero.clone()], None, [di, zero.clone()])
            }
        };
        // The adjoint of a variable or of the current, from its effects on v and on w.
        let back = |[on_v, on_w]: [TensorNumber<B>; 2]| match &kappa {
            Some(kappa) => on_v * lambda_pre.clone() + on_w * kappa.clone(),
            None => on_v * lambda_pre.clone(),
        };
        if wanted.constants {
            let by_tau = dynamics.slope_by_tau(v_after.clone(), current, by_i[0].clone());
            d_tau = d_tau + lambda_pre.clone() * by_tau;
            let by_width = dynamics.charge_by_width(v_after) - dynamics.charge_by_width(v.clone());
            d_width = d_width + mu.clone() * by_width;
            if let (Some([by_tau, by_second]), Some(kappa)) =
                (slopes.and_then(|slopes| slopes.of_constants.clone()), &kappa)
            {
                d_tau = d_tau + back(by_tau);
                d_second = d_second + back(by_second);
                d_jump = d_jump + kappa.clone() * charge.clone();
            }
        }
        let mut q = back(by_i);
        lambda = back(by_v) - density * mu;
        kappa = by_w.map(back);
        if let Some((limit, keep)) = adjoint_limit {
            let share = share_within(&lambda, limit);
            let left = share.clone().times(keep);
            (lambda, q) = (lambda * left.clone(), q * left.clone());
            p.iter_mut().for_each(|p| *p = p.clone() * left.clone());
            kappa = kappa.map(|kappa| kappa * share);
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
    d_s0.extend(kappa);
    d_drive.reverse();
    let sums = [d_tau, d_width, d_second, d_jump].into_iter().take(plan.neuron_constants());
    let sums = sums.map(|by| of_constant(by, plan));
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

/// The gradient of a constant of the neurons, from the contributions of the neurons, `[B, N]`. It
/// is `[1]`, or `[N]` if each neuron has its own constants.
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

/// w′, `[B, T, N]`; `None` if it is 0.
pub(in crate::scan) fn direct_error_of_w<B: Backend>(
    gradients: &OutputGradients<B>,
    plan: &ScanPlan,
) -> Option<TensorNumber<B>> {
    Some(tensor(&gradients.traces)?.index(0, plan.second_variable_plane()?))
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

/// The potentials of a run before and after each step, from its tape.
enum Path<B: Backend> {
    /// v_0 and vpre_t of neurons with one variable.
    Potentials(TensorNumber<B>, TensorNumber<B>),
    /// v_0 and the steps of neurons with two variables. The tape has no potentials of such neurons,
    /// so they run again.
    Planar(TensorNumber<B>, Vec<PlanarStep<B>>),
}

/// The state after a step, and the derivatives of the step.
type PlanarStep<B> = (Moved<TensorNumber<B>>, PlanarSlopes<TensorNumber<B>>);

impl<B: Backend> Path<B> {
    fn of(
        tape: &ScanTape<B>,
        currents: &TensorNumber<B>,
        (v0, s0): (&TensorNumber<B>, &TensorNumber<B>),
        (plan, dynamics): (&ScanPlan, &DynamicsOn<TensorNumber<B>>),
    ) -> Self {
        let Some(row) = plan.second_variable_row() else {
            return Self::Potentials(v0.clone(), kept(&tape.potentials));
        };
        let (mut v, mut w, mut path) = (v0.clone(), s0.index(1, row), Vec::new());
        for t in 0..currents.0.shape()[1] {
            let (next, slopes) = dynamics.planar_step_and_slopes(v.clone(), w.clone(), currents.index(1, t));
            let charge = next.spikes.clone() + (dynamics.charge(next.v.clone()) - dynamics.charge(v));
            let jump = dynamics.jump(charge).unwrap_or(w.zero());
            (v, w) = (next.v.clone(), next.w.clone() + jump);
            path.push((next, slopes));
        }
        Self::Planar(v0.clone(), path)
    }

    /// v_t.
    fn v(&self, t: usize) -> TensorNumber<B> {
        match self {
            Self::Potentials(v0, _) | Self::Planar(v0, _) if t == 0 => v0.clone(),
            Self::Potentials(_, potentials) => {
                let before = potentials.index(1, t - 1);
                before.clone() - before.spikes()
            }
            Self::Planar(_, path) => path[t - 1].0.v.clone(),
        }
    }

    /// The derivatives of step t of neurons with two variables.
    fn slopes(&self, t: usize) -> Option<&PlanarSlopes<TensorNumber<B>>> {
        match self {
            Self::Potentials(..) => None,
            Self::Planar(_, path) => Some(&path[t].1),
        }
    }

    /// ΔQ_t.
    fn charge(&self, t: usize, dynamics: &DynamicsOn<TensorNumber<B>>) -> TensorNumber<B> {
        let spikes = match self {
            Self::Potentials(_, potentials) => potentials.index(1, t).spikes(),
            Self::Planar(_, path) => path[t].0.spikes.clone(),
        };
        spikes + (dynamics.charge(self.v(t + 1)) - dynamics.charge(self.v(t)))
    }
}

/// sᵏ_t of all steps, computed again from the charges.
fn states_of<B: Backend>(
    charges: impl Iterator<Item = TensorNumber<B>>,
    s0: &TensorNumber<B>,
    plan: &ScanPlan,
) -> Vec<Vec<TensorNumber<B>>> {
    let mut s: Vec<TensorNumber<B>> = (0..plan.synapses.len()).map(|k| s0.index(1, k)).collect();
    let mut states = Vec::new();
    for charge in charges {
        states.push(s.clone());
        for (synapse, s) in plan.synapses.iter().zip(&mut s) {
            *s = s.clone().times(synapse.decay) + charge.clone().times(synapse.amplitude);
        }
    }
    states
}
