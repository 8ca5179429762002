//! The description of a scan: everything except its tensors.

use super::dynamics::PerNeuronConstants;
use super::finite::NonFiniteGradient;
use super::surrogate::{Surrogate, slopes_without_spike};
use super::synapse::{ScanSynapse, rows_on_the_way, steps_of_delay};
use crate::error::{ConfigError, positive, positive_at_most};
use crate::gate::Gate;
use crate::neuron::planar::CONSTANTS;
use crate::neuron::{Neuron, RateCurve};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::sync::Arc;

/// The program that runs the scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Implementation {
    /// The backend's own kernel if it has one; otherwise [`TensorOps`](Self::TensorOps).
    #[default]
    Fused,
    /// The backend's tensor operations, step by step, with the same explicit adjoint.
    TensorOps,
    /// The backend's tensor operations, step by step, differentiated by Burn: automatic
    /// backpropagation through time. It needs more time and memory and serves for comparison.
    Autodiff,
}

/// The part of a run that a kernel keeps for its adjoint.
///
/// The steps are cut into segments. The adjoint first runs each segment forwards again, with its
/// rows in cache, and then goes backwards through it. On a GPU, each segment is a run of its own,
/// and [`Currents`](Self::Currents) keeps all steps without segments. With [`Adjoint::Limited`], a
/// GPU always keeps all steps.
///
/// In the CPU kernel, the choice does not change the gradients of the drive and of the initial
/// state at all: the same program computes again every value that was not kept. The gradients of
/// the parameters agree up to rounding, because their sums over steps are split at other steps. On
/// a GPU, all gradients agree up to rounding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Checkpointing {
    /// Decides by the size of the run.
    ///
    /// - On a GPU: all steps if they need at most about one gigabyte, otherwise the states.
    /// - On the CPU: the states. The currents, too, if the run records trajectories and its steps
    ///   are expected to use many rows of the weights, because it would then take longer to compute
    ///   the currents again than to store them.
    ///
    /// A segment has about √T steps, on the CPU fewer if its rows would not fit into the cache.
    #[default]
    Auto,
    /// The state before each segment, and all currents. No product is computed again. Memory grows
    /// in proportion to B T N. If [`ScanPlan::constants`] is set, the CPU kernel keeps only the
    /// states, because the gradients of the constants need the current of each synapse type.
    Currents,
    /// Only the state before each segment of about √T steps. Memory grows in proportion to B √T N.
    States,
    /// Only the state before each segment of this many steps, at least 1.
    Every(usize),
}

/// The treatment of the recurrent current, which changes during a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Integrator {
    /// The current keeps its value from before the step, and a charge arrives at the end of the
    /// step. First order in dt. The kernels and the explicit adjoint use this integrator.
    #[default]
    Flow,
    /// Heun's method. The current is the mean of the current before the step and the current after
    /// a first trial of the step. On average, a charge is sent in the middle of the step, so it
    /// decays for half a step:
    ///
    /// ```text
    /// I*        = x_t + Σ_k W_k sᵏ_t                         ΔQ* from φ(v_t, I*)
    /// I_t       = x_t + Σ_k W_k (sᵏ_t + s*ᵏ_{t+1})/2         s*ᵏ_{t+1} = α_k sᵏ_t + √α_k c_k ΔQ*
    /// sᵏ_{t+1}  = α_k sᵏ_t + √α_k c_k ΔQ_t                   ΔQ_t from φ(v_t, I_t)
    /// ```
    ///
    /// Second order in dt, if the drive of a step is the drive at its middle and a cost over time
    /// is summed by the trapezoidal rule. It runs in tensor operations, differentiated by Burn, so
    /// it needs the time and memory of automatic differentiation.
    Heun,
}

/// The method of the backward pass.
///
/// Strongly coupled networks are chaotic, and the exact gradient of a few trials can outweigh that
/// of all others by orders of magnitude. [`Limited`](Adjoint::Limited) keeps each sample's adjoint
/// small inside the scan; clipping the whole gradient afterwards is too late.
/// [`MeanField`](Adjoint::MeanField) sends errors back through rates instead of spikes.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Adjoint {
    /// The exact adjoint. Its result is the gradient of the cost.
    #[default]
    Exact,
    /// An adjoint that is kept small for each sample inside the scan. It is for tasks in which a
    /// network must learn to leave one state and enter the next, such as several rounds of the
    /// delayed exclusive or. In such tasks, the exact adjoints of a few samples are 10 to 1000
    /// times larger than those of the other samples. Clipping the whole gradient is then too late
    /// for the rest of the batch. docs/delayed-xor.md shows the effect on that task.
    ///
    /// After each step of the backward pass, λ_t, q_t and Pᵏ_{t+1} of a sample are multiplied by
    /// keep · min(1, L/|λ_t|), with L = limit/(B T), before they enter the gradients of the drive,
    /// the input weights, the bias current and the recurrent weights. κ_t of neurons with two
    /// variables is multiplied by min(1, L/|λ_t|) alone: w forgets at its own rate. In each step,
    /// the gradients of the network's constants use the values before this multiplication. The
    /// result is no longer the gradient of the cost.
    Limited {
        /// The largest norm of a sample's λ_t over its neurons, in units of 1/(B T), because costs
        /// are means over batch and time. Above 0; `None` for no limit.
        limit: Option<f64>,
        /// The factor on the adjoint after each step, in (0, 1]; 1 leaves the adjoint unchanged.
        keep: f64,
    },
    /// The adjoint of the mean-field (rate) model along the trajectory of the spiking network: see
    /// [`mean_field`](crate::scan::mean_field). **It is not the exact gradient.** It suits tasks
    /// that are coded by rates and attractors, such as memories over long delays, but not tasks in
    /// which single spikes matter. It needs no slope of the gate, so it can also train a network
    /// with [`Gate::Threshold`].
    MeanField {
        /// The length of the blocks over which the activity is averaged, in ms; a multiple of dt.
        /// Choose it shorter than the synapses' τ, such as 5.
        step_ms: f64,
        /// The softness d of the foot of the f-I curve, in 1/ms, above 0, such as 0.005: the
        /// distance from the rheobase at which a neuron still has a slope. See
        /// [`rate`](crate::neuron::rate).
        softness: f64,
    },
    /// A surrogate gradient: the forward pass of the threshold-triggered synapse, and a function of
    /// the distance to the threshold in the place of the derivative of a spike; see
    /// [`surrogate`](crate::scan::surrogate). **It is not the exact gradient.** It is the usual way
    /// to train spiking networks, for comparison. It needs `Gate::Threshold { at: 1.0 }`.
    Surrogate(Surrogate),
}

impl Adjoint {
    /// Refuses invalid numbers.
    pub(crate) fn check(&self, dt: f64) -> Result<(), ConfigError> {
        match *self {
            Adjoint::Exact => Ok(()),
            Adjoint::Surrogate(surrogate) => surrogate.check(),
            Adjoint::Limited { limit, keep } => {
                if let Some(limit) = limit {
                    positive("the adjoint's limit", limit, "use None for no limit")?;
                }
                positive_at_most("what is kept of the adjoint in a step", keep, 1.0, "use 1 to leave the adjoint alone")
            }
            Adjoint::MeanField { step_ms, softness } => {
                positive("the mean-field adjoint's softness", softness, "give it in 1/ms, such as 0.005")?;
                positive("the mean-field adjoint's step_ms", step_ms, "give the length of a block in ms, such as 5")?;
                let steps = step_ms / dt;
                if steps < 0.5 || (steps - steps.round()).abs() > 1e-6 * steps {
                    return Err(ConfigError::Mismatch(format!(
                        "the mean-field adjoint's step_ms is {step_ms} ms, but must be a multiple of dt = {dt} ms; give it whole \
                         steps, such as {} ms",
                        steps.round().max(1.0) * dt
                    )));
                }
                Ok(())
            }
        }
    }

    /// L and `keep` for a run of these sizes; `None` if the adjoint is not [`Adjoint::Limited`].
    pub(crate) fn adjoint_limit(&self, batch: usize, steps: usize) -> Option<(f64, f64)> {
        match *self {
            Adjoint::Exact | Adjoint::MeanField { .. } | Adjoint::Surrogate(_) => None,
            Adjoint::Limited { limit, keep } => {
                Some((limit.map_or(f64::INFINITY, |limit| limit / (batch * steps) as f64), keep))
            }
        }
    }
}

/// The description of a scan: everything except its tensors.
#[derive(Debug, Clone, PartialEq)]
pub struct ScanPlan {
    /// The neuron.
    pub neuron: Neuron,
    /// The gate.
    pub gate: Gate,
    /// The length of a time step, in ms.
    pub dt: f64,
    /// The K synapse types.
    pub synapses: Vec<ScanSynapse>,
    /// Whether the trajectory contains the membrane potential.
    pub record_v: bool,
    /// Whether the trajectory contains the charge sent in each step.
    pub record_charge: bool,
    /// Whether the trajectory contains w, the second variable of neurons with two.
    pub record_w: bool,
    /// Whether every backend searches the inputs, the last state and the gradient of a run for
    /// infinite values and NaN. The CPU kernel always searches the last state and the gradient.
    pub check_finite: bool,
    /// Whether the CPU kernel panics if a value of the forward pass becomes infinite or NaN. A
    /// caller that checks the last state itself, such as
    /// [`SpikingRnn::try_forward`](crate::SpikingRnn::try_forward), sets it to `false`.
    pub panic_if_not_finite: bool,
    /// The response to a gradient that is infinite or NaN. The CPU kernel always checks for it,
    /// other backends if `check_finite` is set.
    pub non_finite_gradient: NonFiniteGradient,
    /// The synapse type whose trace the readout reads; `None` without a readout.
    pub readout: Option<usize>,
    /// The part of a run that the kernel keeps for the adjoint.
    pub checkpointing: Checkpointing,
    /// The method of the backward pass.
    pub adjoint: Adjoint,
    /// The neuron's f-I curve, if the adjoint is [`Adjoint::MeanField`]; see
    /// [`ScanPlan::with_adjoint`].
    pub rates: Option<Arc<RateCurve>>,
    /// Constants that differ from neuron to neuron, N of each. They replace those of `neuron` and
    /// `gate`. `None` if all neurons share the constants of `neuron` and `gate`.
    pub per_neuron: Option<Arc<PerNeuronConstants>>,
    /// Whether the network's constants may have gradients. The run then takes them as a tensor,
    /// whose numbers replace those of the plan.
    pub constants: bool,
    /// Whether the constants of the neurons with two variables are numbers like those of
    /// `constants` and `per_neuron`: τ_mem, the second constant of the model and b, the rise of w
    /// by a spike.
    pub planar_constants: bool,
    /// The program that runs the scan.
    pub implementation: Implementation,
}

impl ScanPlan {
    /// The same plan with another adjoint.
    ///
    /// # Errors
    /// [`ConfigError`] if a number of the adjoint is out of range; if the adjoint is
    /// [`Adjoint::MeanField`] and the neuron has no f-I curve, a synapse type has a delay, or
    /// constants are learned; or if it is [`Adjoint::Surrogate`] and the gate is not a threshold at
    /// 1, the neuron is neither NIF nor LIF, or constants are learned.
    pub fn with_adjoint(mut self, adjoint: Adjoint) -> Result<Self, ConfigError> {
        adjoint.check(self.dt)?;
        self.rates = match adjoint {
            Adjoint::MeanField { .. } => Some(Arc::new(rates_of(&self)?)),
            _ => None,
        };
        self.adjoint = adjoint;
        if self.surrogate().is_some() {
            check_surrogate(&self)?;
        }
        Ok(self)
    }

    /// The same plan with potentials, charges, and w of neurons with two variables in the
    /// trajectory.
    pub(crate) fn recording_all(self) -> Self {
        Self { record_v: true, record_charge: true, record_w: self.neuron.is_planar(), ..self }
    }

    /// The surrogate derivative of spikes, if the plan has one.
    pub fn surrogate(&self) -> Option<Surrogate> {
        match self.adjoint {
            Adjoint::Surrogate(surrogate) => Some(surrogate),
            _ => None,
        }
    }

    /// Whether a run has a gradient, be it exact or not.
    pub(crate) fn has_gradient(&self) -> bool {
        self.gate.is_differentiable() || self.rates.is_some() || self.surrogate().is_some()
    }

    /// The number of weight planes.
    pub fn weight_planes(&self) -> usize {
        self.synapses.iter().filter(|synapse| synapse.plane().is_some()).count()
    }

    /// The number of rows of self-weights.
    pub fn self_weight_rows(&self) -> usize {
        self.synapses.iter().filter(|synapse| synapse.self_row().is_some()).count()
    }

    /// The number of rows of a state, without v: the K traces, the currents in transit, and w of
    /// neurons with two variables.
    pub fn state_rows(&self) -> usize {
        self.synapses.len() + steps_of_delay(&self.synapses) + self.neuron.is_planar() as usize
    }

    /// The last row of a state, which holds w; `None` if neurons have one variable.
    pub fn second_variable_row(&self) -> Option<usize> {
        self.neuron.is_planar().then(|| self.state_rows() - 1)
    }

    /// The rows of a state that hold the currents of type k in transit.
    pub fn rows_on_the_way(&self, k: usize) -> Range<usize> {
        rows_on_the_way(&self.synapses, k)
    }

    /// For each synapse type, the plane of its trace in the trajectory; `None` if the trace is not
    /// recorded.
    pub(crate) fn readout_planes(&self) -> impl Iterator<Item = Option<usize>> + '_ {
        let mut next = 0..;
        self.synapses.iter().map(move |synapse| if synapse.readout { next.next() } else { None })
    }

    /// The number of constants that neurons may have each: τ_mem and w, and, with
    /// [`planar_constants`](Self::planar_constants), the second constant and b.
    pub fn neuron_constants(&self) -> usize {
        if self.planar_constants { 2 + CONSTANTS } else { 2 }
    }

    /// The length of the tensor of constants: 2 M + K, or 4 M + K with
    /// [`planar_constants`](Self::planar_constants). M = 1, or M = N if neurons have their own
    /// constants.
    pub fn constants_len(&self, neurons: usize) -> usize {
        let each = if self.per_neuron.is_some() { neurons } else { 1 };
        self.neuron_constants() * each + self.synapses.len()
    }

    /// The number of traces in the trajectory.
    pub fn readout_traces(&self) -> usize {
        self.synapses.iter().filter(|synapse| synapse.readout).count()
    }

    /// The number R of planes of recorded rows: the traces, and w as the last plane if it is
    /// recorded.
    pub fn recorded_planes(&self) -> usize {
        self.readout_traces() + self.record_w as usize
    }

    /// The plane of w among the recorded rows; `None` if w is not recorded.
    pub(crate) fn second_variable_plane(&self) -> Option<usize> {
        self.record_w.then(|| self.readout_traces())
    }
}

/// The f-I curve for [`Adjoint::MeanField`], or the reason why this plan cannot have that adjoint.
fn rates_of(plan: &ScanPlan) -> Result<RateCurve, ConfigError> {
    let refused = |why: String| Err(ConfigError::Mismatch(format!("Adjoint::MeanField {why}")));
    if plan.synapses.iter().any(|synapse| synapse.delay > 0) {
        return refused("has no synaptic delays; take them away, or choose Adjoint::Exact".into());
    }
    if plan.constants {
        return refused(
            "gives learned time constants and widths no gradient; fix them, or choose Adjoint::Exact".into(),
        );
    }
    match plan.neuron.rate_curve() {
        Some(curve) => Ok(curve),
        None => refused(format!(
            "goes along the f-I curve of the neuron, but \"{}\" has none; give it one by `NeuronModel::rate_curve`, such as \
             RateCurve::measured, or choose Adjoint::Exact",
            plan.neuron
        )),
    }
}

/// Refuses a plan for which there is no [`surrogate`](super::surrogate) gradient.
pub(super) fn check_surrogate(plan: &ScanPlan) -> Result<(), ConfigError> {
    let refused = |why: String| Err(ConfigError::Mismatch(format!("Adjoint::Surrogate {why}")));
    if plan.gate != (Gate::Threshold { at: 1.0 }) {
        return refused(format!(
            "runs the threshold-triggered synapse in the forward pass, but the gate is \"{}\"; choose \
             Gate::Threshold {{ at: 1.0 }}, or Adjoint::Exact",
            plan.gate
        ));
    }
    if slopes_without_spike(&plan.neuron, plan.dt).is_none() {
        return refused(format!(
            "serves NIF and LIF neurons, but the neuron is \"{}\"; choose Neuron::Lif, or Adjoint::Exact",
            plan.neuron
        ));
    }
    if plan.constants || plan.per_neuron.is_some() {
        return refused("gives learned time constants no gradient; fix them, or choose Adjoint::Exact".into());
    }
    Ok(())
}
