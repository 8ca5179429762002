//! Constants that are learned: time constants, the gate's width, thresholds.
//!
//! ```text
//! τ_v = e^a        τ_k = e^{b_k}        w = 1/(1 + e^−c)        θ_j = e^{d_j}
//! ```
//!
//! a, b, c and d are the parameters: of one natural size, and nothing that an optimizer does to them makes a constant negative. τ_v, τ_k
//! and w are shared by all neurons; their gradients are part of the scan's adjoint, at O(N) a step. With τ_v its unit changes too:
//! the currents are divided by the τ_v that is learned.
//!
//! θ_j is each neuron's own. Scaling a neuron's potential by its threshold is scaling all its currents, so NIF and LIF neurons have
//! I_j/θ_j for the threshold θ_j, exactly. The threshold of a QIF neuron is a phase, and cannot be moved.

use crate::error::ConfigError;
use crate::gate::Gate;
use crate::neuron::Neuron;
use crate::rnn::SpikingRnnConfig;
use crate::scan::ScanPlan;
use burn::module::{Module, Param};
use burn::tensor::activation::sigmoid;
use burn::tensor::{Tensor, TensorCreationOptions, TensorData};
use serde::{Deserialize, Serialize};

/// Which constants of a layer are learned. None, unless asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Learned {
    /// τ_v of all neurons together; LIF and QIF.
    pub tau_v: bool,
    /// τ_k of each synapse type.
    pub tau_s: bool,
    /// The gate's width; one of 1 starts at [`WIDEST`].
    pub width: bool,
    /// Each neuron's threshold; NIF and LIF.
    pub threshold: bool,
}

/// The width that a gate which learns it may start from at most: no parameter stands for 1.
pub const WIDEST: f64 = 0.98;

impl Learned {
    /// Whether the scan's constants are among them.
    pub(crate) fn of_scan(&self) -> bool {
        self.tau_v || self.tau_s || self.width
    }

    /// Refuses constants that a layer does not have.
    pub(crate) fn check(&self, neuron: &Neuron, gate: &Gate) -> Result<(), ConfigError> {
        let refused = |what: &str, why: &str| Err(ConfigError::Mismatch(format!("{what} cannot be learned: {why}")));
        if self.tau_v && !neuron.learns_tau() {
            return refused(
                "tau_v",
                &format!("only LIF and QIF neurons have an exact flow with one, and this is {neuron}"),
            );
        }
        if self.threshold && !matches!(neuron, Neuron::Nif | Neuron::Lif { .. }) {
            return refused(
                "the threshold",
                &format!("only that of NIF and LIF neurons can be moved, and this is {neuron}"),
            );
        }
        if self.width && !gate.is_differentiable() {
            return refused("the gate's width", "Gate::Threshold has none; choose a gate of width above 0");
        }
        Ok(())
    }
}

impl std::fmt::Display for Learned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names =
            [(self.tau_v, "tau_v"), (self.tau_s, "tau_s"), (self.width, "width"), (self.threshold, "threshold")];
        let names: Vec<_> = names.into_iter().filter_map(|(learned, name)| learned.then_some(name)).collect();
        if names.is_empty() { write!(f, "none") } else { write!(f, "{}", names.join(", ")) }
    }
}

/// The parameters that stand for constants; each `None` unless it is learned.
#[derive(Module, Debug)]
pub struct Constants {
    /// ln τ_v, `[1]`, τ_v in ms.
    pub log_tau_v: Option<Param<Tensor<1>>>,
    /// ln τ_k, `[K]`, τ_k in ms.
    pub log_tau_s: Option<Param<Tensor<1>>>,
    /// The logit of w, `[1]`.
    pub logit_width: Option<Param<Tensor<1>>>,
    /// ln θ, `[N]`.
    pub log_threshold: Option<Param<Tensor<1>>>,
}

fn first(tensor: Tensor<1>) -> f64 {
    tensor.into_data().iter::<f64>().next().expect("one number")
}

impl Constants {
    /// Those that a configuration asks for, at its own values.
    pub(crate) fn new(config: &SpikingRnnConfig, options: &TensorCreationOptions) -> Self {
        let param = |learned: bool, values: Vec<f64>| {
            let length = values.len();
            learned.then(|| Param::from_tensor(Tensor::from_data(TensorData::new(values, [length]), options.clone())))
        };
        let learned = config.learned;
        let width = config.gate.width().min(WIDEST);
        Self {
            log_tau_v: param(learned.tau_v, vec![config.membrane_tau().ln()]),
            log_tau_s: param(learned.tau_s, config.synapses.iter().map(|synapse| synapse.tau.ln()).collect()),
            logit_width: param(learned.width, vec![(width / (1.0 - width)).ln()]),
            log_threshold: param(learned.threshold, vec![0.0; config.n_neurons]),
        }
    }

    /// The plan with the values that these have now. Waits for the device.
    pub(crate) fn plan(&self, plan: &ScanPlan) -> ScanPlan {
        let mut plan = plan.clone();
        if let Some(log) = &self.log_tau_v {
            plan.neuron = plan.neuron.with_tau(first(log.val()).exp());
        }
        if let Some(logit) = &self.logit_width {
            plan.gate = plan.gate.with_width(1.0 / (1.0 + (-first(logit.val())).exp()));
        }
        if let Some(log) = &self.log_tau_s {
            let taus: Vec<f64> = log.val().into_data().iter::<f64>().map(f64::exp).collect();
            for (synapse, tau) in plan.synapses.iter_mut().zip(taus) {
                synapse.decay = (-plan.dt / tau).exp();
            }
        }
        plan
    }

    /// τ_v, w, α_1 … α_K, `[2 + K]`; `plan` gives those that are not learned.
    pub(crate) fn tensor(&self, plan: &ScanPlan, options: &TensorCreationOptions) -> Tensor<1> {
        let fixed = |values: Vec<f64>| {
            let length = values.len();
            Tensor::<1>::from_data(TensorData::new(values, [length]), options.clone())
        };
        let tau = match &self.log_tau_v {
            Some(log) => log.val().exp(),
            None => fixed(vec![plan.neuron.tau().unwrap_or(1.0)]),
        };
        let width = match &self.logit_width {
            Some(logit) => sigmoid(logit.val()),
            None => fixed(vec![plan.gate.width()]),
        };
        let decays = match &self.log_tau_s {
            Some(log) => ((-log.val()).exp() * -plan.dt).exp(),
            None => fixed(plan.synapses.iter().map(|synapse| synapse.decay).collect()),
        };
        Tensor::cat(vec![tau, width, decays], 0)
    }

    /// Parameters times 1/(τ_m θ), for their last axis.
    ///
    /// - `unit`: 1/τ_m, if τ_v is not learned.
    pub(crate) fn scaled<const D: usize>(&self, parameters: Tensor<D>, unit: f64) -> Tensor<D> {
        let along = |factor: Tensor<1>| {
            let mut shape = [1; D];
            shape[D - 1] = factor.dims()[0];
            factor.reshape(shape)
        };
        let scaled = match &self.log_tau_v {
            Some(log) => parameters * along((-log.val()).exp()),
            None => parameters * unit,
        };
        match &self.log_threshold {
            Some(log) => scaled * along((-log.val()).exp()),
            None => scaled,
        }
    }
}
