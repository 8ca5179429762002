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

/// Implements the variables of dual numbers that have as many derivatives as there are zeros.
macro_rules! variables {
    ($count:literal: $($zero:ident)*) => {
        impl<X: Number> Dual<X, $count> {
            /// One of the variables, counted from 0.
            #[inline(always)]
            pub fn variable(x: X, at: usize) -> Self {
                let mut slopes = [$(x.$zero()),*];
                slopes[at] = x.one();
                Self { slopes, value: x }
            }
        }
    };
}
variables!(3: zero zero zero);
variables!(5: zero zero zero zero zero);

impl<X: Number> Dual<X, 1> {
    /// A number that does not depend on the only variable.
    #[inline(always)]
    pub fn constant(value: X) -> Self {
        Self { slopes: [value.zero()], value }
    }
}

/// Runs an operation that is compiled once, not in each place that uses it.
#[inline(never)]
pub(crate) fn apart<A, R>(operation: impl FnOnce(A) -> R, operands: A) -> R {
    operation(operands)
}

/// Runs an operation: in line for numbers of the processor, and apart for tensors. A flow has many
/// operations, and in line, those of tensors make functions of megabytes.
macro_rules! run {
    ($number:ident, $operation:path, $operands:expr) => {
        if const { $number::OPERATIONS_ARE_CALLS } { apart($operation, $operands) } else { $operation($operands) }
    };
}

// Loops instead of the methods of arrays, and functions instead of closures: closures could be
// compiled by themselves, without the vectors of the processor.
impl<X: Number, const S: usize> Dual<X, S> {
    /// Applies the chain rule to a function with this value and derivative at `x`.
    #[inline(always)]
    fn chained((mut x, value, derivative): (Self, X, X)) -> Self {
        for k in 0..S {
            x.slopes[k] = x.slopes[k].clone() * derivative.clone();
        }
        Self { value, slopes: x.slopes }
    }

    #[inline(always)]
    fn mapped(self, value: X, derivative: X) -> Self {
        run!(X, Self::chained, (self, value, derivative))
    }

    #[inline(always)]
    fn sum((mut x, y): (Self, Self)) -> Self {
        for k in 0..S {
            x.slopes[k] = x.slopes[k].clone() + y.slopes[k].clone();
        }
        Self { value: x.value + y.value, slopes: x.slopes }
    }

    #[inline(always)]
    fn difference((mut x, y): (Self, Self)) -> Self {
        for k in 0..S {
            x.slopes[k] = x.slopes[k].clone() - y.slopes[k].clone();
        }
        Self { value: x.value - y.value, slopes: x.slopes }
    }

    #[inline(always)]
    fn product((mut x, y): (Self, Self)) -> Self {
        for k in 0..S {
            x.slopes[k] = x.slopes[k].clone() * y.value.clone() + x.value.clone() * y.slopes[k].clone();
        }
        Self { slopes: x.slopes, value: x.value * y.value }
    }

    #[inline(always)]
    fn ratio((mut x, y): (Self, Self)) -> Self {
        // The value is that of the same division without derivatives, to the last bit.
        let inverse = y.value.one() / y.value.clone();
        let ratio = x.value / y.value;
        for k in 0..S {
            let slope = x.slopes[k].clone() - ratio.clone() * y.slopes[k].clone();
            x.slopes[k] = slope * inverse.clone();
        }
        Self { value: ratio, slopes: x.slopes }
    }

    #[inline(always)]
    fn negative(mut x: Self) -> Self {
        for k in 0..S {
            x.slopes[k] = -x.slopes[k].clone();
        }
        Self { value: -x.value, slopes: x.slopes }
    }

    #[inline(always)]
    fn scaled((mut x, c): (Self, f64)) -> Self {
        for k in 0..S {
            x.slopes[k] = x.slopes[k].clone().times(c);
        }
        Self { value: x.value.times(c), slopes: x.slopes }
    }

    #[inline(always)]
    fn selected((mask, mut then, otherwise): (&X::Mask, Self, Self)) -> Self {
        for k in 0..S {
            then.slopes[k] = X::select(mask, then.slopes[k].clone(), otherwise.slopes[k].clone());
        }
        Self { value: X::select(mask, then.value, otherwise.value), slopes: then.slopes }
    }

    #[inline(always)]
    fn limited((mut x, low, high): (Self, f64, f64)) -> Self {
        let (under, over) = (x.value.below(low), (-x.value.clone()).below(-high));
        for k in 0..S {
            let slope = x.slopes[k].clone();
            x.slopes[k] = X::select(&under, slope.zero(), X::select(&over, slope.zero(), slope));
        }
        Self { value: x.value.within(low, high), slopes: x.slopes }
    }
}

macro_rules! operator {
    ($trait:ident, $method:ident, $operation:ident) => {
        impl<X: Number, const S: usize> $trait for Dual<X, S> {
            type Output = Self;

            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                run!(X, Self::$operation, (self, other))
            }
        }
    };
}
operator!(Add, add, sum);
operator!(Sub, sub, difference);
operator!(Mul, mul, product);
operator!(Div, div, ratio);

impl<X: Number, const S: usize> Neg for Dual<X, S> {
    type Output = Self;

    #[inline(always)]
    fn neg(self) -> Self {
        run!(X, Self::negative, self)
    }
}

impl<X: Number, const S: usize> Number for Dual<X, S> {
    type Mask = X::Mask;
    type Plain = X::Plain;

    const OPERATIONS_ARE_CALLS: bool = X::OPERATIONS_ARE_CALLS;

    #[inline(always)]
    fn plain(&self) -> X::Plain {
        self.value.plain()
    }
    #[inline(always)]
    fn with_value(self, value: X::Plain) -> Self {
        Self { value: self.value.with_value(value), slopes: self.slopes }
    }
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
        run!(X, Self::scaled, (self, c))
    }
    #[inline(always)]
    fn within(self, low: f64, high: f64) -> Self {
        run!(X, Self::limited, (self, low, high))
    }
    #[inline(always)]
    fn below(&self, c: f64) -> Self::Mask {
        self.value.below(c)
    }
    #[inline(always)]
    fn select(mask: &Self::Mask, then: Self, otherwise: Self) -> Self {
        run!(X, Self::selected, (mask, then, otherwise))
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
