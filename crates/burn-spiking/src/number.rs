//! The numbers that flows and gates are written over.
//!
//! One equation serves every kind of number: the lanes of a processor's vectors in the CPU kernel ([`Lanes`](crate::lanes::Lanes)),
//! whole tensors in the reference and in the default body of the op (`scan::field`), `f32` and `f64` one by one. It is written
//! with arithmetic and selects instead of branches, so that many neurons take it at once.
//!
//! Angles are counted in half turns (units of π): the range reduction is then exact, and a spike is one half turn.

use crate::lanes::{BLOCK, Vectors};
use std::f64::consts::{FRAC_1_PI, PI};
use std::ops::{Add, Div, Mul, Neg, Sub};

/// Arithmetic, selects and the few functions that neurons and gates need.
pub trait Number:
    Clone + Sized + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self> + Neg<Output = Self>
{
    /// The outcome of a comparison.
    type Mask: Clone;

    /// Whether these are double precision numbers, which need longer series.
    fn is_double(&self) -> bool;
    /// self + c.
    fn plus(self, c: f64) -> Self;
    /// c self.
    fn times(self, c: f64) -> Self;
    /// The nearest number in `[low, high]`.
    fn within(self, low: f64, high: f64) -> Self;
    /// self < c.
    fn below(&self, c: f64) -> Self::Mask;
    /// `then` where the mask holds, else `otherwise`. Both are evaluated, so both must be finite.
    fn select(mask: &Self::Mask, then: Self, otherwise: Self) -> Self;
    /// The largest integer not above self.
    fn floor(self) -> Self;
    /// Square root.
    fn sqrt(self) -> Self;
    /// Exponential.
    fn exp(self) -> Self;
    /// e^x − 1, with all its digits where x is small.
    fn exp_m1(self) -> Self;
    /// ln(1 + x), with all its digits where x is small.
    fn ln_1p(self) -> Self;
    /// (sin πx, cos πx).
    fn sin_cos_pi(self) -> (Self, Self);
    /// atan2(self, x)/π, in (−1, 1].
    fn atan2_pi(self, x: Self) -> Self;

    /// (sin πx, cos πx), both with the other sign at an odd half turn.
    #[inline(always)]
    fn half_turn_sin_cos_pi(self) -> (Self, Self) {
        self.sin_cos_pi()
    }

    /// 1 of the same kind and shape.
    #[inline(always)]
    fn one(&self) -> Self {
        self.clone().times(0.0).plus(1.0)
    }

    /// 0 of the same kind and shape.
    #[inline(always)]
    fn zero(&self) -> Self {
        self.clone().times(0.0)
    }

    /// 1/self.
    #[inline(always)]
    fn reciprocal(self) -> Self {
        self.one() / self
    }

    /// self · factor + summand; rounded once where the processor does so at no cost.
    #[inline(always)]
    fn times_add(self, factor: Self, summand: Self) -> Self {
        self * factor + summand
    }

    /// c₀ + c₁ x + c₂ x² + …
    #[inline(always)]
    fn polynomial(self, c: &[f64]) -> Self {
        let last = c.len() - 1;
        let mut sum = self.clone().times(c[last]);
        for &c in c[1..last].iter().rev() {
            sum = sum.plus(c) * self.clone();
        }
        sum.plus(c[0])
    }
}

/// Numbers whose functions are series of our own: scalars and lanes.
pub trait Float: Number + Copy {
    /// |x|.
    fn magnitude(self) -> Self;
    /// The nearest integer; an even one of two.
    fn round(self) -> Self;
    /// self > other.
    fn exceeds(self, other: Self) -> Self::Mask;
    /// self, negated where the other is negative (or −0).
    fn signed_as(self, other: Self) -> Self;
    /// Whether a mask holds in all lanes.
    fn all(mask: &Self::Mask) -> bool;
    /// Both masks.
    fn both(a: &Self::Mask, b: &Self::Mask) -> Self::Mask;
}

/// A constant of a flow or of a gate: one for all neurons, an `f64`; or numbers like those that it is used with, [`Own`].
pub trait Constant<X: Number>: Clone {
    /// c x.
    fn multiply(&self, x: X) -> X;
    /// x + c.
    fn add_to(&self, x: X) -> X;
    /// The constant `factor` c.
    fn scaled(&self, factor: f64) -> Self;
}

impl<X: Number> Constant<X> for f64 {
    #[inline(always)]
    fn multiply(&self, x: X) -> X {
        x.times(*self)
    }
    #[inline(always)]
    fn add_to(&self, x: X) -> X {
        x.plus(*self)
    }
    #[inline(always)]
    fn scaled(&self, factor: f64) -> Self {
        self * factor
    }
}

/// A constant that each neuron has of its own, or that is differentiated by.
#[derive(Debug, Clone, Copy)]
pub struct Own<X>(pub X);

impl<X: Number> Constant<X> for Own<X> {
    #[inline(always)]
    fn multiply(&self, x: X) -> X {
        x * self.0.clone()
    }
    #[inline(always)]
    fn add_to(&self, x: X) -> X {
        x + self.0.clone()
    }
    #[inline(always)]
    fn scaled(&self, factor: f64) -> Self {
        Own(self.0.clone().times(factor))
    }
}

/// A scalar that tensors store and the CPU kernel computes with: `f32` or `f64`.
pub trait Real:
    Float<Mask = bool>
    + Default
    + PartialOrd
    + Send
    + Sync
    + std::fmt::Debug
    + std::ops::AddAssign
    + bytemuck::Pod
    + burn::tensor::Element
    + Vectors
{
    /// From a constant.
    fn of(c: f64) -> Self;
    /// Neither infinite nor NaN.
    fn finite(self) -> bool;
    /// Bit l is set where number l of any of the blocks is not 0 (or NaN).
    fn nonzero<const R: usize>(blocks: [&[Self; BLOCK]; R]) -> u32;
}

/// π^n/n! with the sign (−1)^(n/2): the Taylor coefficients of sin πx (odd n) and cos πx (even n).
const fn turn_series<const TERMS: usize>(first: usize) -> [f64; TERMS] {
    let mut series = [0.0; TERMS];
    let mut term = if first == 0 { 1.0 } else { PI };
    let mut n = first;
    let mut index = 0;
    while index < TERMS {
        series[index] = term;
        term *= -PI * PI / ((n + 1) * (n + 2)) as f64;
        n += 2;
        index += 1;
    }
    series
}

/// sin πx / x and cos πx in x², |x| ≤ 1/2: Taylor's series, which leave 1e-19.
const SIN_PI: [f64; 12] = turn_series(1);
const COS_PI: [f64; 12] = turn_series(0);
/// The same for single precision: Chebyshev fits with errors 2e-8 and 3e-10.
const SIN_PI_SINGLE: [f64; 5] = [
    3.141_592_640_157_414,
    -5.167_710_086_073_528,
    2.550_077_557_443_27,
    -0.598_291_395_307_049_3,
    0.077_657_660_920_788_72,
];
const COS_PI_SINGLE: [f64; 6] = [
    0.999_999_999_780_128_1,
    -4.934_802_137_102_752,
    4.058_709_159_650_208,
    -1.335_211_996_578_460_8,
    0.234_937_249_841_867_92,
    -0.024_396_166_962_966_51,
];

/// atan(x)/(π x) in x², |x| ≤ tan π/8: Chebyshev fits with errors 4e-19 and 2e-10.
const ATAN_PI: [f64; 12] = [
    FRAC_1_PI,
    -0.106_103_295_394_596_22,
    0.063_661_977_236_569_98,
    -0.045_472_840_862_822_82,
    0.035_367_763_965_900_34,
    -0.028_937_223_285_775_987,
    0.024_484_540_733_661_468,
    -0.021_208_834_284_553_423,
    0.018_611_191_286_085_48,
    -0.016_027_227_222_672_026,
    0.012_084_712_468_241_334,
    -0.005_667_629_180_460_706,
];
const ATAN_PI_SINGLE: [f64; 6] = [
    0.318_309_885_983_645_25,
    -0.106_103_211_232_168_91,
    0.063_656_193_655_995_6,
    -0.045_325_839_846_413_96,
    0.033_644_807_153_927_26,
    -0.019_182_317_854_428_055,
];

/// atan(x) for |x| up to here needs no reduction: tan π/8.
pub(crate) const SLIGHT: f64 = 0.414_213_56;

/// (sin πx, cos πx) for any x.
#[inline(always)]
pub(crate) fn sin_cos_pi<X: Float>(x: X) -> (X, X) {
    let turns = x.round();
    let half = turns.times(0.5);
    // Half turns change both signs.
    let sign = (half - half.floor()).times(-4.0).plus(1.0);
    let (sin, cos) = half_turn_sin_cos_pi(x - turns);
    (sign * sin, sign * cos)
}

/// (sin πx, cos πx) for |x| ≤ 1/2.
#[inline(always)]
pub(crate) fn half_turn_sin_cos_pi<X: Float>(x: X) -> (X, X) {
    let square = x * x;
    match x.is_double() {
        true => (x * square.polynomial(&SIN_PI), square.polynomial(&COS_PI)),
        false => (x * square.polynomial(&SIN_PI_SINGLE), square.polynomial(&COS_PI_SINGLE)),
    }
}

/// atan(t)/π for |t| ≤ tan π/8.
#[inline(always)]
pub(crate) fn slight_atan_pi<X: Float>(t: X) -> X {
    let square = t * t;
    t * if t.is_double() { square.polynomial(&ATAN_PI) } else { square.polynomial(&ATAN_PI_SINGLE) }
}

/// y/x, where 0/0 is 0: the summand is too small to change anything but 0.
#[inline(always)]
fn ratio<X: Float>(y: X, x: X) -> X {
    y / x.plus(if x.is_double() { f64::MIN_POSITIVE } else { f32::MIN_POSITIVE as f64 })
}

/// atan2(y, x)/π.
#[inline(always)]
pub(crate) fn atan2_pi<X: Float>(y: X, x: X) -> X {
    let (a, b) = (x.magnitude(), y.magnitude());
    let swapped = b.exceeds(a);
    let (low, high) = (X::select(&swapped, a, b), X::select(&swapped, b, a));
    // atan(low/high) = π/4 + atan((low − high)/(low + high)) keeps the series short.
    let steep = low.exceeds(high.times(SLIGHT));
    let (num, den) = (X::select(&steep, low - high, low), X::select(&steep, low + high, high));
    let zero = low.zero();
    let t = slight_atan_pi(ratio(num, den)) + X::select(&steep, zero.plus(0.25), zero);
    let t = X::select(&swapped, (-t).plus(0.5), t);
    let t = X::select(&x.below(0.0), (-t).plus(1.0), t);
    t.signed_as(y)
}

/// Whether the angle of (x, y) is within π/8, so that [`slight_atan2_pi`] holds; no if NaN.
#[inline(always)]
pub(crate) fn is_slight_turn<X: Float>(y: X, x: X) -> X::Mask {
    // A little inside, where rounding cannot matter.
    x.times(0.999 * SLIGHT).exceeds(y.magnitude())
}

/// atan2(y, x)/π of a slight turn, the same to the last bit.
#[inline(always)]
pub(crate) fn slight_atan2_pi<X: Float>(y: X, x: X) -> X {
    slight_atan_pi(ratio(y, x))
}

macro_rules! real {
    ($real:ident, $double:expr, $nonzero:expr) => {
        impl Number for $real {
            type Mask = bool;

            #[inline(always)]
            fn is_double(&self) -> bool {
                $double
            }
            #[inline(always)]
            fn plus(self, c: f64) -> Self {
                self + c as $real
            }
            #[inline(always)]
            fn times(self, c: f64) -> Self {
                self * c as $real
            }
            #[inline(always)]
            fn within(self, low: f64, high: f64) -> Self {
                let (low, high) = (low as $real, high as $real);
                let x = if self < low { low } else { self };
                if x > high { high } else { x }
            }
            #[inline(always)]
            fn below(&self, c: f64) -> bool {
                *self < c as $real
            }
            #[inline(always)]
            fn select(mask: &bool, then: Self, otherwise: Self) -> Self {
                if *mask { then } else { otherwise }
            }
            #[inline(always)]
            fn floor(self) -> Self {
                <$real>::floor(self)
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                <$real>::sqrt(self)
            }
            #[inline(always)]
            fn exp(self) -> Self {
                <$real>::exp(self)
            }
            #[inline(always)]
            fn exp_m1(self) -> Self {
                <$real>::exp_m1(self)
            }
            #[inline(always)]
            fn ln_1p(self) -> Self {
                <$real>::ln_1p(self)
            }
            #[inline(always)]
            fn sin_cos_pi(self) -> (Self, Self) {
                sin_cos_pi(self)
            }
            #[inline(always)]
            fn half_turn_sin_cos_pi(self) -> (Self, Self) {
                half_turn_sin_cos_pi(self - Float::round(self))
            }
            #[inline(always)]
            fn one(&self) -> Self {
                1.0
            }
            #[inline(always)]
            fn zero(&self) -> Self {
                0.0
            }
            #[inline(always)]
            fn atan2_pi(self, x: Self) -> Self {
                atan2_pi(self, x)
            }
        }

        impl Float for $real {
            #[inline(always)]
            fn magnitude(self) -> Self {
                self.abs()
            }
            #[inline(always)]
            fn round(self) -> Self {
                self.round_ties_even()
            }
            #[inline(always)]
            fn exceeds(self, other: Self) -> bool {
                self > other
            }
            #[inline(always)]
            fn signed_as(self, other: Self) -> Self {
                if other.is_sign_negative() { -self } else { self }
            }
            #[inline(always)]
            fn all(mask: &bool) -> bool {
                *mask
            }
            #[inline(always)]
            fn both(a: &bool, b: &bool) -> bool {
                *a & *b
            }
        }

        impl Real for $real {
            #[inline(always)]
            fn of(c: f64) -> Self {
                c as $real
            }
            #[inline(always)]
            fn finite(self) -> bool {
                self.is_finite()
            }
            #[inline(always)]
            fn nonzero<const R: usize>(blocks: [&[Self; BLOCK]; R]) -> u32 {
                $nonzero(blocks)
            }
        }
    };
}

real!(f32, false, mask::singles);
real!(f64, true, mask::doubles);

/// Bits of the numbers that are not 0 in one of several blocks, by instructions that compilers do not find by themselves and every
/// processor of this kind has.
#[cfg(target_arch = "x86_64")]
mod mask {
    use crate::lanes::BLOCK;
    use std::arch::x86_64::*;

    /// Four numbers from `at` on, joined over the blocks, compared with 0. A join of bits is 0 where all its parts are.
    #[inline(always)]
    fn four<const R: usize>(blocks: &[&[f32; BLOCK]; R], at: usize) -> __m128i {
        // Four numbers are loaded where there are four.
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
        // Two numbers are loaded where there are two.
        unsafe {
            let mut joined = _mm_setzero_pd();
            for block in blocks {
                joined = _mm_or_pd(joined, _mm_loadu_pd(block[at..at + 2].as_ptr()));
            }
            _mm_castpd_ps(_mm_cmpneq_pd(joined, _mm_setzero_pd()))
        }
    }

    /// One bit for each of sixteen numbers, compared in fours.
    #[inline(always)]
    fn bits(a: __m128i, b: __m128i, c: __m128i, d: __m128i) -> u32 {
        unsafe { _mm_movemask_epi8(_mm_packs_epi16(_mm_packs_epi32(a, b), _mm_packs_epi32(c, d))) as u32 }
    }

    #[inline(always)]
    pub(super) fn singles<const R: usize>(blocks: [&[f32; BLOCK]; R]) -> u32 {
        bits(four(&blocks, 0), four(&blocks, 4), four(&blocks, 8), four(&blocks, 12))
    }

    #[inline(always)]
    pub(super) fn doubles<const R: usize>(blocks: [&[f64; BLOCK]; R]) -> u32 {
        // The low halves of four comparisons' outcomes.
        let four =
            |at| unsafe { _mm_castps_si128(_mm_shuffle_ps::<0b10_00_10_00>(two(&blocks, at), two(&blocks, at + 2))) };
        bits(four(0), four(4), four(8), four(12))
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod mask {
    use crate::lanes::BLOCK;

    #[inline(always)]
    fn bits(nonzero: impl Fn(usize) -> bool) -> u32 {
        let mut bits = 0;
        for l in 0..BLOCK {
            bits |= (nonzero(l) as u32) << l;
        }
        bits
    }

    #[inline(always)]
    pub(super) fn singles<const R: usize>(blocks: [&[f32; BLOCK]; R]) -> u32 {
        bits(|l| blocks.iter().any(|block| block[l] != 0.0))
    }

    #[inline(always)]
    pub(super) fn doubles<const R: usize>(blocks: [&[f64; BLOCK]; R]) -> u32 {
        bits(|l| blocks.iter().any(|block| block[l] != 0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sweep that includes the ends of every reduced range.
    fn sweep() -> impl Iterator<Item = f64> {
        (-4000..=4000).map(|i| i as f64 / 1000.0)
    }

    #[test]
    fn sine_and_cosine_err_by_rounding_only() {
        for x in sweep() {
            let (sin, cos) = x.sin_cos_pi();
            assert!((sin - (PI * x).sin()).abs() < 3e-15, "sin π{x}: {sin}");
            assert!((cos - (PI * x).cos()).abs() < 3e-15, "cos π{x}: {cos}");
            let (sin, cos) = (x as f32).sin_cos_pi();
            let x = x as f32 as f64;
            assert!((sin as f64 - (PI * x).sin()).abs() < 3e-7, "sin π{x}: {sin}");
            assert!((cos as f64 - (PI * x).cos()).abs() < 3e-7, "cos π{x}: {cos}");
        }
    }

    #[test]
    fn sine_keeps_its_relative_accuracy_near_whole_turns() {
        for turns in [0.0, 1.0, 2.0, 3.0] {
            let (sin, _) = (turns + 1e-3).sin_cos_pi();
            let want = (PI * 1e-3_f64).sin() * if turns % 2.0 == 0.0 { 1.0 } else { -1.0 };
            assert!((sin / want - 1.0).abs() < 1e-12, "{turns}: {sin} against {want}");
        }
    }

    #[test]
    fn arctangent_errs_by_rounding_only() {
        for angle in sweep().map(|x| x / 4.0) {
            for radius in [1e-6, 0.3, 1.0, 40.0] {
                let (y, x) = (radius * (PI * angle).sin(), radius * (PI * angle).cos());
                let want = y.atan2(x) / PI;
                assert!((y.atan2_pi(x) - want).abs() < 4e-16, "atan2({y}, {x})");
                let (y, x) = (y as f32, x as f32);
                let want = (y as f64).atan2(x as f64) / PI;
                assert!((y.atan2_pi(x) as f64 - want).abs() < 1.2e-7, "atan2({y}, {x})");
            }
        }
        assert_eq!(0.0_f64.atan2_pi(1.0), 0.0);
        assert_eq!(0.0_f64.atan2_pi(-1.0), 1.0);
        assert_eq!(1.0_f32.atan2_pi(0.0), 0.5);
    }

    #[test]
    fn slight_turns_are_turns() {
        fn check<T: Real>(y: f64, x: f64) {
            let (y, x) = (T::of(y), T::of(x));
            if is_slight_turn(y, x) {
                assert_eq!(slight_atan2_pi(y, x), y.atan2_pi(x), "atan2({y:?}, {x:?})");
            }
        }
        for y in sweep().map(|y| y / 4.0) {
            for x in [-1.0, 0.0, 1e-30, 0.3, 1.0] {
                check::<f32>(y, x);
                check::<f64>(y, x);
            }
        }
        assert!(is_slight_turn(0.3_f64, 1.0) && !is_slight_turn(0.5_f64, 1.0) && !is_slight_turn(0.1_f64, -1.0));
        assert!(!is_slight_turn(f64::NAN, 1.0) && !is_slight_turn(0.1_f64, f64::NAN));
    }

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

    #[test]
    fn numbers_that_are_not_finite_stay_so() {
        let nan = f64::NAN;
        assert!(nan.atan2_pi(1.0).is_nan() && 1.0.atan2_pi(nan).is_nan());
        assert!(nan.sin_cos_pi().0.is_nan() && nan.within(0.0, 1.0).is_nan());
    }
}
