//! Loops over the neurons of one sample.
//!
//! Every row is padded to a multiple of [`LANES`], and every loop runs over whole lanes, so the compiler turns it into vector
//! instructions of whatever width the processor has. Sums over lanes have one fixed order: results do not depend on that width.

use crate::gate::Gate;
use crate::neuron::Flow;
use crate::number::Real;

/// Neurons that a loop takes at once.
pub(super) const LANES: usize = 16;

/// The length of a row of `n` neurons with its padding.
pub(super) fn padded(n: usize) -> usize {
    n.next_multiple_of(LANES)
}

/// A padded row of zeros.
pub(super) fn zeros<T: Real>(n: usize) -> Vec<T> {
    vec![T::default(); padded(n)]
}

#[inline(always)]
fn lanes<T>(row: &[T]) -> &[[T; LANES]] {
    row.as_chunks().0
}

#[inline(always)]
fn lanes_mut<T>(row: &mut [T]) -> &mut [[T; LANES]] {
    row.as_chunks_mut().0
}

/// All lanes of a result before any is stored, so that they may be computed at once.
#[inline(always)]
fn each<T: Real>(lane: impl Fn(usize) -> T) -> [T; LANES] {
    let mut all = [T::default(); LANES];
    for (l, x) in all.iter_mut().enumerate() {
        *x = lane(l);
    }
    all
}

/// out += row.
#[inline(always)]
pub(super) fn add<T: Real>(out: &mut [T], row: &[T]) {
    for (out, row) in lanes_mut(out).iter_mut().zip(lanes(row)) {
        *out = each(|l| out[l] + row[l]);
    }
}

/// out = c out.
#[inline(always)]
pub(super) fn scale<T: Real>(out: &mut [T], c: T) {
    for out in lanes_mut(out) {
        *out = each(|l| c * out[l]);
    }
}

/// out = c out + a row.
#[inline(always)]
pub(super) fn decay_add<T: Real>(out: &mut [T], c: T, row: &[T], a: T) {
    for (out, row) in lanes_mut(out).iter_mut().zip(lanes(row)) {
        *out = each(|l| c.times_add(out[l], a * row[l]));
    }
}

/// Whether every |i| is at most `limit` (or NaN).
#[inline(always)]
fn all_within<T: Real>(i: &[T], limit: T) -> bool {
    let mut beyond = [false; LANES];
    for i in lanes(i) {
        for l in 0..LANES {
            beyond[l] |= i[l].magnitude() > limit;
        }
    }
    !beyond.contains(&true)
}

/// vpre = φ(v, I).
#[inline(always)]
pub(super) fn phi<T: Real, F: Flow>(flow: &F, v: &[T], i: &[T], vpre: &mut [T]) {
    let (limit, near) = flow.near();
    if all_within(i, T::of(limit)) {
        phi_by(&near, v, i, vpre);
    } else {
        phi_by(flow, v, i, vpre);
    }
}

#[inline(always)]
fn phi_by<T: Real, F: Flow>(flow: &F, v: &[T], i: &[T], vpre: &mut [T]) {
    for ((v, i), vpre) in lanes(v).iter().zip(lanes(i)).zip(lanes_mut(vpre)) {
        for l in 0..LANES {
            vpre[l] = flow.phi(v[l], i[l]);
        }
    }
}

/// (∂φ/∂v, ∂φ/∂I).
#[inline(always)]
pub(super) fn slopes<T: Real, F: Flow>(flow: &F, v: &[T], i: &[T], dv: &mut [T], di: &mut [T]) {
    let (limit, near) = flow.near();
    if all_within(i, T::of(limit)) {
        slopes_by(&near, v, i, dv, di);
    } else {
        slopes_by(flow, v, i, dv, di);
    }
}

#[inline(always)]
fn slopes_by<T: Real, F: Flow>(flow: &F, v: &[T], i: &[T], dv: &mut [T], di: &mut [T]) {
    let rows = lanes(v).iter().zip(lanes(i)).zip(lanes_mut(dv).iter_mut().zip(lanes_mut(di)));
    for ((v, i), (dv, di)) in rows {
        for l in 0..LANES {
            (dv[l], di[l]) = flow.slopes(v[l], i[l]);
        }
    }
}

/// n = max(⌊vpre⌋, 0) and v = vpre − n.
#[inline(always)]
fn reset<T: Real>(vpre: T) -> (T, T) {
    let n = vpre.floor();
    let n = if n > T::default() { n } else { T::default() };
    (n, vpre - n)
}

/// Matches the gate once for a whole loop, so that each shape has a loop of its own.
macro_rules! by_gate {
    ($gate:expr, |$shape:ident| $body:block) => {
        match *$gate {
            Gate::Quintic { width } => {
                let $shape = Gate::Quintic { width };
                $body
            }
            Gate::RaisedCosine { width } => {
                let $shape = Gate::RaisedCosine { width };
                $body
            }
            Gate::Threshold => {
                let $shape = Gate::Threshold;
                $body
            }
        }
    };
}

/// G(v).
#[inline(always)]
pub(super) fn charge_sent<T: Real>(gate: &Gate, v: &[T], sent: &mut [T]) {
    by_gate!(gate, |shape| {
        for (v, sent) in lanes(v).iter().zip(lanes_mut(sent)) {
            for l in 0..LANES {
                sent[l] = shape.charge(v[l]);
            }
        }
    })
}

/// The reset and the charge: vpre and G(v_t) in `sent` give v_{t+1}, G(v_{t+1}) in `sent`, and ΔQ_t.
#[inline(always)]
pub(super) fn settle<T: Real>(gate: &Gate, vpre: &[T], v: &mut [T], sent: &mut [T], charge: &mut [T]) {
    by_gate!(gate, |shape| {
        let rows = lanes(vpre).iter().zip(lanes_mut(v)).zip(lanes_mut(sent).iter_mut().zip(lanes_mut(charge)));
        for ((vpre, v), (sent, charge)) in rows {
            for l in 0..LANES {
                let (n, after) = reset(vpre[l]);
                let sent_after = shape.charge(after);
                charge[l] = n + (sent_after - sent[l]);
                v[l] = after;
                sent[l] = sent_after;
            }
        }
    })
}

/// v = vpre after its reset.
#[inline(always)]
pub(super) fn reset_row<T: Real>(vpre: &[T], v: &mut [T]) {
    for (vpre, v) in lanes(vpre).iter().zip(lanes_mut(v)) {
        for l in 0..LANES {
            v[l] = reset(vpre[l]).1;
        }
    }
}

/// G(v) and g(v).
#[inline(always)]
pub(super) fn gate_of<T: Real>(gate: &Gate, v: &[T], sent: &mut [T], density: &mut [T]) {
    by_gate!(gate, |shape| {
        let rows = lanes(v).iter().zip(lanes_mut(sent).iter_mut().zip(lanes_mut(density)));
        for (v, (sent, density)) in rows {
            for l in 0..LANES {
                sent[l] = shape.charge(v[l]);
                density[l] = shape.density(v[l]);
            }
        }
    })
}

/// ΔQ = n + G(v_{t+1}) − G(v_t), as [`settle`] computes it.
#[inline(always)]
pub(super) fn charge_of<T: Real>(vpre: &[T], sent_after: &[T], sent: &[T], charge: &mut [T]) {
    let rows = lanes(vpre).iter().zip(lanes(sent_after)).zip(lanes(sent).iter().zip(lanes_mut(charge)));
    for ((vpre, after), (sent, charge)) in rows {
        for l in 0..LANES {
            charge[l] = reset(vpre[l]).0 + (after[l] - sent[l]);
        }
    }
}

/// The neurons below `n` for which a row is not 0, in order.
#[inline(always)]
pub(super) fn nonzero<'a, T: Real>(list: &'a mut Vec<u32>, n: usize, row: &[T]) -> &'a [u32] {
    let zero = T::default();
    list.clear();
    for (block, row) in lanes(row).iter().enumerate() {
        collect(list, n, block, &row.map(|x| x != zero));
    }
    list
}

/// The active neurons below `n`, in order: those whose ΔQ, g(v) or g(vpre) is not 0.
#[inline(always)]
pub(super) fn active<'a, T: Real>(
    list: &'a mut Vec<u32>,
    n: usize,
    charge: &[T],
    density: &[T],
    density_after: &[T],
) -> &'a [u32] {
    let zero = T::default();
    list.clear();
    let rows = lanes(charge).iter().zip(lanes(density)).zip(lanes(density_after));
    for (block, ((charge, before), after)) in rows.enumerate() {
        let mut active = [false; LANES];
        for l in 0..LANES {
            active[l] = (charge[l] != zero) | (before[l] != zero) | (after[l] != zero);
        }
        collect(list, n, block, &active);
    }
    list
}

/// Appends the members of one block of lanes.
#[inline(always)]
fn collect(list: &mut Vec<u32>, n: usize, block: usize, members: &[bool; LANES]) {
    let mut bits = 0_u32;
    for (l, &member) in members.iter().enumerate() {
        bits |= (member as u32) << l;
    }
    while bits != 0 {
        let j = block * LANES + bits.trailing_zeros() as usize;
        // The padding beyond n has no weights.
        if j < n {
            list.push(j as u32);
        }
        bits &= bits - 1;
    }
}

/// A square matrix with padded rows: one neuron's outgoing weights are one row.
pub(super) struct Matrix<T> {
    data: Vec<T>,
    width: usize,
}

impl<T: Real> Matrix<T> {
    /// Of zeros.
    pub(super) fn zeros(n: usize) -> Self {
        Self { data: vec![T::default(); n * padded(n)], width: padded(n) }
    }

    /// From unpadded rows.
    pub(super) fn padded(data: &[T], n: usize) -> Self {
        let mut matrix = Self::zeros(n);
        for (row, data) in matrix.data.chunks_exact_mut(padded(n)).zip(data.chunks_exact(n)) {
            row[..n].copy_from_slice(data);
        }
        matrix
    }

    #[inline(always)]
    pub(super) fn row(&self, j: usize) -> &[T] {
        &self.data[j * self.width..(j + 1) * self.width]
    }

    #[inline(always)]
    fn row_mut(&mut self, j: usize) -> &mut [T] {
        &mut self.data[j * self.width..(j + 1) * self.width]
    }

    /// out += Σ_j c x_j row_j over the active neurons: the currents that their charges cause.
    #[inline(always)]
    pub(super) fn send(&self, active: &[u32], x: &[T], c: T, out: &mut [T]) {
        let (fours, rest) = active.as_chunks::<4>();
        for four in fours {
            let [w0, w1, w2, w3] = four.map(|j| lanes(self.row(j as usize)));
            let [a0, a1, a2, a3] = four.map(|j| c * x[j as usize]);
            let rows = lanes_mut(out).iter_mut().zip(w0).zip(w1).zip(w2.iter().zip(w3));
            for (((out, w0), w1), (w2, w3)) in rows {
                *out = each(|l| {
                    let two = a0.times_add(w0[l], out[l]);
                    a1.times_add(w1[l], two) + a2.times_add(w2[l], a3 * w3[l])
                });
            }
        }
        for &j in rest {
            let a = c * x[j as usize];
            for (out, w) in lanes_mut(out).iter_mut().zip(lanes(self.row(j as usize))) {
                *out = each(|l| a.times_add(w[l], out[l]));
            }
        }
    }

    /// out_j += c ⟨row_j, p⟩ for the active neurons: the errors that come back to them.
    #[inline(always)]
    pub(super) fn gather(&self, active: &[u32], p: &[T], c: T, out: &mut [T]) {
        let (fours, rest) = active.as_chunks::<4>();
        for four in fours {
            let [w0, w1, w2, w3] = four.map(|j| lanes(self.row(j as usize)));
            let mut sums = [[T::default(); LANES]; 4];
            let rows = lanes(p).iter().zip(w0).zip(w1).zip(w2.iter().zip(w3));
            for (((p, w0), w1), (w2, w3)) in rows {
                sums = [
                    each(|l| w0[l].times_add(p[l], sums[0][l])),
                    each(|l| w1[l].times_add(p[l], sums[1][l])),
                    each(|l| w2[l].times_add(p[l], sums[2][l])),
                    each(|l| w3[l].times_add(p[l], sums[3][l])),
                ];
            }
            for (&j, sums) in four.iter().zip(sums) {
                out[j as usize] += c * total(sums);
            }
        }
        for &j in rest {
            let mut sums = [T::default(); LANES];
            for (p, w) in lanes(p).iter().zip(lanes(self.row(j as usize))) {
                sums = each(|l| w[l].times_add(p[l], sums[l]));
            }
            out[j as usize] += c * total(sums);
        }
    }

    /// row_j += c x_j p for the active neurons: the outer product x ⊗ p.
    #[inline(always)]
    pub(super) fn add_outer(&mut self, active: &[u32], x: &[T], c: T, p: &[T]) {
        for &j in active {
            let a = c * x[j as usize];
            for (row, p) in lanes_mut(self.row_mut(j as usize)).iter_mut().zip(lanes(p)) {
                *row = each(|l| a.times_add(p[l], row[l]));
            }
        }
    }
}

/// The sum over lanes, by halves.
#[inline(always)]
fn total<T: Real>(mut sums: [T; LANES]) -> T {
    let mut half = LANES / 2;
    while half > 0 {
        for l in 0..half {
            let other = sums[l + half];
            sums[l] += other;
        }
        half /= 2;
    }
    sums[0]
}

/// λpre = λ + g(vpre) μ, q = ∂φ/∂I λpre, λ = ∂φ/∂v λpre − g(v) μ; densities are (g(vpre), g(v)), slopes (∂φ/∂v, ∂φ/∂I).
#[inline(always)]
pub(super) fn costate<T: Real>(
    lambda: &mut [T],
    q: &mut [T],
    mu: &[T],
    (density_after, density): (&[T], &[T]),
    (dv, di): (&[T], &[T]),
) {
    let gates = lanes(density_after).iter().zip(lanes(density));
    let slopes = lanes(dv).iter().zip(lanes(di));
    let rows = lanes_mut(lambda).iter_mut().zip(lanes_mut(q)).zip(lanes(mu)).zip(gates.zip(slopes));
    for (((lambda, q), mu), ((after, before), (dv, di))) in rows {
        for l in 0..LANES {
            let pre = after[l].times_add(mu[l], lambda[l]);
            q[l] = di[l] * pre;
            lambda[l] = dv[l].times_add(pre, -(before[l] * mu[l]));
        }
    }
}
