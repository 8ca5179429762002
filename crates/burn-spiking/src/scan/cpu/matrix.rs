//! Matrices over neurons, and the three products of the scan that touch only active neurons.
//!
//! A product keeps a tile of its result in registers while it runs over the active neurons. So it
//! reads each weight once and nothing else. The loop is the same for few active neurons and for all
//! of them. If more than half are active, errors come back through the transposed matrix, which
//! needs no sums over lanes.

use super::rows::{BLOCK, Row, lanes, lanes_mut, padded};
use crate::num::simd::Lanes;
use crate::num::{Number, Real};
use macerator::{Simd, WithSimd};
use std::mem::MaybeUninit;

/// Runs `$body` for tiles that together cover `$vectors` vectors. `$first` is the first vector of
/// the tile and `$B` its number of vectors. Ten vectors and two operands fit into the registers of
/// smaller processors.
macro_rules! by_tile {
    ($vectors:expr, |$first:ident, $B:ident| $body:block) => {{
        let mut $first = 0;
        while $first < $vectors {
            match $vectors - $first {
                1 => by_tile!(@run 1, $first, $B, $body),
                2..4 => by_tile!(@run 2, $first, $B, $body),
                5 | 7 | 9 => by_tile!(@run 5, $first, $B, $body),
                4..10 => by_tile!(@run 4, $first, $B, $body),
                _ => by_tile!(@run 10, $first, $B, $body),
            }
        }
    }};
    (@run $size:literal, $first:ident, $B:ident, $body:block) => {{
        const $B: usize = $size;
        $body
        $first += $size;
    }};
}

/// Number of matrix rows that stay in a core's cache while a product goes across their columns.
const ROWS_IN_CACHE: usize = 128;

/// A strip of a matrix, B vectors wide, through all rows. A loop over the rows looks it up once.
struct Strip<'a, S: Simd, T: Real, const B: usize> {
    /// The matrix from the strip's first vector on.
    vectors: &'a [Lanes<S, T>],
    stride: usize,
    rows: usize,
}

impl<'a, S: Simd, T: Real, const B: usize> Strip<'a, S, T, B> {
    #[inline(always)]
    fn new(matrix: &'a Matrix<T>, first: usize) -> Self {
        assert!(first + B <= matrix.vectors::<S>());
        let stride = matrix.stride / Lanes::<S, T>::count();
        let vectors = &lanes(&matrix.data)[first..];
        assert!(matrix.rows == 0 || (matrix.rows - 1) * stride + B <= vectors.len());
        Self { vectors, stride, rows: matrix.rows }
    }

    #[inline(always)]
    fn row(&self, j: usize) -> &'a [Lanes<S, T>; B] {
        assert!(j < self.rows);
        // The strip's last row is within the matrix, so row j is, too.
        unsafe { &*self.vectors.as_ptr().add(j * self.stride).cast() }
    }
}

/// A [`Strip`] for writing.
struct StripMut<'a, S: Simd, T: Real, const B: usize> {
    vectors: &'a mut [Lanes<S, T>],
    stride: usize,
    rows: usize,
}

impl<'a, S: Simd, T: Real, const B: usize> StripMut<'a, S, T, B> {
    #[inline(always)]
    fn new(matrix: &'a mut Matrix<T>, first: usize) -> Self {
        assert!(first + B <= matrix.vectors::<S>());
        let (stride, rows) = (matrix.stride / Lanes::<S, T>::count(), matrix.rows);
        let vectors = &mut lanes_mut(&mut matrix.data)[first..];
        assert!(rows == 0 || (rows - 1) * stride + B <= vectors.len());
        Self { vectors, stride, rows }
    }

    #[inline(always)]
    fn row(&mut self, j: usize) -> &mut [Lanes<S, T>; B] {
        assert!(j < self.rows);
        // The strip's last row is within the matrix, so row j is, too.
        unsafe { &mut *self.vectors.as_mut_ptr().add(j * self.stride).cast() }
    }
}

/// A tile of a row: B vectors from vector `first` on.
#[inline(always)]
fn tile<S: Simd, T: Real, const B: usize>(row: &[T], first: usize) -> &[Lanes<S, T>; B] {
    lanes(row)[first..first + B].try_into().expect("the tile has its own length")
}

/// The numbers x(t, j) by which rows are multiplied.
#[derive(Clone, Copy)]
pub(super) struct Factors<'a, T> {
    data: &'a [T],
    stride: usize,
}

impl<'a, T: Real> Factors<'a, T> {
    /// Reads x(t, j) from rows of `stride` numbers. If `stride` is 0, all steps read the same row.
    pub(super) fn new(data: &'a [T], stride: usize) -> Self {
        Self { data, stride }
    }

    /// Reads x(t, j) from the rows of a matrix.
    pub(super) fn of(matrix: &'a Matrix<T>) -> Self {
        Self { data: &matrix.data, stride: matrix.stride }
    }

    #[inline(always)]
    fn at(self, t: usize, j: usize) -> T {
        self.data[t * self.stride + j]
    }
}

/// Adds a · row to `acc`.
#[inline(always)]
fn add_scaled<S: Simd, T: Real, const B: usize>(acc: &mut [Lanes<S, T>; B], a: T, row: &[Lanes<S, T>; B]) {
    let a = Lanes::splat(a);
    for b in 0..B {
        acc[b] = a.times_add(row[b], acc[b]);
    }
}

/// [`Matrix::send_block`] as a function of its own, which the programs of all neurons share, so
/// that its many forms are compiled once. The products that run in every step of a sparse network,
/// such as [`Matrix::send`], are inlined: their calls would take about a twentieth of a run.
struct SendBlock<'a, T> {
    matrix: &'a Matrix<T>,
    count: usize,
    x: &'a Matrix<T>,
    out: &'a mut Matrix<T>,
}

impl<T: Real> WithSimd for SendBlock<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self) {
        self.matrix.send_block_inlined::<S>(self.count, self.x, self.out);
    }
}

/// A matrix of padded rows. In W, one row has the outgoing weights of one neuron.
pub(super) struct Matrix<T> {
    data: Row<T>,
    rows: usize,
    width: usize,
    /// Distance from row to row, in numbers. It avoids multiples of 1024 bytes, because a cache has
    /// room for only a few rows at such distances.
    stride: usize,
}

impl<T: Real> Matrix<T> {
    /// Makes a matrix of zeros, `rows` by `columns`.
    pub(super) fn zeros(rows: usize, columns: usize) -> Self {
        let width = padded(columns);
        let stride = if (width * size_of::<T>()).is_multiple_of(1024) { width + BLOCK } else { width };
        Self { data: Row::zeros(rows * stride), rows, width, stride }
    }

    /// Makes a matrix from unpadded rows.
    pub(super) fn padded(data: &[T], columns: usize) -> Self {
        let mut matrix = Self::zeros(data.len() / columns, columns);
        for (j, data) in data.chunks_exact(columns).enumerate() {
            matrix.row_mut(j)[..columns].copy_from_slice(data);
        }
        matrix
    }

    /// Returns the transpose of the first `columns` columns.
    #[cold]
    #[inline(never)]
    pub(super) fn transposed(&self, columns: usize) -> Self {
        let mut transposed = Self::zeros(columns, self.rows);
        // Tile by tile, so that neither side jumps from page to page.
        for i in (0..self.rows).step_by(BLOCK) {
            for j in (0..columns).step_by(BLOCK) {
                for i in i..(i + BLOCK).min(self.rows) {
                    for j in j..(j + BLOCK).min(columns) {
                        transposed.data[j * transposed.stride + i] = self.data[i * self.stride + j];
                    }
                }
            }
        }
        transposed
    }

    /// Returns the number of rows.
    #[inline(always)]
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    #[inline(always)]
    pub(super) fn row(&self, j: usize) -> &[T] {
        &self.data[j * self.stride..][..self.width]
    }

    #[inline(always)]
    pub(super) fn row_mut(&mut self, j: usize) -> &mut [T] {
        &mut self.data[j * self.stride..][..self.width]
    }

    /// Returns row j for reading and the next row for writing.
    #[inline(always)]
    pub(super) fn row_and_next_mut(&mut self, j: usize) -> (&[T], &mut [T]) {
        let (head, tail) = self.data.split_at_mut((j + 1) * self.stride);
        (&head[j * self.stride..][..self.width], &mut tail[..self.width])
    }

    /// Returns row j for writing and the next row for reading.
    #[inline(always)]
    pub(super) fn row_and_next(&mut self, j: usize) -> (&mut [T], &[T]) {
        let (head, tail) = self.data.split_at_mut((j + 1) * self.stride);
        (&mut head[j * self.stride..][..self.width], &tail[..self.width])
    }

    #[inline(always)]
    fn vectors<S: Simd>(&self) -> usize {
        self.width / Lanes::<S, T>::count()
    }

    /// Sets out = decay out + Σ_j c x_j row_j over the active neurons. These are the currents that
    /// their charges cause.
    #[inline(always)]
    pub(super) fn send<S: Simd>(&self, active: &[u32], x: &[T], c: T, decay: T, out: &mut [T]) {
        by_tile!(self.vectors::<S>(), |first, B| {
            let decay = Lanes::splat(decay);
            let mut acc = *tile::<S, T, B>(out, first);
            for x in &mut acc {
                *x = decay * *x;
            }
            let weights = Strip::<S, T, B>::new(self, first);
            for &j in active {
                add_scaled(&mut acc, c * x[j as usize], weights.row(j as usize));
            }
            lanes_mut(out)[first..first + B].copy_from_slice(&acc);
        })
    }

    /// Adds Σ_j x_rj row_j to out_r for the first `count` rows of `out`. It does what
    /// [`send`](Self::send) does, for samples side by side. A tile of weights serves all of them,
    /// and each sum has the same order as for one sample alone.
    #[inline(always)]
    pub(super) fn send_block<S: Simd>(&self, count: usize, x: &Matrix<T>, out: &mut Matrix<T>) {
        // SAFETY: the caller runs with the vectors S, so the processor has them.
        unsafe { S::vectorize(SendBlock { matrix: self, count, x, out }) }
    }

    #[inline(always)]
    fn send_block_inlined<S: Simd>(&self, count: usize, x: &Matrix<T>, out: &mut Matrix<T>) {
        let mut first = 0;
        while first < count {
            first += match count - first {
                1 => self.send_rows::<S, 1>(first, x, out),
                2 => self.send_rows::<S, 2>(first, x, out),
                3 => self.send_rows::<S, 3>(first, x, out),
                4 => self.send_rows::<S, 4>(first, x, out),
                _ => self.send_rows::<S, 5>(first, x, out),
            };
        }
    }

    /// Computes R rows of [`send_block`](Self::send_block), two vectors of each in registers.
    #[inline(always)]
    fn send_rows<S: Simd, const R: usize>(&self, at: usize, x: &Matrix<T>, out: &mut Matrix<T>) -> usize {
        let vectors = self.vectors::<S>();
        for j in (0..self.rows).step_by(ROWS_IN_CACHE) {
            let rows = j..(j + ROWS_IN_CACHE).min(self.rows);
            let mut first = 0;
            while first + 2 <= vectors {
                self.send_tile::<S, R, 2>(at, first, rows.clone(), x, out);
                first += 2;
            }
            if first < vectors {
                self.send_tile::<S, R, 1>(at, first, rows, x, out);
            }
        }
        R
    }

    #[inline(always)]
    fn send_tile<S: Simd, const R: usize, const B: usize>(
        &self,
        at: usize,
        first: usize,
        rows: std::ops::Range<usize>,
        x: &Matrix<T>,
        out: &mut Matrix<T>,
    ) {
        let weights = Strip::<S, T, B>::new(self, first);
        let zero = Lanes::<S, T>::of(0.0);
        let mut acc = [[zero; B]; R];
        let mut sent = [x.row(at); R];
        for r in 0..R {
            acc[r] = *tile(out.row(at + r), first);
            sent[r] = &x.row(at + r)[..self.rows];
        }
        for j in rows {
            let weights = weights.row(j);
            for r in 0..R {
                add_scaled(&mut acc[r], sent[r][j], weights);
            }
        }
        for (r, acc) in acc.iter().enumerate() {
            lanes_mut(out.row_mut(at + r))[first..first + B].copy_from_slice(acc);
        }
    }

    /// Sets out = a + b + Σ_j x_j row_j over the active rows.
    #[inline(always)]
    pub(super) fn send_onto<S: Simd>(&self, active: &[u32], x: &[T], (a, b): (&[T], &[T]), out: &mut [T]) {
        by_tile!(self.vectors::<S>(), |first, B| {
            let mut acc = *tile::<S, T, B>(a, first);
            for (acc, &b) in acc.iter_mut().zip(tile::<S, T, B>(b, first)) {
                *acc = *acc + b;
            }
            let weights = Strip::<S, T, B>::new(self, first);
            for &j in active {
                add_scaled(&mut acc, x[j as usize], weights.row(j as usize));
            }
            lanes_mut(out)[first..first + B].copy_from_slice(&acc);
        })
    }

    /// Adds c ⟨row_j, p⟩ to out_j for the active neurons j. These are the errors that come back.
    #[inline(always)]
    pub(super) fn gather<S: Simd>(&self, active: &[u32], p: &[T], c: T, out: &mut [T]) {
        for four in active.chunks(4) {
            // If fewer than four are left, the last one is repeated. A loop over the rest would end
            // in a branch that the processor cannot predict.
            let last = four.len() - 1;
            let mut rows = [0; 4];
            for r in 0..4 {
                rows[r] = four[r.min(last)] as usize;
            }
            let dots = self.dots::<S, 4>(rows, p);
            let mut sums = [T::default(); 4];
            for r in 0..4 {
                sums[r] = out[rows[r]] + c * dots[r];
            }
            for r in 0..4 {
                out[rows[r]] = sums[r];
            }
        }
    }

    /// Returns ⟨row_j, x⟩ for several rows. Each has two sums, so that an addition need not wait
    /// for the one before it.
    #[inline(always)]
    fn dots<S: Simd, const R: usize>(&self, rows: [usize; R], x: &[T]) -> [T; R] {
        let zero = Lanes::<S, T>::of(0.0);
        let x = lanes::<S, T>(x);
        let mut of_row = [x; R];
        for r in 0..R {
            // Cut to the length of x, so that the loop checks no index.
            of_row[r] = &lanes(self.row(rows[r]))[..x.len()];
        }
        let mut sums = [[zero; 2]; R];
        let pairs = x.len() / 2;
        for at in 0..pairs {
            for r in 0..R {
                sums[r][0] = of_row[r][2 * at].times_add(x[2 * at], sums[r][0]);
                sums[r][1] = of_row[r][2 * at + 1].times_add(x[2 * at + 1], sums[r][1]);
            }
        }
        let mut totals = [T::default(); R];
        for r in 0..R {
            if x.len() % 2 == 1 {
                sums[r][0] = of_row[r][2 * pairs].times_add(x[2 * pairs], sums[r][0]);
            }
            totals[r] = (sums[r][0] + sums[r][1]).total();
        }
        totals
    }

    /// Writes ⟨row_r, x⟩ for all rows.
    #[inline(always)]
    pub(super) fn product<S: Simd>(&self, x: &[T], out: &mut [MaybeUninit<T>]) {
        for first in (0..self.rows).step_by(2) {
            // If the number of rows is odd, the last row is computed twice.
            let second = (first + 1).min(self.rows - 1);
            let dots = self.dots::<S, 2>([first, second], x);
            out[first].write(dots[0]);
            out[second].write(dots[1]);
        }
    }

    /// Adds Σ_t c x(t, j) p_t to row_j, over those of the first `length` steps whose list contains
    /// j. These are the outer products of a segment.
    #[inline(always)]
    pub(super) fn add_outer<'l, S: Simd>(
        &mut self,
        length: usize,
        listed: impl Fn(usize) -> &'l [u32],
        x: Factors<'_, T>,
        c: T,
        p: &Matrix<T>,
    ) {
        // The loop goes step by step and keeps p in registers. A loop neuron by neuron would load
        // each row of the gradient only once. But few neurons are active more than once or twice in
        // a segment, and the end of each neuron's steps is a branch that the processor cannot
        // predict.
        by_tile!(self.vectors::<S>(), |first, B| {
            let p = Strip::<S, T, B>::new(p, first);
            let mut rows = StripMut::<S, T, B>::new(self, first);
            for t in 0..length {
                let p = p.row(t);
                for &j in listed(t) {
                    add_scaled(rows.row(j as usize), c * x.at(t, j as usize), p);
                }
            }
        })
    }

    /// Adds Σ_t x(t, j) p_t to every row_j, over all of the first `length` steps.
    #[inline(always)]
    pub(super) fn add_dense<S: Simd>(&mut self, length: usize, x: Factors<'_, T>, p: &Matrix<T>) {
        let paired = self.rows - self.rows % 2;
        for j in (0..paired).step_by(2) {
            self.add_rows::<S, 2>(j, length, x, p);
        }
        if paired < self.rows {
            self.add_rows::<S, 1>(paired, length, x, p);
        }
    }

    /// Computes R rows of [`add_dense`](Self::add_dense), which share the reads of p.
    #[inline(always)]
    fn add_rows<S: Simd, const R: usize>(&mut self, j: usize, length: usize, x: Factors<'_, T>, p: &Matrix<T>) {
        let vectors = self.vectors::<S>();
        let mut first = 0;
        while first < vectors {
            first += match vectors - first {
                1 => self.add_tile::<S, R, 1>(j, first, length, x, p),
                2..5 => self.add_tile::<S, R, 2>(j, first, length, x, p),
                _ => self.add_tile::<S, R, 5>(j, first, length, x, p),
            };
        }
    }

    #[inline(always)]
    fn add_tile<S: Simd, const R: usize, const B: usize>(
        &mut self,
        j: usize,
        first: usize,
        length: usize,
        x: Factors<'_, T>,
        p: &Matrix<T>,
    ) -> usize {
        let p = Strip::<S, T, B>::new(p, first);
        let zero = Lanes::<S, T>::of(0.0);
        let mut acc = [[zero; B]; R];
        for (r, acc) in acc.iter_mut().enumerate() {
            *acc = *tile(self.row(j + r), first);
        }
        for t in 0..length {
            let p = p.row(t);
            for (r, acc) in acc.iter_mut().enumerate() {
                add_scaled(acc, x.at(t, j + r), p);
            }
        }
        for (r, acc) in acc.iter().enumerate() {
            lanes_mut(self.row_mut(j + r))[first..first + B].copy_from_slice(acc);
        }
        B
    }
}
