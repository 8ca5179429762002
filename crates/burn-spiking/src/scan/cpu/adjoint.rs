//! The adjoint kernel: one sample's run, backwards, segment by segment.
//!
//! A segment is run again forwards, which leaves charges, slopes and gates of all its steps in cache; then the adjoint goes back
//! through it; then the outer products of all its steps are added to the gradients of the weights at once.

use super::matrix::{Matrix, Senders};
use super::network::{Network, Space, State, channels_of};
use super::rows::{self, Chosen, Row, lanes, lanes_mut};
use crate::neuron::Flow;
use crate::number::Real;
use macerator::Simd;
use std::mem::MaybeUninit;

/// How many steps before they are needed rows are asked for.
const AHEAD: usize = 6;

/// One sample's inputs, tape and the cost's direct gradients; `None` where zero.
pub(super) struct Inputs<'a, T> {
    /// x, `[T, N]`, or i, `[T, C]`.
    pub(super) drive: &'a [T],
    /// I_t, `[T, N]`, if kept.
    pub(super) currents: Option<&'a [T]>,
    /// The states before each segment, `[segments, rows, N]`.
    pub(super) states: &'a [T],
    /// s_0, `[K, N]`.
    pub(super) s0: &'a [T],
    /// s′ of the traces read, `[T, N]` each.
    pub(super) traces: Vec<Option<&'a [T]>>,
    /// v′, `[T, N]`.
    pub(super) v: Option<&'a [T]>,
    /// ΔQ′, `[T, N]`.
    pub(super) charge: Option<&'a [T]>,
    /// o′, `[T, O]`.
    pub(super) readout: Option<&'a [T]>,
    /// A′.
    pub(super) activity: Option<T>,
    /// `[N]`.
    pub(super) last_v: Option<&'a [T]>,
    /// `[K, N]`.
    pub(super) last_s: Option<&'a [T]>,
}

/// Gradients that samples add to. Each is empty if not wanted.
pub(super) struct Sums<T> {
    /// ∂C/∂W, one for each synapse type that has weights.
    pub(super) weights: Vec<Matrix<T>>,
    /// ∂C/∂U, `[C, N]`.
    pub(super) projection: Option<Matrix<T>>,
    /// ∂C/∂I_o, `[1, N]`.
    pub(super) tonic: Option<Matrix<T>>,
    /// ∂C/∂O, transposed: `[O, N]`.
    pub(super) readout: Option<Matrix<T>>,
}

/// Where one sample's gradients are written.
pub(super) struct Outputs<'a, T> {
    /// ∂C/∂x, `[T, N]`, or ∂C/∂i, `[T, C]`.
    pub(super) drive: Option<&'a mut [MaybeUninit<T>]>,
    /// `[N]`.
    pub(super) v0: &'a mut [T],
    /// `[K, N]`.
    pub(super) s0: Option<&'a mut [T]>,
    /// What this sample adds to.
    pub(super) sums: &'a mut Sums<T>,
}

/// Rows of all steps of a segment.
struct Segment<T> {
    /// ΔQ_t.
    charge: Matrix<T>,
    /// ∂φ/∂v.
    dv: Matrix<T>,
    /// ∂φ/∂I.
    di: Matrix<T>,
    /// g(v_t), one more than steps.
    density: Matrix<T>,
    /// s_{t+1} of the type that is read out.
    trace: Matrix<T>,
    /// Pᵏ_{t+1} of the types that have weights, and Pᵏ_{t+2} of the last step.
    p: Vec<Matrix<T>>,
    /// q_t, and q_{t+1} of the last step.
    q: Matrix<T>,
    /// The active neurons of each step.
    active: Lists,
    /// The same by neuron.
    senders: Senders,
}

/// A list of neurons for each step, one after another.
struct Lists {
    members: Vec<u32>,
    /// Where each step's list ends; nothing is listed where all neurons are meant.
    ends: Vec<(usize, Chosen)>,
}

impl Lists {
    /// The list of a step.
    #[inline(always)]
    fn of<'a>(&'a self, at: usize, everyone: &'a [u32]) -> &'a [u32] {
        let (end, chosen) = self.ends[at];
        match chosen {
            Chosen::Everyone => everyone,
            Chosen::Listed => &self.members[if at == 0 { 0 } else { self.ends[at - 1].0 }..end],
        }
    }

    /// Whether all neurons are meant in every step.
    #[inline(always)]
    fn always_everyone(&self) -> bool {
        let mut always = true;
        for &(_, chosen) in &self.ends {
            always &= chosen == Chosen::Everyone;
        }
        always
    }
}

impl<T: Real> Segment<T> {
    fn new<F: Flow>(network: &Network<'_, T, F>, every: usize) -> Self {
        let n = network.neurons;
        let rows = |count: usize| Matrix::zeros(count, n);
        Self {
            charge: rows(every),
            dv: rows(every),
            di: rows(every),
            density: rows(every + 1),
            trace: rows(if network.readout.is_some() { every } else { 0 }),
            p: network.weights.iter().map(|_| rows(every + 1)).collect(),
            q: rows(every + 1),
            active: Lists { members: Vec::with_capacity(every * n), ends: Vec::with_capacity(every) },
            senders: Senders::new(n, every),
        }
    }

    /// Runs the steps again from the state before them.
    #[inline(always)]
    fn run<S: Simd, F: Flow>(
        &mut self,
        network: &Network<'_, T, F>,
        steps: std::ops::Range<usize>,
        inputs: &Inputs<'_, T>,
        channels: usize,
        state: &mut State<T>,
        space: &mut Space<T>,
    ) {
        let n = network.neurons;
        self.active.members.clear();
        self.active.ends.clear();
        rows::density::<S, T>(&network.gate, &state.v, self.density.row_mut(0));
        for (at, t) in steps.enumerate() {
            match inputs.currents {
                Some(currents) => space.i[..n].copy_from_slice(&currents[t * n..(t + 1) * n]),
                None => state.current::<S, F>(network, &inputs.drive[t * channels..(t + 1) * channels], space),
            }
            let slopes = (lanes_mut(self.dv.row_mut(at)), lanes_mut(self.di.row_mut(at)));
            let vpre = lanes_mut(&mut space.vpre);
            network.flow.phi_and_slopes_row((lanes::<S, T>(&state.v), lanes(&space.i)), vpre, slopes);
            std::mem::swap(&mut state.v, &mut space.vpre);
            let (charge, density) = (self.charge.row_mut(at), self.density.row_mut(at + 1));
            rows::settle_with_density::<S, T>(&network.gate, &mut state.v, &mut state.sent, charge, density);
            let charge = self.charge.row(at);
            let densities = (self.density.row(at), self.density.row(at + 1));
            let chosen = rows::active(&mut self.active.members, n, charge, densities.0, densities.1);
            self.active.ends.push((self.active.members.len(), chosen));
            if inputs.currents.is_none() {
                state.send::<S, F>(network, self.active.of(at, &network.everyone), charge);
            }
            if let Some((k, _)) = network.readout {
                state.trace::<S, F>(network, charge);
                self.trace.row_mut(at).copy_from_slice(&state.s[k]);
            }
        }
    }
}

/// Runs the adjoint of one sample in segments of `every` steps; the equations are in [`scan`](crate::scan).
#[inline(always)]
pub(super) fn run<S: Simd, T: Real, F: Flow>(
    network: &Network<'_, T, F>,
    steps: usize,
    every: usize,
    inputs: &Inputs<'_, T>,
    mut outputs: Outputs<'_, T>,
) {
    let n = network.neurons;
    let Network { synapses, weights, .. } = network;
    let (zero, one) = (T::default(), T::of(1.0));
    let channels = inputs.drive.len() / steps;
    let state_size = network.state_rows(inputs.currents.is_some()) * n;
    let sums = &mut *outputs.sums;

    let mut state = State::zeros(network);
    let mut space = Space::new(n);
    let mut segment = Segment::new(network, every);
    let mut lambda = inputs.last_v.map_or_else(|| Row::zeros(n), Row::of);
    let mut d = vec![Row::<T>::zeros(n); synapses.len()];
    // μ of all neurons in crowded steps, else of the active ones in order, as is λpre.
    let [mut mu, mut pre] = [(); 2].map(|()| Row::<T>::zeros(n));
    let mut through_projection = Row::zeros(channels);
    let all_channels: Vec<u32> = (0..channels as u32).collect();
    let all_outputs: Vec<u32> = (0..network.readout.map_or(0, |(_, readout)| readout.rows()) as u32).collect();
    let mut active_channels = Senders::new(channels, if sums.projection.is_some() { every } else { 0 });

    for first in (0..steps).step_by(every).rev() {
        let last = (first + every).min(steps);
        let length = last - first;
        // What the segment after this one ended with; at first, nothing.
        segment.q.copy_row(0, length);
        segment.p.iter_mut().for_each(|p| p.copy_row(0, length));
        state.load::<S, F>(network, &inputs.states[first / every * state_size..][..state_size]);
        segment.run::<S, F>(network, first..last, inputs, channels, &mut state, &mut space);

        for t in (first..last).rev() {
            let here = t * n..(t + 1) * n;
            let at = t - first;
            if t >= AHEAD {
                let then = (t - AHEAD) * n..(t - AHEAD + 1) * n;
                for direct in inputs.traces.iter().chain([&inputs.v, &inputs.charge]).flatten() {
                    rows::prefetch(&direct[then.clone()]);
                }
            }
            if let Some(d_v) = inputs.v {
                rows::add_tensor::<S, T>(&mut lambda, &d_v[here.clone()]);
            }
            for (k, synapse) in synapses.iter().enumerate() {
                let mut decay = T::of(synapse.decay);
                if let (Some((read, readout)), Some(d_output)) = (network.readout, inputs.readout)
                    && read == k
                {
                    let d_output = &d_output[t * readout.rows()..(t + 1) * readout.rows()];
                    readout.send::<S>(&all_outputs, d_output, one, decay, &mut d[k]);
                    decay = one;
                }
                match inputs.traces[k] {
                    Some(d_trace) => rows::decay_add_tensor::<S, T>(&mut d[k], decay, &d_trace[here.clone()]),
                    None if decay == one => {}
                    None => rows::scale::<S, T>(&mut d[k], decay),
                }
                if let (Some(last), true) = (inputs.last_s, t + 1 == steps) {
                    rows::add_tensor::<S, T>(&mut d[k], &last[k * n..(k + 1) * n]);
                }
                if let (Some((read, _)), Some(d_activity)) = (network.readout, inputs.activity)
                    && read == k
                {
                    rows::add_scaled::<S, T>(&mut d[k], d_activity + d_activity, segment.trace.row(at));
                }
                if let Some(plane) = synapse.weights {
                    let (p, before) = segment.p[plane].row_and_next(at);
                    rows::decayed_sum::<S, T>(p, T::of(synapse.decay), before, segment.q.row(at + 1));
                }
            }

            // The error current is wanted only where the gate lets it through.
            let active = segment.active.of(at, &network.everyone);
            if 2 * active.len() > n {
                match inputs.charge {
                    Some(d_charge) => mu[..n].copy_from_slice(&d_charge[here.clone()]),
                    None => mu.fill(zero),
                }
                for (k, synapse) in synapses.iter().enumerate() {
                    let jump = T::of(synapse.jump);
                    rows::add_scaled::<S, T>(&mut mu, jump, &d[k]);
                    if let Some(plane) = synapse.weights {
                        weights[plane].transposed().send::<S>(
                            &network.everyone,
                            segment.p[plane].row(at),
                            jump,
                            one,
                            &mut mu,
                        );
                    }
                }
                let densities = (segment.density.row(at + 1), segment.density.row(at));
                let slopes = (segment.dv.row(at), segment.di.row(at));
                rows::crowded_costate::<S, T>(&mut lambda, segment.q.row_mut(at), &mu, densities, slopes);
            } else {
                for (mu, &j) in mu.iter_mut().zip(active) {
                    *mu = inputs.charge.map_or(zero, |d_charge| d_charge[t * n + j as usize]);
                }
                for (k, synapse) in synapses.iter().enumerate() {
                    let jump = T::of(synapse.jump);
                    for (mu, &j) in mu.iter_mut().zip(active) {
                        *mu = jump.times_add(d[k][j as usize], *mu);
                    }
                    if let Some(plane) = synapse.weights {
                        weights[plane].rows.gather::<S>(active, segment.p[plane].row(at), jump, &mut mu);
                    }
                }
                let (before, after) = (segment.density.row(at), segment.density.row(at + 1));
                let (dv, di) = (segment.dv.row(at), segment.di.row(at));
                for ((&mu, pre), &j) in mu.iter().zip(pre.iter_mut()).zip(active) {
                    let j = j as usize;
                    *pre = after[j].times_add(mu, lambda[j]);
                    lambda[j] = *pre;
                }
                rows::costate::<S, T>(&mut lambda, segment.q.row_mut(at), (dv, di));
                for ((&mu, &pre), &j) in mu.iter().zip(pre.iter()).zip(active) {
                    let j = j as usize;
                    lambda[j] = dv[j].times_add(pre, -(before[j] * mu));
                }
            }

            let q = segment.q.row(at);
            match (&mut outputs.drive, network.projection) {
                (Some(out), None) => rows::write::<S, T>(&mut out[here], q),
                (Some(out), Some(projection)) => {
                    through_projection.fill(zero);
                    projection.weights.gather::<S>(&all_channels, q, one, &mut through_projection);
                    out[t * channels..(t + 1) * channels].write_copy_of_slice(&through_projection[..channels]);
                }
                (None, _) => {}
            }
        }

        let everyone_always = segment.active.always_everyone();
        if !(everyone_always || sums.weights.is_empty()) {
            segment.senders.clear();
            for at in 0..length {
                segment.senders.note(at, segment.active.of(at, &network.everyone));
            }
        }
        for (k, plane) in network.recurrent() {
            if let Some(gradient) = sums.weights.get_mut(plane) {
                let jump = T::of(synapses[k].jump);
                let charge = |at: usize, j: usize| jump * segment.charge.row(at)[j];
                match everyone_always {
                    true => gradient.add_dense::<S>(length, charge, &segment.p[plane]),
                    false => gradient.add_outer::<S>(&segment.senders, charge, &segment.p[plane]),
                }
            }
        }
        if let Some(gradient) = &mut sums.projection {
            let input = &inputs.drive[first * channels..last * channels];
            active_channels.clear();
            for (at, input) in input.chunks_exact(channels).enumerate() {
                channels_of(&mut space.channels, input);
                active_channels.note(at, &space.channels);
            }
            gradient.add_outer::<S>(&active_channels, |at, c| input[at * channels + c], &segment.q);
        }
        if let Some(gradient) = &mut sums.tonic {
            gradient.add_dense::<S>(length, |_, _| one, &segment.q);
        }
        if let (Some(gradient), Some(d_output)) = (&mut sums.readout, inputs.readout) {
            let outputs = gradient.rows();
            let d_output = &d_output[first * outputs..last * outputs];
            gradient.add_dense::<S>(length, |at, r| d_output[at * outputs + r], &segment.trace);
        }
    }

    outputs.v0.copy_from_slice(&lambda[..n]);
    for (k, synapse) in synapses.iter().enumerate() {
        let decay = T::of(synapse.decay);
        rows::scale::<S, T>(&mut d[k], decay);
        if let Some(plane) = synapse.weights {
            // P_0, one row before the first step's P_1.
            let mut p = Row::zeros(n);
            rows::decayed_sum::<S, T>(&mut p, decay, segment.p[plane].row(0), segment.q.row(0));
            if outputs.s0.is_some() {
                weights[plane].rows.gather::<S>(&network.everyone, &p, one, &mut d[k]);
            }
            if let Some(gradient) = sums.weights.get_mut(plane) {
                let s0 = Row::of(&inputs.s0[k * n..(k + 1) * n]);
                let mut list = Vec::new();
                let senders = match rows::nonzero(&mut list, n, &s0) {
                    Chosen::Everyone => &network.everyone,
                    Chosen::Listed => &list,
                };
                segment.p[plane].row_mut(0).copy_from_slice(&p);
                segment.senders.clear();
                segment.senders.note(0, senders);
                gradient.add_outer::<S>(&segment.senders, |_, j| s0[j], &segment.p[plane]);
            }
        }
    }
    if let Some(out) = outputs.s0 {
        for (out, d) in out.chunks_exact_mut(n).zip(&d) {
            out.copy_from_slice(&d[..n]);
        }
    }
}
