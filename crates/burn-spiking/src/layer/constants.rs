//! Learned constants: time constants, gate widths and thresholds.
//!
//! ```text
//! τ_mem = e^a        τ_k = e^{b_k}        w = 1/(1 + e^−c)        θ_j = e^{d_j}
//! ```
//!
//! The parameters are a, b, c and d. They are all of about the same size, and no update by an
//! optimizer can make a constant negative. Either all neurons share τ_mem and w, or each neuron has
//! its own ([`Learn`]). All neurons share τ_k, so that the current of a neuron decays as a whole,
//! regardless of its senders. This keeps a step at O(N · active neurons). The gradients of τ_mem, w
//! and τ_k are part of the scan's adjoint, at O(N) a step. A learned τ_mem is also the time unit of
//! the parameters: the currents of a neuron are divided by the learned τ_mem.
//!
//! Each neuron j has its own θ_j. Scaling the potential of a neuron by its threshold is the same as
//! scaling all its currents. So a NIF or LIF neuron with the threshold θ_j receives the current
//! I_j/θ_j instead, which is exact. The threshold of a QIF neuron is a phase, which is fixed.

use crate::error::ConfigError;
use crate::gate::Gate;
use crate::neuron::Neuron;
use crate::scan::ScanPlan;
use burn::module::{Module, Param};
use burn::tensor::activation::sigmoid;
use burn::tensor::{Tensor, TensorCreationOptions, TensorData};
use serde::{Deserialize, Serialize};

/// Whether a constant is learned, and whether all neurons share it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Learn {
    /// The constant keeps its configured value, the same for all neurons.
    #[default]
    No,
    /// One learned value for all neurons.
    Shared,
    /// One learned value for each neuron. All start from the configured value.
    PerNeuron,
}

/// The constants of a layer that are learned. Default: none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Learned {
    /// The membrane time constant τ_mem; for LIF and QIF neurons.
    pub tau_mem: Learn,
    /// The time constant τ_k of each synapse type.
    pub tau_syn: bool,
    /// The gate's width w. A configured width above [`WIDEST`] starts at [`WIDEST`].
    pub width: Learn,
    /// The threshold θ_j of each neuron; for NIF and LIF neurons.
    pub threshold: bool,
}

/// The largest initial value of a learned gate width. A width of 1 has no finite parameter.
pub const WIDEST: f64 = 0.98;

/// ln(share/(1 − share)), the parameter of a share in (0, 1).
pub(super) fn logit(share: f64) -> f64 {
    (share / (1.0 - share)).ln()
}

impl Learned {
    /// Returns whether τ_mem, w or τ_k is learned, so that the scan must compute their gradients.
    pub(crate) fn of_scan(&self) -> bool {
        self.tau_mem != Learn::No || self.tau_syn || self.width != Learn::No
    }

    /// Returns whether each neuron has its own τ_mem or its own w.
    pub(crate) fn each(&self) -> bool {
        self.tau_mem == Learn::PerNeuron || self.width == Learn::PerNeuron
    }

    /// Returns an error if a learned constant does not exist for this neuron or gate.
    pub(crate) fn check(&self, neuron: &Neuron, gate: &Gate) -> Result<(), ConfigError> {
        let refused = |what: &str, why: &str| Err(ConfigError::Mismatch(format!("{what} cannot be learned: {why}")));
        if self.tau_mem != Learn::No && !neuron.learns_tau() {
            return refused(
                "tau_mem",
                &format!("only LIF and QIF neurons have an exact flow with one, and this is {neuron}"),
            );
        }
        if self.threshold && !matches!(neuron, Neuron::Nif | Neuron::Lif { .. }) {
            return refused(
                "the threshold",
                &format!("only that of NIF and LIF neurons can be moved, and this is {neuron}"),
            );
        }
        if self.width != Learn::No && !gate.is_differentiable() {
            return refused("the gate's width", "Gate::Threshold has none; choose a gate of width above 0");
        }
        Ok(())
    }
}

impl std::fmt::Display for Learned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let of = |learn: Learn, name: &str| match learn {
            Learn::No => None,
            Learn::Shared => Some(name.to_string()),
            Learn::PerNeuron => Some(format!("{name} of each neuron")),
        };
        let flag = |learned: bool, name: &str| learned.then(|| name.to_string());
        let names = [
            of(self.tau_mem, "tau_mem"),
            flag(self.tau_syn, "tau_syn"),
            of(self.width, "width"),
            flag(self.threshold, "threshold"),
        ];
        let names: Vec<_> = names.into_iter().flatten().collect();
        if names.is_empty() { write!(f, "none") } else { write!(f, "{}", names.join(", ")) }
    }
}

/// The parameters of the learned constants. Each is `None` if its constant is not learned.
#[derive(Module, Debug)]
pub struct Constants {
    /// ln τ_mem, with τ_mem in ms: `[1]`, or `[N]` if each neuron has its own.
    pub log_tau_mem: Option<Param<Tensor<1>>>,
    /// ln τ_k, with τ_k in ms: `[K]`.
    pub log_tau_syn: Option<Param<Tensor<1>>>,
    /// The logit of w: `[1]`, or `[N]` if each neuron has its own.
    pub logit_width: Option<Param<Tensor<1>>>,
    /// ln θ_j: `[N]`.
    pub log_threshold: Option<Param<Tensor<1>>>,
}

impl Constants {
    /// Returns τ_mem, w and α_1 … α_K as one tensor, `[2 M + K]`. Constants that are not learned
    /// come from `plan`.
    ///
    /// - `each`: N if neurons have their own constants (M = N), otherwise `None` (M = 1).
    /// - `of_types`: gives the synapse types of the scan the values of the layer's types.
    pub(crate) fn tensor(
        &self,
        plan: &ScanPlan,
        each: Option<usize>,
        options: &TensorCreationOptions,
        of_types: impl Fn(Tensor<1>) -> Tensor<1>,
    ) -> Tensor<1> {
        let fixed = |values: Vec<f64>| {
            let length = values.len();
            Tensor::<1>::from_data(TensorData::new(values, [length]), options.clone())
        };
        let of = each.unwrap_or(1);
        // The backward pass of `expand` adds up the gradients of the neurons that share a constant.
        let of_all = |values: Tensor<1>| values.expand([of]);
        let tau = match &self.log_tau_mem {
            Some(log) => log.val().exp(),
            None => fixed(vec![plan.neuron.tau().unwrap_or(1.0)]),
        };
        let width = match &self.logit_width {
            Some(logit) => sigmoid(logit.val()),
            None => fixed(vec![plan.gate.width()]),
        };
        let decays = match &self.log_tau_syn {
            Some(log) => ((-of_types(log.val())).exp() * -plan.dt).exp(),
            None => fixed(plan.synapses.iter().map(|synapse| synapse.decay).collect()),
        };
        Tensor::cat(vec![of_all(tau), of_all(width), decays], 0)
    }

    /// Multiplies parameters by 1/(τ_u θ) along their last axis.
    ///
    /// - `unit`: 1/τ_u; used if τ_mem is not learned.
    pub(crate) fn scaled<const D: usize>(&self, parameters: Tensor<D>, unit: f64) -> Tensor<D> {
        let along = |factor: Tensor<1>| {
            let mut shape = [1; D];
            shape[D - 1] = factor.dims()[0];
            factor.reshape(shape)
        };
        let scaled = match &self.log_tau_mem {
            Some(log) => parameters * along((-log.val()).exp()),
            None => parameters * unit,
        };
        match &self.log_threshold {
            Some(log) => scaled * along((-log.val()).exp()),
            None => scaled,
        }
    }
}
