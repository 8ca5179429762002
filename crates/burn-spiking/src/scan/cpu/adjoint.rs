//! The adjoint kernel: one sample's run, backwards.

use super::forward::{Network, row_of};
use super::rows::{self, Matrix};
use crate::neuron::Flow;
use crate::number::Real;
use std::mem::MaybeUninit;

/// One sample's tape and the cost's direct gradients; `None` where zero.
pub(super) struct Inputs<'a, T> {
    /// I_t and vpre_t, `[T, 2, N]`.
    pub(super) tape: &'a [T],
    /// v_0, `[N]`.
    pub(super) v0: &'a [T],
    /// s_0, `[K, N]`.
    pub(super) s0: &'a [T],
    /// s′ of the traces read, `[T, N]` each.
    pub(super) traces: Vec<Option<&'a [T]>>,
    /// v′, `[T, N]`.
    pub(super) v: Option<&'a [T]>,
    /// ΔQ′, `[T, N]`.
    pub(super) charge: Option<&'a [T]>,
    /// `[N]`.
    pub(super) last_v: Option<&'a [T]>,
    /// `[K, N]`.
    pub(super) last_s: Option<&'a [T]>,
}

/// Where one sample's gradients are written.
pub(super) struct Outputs<'a, T> {
    /// `[T, N]`.
    pub(super) drive: &'a mut [MaybeUninit<T>],
    /// `[N]`.
    pub(super) v0: &'a mut [T],
    /// `[K, N]`.
    pub(super) s0: Option<&'a mut [T]>,
    /// ∂C/∂W, added to; one for each synapse type that has weights. Empty if not wanted.
    pub(super) weights: &'a mut [Matrix<T>],
}

/// Runs the adjoint of one sample; the equations are in [`scan`](crate::scan).
#[inline(always)]
pub(super) fn run<T: Real, F: Flow>(network: &Network<'_, T, F>, inputs: &Inputs<'_, T>, outputs: Outputs<'_, T>) {
    let n = network.neurons;
    let Network { flow, gate, synapses, weights, .. } = network;
    let zero = T::default();
    let steps = inputs.tape.len() / (2 * n);
    let vpre_at = |t: usize| &inputs.tape[(2 * t + 1) * n..(2 * t + 2) * n];

    let mut lambda = inputs.last_v.map_or_else(|| rows::zeros(n), |last| row_of(last, n));
    let mut d = vec![rows::zeros::<T>(n); synapses.len()];
    let mut p = vec![rows::zeros::<T>(n); synapses.len()];
    let mut q = rows::zeros::<T>(n);
    let mut mu = rows::zeros::<T>(n);
    let (mut i, mut vpre, mut v) = (rows::zeros(n), rows::zeros(n), rows::zeros(n));
    let (mut dv, mut di, mut charge) = (rows::zeros(n), rows::zeros(n), rows::zeros(n));
    // G and g after the step at hand, and before it.
    let (mut sent_after, mut density_after) = (rows::zeros(n), rows::zeros(n));
    let (mut sent, mut density) = (rows::zeros(n), rows::zeros(n));
    let mut direct = rows::zeros::<T>(n);
    let mut list = Vec::with_capacity(rows::padded(n));

    vpre[..n].copy_from_slice(vpre_at(steps - 1));
    rows::reset_row(&vpre, &mut v);
    rows::gate_of(gate, &v, &mut sent_after, &mut density_after);

    for t in (0..steps).rev() {
        let here = t * n..(t + 1) * n;
        i[..n].copy_from_slice(&inputs.tape[2 * t * n..(2 * t + 1) * n]);
        vpre[..n].copy_from_slice(vpre_at(t));
        if t == 0 {
            v[..n].copy_from_slice(inputs.v0);
        } else {
            direct[..n].copy_from_slice(vpre_at(t - 1));
            rows::reset_row(&direct, &mut v);
        }
        rows::gate_of(gate, &v, &mut sent, &mut density);
        rows::charge_of(&vpre, &sent_after, &sent, &mut charge);
        rows::slopes(flow, &v, &i, &mut dv, &mut di);

        if let Some(d_v) = inputs.v {
            direct[..n].copy_from_slice(&d_v[here.clone()]);
            rows::add(&mut lambda, &direct);
        }
        // The error current is wanted only where the gate lets it through.
        let active = rows::active(&mut list, n, &charge, &density, &density_after);
        for &j in active {
            mu[j as usize] = inputs.charge.map_or(zero, |d_charge| d_charge[t * n + j as usize]);
        }
        for (k, synapse) in synapses.iter().enumerate() {
            let (decay, jump) = (T::of(synapse.decay), T::of(synapse.jump));
            rows::scale(&mut d[k], decay);
            if let Some(d_trace) = inputs.traces[k] {
                direct[..n].copy_from_slice(&d_trace[here.clone()]);
                rows::add(&mut d[k], &direct);
            }
            if let (Some(last), true) = (inputs.last_s, t + 1 == steps) {
                direct[..n].copy_from_slice(&last[k * n..(k + 1) * n]);
                rows::add(&mut d[k], &direct);
            }
            for &j in active {
                mu[j as usize] += jump * d[k][j as usize];
            }
            if let Some(plane) = synapse.weights {
                rows::decay_add(&mut p[k], decay, &q, T::of(1.0));
                weights[plane].gather(active, &p[k], jump, &mut mu);
                if let Some(gradient) = outputs.weights.get_mut(plane) {
                    gradient.add_outer(active, &charge, jump, &p[k]);
                }
            }
        }
        rows::costate(&mut lambda, &mut q, &mu, (&density_after, &density), (&dv, &di));
        for &j in active {
            mu[j as usize] = zero;
        }
        outputs.drive[here].write_copy_of_slice(&q[..n]);
        std::mem::swap(&mut sent_after, &mut sent);
        std::mem::swap(&mut density_after, &mut density);
    }

    outputs.v0.copy_from_slice(&lambda[..n]);
    let everyone: Vec<u32> = (0..n as u32).collect();
    for (k, synapse) in synapses.iter().enumerate() {
        let decay = T::of(synapse.decay);
        rows::scale(&mut d[k], decay);
        if let Some(plane) = synapse.weights {
            rows::decay_add(&mut p[k], decay, &q, T::of(1.0));
            if outputs.s0.is_some() {
                weights[plane].gather(&everyone, &p[k], T::of(1.0), &mut d[k]);
            }
            if let Some(gradient) = outputs.weights.get_mut(plane) {
                let s0 = row_of(&inputs.s0[k * n..(k + 1) * n], n);
                gradient.add_outer(rows::nonzero(&mut list, n, &s0), &s0, T::of(1.0), &p[k]);
            }
        }
    }
    if let Some(out) = outputs.s0 {
        for (out, d) in out.chunks_exact_mut(n).zip(&d) {
            out.copy_from_slice(&d[..n]);
        }
    }
}
