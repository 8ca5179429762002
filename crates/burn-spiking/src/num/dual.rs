//! Dual numbers: a value with its derivatives with respect to S variables, such as v and I. They
//! give exact slopes to a flow that does not define its own.
//!
//! ```text
//! (x, x′) (y, y′) = (x y, x′ y + x y′)        h((x, x′)) = (h(x), h′(x) x′)
//! ```
//!
//! By default [`Flow::slopes`](crate::neuron::Flow::slopes) runs φ on dual numbers. The derivatives
//! of a select are those of the side that the values take, and ⌊·⌋ has the derivative 0, as in
//! automatic differentiation.

use crate::num::Number;
use std::f64::consts::PI;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// A value and its S derivatives.
#[derive(Debug, Clone)]
pub struct Dual<X, const S: usize = 2> {
    /// The value.
    pub value: X,
    /// The derivatives with respect to the variables; ∂/∂v and ∂/∂I by default.
    pub slopes: [X; S],
}

impl<X: Number> Dual<X> {
    /// The membrane potential v as a dual number: ∂v/∂v = 1, ∂v/∂I = 0.
    #[inline(always)]
    pub fn potential(v: X) -> Self {
        Self { slopes: [v.one(), v.zero()], value: v }
    }

    /// The current I as a dual number: ∂I/∂v = 0, ∂I/∂I = 1.
    #[inline(always)]
    pub fn current(i: X) -> Self {
        Self { slopes: [i.zero(), i.one()], value: i }
    }
}

impl<X: Number> Dual<X, 3> {
    /// The first, second or third of three variables.
    #[inline(always)]
    pub fn variable(x: X, at: usize) -> Self {
        let mut slopes = [x.zero(), x.zero(), x.zero()];
        slopes[at] = x.one();
        Self { slopes, value: x }
    }
}

impl<X: Number> Dual<X, 1> {
    /// A number that does not depend on the only variable.
    #[inline(always)]
    pub fn constant(value: X) -> Self {
        Self { slopes: [value.zero()], value }
    }
}

// Loops instead of the methods of arrays: their closures could be compiled by themselves, without
// the vectors of the processor.
impl<X: Number, const S: usize> Dual<X, S> {
    /// Applies the chain rule to a function with this `value` and `derivative` at `self`.
    #[inline(always)]
    fn mapped(mut self, value: X, derivative: X) -> Self {
        for k in 0..S {
            self.slopes[k] = self.slopes[k].clone() * derivative.clone();
        }
        Self { value, slopes: self.slopes }
    }

    /// Applies a linear function to the value and to each slope.
    #[inline(always)]
    fn each(mut self, f: impl Fn(X) -> X) -> Self {
        for k in 0..S {
            self.slopes[k] = f(self.slopes[k].clone());
        }
        Self { value: f(self.value), slopes: self.slopes }
    }

    /// Applies a linear function to the values and to the slopes of two dual numbers.
    #[inline(always)]
    fn both(mut self, other: Self, f: impl Fn(X, X) -> X) -> Self {
        for k in 0..S {
            self.slopes[k] = f(self.slopes[k].clone(), other.slopes[k].clone());
        }
        Self { value: f(self.value, other.value), slopes: self.slopes }
    }
}

impl<X: Number, const S: usize> Add for Dual<X, S> {
    type Output = Self;
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.both(other, |a, b| a + b)
    }
}

impl<X: Number, const S: usize> Sub for Dual<X, S> {
    type Output = Self;
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.both(other, |a, b| a - b)
    }
}

impl<X: Number, const S: usize> Mul for Dual<X, S> {
    type Output = Self;
    #[inline(always)]
    fn mul(mut self, other: Self) -> Self {
        let (x, y) = (self.value, other.value);
        for k in 0..S {
            self.slopes[k] = self.slopes[k].clone() * y.clone() + x.clone() * other.slopes[k].clone();
        }
        Self { slopes: self.slopes, value: x * y }
    }
}

impl<X: Number, const S: usize> Div for Dual<X, S> {
    type Output = Self;
    #[inline(always)]
    fn div(mut self, other: Self) -> Self {
        // The value is that of the same division without derivatives, to the last bit.
        let inverse = other.value.one() / other.value.clone();
        let ratio = self.value / other.value;
        for k in 0..S {
            let slope = self.slopes[k].clone() - ratio.clone() * other.slopes[k].clone();
            self.slopes[k] = slope * inverse.clone();
        }
        Self { value: ratio, slopes: self.slopes }
    }
}

impl<X: Number, const S: usize> Neg for Dual<X, S> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        self.each(|x| -x)
    }
}

impl<X: Number, const S: usize> Number for Dual<X, S> {
    type Mask = X::Mask;

    #[inline(always)]
    fn is_double(&self) -> bool {
        self.value.is_double()
    }
    #[inline(always)]
    fn plus(self, c: f64) -> Self {
        Self { value: self.value.plus(c), slopes: self.slopes }
    }
    #[inline(always)]
    fn times(self, c: f64) -> Self {
        self.each(|x| x.times(c))
    }
    #[inline(always)]
    fn within(mut self, low: f64, high: f64) -> Self {
        let (under, over) = (self.value.below(low), (-self.value.clone()).below(-high));
        for k in 0..S {
            let slope = self.slopes[k].clone();
            self.slopes[k] = X::select(&under, slope.zero(), X::select(&over, slope.zero(), slope));
        }
        Self { value: self.value.within(low, high), slopes: self.slopes }
    }
    #[inline(always)]
    fn below(&self, c: f64) -> Self::Mask {
        self.value.below(c)
    }
    #[inline(always)]
    fn select(mask: &Self::Mask, then: Self, otherwise: Self) -> Self {
        then.both(otherwise, |a, b| X::select(mask, a, b))
    }
    #[inline(always)]
    fn holds_everywhere(mask: &Self::Mask) -> bool {
        X::holds_everywhere(mask)
    }
    #[inline(always)]
    fn floor(mut self) -> Self {
        for k in 0..S {
            self.slopes[k] = self.value.zero();
        }
        Self { value: self.value.floor(), slopes: self.slopes }
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        let root = self.value.clone().sqrt();
        let derivative = root.one().times(0.5) / root.clone();
        self.mapped(root, derivative)
    }
    #[inline(always)]
    fn exp(self) -> Self {
        let value = self.value.clone().exp();
        self.mapped(value.clone(), value)
    }
    #[inline(always)]
    fn exp_m1(self) -> Self {
        let value = self.value.clone().exp_m1();
        self.mapped(value.clone(), value.plus(1.0))
    }
    #[inline(always)]
    fn ln_1p(self) -> Self {
        let derivative = self.value.one() / self.value.clone().plus(1.0);
        let value = self.value.clone().ln_1p();
        self.mapped(value, derivative)
    }
    #[inline(always)]
    fn sin_cos_pi(self) -> (Self, Self) {
        let (sin, cos) = self.value.clone().sin_cos_pi();
        (self.clone().mapped(sin.clone(), cos.clone().times(PI)), self.mapped(cos, sin.times(-PI)))
    }
    #[inline(always)]
    fn atan2_pi(mut self, x: Self) -> Self {
        let (b, a) = (self.value, x.value);
        let inverse = (a.clone() * a.clone() + b.clone() * b.clone()).times(PI);
        for k in 0..S {
            let (db, da) = (self.slopes[k].clone(), x.slopes[k].clone());
            self.slopes[k] = (a.clone() * db - b.clone() * da) / inverse.clone();
        }
        Self { slopes: self.slopes, value: b.clone().atan2_pi(a.clone()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Uses each operation at least once, with arguments away from its discontinuities and kinks.
    fn everything<X: Number>(v: X, i: X) -> X {
        let (sin, cos) = (v.clone() * i.clone()).sin_cos_pi();
        let root = (v.clone() * v.clone()).plus(0.3).sqrt();
        let cut = i.clone().within(-0.25, 0.25) + v.clone().within(0.0, 5.0);
        let picked = X::select(&v.below(0.4), sin.clone() / root.clone(), cos.clone() - i.clone());
        let angle = (sin + cos).atan2_pi(v.clone().plus(-0.45) - i.clone().times(0.3));
        let grown = v.clone().times(0.4).exp_m1() * i.clone().times(0.2).exp() + (v.clone() * v.clone()).ln_1p();
        picked + angle * cut - grown + root.floor() + v.polynomial(&[0.1, -0.3, 0.7]) * -i
    }

    #[test]
    fn slopes_match_central_differences() {
        for v in [0.05_f64, 0.33, 0.71, 0.98] {
            for i in [-1.3_f64, -0.2, 0.11, 0.9] {
                let found = everything(Dual::potential(v), Dual::current(i));
                assert_eq!(found.value, everything(v, i));
                let h = 1e-6;
                let wanted = [
                    (everything(v + h, i) - everything(v - h, i)) / (2.0 * h),
                    (everything(v, i + h) - everything(v, i - h)) / (2.0 * h),
                ];
                for (found, wanted) in found.slopes.into_iter().zip(wanted) {
                    assert!((found - wanted).abs() < 1e-8 * (1.0 + wanted.abs()), "v {v} I {i}: {found}, not {wanted}");
                }
            }
        }
    }
}
