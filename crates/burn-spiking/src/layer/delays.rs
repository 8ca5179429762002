//! Learned delays of the recurrent current, of any real length.
//!
//! ```text
//! δ = δ_max σ(θ)                   the delay, in (0, δ_max); θ is the parameter
//! n + φ = δ/dt                     n whole steps and the share φ of a step
//! ```
//!
//! There is one delay for a synapse type, one for each sending neuron, or one for each connection
//! ([`DelayOf`]). A charge arrives in two parts, the share 1 − φ after n steps and the
//! share φ after n + 1 steps, so the current is a continuous function of δ. With H = δ_max/dt lags:
//!
//! ```text
//! Wʰ[pre, post] = W[pre, post] · (1 − φ if h = n, φ if h = n + 1, 0 otherwise)      h = 0 … H
//! I_t           = x_t + Σ_h Jʰ_{t−h}                                               Jʰ = Wʰ s
//! ```
//!
//! For the [`scan`](crate::scan), each lag is a synapse type with a fixed delay. So learned delays
//! run in every kernel and on every backend, and their gradient is that of the scan, exact for the
//! discrete system. For one connection, it is a difference of two values of P, the adjoint of the
//! current of lag 0:
//!
//! ```text
//! ∂C/∂δ = Σ_t W ΔQ_t (P_{t+n+2} − P_{t+n+1})/dt
//! ```
//!
//! At a δ of whole steps, where this has a kink, it is the derivative from the right.
//!
//! **Cost.** In the kernels, a charge visits one row of the weights for each lag instead of one.
//! Neurons without charge cost no time in these products, for all three kinds of delays: they stay
//! event-driven. The weights take (H + 1) N² numbers, and the state of a sample has H + 1 traces
//! and H (H + 1)/2 currents in transit. On a GPU, the adjoint also stores P of each lag and step,
//! and a network whose lags do not fit into the shared memory of a cube runs in tensor operations.

use super::constants::logit;
use super::rnn::{SpikingRnn, replace};
use crate::error::ConfigError;
use crate::scan::numbers;
use crate::synapse::{DelayOf, LearnedDelays};
use burn::tensor::activation::sigmoid;
use burn::tensor::{DType, Distribution, Int, Tensor, TensorCreationOptions};

/// Draws the initial parameters of learned delays. The delays are uniform in the inner four fifths
/// of their range.
pub(super) fn initial_logits(delays: LearnedDelays, neurons: usize, options: &TensorCreationOptions) -> Tensor<2> {
    let shape = match delays.of {
        DelayOf::Type => [1, 1],
        DelayOf::Sender => [neurons, 1],
        DelayOf::Connection => [neurons, neurons],
    };
    let share = Tensor::random(shape, Distribution::Uniform(0.1, 0.9), options.clone());
    (share.clone() / (share.neg() + 1.0)).log()
}

impl SpikingRnn {
    /// Returns the learned delays of the k-th recurrent synapse type, in ms: `[1, 1]`, `[N, 1]` for
    /// a delay of each sender, or `[N, N]` stored `[pre, post]`.
    ///
    /// # Errors
    /// [`ConfigError`] if the layer has no k-th recurrent synapse type, counted from 0, or if its
    /// delays are not learned.
    pub fn delays(&self, k: usize) -> Result<Tensor<2>, ConfigError> {
        let (at, delays) = self.has_learned_delays(k)?;
        Ok(sigmoid(self.delay_logits[at].val()) * delays.longest)
    }

    /// Returns the same layer with other learned delays of the k-th recurrent synapse type. They
    /// are still learned, unless the parameter is frozen.
    ///
    /// - `delays`: in ms, in the shape that [`delays`](Self::delays) returns.
    ///
    /// # Errors
    /// [`ConfigError`] as [`delays`](Self::delays), or if the shape is another, or if a delay is
    /// not above 0 and below the longest.
    pub fn with_delays(mut self, k: usize, delays: Tensor<2>) -> Result<Self, ConfigError> {
        let (at, LearnedDelays { longest, .. }) = self.has_learned_delays(k)?;
        let param = &self.delay_logits[at];
        let (given, wanted) = (delays.dims(), param.dims());
        if given != wanted {
            return Err(ConfigError::Mismatch(format!(
                "delays are {given:?}, but the type's learned delays are {wanted:?}; give one for each"
            )));
        }
        let delays = numbers(delays.detach());
        // Beyond this size of the logit, a sigmoid of the parameter's dtype is 0 or 1.
        let most = if param.val().dtype() == DType::F64 { 36.0 } else { 16.0 };
        let logits: Vec<f64> = delays.iter().map(|delay| logit(delay / longest)).collect();
        if let Some((wrong, _)) = delays.iter().zip(&logits).find(|(_, logit)| logit.is_nan() || logit.abs() > most) {
            return Err(ConfigError::Mismatch(format!(
                "a learned delay is {wrong} ms, but must be above 0 and below the longest, {longest} ms; the limits themselves \
                 cannot be reached"
            )));
        }
        replace(&mut self.delay_logits[at], logits);
        Ok(self)
    }

    /// Returns the learned delays of the k-th recurrent synapse type, and the index of their
    /// parameter.
    fn has_learned_delays(&self, k: usize) -> Result<(usize, LearnedDelays), ConfigError> {
        self.has_recurrent_type(k, "delays are asked for")?;
        self.learned_delays(k).ok_or_else(|| {
            ConfigError::Mismatch(format!(
                "recurrent synapse type {k} has no learned delays; configure Synapse::with_learned_delays"
            ))
        })
    }

    fn learned_delays(&self, k: usize) -> Option<(usize, LearnedDelays)> {
        let mut recurrent = self.config.synapses.iter().filter(|synapse| synapse.is_recurrent());
        let at = recurrent.clone().take(k).filter(|synapse| synapse.learned_delays.is_some()).count();
        Some((at, recurrent.nth(k)?.learned_delays?))
    }

    /// Returns Wʰ for each lag h of the k-th recurrent synapse type, `[H + 1, N, N]`, from its
    /// weights; `[1, N, N]` if its delays are not learned.
    pub(super) fn at_lags(&self, k: usize, weights: Tensor<2>) -> Tensor<3> {
        let Some((at, delays)) = self.learned_delays(k) else { return weights.unsqueeze() };
        let lags = delays.lags(self.config.dt);
        let steps = (sigmoid(self.delay_logits[at].val()) * (lags - 1) as f64).unsqueeze::<3>();
        let whole = steps.clone().detach().floor();
        let share = steps - whole.clone();
        let lags = Tensor::<1, Int>::arange(0..lags as i64, &whole.device());
        let beyond = lags.float().cast(whole.dtype()).unsqueeze_dims::<3>(&[1, 2]) - whole;
        let (here, next) = (beyond.clone().equal_elem(0.0), beyond.equal_elem(1.0));
        let [here, next] = [here, next].map(|there| there.float().cast(share.dtype()));
        let parts = here * (share.clone().neg() + 1.0) + next * share;
        weights.unsqueeze::<3>() * parts
    }

    /// Gives each synapse type of the scan the row of the layer's type. `axis` has one row for each
    /// of the K types.
    pub(super) fn of_scan_types<const D: usize>(&self, rows: Tensor<D>, axis: usize) -> Tensor<D> {
        let types: Vec<i64> = self.config.scan_types().map(|(k, _)| k as i64).collect();
        if types.len() == self.config.synapses.len() {
            return rows;
        }
        let types = Tensor::<1, Int>::from_data(types.as_slice(), &rows.device());
        rows.select(axis, types)
    }
}
