//! The [`Number`] that a GPU kernel is written with: each operation on it is one instruction of the kernel.
//!
//! A flow and a gate are written once, over numbers of any kind. Run on these when a kernel is compiled, they leave the kernel's code
//! behind, so the GPU computes the same equations, by the same series, as every other program does.

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

/// The outcome of a comparison in the kernel.
#[derive(Clone, Copy)]
pub(super) struct TracedMask(NativeExpand<bool>);

/// A constant of the kernel.
pub(super) fn constant<F: Float>(scope: &Scope, c: f64) -> NativeExpand<F> {
    F::elem_type(scope).constant(ConstantValue::Float(c)).into()
}

impl<'s, F: Float> Traced<'s, F> {
    /// A value as it is now, whatever is written to its variable later.
    pub(super) fn of(scope: &'s Scope, value: NativeExpand<F>) -> Self {
        Self { scope, value: value.read_value(scope).into() }
    }

    /// Back to the kernel.
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

/// ln(1 + x) = 2 artanh z, z = x/(2 + x): 2/(2n + 1), for |x| up to here, which leaves 1e-17.
const SMALL: f64 = 0.25;
const ARTANH: [f64; 9] =
    [2.0, 2.0 / 3.0, 2.0 / 5.0, 2.0 / 7.0, 2.0 / 9.0, 2.0 / 11.0, 2.0 / 13.0, 2.0 / 15.0, 2.0 / 17.0];

/// (eˣ − 1)/x: 1/(n + 1)!, likewise.
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
        // Both sides of a select must be finite, so the logarithm stays above −∞ where it is not taken.
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
