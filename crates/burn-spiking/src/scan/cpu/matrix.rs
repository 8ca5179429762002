//! Square matrices over neurons, and the three products of the scan that touch only active neurons.
//!
//! A product keeps a tile of its result in registers while it runs over the active neurons, so that each weight is read
//! once and nothing else is: few active neurons or all of them, the loop is the same. Where more than half are active, errors
//! come back through the transposed matrix, which needs no sums over lanes.

use super::rows::{LANES, Row, lanes, lanes_mut, padded};
use crate::number::Real;

/// The most blocks of lanes that a tile has: as many as the registers hold.
const fn tile_blocks<T>() -> usize {
    let blocks = 320 / (LANES * size_of::<T>());
    if blocks > 5 { 5 } else { blocks }
}

/// Runs a program over tiles of `$blocks` blocks in all, its first block in `$first` and its size in `$B`.
macro_rules! by_tile {
    ($T:ty, $blocks:expr, |$first:ident, $B:ident| $body:block) => {{
        let mut $first = 0;
        while $first < $blocks {
            match ($blocks - $first).min(tile_blocks::<$T>()) {
                1 => by_tile!(@run 1, $first, $B, $body),
                2 => by_tile!(@run 2, $first, $B, $body),
                3 => by_tile!(@run 3, $first, $B, $body),
                4 => by_tile!(@run 4, $first, $B, $body),
                _ => by_tile!(@run 5, $first, $B, $body),
            }
        }
    }};
    (@run $size:literal, $first:ident, $B:ident, $body:block) => {{
        const $B: usize = $size;
        $body
        $first += $size;
    }};
}

/// A tile of a row.
#[inline(always)]
fn tile<T, const B: usize>(row: &[T], first: usize) -> &[[T; LANES]; B] {
    lanes(row)[first..first + B].try_into().expect("the tile has its own length")
}

/// acc += a row.
#[inline(always)]
fn add_scaled<T: Real, const B: usize>(acc: &mut [[T; LANES]; B], a: T, row: &[[T; LANES]; B]) {
    for b in 0..B {
        for l in 0..LANES {
            acc[b][l] = a.times_add(row[b][l], acc[b][l]);
        }
    }
}

/// A matrix of padded rows: one neuron's outgoing weights are one row.
pub(super) struct Matrix<T> {
    data: Row<T>,
    width: usize,
}

impl<T: Real> Matrix<T> {
    /// Of zeros, `rows` by `columns`.
    pub(super) fn zeros(rows: usize, columns: usize) -> Self {
        let width = padded(columns);
        Self { data: Row::zeros(rows * width), width }
    }

    /// From unpadded rows.
    pub(super) fn padded(data: &[T], columns: usize) -> Self {
        let mut matrix = Self::zeros(data.len() / columns, columns);
        let width = matrix.width;
        for (row, data) in matrix.data.chunks_exact_mut(width).zip(data.chunks_exact(columns)) {
            row[..columns].copy_from_slice(data);
        }
        matrix
    }

    /// The transpose of unpadded rows.
    pub(super) fn transposed(data: &[T], columns: usize) -> Self {
        let rows = data.len() / columns;
        let mut matrix = Self::zeros(columns, rows);
        for (i, row) in data.chunks_exact(columns).enumerate() {
            for (j, &x) in row.iter().enumerate() {
                matrix.data[j * matrix.width + i] = x;
            }
        }
        matrix
    }

    #[inline(always)]
    pub(super) fn row(&self, j: usize) -> &[T] {
        &self.data[j * self.width..(j + 1) * self.width]
    }

    #[inline(always)]
    pub(super) fn row_mut(&mut self, j: usize) -> &mut [T] {
        &mut self.data[j * self.width..(j + 1) * self.width]
    }

    /// out = decay out + Σ_j c x_j row_j over the active neurons: the currents that their charges cause.
    #[inline(always)]
    pub(super) fn send(&self, active: &[u32], x: &[T], c: T, decay: T, out: &mut [T]) {
        by_tile!(T, self.width / LANES, |first, B| {
            let mut acc: [[T; LANES]; B] = *tile(out, first);
            for block in &mut acc {
                for x in block {
                    *x = decay * *x;
                }
            }
            for &j in active {
                add_scaled(&mut acc, c * x[j as usize], tile(self.row(j as usize), first));
            }
            lanes_mut(out)[first..first + B].copy_from_slice(&acc);
        })
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
                for l in 0..LANES {
                    sums[0][l] = w0[l].times_add(p[l], sums[0][l]);
                    sums[1][l] = w1[l].times_add(p[l], sums[1][l]);
                    sums[2][l] = w2[l].times_add(p[l], sums[2][l]);
                    sums[3][l] = w3[l].times_add(p[l], sums[3][l]);
                }
            }
            for (&j, sums) in four.iter().zip(sums) {
                out[j as usize] += c * total(sums);
            }
        }
        for &j in rest {
            let mut sums = [T::default(); LANES];
            for (p, w) in lanes(p).iter().zip(lanes(self.row(j as usize))) {
                for l in 0..LANES {
                    sums[l] = w[l].times_add(p[l], sums[l]);
                }
            }
            out[j as usize] += c * total(sums);
        }
    }

    /// row_j += Σ_t c x_tj p_t over the steps in which neuron j sent charge: the outer products of a block of steps.
    #[inline(always)]
    pub(super) fn add_outer(&mut self, senders: &Senders, x: &Matrix<T>, c: T, p: &Matrix<T>) {
        let width = self.width;
        by_tile!(T, width / LANES, |first, B| {
            for j in 0..senders.neurons() {
                let steps = senders.steps(j);
                if steps.is_empty() {
                    continue;
                }
                let row = &mut lanes_mut(&mut self.data[j * width..(j + 1) * width])[first..first + B];
                let mut acc: [[T; LANES]; B] = (&*row).try_into().expect("the tile has its own length");
                for &t in steps {
                    add_scaled(&mut acc, c * x.row(t as usize)[j], tile(p.row(t as usize), first));
                }
                row.copy_from_slice(&acc);
            }
        })
    }
}

/// For each neuron, the steps of a block in which it sent charge.
pub(super) struct Senders {
    steps: Vec<u32>,
    counts: Vec<u32>,
    block: usize,
}

impl Senders {
    /// For blocks of up to `block` steps.
    pub(super) fn new(neurons: usize, block: usize) -> Self {
        Self { steps: vec![0; neurons * block], counts: vec![0; neurons], block }
    }

    #[inline(always)]
    pub(super) fn clear(&mut self) {
        self.counts.fill(0);
    }

    /// Notes that these neurons sent charge in step `t` of the block.
    #[inline(always)]
    pub(super) fn note(&mut self, t: usize, senders: &[u32]) {
        for &j in senders {
            let count = &mut self.counts[j as usize];
            self.steps[j as usize * self.block + *count as usize] = t as u32;
            *count += 1;
        }
    }

    #[inline(always)]
    fn neurons(&self) -> usize {
        self.counts.len()
    }

    #[inline(always)]
    fn steps(&self, j: usize) -> &[u32] {
        &self.steps[j * self.block..][..self.counts[j] as usize]
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
