//! Learned constants: time constants, gate widths and thresholds.
//!
//! ```text
//! τ_mem = e^a        τ_k = e^{b_k}        w = 1/(1 + e^−c)        θ_j = e^{d_j}
//! τ_w = e^p          ω/2π = e^q           b = r
//! ```
//!
//! The parameters are a, b_k, c, d_j, p, q and r. They are all of about the same size, and no
//! update by an optimizer can make a constant negative, except for b, the rise of the second
//! variable by a spike, which may be negative. Either all neurons share a constant, or each neuron
//! has its own ([`Learn`]). All neurons share τ_k, so that the current of a neuron decays as a
//! whole, regardless of its senders. This keeps a step at O(N · active neurons). The gradients of
//! all but θ_j are part of the scan's adjoint, at O(N) a step. A learned τ_mem is also the time
//! unit of the parameters: the currents of a neuron are divided by the learned τ_mem.
//!
//! Each neuron j has its own θ_j. Scaling the potential of a neuron by its threshold is the same as
//! scaling all its currents. So a NIF or LIF neuron with the threshold θ_j receives the current
//! I_j/θ_j instead, which is exact. The threshold of a QIF neuron is a phase, which is fixed.

use crate::error::ConfigError;
use crate::gate::Gate;
use crate::neuron::Neuron;
use crate::neuron::planar::SecondConstant;
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
#[serde(default)]
pub struct Learned {
    /// The membrane time constant τ_mem; for LIF and QIF neurons, and for neurons of two variables
    /// except Izhikevich neurons.
    pub tau_mem: Learn,
    /// The time constant τ_k of each synapse type.
    pub tau_syn: bool,
    /// The gate's width w. A configured width above [`WIDEST`] starts at [`WIDEST`].
    pub width: Learn,
    /// The threshold θ_j of each neuron; for NIF and LIF neurons.
    pub threshold: bool,
    /// The time constant τ_w of the second variable; for ALIF, AdEx and Izhikevich neurons, whose
    /// τ_w is 1/a.
    pub tau_w: Learn,
    /// The frequency of resonate-and-fire neurons.
    pub frequency: Learn,
    /// b, the rise of the second variable w by a spike, in the unit of w; for neurons of two
    /// variables except those with a refractory period.
    pub jump: Learn,
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
        self.tau_syn || self.of_neurons().into_iter().any(|(_, learn)| learn != Learn::No)
    }

    /// Returns the constants that neurons may share or have each, with their names.
    fn of_neurons(&self) -> [(&'static str, Learn); 5] {
        let Self { tau_mem, tau_syn: _, width, threshold: _, tau_w, frequency, jump } = *self;
        [("tau_mem", tau_mem), ("width", width), ("tau_w", tau_w), ("frequency", frequency), ("jump", jump)]
    }

    /// Returns whether each neuron has its own value of a constant.
    pub(crate) fn each(&self) -> bool {
        self.of_neurons().into_iter().any(|(_, learn)| learn == Learn::PerNeuron)
    }

    /// Returns whether a constant of neurons with two variables is learned.
    pub(crate) fn of_planar(&self, neuron: &Neuron) -> bool {
        let learned = [self.tau_mem, self.tau_w, self.frequency, self.jump];
        neuron.is_planar() && learned.into_iter().any(|learn| learn != Learn::No)
    }

    /// Returns an error if a learned constant does not exist for this neuron or gate.
    pub(crate) fn check(&self, neuron: &Neuron, gate: &Gate) -> Result<(), ConfigError> {
        let refused = |what: &str, why: &str| Err(ConfigError::Mismatch(format!("{what} cannot be learned: {why}")));
        if self.tau_mem != Learn::No && !neuron.learns_tau() {
            return refused(
                "tau_mem",
                &format!(
                    "only LIF, QIF, ALIF, AdEx, refractory LIF and resonate-and-fire neurons have one that can, and this is {neuron}"
                ),
            );
        }
        let second = neuron.second_constant().map(|(name, _)| name);
        if self.tau_w != Learn::No && second != Some(SecondConstant::TauW) {
            return refused("tau_w", &format!("only ALIF, AdEx and Izhikevich neurons have one, and this is {neuron}"));
        }
        if self.frequency != Learn::No && second != Some(SecondConstant::Frequency) {
            return refused("the frequency", &format!("only resonate-and-fire neurons have one, and this is {neuron}"));
        }
        if self.jump != Learn::No && (!neuron.is_planar() || matches!(neuron, Neuron::RefractoryLif(_))) {
            return refused(
                "the jump of w",
                &format!("only ALIF, AdEx, Izhikevich and resonate-and-fire neurons have one, and this is {neuron}"),
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
        // In an order that keeps the names of records from before there were the last three.
        let [tau_mem, width, rest @ ..] = self.of_neurons().map(|(name, learn)| of(learn, name));
        let names = [tau_mem, flag(self.tau_syn, "tau_syn"), width, flag(self.threshold, "threshold")];
        let names: Vec<_> = names.into_iter().chain(rest).flatten().collect();
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
    /// ln τ_w, with τ_w in ms: `[1]`, or `[N]` if each neuron has its own.
    pub log_tau_w: Option<Param<Tensor<1>>>,
    /// ln ω/2π, with ω/2π in Hz: `[1]`, or `[N]` if each neuron has its own.
    pub log_frequency: Option<Param<Tensor<1>>>,
    /// b: `[1]`, or `[N]` if each neuron has its own.
    pub jump: Option<Param<Tensor<1>>>,
}

impl Constants {
    /// Returns the constants as one tensor, `[2 M + K]` or `[4 M + K]`; see
    /// [`constants`](crate::scan::constants). Constants that are not learned come from `plan`.
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
        let mut rows = vec![of_all(tau), of_all(width)];
        if let Some(([_, second], jump)) = plan.neuron.planar_constants().filter(|_| plan.planar_constants) {
            let log_second = self.log_tau_w.as_ref().or(self.log_frequency.as_ref());
            rows.push(of_all(log_second.map_or_else(|| fixed(vec![second]), |log| log.val().exp())));
            rows.push(of_all(self.jump.as_ref().map_or_else(|| fixed(vec![jump]), |jump| jump.val())));
        }
        rows.push(decays);
        Tensor::cat(rows, 0)
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
