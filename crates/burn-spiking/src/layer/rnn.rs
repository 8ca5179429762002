//! The layer: `SpikingRnnConfig` → [`SpikingRnn`] → [`SpikingState`], used like Burn's `Lstm`.
//!
//! ```text
//! I = (U i + I_o + Σ_k W_k ŝᵏ)/τ_u        ŝᵏ = τ_k sᵏ: one spike adds 1
//! ```
//!
//! For a synapse type that connects each neuron to itself alone, W_k ŝᵏ is d_k ∘ ŝᵏ
//! ([`Connections::SelfOnly`](crate::Connections)).
//!
//! [`Wiring`](crate::Wiring) and Dale's law determine W_k from the parameters w_k; see
//! [`wiring`](crate::wiring).
//!
//! The parameters U, I_o and W_k are dimensionless, so that one learning rate suits all of them.
//! For QIF and LIF neurons, τ_u is τ_mem. NIF neurons have no time constant, so the configuration
//! gives τ_u. Its default is τ of the first synapse type.

use super::config::SpikingRnnConfig;
use super::mask::Missing;
use super::record::Described;
use crate::error::{ConfigError, finite, positive, positive_at_most};
use crate::gate::Gate;
use crate::layer::constants::{Constants, Learn, Learned, WIDEST, logit};
use crate::layer::state::SpikingState;
use crate::scan::{Adjoint, Implementation, ScanPlan};
use burn::module::{Content, DisplaySettings, Module, ModuleDisplay, Param};
use burn::tensor::activation::sigmoid;
use burn::tensor::{Bool, Device, Tensor, TensorCreationOptions, TensorData};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;

/// A recurrent layer of smooth-gated spiking neurons with an exact gradient.
///
/// Create it with [`SpikingRnnConfig`]. The equations are at the top of [this module](self)
/// and of [`scan`](crate::scan). Differentiable once, with respect to the parameters, the input and
/// the initial state.
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct SpikingRnn {
    /// The input weights U, `[C, N]`.
    pub input_weight: Param<Tensor<2>>,
    /// The bias currents I_o, `[N]`, if the configuration has them.
    pub bias: Option<Param<Tensor<1>>>,
    /// The parameters w_k of the recurrent weights, `[N, N]` stored `[pre, post]`, for each
    /// recurrent synapse type in order. Entries for neurons that are not connected have no effect
    /// and no gradient. Without autapses, the diagonals are such entries. See
    /// [`effective_weights`](Self::effective_weights).
    pub recurrent_weights: Vec<Param<Tensor<2>>>,
    /// The self-weights d_k, `[N]`, for each synapse type that connects each neuron to itself
    /// alone, in order. They are frozen unless the type says that they are learned.
    pub self_weights: Vec<Param<Tensor<1>>>,
    /// The logits of the learned delays, for each synapse type that has them, in order: `[1, 1]`,
    /// `[N, 1]` for a delay of each sender, or `[N, N]` stored `[pre, post]`. See
    /// [`delays`](super::delays).
    pub delay_logits: Vec<Param<Tensor<2>>>,
    /// The logit of the initial potential, `[N]`, if the start is learned.
    pub start_v: Option<Param<Tensor<1>>>,
    /// The initial traces ŝ, `[K, N]`, if the start is learned.
    pub start_s: Option<Param<Tensor<2>>>,
    /// The learned constants, if there are any.
    pub constants: Option<Constants>,
    /// The missing input connections, `[C, N]`.
    pub(super) unreached: Option<Missing>,
    /// The sign of each sending neuron under Dale's law, ±1, `[N, 1]`.
    pub(super) signs: Option<Tensor<2>>,
    #[module(skip)]
    pub(super) plan: Arc<ScanPlan>,
    pub(super) config: Described,
}

impl ModuleDisplay for SpikingRnn {
    fn custom_settings(&self) -> Option<DisplaySettings> {
        DisplaySettings::new().with_new_line_after_attribute(false).optional()
    }

    fn custom_content(&self, content: Content) -> Option<Content> {
        let constants = self.config.constants().into_iter();
        constants.fold(content, |content, (name, value)| content.add(name, value.as_str())).optional()
    }
}

/// Sets the values of a constant that is learned per neuron.
fn set_each(
    param: Option<&mut Param<Tensor<1>>>,
    learn: Learn,
    name: &str,
    values: Vec<f64>,
) -> Result<(), ConfigError> {
    let (Some(param), Learn::PerNeuron) = (param, learn) else {
        return Err(ConfigError::Mismatch(format!(
            "{name} is given for each neuron, but the layer has one for all; configure Learned {{ {name}: Learn::PerNeuron, .. }}"
        )));
    };
    let [neurons] = param.dims();
    if values.len() != neurons {
        return Err(ConfigError::Mismatch(format!(
            "{name} is given {} times, but there are {neurons} neurons; give one for each",
            values.len()
        )));
    }
    replace(param, values);
    Ok(())
}

/// Sets the values of a constant above 0 that is learned per neuron by its logarithm.
fn set_each_above_0(
    param: Option<&mut Param<Tensor<1>>>,
    learn: Learn,
    name: &'static str,
    values: &[f64],
    remedy: &'static str,
) -> Result<(), ConfigError> {
    values.iter().try_for_each(|&value| positive(name, value, remedy))?;
    set_each(param, learn, name, values.iter().map(|value| value.ln()).collect())
}

/// Replaces the values of a parameter, in order. The parameter keeps its shape, its device and its
/// dtype, and the id by which the optimizer identifies it. A frozen parameter stays frozen.
pub(super) fn replace<const D: usize>(param: &mut Param<Tensor<D>>, values: Vec<f64>) {
    let (tensor, learns) = (param.val(), param.is_require_grad());
    let options = (&tensor.device(), tensor.dtype());
    let values = Tensor::from_data(TensorData::new(values, tensor.dims()), options).set_require_grad(learns);
    *param = param.clone().map(|_| values);
}

impl SpikingRnn {
    /// Returns the configuration of the layer.
    pub fn config(&self) -> &SpikingRnnConfig {
        &self.config
    }

    /// Returns the plan that the layer gives to [`scan`](crate::scan::scan). It has the initial
    /// values of learned constants.
    pub fn plan(&self) -> &Arc<ScanPlan> {
        &self.plan
    }

    /// Returns the device of the parameters.
    pub fn device(&self) -> Device {
        self.input_weight.val().device()
    }

    /// Returns the same layer with another implementation of its runs.
    pub fn with_implementation(mut self, implementation: Implementation) -> Self {
        Arc::make_mut(&mut self.plan).implementation = implementation;
        self
    }

    /// Returns the same layer with another adjoint, that is, another backward pass.
    ///
    /// # Errors
    /// [`ConfigError`] if a number of the adjoint is out of range, or if the adjoint is not
    /// [`Adjoint::Exact`] and the layer's integrator is
    /// [`Integrator::Heun`](crate::Integrator::Heun). For [`Adjoint::MeanField`] also if the neuron
    /// has no f-I curve, a synapse type has a delay, or constants are learned. For
    /// [`Adjoint::Surrogate`] also if the gate is not a threshold at 1, the neuron is neither NIF
    /// nor LIF, or constants are learned.
    pub fn with_adjoint(mut self, adjoint: Adjoint) -> Result<Self, ConfigError> {
        self.config.adjoint = adjoint;
        self.config.check()?;
        let plan = Arc::unwrap_or_clone(self.plan).with_adjoint(adjoint)?;
        Ok(Self { plan: Arc::new(plan), ..self })
    }

    /// Returns the same layer with another gate and the same parameters. For example, this shows
    /// how a trained network works without its gradual synapses. If the width was learned, it is no
    /// longer learned.
    ///
    /// # Errors
    /// [`ConfigError`] if the gate's width is out of range, or if the layer's integrator does not
    /// support the gate.
    pub fn with_gate(mut self, gate: Gate) -> Result<Self, ConfigError> {
        let learned = Learned { width: Learn::No, ..self.config.learned };
        if let Some(constants) = &mut self.constants {
            constants.logit_width = None;
        }
        (self.config.gate, self.config.learned) = (gate, learned);
        self.config.check()?;
        let plan = Arc::make_mut(&mut self.plan);
        (plan.gate, plan.constants) = (gate, learned.of_scan());
        Ok(self)
    }

    /// Returns the same layer with these values of τ_mem, in ms, one for each neuron. They are
    /// still learned, unless the parameter is frozen.
    ///
    /// # Errors
    /// [`ConfigError`] if the layer does not learn τ_mem per neuron, or if `tau_mem` is not N
    /// numbers above 0.
    pub fn with_tau_mem(mut self, tau_mem: &[f64]) -> Result<Self, ConfigError> {
        let param = self.constants.as_mut().and_then(|constants| constants.log_tau_mem.as_mut());
        let remedy = "give each neuron's time constant in ms";
        set_each_above_0(param, self.config.learned.tau_mem, "tau_mem", tau_mem, remedy)?;
        Ok(self)
    }

    /// Returns the same layer with these values of τ_w, in ms, one for each neuron. They are still
    /// learned, unless the parameter is frozen.
    ///
    /// # Errors
    /// [`ConfigError`] if the layer does not learn τ_w per neuron, or if `tau_w` is not N numbers
    /// above 0.
    pub fn with_tau_w(mut self, tau_w: &[f64]) -> Result<Self, ConfigError> {
        let param = self.constants.as_mut().and_then(|constants| constants.log_tau_w.as_mut());
        let remedy = "give each neuron's time constant of w in ms";
        set_each_above_0(param, self.config.learned.tau_w, "tau_w", tau_w, remedy)?;
        Ok(self)
    }

    /// Returns the same layer with these frequencies, in Hz, one for each neuron. They are still
    /// learned, unless the parameter is frozen.
    ///
    /// # Errors
    /// [`ConfigError`] if the layer does not learn the frequency per neuron, or if `frequencies` is
    /// not N numbers above 0.
    pub fn with_frequencies(mut self, frequencies: &[f64]) -> Result<Self, ConfigError> {
        let param = self.constants.as_mut().and_then(|constants| constants.log_frequency.as_mut());
        let remedy = "give each neuron's own frequency in Hz";
        set_each_above_0(param, self.config.learned.frequency, "frequency", frequencies, remedy)?;
        Ok(self)
    }

    /// Returns the same layer with these values of b, the rise of w by a spike, one for each
    /// neuron. They are still learned, unless the parameter is frozen.
    ///
    /// # Errors
    /// [`ConfigError`] if the layer does not learn b per neuron, or if `jumps` is not N finite
    /// numbers.
    pub fn with_jumps(mut self, jumps: &[f64]) -> Result<Self, ConfigError> {
        jumps.iter().try_for_each(|&jump| finite("b", jump, "give each neuron's rise of w by a spike"))?;
        let param = self.constants.as_mut().and_then(|constants| constants.jump.as_mut());
        set_each(param, self.config.learned.jump, "jump", jumps.to_vec())?;
        Ok(self)
    }

    /// Returns the same layer with these gate widths, one for each neuron. They are still learned,
    /// unless the parameter is frozen.
    ///
    /// # Errors
    /// [`ConfigError`] if the layer does not learn the gate width per neuron, or if `widths` is not
    /// N numbers above 0 and at most [`WIDEST`].
    pub fn with_widths(mut self, widths: &[f64]) -> Result<Self, ConfigError> {
        widths.iter().try_for_each(|&width| {
            positive_at_most("gate width", width, WIDEST, "a learned width is below 1, which no parameter stands for")
        })?;
        let logits: Vec<f64> = widths.iter().map(|&width| logit(width)).collect();
        let param = self.constants.as_mut().and_then(|constants| constants.logit_width.as_mut());
        set_each(param, self.config.learned.width, "width", logits)?;
        Ok(self)
    }

    /// Returns the same layer with steps of `dt` ms. The parameters keep their meaning: currents
    /// are per ms, and a spike adds 1 to ŝ.
    ///
    /// # Errors
    /// [`ConfigError`] if `dt` is not above 0, or if a delay or the block length of
    /// [`Adjoint::MeanField`] is not a whole number of steps.
    pub fn with_dt(mut self, dt: f64) -> Result<Self, ConfigError> {
        self.config.dt = dt;
        self.config.check()?;
        let implementation = self.plan.implementation;
        self.plan = Arc::new(ScanPlan { implementation, ..self.config.plan() });
        Ok(self)
    }

    /// Returns the initial state for `batch` samples: the learned state if the layer learns it,
    /// otherwise the state at rest. No current is in transit.
    pub fn resting_state(&self, batch: usize) -> SpikingState {
        let n = self.config.d_hidden;
        if let (Some(v), Some(s)) = (&self.start_v, &self.start_s) {
            let v = sigmoid(v.val()).unsqueeze::<2>().expand([batch, n]);
            let s = self.of_scan_types(s.val(), 0).unsqueeze::<3>().expand([batch as i64, -1, n as i64]);
            return SpikingState { v, s }.with_rows(self.state_rows());
        }
        let v = self.config.neuron.resting_potential();
        self.state_from_potential(Tensor::full([batch, n], v, self.options()))
    }

    /// Returns w of a state, `[B, N]`, if the layer's neurons have two variables.
    pub fn second_variable(&self, state: &SpikingState) -> Option<Tensor<2>> {
        let row = self.plan.second_variable_row()?;
        let complete = self.complete_state(Some(state.clone()), state.v.dims()[0]);
        Some(complete.s.narrow(1, row, 1).squeeze_dim(1))
    }

    /// Returns the state with these membrane potentials, `[B, N]`, without synaptic traces and
    /// without currents in transit.
    pub fn state_from_potential(&self, v: Tensor<2>) -> SpikingState {
        SpikingState::from_potential(v, self.state_rows())
    }

    /// Returns W_k of the k-th recurrent synapse type, `[pre, post]`, with the signs of Dale's law,
    /// and 0 for neurons that are not connected.
    ///
    /// # Errors
    /// [`ConfigError`] if the layer has no k-th recurrent synapse type, counted from 0.
    pub fn effective_weights(&self, k: usize) -> Result<Tensor<2>, ConfigError> {
        self.has_recurrent_type(k, "weights are asked for")?;
        Ok(self.connected_weights(k))
    }

    /// Returns U, `[C, N]`, with 0 for input connections that are missing.
    pub fn effective_input_weights(&self) -> Tensor<2> {
        match &self.unreached {
            Some(unreached) => unreached.erase(self.input_weight.val()),
            None => self.input_weight.val(),
        }
    }

    /// Returns an error if the layer has no k-th recurrent synapse type.
    pub(super) fn has_recurrent_type(&self, k: usize, what: &str) -> Result<(), ConfigError> {
        let types = self.recurrent_weights.len();
        if k < types {
            return Ok(());
        }
        Err(ConfigError::Mismatch(format!(
            "{what} of recurrent synapse type {k}, but there are {types}, counted from 0"
        )))
    }

    /// Returns the [`effective_weights`](Self::effective_weights) of a synapse type that exists.
    pub(super) fn connected_weights(&self, k: usize) -> Tensor<2> {
        let weights = self.recurrent_weights[k].val();
        let weights = match &self.signs {
            Some(signs) => {
                let signs = signs.clone().cast(weights.dtype());
                weights.abs() * signs
            }
            None => weights,
        };
        match self.config.missing(k) {
            Some(missing) => missing.erase(weights),
            None => weights,
        }
    }

    /// Returns the same layer with other connections of the k-th recurrent synapse type. They are
    /// part of the layer's record, so a layer that loads the record takes them over.
    ///
    /// - `connected`: `[pre, post]`, true for each pair of connected neurons. It also decides about
    ///   the diagonal.
    ///
    /// # Errors
    /// [`ConfigError`] if the layer has no k-th recurrent synapse type, counted from 0, or if the
    /// shape is not `[N, N]`.
    pub fn with_connections(mut self, k: usize, connected: Tensor<2, Bool>) -> Result<Self, ConfigError> {
        self.has_recurrent_type(k, "connections are given")?;
        let (n, dims) = (self.config.d_hidden, connected.dims());
        if dims != [n, n] {
            return Err(ConfigError::Mismatch(format!(
                "connections are {dims:?}, but must be [{n}, {n}] for {n} neurons; give one for each pair [pre, post]"
            )));
        }
        self.config.connect(k, connected.float());
        Ok(self)
    }

    /// Returns a state with membrane potentials drawn uniformly from [low, high), from a seed, and
    /// without synaptic traces.
    ///
    /// # Panics
    /// If the range is empty.
    pub fn random_state(&self, batch: usize, low: f64, high: f64, seed: u64) -> SpikingState {
        assert!(
            low < high,
            "the range [{low}, {high}) of initial potentials is empty; give a lower bound below the upper"
        );
        let n = self.config.d_hidden;
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let v: Vec<f64> = (0..batch * n).map(|_| random.random_range(low..high)).collect();
        let v = Tensor::<2>::from_data(TensorData::new(v, [batch, n]), self.options());
        self.state_from_potential(v)
    }

    pub(super) fn options(&self) -> TensorCreationOptions {
        let input = self.input_weight.val();
        TensorCreationOptions::from((&input.device(), input.dtype()))
    }
}
