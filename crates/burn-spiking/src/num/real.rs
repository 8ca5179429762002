//! The scalars: `f32` and `f64`.

use super::nonzero;
pub use super::nonzero::BLOCK;
use super::number::{Float, Number, without_derivatives};
use super::series::{atan2_pi, half_turn_sin_cos_pi, sin_cos_pi};
use macerator::{
    ReduceAdd, Scalar, Simd, VAbs, VAdd, VDiv, VFloor, VMaskReduce, VMul, VMulAdd, VOrd, VRoundTiesEven, VSelect,
    VSqrt, VSub, Vector,
};
use std::ops::{BitOr, BitXor};

/// The vector operations that a scalar type needs.
pub trait Vectors:
    Scalar
    + VAdd
    + VSub
    + VMul
    + VDiv
    + VMulAdd
    + VFloor
    + VSqrt
    + VAbs
    + VOrd
    + VSelect
    + VMaskReduce
    + VRoundTiesEven
    + ReduceAdd
{
    /// `magnitude`, negated in the lanes in which `other` is negative or −0.
    fn with_sign_of<S: Simd>(magnitude: Vector<S, Self>, other: Vector<S, Self>) -> Vector<S, Self>;
    /// The bitwise or of both, which is 0 only where both are 0.
    fn joined<S: Simd>(a: Vector<S, Self>, b: Vector<S, Self>) -> Vector<S, Self>;
    /// The whole n for which x/2ⁿ is in [√½, √2), for normal numbers x above 0.
    fn exponent<S: Simd>(x: Vector<S, Self>) -> Vector<S, Self>;
    /// 2 to whole exponents for which it is a normal number.
    fn power_of_two<S: Simd>(exponent: Vector<S, Self>) -> Vector<S, Self>;
}

macro_rules! vectors {
    ($real:ty, $bits:ty) => {
        impl Vectors for $real {
            #[inline(always)]
            fn with_sign_of<S: Simd>(magnitude: Vector<S, Self>, other: Vector<S, Self>) -> Vector<S, Self> {
                let sign = (1 as $bits << (<$bits>::BITS - 1)).splat::<S>();
                let flip = other.reinterpret::<$bits>() & sign;
                magnitude.reinterpret::<$bits>().bitxor(flip).reinterpret()
            }
            #[inline(always)]
            fn joined<S: Simd>(a: Vector<S, Self>, b: Vector<S, Self>) -> Vector<S, Self> {
                a.reinterpret::<$bits>().bitor(b.reinterpret::<$bits>()).reinterpret()
            }
            #[inline(always)]
            fn exponent<S: Simd>(x: Vector<S, Self>) -> Vector<S, Self> {
                const MANTISSA: u32 = <$real>::MANTISSA_DIGITS - 1;
                const ROOT: $real = std::f64::consts::FRAC_1_SQRT_2 as $real;
                // With this sum, numbers from √½ on have the exponent of 1.
                const UP: $bits = (1.0 as $real).to_bits() - ROOT.to_bits();
                // In a number of this size the last bit counts 1.
                const LARGE: $real = (1 as $bits << MANTISSA) as $real;
                let biased = (x.reinterpret::<$bits>() + UP.splat::<S>()) >> MANTISSA;
                let large = biased.bitor(LARGE.to_bits().splat::<S>()).reinterpret::<Self>();
                large - (LARGE + (<$real>::MAX_EXP - 1) as $real).splat::<S>()
            }
            #[inline(always)]
            fn power_of_two<S: Simd>(exponent: Vector<S, Self>) -> Vector<S, Self> {
                const MANTISSA: u32 = <$real>::MANTISSA_DIGITS - 1;
                // In a number of this size the last bit counts 1, so the last bits are the exponent
                // with its bias.
                const BIASED: $real = 1.5 * (1 as $bits << MANTISSA) as $real + (<$real>::MAX_EXP - 1) as $real;
                ((exponent + BIASED.splat::<S>()).reinterpret::<$bits>() << MANTISSA).reinterpret()
            }
        }
    };
}
vectors!(f32, u32);
vectors!(f64, u64);

/// A scalar that tensors store and the CPU kernel computes with: `f32` or `f64`.
pub trait Real:
    Float<Mask = bool>
    + Default
    + PartialOrd
    + Send
    + Sync
    + std::fmt::Debug
    + std::ops::AddAssign
    + bytemuck::Pod
    + burn::tensor::Element
    + Vectors
{
    /// The scalar nearest to a constant.
    fn of(c: f64) -> Self;
    /// Whether the number is neither infinite nor NaN.
    fn finite(self) -> bool;
    /// One bit for each number: bit l is set if number l of any of the blocks is not 0, or is NaN.
    fn nonzero<const R: usize>(blocks: [&[Self; BLOCK]; R]) -> u32;
}

macro_rules! real {
    ($real:ident, $double:expr, $nonzero:expr) => {
        impl Number for $real {
            type Mask = bool;
            without_derivatives!();

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
            fn holds_everywhere(mask: &bool) -> bool {
                *mask
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
            fn exp_m1(self) -> Self {
                <$real>::exp_m1(self)
            }
            #[inline(always)]
            fn ln_1p(self) -> Self {
                <$real>::ln_1p(self)
            }
            #[inline(always)]
            fn sin_cos_pi(self) -> (Self, Self) {
                sin_cos_pi(self)
            }
            #[inline(always)]
            fn half_turn_sin_cos_pi(self) -> (Self, Self) {
                half_turn_sin_cos_pi(self - Float::round(self))
            }
            #[inline(always)]
            fn one(&self) -> Self {
                1.0
            }
            #[inline(always)]
            fn zero(&self) -> Self {
                0.0
            }
            #[inline(always)]
            fn atan2_pi(self, x: Self) -> Self {
                atan2_pi(self, x)
            }
        }

        impl Float for $real {
            #[inline(always)]
            fn magnitude(self) -> Self {
                self.abs()
            }
            #[inline(always)]
            fn round(self) -> Self {
                self.round_ties_even()
            }
            #[inline(always)]
            fn exceeds(self, other: Self) -> bool {
                self > other
            }
            #[inline(always)]
            fn signed_as(self, other: Self) -> Self {
                if other.is_sign_negative() { -self } else { self }
            }
            #[inline(always)]
            fn all(mask: &bool) -> bool {
                *mask
            }
            #[inline(always)]
            fn both(a: &bool, b: &bool) -> bool {
                *a & *b
            }
        }

        impl Real for $real {
            #[inline(always)]
            fn of(c: f64) -> Self {
                c as $real
            }
            #[inline(always)]
            fn finite(self) -> bool {
                self.is_finite()
            }
            #[inline(always)]
            fn nonzero<const R: usize>(blocks: [&[Self; BLOCK]; R]) -> u32 {
                $nonzero(blocks)
            }
        }
    };
}

real!(f32, false, nonzero::singles);
real!(f64, true, nonzero::doubles);
