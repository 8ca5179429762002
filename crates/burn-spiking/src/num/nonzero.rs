//! The search for numbers of a block that are not 0, with one bit for each number.

/// The number of elements in a block of a padded row. On every processor a block is a whole number
/// of vectors.
pub const BLOCK: usize = 16;

#[cfg(target_arch = "x86_64")]
pub(super) use by_instructions::{doubles, singles};
#[cfg(not(target_arch = "x86_64"))]
pub(super) use one_by_one::{doubles, singles};

/// Finds the numbers that are not 0 in any of several blocks. The instructions (SSE2) are available
/// on every x86-64 processor, but compilers do not choose them by themselves.
#[cfg(target_arch = "x86_64")]
mod by_instructions {
    use super::BLOCK;
    use std::arch::x86_64::*;

    /// Compares four numbers from `at` on with 0, over all blocks at once. The numbers at one place
    /// are joined by a bitwise or, which is 0 only if all of them are.
    #[inline(always)]
    fn four<const R: usize>(blocks: &[&[f32; BLOCK]; R], at: usize) -> __m128i {
        // Each slice has the four numbers that the instruction loads.
        unsafe {
            let mut joined = _mm_setzero_ps();
            for block in blocks {
                joined = _mm_or_ps(joined, _mm_loadu_ps(block[at..at + 4].as_ptr()));
            }
            _mm_castps_si128(_mm_cmpneq_ps(joined, _mm_setzero_ps()))
        }
    }

    #[inline(always)]
    fn two<const R: usize>(blocks: &[&[f64; BLOCK]; R], at: usize) -> __m128 {
        // Each slice has the two numbers that the instruction loads.
        unsafe {
            let mut joined = _mm_setzero_pd();
            for block in blocks {
                joined = _mm_or_pd(joined, _mm_loadu_pd(block[at..at + 2].as_ptr()));
            }
            _mm_castpd_ps(_mm_cmpneq_pd(joined, _mm_setzero_pd()))
        }
    }

    /// Packs the outcomes of four comparisons of four numbers into sixteen bits.
    #[inline(always)]
    fn bits(a: __m128i, b: __m128i, c: __m128i, d: __m128i) -> u32 {
        unsafe { _mm_movemask_epi8(_mm_packs_epi16(_mm_packs_epi32(a, b), _mm_packs_epi32(c, d))) as u32 }
    }

    #[inline(always)]
    pub(in super::super) fn singles<const R: usize>(blocks: [&[f32; BLOCK]; R]) -> u32 {
        bits(four(&blocks, 0), four(&blocks, 4), four(&blocks, 8), four(&blocks, 12))
    }

    #[inline(always)]
    pub(in super::super) fn doubles<const R: usize>(blocks: [&[f64; BLOCK]; R]) -> u32 {
        // Each outcome has 64 bits, all equal, so the low 32 bits are enough.
        let four =
            |at| unsafe { _mm_castps_si128(_mm_shuffle_ps::<0b10_00_10_00>(two(&blocks, at), two(&blocks, at + 2))) };
        bits(four(0), four(4), four(8), four(12))
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod one_by_one {
    use super::BLOCK;

    #[inline(always)]
    fn bits(nonzero: impl Fn(usize) -> bool) -> u32 {
        let mut bits = 0;
        for l in 0..BLOCK {
            bits |= (nonzero(l) as u32) << l;
        }
        bits
    }

    #[inline(always)]
    pub(in super::super) fn singles<const R: usize>(blocks: [&[f32; BLOCK]; R]) -> u32 {
        bits(|l| blocks.iter().any(|block| block[l] != 0.0))
    }

    #[inline(always)]
    pub(in super::super) fn doubles<const R: usize>(blocks: [&[f64; BLOCK]; R]) -> u32 {
        bits(|l| blocks.iter().any(|block| block[l] != 0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::Real;

    #[test]
    fn masks_find_what_is_not_zero() {
        for bits in [0_u32, 1, 0x8000, 0xa5c3, 0xffff] {
            let block: [f64; BLOCK] = std::array::from_fn(|l| if bits >> l & 1 == 1 { -0.5 } else { -0.0 });
            let other: [f64; BLOCK] = std::array::from_fn(|l| if l == 3 { 1e-300 } else { 0.0 });
            assert_eq!(f64::nonzero([&block]), bits);
            assert_eq!(f64::nonzero([&other, &block]), bits | 8);
            assert_eq!(f32::nonzero([&block.map(|x| x as f32), &[0.0; BLOCK]]), bits);
        }
    }
}
