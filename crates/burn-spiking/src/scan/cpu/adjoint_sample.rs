//! One step of the adjoint, for one sample. The equations are in [`scan`](crate::scan).

use super::active_set::Lists;
use super::costate;
use super::gradients::Sums;
use super::matrix::{Factors, Matrix};
use super::network::{FEW_CHANNELS, Network, append_open};
use super::replay::Segment;
use super::rows::{self, ActiveSet, Row};
use super::sample::{Inputs, Outputs, Shared};
use crate::num::Real;
use crate::scan::ScanConnections;
use crate::scan::synapse::rows_on_the_way;
use macerator::Simd;
use std::ops::Range;

/// Number of steps by which rows of the cost's direct gradients are prefetched before their use.
const AHEAD: usize = 6;

/// One sample during its backward pass.
pub(super) struct Sample<'a, T> {
    outputs: Outputs<'a, T>,
    /// λ, the adjoint of v.
    lambda: Row<T>,
    /// κ, the adjoint of w; empty for neurons with one variable.
    kappa: Row<T>,
    /// Dᵏ, the filtered direct error of each trace.
    d: Vec<Row<T>>,
    /// q_t of the step processed last and of the steps after it, 1 + the longest delay in all.
    q: Matrix<T>,
    /// Pᵏ_{t+1} of the step processed last; 0 for types without a current.
    p: Vec<Row<T>>,
    /// μ. For neurons that are not active it lacks the recurrent part, which has no effect there
    /// because their gates are 0.
    pub(super) mu: Row<T>,
    /// ∂C/∂i_t, `[C]`.
    through_projection: Row<T>,
    /// Each neuron's part of the gradients of the constants, in the order of
    /// [`constants`](crate::scan::constants); empty if they are not wanted.
    constants: Vec<Row<T>>,
}

impl<'a, T: Real> Sample<'a, T> {
    pub(super) fn new(
        network: &Network<'_, T>,
        channels: usize,
        inputs: &Inputs<'a, T>,
        outputs: Outputs<'a, T>,
    ) -> Self {
        let n = network.neurons;
        // w is the last row of a state.
        let last_w = |last_s: &[T]| Row::of(&last_s[last_s.len() - n..]);
        let kappa = match (&network.jumps, inputs.last_s) {
            (Some(_), Some(last_s)) => last_w(last_s),
            (Some(_), None) => Row::zeros(n),
            (None, _) => Row::zeros(0),
        };
        Self {
            lambda: inputs.last_v.map_or_else(|| Row::zeros(n), Row::of),
            kappa,
            d: vec![Row::zeros(n); network.synapses.len()],
            q: Matrix::zeros(1 + network.longest_delay(), n),
            p: vec![Row::zeros(n); network.synapses.len()],
            mu: Row::zeros(n),
            through_projection: Row::zeros(channels),
            constants: match network.constants {
                true => vec![Row::zeros(n); network.neuron_constants + network.synapses.len()],
                false => Vec::new(),
            },
            outputs,
        }
    }

    /// Copies q and P at the start of the later segment to the rows after the last step of this
    /// segment.
    pub(super) fn enter(&self, segment: &mut Segment<T>, length: usize) {
        for after in 0..self.q.rows() {
            segment.q.row_mut(length + after).copy_from_slice(self.q.row(after));
        }
        for (rows, p) in segment.p.iter_mut().zip(&self.p).filter(|(rows, _)| rows.rows() > 0) {
            rows.row_mut(length).copy_from_slice(p);
        }
    }

    /// Keeps q and P at the start of this segment, for the segment before it.
    pub(super) fn leave(&mut self, segment: &Segment<T>) {
        for after in 0..self.q.rows() {
            self.q.row_mut(after).copy_from_slice(segment.q.row(after));
        }
        for (p, rows) in self.p.iter_mut().zip(&segment.p).filter(|(_, rows)| rows.rows() > 0) {
            p.copy_from_slice(rows.row(0));
        }
    }

    /// Computes the errors after step t: adds v′ to λ and w′ to κ, and computes D_{t+1} and
    /// P_{t+1}. Adds this step's part of the gradients of α_k, if they are wanted.
    #[inline(always)]
    pub(super) fn errors<S: Simd>(
        &mut self,
        network: &Network<'_, T>,
        shared: &Shared,
        inputs: &Inputs<'_, T>,
        segment: &mut Segment<T>,
        at: usize,
        t: usize,
    ) {
        let d = &mut self.d;
        let n = network.neurons;
        let here = t * n..(t + 1) * n;
        let one = T::of(1.0);
        if t >= AHEAD {
            let then = (t - AHEAD) * n..(t - AHEAD + 1) * n;
            for direct in inputs.traces.iter().chain([&inputs.v, &inputs.charge]).flatten() {
                rows::prefetch(&direct[then.clone()]);
            }
        }
        if let Some(d_v) = inputs.v {
            rows::add_tensor::<S, T>(&mut self.lambda, &d_v[here.clone()]);
        }
        if let Some(d_w) = inputs.w {
            rows::add_tensor::<S, T>(&mut self.kappa, &d_w[here.clone()]);
        }
        for (k, synapse) in network.synapses.iter().enumerate() {
            let mut decay = T::of(synapse.decay);
            if let (Some((read, readout)), Some(d_output)) = (network.readout, inputs.readout)
                && read == k
            {
                let d_output = &d_output[t * readout.rows()..(t + 1) * readout.rows()];
                readout.send::<S>(&shared.all_outputs, d_output, one, decay, &mut d[k]);
                decay = one;
            }
            match inputs.traces[k] {
                Some(d_trace) => rows::decay_add_tensor::<S, T>(&mut d[k], decay, &d_trace[here.clone()]),
                None if decay == one => {}
                None => rows::scale::<S, T>(&mut d[k], decay),
            }
            if let (Some(last), true) = (inputs.last_s, t + 1 == shared.steps) {
                rows::add_tensor::<S, T>(&mut d[k], &last[k * n..(k + 1) * n]);
            }
            if let (Some((read, _)), Some(d_activity)) = (network.readout, inputs.activity)
                && read == k
            {
                let weight = inputs.activity_weight.map_or(one, |weight| weight[t]);
                rows::add_scaled::<S, T>(&mut d[k], weight * (d_activity + d_activity), segment.trace.row(at));
            }
            if synapse.connects() {
                let (p, before) = segment.p[k].row_and_next(at);
                let q = segment.q.row(at + 1 + synapse.delay);
                adjoint_of_current::<S, T>(network, inputs, (k, t + 1, shared.steps), p, before, q);
            }
            if let Some(constants) = &segment.constants {
                let sum = &mut self.constants[network.neuron_constants + k];
                rows::add_product::<S, T>(sum, &d[k], constants.s[k].row(at));
                if synapse.connects() {
                    rows::add_product::<S, T>(sum, segment.p[k].row(at), constants.j[k].row(at));
                }
            }
        }
    }

    /// Starts μ_t: the part that does not come back from other neurons, ΔQ′_t + Σ_k c_k Dᵏ_{t+1}
    /// and c_k d ∘ Pᵏ_{t+1} of the types that connect each neuron to itself alone.
    #[inline(always)]
    pub(super) fn start_errors<S: Simd>(
        &mut self,
        network: &Network<'_, T>,
        inputs: &Inputs<'_, T>,
        segment: &Segment<T>,
        at: usize,
        t: usize,
    ) {
        let (n, Self { d, mu, kappa, .. }) = (network.neurons, self);
        let mut amplitudes = network.synapses.iter().zip(d).map(|(synapse, d)| (T::of(synapse.amplitude), &**d));
        match (inputs.charge, amplitudes.next()) {
            (Some(d_charge), first) => {
                mu[..n].copy_from_slice(&d_charge[t * n..(t + 1) * n]);
                if let Some((amplitude, d)) = first {
                    rows::add_scaled::<S, T>(mu, amplitude, d);
                }
            }
            (None, Some((amplitude, d))) => rows::scaled::<S, T>(mu, amplitude, d),
            (None, None) => mu.fill(T::default()),
        }
        for (amplitude, d) in amplitudes {
            rows::add_scaled::<S, T>(mu, amplitude, d);
        }
        for (k, row) in network.to_itself() {
            let (amplitude, weights) = (T::of(network.synapses[k].amplitude), network.self_weights.row(row));
            rows::add_scaled_product::<S, T>(mu, amplitude, weights, segment.p[k].row(at));
        }
        if let Some(jumps) = &network.jumps {
            rows::add_product::<S, T>(mu, jumps, kappa);
        }
    }

    /// Computes μ_t of one sample. Only active neurons need its recurrent part, but if most neurons
    /// are active, it is computed for all.
    #[inline(always)]
    pub(super) fn error_current<S: Simd>(
        &mut self,
        network: &Network<'_, T>,
        inputs: &Inputs<'_, T>,
        segment: &Segment<T>,
        at: usize,
        t: usize,
    ) {
        self.start_errors::<S>(network, inputs, segment, at, t);
        let crowded = crowded(network, segment, at);
        let mu = &mut self.mu;
        let active = segment.active.of(at, &network.everyone);
        for (k, plane) in network.recurrent() {
            let amplitude = T::of(network.synapses[k].amplitude);
            let (weights, p) = (&network.weights[plane], segment.p[k].row(at));
            match crowded {
                true => weights.transposed().send::<S>(&network.everyone, p, amplitude, T::of(1.0), mu),
                false => weights.rows.gather::<S>(active, p, amplitude, mu),
            }
        }
    }

    /// Computes q_t and λ_t by way of λpre_t, and writes the gradient of the drive. Adds this
    /// step's part of the gradients of τ_mem and w, if they are wanted. Applies the limit of the
    /// adjoint, if there is one.
    #[inline(always)]
    pub(super) fn costate<S: Simd>(
        &mut self,
        network: &Network<'_, T>,
        shared: &Shared,
        segment: &mut Segment<T>,
        at: usize,
        t: usize,
    ) {
        let Self { outputs, lambda, kappa, mu, through_projection, constants: sums, .. } = self;
        let (n, channels) = (network.neurons, shared.channels);
        let before = if network.surrogate { &*network.silence } else { segment.density.row(at) };
        let after = segment.density.row(at + 1);
        let (dv, di) = (segment.dv.row(at), segment.di.row(at));
        if let (Some(constants), [by_tau, by_width, ..]) = (&segment.constants, &mut sums[..]) {
            costate::add_through_costate::<S, T>(by_tau, lambda, (after, mu), constants.by_tau.row(at));
            let (now, then) = (constants.by_width.row(at), constants.by_width.row(at + 1));
            rows::add_product_of_difference::<S, T>(by_width, mu, then, now);
            if let (Some([va, wa, vb, wb]), [by_tau, _, by_second, by_jump, ..]) = (&constants.by_planar, &mut sums[..])
            {
                let error = [&**lambda, after, &**mu, &**kappa];
                costate::add_through_planar::<S, T>(by_tau, error, (va.row(at), wa.row(at)));
                costate::add_through_planar::<S, T>(by_second, error, (vb.row(at), wb.row(at)));
                rows::add_product::<S, T>(by_jump, kappa, segment.charge.row(at));
            }
        }
        let q = segment.q.row_mut(at);
        match &segment.second {
            None => costate::costate::<S, T>(lambda, q, mu, (after, before), (dv, di)),
            Some(second) => {
                let second = second.each_ref().map(|rows| rows.row(at));
                costate::planar_costate::<S, T>((lambda, kappa), q, mu, (after, before), (dv, di, second));
            }
        }
        if let Some((limit, keep)) = network.adjoint_limit {
            let share = rows::share_within(&lambda[..n], limit);
            let left = T::of(keep * share);
            rows::scale::<S, T>(lambda, left);
            if network.jumps.is_some() {
                rows::scale::<S, T>(kappa, T::of(share));
            }
            rows::scale::<S, T>(segment.q.row_mut(at), left);
            for p in segment.p.iter_mut().filter(|p| p.rows() > 0) {
                rows::scale::<S, T>(p.row_mut(at), left);
            }
        }
        let q = segment.q.row(at);
        match (&mut outputs.drive, network.projection) {
            (Some(out), None) => rows::write::<S, T>(&mut out[t * n..(t + 1) * n], q),
            (Some(out), Some(projection)) => {
                through_projection.fill(T::default());
                projection.weights.gather::<S>(&shared.all_channels, q, T::of(1.0), through_projection);
                out[t * channels..(t + 1) * channels].write_copy_of_slice(&through_projection[..channels]);
            }
            (None, _) => {}
        }
    }

    /// Adds the outer products of all steps of a segment to the gradients of the parameters.
    #[inline(always)]
    pub(super) fn add_to_sums<S: Simd>(
        &mut self,
        network: &Network<'_, T>,
        channels: usize,
        inputs: &Inputs<'_, T>,
        segment: &mut Segment<T>,
        (sums, open_channels): (&mut Sums<T>, &mut Lists),
        steps: Range<usize>,
    ) {
        let (length, one) = (steps.len(), T::of(1.0));
        let everyone_always = segment.active.always_everyone();
        for (k, plane) in network.recurrent() {
            if let Some(gradient) = sums.weights.get_mut(plane) {
                let amplitude = T::of(network.synapses[k].amplitude);
                if everyone_always {
                    for at in 0..length {
                        rows::scaled::<S, T>(segment.amplitudes.row_mut(at), amplitude, segment.charge.row(at));
                    }
                    gradient.add_dense::<S>(length, Factors::of(&segment.amplitudes), &segment.p[k]);
                } else {
                    let listed = |at| segment.active.of(at, &network.everyone);
                    gradient.add_outer::<S>(length, listed, Factors::of(&segment.charge), amplitude, &segment.p[k]);
                }
            }
        }
        if let Some(gradient) = &mut sums.self_weights {
            for (k, row) in network.to_itself() {
                let amplitude = T::of(network.synapses[k].amplitude);
                for at in 0..length {
                    let (charge, p) = (segment.charge.row(at), segment.p[k].row(at));
                    rows::add_scaled_product::<S, T>(gradient.row_mut(row), amplitude, charge, p);
                }
            }
        }
        if let Some(gradient) = &mut sums.projection {
            let input = &inputs.drive[steps.start * channels..steps.end * channels];
            let factors = Factors::new(input, channels);
            if channels <= FEW_CHANNELS {
                gradient.add_dense::<S>(length, factors, &segment.q);
            } else {
                open_channels.clear();
                for input in input.chunks_exact(channels) {
                    append_open(open_channels.members(), input);
                    open_channels.end(ActiveSet::Listed);
                }
                gradient.add_outer::<S>(length, |at| open_channels.of(at, &[]), factors, one, &segment.q);
            }
        }
        if let Some(gradient) = &mut sums.bias {
            gradient.add_dense::<S>(length, Factors::new(&[one], 0), &segment.q);
        }
        if let (Some(gradient), Some(d_output)) = (&mut sums.readout, inputs.readout) {
            let outputs = gradient.rows();
            let d_output = &d_output[steps.start * outputs..steps.end * outputs];
            gradient.add_dense::<S>(length, Factors::new(d_output, outputs), &segment.trace);
        }
    }

    /// Computes the gradients of v_0 and s_0, and adds to the sums the part of the weight gradient
    /// that comes from s_0, and the gradients of the constants.
    #[inline(always)]
    pub(super) fn finish<S: Simd>(
        mut self,
        network: &Network<'_, T>,
        inputs: &Inputs<'_, T>,
        steps: usize,
        segment: &mut Segment<T>,
        sums: &mut Sums<T>,
    ) {
        let Self { outputs, lambda, kappa, d, q, p: before, constants, .. } = &mut self;
        let n = network.neurons;
        if let Some(total) = &mut sums.constants {
            for (at, row) in constants.iter().enumerate() {
                rows::add::<S, T>(total.row_mut(at), row);
            }
        }
        outputs.v0.copy_from_slice(&lambda[..n]);
        for (k, synapse) in network.synapses.iter().enumerate() {
            let decay = T::of(synapse.decay);
            rows::scale::<S, T>(&mut d[k], decay);
            if synapse.connects() {
                // P_0 precedes P_1 of the first step by one row.
                let mut p = Row::zeros(n);
                let arriving = q.row(synapse.delay);
                adjoint_of_current::<S, T>(network, inputs, (k, 0, steps), &mut p, &before[k], arriving);
                let s0 = Row::of(&inputs.s0[k * n..(k + 1) * n]);
                match synapse.connections {
                    ScanConnections::Plane(plane) if outputs.s0.is_some() => {
                        network.weights[plane].rows.gather::<S>(&network.everyone, &p, T::of(1.0), &mut d[k]);
                    }
                    ScanConnections::SelfRow(row) => {
                        rows::add_product::<S, T>(&mut d[k], network.self_weights.row(row), &p);
                        if let Some(gradient) = &mut sums.self_weights {
                            rows::add_product::<S, T>(gradient.row_mut(row), &s0, &p);
                        }
                    }
                    _ => {}
                }
                if let Some(gradient) = synapse.plane().and_then(|plane| sums.weights.get_mut(plane)) {
                    let mut list = Vec::new();
                    let senders = match rows::nonzero::<S, T, 1>(&mut list, n, [&*s0]) {
                        ActiveSet::Everyone => &network.everyone,
                        ActiveSet::Listed => &list,
                    };
                    segment.p[k].row_mut(0).copy_from_slice(&p);
                    gradient.add_outer::<S>(1, |_| senders, Factors::new(&s0, n), T::of(1.0), &segment.p[k]);
                }
            }
        }
        if let Some(out) = &mut outputs.s0 {
            let mut out = out.chunks_exact_mut(n);
            for (d, out) in d.iter().zip(&mut out) {
                out.copy_from_slice(&d[..n]);
            }
            // A current on its way acts only when it arrives, so its gradient is q of that step.
            for (k, synapse) in network.synapses.iter().enumerate() {
                for (arrival, out) in (0..synapse.delay).zip(&mut out) {
                    match arrival < steps {
                        true => out.copy_from_slice(&q.row(arrival)[..n]),
                        false => match still_on_the_way(network, inputs, k, arrival - steps) {
                            Some(d_last) => out.copy_from_slice(d_last),
                            None => out.fill(T::default()),
                        },
                    }
                }
            }
            if let (Some(_), Some(out)) = (&network.jumps, out.next()) {
                out.copy_from_slice(&kappa[..n]);
            }
        }
    }
}

/// The cost's direct gradient with respect to the i-th current of type k that is still on its way
/// at the end, `[N]`; `None` if it is 0.
#[inline(always)]
fn still_on_the_way<'a, T: Real>(
    network: &Network<'_, T>,
    inputs: &Inputs<'a, T>,
    k: usize,
    i: usize,
) -> Option<&'a [T]> {
    let row = rows_on_the_way(network.synapses, k).nth(i)?;
    let last_s = inputs.last_s?;
    Some(&last_s[row * network.neurons..(row + 1) * network.neurons])
}

/// Computes Pᵏ_t, the adjoint of the current that sets out before step t of a run of `steps` steps,
/// into `p`. `next` is Pᵏ_{t+1}, and `q` is q of the step in which the current arrives.
#[inline(always)]
fn adjoint_of_current<S: Simd, T: Real>(
    network: &Network<'_, T>,
    inputs: &Inputs<'_, T>,
    (k, t, steps): (usize, usize, usize),
    p: &mut [T],
    next: &[T],
    q: &[T],
) {
    let synapse = &network.synapses[k];
    let (decay, arrival) = (T::of(synapse.decay), t + synapse.delay);
    // q_T is 0 if there is no delay.
    if arrival < steps || synapse.delay == 0 {
        return rows::decayed_sum::<S, T>(p, decay, next, q);
    }
    rows::scaled::<S, T>(p, decay, next);
    if let Some(d_last) = still_on_the_way(network, inputs, k, arrival - steps) {
        rows::add_tensor::<S, T>(p, d_last);
    }
}

/// Returns whether more than half of the neurons are active in a step of a segment. If so, μ is
/// computed for all neurons.
#[inline(always)]
pub(super) fn crowded<T: Real>(network: &Network<'_, T>, segment: &Segment<T>, at: usize) -> bool {
    2 * segment.active.of(at, &network.everyone).len() > network.neurons
}
