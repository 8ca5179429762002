//! Constants that are learned: time constants, the gate's width, thresholds.
//!
//! ```text
//! τ_mem = e^a        τ_k = e^{b_k}        w = 1/(1 + e^−c)        θ_j = e^{d_j}
//! ```
//!
//! a, b, c and d are the parameters: of one natural size, and nothing that an optimizer does to them makes a constant negative. τ_mem and w
//! are one for all neurons, or each neuron's own ([`Learn`]); τ_k is shared, since a neuron's current decays as a whole, whoever sent
//! it: that is what keeps a step at O(N · active neurons). Their gradients are part of the scan's adjoint, at O(N) a step. With τ_mem
//! its unit changes too: a neuron's currents are divided by the τ_mem that is learned.
//!
//! θ_j is each neuron's own. Scaling a neuron's potential by its threshold is scaling all its currents, so NIF and LIF neurons have
//! I_j/θ_j for the threshold θ_j, exactly. The threshold of a QIF neuron is a phase, and cannot be moved.

use crate::error::ConfigError;
use crate::gate::Gate;
use crate::layer::trajectory::numbers;
use crate::neuron::Neuron;
use crate::scan::{PerNeuronConstants, ScanPlan};
use burn::module::{Module, Param};
use burn::tensor::activation::sigmoid;
use burn::tensor::{Tensor, TensorCreationOptions, TensorData};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Whether a constant is learned, and whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Learn {
    /// It stays as configured, the same for all neurons.
    #[default]
    No,
    /// One for all neurons.
    Shared,
    /// One for each neuron; all start from the configured value.
    PerNeuron,
}

/// Which constants of a layer are learned. None, unless asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Learned {
    /// τ_mem; LIF and QIF.
    pub tau_mem: Learn,
    /// τ_k of each synapse type.
    pub tau_s: bool,
    /// The gate's width; one of 1 starts at [`WIDEST`].
    pub width: Learn,
    /// Each neuron's threshold; NIF and LIF.
    pub threshold: bool,
}

/// The width that a gate which learns it may start from at most: no parameter stands for 1.
pub const WIDEST: f64 = 0.98;

impl Learned {
    /// Whether the scan's constants are among them.
    pub(crate) fn of_scan(&self) -> bool {
        self.tau_mem != Learn::No || self.tau_s || self.width != Learn::No
    }

    /// Whether neurons have constants of the scan of their own.
    pub(crate) fn each(&self) -> bool {
        self.tau_mem == Learn::PerNeuron || self.width == Learn::PerNeuron
    }

    /// Refuses constants that a layer does not have.
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
            flag(self.tau_s, "tau_s"),
            of(self.width, "width"),
            flag(self.threshold, "threshold"),
        ];
        let names: Vec<_> = names.into_iter().flatten().collect();
        if names.is_empty() { write!(f, "none") } else { write!(f, "{}", names.join(", ")) }
    }
}

/// The parameters that stand for constants; each `None` unless it is learned.
#[derive(Module, Debug)]
pub struct Constants {
    /// ln τ_mem, `[1]`, or `[N]` where each neuron has its own, τ_mem in ms.
    pub log_tau_mem: Option<Param<Tensor<1>>>,
    /// ln τ_k, `[K]`, τ_k in ms.
    pub log_tau_syn: Option<Param<Tensor<1>>>,
    /// The logit of w, `[1]` or `[N]` likewise.
    pub logit_width: Option<Param<Tensor<1>>>,
    /// ln θ, `[N]`.
    pub log_threshold: Option<Param<Tensor<1>>>,
}

fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

impl Constants {
    /// The plan with the values that these have now. Waits for the device.
    ///
    /// - `each`: N, where neurons have constants of their own.
    pub(crate) fn plan(&self, plan: &ScanPlan, each: Option<usize>) -> ScanPlan {
        let mut plan = plan.clone();
        let taus =
            self.log_tau_mem.as_ref().map(|log| numbers(log.val()).into_iter().map(f64::exp).collect::<Vec<_>>());
        let widths = self.logit_width.as_ref();
        let widths =
            widths.map(|logit| numbers(logit.val()).into_iter().map(|c| 1.0 / (1.0 + (-c).exp())).collect::<Vec<_>>());
        if let Some(taus) = &taus {
            plan.neuron = plan.neuron.with_tau(mean(taus));
        }
        if let Some(widths) = &widths {
            plan.gate = plan.gate.with_width(mean(widths));
        }
        if let Some(log) = &self.log_tau_syn {
            for (synapse, tau) in plan.synapses.iter_mut().zip(numbers(log.val()).into_iter().map(f64::exp)) {
                synapse.decay = (-plan.dt / tau).exp();
            }
        }
        plan.per_neuron = each.map(|n| {
            let of_all = |own: Option<Vec<f64>>, shared: Option<f64>| match own {
                Some(own) if own.len() == n => own,
                _ => shared.map_or(Vec::new(), |shared| vec![shared; n]),
            };
            let tau_mem = of_all(taus, plan.neuron.tau().filter(|_| plan.neuron.learns_tau()));
            Arc::new(PerNeuronConstants { tau_mem, width: of_all(widths, Some(plan.gate.width())) })
        });
        plan
    }

    /// τ_mem, w, α_1 … α_K, `[2 M + K]`; `plan` gives those that are not learned.
    ///
    /// - `each`: M = N, where neurons have constants of their own.
    pub(crate) fn tensor(&self, plan: &ScanPlan, each: Option<usize>, options: &TensorCreationOptions) -> Tensor<1> {
        let fixed = |values: Vec<f64>| {
            let length = values.len();
            Tensor::<1>::from_data(TensorData::new(values, [length]), options.clone())
        };
        let of = each.unwrap_or(1);
        // One that all neurons share gets their parts of its gradient added up.
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
            Some(log) => ((-log.val()).exp() * -plan.dt).exp(),
            None => fixed(plan.synapses.iter().map(|synapse| synapse.decay).collect()),
        };
        Tensor::cat(vec![of_all(tau), of_all(width), decays], 0)
    }

    /// Parameters times 1/(τ_u θ), for their last axis.
    ///
    /// - `unit`: 1/τ_u, if τ_mem is not learned.
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
