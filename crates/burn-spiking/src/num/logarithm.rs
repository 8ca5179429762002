//! ln(1 + x) of a vector's numbers, as a series without branches.
//!
//! ```text
//! 1 + x = 2ⁿ (1 + f),  1 + f in [√½, √2)        s = f/(2 + f)
//! ln(1 + x) = n ln 2 + 2 (s + s³/3 + s⁵/5 + …)
//! ```
//!
//! What the sum 1 + x loses by rounding is added to f. For small x, n is 0 and f is x, so that all
//! digits are kept.

use super::exponential::{Exponent, LN_2, LN_2_SINGLE};

/// 2/(2k + 3), the coefficients of (ln(1 + f) − 2 s)/s³ in s². Their errors are 2e-17 in double and
/// 2e-9 in single precision, for |s| up to 0.172.
const fn odd_reciprocals<const TERMS: usize>() -> [f64; TERMS] {
    let mut series = [0.0; TERMS];
    let mut k = 0;
    while k < TERMS {
        series[k] = 2.0 / (2 * k + 3) as f64;
        k += 1;
    }
    series
}

const SERIES: [f64; 10] = odd_reciprocals();
const SERIES_SINGLE: [f64; 4] = odd_reciprocals();

/// ln(1 + x); −∞ for −1, and NaN below.
#[inline(always)]
pub(super) fn ln_1p<X: Exponent>(x: X) -> X {
    let double = x.is_double();
    let (sum, zero) = (x.plus(1.0), x.zero());
    let lost = x - sum.plus(-1.0);
    let n = sum.exponent();
    // Two factors, because 2⁻ⁿ of the largest numbers is not a normal number.
    let half = n.times(0.5).floor();
    let (first, second) = ((-half).power_of_two(), (half - n).power_of_two());
    let f = (sum * first * second).plus(-1.0) + lost * first * second;
    let s = f / f.plus(2.0);
    let square = s * s;
    let rest = if double { square.polynomial(&SERIES) } else { square.polynomial(&SERIES_SINGLE) };
    // 2 s = f − s f.
    let near = f + s * (square * rest - f);
    let [first, second] = if double { LN_2 } else { LN_2_SINGLE };
    let inside = n.times_add(zero.plus(first), n.times_add(zero.plus(second), near));
    let (smallest, largest) = if double { (f64::MIN_POSITIVE, f64::MAX) } else { (1e-38, f64::from(f32::MAX)) };
    let inside = X::select(&sum.below(smallest), zero.plus(f64::NEG_INFINITY), inside);
    let inside = X::select(&x.below(-1.0), zero.plus(f64::NAN), inside);
    X::select(&x.exceeds(zero.plus(largest)), x, inside)
}
