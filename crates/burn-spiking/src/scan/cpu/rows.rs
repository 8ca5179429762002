//! Loops over the neurons of one sample.
//!
//! Rows are padded to a multiple of [`BLOCK`], so that every loop runs over whole vectors, for any
//! vector width of the processor. A step is cut into short loops over a row that stays in the
//! nearest cache. A processor looks about two hundred instructions ahead. In a short loop it finds
//! many neurons to compute at once, and does not wait for each link in one neuron's chain of
//! operations.

pub(super) use crate::num::real::BLOCK;
use crate::num::simd::{Lanes, nonzero as bits_of_nonzero};
use crate::num::{Number, Real};
use macerator::Simd;
use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};

/// Returns the length of a row of `n` numbers with its padding.
pub(super) fn padded(n: usize) -> usize {
    n.next_multiple_of(BLOCK)
}

/// A block aligned to a cache line, so that no load touches two lines, and aligned for any vector.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Aligned<T>(pub(super) [T; BLOCK]);

/// A padded row of numbers.
#[derive(Clone)]
pub(super) struct Row<T>(Vec<Aligned<T>>);

impl<T: Real> Row<T> {
    /// Makes a row of `n` zeros, with padding.
    pub(super) fn zeros(n: usize) -> Self {
        Self(vec![Aligned([T::default(); BLOCK]); n.div_ceil(BLOCK)])
    }

    /// Makes a padded copy of `row`.
    pub(super) fn of(row: &[T]) -> Self {
        let mut padded = Self::zeros(row.len());
        padded[..row.len()].copy_from_slice(row);
        padded
    }
}

impl<T> Deref for Row<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        // The numbers fill an aligned block without a gap.
        const { assert!(size_of::<Aligned<T>>() == BLOCK * size_of::<T>()) };
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len() * BLOCK) }
    }
}

impl<T> DerefMut for Row<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        const { assert!(size_of::<Aligned<T>>() == BLOCK * size_of::<T>()) };
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), self.0.len() * BLOCK) }
    }
}

/// Returns a padded row as vectors.
#[inline(always)]
pub(super) fn lanes<S: Simd, T: Real>(row: &[T]) -> &[Lanes<S, T>] {
    Lanes::row(row)
}

/// Returns a padded row as vectors, for writing.
#[inline(always)]
pub(super) fn lanes_mut<S: Simd, T: Real>(row: &mut [T]) -> &mut [Lanes<S, T>] {
    Lanes::row_mut(row)
}

/// Asks the processor to load a row that a later step will read. The kernel reads these rows
/// backward in time, and processors predict forward streams better.
#[inline(always)]
pub(super) fn prefetch<T>(row: &[T]) {
    #[cfg(target_arch = "x86_64")]
    for line in row.chunks(64 / size_of::<T>()) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // A prefetch is only a hint; the program reads nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = row;
}

/// Sets each vector x of a padded row to `each`(x, y), with y the vector of a tensor's row in the
/// same place. The tensor's row has no padding and may begin anywhere.
#[inline(always)]
fn with_tensor<S: Simd, T: Real>(row: &mut [T], tensor: &[T], each: impl Fn(Lanes<S, T>, Lanes<S, T>) -> Lanes<S, T>) {
    let whole = tensor.chunks_exact(Lanes::<S, T>::count());
    let rest = whole.remainder();
    let mut row = lanes_mut::<S, T>(row).iter_mut();
    // In this order of the zip, `row` does not lose a vector when `whole` ends.
    for (tensor, x) in whole.zip(row.by_ref()) {
        *x = each(*x, Lanes::load(tensor));
    }
    if let (false, Some(x)) = (rest.is_empty(), row.next()) {
        let mut padded = [T::default(); BLOCK];
        padded[..rest.len()].copy_from_slice(rest);
        *x = each(*x, Lanes::load(&padded));
    }
}

/// Adds a tensor's row to `row`.
#[inline(always)]
pub(super) fn add_tensor<S: Simd, T: Real>(row: &mut [T], tensor: &[T]) {
    with_tensor::<S, T>(row, tensor, |x, tensor| x + tensor);
}

/// Sets row = c · row + a tensor's row.
#[inline(always)]
pub(super) fn decay_add_tensor<S: Simd, T: Real>(row: &mut [T], c: T, tensor: &[T]) {
    let c = Lanes::splat(c);
    with_tensor::<S, T>(row, tensor, |x, tensor| c.times_add(x, tensor));
}

/// Sets `row` to the sum of the padded row `a` and a tensor's row.
#[inline(always)]
pub(super) fn sum_with_tensor<S: Simd, T: Real>(row: &mut [T], a: &[T], tensor: &[T]) {
    let whole = tensor.chunks_exact(Lanes::<S, T>::count());
    let rest = whole.remainder();
    let mut rows = lanes_mut::<S, T>(row).iter_mut().zip(lanes(a));
    for (tensor, (x, &a)) in whole.zip(rows.by_ref()) {
        *x = a + Lanes::load(tensor);
    }
    if let (false, Some((x, &a))) = (rest.is_empty(), rows.next()) {
        let mut padded = [T::default(); BLOCK];
        padded[..rest.len()].copy_from_slice(rest);
        *x = a + Lanes::load(&padded);
    }
}

/// Writes a row without its padding.
#[inline(always)]
pub(super) fn write<S: Simd, T: Real>(out: &mut [MaybeUninit<T>], row: &[T]) {
    let count = Lanes::<S, T>::count();
    let whole = out.len() - out.len() % count;
    for (out, x) in out[..whole].chunks_exact_mut(count).zip(lanes::<S, T>(row)) {
        x.store(out);
    }
    let rest = &row[whole..out.len()];
    out[whole..].write_copy_of_slice(rest);
}

/// Sets out = row, for rows so short that a call of a copy routine does not pay.
#[inline(always)]
pub(super) fn copy<S: Simd, T: Real>(out: &mut [T], row: &[T]) {
    for (out, &row) in lanes_mut::<S, T>(out).iter_mut().zip(lanes(row)) {
        *out = row;
    }
}

/// Sets a row to 0.
#[inline(always)]
pub(super) fn clear<S: Simd, T: Real>(row: &mut [T]) {
    for x in lanes_mut::<S, T>(row) {
        *x = Lanes::of(0.0);
    }
}

/// Adds `row` to `out`.
#[inline(always)]
pub(super) fn add<S: Simd, T: Real>(out: &mut [T], row: &[T]) {
    for (out, &row) in lanes_mut::<S, T>(out).iter_mut().zip(lanes(row)) {
        *out = *out + row;
    }
}

/// Adds a · row to `out`.
#[inline(always)]
pub(super) fn add_scaled<S: Simd, T: Real>(out: &mut [T], a: T, row: &[T]) {
    let a = Lanes::splat(a);
    for (out, &row) in lanes_mut::<S, T>(out).iter_mut().zip(lanes(row)) {
        *out = a.times_add(row, *out);
    }
}

/// Adds c · row² to `out`, lane by lane.
#[inline(always)]
pub(super) fn add_squares<S: Simd, T: Real>(out: &mut [T], c: T, row: &[T]) {
    let c = Lanes::splat(c);
    for (out, &row) in lanes_mut::<S, T>(out).iter_mut().zip(lanes(row)) {
        *out = (c * row).times_add(row, *out);
    }
}

/// Multiplies `out` by c.
#[inline(always)]
pub(super) fn scale<S: Simd, T: Real>(out: &mut [T], c: T) {
    let c = Lanes::splat(c);
    for out in lanes_mut::<S, T>(out) {
        *out = c * *out;
    }
}

/// Sets out = c · row.
#[inline(always)]
pub(super) fn scaled<S: Simd, T: Real>(out: &mut [T], c: T, row: &[T]) {
    let c = Lanes::splat(c);
    for (out, &row) in lanes_mut::<S, T>(out).iter_mut().zip(lanes(row)) {
        *out = c * row;
    }
}

/// Sets out = c · out + a · row.
#[inline(always)]
pub(super) fn decay_add<S: Simd, T: Real>(out: &mut [T], c: T, row: &[T], a: T) {
    let (c, a) = (Lanes::splat(c), Lanes::splat(a));
    for (out, &row) in lanes_mut::<S, T>(out).iter_mut().zip(lanes(row)) {
        *out = c.times_add(*out, a * row);
    }
}

/// Sets out = c · row + a.
#[inline(always)]
pub(super) fn decayed_sum<S: Simd, T: Real>(out: &mut [T], c: T, row: &[T], a: &[T]) {
    let c = Lanes::splat(c);
    for (out, (&row, &a)) in lanes_mut::<S, T>(out).iter_mut().zip(lanes(row).iter().zip(lanes(a))) {
        *out = c.times_add(row, a);
    }
}

/// Returns the spikes n = max(⌊vpre⌋, 0) and the potential v = vpre − n after the reset.
#[inline(always)]
pub(super) fn reset<X: Number>(vpre: X) -> (X, X) {
    let n = vpre.clone().floor();
    let n = X::select(&n.below(0.0), n.zero(), n);
    (n.clone(), vpre - n)
}

/// Matches the gate once for a whole loop, so that each gate shape has its own loop.
macro_rules! by_gate {
    ($gate:expr, |$shape:ident| $body:block) => {
        match *$gate {
            $crate::Gate::Quintic { width } => {
                let $shape = $crate::Gate::Quintic { width };
                $body
            }
            $crate::Gate::RaisedCosine { width } => {
                let $shape = $crate::Gate::RaisedCosine { width };
                $body
            }
            $crate::Gate::Threshold { at } => {
                let $shape = $crate::Gate::Threshold { at };
                $body
            }
        }
    };
}

pub(super) use by_gate;

/// The active neurons of a row: all, or those in a list in ascending order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ActiveSet {
    /// All of them; the list has none.
    Everyone,
    /// The neurons that were appended to the list.
    Listed,
}

#[inline(always)]
fn blocks<T>(row: &[T]) -> &[[T; BLOCK]] {
    row.as_chunks().0
}

/// The positions of the set bits of each byte, in ascending order.
const SET_BITS: [[u8; 8]; 256] = {
    let mut of_bytes = [[0; 8]; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut bit, mut count) = (0, 0);
        while bit < 8 {
            if byte >> bit & 1 == 1 {
                of_bytes[byte][count] = bit as u8;
                count += 1;
            }
            bit += 1;
        }
        byte += 1;
    }
    of_bytes
};

/// Appends the neurons below `n` for which any of the rows is not 0. If these are all neurons, it
/// appends none and returns [`ActiveSet::Everyone`].
#[inline(always)]
pub(super) fn nonzero<S: Simd, T: Real, const R: usize>(list: &mut Vec<u32>, n: usize, rows: [&[T]; R]) -> ActiveSet {
    let mut of_row = [blocks(rows[0]); R];
    for r in 1..R {
        of_row[r] = blocks(rows[r]);
    }
    let start = list.len();
    list.reserve(padded(n));
    let room = &mut list.spare_capacity_mut()[..padded(n)];
    let mut count = 0;
    for (block, of_first) in blocks(&rows[0][..padded(n)]).iter().enumerate() {
        // Neurons from n on are padding, which has no weights.
        let left = n - block * BLOCK;
        let within = if left < BLOCK { (1 << left) - 1 } else { u32::MAX };
        let mut joined = [of_first; R];
        for r in 1..R {
            joined[r] = &of_row[r][block];
        }
        let bits = bits_of_nonzero::<S, T, R>(joined) & within;
        // Each byte writes eight members, and the next byte overwrites those that are too many. A
        // loop over the set bits would end in a branch that the processor cannot predict.
        for half in [0, 8] {
            let byte = (bits >> half) as u8;
            let first = (block * BLOCK + half) as u32;
            let mut members = [first; 8];
            for (member, &bit) in members.iter_mut().zip(&SET_BITS[byte as usize]) {
                *member += bit as u32;
            }
            room[count..count + 8].write_copy_of_slice(&members);
            count += byte.count_ones() as usize;
        }
    }
    if count == n {
        return ActiveSet::Everyone;
    }
    // Elements up to start + count have been written.
    unsafe { list.set_len(start + count) };
    ActiveSet::Listed
}

/// Returns min(1, limit/|row|). For a row that is not finite it returns 1, so that the check for
/// infinite values and NaN finds the row.
#[inline(always)]
pub(super) fn share_within<T: Real>(row: &[T], limit: f64) -> f64 {
    // The numbers are added one by one in double precision, so that the sum is the same on every
    // processor and no square is too large.
    let mut squares = 0.0;
    for x in row {
        let x = x.to_f64();
        squares += x * x;
    }
    let norm = squares.sqrt();
    if norm.is_finite() && norm > limit { limit / norm } else { 1.0 }
}

/// Sets out = a b, the product of two rows.
#[inline(always)]
pub(super) fn product<S: Simd, T: Real>(out: &mut [T], a: &[T], b: &[T]) {
    for (out, (&a, &b)) in lanes_mut::<S, T>(out).iter_mut().zip(lanes(a).iter().zip(lanes(b))) {
        *out = a * b;
    }
}

/// Adds c a b, a scaled product of two rows, to `out`.
#[inline(always)]
pub(super) fn add_scaled_product<S: Simd, T: Real>(out: &mut [T], c: T, a: &[T], b: &[T]) {
    let c = Lanes::splat(c);
    for (out, (&a, &b)) in lanes_mut::<S, T>(out).iter_mut().zip(lanes(a).iter().zip(lanes(b))) {
        *out = (c * a).times_add(b, *out);
    }
}

/// Adds the product of two rows, a b, to `out`.
#[inline(always)]
pub(super) fn add_product<S: Simd, T: Real>(out: &mut [T], a: &[T], b: &[T]) {
    for (out, (&a, &b)) in lanes_mut::<S, T>(out).iter_mut().zip(lanes(a).iter().zip(lanes(b))) {
        *out = a.times_add(b, *out);
    }
}

/// Adds a (b − c) to `out`; all are rows.
#[inline(always)]
pub(super) fn add_product_of_difference<S: Simd, T: Real>(out: &mut [T], a: &[T], b: &[T], c: &[T]) {
    let rows = lanes_mut::<S, T>(out).iter_mut().zip(lanes(a)).zip(lanes(b).iter().zip(lanes(c)));
    for ((out, &a), (&b, &c)) in rows {
        *out = a.times_add(b - c, *out);
    }
}
