//! Loops over the neurons of one sample.
//!
//! Every row is padded to a multiple of [`LANES`], and every loop runs over whole lanes, so the compiler turns it into vector
//! instructions of whatever width the processor has. Sums over lanes have one fixed order: results do not depend on that width.

use crate::gate::Gate;
use crate::neuron::Flow;
use crate::number::Real;
use std::ops::{Deref, DerefMut};

/// Neurons that a loop takes at once.
pub(super) const LANES: usize = 16;

/// The length of a row of `n` neurons with its padding.
pub(super) fn padded(n: usize) -> usize {
    n.next_multiple_of(LANES)
}

/// Lanes that begin where a cache line does, so that no load takes two.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Aligned<T>([T; LANES]);

/// A padded row of numbers.
#[derive(Clone)]
pub(super) struct Row<T>(Vec<Aligned<T>>);

impl<T: Real> Row<T> {
    /// Zeros for `n` numbers.
    pub(super) fn zeros(n: usize) -> Self {
        Self(vec![Aligned([T::default(); LANES]); n.div_ceil(LANES)])
    }

    /// A padded copy.
    pub(super) fn of(row: &[T]) -> Self {
        let mut padded = Self::zeros(row.len());
        padded[..row.len()].copy_from_slice(row);
        padded
    }

    /// The same row, padded: itself where it needs no padding, else a copy in `self`.
    #[inline(always)]
    pub(super) fn view<'a>(&'a mut self, row: &'a [T]) -> &'a [T] {
        if row.len() % LANES == 0 {
            return row;
        }
        self[..row.len()].copy_from_slice(row);
        self
    }
}

impl<T> Deref for Row<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        // LANES numbers fill an aligned block without a gap.
        const { assert!(size_of::<Aligned<T>>() == LANES * size_of::<T>()) };
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len() * LANES) }
    }
}

impl<T> DerefMut for Row<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        const { assert!(size_of::<Aligned<T>>() == LANES * size_of::<T>()) };
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), self.0.len() * LANES) }
    }
}

#[inline(always)]
pub(super) fn lanes<T>(row: &[T]) -> &[[T; LANES]] {
    row.as_chunks().0
}

#[inline(always)]
pub(super) fn lanes_mut<T>(row: &mut [T]) -> &mut [[T; LANES]] {
    row.as_chunks_mut().0
}

/// Asks for a row that a later step will read. Processors foresee streams that run forwards better than these, which run
/// backwards.
#[inline(always)]
pub(super) fn prefetch<T>(row: &[T]) {
    #[cfg(target_arch = "x86_64")]
    for line in row.chunks(64 / size_of::<T>()) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // A hint, which reads nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = row;
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

/// The same for two results.
#[inline(always)]
fn each_pair<T: Real>(lane: impl Fn(usize) -> (T, T)) -> ([T; LANES], [T; LANES]) {
    let (mut first, mut second) = ([T::default(); LANES], [T::default(); LANES]);
    for (l, (a, b)) in first.iter_mut().zip(&mut second).enumerate() {
        (*a, *b) = lane(l);
    }
    (first, second)
}

/// out += row.
#[inline(always)]
pub(super) fn add<T: Real>(out: &mut [T], row: &[T]) {
    for (out, row) in lanes_mut(out).iter_mut().zip(lanes(row)) {
        *out = each(|l| out[l] + row[l]);
    }
}

/// out = a + b.
#[inline(always)]
pub(super) fn sum<T: Real>(out: &mut [T], a: &[T], b: &[T]) {
    for (out, (a, b)) in lanes_mut(out).iter_mut().zip(lanes(a).iter().zip(lanes(b))) {
        *out = each(|l| a[l] + b[l]);
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
        *vpre = each(|l| flow.phi(v[l], i[l]));
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
        (*dv, *di) = each_pair(|l| flow.slopes(v[l], i[l]));
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
            *sent = each(|l| shape.charge(v[l]));
        }
    })
}

/// The reset and the charge: vpre and G(v_t) in `sent` give v_{t+1}, G(v_{t+1}) in `sent`, and ΔQ_t.
#[inline(always)]
pub(super) fn settle<T: Real>(gate: &Gate, vpre: &[T], v: &mut [T], sent: &mut [T], charge: &mut [T]) {
    by_gate!(gate, |shape| {
        let rows = lanes(vpre).iter().zip(lanes_mut(v)).zip(lanes_mut(sent).iter_mut().zip(lanes_mut(charge)));
        for ((vpre, v), (sent, charge)) in rows {
            let (n, after) = each_pair(|l| reset(vpre[l]));
            let sent_after = each(|l| shape.charge(after[l]));
            *charge = each(|l| n[l] + (sent_after[l] - sent[l]));
            *v = after;
            *sent = sent_after;
        }
    })
}

/// v = vpre after its reset.
#[inline(always)]
pub(super) fn reset_row<T: Real>(vpre: &[T], v: &mut [T]) {
    for (vpre, v) in lanes(vpre).iter().zip(lanes_mut(v)) {
        *v = each(|l| reset(vpre[l]).1);
    }
}

/// G(v) and g(v).
#[inline(always)]
pub(super) fn gate_of<T: Real>(gate: &Gate, v: &[T], sent: &mut [T], density: &mut [T]) {
    by_gate!(gate, |shape| {
        let rows = lanes(v).iter().zip(lanes_mut(sent).iter_mut().zip(lanes_mut(density)));
        for (v, (sent, density)) in rows {
            (*sent, *density) = each_pair(|l| (shape.charge(v[l]), shape.density(v[l])));
        }
    })
}

/// ΔQ = n + G(v_{t+1}) − G(v_t), as [`settle`] computes it.
#[inline(always)]
pub(super) fn charge_of<T: Real>(vpre: &[T], sent_after: &[T], sent: &[T], charge: &mut [T]) {
    let rows = lanes(vpre).iter().zip(lanes(sent_after)).zip(lanes(sent).iter().zip(lanes_mut(charge)));
    for ((vpre, after), (sent, charge)) in rows {
        *charge = each(|l| reset(vpre[l]).0 + (after[l] - sent[l]));
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
        (*q, *lambda) = each_pair(|l| {
            let pre = after[l].times_add(mu[l], lambda[l]);
            (di[l] * pre, dv[l].times_add(pre, -(before[l] * mu[l])))
        });
    }
}
