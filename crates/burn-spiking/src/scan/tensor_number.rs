//! Whole tensors as [`Number`]s, so that the flows and gates run on any backend.

use crate::num::Number;
use crate::num::number::without_derivatives;
use burn::backend::tensor::{BoolTensor, FloatTensor};
use burn::backend::{Backend, Scalar, Slice, TensorMetadata, get_or_init_device_settings};
use burn::tensor::{DType, Shape, read_sync};
use std::f64::consts::PI;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// A tensor of a backend: one number for each neuron of each sample.
///
/// Its operations stay calls. The compiler would otherwise copy the backend's code into each flow,
/// hundreds of times.
#[derive(Debug)]
pub struct TensorNumber<B: Backend>(pub FloatTensor<B>);

impl<B: Backend> Clone for TensorNumber<B> {
    #[inline(never)]
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

macro_rules! binary {
    ($trait:ident, $method:ident, $op:ident) => {
        impl<B: Backend> $trait for TensorNumber<B> {
            type Output = Self;
            #[inline(never)]
            fn $method(self, other: Self) -> Self {
                Self(B::$op(self.0, other.0))
            }
        }
    };
}

binary!(Add, add, float_add);
binary!(Sub, sub, float_sub);
binary!(Mul, mul, float_mul);
binary!(Div, div, float_div);

impl<B: Backend> Neg for TensorNumber<B> {
    type Output = Self;
    #[inline(never)]
    fn neg(self) -> Self {
        Self(B::float_neg(self.0))
    }
}

impl<B: Backend> Number for TensorNumber<B> {
    type Mask = BoolTensor<B>;
    without_derivatives!();

    const OPERATIONS_ARE_CALLS: bool = true;

    fn is_double(&self) -> bool {
        self.0.dtype() == DType::F64
    }
    #[inline(never)]
    fn plus(self, c: f64) -> Self {
        Self(B::float_add_scalar(self.0, Scalar::Float(c)))
    }
    #[inline(never)]
    fn times(self, c: f64) -> Self {
        Self(B::float_mul_scalar(self.0, Scalar::Float(c)))
    }
    #[inline(never)]
    fn within(self, low: f64, high: f64) -> Self {
        Self(B::float_clamp(self.0, Scalar::Float(low), Scalar::Float(high)))
    }
    #[inline(never)]
    fn below(&self, c: f64) -> BoolTensor<B> {
        let dtype = get_or_init_device_settings::<B>(&self.0.device()).bool_dtype;
        B::float_lower_elem(self.0.clone(), Scalar::Float(c), dtype)
    }
    #[inline(never)]
    fn select(mask: &BoolTensor<B>, then: Self, otherwise: Self) -> Self {
        Self(B::float_mask_where(otherwise.0, mask.clone(), then.0))
    }
    /// Waits for the device.
    #[inline(never)]
    fn holds_everywhere(mask: &BoolTensor<B>) -> bool {
        let all = read_sync(B::bool_into_data(B::bool_all(mask.clone()))).expect("the device gives what it computed");
        all.iter::<bool>().all(|holds| holds)
    }
    #[inline(never)]
    fn floor(self) -> Self {
        Self(B::float_floor(self.0))
    }
    #[inline(never)]
    fn sqrt(self) -> Self {
        Self(B::float_sqrt(self.0))
    }
    #[inline(never)]
    fn exp(self) -> Self {
        Self(B::float_exp(self.0))
    }
    #[inline(never)]
    fn exp_m1(self) -> Self {
        if !self.is_double() {
            return self.exp_m1_by_series();
        }
        // Below 1, this computes e^x − 1 as 2h/(1 − h) with h = tanh(x/2). This form is accurate
        // for x near 0.
        let large = self.clone().plus(-1.0).within(0.0, f64::MAX);
        let half = Self(B::float_tanh(self.clone().within(-f64::MAX, 1.0).times(0.5).0));
        let small = half.clone().times(2.0) / (-half).plus(1.0);
        Self::select(&self.below(1.0), small, (large.plus(1.0)).exp().plus(-1.0))
    }
    #[inline(never)]
    fn ln_1p(self) -> Self {
        Self(B::float_log1p(self.0))
    }
    #[inline(never)]
    fn sin_cos_pi(self) -> (Self, Self) {
        let angle = self.times(PI).0;
        (Self(B::float_sin(angle.clone())), Self(B::float_cos(angle)))
    }
    #[inline(never)]
    fn atan2_pi(self, x: Self) -> Self {
        Self(B::float_atan2(self.0, x.0)).times(1.0 / PI)
    }
}

/// Coefficients 1/(n + 1)! of (eˣ − 1)/x.
const EXP_M1: [f64; 8] = [1.0, 1.0 / 2.0, 1.0 / 6.0, 1.0 / 24.0, 1.0 / 120.0, 1.0 / 720.0, 1.0 / 5040.0, 1.0 / 40320.0];

impl<B: Backend> TensorNumber<B> {
    /// e^x − 1 in single precision. GPUs compute tanh from exponentials, which loses the digits of
    /// small x, so a series takes its place.
    fn exp_m1_by_series(self) -> Self {
        let x = self.clone().within(-0.5, 0.5);
        let series = x.clone() * x.polynomial(&EXP_M1);
        let small = (self.clone() * self.clone()).below(0.25);
        Self::select(&small, series, self.exp().plus(-1.0))
    }

    /// Zeros with the dtype and the device of this tensor.
    pub(crate) fn zeros(&self, shape: impl Into<Shape>) -> Self {
        Self(B::float_zeros(shape.into(), &self.0.device(), self.0.dtype().into()))
    }

    /// Selects one index of an axis and drops the axis.
    pub(crate) fn index(&self, axis: usize, index: usize) -> Self {
        let shape = self.0.shape();
        let mut slices = vec![Slice::full(); axis + 1];
        slices[axis] = Slice::new(index as isize, Some(index as isize + 1), 1);
        let mut rest: Vec<usize> = (0..shape.num_dims()).map(|d| shape[d]).collect();
        rest.remove(axis);
        Self(B::float_reshape(B::float_slice(self.0.clone(), &slices), Shape::from(rest)))
    }

    /// Joins tensors along a new axis.
    pub(crate) fn stack(fields: Vec<Self>, axis: usize) -> Self {
        let parts = fields.into_iter().map(|TensorNumber(part)| {
            let shape = part.shape();
            let mut longer: Vec<usize> = (0..shape.num_dims()).map(|d| shape[d]).collect();
            longer.insert(axis, 1);
            B::float_reshape(part, Shape::from(longer))
        });
        Self(B::float_cat(parts.collect(), axis))
    }

    /// Matrix product of `[B, N]` and `[N, M]`.
    pub(crate) fn product(self, matrix: Self) -> Self {
        Self(B::float_matmul(self.0, matrix.0))
    }

    /// Merges all axes except the last: `[.., N]` to `[rows, N]`.
    pub(crate) fn rows(self) -> Self {
        let shape = self.0.shape();
        let last = shape[shape.num_dims() - 1];
        let rows = shape.num_elements() / last;
        Self(B::float_reshape(self.0, Shape::from([rows, last])))
    }

    /// Matrix product of the last axis of `[B, T, N]` and `[N, M]`.
    pub(crate) fn product_last(self, matrix: Self) -> Self {
        let (shape, columns) = (self.0.shape(), matrix.0.shape()[1]);
        let product = self.rows().product(matrix);
        Self(B::float_reshape(product.0, Shape::from([shape[0], shape[1], columns])))
    }

    /// Adds this many axes of length 1 at the front.
    pub(crate) fn unsqueezed(self, axes: usize) -> Self {
        let shape = self.0.shape();
        let longer = [1].repeat(axes).into_iter().chain((0..shape.num_dims()).map(|d| shape[d]));
        Self(B::float_reshape(self.0, Shape::from(longer.collect::<Vec<usize>>())))
    }

    /// Inserts an axis of length 1 at this position.
    #[cfg(feature = "cube")]
    pub(crate) fn unsqueezed_at(self, axis: usize) -> Self {
        let shape = self.0.shape();
        let mut longer: Vec<usize> = (0..shape.num_dims()).map(|d| shape[d]).collect();
        longer.insert(axis, 1);
        Self(B::float_reshape(self.0, Shape::from(longer)))
    }

    /// Adds this many axes of length 1 at the end.
    pub(crate) fn unsqueezed_after(self, axes: usize) -> Self {
        let shape = self.0.shape();
        let longer = (0..shape.num_dims()).map(|d| shape[d]).chain([1].repeat(axes));
        Self(B::float_reshape(self.0, Shape::from(longer.collect::<Vec<usize>>())))
    }

    /// The sum of all rows: `[rows, N]` to `[N]`.
    pub(crate) fn summed_rows(self) -> Self {
        let columns = self.0.shape()[1];
        Self(B::float_reshape(B::float_sum_dim(self.0, 0), Shape::from([columns])))
    }

    /// The sum over all axes except the first.
    pub(crate) fn summed_but_first(self) -> Self {
        let (first, all) = (self.0.shape()[0], self.0.shape().num_elements());
        let rows = B::float_reshape(self.0, Shape::from([first, all / first]));
        Self(B::float_reshape(B::float_sum_dim(rows, 1), Shape::from([first])))
    }

    /// The sum of all elements, `[1]`.
    pub(crate) fn summed(self) -> Self {
        Self(B::float_sum(self.0))
    }

    /// Concatenates tensors of one axis.
    pub(crate) fn joined(fields: Vec<Self>) -> Self {
        Self(B::float_cat(fields.into_iter().map(|TensorNumber(part)| part).collect(), 0))
    }

    /// The elements at `places` of a tensor of one axis.
    pub(crate) fn part(&self, places: std::ops::Range<usize>) -> Self {
        let slice = Slice::new(places.start as isize, Some(places.end as isize), 1);
        Self(B::float_slice(self.0.clone(), &[slice]))
    }

    /// Swaps the last two axes.
    pub(crate) fn transposed(self) -> Self {
        Self(B::float_transpose(self.0))
    }

    /// The same value without a gradient.
    pub(crate) fn detached(self) -> Self {
        Self(B::float_detach(self.0))
    }

    /// The same value with the gradient of `of`.
    pub(crate) fn with_gradient(self, of: Self) -> Self {
        self.detached() + (of.clone() - of.detached())
    }

    /// n = max(⌊vpre⌋, 0), without a gradient.
    pub(crate) fn spikes(&self) -> Self {
        let n = B::float_floor(B::float_detach(self.0.clone()));
        Self(B::float_clamp_min(n, Scalar::Float(0.0)))
    }
}
