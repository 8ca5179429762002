//! The gradients of a scan's inputs, from what the backward pass found.

use super::{kept, tensor};
use crate::scan::tensor_number::TensorNumber;
use crate::scan::{GradientMask, InputGradients, OptionalTensor, ScanInputs, ScanTape};
use burn::backend::{Backend, TensorMetadata};

/// The results of the backward pass.
pub(in crate::scan) struct Found<B: Backend> {
    /// q_t = ∂C/∂x_t, `[B, T, N]`.
    pub(in crate::scan) q: TensorNumber<B>,
    /// ∂C/∂W of each plane, `[N, N]`; empty if not wanted.
    pub(in crate::scan) weights: Vec<TensorNumber<B>>,
    /// ∂C/∂d of each row, `[N]`; empty if not wanted.
    pub(in crate::scan) self_weights: Vec<TensorNumber<B>>,
    /// ∂C/∂v_0.
    pub(in crate::scan) v0: TensorNumber<B>,
    /// ∂C/∂s_0 row by row, `[B, N]` each.
    pub(in crate::scan) s0: Vec<TensorNumber<B>>,
    /// The gradient of the constants.
    pub(in crate::scan) constants: Option<TensorNumber<B>>,
}

impl<B: Backend> Found<B> {
    /// The gradients that `wanted` selects.
    pub(in crate::scan) fn gradients(
        self,
        inputs: ScanInputs<B>,
        tape: &ScanTape<B>,
        d_output: Option<TensorNumber<B>>,
        wanted: GradientMask,
    ) -> InputGradients<B> {
        let Self { q: d_drive, weights, self_weights, v0, s0: d_s0, constants } = self;
        let stacked = |found: Vec<TensorNumber<B>>| {
            OptionalTensor::from((!found.is_empty()).then(|| TensorNumber::stack(found, 0).0))
        };
        let input = TensorNumber::<B>(inputs.drive);
        let projection = tensor(&inputs.projection);
        let asked = |wanted: bool, gradient: &dyn Fn() -> Option<TensorNumber<B>>| {
            OptionalTensor::from(if wanted { gradient().map(|tensor| tensor.0) } else { None })
        };
        InputGradients {
            drive: asked(wanted.drive, &|| {
                Some(match &projection {
                    Some(projection) => d_drive.clone().product_last(projection.clone().transposed()),
                    None => d_drive.clone(),
                })
            }),
            projection: asked(wanted.projection, &|| {
                Some(input.clone().rows().transposed().product(d_drive.clone().rows()))
            }),
            bias: asked(wanted.bias, &|| Some(d_drive.clone().rows().summed_rows())),
            weights: stacked(weights),
            self_weights: stacked(self_weights),
            v0: v0.0,
            s0: if wanted.s0 {
                OptionalTensor::Present(TensorNumber::stack(d_s0, 1).0)
            } else {
                OptionalTensor::Absent
            },
            readout: asked(wanted.readout, &|| {
                let Some(d_output) = d_output.clone() else {
                    return tensor(&inputs.readout).map(|readout| readout.zeros(readout.0.shape()));
                };
                Some(kept(&tape.trace).rows().transposed().product(d_output.rows()))
            }),
            constants: asked(wanted.constants, &|| constants.clone()),
        }
    }
}
