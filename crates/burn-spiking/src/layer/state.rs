//! The state of a layer between two calls.

use burn::tensor::{Bool, Tensor, assert_shape};

/// State of a layer between two calls.
#[derive(Debug, Clone)]
pub struct SpikingState {
    /// Membrane potentials, `[B, N]`, in [0, 1) (NIF and LIF also below 0).
    pub v: Tensor<2>,
    /// Synaptic traces ŝ, `[B, K, N]`, of all synapse types; of a layer with delays `[B, K + D, N]`, D the steps of delay of all types:
    /// then come the recurrent currents on their way, 1/ms, type by type, the first to arrive first. A layer's own states all have these
    /// rows; it also takes the K traces alone, as a state in which nothing is on its way.
    pub s: Tensor<3>,
}

impl SpikingState {
    /// A state of given membrane potentials `[B, N]` in which no synapse is active. See
    /// [`SpikingRnn::state_from_potential`](crate::SpikingRnn::state_from_potential) for a layer's own.
    pub fn from_potential(v: Tensor<2>, synapses: usize) -> Self {
        let [batch, neurons] = v.dims();
        let s = Tensor::zeros([batch, synapses, neurons], (&v.device(), v.dtype()));
        Self { v, s }
    }

    /// Some of the samples: `samples` of them, from `first`.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn slice(&self, first: usize, samples: usize) -> Self {
        Self { v: self.v.clone().narrow(0, first, samples), s: self.s.clone().narrow(0, first, samples) }
    }

    /// The states of several batches as one.
    ///
    /// # Panics
    /// If there are none, or they are of different layers.
    pub fn cat(states: Vec<Self>) -> Self {
        let (v, s) = states.into_iter().map(|state| (state.v, state.s)).unzip();
        Self { v: Tensor::cat(v, 0), s: Tensor::cat(s, 0) }
    }

    /// The same values, cut from the graph: truncated backpropagation through time.
    pub fn detach(self) -> Self {
        Self { v: self.v.detach(), s: self.s.detach() }
    }

    /// The state `to` for the samples that are marked, this one for the others: where trials of a stream end at different steps.
    ///
    /// - `samples`: `[B]`, true where a sample starts anew.
    /// - `to`: of the same layer, such as [`SpikingRnn::resting_state`](crate::SpikingRnn::resting_state). Of two states of which one has
    ///   the traces alone, nothing is on its way in that one.
    ///
    /// # Panics
    /// If the shapes do not fit each other.
    pub fn reset(self, samples: Tensor<1, Bool>, to: Self) -> Self {
        let rows = self.s.dims()[1].max(to.s.dims()[1]);
        let (own, to) = (self.with_rows(rows), to.with_rows(rows));
        let [batch, neurons] = own.v.dims();
        assert_shape!(samples, [batch]);
        assert_shape!(to.v, [batch, neurons]);
        assert_shape!(to.s, [batch, rows, neurons]);
        let of_v = samples.clone().unsqueeze_dim::<2>(1).expand([batch, neurons]);
        let of_s = samples.unsqueeze_dims::<3>(&[1, 2]).expand([batch, rows, neurons]);
        Self { v: own.v.mask_where(of_v, to.v), s: own.s.mask_where(of_s, to.s) }
    }

    /// The same state with rows of zeros behind those of s: nothing on its way.
    pub(crate) fn with_rows(self, rows: usize) -> Self {
        let [batch, own, neurons] = self.s.dims();
        if own >= rows {
            return self;
        }
        let nothing = Tensor::zeros([batch, rows - own, neurons], (&self.s.device(), self.s.dtype()));
        Self { s: Tensor::cat(vec![self.s, nothing], 1), ..self }
    }
}
