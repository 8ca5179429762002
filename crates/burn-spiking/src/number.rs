//! The numbers that flows and gates are written over.
//!
//! One equation serves every kind of number: `f32` and `f64` in the CPU kernel, whole tensors in the reference
//! and in the default body of the op (`scan::field`). It is written with arithmetic and selects
//! instead of branches, so that the compiler can run it over many neurons at once.
//!
//! Angles are counted in half turns (units of π): the range reduction is then exact, and a spike is one half turn.

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

    /// self · factor + summand; rounded once where the numbers are fused.
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

/// A scalar that the CPU kernel computes with: `f32`, `f64`, or one of these [`Fused`].
pub trait Real:
    Number<Mask = bool> + Copy + Default + PartialOrd + Send + Sync + std::fmt::Debug + std::ops::AddAssign + bytemuck::Pod
{
    /// The same number as tensors store it.
    type Stored: burn::tensor::Element + bytemuck::Pod;

    /// From a constant.
    fn of(c: f64) -> Self;
    /// |x|.
    fn magnitude(self) -> Self;
    /// Neither infinite nor NaN.
    fn finite(self) -> bool;
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
const SIN_PI_SINGLE: [f64; 5] =
    [3.141_592_640_157_414, -5.167_710_086_073_528, 2.550_077_557_443_27, -0.598_291_395_307_049_3, 0.077_657_660_920_788_72];
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

/// A number whose sums of products are rounded once: the processor's fused multiply-add, where it has one. Elsewhere this is
/// slow, and the plain number serves.
#[derive(Debug, Clone, Copy, Default, PartialEq, PartialOrd)]
#[repr(transparent)]
pub struct Fused<R>(pub R);

// Transparent over plain old data.
unsafe impl<R: bytemuck::Zeroable> bytemuck::Zeroable for Fused<R> {}
unsafe impl<R: bytemuck::Pod> bytemuck::Pod for Fused<R> {}

macro_rules! fused_operator {
    ($trait:ident, $method:ident) => {
        impl<R: $trait<Output = R>> $trait for Fused<R> {
            type Output = Self;

            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                Self(self.0.$method(other.0))
            }
        }
    };
}
fused_operator!(Add, add);
fused_operator!(Sub, sub);
fused_operator!(Mul, mul);
fused_operator!(Div, div);

impl<R: Neg<Output = R>> Neg for Fused<R> {
    type Output = Self;

    #[inline(always)]
    fn neg(self) -> Self {
        Self(-self.0)
    }
}

impl<R: std::ops::AddAssign> std::ops::AddAssign for Fused<R> {
    #[inline(always)]
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}

macro_rules! real {
    ($real:ident, $series:ident, $double:expr, $sin:expr, $cos:expr, $atan:expr) => {
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
            fn sin_cos_pi(self) -> (Self, Self) {
                $series::sin_cos_pi::<false>(self)
            }
            #[inline(always)]
            fn half_turn_sin_cos_pi(self) -> (Self, Self) {
                $series::half_turn_sin_cos_pi::<false>(self - self.round_ties_even())
            }
            #[inline(always)]
            fn one(&self) -> Self {
                1.0
            }
            #[inline(always)]
            fn atan2_pi(self, x: Self) -> Self {
                $series::atan2_pi::<false>(self, x)
            }
        }

        impl Number for Fused<$real> {
            type Mask = bool;

            #[inline(always)]
            fn is_double(&self) -> bool {
                $double
            }
            #[inline(always)]
            fn plus(self, c: f64) -> Self {
                Self(self.0.plus(c))
            }
            #[inline(always)]
            fn times(self, c: f64) -> Self {
                Self(self.0.times(c))
            }
            #[inline(always)]
            fn within(self, low: f64, high: f64) -> Self {
                Self(self.0.within(low, high))
            }
            #[inline(always)]
            fn below(&self, c: f64) -> bool {
                self.0.below(c)
            }
            #[inline(always)]
            fn select(mask: &bool, then: Self, otherwise: Self) -> Self {
                if *mask { then } else { otherwise }
            }
            #[inline(always)]
            fn floor(self) -> Self {
                Self(self.0.floor())
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                Self(self.0.sqrt())
            }
            #[inline(always)]
            fn exp(self) -> Self {
                Self(self.0.exp())
            }
            #[inline(always)]
            fn sin_cos_pi(self) -> (Self, Self) {
                let (sin, cos) = $series::sin_cos_pi::<true>(self.0);
                (Self(sin), Self(cos))
            }
            #[inline(always)]
            fn half_turn_sin_cos_pi(self) -> (Self, Self) {
                let (sin, cos) = $series::half_turn_sin_cos_pi::<true>(self.0 - self.0.round_ties_even());
                (Self(sin), Self(cos))
            }
            #[inline(always)]
            fn one(&self) -> Self {
                Self(1.0)
            }
            #[inline(always)]
            fn atan2_pi(self, x: Self) -> Self {
                Self($series::atan2_pi::<true>(self.0, x.0))
            }
            #[inline(always)]
            fn times_add(self, factor: Self, summand: Self) -> Self {
                Self(self.0.mul_add(factor.0, summand.0))
            }
            #[inline(always)]
            fn polynomial(self, c: &[f64]) -> Self {
                Self($series::polynomial::<true>(self.0, c))
            }
        }

        /// Series by Horner's scheme, with or without fused steps.
        mod $series {
            use super::*;

            #[inline(always)]
            pub(super) fn polynomial<const FUSED: bool>(x: $real, c: &[f64]) -> $real {
                let last = c.len() - 1;
                let mut sum = c[last] as $real;
                for &c in c[..last].iter().rev() {
                    sum = if FUSED { sum.mul_add(x, c as $real) } else { sum * x + c as $real };
                }
                sum
            }

            #[inline(always)]
            pub(super) fn sin_cos_pi<const FUSED: bool>(x: $real) -> ($real, $real) {
                let turns = x.round_ties_even();
                let r = x - turns;
                let half = turns * 0.5;
                // Half turns change both signs.
                let sign = 1.0 - 4.0 * (half - half.floor());
                let (sin, cos) = half_turn_sin_cos_pi::<FUSED>(r);
                (sign * sin, sign * cos)
            }

            /// For |r| ≤ 1/2.
            #[inline(always)]
            pub(super) fn half_turn_sin_cos_pi<const FUSED: bool>(r: $real) -> ($real, $real) {
                let r2 = r * r;
                (r * polynomial::<FUSED>(r2, &$sin), polynomial::<FUSED>(r2, &$cos))
            }

            #[inline(always)]
            pub(super) fn atan2_pi<const FUSED: bool>(y: $real, x: $real) -> $real {
                let (a, b) = (x.abs(), y.abs());
                let (low, high) = if b > a { (a, b) } else { (b, a) };
                // atan(low/high) = π/4 + atan((low − high)/(low + high)) keeps the series short.
                let steep = low > high * 0.414_213_56;
                let num = if steep { low - high } else { low };
                let den = if steep { low + high } else { high };
                // Too small to change anything but 0.
                let t = num / (den + <$real>::MIN_POSITIVE);
                let t = t * polynomial::<FUSED>(t * t, &$atan) + if steep { 0.25 } else { 0.0 };
                let t = if b > a { 0.5 - t } else { t };
                let t = if x.is_sign_negative() { 1.0 - t } else { t };
                if y.is_sign_negative() { -t } else { t }
            }
        }

        impl Real for Fused<$real> {
            type Stored = $real;

            #[inline(always)]
            fn of(c: f64) -> Self {
                Self(c as $real)
            }
            #[inline(always)]
            fn magnitude(self) -> Self {
                Self(self.0.abs())
            }
            #[inline(always)]
            fn finite(self) -> bool {
                self.0.is_finite()
            }
        }

        impl Real for $real {
            type Stored = $real;

            #[inline(always)]
            fn of(c: f64) -> Self {
                c as $real
            }
            #[inline(always)]
            fn magnitude(self) -> Self {
                self.abs()
            }
            #[inline(always)]
            fn finite(self) -> bool {
                self.is_finite()
            }
        }
    };
}

real!(f32, single, false, SIN_PI_SINGLE, COS_PI_SINGLE, ATAN_PI_SINGLE);
real!(f64, double, true, SIN_PI, COS_PI, ATAN_PI);

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
            let (fused_sin, fused_cos) = Fused(x).sin_cos_pi();
            assert!((fused_sin.0 - sin).abs() < 3e-15 && (fused_cos.0 - cos).abs() < 3e-15, "{x}");
            let (sin, cos) = (x as f32).sin_cos_pi();
            let (fused_sin, fused_cos) = Fused(x as f32).sin_cos_pi();
            assert!((fused_sin.0 - sin).abs() < 3e-7 && (fused_cos.0 - cos).abs() < 3e-7, "{x}");
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
                assert!((Fused(y).atan2_pi(Fused(x)).0 - want).abs() < 4e-16, "fused atan2({y}, {x})");
                let (y, x) = (y as f32, x as f32);
                let want = (y as f64).atan2(x as f64) / PI;
                assert!((y.atan2_pi(x) as f64 - want).abs() < 1.2e-7, "atan2({y}, {x})");
                let fused = Fused(y).atan2_pi(Fused(x)).0;
                assert!((fused as f64 - want).abs() < 1.2e-7, "fused atan2({y}, {x})");
            }
        }
        assert_eq!(0.0_f64.atan2_pi(1.0), 0.0);
        assert_eq!(0.0_f64.atan2_pi(-1.0), 1.0);
        assert_eq!(1.0_f32.atan2_pi(0.0), 0.5);
    }

    #[test]
    fn numbers_that_are_not_finite_stay_so() {
        let nan = f64::NAN;
        assert!(nan.atan2_pi(1.0).is_nan() && 1.0.atan2_pi(nan).is_nan());
        assert!(nan.sin_cos_pi().0.is_nan() && nan.within(0.0, 1.0).is_nan());
    }
}
