//! The numbers that flows and gates are written in.
//!
//! Each equation is written once, for every kind of number: the lanes of a processor's vectors in
//! the CPU kernel (`num::simd`), whole tensors in the oracle and in the tensor operations
//! (`scan::tensor_number`), and single `f32` and `f64`. The equations use arithmetic and selects
//! instead of branches, so that they run for many neurons at once.
//!
//! Angles are in half turns (units of π). This makes the range reduction exact, and one spike is
//! one half turn.

use std::ops::{Add, Div, Mul, Neg, Sub};

/// The arithmetic, selects and functions that neurons and gates need.
pub trait Number:
    Clone + Sized + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self> + Neg<Output = Self>
{
    /// The result of a comparison.
    type Mask: Clone;

    /// The number without its derivatives. Only a dual number has any.
    type Plain: Number<Mask = Self::Mask, Plain = Self::Plain>;

    /// Whether each operation is a call, as with tensors, and not an instruction of the processor.
    const OPERATIONS_ARE_CALLS: bool = false;

    /// The largest number of iterations of a search. Every search ends before that, if the kind of
    /// number can know that it has ended ([`holds_everywhere`](Self::holds_everywhere)). Otherwise
    /// it always makes all of them.
    const SEARCH: usize = 60;

    /// The number without its derivatives.
    fn plain(&self) -> Self::Plain;
    /// The same derivatives with another value.
    fn with_value(self, value: Self::Plain) -> Self;
    /// Whether the number is in double precision, which needs longer series.
    fn is_double(&self) -> bool;
    /// self + c.
    fn plus(self, c: f64) -> Self;
    /// c self.
    fn times(self, c: f64) -> Self;
    /// The nearest number in `[low, high]`.
    fn within(self, low: f64, high: f64) -> Self;
    /// self < c.
    fn below(&self, c: f64) -> Self::Mask;
    /// `then` where the mask is true, `otherwise` elsewhere. Both are evaluated, so both must be
    /// finite.
    fn select(mask: &Self::Mask, then: Self, otherwise: Self) -> Self;
    /// Whether a mask is known to be true everywhere. Kinds of numbers that cannot know it say no.
    #[inline(always)]
    fn holds_everywhere(_mask: &Self::Mask) -> bool {
        false
    }
    /// The largest integer that is not above self.
    fn floor(self) -> Self;
    /// The square root.
    fn sqrt(self) -> Self;
    /// e^x.
    fn exp(self) -> Self;
    /// e^x − 1, with full relative precision for small x.
    fn exp_m1(self) -> Self;
    /// ln(1 + x), with full relative precision for small x.
    fn ln_1p(self) -> Self;
    /// (sin πx, cos πx).
    fn sin_cos_pi(self) -> (Self, Self);
    /// atan2(self, x)/π, in (−1, 1].
    fn atan2_pi(self, x: Self) -> Self;

    /// (sin πx, cos πx), up to a common sign: both may be negated if the integer nearest to x is
    /// odd.
    #[inline(always)]
    fn half_turn_sin_cos_pi(self) -> (Self, Self) {
        self.sin_cos_pi()
    }

    /// The number 1, of the same kind and shape.
    #[inline(always)]
    fn one(&self) -> Self {
        self.clone().times(0.0).plus(1.0)
    }

    /// The number 0, of the same kind and shape.
    #[inline(always)]
    fn zero(&self) -> Self {
        self.clone().times(0.0)
    }

    /// 1/self.
    #[inline(always)]
    fn reciprocal(self) -> Self {
        self.one() / self
    }

    /// self · factor + summand. It is rounded once instead of twice if the processor does so at no
    /// cost.
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

/// The part of [`Number`] in which numbers without derivatives do not differ.
macro_rules! without_derivatives {
    () => {
        type Plain = Self;

        #[inline(always)]
        fn plain(&self) -> Self {
            Self::clone(self)
        }
        #[inline(always)]
        fn with_value(self, value: Self) -> Self {
            value
        }
    };
}
pub(crate) use without_derivatives;

/// Numbers whose sine, cosine and arctangent are series of this crate: scalars, vector lanes and
/// the numbers of GPU kernels.
pub trait Float: Number + Copy {
    /// |x|.
    fn magnitude(self) -> Self;
    /// The nearest integer. Ties go to the even integer.
    fn round(self) -> Self;
    /// self > other.
    fn exceeds(self, other: Self) -> Self::Mask;
    /// self, negated if `other` is negative or −0.
    fn signed_as(self, other: Self) -> Self;
    /// Whether the mask is true in all lanes.
    fn all(mask: &Self::Mask) -> bool;
    /// The mask that is true where both masks are.
    fn both(a: &Self::Mask, b: &Self::Mask) -> Self::Mask;
}

/// A constant of a flow or a gate. It is either an `f64`, uniform over all neurons, or an [`Own`],
/// a number of the same kind as the numbers that it is used with.
pub trait Constant<X: Number>: Clone {
    /// c x.
    fn multiply(&self, x: X) -> X;
    /// x + c.
    fn add_to(&self, x: X) -> X;
    /// The constant `factor` · c.
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

/// A constant per neuron, or a constant that has a gradient.
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
