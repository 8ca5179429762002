//! Sine, cosine and arctangent of angles in half turns, as series without branches for all kinds of
//! floating-point numbers.

use super::number::Float;
use std::f64::consts::{FRAC_1_PI, PI};

/// π^n/n! with the sign (−1)^⌊n/2⌋: the Taylor coefficients of sin πx (odd n) and cos πx (even n).
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

/// The coefficients of sin πx / x and cos πx as polynomials in x², for |x| ≤ 1/2: Taylor series
/// with errors of 1e-19.
const SIN_PI: [f64; 12] = turn_series(1);
const COS_PI: [f64; 12] = turn_series(0);
/// The same in single precision: Chebyshev fits with errors of 2e-8 and 3e-10.
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

/// The coefficients of atan(x)/(π x) as a polynomial in x², for |x| ≤ tan π/8: Chebyshev fits with
/// errors of 4e-19 in double and 2e-10 in single precision.
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

/// The largest |x| for which atan(x) needs no range reduction: tan π/8.
pub(crate) const SMALL_ANGLE: f64 = 0.414_213_56;

/// (sin πx, cos πx) for any x.
#[inline(always)]
pub(crate) fn sin_cos_pi<X: Float>(x: X) -> (X, X) {
    let turns = x.round();
    let half = turns.times(0.5);
    // An odd number of half turns changes both signs.
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
pub(crate) fn small_angle_atan_pi<X: Float>(t: X) -> X {
    let square = t * t;
    t * if t.is_double() { square.polynomial(&ATAN_PI) } else { square.polynomial(&ATAN_PI_SINGLE) }
}

/// y/x, with 0/0 = 0. The number added to x is too small to change any x except 0.
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
    let steep = low.exceeds(high.times(SMALL_ANGLE));
    let (num, den) = (X::select(&steep, low - high, low), X::select(&steep, low + high, high));
    let zero = low.zero();
    let t = small_angle_atan_pi(ratio(num, den)) + X::select(&steep, zero.plus(0.25), zero);
    let t = X::select(&swapped, (-t).plus(0.5), t);
    let t = X::select(&x.below(0.0), (-t).plus(1.0), t);
    t.signed_as(y)
}

/// Whether the angle of (x, y) is within ±π/8, so that [`small_angle_atan2_pi`] is valid; false for
/// NaN.
#[inline(always)]
pub(crate) fn is_small_angle<X: Float>(y: X, x: X) -> X::Mask {
    // The factor keeps the angle a little inside the limit, so that rounding has no effect.
    x.times(0.999 * SMALL_ANGLE).exceeds(y.magnitude())
}

/// atan2(y, x)/π for an angle within ±π/8. It equals [`atan2_pi`] bit for bit.
#[inline(always)]
pub(crate) fn small_angle_atan2_pi<X: Float>(y: X, x: X) -> X {
    small_angle_atan_pi(ratio(y, x))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::{Number, Real};

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
    fn small_angles_are_angles() {
        fn check<T: Real>(y: f64, x: f64) {
            let (y, x) = (T::of(y), T::of(x));
            if is_small_angle(y, x) {
                assert_eq!(small_angle_atan2_pi(y, x), y.atan2_pi(x), "atan2({y:?}, {x:?})");
            }
        }
        for y in sweep().map(|y| y / 4.0) {
            for x in [-1.0, 0.0, 1e-30, 0.3, 1.0] {
                check::<f32>(y, x);
                check::<f64>(y, x);
            }
        }
        assert!(is_small_angle(0.3_f64, 1.0) && !is_small_angle(0.5_f64, 1.0) && !is_small_angle(0.1_f64, -1.0));
        assert!(!is_small_angle(f64::NAN, 1.0) && !is_small_angle(0.1_f64, f64::NAN));
    }

    #[test]
    fn numbers_that_are_not_finite_stay_so() {
        let nan = f64::NAN;
        assert!(nan.atan2_pi(1.0).is_nan() && 1.0.atan2_pi(nan).is_nan());
        assert!(nan.sin_cos_pi().0.is_nan() && nan.within(0.0, 1.0).is_nan());
    }
}
