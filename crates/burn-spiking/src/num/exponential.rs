//! e^x and e^x − 1 of a vector's numbers, as a series without branches.
//!
//! ```text
//! x = n ln 2 + r,  |r| ≤ ln(2)/2        p = e^r − 1 = r + r²/2 + …
//! e^x = 2ⁿ + 2ⁿ p                       e^x − 1 = 2ⁿ p + (2ⁿ − 1)
//! ```
//!
//! For small x, n is 0 and e^x − 1 = p keeps all digits.

use super::number::Float;
use std::f64::consts::LOG2_E;

/// ln 2 in two parts, so that n ln 2 is exact to more digits than one number has.
pub(super) const LN_2: [f64; 2] = [6.931_471_803_691_238e-1, 1.908_214_929_270_587_7e-10];
pub(super) const LN_2_SINGLE: [f64; 2] = [0.693_359_375, -2.121_944_4e-4];

/// 1/(k + 2)!, the coefficients of (p − r)/r².
const fn factorials<const TERMS: usize>() -> [f64; TERMS] {
    let mut series = [0.0; TERMS];
    let mut term = 0.5;
    let mut k = 0;
    while k < TERMS {
        series[k] = term;
        term /= (k + 3) as f64;
        k += 1;
    }
    series
}

/// Taylor series with errors of 1e-17 in double and 5e-9 in single precision.
const SERIES: [f64; 12] = factorials();
const SERIES_SINGLE: [f64; 6] = factorials();

/// The exponents beyond which 2ⁿ or e^x is not a normal number.
const LIMITS: [f64; 2] = [-708.0, 709.4];
const LIMITS_SINGLE: [f64; 2] = [-87.0, 88.3];

/// Numbers whose exponent is at hand.
pub(super) trait Exponent: Float {
    /// The whole n for which self/2ⁿ is in [√½, √2). Self is a normal number above 0.
    fn exponent(self) -> Self;
    /// 2 to whole exponents for which it is a normal number.
    fn power_of_two(self) -> Self;
}

#[inline(always)]
fn limits<X: Float>(x: X) -> [f64; 2] {
    if x.is_double() { LIMITS } else { LIMITS_SINGLE }
}

/// (2ⁿ, p) of x, which is taken to the limits if it is beyond them.
#[inline(always)]
fn parts<X: Exponent>(x: X) -> (X, X) {
    let [low, high] = limits(x);
    let x = x.within(low, high);
    let [first, second] = if x.is_double() { LN_2 } else { LN_2_SINGLE };
    let (n, zero) = (x.times(LOG2_E).round(), x.zero());
    let r = n.times_add(zero.plus(-second), n.times_add(zero.plus(-first), x));
    let rest = if x.is_double() { r.polynomial(&SERIES) } else { r.polynomial(&SERIES_SINGLE) };
    (n.power_of_two(), (r * r).times_add(rest, r))
}

/// `inside` between the limits, `least` below them, and infinity above them.
#[inline(always)]
fn bounded<X: Float>(x: X, inside: X, least: f64) -> X {
    let ([low, high], zero) = (limits(x), x.zero());
    let inside = X::select(&x.below(low), zero.plus(least), inside);
    X::select(&x.exceeds(zero.plus(high)), zero.plus(f64::INFINITY), inside)
}

/// e^x; infinite above about 88.3 in single and 709.4 in double precision.
#[inline(always)]
pub(super) fn exp<X: Exponent>(x: X) -> X {
    let (scale, p) = parts(x);
    bounded(x, scale.times_add(p, scale), 0.0)
}

/// e^x − 1, with the limits of [`exp`].
#[inline(always)]
pub(super) fn exp_m1<X: Exponent>(x: X) -> X {
    let (scale, p) = parts(x);
    bounded(x, scale.times_add(p, scale.plus(-1.0)), -1.0)
}
