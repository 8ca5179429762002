//! The state of a layer between two calls.

use burn::tensor::{Bool, Tensor, assert_shape};

/// State of a layer between two calls.
#[derive(Debug, Clone)]
pub struct SpikingState {
    /// Membrane potentials, `[B, N]`, in [0, 1) (NIF and LIF also below 0).
    pub v: Tensor<2>,
    /// Synaptic traces ŝ, `[B, K, N]`, of all synapse types; of a layer with delays `[B, K + D, N]`, D the steps of delay of all types:
    /// then come the recurrent currents on their way, 1/ms, type by type, the first to arrive first. A layer with delays takes the K
    /// traces alone, too, for a state in which nothing is on its way.
    pub s: Tensor<3>,
}

impl SpikingState {
    /// A state of given membrane potentials `[B, N]` in which no synapse is active.
    pub fn at(v: Tensor<2>, synapses: usize) -> Self {
        let [batch, neurons] = v.dims();
        let s = Tensor::zeros([batch, synapses, neurons], (&v.device(), v.dtype()));
        Self { v, s }
    }

    /// The same values, cut from the graph: truncated backpropagation through time.
    pub fn detach(self) -> Self {
        Self { v: self.v.detach(), s: self.s.detach() }
    }

    /// The state `to` for the samples that are marked, this one for the others: where trials of a stream end at different steps.
    ///
    /// - `samples`: `[B]`, true where a sample starts anew.
    /// - `to`: of the same shape, such as [`SpikingRnn::resting_state`](crate::SpikingRnn::resting_state).
    ///
    /// # Panics
    /// If the shapes do not fit each other.
    pub fn reset(self, samples: Tensor<1, Bool>, to: Self) -> Self {
        let ([batch, neurons], [_, synapses, _]) = (self.v.dims(), self.s.dims());
        assert_shape!(samples, [batch]);
        assert_shape!(to.v, [batch, neurons]);
        assert_shape!(to.s, [batch, synapses, neurons]);
        let of_v = samples.clone().unsqueeze_dim::<2>(1).expand([batch, neurons]);
        let of_s = samples.unsqueeze_dims::<3>(&[1, 2]).expand([batch, synapses, neurons]);
        Self { v: self.v.mask_where(of_v, to.v), s: self.s.mask_where(of_s, to.s) }
    }

    /// Some of the samples, from `first`.
    pub(crate) fn narrow(&self, first: usize, samples: usize) -> Self {
        Self { v: self.v.clone().narrow(0, first, samples), s: self.s.clone().narrow(0, first, samples) }
    }
}
