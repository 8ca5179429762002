//! What a scan is, but for its tensors.

use super::dynamics::PerNeuronConstants;
use super::finite::NonFiniteGradient;
use crate::error::{ConfigError, positive, positive_at_most};
use crate::gate::Gate;
use crate::neuron::{Neuron, RateCurve};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::sync::Arc;

/// One synapse type, as the scan sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScanSynapse {
    /// α = e^(−dt/τ), the share of the trace that is left after a step.
    pub decay: f64,
    /// c, what one spike adds to the trace.
    pub amplitude: f64,
    /// Which plane of the weights `[M, N, N]` belongs to this type; `None` where it connects no neurons.
    pub weights: Option<usize>,
    /// Whether the trajectory gives this type's trace.
    pub readout: bool,
    /// d, the steps that a current is on its way; 0 where the type connects no neurons.
    pub delay: usize,
}

/// Which program runs the scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Implementation {
    /// The backend's own kernel, where it has one; otherwise [`TensorOps`](Self::TensorOps).
    #[default]
    Fused,
    /// The backend's tensor operations, step by step, with the same explicit adjoint.
    TensorOps,
    /// The backend's tensor operations, step by step, differentiated by Burn: automatic backpropagation through time. It takes more
    /// time and memory, and is there to be compared with.
    Autodiff,
}

/// What a kernel keeps of a run for its adjoint. The gradients of drive and initial
/// state are the same to the last bit, since what is not kept is computed again from what is, by the same program; those of
/// parameters to rounding, since sums over steps end in other places.
///
/// The steps are cut into segments. The adjoint runs each segment again, forwards, with its rows in cache, before it goes back
/// through it. On a GPU a segment is a run of its own, and what is kept of it, where the states are not enough, is every step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Checkpointing {
    /// On a GPU all steps, up to a gigabyte of them. On the CPU the states; and the currents, too, of a run that gives trajectories and whose steps are expected to use many rows of the
    /// weights, which then cost more to send again. Segments of about √T steps, fewer where their rows would outgrow the cache.
    #[default]
    Auto,
    /// The state before each segment, and all currents: no product is computed again. Memory grows as B T N.
    Currents,
    /// Only the state before each segment of about √T steps. Memory grows as B √T N.
    States,
    /// Only the state before every this many steps, at least 1.
    Every(usize),
}

/// How a step treats the recurrent current, which changes while it lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Integrator {
    /// It is held at its value before the step, and a charge arrives at the step's end: first order in dt. The op with its
    /// kernel and its adjoint.
    #[default]
    Flow,
    /// Heun's: the mean of the current before the step and that after a first try of it; a charge, sent in the middle of the step on
    /// average, has decayed for half of it,
    ///
    /// ```text
    /// I*        = x_t + Σ_k W_k sᵏ_t                         ΔQ* from φ(v_t, I*)
    /// I_t       = x_t + Σ_k W_k (sᵏ_t + s*ᵏ_{t+1})/2         s*ᵏ_{t+1} = α_k sᵏ_t + √α_k c_k ΔQ*
    /// sᵏ_{t+1}  = α_k sᵏ_t + √α_k c_k ΔQ_t                   ΔQ_t from φ(v_t, I_t)
    /// ```
    ///
    /// Second order in dt, if the drive of a step is that of its middle and a cost over time is summed by trapezoids. It runs in tensor
    /// operations, differentiated by Burn, so it takes the time and memory of automatic differentiation.
    Heun,
}

/// How errors go back through the network.
///
/// Strongly coupled networks are chaotic, and the exact gradient of a few trials may outweigh that of all others by orders of
/// magnitude. [`Limited`](Adjoint::Limited) keeps each sample's adjoint small inside the scan, where a cut of the whole gradient
/// comes too late. [`MeanField`](Adjoint::MeanField) sends errors back through rates instead of spikes.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub enum Adjoint {
    /// Nothing: the gradient is exact.
    #[default]
    Exact,
    /// Each sample's adjoint is kept small inside the scan. It is for tasks in which a network must learn to leave one state and take the
    /// next, such as several rounds of the delayed exclusive or: there a few samples' exact adjoints are 10 to 1000 times the others', and
    /// a clip of the whole gradient comes too late for the rest of their batch. docs/delayed-xor.md has what it does for that task.
    ///
    /// After each step back, λ_t, q_t and Pᵏ_{t+1} of a sample are multiplied by keep · min(1, L/|λ_t|), L = limit/(B T),
    /// before the parameters' gradients take them. What comes out is no longer the gradient of the cost.
    Limited {
        /// The largest norm of a sample's λ_t over its neurons, in units of 1/(B T): costs are means over batch and time.
        /// Above 0; `None` for no limit.
        limit: Option<f64>,
        /// What is left of the adjoint after each step, in (0, 1]; 1 leaves it alone.
        keep: f64,
    },
    /// The adjoint of the mean-field (rate) model along the spiking network's own trajectory: see
    /// [`mean_field`](crate::scan::mean_field). **It is not the exact gradient.** It suits tasks that are coded by rates and
    /// attractors, such as memories over long delays, and not those where single spikes count. It wants no slope of the gate, so a
    /// network of [`Gate::Threshold`] can be trained with it, too.
    MeanField {
        /// Length of the blocks whose mean activity stands for it, ms; a multiple of dt. Shorter than the synapses' τ, such as 5.
        step_ms: f64,
        /// Softness d of the f-I curve's foot, 1/ms, above 0: how far from its rheobase a neuron still has a slope, such as
        /// 0.005. See [`rate`](crate::neuron::rate).
        softness: f64,
    },
}

impl Adjoint {
    /// Refuses numbers that restrain nothing or everything.
    pub(crate) fn check(&self, dt: f64) -> Result<(), ConfigError> {
        match *self {
            Adjoint::Exact => Ok(()),
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

    /// L and the share that is kept, for a run of these sizes; `None` where the adjoint is exact.
    pub(crate) fn adjoint_limit(&self, batch: usize, steps: usize) -> Option<(f64, f64)> {
        match *self {
            Adjoint::Exact | Adjoint::MeanField { .. } => None,
            Adjoint::Limited { limit, keep } => {
                Some((limit.map_or(f64::INFINITY, |limit| limit / (batch * steps) as f64), keep))
            }
        }
    }
}

/// Everything about a scan but its tensors.
#[derive(Debug, Clone, PartialEq)]
pub struct ScanPlan {
    /// The neuron.
    pub neuron: Neuron,
    /// The gate.
    pub gate: Gate,
    /// Length of a step, ms.
    pub dt: f64,
    /// The synapse types, K of them.
    pub synapses: Vec<ScanSynapse>,
    /// Whether the trajectory gives the membrane potential.
    pub record_v: bool,
    /// Whether the trajectory gives the charge sent in each step.
    pub record_charge: bool,
    /// Whether a run's inputs and its end, and its gradient, are searched for infinite values and NaN whatever the backend; the CPU kernel
    /// always looks at the end and at the gradient.
    pub check_finite: bool,
    /// Whether the CPU kernel panics over a value that became infinite or NaN. A caller that looks at the run's end itself, such as
    /// [`SpikingRnn::try_forward`](crate::SpikingRnn::try_forward), sets it to `false`.
    pub panic_if_not_finite: bool,
    /// What becomes of a gradient that is infinite or NaN, where it is checked: by the CPU kernel, and with `check_finite`.
    pub non_finite_gradient: NonFiniteGradient,
    /// The synapse type whose trace the readout sees; `None` without a readout.
    pub readout: Option<usize>,
    /// What the CPU kernel keeps for the adjoint.
    pub checkpointing: Checkpointing,
    /// How errors go back.
    pub adjoint: Adjoint,
    /// The neuron's f-I curve, if the adjoint is [`Adjoint::MeanField`]; see [`ScanPlan::with_adjoint`].
    pub rates: Option<Arc<RateCurve>>,
    /// Constants that differ from neuron to neuron, N of each; `None` where all neurons share those of `neuron` and `gate`, which
    /// otherwise say no more than the kind.
    pub per_neuron: Option<Arc<PerNeuronConstants>>,
    /// Whether the network's constants may have gradients; then the run takes them as a tensor too.
    pub constants: bool,
    /// Which program runs it.
    pub implementation: Implementation,
}

impl ScanPlan {
    /// The same plan with another adjoint.
    ///
    /// # Errors
    /// [`ConfigError`] if the adjoint is [`Adjoint::MeanField`] and the neuron has no f-I curve, a synapse type has a delay, or
    /// constants are learned.
    pub fn with_adjoint(mut self, adjoint: Adjoint) -> Result<Self, ConfigError> {
        self.rates = match adjoint {
            Adjoint::MeanField { .. } => Some(Arc::new(rates_of(&self)?)),
            _ => None,
        };
        self.adjoint = adjoint;
        Ok(self)
    }

    /// Number of planes in the weights.
    pub fn weight_planes(&self) -> usize {
        self.synapses.iter().filter(|synapse| synapse.weights.is_some()).count()
    }

    /// Rows of a state beside v: the K traces, and the currents on their way.
    pub fn state_rows(&self) -> usize {
        self.synapses.len() + steps_of_delay(&self.synapses)
    }

    /// The rows of a state that hold type k's currents on their way.
    pub fn rows_on_the_way(&self, k: usize) -> Range<usize> {
        rows_on_the_way(&self.synapses, k)
    }

    /// For each synapse type, the plane of its trace in the trajectory; `None` where it is not read.
    pub(crate) fn readout_planes(&self) -> impl Iterator<Item = Option<usize>> + '_ {
        let mut next = 0..;
        self.synapses.iter().map(move |synapse| if synapse.readout { next.next() } else { None })
    }

    /// Length of the constants that have gradients: 2 M + K.
    pub fn constants_len(&self, neurons: usize) -> usize {
        2 * if self.per_neuron.is_some() { neurons } else { 1 } + self.synapses.len()
    }

    /// Number of traces in the trajectory.
    pub fn readout_traces(&self) -> usize {
        self.synapses.iter().filter(|synapse| synapse.readout).count()
    }
}

/// D, the steps of delay of all types.
pub(crate) fn steps_of_delay(synapses: &[ScanSynapse]) -> usize {
    synapses.iter().map(|synapse| synapse.delay).sum()
}

/// The rows of a state that hold type k's currents on their way.
pub(crate) fn rows_on_the_way(synapses: &[ScanSynapse], k: usize) -> Range<usize> {
    let first = synapses.len() + steps_of_delay(&synapses[..k]);
    first..first + synapses[k].delay
}

/// The f-I curve of a plan whose adjoint may be the mean-field one.
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
