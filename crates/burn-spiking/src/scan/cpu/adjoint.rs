//! The adjoint kernel: one sample's run, backwards.

use super::forward::Network;
use super::matrix::{Matrix, Senders};
use super::rows::{self, Row};
use crate::neuron::Flow;
use crate::number::Real;
use std::mem::MaybeUninit;

/// Steps whose outer products are added to the weights' gradient at once.
const BLOCK: usize = 32;

/// How many steps before they are needed rows are asked for.
const AHEAD: usize = 6;

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

/// Runs the adjoint of one sample; the equations are in [`scan`](crate::scan). `transposed` are the network's weights the
/// other way round.
#[inline(always)]
pub(super) fn run<T: Real, F: Flow>(
    network: &Network<'_, T, F>,
    transposed: &[Matrix<T>],
    inputs: &Inputs<'_, T>,
    outputs: Outputs<'_, T>,
) {
    let n = network.neurons;
    let Network { flow, gate, synapses, weights, .. } = network;
    let zero = T::default();
    let steps = inputs.tape.len() / (2 * n);
    let current_at = |t: usize| &inputs.tape[2 * t * n..(2 * t + 1) * n];
    let vpre_at = |t: usize| &inputs.tape[(2 * t + 1) * n..(2 * t + 2) * n];

    let mut lambda = inputs.last_v.map_or_else(|| Row::zeros(n), Row::of);
    let mut d = vec![Row::<T>::zeros(n); synapses.len()];
    let mut p = vec![Row::<T>::zeros(n); synapses.len()];
    let (mut q, mut mu, mut v) = (Row::<T>::zeros(n), Row::<T>::zeros(n), Row::<T>::zeros(n));
    let (mut dv, mut di) = (Row::<T>::zeros(n), Row::<T>::zeros(n));
    // G and g after the step at hand, and before it.
    let (mut sent_after, mut density_after) = (Row::<T>::zeros(n), Row::<T>::zeros(n));
    let (mut sent, mut density) = (Row::<T>::zeros(n), Row::<T>::zeros(n));
    let [mut space_i, mut space_vpre, mut space_before, mut space_direct] = [(); 4].map(|()| Row::<T>::zeros(n));
    let mut list = Vec::with_capacity(rows::padded(n));
    let everyone: Vec<u32> = (0..n as u32).collect();
    // ΔQ_t and Pᵏ_{t+1} of a block of steps.
    let mut charges = Matrix::zeros(BLOCK, n);
    let mut adjoints: Vec<Matrix<T>> = outputs.weights.iter().map(|_| Matrix::zeros(BLOCK, n)).collect();
    let mut senders = Senders::new(n, BLOCK);

    rows::reset_row(space_vpre.view(vpre_at(steps - 1)), &mut v);
    rows::gate_of(gate, &v, &mut sent_after, &mut density_after);

    for t in (0..steps).rev() {
        let here = t * n..(t + 1) * n;
        let slot = t % BLOCK;
        if t >= AHEAD {
            let then = (t - AHEAD) * n..(t - AHEAD + 1) * n;
            rows::prefetch(&inputs.tape[2 * then.start..2 * then.end]);
            let direct = inputs.traces.iter().chain([&inputs.v, &inputs.charge]);
            direct.flatten().for_each(|direct| rows::prefetch(&direct[then.clone()]));
        }
        match t {
            0 => v[..n].copy_from_slice(inputs.v0),
            _ => rows::reset_row(space_before.view(vpre_at(t - 1)), &mut v),
        }
        rows::gate_of(gate, &v, &mut sent, &mut density);
        rows::charge_of(space_vpre.view(vpre_at(t)), &sent_after, &sent, charges.row_mut(slot));
        rows::slopes(flow, &v, space_i.view(current_at(t)), &mut dv, &mut di);

        if let Some(d_v) = inputs.v {
            rows::add(&mut lambda, space_direct.view(&d_v[here.clone()]));
        }
        // The error current is wanted only where the gate lets it through.
        let active = rows::active(&mut list, n, charges.row(slot), &density, &density_after);
        senders.note(slot, active);
        let crowded = 2 * active.len() > n;
        for &j in active {
            mu[j as usize] = inputs.charge.map_or(zero, |d_charge| d_charge[t * n + j as usize]);
        }
        for (k, synapse) in synapses.iter().enumerate() {
            let (decay, jump) = (T::of(synapse.decay), T::of(synapse.jump));
            match inputs.traces[k] {
                Some(d_trace) => {
                    rows::decay_add(&mut d[k], decay, space_direct.view(&d_trace[here.clone()]), T::of(1.0))
                }
                None => rows::scale(&mut d[k], decay),
            }
            if let (Some(last), true) = (inputs.last_s, t + 1 == steps) {
                rows::add(&mut d[k], space_direct.view(&last[k * n..(k + 1) * n]));
            }
            for &j in active {
                mu[j as usize] = jump.times_add(d[k][j as usize], mu[j as usize]);
            }
            if let Some(plane) = synapse.weights {
                rows::decay_add(&mut p[k], decay, &q, T::of(1.0));
                if crowded {
                    transposed[plane].send(&everyone, &p[k], jump, T::of(1.0), &mut mu);
                } else {
                    weights[plane].gather(active, &p[k], jump, &mut mu);
                }
                if let Some(adjoints) = adjoints.get_mut(plane) {
                    adjoints.row_mut(slot).copy_from_slice(&p[k]);
                }
            }
        }
        rows::costate(&mut lambda, &mut q, &mu, (&density_after, &density), (&dv, &di));
        if crowded {
            mu.fill(zero);
        } else {
            active.iter().for_each(|&j| mu[j as usize] = zero);
        }
        outputs.drive[here].write_copy_of_slice(&q[..n]);
        std::mem::swap(&mut sent_after, &mut sent);
        std::mem::swap(&mut density_after, &mut density);

        if slot == 0 {
            for synapse in synapses.iter() {
                let Some(plane) = synapse.weights else { continue };
                if let Some(gradient) = outputs.weights.get_mut(plane) {
                    gradient.add_outer(&senders, &charges, T::of(synapse.jump), &adjoints[plane]);
                }
            }
            senders.clear();
        }
    }

    outputs.v0.copy_from_slice(&lambda[..n]);
    for (k, synapse) in synapses.iter().enumerate() {
        let decay = T::of(synapse.decay);
        rows::scale(&mut d[k], decay);
        if let Some(plane) = synapse.weights {
            rows::decay_add(&mut p[k], decay, &q, T::of(1.0));
            if outputs.s0.is_some() {
                weights[plane].gather(&everyone, &p[k], T::of(1.0), &mut d[k]);
            }
            if let Some(gradient) = outputs.weights.get_mut(plane) {
                charges.row_mut(0)[..n].copy_from_slice(&inputs.s0[k * n..(k + 1) * n]);
                adjoints[plane].row_mut(0).copy_from_slice(&p[k]);
                senders.clear();
                senders.note(0, rows::nonzero(&mut list, n, charges.row(0)));
                gradient.add_outer(&senders, &charges, T::of(1.0), &adjoints[plane]);
            }
        }
    }
    if let Some(out) = outputs.s0 {
        for (out, d) in out.chunks_exact_mut(n).zip(&d) {
            out.copy_from_slice(&d[..n]);
        }
    }
}
