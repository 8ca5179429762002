//! The forward kernel: one sample's run.

use super::matrix::Matrix;
use super::rows::{self, Row};
use crate::gate::Gate;
use crate::neuron::Flow;
use crate::number::Real;
use crate::scan::ScanSynapse;
use std::mem::MaybeUninit;

/// What is the same for every sample.
pub(super) struct Network<'a, T, F> {
    pub(super) flow: F,
    pub(super) gate: Gate,
    pub(super) synapses: &'a [ScanSynapse],
    /// W, one matrix for each synapse type that has weights.
    pub(super) weights: &'a [Matrix<T>],
    /// N.
    pub(super) neurons: usize,
}

/// One sample's inputs.
pub(super) struct Inputs<'a, T> {
    /// x, `[T, N]`.
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
    /// I_t and vpre_t, `[T, 2, N]`.
    pub(super) tape: Option<&'a mut [MaybeUninit<T>]>,
    /// `[N]`.
    pub(super) last_v: &'a mut [T],
    /// `[K, N]`.
    pub(super) last_s: &'a mut [T],
}

/// Runs one sample through all steps; the equations are in [`scan`](crate::scan).
#[inline(always)]
pub(super) fn run<T: Real, F: Flow>(network: &Network<'_, T, F>, inputs: Inputs<'_, T>, mut outputs: Outputs<'_, T>) {
    let n = network.neurons;
    let Network { flow, gate, synapses, weights, .. } = network;
    let mut v = Row::of(inputs.v0);
    let mut sent = Row::zeros(n);
    rows::charge_sent(gate, &v, &mut sent);
    let mut s: Vec<Row<T>> = inputs.s0.chunks_exact(n).map(Row::of).collect();
    let everyone: Vec<u32> = (0..n as u32).collect();
    // Jᵏ; zero for good where a type has no weights.
    let mut j: Vec<Row<T>> = synapses
        .iter()
        .zip(&s)
        .map(|(synapse, s)| {
            let mut current = Row::zeros(n);
            if let Some(plane) = synapse.weights {
                weights[plane].send(&everyone, s, T::of(1.0), T::default(), &mut current);
            }
            current
        })
        .collect();
    let recurrent: Vec<usize> = (0..synapses.len()).filter(|&k| synapses[k].weights.is_some()).collect();
    let (mut i, mut vpre, mut charge) = (Row::zeros(n), Row::zeros(n), Row::zeros(n));
    let mut space = Row::zeros(n);
    let mut list = Vec::with_capacity(rows::padded(n));

    for t in 0..inputs.drive.len() / n {
        let here = t * n..(t + 1) * n;
        let drive = space.view(&inputs.drive[here.clone()]);
        match recurrent.split_first() {
            Some((&first, others)) => {
                rows::sum(&mut i, drive, &j[first]);
                others.iter().for_each(|&k| rows::add(&mut i, &j[k]));
            }
            None => i.copy_from_slice(drive),
        }
        rows::phi(flow, &v, &i, &mut vpre);
        rows::settle(gate, &vpre, &mut v, &mut sent, &mut charge);
        let active = rows::nonzero(&mut list, n, &charge);

        let mut read = 0;
        for (synapse, (s, j)) in synapses.iter().zip(s.iter_mut().zip(&mut j)) {
            let (decay, jump) = (T::of(synapse.decay), T::of(synapse.jump));
            rows::decay_add(s, decay, &charge, jump);
            if let Some(plane) = synapse.weights {
                weights[plane].send(active, &charge, jump, decay, j);
            }
            if synapse.read {
                outputs.traces[read][here.clone()].write_copy_of_slice(&s[..n]);
                read += 1;
            }
        }
        if let Some(out) = &mut outputs.v {
            out[here.clone()].write_copy_of_slice(&v[..n]);
        }
        if let Some(out) = &mut outputs.charge {
            out[here].write_copy_of_slice(&charge[..n]);
        }
        if let Some(tape) = &mut outputs.tape {
            let (current, potential) = tape[2 * t * n..2 * (t + 1) * n].split_at_mut(n);
            current.write_copy_of_slice(&i[..n]);
            potential.write_copy_of_slice(&vpre[..n]);
        }
    }
    outputs.last_v.copy_from_slice(&v[..n]);
    for (out, s) in outputs.last_s.chunks_exact_mut(n).zip(&s) {
        out.copy_from_slice(&s[..n]);
    }
}
