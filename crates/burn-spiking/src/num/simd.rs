//! Vector lanes: the numbers that a processor computes with at once.
//!
//! [`Lanes`] is a vector of the processor as a [`Number`]. So flows and gates, written once, run
//! over 4, 8 or 16 neurons at a time. The program detects the processor's vectors at run time. The
//! crate `macerator` gives all of them the same interface.

use super::exponential::{self, Exponent};
use super::logarithm;
use super::number::{Float, Number, without_derivatives};
use super::real::{BLOCK, Real};
use super::series;
use macerator::{Arch, Mask, Scalar, Simd, Vector, WithSimd};
use std::mem::MaybeUninit;
use std::ops::{Add, Div, Mul, Neg, Sub};
use std::sync::atomic::{AtomicBool, Ordering};

/// A vector of numbers.
#[repr(transparent)]
pub struct Lanes<S: Simd, T: Real>(Vector<S, T>);

impl<S: Simd, T: Real> Clone for Lanes<S, T> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}
impl<S: Simd, T: Real> Copy for Lanes<S, T> {}

// `Lanes` is transparent over a vector, which is plain old data.
unsafe impl<S: Simd, T: Real> bytemuck::Zeroable for Lanes<S, T> {}
unsafe impl<S: Simd, T: Real> bytemuck::Pod for Lanes<S, T> {}

impl<S: Simd, T: Real> Lanes<S, T> {
    /// The number of lanes.
    #[inline(always)]
    pub fn count() -> usize {
        T::lanes::<S>()
    }

    /// A vector with the same number in each lane.
    #[inline(always)]
    pub fn splat(x: T) -> Self {
        Self(x.splat())
    }

    /// A vector with the same constant in each lane.
    #[inline(always)]
    pub fn of(c: f64) -> Self {
        Self::splat(T::of(c))
    }

    /// Loads the first [`count`](Self::count) numbers of a slice.
    ///
    /// # Panics
    /// If the slice is shorter.
    #[inline(always)]
    pub fn load(numbers: &[T]) -> Self {
        assert!(numbers.len() >= Self::count());
        // The slice has at least as many numbers as the vector.
        Self(unsafe { macerator::vload_unaligned(numbers.as_ptr()) })
    }

    /// Writes the [`count`](Self::count) numbers to the start of a slice.
    ///
    /// # Panics
    /// If the slice is shorter.
    #[inline(always)]
    pub fn store(self, room: &mut [MaybeUninit<T>]) {
        assert!(room.len() >= Self::count());
        // The slice has room for at least as many numbers as the vector has.
        unsafe { macerator::vstore_unaligned(room.as_mut_ptr().cast(), self.0) };
    }

    /// Views a padded row as vectors.
    ///
    /// # Panics
    /// If the row is not aligned for vectors, or its length is not a whole number of vectors.
    #[inline(always)]
    pub fn row(row: &[T]) -> &[Self] {
        bytemuck::cast_slice(row)
    }

    /// Views a padded row as mutable vectors.
    ///
    /// # Panics
    /// In the same cases as [`row`](Self::row).
    #[inline(always)]
    pub fn row_mut(row: &mut [T]) -> &mut [Self] {
        bytemuck::cast_slice_mut(row)
    }

    /// The sum over the lanes. The order of summation depends on the processor.
    #[inline(always)]
    pub fn total(self) -> T {
        self.0.reduce_add()
    }
}

macro_rules! operator {
    ($trait:ident, $method:ident) => {
        impl<S: Simd, T: Real> $trait for Lanes<S, T> {
            type Output = Self;

            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                Self($trait::$method(self.0, other.0))
            }
        }
    };
}
operator!(Add, add);
operator!(Sub, sub);
operator!(Mul, mul);
operator!(Div, div);

impl<S: Simd, T: Real> Neg for Lanes<S, T> {
    type Output = Self;

    #[inline(always)]
    fn neg(self) -> Self {
        Self(T::with_sign_of(self.0, T::of(-0.0).splat()))
    }
}

/// The result of a comparison, lane by lane.
pub struct LaneMask<S: Simd, T: Scalar>(T::Mask<S>);

impl<S: Simd, T: Scalar> Clone for LaneMask<S, T> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}
impl<S: Simd, T: Scalar> Copy for LaneMask<S, T> {}

impl<S: Simd, T: Real> Number for Lanes<S, T> {
    type Mask = LaneMask<S, T>;
    without_derivatives!();

    #[inline(always)]
    fn is_double(&self) -> bool {
        size_of::<T>() == 8
    }
    #[inline(always)]
    fn plus(self, c: f64) -> Self {
        self + Self::of(c)
    }
    #[inline(always)]
    fn times(self, c: f64) -> Self {
        self * Self::of(c)
    }
    #[inline(always)]
    fn within(self, low: f64, high: f64) -> Self {
        // Selects keep NaN; minimum and maximum would lose it.
        let (low, high) = (Self::of(low), Self::of(high));
        let x = Self::select(&low.exceeds(self), low, self);
        Self::select(&x.exceeds(high), high, x)
    }
    #[inline(always)]
    fn below(&self, c: f64) -> Self::Mask {
        Self::of(c).exceeds(*self)
    }
    #[inline(always)]
    fn select(mask: &Self::Mask, then: Self, otherwise: Self) -> Self {
        Self(mask_of(mask).select(then.0, otherwise.0))
    }
    #[inline(always)]
    fn holds_everywhere(mask: &Self::Mask) -> bool {
        mask_of(mask).all()
    }
    #[inline(always)]
    fn floor(self) -> Self {
        Self(self.0.floor())
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        Self(self.0.sqrt())
    }
    #[inline(always)]
    fn exp(self) -> Self {
        exponential::exp(self)
    }
    #[inline(always)]
    fn exp_m1(self) -> Self {
        exponential::exp_m1(self)
    }
    #[inline(always)]
    fn ln_1p(self) -> Self {
        logarithm::ln_1p(self)
    }
    #[inline(always)]
    fn sin_cos_pi(self) -> (Self, Self) {
        series::sin_cos_pi(self)
    }
    #[inline(always)]
    fn half_turn_sin_cos_pi(self) -> (Self, Self) {
        series::half_turn_sin_cos_pi(self - self.round())
    }
    #[inline(always)]
    fn one(&self) -> Self {
        Self::of(1.0)
    }
    #[inline(always)]
    fn zero(&self) -> Self {
        Self::of(0.0)
    }
    #[inline(always)]
    fn atan2_pi(self, x: Self) -> Self {
        series::atan2_pi(self, x)
    }
    #[inline(always)]
    fn times_add(self, factor: Self, summand: Self) -> Self {
        Self(self.0.mul_add(factor.0, summand.0))
    }
    #[inline(always)]
    fn polynomial(self, c: &[f64]) -> Self {
        let last = c.len() - 1;
        let mut sum = Self::of(c[last]);
        for &c in c[..last].iter().rev() {
            sum = sum.times_add(self, Self::of(c));
        }
        sum
    }
}

#[inline(always)]
fn mask_of<S: Simd, T: Scalar>(mask: &LaneMask<S, T>) -> Mask<S, T> {
    // `Mask` is transparent over the type of `mask.0`.
    unsafe { std::mem::transmute_copy(&mask.0) }
}

impl<S: Simd, T: Real> Float for Lanes<S, T> {
    #[inline(always)]
    fn magnitude(self) -> Self {
        Self(self.0.abs())
    }
    #[inline(always)]
    fn round(self) -> Self {
        Self(self.0.round_ties_even())
    }
    #[inline(always)]
    fn exceeds(self, other: Self) -> Self::Mask {
        LaneMask(*self.0.gt(other.0))
    }
    #[inline(always)]
    fn signed_as(self, other: Self) -> Self {
        Self(T::with_sign_of(self.0, other.0))
    }
    #[inline(always)]
    fn all(mask: &Self::Mask) -> bool {
        mask_of(mask).all()
    }
    #[inline(always)]
    fn both(a: &Self::Mask, b: &Self::Mask) -> Self::Mask {
        LaneMask(a.0 & b.0)
    }
}

impl<S: Simd, T: Real> Exponent for Lanes<S, T> {
    #[inline(always)]
    fn exponent(self) -> Self {
        Self(T::exponent(self.0))
    }
    #[inline(always)]
    fn power_of_two(self) -> Self {
        Self(T::power_of_two(self.0))
    }
}

/// One bit for each number: bit l is set if number l of any of the blocks is not 0, or is NaN.
#[inline(always)]
pub(crate) fn nonzero<S: Simd, T: Real, const R: usize>(blocks: [&[T; BLOCK]; R]) -> u32 {
    let count = Lanes::<S, T>::count();
    // The code below needs masks with one bit for each lane. For other masks `T::nonzero` has
    // instructions that `macerator` does not offer.
    if size_of::<LaneMask<S, T>>() * 8 != count {
        return T::nonzero(blocks);
    }
    let mut bits = 0;
    for first in (0..BLOCK).step_by(count) {
        let mut joined = Lanes::<S, T>::load(&blocks[0][first..]).0;
        for block in &blocks[1..] {
            joined = T::joined(joined, Lanes::<S, T>::load(&block[first..]).0);
        }
        let mask = *joined.ne(Lanes::<S, T>::of(0.0).0);
        // The mask has one bit for each number.
        let of_mask = match size_of_val(&mask) {
            1 => unsafe { std::mem::transmute_copy::<_, u8>(&mask) as u32 },
            _ => unsafe { std::mem::transmute_copy::<_, u16>(&mask) as u32 },
        };
        bits |= of_mask << first;
    }
    bits
}

/// Whether the CPU kernel never runs with these vectors, so that no program has to be compiled for
/// them. On x86-64 these are vectors of less than 32 bytes.
#[cfg(any(feature = "flex", feature = "ndarray"))]
pub(crate) const fn unserved<S: Simd>() -> bool {
    cfg!(target_arch = "x86_64") && size_of::<S::Register>() < 32
}

/// The vectors with which the CPU kernel computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Vectors {
    /// Those of a processor other than x86-64, such as NEON.
    Native,
    /// 256 bits: AVX2 with FMA.
    Avx2,
    /// 512 bits: AVX-512.
    Avx512,
}

/// Whether [`Vectors::limit`] forbids AVX-512.
static NO_AVX512: AtomicBool = AtomicBool::new(false);

impl Vectors {
    /// The vectors of this processor, the narrowest first. Empty if the kernel has none for it;
    /// then layers run in tensor operations. On x86-64, the kernel needs AVX2.
    pub fn found() -> &'static [Self] {
        match Arch::detect() {
            #[cfg(target_arch = "x86_64")]
            Arch::Scalar | Arch::V2 => &[],
            #[cfg(target_arch = "x86_64")]
            Arch::V3 => &[Self::Avx2],
            #[cfg(target_arch = "x86_64")]
            _ => &[Self::Avx2, Self::Avx512],
            #[cfg(not(target_arch = "x86_64"))]
            _ => &[Self::Native],
        }
    }

    /// Makes the runs that start from now on, in the whole process, use no wider vectors than
    /// these. Sums over neurons are then added in another order, so results differ by rounding.
    /// It serves tests and measurements.
    pub fn limit(self) {
        NO_AVX512.store(self < Self::Avx512, Ordering::Relaxed);
    }
}

/// Runs a program with the widest vectors of this processor that [`Vectors::limit`] allows.
#[inline]
pub fn vectorize<P: WithSimd>(program: P) -> P::Output {
    let arch = Arch::detect();
    #[cfg(target_arch = "x86_64")]
    let arch = match arch {
        Arch::Scalar | Arch::V2 | Arch::V3 => arch,
        _ if NO_AVX512.load(Ordering::Relaxed) => Arch::V3,
        _ => arch,
    };
    // SAFETY: the processor has this architecture, or AVX-512, which includes AVX2.
    unsafe { arch.dispatch(program) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A function of one number.
    trait Function: Copy {
        fn of<X: Float>(self, x: X) -> X;
    }

    struct Apply<'a, F, T>(F, &'a mut [T]);

    impl<F: Function, T: Real> WithSimd for Apply<'_, F, T> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self) {
            for block in self.1.chunks_exact_mut(Lanes::<S, T>::count()) {
                let y = self.0.of(Lanes::<S, T>::load(block));
                block.copy_from_slice(bytemuck::cast_slice(std::slice::from_ref(&y)));
            }
        }
    }

    macro_rules! function {
        ($name:ident, |$x:ident| $body:expr) => {
            #[derive(Clone, Copy)]
            struct $name;

            impl Function for $name {
                #[inline(always)]
                fn of<X: Float>(self, $x: X) -> X {
                    $body
                }
            }
        };
    }
    function!(Arithmetic, |x| (x * x - x.times(0.5)) / x.plus(7.0) + (-x).within(-1.0, 2.0));
    function!(Roots, |x| x.magnitude().sqrt()
        + (x.floor() - x.round()).times(0.25)
        + x.times(0.1).exp()
        + x.magnitude().ln_1p() * x.times(-0.1).exp_m1());
    function!(Waves, |x| x.sin_cos_pi().0 + x.half_turn_sin_cos_pi().1);
    function!(Angles, |x| x.atan2_pi(x.plus(1.0)) + (-x).plus(0.3).atan2_pi(x.times(-0.1)));
    function!(Choices, |x| X::select(&x.below(0.25), x.signed_as(x.plus(1.0)), x.plus(3.0)));

    function!(Logarithm, |x| x.ln_1p());
    function!(Exponential, |x| x.exp());
    function!(ExponentialLessOne, |x| x.exp_m1());

    #[test]
    fn exponentials_are_right_to_the_last_digits_everywhere() {
        fn check<F: Function, T: Real>(function: F, exact: fn(f64) -> f64, (rounding, limits): (f64, [f64; 2])) {
            let [low, high] = limits;
            let steps = 20_000;
            let even = (0..=steps).map(|k| low + (high - low) * k as f64 / steps as f64);
            // Also very small numbers of both signs.
            let small = (0..200).flat_map(|k| [1.0, -1.0].map(|sign| sign * 0.83_f64.powi(k)));
            let mut numbers: Vec<T> = even.chain(small).map(T::of).collect();
            numbers.resize(numbers.len().next_multiple_of(64), T::of(0.0));
            let mut found = numbers.clone();
            vectorize(Apply(function, &mut found));
            for (x, found) in numbers.into_iter().zip(found) {
                let want = exact(x.to_f64());
                assert!((found.to_f64() - want).abs() <= rounding * want.abs(), "{x:?}: {found:?}, not {want}");
            }
            let mut beyond = [f64::INFINITY, -f64::INFINITY, f64::NAN, 2.0 * high, 2.0 * low, 0.0].repeat(32);
            beyond.resize(192, 0.0);
            let mut found: Vec<T> = beyond.iter().map(|&x| T::of(x)).collect();
            vectorize(Apply(function, &mut found));
            for (x, found) in beyond.into_iter().zip(found) {
                let (found, want) = (found.to_f64(), exact(x));
                let far = want.is_infinite() || want.abs() > high.exp();
                assert!(
                    found == want
                        || found.is_nan() && want.is_nan()
                        || far && found == f64::INFINITY
                        || found.abs() < 1e-300,
                    "{x}: {found}, not {want}"
                );
            }
        }
        check::<_, f32>(Exponential, f64::exp, (2e-7, [-86.9, 88.2]));
        check::<_, f64>(Exponential, f64::exp, (5e-16, [-707.0, 709.3]));
        check::<_, f32>(ExponentialLessOne, f64::exp_m1, (3e-7, [-86.9, 88.2]));
        check::<_, f64>(ExponentialLessOne, f64::exp_m1, (8e-16, [-707.0, 709.3]));
    }

    #[test]
    fn logarithms_are_right_to_the_last_digits_everywhere() {
        fn check<T: Real>(rounding: f64, largest: f64) {
            // Small numbers of both signs, numbers up to the largest, and numbers just above −1.
            let small = (0..400).flat_map(|k| [1.0, -1.0].map(|sign| sign * 0.9 * 0.83_f64.powi(k)));
            let even = (0..20_000).map(|k| -0.9995 + 0.001 * k as f64);
            let large = (0..2000).map(|k| largest.powf(k as f64 / 2000.0));
            let near = (1..30).map(|k| -1.0 + 0.5_f64.powi(k));
            let mut numbers: Vec<T> = small.chain(even).chain(large).chain(near).map(T::of).collect();
            numbers.resize(numbers.len().next_multiple_of(64), T::of(0.0));
            let mut found = numbers.clone();
            vectorize(Apply(Logarithm, &mut found));
            for (x, found) in numbers.into_iter().zip(found) {
                // Of the number as T has it, which may be −1.
                let want = x.to_f64().ln_1p();
                let right = found.to_f64() == want || (found.to_f64() - want).abs() <= rounding * want.abs();
                assert!(right, "{x:?}: {found:?}, not {want}");
            }
            let mut beyond = [f64::INFINITY, f64::NEG_INFINITY, f64::NAN, -1.0, -1.5, 0.0].repeat(32);
            beyond.resize(192, 0.0);
            let mut found: Vec<T> = beyond.iter().map(|&x| T::of(x)).collect();
            vectorize(Apply(Logarithm, &mut found));
            for (x, found) in beyond.into_iter().zip(found) {
                let (found, want) = (found.to_f64(), x.ln_1p());
                assert!(found == want || found.is_nan() && want.is_nan(), "{x}: {found}, not {want}");
            }
        }
        check::<f32>(2.5e-7, f64::from(f32::MAX));
        check::<f64>(5e-16, f64::MAX);
    }

    #[test]
    fn lanes_compute_what_scalars_do() {
        fn check<F: Function, T: Real>(function: F, rounding: f64) {
            let numbers: Vec<T> = (0..512).map(|i| T::of((i as f64 - 200.3) * 0.017)).collect();
            let mut found = numbers.clone();
            vectorize(Apply(function, &mut found));
            for (x, found) in numbers.into_iter().zip(found) {
                let want = function.of(x).to_f64();
                assert!((found.to_f64() - want).abs() <= rounding * (1.0 + want.abs()), "{x:?}: {found:?}, not {want}");
            }
        }
        fn both<F: Function>(function: F) {
            check::<F, f32>(function, 5e-7);
            check::<F, f64>(function, 2e-15);
        }
        both(Arithmetic);
        both(Roots);
        both(Waves);
        both(Angles);
        both(Choices);
    }
}
