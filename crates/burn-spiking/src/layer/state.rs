//! The state of a layer between two calls.

use burn::tensor::{Bool, Tensor, assert_shape};

/// State of a layer between two calls.
#[derive(Debug, Clone)]
pub struct SpikingState {
    /// Membrane potentials, `[B, N]`, in [0, 1) (NIF, LIF and neurons of two variables also below
    /// 0).
    pub v: Tensor<2>,
    /// Synaptic traces ŝ of all synapse types, `[B, K, N]`. A type with learned delays has one row
    /// for each of its lags, all with the same trace. In a layer with delays, D more rows follow,
    /// with D the sum of the delays of all types, in steps: the recurrent currents in transit, in
    /// 1/ms, type by type, in the order of their arrival. In a layer of neurons with two variables,
    /// w is the next row ([`SpikingRnn::second_variable`](crate::SpikingRnn)). In a layer with
    /// input synapses, the last row is their current, in 1/ms. The states that a layer returns
    /// always have these rows. A layer also accepts a state of the K traces alone, which means that
    /// no current is in transit, and that w and the input current are 0.
    pub s: Tensor<3>,
}

impl SpikingState {
    /// Makes a state with given membrane potentials, `[B, N]`, and with s at 0, `[B, synapses, N]`.
    /// For a given layer use
    /// [`SpikingRnn::state_from_potential`](crate::SpikingRnn::state_from_potential).
    pub fn from_potential(v: Tensor<2>, synapses: usize) -> Self {
        let [batch, neurons] = v.dims();
        let s = Tensor::zeros([batch, synapses, neurons], (&v.device(), v.dtype()));
        Self { v, s }
    }

    /// Returns `samples` samples of the batch, from sample `first` on.
    ///
    /// # Panics
    /// If the batch has fewer samples.
    pub fn slice(&self, first: usize, samples: usize) -> Self {
        Self { v: self.v.clone().narrow(0, first, samples), s: self.s.clone().narrow(0, first, samples) }
    }

    /// Joins the states of several batches into one.
    ///
    /// # Panics
    /// If there are no states, or they belong to different layers.
    pub fn cat(states: Vec<Self>) -> Self {
        let (v, s) = states.into_iter().map(|state| (state.v, state.s)).unzip();
        Self { v: Tensor::cat(v, 0), s: Tensor::cat(s, 0) }
    }

    /// Returns the same values, detached from the autodiff graph, for truncated backpropagation
    /// through time.
    pub fn detach(self) -> Self {
        Self { v: self.v.detach(), s: self.s.detach() }
    }

    /// Replaces the state of the marked samples by their state in `to`. The other samples keep
    /// their state. This serves streams whose trials end at different steps.
    ///
    /// - `samples`: `[B]`, true for each sample that starts anew.
    /// - `to`: a state of the same layer, such as
    ///   [`SpikingRnn::resting_state`](crate::SpikingRnn::resting_state). If one of the two states
    ///   has the traces alone, it counts as a state without currents in transit. If the layer has
    ///   learned delays, both must have all rows.
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

    /// Appends rows of zeros to s, up to `rows` rows. They mean that no current is in transit.
    pub(crate) fn with_rows(self, rows: usize) -> Self {
        let [batch, own, neurons] = self.s.dims();
        if own >= rows {
            return self;
        }
        let nothing = Tensor::zeros([batch, rows - own, neurons], (&self.s.device(), self.s.dtype()));
        Self { s: Tensor::cat(vec![self.s, nothing], 1), ..self }
    }
}
