//! The forward kernel: one sample's run.

use super::network::{Network, Space, State};
use super::rows::{self, Chosen, Row};
use crate::neuron::Flow;
use crate::number::Real;
use macerator::Simd;
use std::mem::MaybeUninit;

/// One sample's inputs.
pub(super) struct Inputs<'a, T> {
    /// x, `[T, N]`, or i, `[T, C]`.
    pub(super) drive: &'a [T],
    /// v_0, `[N]`.
    pub(super) v0: &'a [T],
    /// s_0, `[K, N]`.
    pub(super) s0: &'a [T],
}

/// Where one sample's run is written: every element of each.
pub(super) struct Outputs<'a, T> {
    /// The traces read, `[T, N]` each.
    pub(super) traces: Vec<&'a mut [MaybeUninit<T>]>,
    /// `[T, N]`.
    pub(super) v: Option<&'a mut [MaybeUninit<T>]>,
    /// `[T, N]`.
    pub(super) charge: Option<&'a mut [MaybeUninit<T>]>,
    /// o, `[T, O]`, and A.
    pub(super) readout: Option<(&'a mut [MaybeUninit<T>], &'a mut T)>,
    /// I_t, `[T, N]`.
    pub(super) currents: Option<&'a mut [MaybeUninit<T>]>,
    /// The states before each segment, `[segments, rows, N]`.
    pub(super) states: Option<&'a mut [MaybeUninit<T>]>,
    /// `[N]`.
    pub(super) last_v: &'a mut [T],
    /// `[K, N]`.
    pub(super) last_s: &'a mut [T],
}

/// Runs one sample through all steps, in segments of `every`; the equations are in [`scan`](crate::scan).
#[inline(always)]
pub(super) fn run<S: Simd, T: Real, F: Flow>(
    network: &Network<'_, T, F>,
    steps: usize,
    every: usize,
    inputs: Inputs<'_, T>,
    mut outputs: Outputs<'_, T>,
) {
    let n = network.neurons;
    let mut state = State::start::<S, F>(network, inputs.v0, inputs.s0);
    let mut space = Space::new(n);
    let mut charge = Row::zeros(n);
    let mut activity = Row::zeros(n);
    let mut senders = Vec::with_capacity(n);
    let state_size = network.state_rows(outputs.currents.is_some()) * n;

    for (t, drive) in inputs.drive.chunks_exact(inputs.drive.len() / steps).enumerate() {
        let here = t * n..(t + 1) * n;
        if let (Some(states), 0) = (&mut outputs.states, t % every) {
            state.save(network, &mut states[t / every * state_size..][..state_size]);
        }
        state.current::<S, F>(network, drive, &mut space);
        let potentials = (&mut state.v, &mut space.vpre, &mut *state.sent);
        rows::step::<S, T, F>(&network.flow, &network.gate, &space.i, potentials, &mut charge);
        state.trace::<S, F>(network, &charge);
        senders.clear();
        let senders = match rows::nonzero(&mut senders, n, &charge) {
            Chosen::Everyone => &network.everyone,
            Chosen::Listed => &senders,
        };
        state.send::<S, F>(network, senders, &charge);

        let read = network.synapses.iter().zip(&state.s).filter(|(synapse, _)| synapse.read);
        for (out, (_, s)) in outputs.traces.iter_mut().zip(read) {
            rows::write::<S, T>(&mut out[here.clone()], s);
        }
        if let Some(out) = &mut outputs.v {
            rows::write::<S, T>(&mut out[here.clone()], &state.v);
        }
        if let Some(out) = &mut outputs.charge {
            rows::write::<S, T>(&mut out[here.clone()], &charge);
        }
        if let Some(out) = &mut outputs.currents {
            rows::write::<S, T>(&mut out[here], &space.i);
        }
        if let (Some((out, _)), Some((k, weights))) = (&mut outputs.readout, network.readout) {
            let width = out.len() / steps;
            weights.product::<S>(&state.s[k], &mut out[t * width..(t + 1) * width]);
            rows::add_squares::<S, T>(&mut activity, &state.s[k]);
        }
    }
    outputs.last_v.copy_from_slice(&state.v[..n]);
    for (out, s) in outputs.last_s.chunks_exact_mut(n).zip(&state.s) {
        out.copy_from_slice(&s[..n]);
    }
    if let Some((_, out)) = outputs.readout {
        *out = activity[..n].iter().fold(T::default(), |sum, &x| sum + x);
    }
}
