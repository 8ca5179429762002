//! The adjoint kernel: the run of one sample, or of a few side by side, backwards, segment by segment.
//!
//! A segment is run again forwards, which leaves charges, slopes and gates of all its steps in cache; then the adjoint goes back
//! through it; then the outer products of all its steps are added to the gradients of the weights at once.

use super::matrix::{Factors, Matrix, Senders};
use super::network::{Network, Sender, Space, State, Together, channels_of};
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
}

/// Rows of all steps of a segment.
struct Segment<T> {
    /// ΔQ_t.
    charge: Matrix<T>,
    /// ΔQ_t/τ_k of one type at a time.
    jumps: Matrix<T>,
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
            jumps: rows(if network.weights.is_empty() { 0 } else { every }),
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
}

/// One sample on its way back.
struct Sample<'a, T> {
    inputs: Inputs<'a, T>,
    outputs: Outputs<'a, T>,
    state: State<T>,
    space: Space<T>,
    segment: Segment<T>,
    /// The step of the segment that ran again last.
    at: usize,
    /// λ.
    lambda: Row<T>,
    /// Dᵏ.
    d: Vec<Row<T>>,
    /// μ of all neurons in crowded steps, else of the active ones in order.
    mu: Row<T>,
    /// λpre, likewise.
    pre: Row<T>,
    /// ∂C/∂i_t.
    through_projection: Row<T>,
}

impl<T: Real> Sender<T> for Sample<'_, T> {
    #[inline(always)]
    fn sent<'a>(&'a mut self, everyone: &'a [u32]) -> (&'a mut State<T>, &'a [u32], &'a [T]) {
        (&mut self.state, self.segment.active.of(self.at, everyone), self.segment.charge.row(self.at))
    }
}

/// What all samples share on their way back.
struct Shared<'a, T> {
    steps: usize,
    /// Length of a row of the drive.
    channels: usize,
    all_channels: Vec<u32>,
    all_outputs: Vec<u32>,
    /// For each input channel, the steps in which it was not 0.
    active_channels: Senders,
    sums: &'a mut Sums<T>,
}

impl<'a, T: Real> Sample<'a, T> {
    fn new<F: Flow>(
        network: &Network<'_, T, F>,
        every: usize,
        channels: usize,
        inputs: Inputs<'a, T>,
        outputs: Outputs<'a, T>,
    ) -> Self {
        let n = network.neurons;
        Self {
            state: State::zeros(network),
            space: Space::new(n),
            segment: Segment::new(network, every),
            at: 0,
            lambda: inputs.last_v.map_or_else(|| Row::zeros(n), Row::of),
            d: vec![Row::zeros(n); network.synapses.len()],
            mu: Row::zeros(n),
            pre: Row::zeros(n),
            through_projection: Row::zeros(channels),
            inputs,
            outputs,
        }
    }

    /// Makes ready to run a segment of `length` steps again, from the state that was kept before it.
    #[inline(always)]
    fn load<S: Simd, F: Flow>(&mut self, network: &Network<'_, T, F>, which: usize, length: usize) {
        let segment = &mut self.segment;
        // What the segment after this one ended with; at first, nothing.
        segment.q.copy_row(0, length);
        segment.p.iter_mut().for_each(|p| p.copy_row(0, length));
        let state_size = network.state_rows(self.inputs.currents.is_some()) * network.neurons;
        self.state.load::<S, F>(network, &self.inputs.states[which * state_size..][..state_size]);
        segment.active.members.clear();
        segment.active.ends.clear();
        rows::density::<S, T>(&network.gate, &self.state.v, segment.density.row_mut(0));
    }

    /// Runs step t again, the `at`-th of the segment, up to the charges sent.
    #[inline(always)]
    fn step<S: Simd, F: Flow>(&mut self, network: &Network<'_, T, F>, shared: &Shared<'_, T>, at: usize, t: usize) {
        let Self { inputs, state, space, segment, .. } = self;
        let (n, channels) = (network.neurons, shared.channels);
        self.at = at;
        match inputs.currents {
            Some(currents) => space.i[..n].copy_from_slice(&currents[t * n..(t + 1) * n]),
            None => state.current::<S, F>(network, &inputs.drive[t * channels..(t + 1) * channels], space),
        }
        let slopes = (lanes_mut(segment.dv.row_mut(at)), lanes_mut(segment.di.row_mut(at)));
        let vpre = lanes_mut(&mut space.vpre);
        network.flow.phi_and_slopes_row((lanes::<S, T>(&state.v), lanes(&space.i)), vpre, slopes);
        std::mem::swap(&mut state.v, &mut space.vpre);
        let (charge, density) = (segment.charge.row_mut(at), segment.density.row_mut(at + 1));
        rows::settle_with_density::<S, T>(&network.gate, &mut state.v, &mut state.sent, charge, density);
        let charge = segment.charge.row(at);
        let densities = (segment.density.row(at), segment.density.row(at + 1));
        let chosen = rows::active(&mut segment.active.members, n, charge, densities.0, densities.1);
        segment.active.ends.push((segment.active.members.len(), chosen));
        if let Some((k, _)) = network.readout {
            state.trace::<S, F>(network, charge);
            segment.trace.row_mut(at).copy_from_slice(&state.s[k]);
        }
    }

    /// The errors before step t: v′ onto λ, D_{t+1} and P_{t+1}.
    #[inline(always)]
    fn errors<S: Simd, F: Flow>(&mut self, network: &Network<'_, T, F>, shared: &Shared<'_, T>, at: usize, t: usize) {
        let Self { inputs, segment, d, .. } = self;
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
                rows::add_scaled::<S, T>(&mut d[k], d_activity + d_activity, segment.trace.row(at));
            }
            if let Some(plane) = synapse.weights {
                let (p, before) = segment.p[plane].row_and_next(at);
                rows::decayed_sum::<S, T>(p, T::of(synapse.decay), before, segment.q.row(at + 1));
            }
        }
    }

    /// Whether more than half of the neurons are active in a step of the segment: then μ is computed for all.
    #[inline(always)]
    fn crowded<F: Flow>(&self, network: &Network<'_, T, F>, at: usize) -> bool {
        2 * self.segment.active.of(at, &network.everyone).len() > network.neurons
    }

    /// The error current that the cost puts on the charges themselves.
    #[inline(always)]
    fn start_crowded_errors(&mut self, n: usize, t: usize) {
        match self.inputs.charge {
            Some(d_charge) => self.mu[..n].copy_from_slice(&d_charge[t * n..(t + 1) * n]),
            None => self.mu.fill(T::default()),
        }
    }

    /// μ_t, which is wanted only where the gate lets it through.
    #[inline(always)]
    fn error_current<S: Simd, F: Flow>(&mut self, network: &Network<'_, T, F>, at: usize, t: usize) {
        let n = network.neurons;
        let crowded = self.crowded(network, at);
        if crowded {
            self.start_crowded_errors(n, t);
        }
        let Self { inputs, segment, d, mu, .. } = self;
        let active = segment.active.of(at, &network.everyone);
        if !crowded {
            for (mu, &j) in mu.iter_mut().zip(active) {
                *mu = inputs.charge.map_or(T::default(), |d_charge| d_charge[t * n + j as usize]);
            }
        }
        for (k, synapse) in network.synapses.iter().enumerate() {
            let jump = T::of(synapse.jump);
            if crowded {
                rows::add_scaled::<S, T>(mu, jump, &d[k]);
            } else {
                for (mu, &j) in mu.iter_mut().zip(active) {
                    *mu = jump.times_add(d[k][j as usize], *mu);
                }
            }
            if let Some(plane) = synapse.weights {
                let (weights, p) = (&network.weights[plane], segment.p[plane].row(at));
                match crowded {
                    true => weights.transposed().send::<S>(&network.everyone, p, jump, T::of(1.0), mu),
                    false => weights.rows.gather::<S>(active, p, jump, mu),
                }
            }
        }
    }

    /// λpre_t, q_t and λ_t, and the drive's gradient.
    #[inline(always)]
    fn costate<S: Simd, F: Flow>(&mut self, network: &Network<'_, T, F>, shared: &Shared<'_, T>, at: usize, t: usize) {
        let crowded = self.crowded(network, at);
        let Self { outputs, segment, lambda, mu, pre, through_projection, .. } = self;
        let (n, channels) = (network.neurons, shared.channels);
        let (before, after) = (segment.density.row(at), segment.density.row(at + 1));
        let (dv, di) = (segment.dv.row(at), segment.di.row(at));
        if crowded {
            rows::crowded_costate::<S, T>(lambda, segment.q.row_mut(at), mu, (after, before), (dv, di));
        } else {
            let active = segment.active.of(at, &network.everyone);
            for ((&mu, pre), &j) in mu.iter().zip(pre.iter_mut()).zip(active) {
                let j = j as usize;
                *pre = after[j].times_add(mu, lambda[j]);
                lambda[j] = *pre;
            }
            rows::costate::<S, T>(lambda, segment.q.row_mut(at), (dv, di));
            for ((&mu, &pre), &j) in mu.iter().zip(pre.iter()).zip(active) {
                let j = j as usize;
                lambda[j] = dv[j].times_add(pre, -(before[j] * mu));
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

    /// Adds the outer products of all steps of a segment to the parameters' gradients.
    #[inline(always)]
    fn add_to_sums<S: Simd, F: Flow>(
        &mut self,
        network: &Network<'_, T, F>,
        shared: &mut Shared<'_, T>,
        steps: std::ops::Range<usize>,
    ) {
        let Self { inputs, segment, space, .. } = self;
        let Shared { channels, active_channels, sums, .. } = shared;
        let (channels, length, one) = (*channels, steps.len(), T::of(1.0));
        let everyone_always = segment.active.always_everyone();
        if !(everyone_always || sums.weights.is_empty()) {
            segment.senders.clear();
            for at in 0..length {
                segment.senders.note(at, segment.active.of(at, &network.everyone));
            }
        }
        for (k, plane) in network.recurrent() {
            if let Some(gradient) = sums.weights.get_mut(plane) {
                let jump = T::of(network.synapses[k].jump);
                for at in 0..length {
                    rows::scaled::<S, T>(segment.jumps.row_mut(at), jump, segment.charge.row(at));
                }
                let jumps = Factors::of(&segment.jumps);
                match everyone_always {
                    true => gradient.add_dense::<S>(length, jumps, &segment.p[plane]),
                    false => gradient.add_outer::<S>(&segment.senders, jumps, &segment.p[plane]),
                }
            }
        }
        if let Some(gradient) = &mut sums.projection {
            let input = &inputs.drive[steps.start * channels..steps.end * channels];
            active_channels.clear();
            for (at, input) in input.chunks_exact(channels).enumerate() {
                channels_of(&mut space.channels, input);
                active_channels.note(at, &space.channels);
            }
            gradient.add_outer::<S>(active_channels, Factors::new(input, channels), &segment.q);
        }
        if let Some(gradient) = &mut sums.tonic {
            gradient.add_dense::<S>(length, Factors::new(&[one], 0), &segment.q);
        }
        if let (Some(gradient), Some(d_output)) = (&mut sums.readout, inputs.readout) {
            let outputs = gradient.rows();
            let d_output = &d_output[steps.start * outputs..steps.end * outputs];
            gradient.add_dense::<S>(length, Factors::new(d_output, outputs), &segment.trace);
        }
    }

    /// The gradients of the start: of v_0, of s_0, and what the start adds to the weights' gradient.
    #[inline(always)]
    fn finish<S: Simd, F: Flow>(mut self, network: &Network<'_, T, F>, sums: &mut Sums<T>) {
        let Self { inputs, outputs, segment, lambda, d, .. } = &mut self;
        let n = network.neurons;
        outputs.v0.copy_from_slice(&lambda[..n]);
        for (k, synapse) in network.synapses.iter().enumerate() {
            let decay = T::of(synapse.decay);
            rows::scale::<S, T>(&mut d[k], decay);
            if let Some(plane) = synapse.weights {
                // P_0, one row before the first step's P_1.
                let mut p = Row::zeros(n);
                rows::decayed_sum::<S, T>(&mut p, decay, segment.p[plane].row(0), segment.q.row(0));
                if outputs.s0.is_some() {
                    network.weights[plane].rows.gather::<S>(&network.everyone, &p, T::of(1.0), &mut d[k]);
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
                    gradient.add_outer::<S>(&segment.senders, Factors::new(&s0, n), &segment.p[plane]);
                }
            }
        }
        if let Some(out) = &mut outputs.s0 {
            for (out, d) in out.chunks_exact_mut(n).zip(d) {
                out.copy_from_slice(&d[..n]);
            }
        }
    }
}

/// μ_t of samples side by side.
#[inline(always)]
fn error_currents<S: Simd, T: Real, F: Flow>(
    network: &Network<'_, T, F>,
    together: &mut Together<T>,
    samples: &mut [Sample<'_, T>],
    at: usize,
    t: usize,
) {
    let count = samples.len();
    let mut crowded = count > 1;
    for sample in samples.iter() {
        crowded &= sample.crowded(network, at);
    }
    if !crowded {
        for sample in samples {
            sample.error_current::<S, F>(network, at, t);
        }
        return;
    }
    for sample in samples.iter_mut() {
        sample.start_crowded_errors(network.neurons, t);
    }
    for (k, synapse) in network.synapses.iter().enumerate() {
        let jump = T::of(synapse.jump);
        for sample in samples.iter_mut() {
            rows::add_scaled::<S, T>(&mut sample.mu, jump, &sample.d[k]);
        }
        if let Some(plane) = synapse.weights {
            for (r, sample) in samples.iter().enumerate() {
                rows::scaled::<S, T>(together.factors.row_mut(r), jump, sample.segment.p[plane].row(at));
                together.sums.row_mut(r).copy_from_slice(&sample.mu);
            }
            network.weights[plane].transposed().send_together::<S>(count, &together.factors, &mut together.sums);
            for (r, sample) in samples.iter_mut().enumerate() {
                sample.mu.copy_from_slice(together.sums.row(r));
            }
        }
    }
}

/// Runs the adjoint of samples side by side in segments of `every` steps; the equations are in [`scan`](crate::scan).
#[inline(always)]
pub(super) fn run<'a, S: Simd, T: Real, F: Flow>(
    network: &Network<'_, T, F>,
    steps: usize,
    every: usize,
    samples: Vec<(Inputs<'a, T>, Outputs<'a, T>)>,
    sums: &mut Sums<T>,
) {
    let channels = samples[0].0.drive.len() / steps;
    let currents_kept = samples[0].0.currents.is_some();
    let mut running = Vec::with_capacity(samples.len());
    for (inputs, outputs) in samples {
        running.push(Sample::new(network, every, channels, inputs, outputs));
    }
    let mut together = Together::new(running.len(), network.neurons);
    let mut shared = Shared {
        steps,
        channels,
        all_channels: (0..channels as u32).collect(),
        all_outputs: (0..network.readout.map_or(0, |(_, readout)| readout.rows()) as u32).collect(),
        active_channels: Senders::new(channels, if sums.projection.is_some() { every } else { 0 }),
        sums,
    };

    for first in (0..steps).step_by(every).rev() {
        let last = (first + every).min(steps);
        for sample in &mut running {
            sample.load::<S, F>(network, first / every, last - first);
        }
        for t in first..last {
            for sample in &mut running {
                sample.step::<S, F>(network, &shared, t - first, t);
            }
            if !currents_kept {
                together.send::<S, F>(network, &mut running);
            }
        }
        for t in (first..last).rev() {
            for sample in &mut running {
                sample.errors::<S, F>(network, &shared, t - first, t);
            }
            error_currents::<S, T, F>(network, &mut together, &mut running, t - first, t);
            for sample in &mut running {
                sample.costate::<S, F>(network, &shared, t - first, t);
            }
        }
        for sample in &mut running {
            sample.add_to_sums::<S, F>(network, &mut shared, first..last);
        }
    }
    for sample in running {
        sample.finish::<S, F>(network, shared.sums);
    }
}
