//! The drive of a layer: its input, through input synapses if there are any, and its bias currents.
//!
//! Without input synapses, the input i is a current: the drive of a step is U i + I_o. With them
//! ([`input_tau`](crate::SpikingRnnConfig)), the input is a series of charges, such as counts of
//! spikes, and each channel has a trace ŝ_in that jumps by the charge and decays with τ_in:
//!
//! ```text
//! ŝ_in,t = e^(−dt/τ_in) ŝ_in,t−1 + e_t        drive_t = (Uᵀ ŝ_in,t + I_o)/τ_u
//! ```
//!
//! The layer keeps Uᵀ ŝ_in/τ_u, one number for each neuron, as the last row of its state.

use super::rnn::SpikingRnn;
use super::state::SpikingState;
use crate::scan::input::InputSeries;
use crate::scan::{Drive, Implementation, Integrator};
use burn::tensor::Tensor;

/// The largest number of input channels that the scan itself projects, step by step, so that no
/// drive `[B, T, N]` is stored. For more channels, [`InputSeries`] is faster.
const PROJECTED_CHANNELS: usize = 64;

impl SpikingRnn {
    /// Returns the number of rows of a state's s.
    pub(super) fn state_rows(&self) -> usize {
        self.plan.state_rows() + self.config.input_tau.is_some() as usize
    }

    /// Splits a complete state into that of the scan and the input current before the run, `[B,
    /// N]`.
    pub(super) fn without_input_current(&self, state: SpikingState) -> (SpikingState, Option<Tensor<2>>) {
        if self.config.input_tau.is_none() {
            return (state, None);
        }
        let rows = self.plan.state_rows();
        let current = state.s.clone().narrow(1, rows, 1).squeeze_dim(1);
        (SpikingState { s: state.s.narrow(1, 0, rows), ..state }, Some(current))
    }

    /// Returns the input current after a run, `[B, N]`, if the layer has input synapses.
    pub(super) fn last_input_current(&self, drive: &Drive) -> Option<Tensor<2>> {
        match drive {
            Drive::Whole(drive) if self.config.input_tau.is_some() => {
                Some(InputSeries::last(self.scaled_bias(), drive))
            }
            _ => None,
        }
    }

    /// Returns the drive of a run.
    ///
    /// - `input`: `[B, T, C]`.
    /// - `before`: the input current before the run, `[B, N]`.
    pub(super) fn drive(&self, input: Tensor<3>, before: Option<Tensor<2>>) -> Drive {
        let (projection, bias) = (self.scaled_projection(), self.scaled_bias());
        let by_burn = self.is_differentiated_by_burn();
        if self.config.input_tau.is_none() && (by_burn || input.dims()[2] <= PROJECTED_CHANNELS) {
            return Drive::Projected { input, projection, bias };
        }
        let (series, decay) = (InputSeries { input, weights: projection, bias, before }, self.config.input_decay());
        Drive::Whole(if by_burn { series.by_tensors(decay) } else { series.current(decay) })
    }

    /// Returns whether Burn differentiates the run automatically, step by step.
    fn is_differentiated_by_burn(&self) -> bool {
        self.config.integrator == Integrator::Heun || self.plan.implementation == Implementation::Autodiff
    }

    /// Returns U/τ_u.
    fn scaled_projection(&self) -> Tensor<2> {
        self.scaled(self.effective_input_weights())
    }

    /// Returns I_o/τ_u.
    fn scaled_bias(&self) -> Option<Tensor<1>> {
        self.bias.as_ref().map(|bias| self.scaled(bias.val()))
    }
}
