//! The input current: input synapses and the projection to the neurons, in one operation.
//!
//! ```text
//! y_t = ρ y_{t−1} + Uᵀ e_t        ρ = e^(−dt/τ_in); 0 without input synapses
//! x_t = y_t + I_o
//! ```
//!
//! e_t is the input of step t: with input synapses, the charges of the channels. The filter comes
//! after the projection, so it costs N numbers a step and not C, and an input that is mostly 0
//! stays so. On the CPU, the operation then touches only the channels that are not 0.
//!
//! # The adjoint
//!
//! With q_t = ∂C/∂x_t, backward in time:
//!
//! ```text
//! r_t = q_t + ρ r_{t+1}            r_T = 0
//! ∂C/∂U = Σ_t e_t r_tᵀ    ∂C/∂I_o = Σ_t q_t    ∂C/∂e_t = U r_t    ∂C/∂y_{−1} = ρ r_0
//! ```

use burn::tensor::{Tensor, TensorData};

/// The tensors of an input current.
#[derive(Debug, Clone)]
pub(crate) struct InputSeries {
    /// e, `[B, T, C]`.
    pub(crate) input: Tensor<3>,
    /// U, `[C, N]`.
    pub(crate) weights: Tensor<2>,
    /// I_o, `[N]`; 0 if `None`.
    pub(crate) bias: Option<Tensor<1>>,
    /// y_{−1}, `[B, N]`; 0 if `None`.
    pub(crate) before: Option<Tensor<2>>,
}

/// Number of steps that the tensor operations filter by one matrix product.
const FILTERED_AT_ONCE: usize = 256;

impl InputSeries {
    /// Returns x, `[B, T, N]`, by the operation if the device has it, otherwise by
    /// [`by_tensors`](Self::by_tensors).
    pub(crate) fn current(self, decay: f64) -> Tensor<3> {
        #[cfg(any(feature = "flex", feature = "ndarray"))]
        if op::serves(&self.input.device()) {
            let tensors = op::InputTensors {
                input: self.input.into_dispatch(),
                weights: self.weights.into_dispatch(),
                bias: self.bias.map(Tensor::into_dispatch).into(),
                before: self.before.map(Tensor::into_dispatch).into(),
            };
            return op::current(tensors, decay);
        }
        self.by_tensors(decay)
    }

    /// Returns x, `[B, T, N]`, in tensor operations, which Burn differentiates.
    pub(crate) fn by_tensors(self, decay: f64) -> Tensor<3> {
        let Self { input, weights, bias, before } = self;
        let [batch, steps, channels] = input.dims();
        let neurons = weights.dims()[1];
        let sent = input.reshape([batch * steps, channels]).matmul(weights).reshape([batch, steps, neurons]);
        let filtered = if decay == 0.0 { sent } else { filtered(sent, before, decay) };
        match bias {
            Some(bias) => filtered + bias.unsqueeze(),
            None => filtered,
        }
    }

    /// Returns y_{T−1}, `[B, N]`, from x.
    pub(crate) fn last(bias: Option<Tensor<1>>, current: &Tensor<3>) -> Tensor<2> {
        let steps = current.dims()[1];
        let last = current.clone().narrow(1, steps - 1, 1).squeeze_dim(1);
        match bias {
            Some(bias) => last - bias.unsqueeze(),
            None => last,
        }
    }
}

/// Returns y of a series `[B, T, N]`: each step is ρ times the one before, plus its own.
fn filtered(series: Tensor<3>, before: Option<Tensor<2>>, decay: f64) -> Tensor<3> {
    let ([_, steps, _], options) = (series.dims(), (&series.device(), series.dtype()));
    let matrix = |rows: usize, columns: usize, at: &dyn Fn(i32, i32) -> f64| {
        let numbers = (0..rows * columns).map(|k| at((k / columns) as i32, (k % columns) as i32)).collect::<Vec<_>>();
        Tensor::<2>::from_data(TensorData::new(numbers, [rows, columns]), options)
    };
    let mut before: Option<Tensor<3>> = before.map(|before| before.unsqueeze_dim(1));
    let mut parts = Vec::with_capacity(steps.div_ceil(FILTERED_AT_ONCE));
    for first in (0..steps).step_by(FILTERED_AT_ONCE) {
        let length = FILTERED_AT_ONCE.min(steps - first);
        let spread = matrix(length, length, &|t, u| if u <= t { decay.powi(t - u) } else { 0.0 });
        let mut part = spread.unsqueeze::<3>().matmul(series.clone().narrow(1, first, length));
        if let Some(before) = before {
            part = part + matrix(length, 1, &|t, _| decay.powi(t + 1)).unsqueeze::<3>() * before;
        }
        before = Some(part.clone().narrow(1, length - 1, 1));
        parts.push(part);
    }
    Tensor::cat(parts, 1)
}

#[cfg(any(feature = "flex", feature = "ndarray"))]
pub(super) mod op;

#[cfg(all(test, any(feature = "flex", feature = "ndarray")))]
mod tests;
