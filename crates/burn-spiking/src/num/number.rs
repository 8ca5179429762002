//! The numbers that flows and gates are written over.
//!
//! One equation serves every kind of number: the lanes of a processor's vectors in the CPU kernel (`num::simd`),
//! whole tensors in the reference and in the default body of the op (`scan::tensor_number`), `f32` and `f64` one by one. It is written
//! with arithmetic and selects instead of branches, so that many neurons take it at once.
//!
//! Angles are counted in half turns (units of π): the range reduction is then exact, and a spike is one half turn.

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
