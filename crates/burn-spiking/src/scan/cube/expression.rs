//! The [`Number`] that writes a GPU kernel: each operation on it adds an instruction to the kernel.
//!
//! Flow and gate are written once, generic over numbers. When a kernel is compiled, they run on
//! these numbers, and their operations become the kernel's code. So the GPU computes the same
//! equations by the same series as the other programs.

use crate::num::number::without_derivatives;
use crate::num::{Float as Series, Number, series};
use cubecl::ir::{ConstantValue, ElemType, FloatKind, Scope};
use cubecl::prelude::*;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// A value of the kernel that is being compiled.
pub(super) struct Traced<'s, F> {
    scope: &'s Scope,
    value: NativeExpand<F>,
}

impl<F: Float> Clone for Traced<'_, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F: Float> Copy for Traced<'_, F> {}

/// The result of a comparison in the kernel.
#[derive(Clone, Copy)]
pub(super) struct TracedMask(NativeExpand<bool>);

/// A constant of the kernel.
pub(super) fn constant<F: Float>(scope: &Scope, c: f64) -> NativeExpand<F> {
    F::elem_type(scope).constant(ConstantValue::Float(c)).into()
}

impl<'s, F: Float> Traced<'s, F> {
    /// The present value of a variable. Later writes to the variable do not change it.
    pub(super) fn of(scope: &'s Scope, value: NativeExpand<F>) -> Self {
        Self { scope, value: value.read_value(scope).into() }
    }

    /// Returns the value to the kernel.
    pub(super) fn value(self) -> NativeExpand<F> {
        self.value
    }

    fn constant(self, c: f64) -> Self {
        Self { value: constant(self.scope, c), ..self }
    }

    fn map(self, f: impl FnOnce(&'s Scope, NativeExpand<F>) -> NativeExpand<F>) -> Self {
        Self { value: f(self.scope, self.value), ..self }
    }
}

macro_rules! binary {
    ($trait:ident, $method:ident, $expand:ident) => {
        impl<F: Float> $trait for Traced<'_, F> {
            type Output = Self;
            fn $method(self, other: Self) -> Self {
                self.map(|scope, value| F::$expand(scope, value, other.value))
            }
        }
    };
}
binary!(Add, add, __expand_add);
binary!(Sub, sub, __expand_sub);
binary!(Mul, mul, __expand_mul);
binary!(Div, div, __expand_div);

impl<F: Float> Neg for Traced<'_, F> {
    type Output = Self;
    fn neg(self) -> Self {
        self.map(|scope, value| F::__expand_neg(scope, value))
    }
}

/// The largest |x| for the two series below. Their error is at most about 1e-17 there.
const SMALL: f64 = 0.25;

/// Coefficients 2/(2n + 1) of ln(1 + x) = 2 artanh z, as a series in z = x/(2 + x).
const ARTANH: [f64; 9] =
    [2.0, 2.0 / 3.0, 2.0 / 5.0, 2.0 / 7.0, 2.0 / 9.0, 2.0 / 11.0, 2.0 / 13.0, 2.0 / 15.0, 2.0 / 17.0];

/// Coefficients 1/(n + 1)! of (eˣ − 1)/x.
const fn exp_m1_series() -> [f64; 12] {
    let mut series = [1.0; 12];
    let mut n = 1;
    while n < 12 {
        series[n] = series[n - 1] / (n + 1) as f64;
        n += 1;
    }
    series
}
const EXP_M1: [f64; 12] = exp_m1_series();

impl<F: Float> Number for Traced<'_, F> {
    type Mask = TracedMask;
    without_derivatives!();

    const OPERATIONS_ARE_CALLS: bool = true;

    /// The kernel has the code of each of them. In single precision, none of the published neurons
    /// needs more.
    const SEARCH: usize = 16;

    fn is_double(&self) -> bool {
        F::elem_type(self.scope) == ElemType::Float(FloatKind::F64)
    }
    fn plus(self, c: f64) -> Self {
        self + self.constant(c)
    }
    fn times(self, c: f64) -> Self {
        self * self.constant(c)
    }
    fn within(self, low: f64, high: f64) -> Self {
        let largest = if self.is_double() { f64::MAX } else { f32::MAX as f64 };
        let (low, high) = (self.constant(low.max(-largest)), self.constant(high.min(largest)));
        self.map(|scope, value| clamp::expand(scope, value, low.value, high.value))
    }
    fn below(&self, c: f64) -> TracedMask {
        TracedMask(F::__expand_lt(self.scope, &self.value, &self.constant(c).value))
    }
    fn select(mask: &TracedMask, then: Self, otherwise: Self) -> Self {
        then.map(|scope, value| select::expand(scope, mask.0, value, otherwise.value))
    }
    fn floor(self) -> Self {
        self.map(|scope, value| F::__expand_floor(scope, value))
    }
    fn sqrt(self) -> Self {
        self.map(|scope, value| F::__expand_sqrt(scope, value))
    }
    fn exp(self) -> Self {
        self.map(|scope, value| F::__expand_exp(scope, value))
    }
    fn exp_m1(self) -> Self {
        let series = self * self.within(-SMALL, SMALL).polynomial(&EXP_M1);
        let small = self.magnitude().below(SMALL);
        Self::select(&small, series, self.exp().plus(-1.0))
    }
    fn ln_1p(self) -> Self {
        let x = self.within(-SMALL, SMALL);
        let z = x / x.plus(2.0);
        let series = z * (z * z).polynomial(&ARTANH);
        let small = self.magnitude().below(SMALL);
        // Both sides of a select must be finite. Where the series is taken, 1 + x is at least 0.75,
        // so the logarithm is finite, too.
        let far = self.plus(1.0).map(|scope, value| F::__expand_ln(scope, value));
        Self::select(&small, series, far)
    }
    fn sin_cos_pi(self) -> (Self, Self) {
        series::sin_cos_pi(self)
    }
    fn half_turn_sin_cos_pi(self) -> (Self, Self) {
        series::half_turn_sin_cos_pi(self - Series::round(self))
    }
    fn atan2_pi(self, x: Self) -> Self {
        series::atan2_pi(self, x)
    }
    fn one(&self) -> Self {
        self.constant(1.0)
    }
    fn zero(&self) -> Self {
        self.constant(0.0)
    }
}

impl<F: Float> Series for Traced<'_, F> {
    fn magnitude(self) -> Self {
        let negated = -self;
        Self::select(&self.below(0.0), negated, self)
    }
    fn round(self) -> Self {
        self.map(|scope, value| F::__expand_round(scope, value))
    }
    fn exceeds(self, other: Self) -> TracedMask {
        TracedMask(F::__expand_gt(self.scope, &self.value, &other.value))
    }
    fn signed_as(self, other: Self) -> Self {
        let negated = -self;
        Self::select(&other.below(0.0), negated, self)
    }
    fn all(_mask: &TracedMask) -> bool {
        unreachable!("whether a mask holds is known only when the kernel runs")
    }
    fn both(_a: &TracedMask, _b: &TracedMask) -> TracedMask {
        unreachable!("rows are a matter of the CPU kernel")
    }
}
