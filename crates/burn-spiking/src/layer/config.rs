//! The layer's configuration: what describes a network, and the parameters that it starts with.

use crate::error::{ConfigError, at_least_one, positive, share};
use crate::gate::Gate;
use crate::layer::constants::Learned;
use crate::neuron::Neuron;
use crate::scan::{Adjoint, Checkpointing, Implementation, Integrator, NonFiniteGradient, ScanPlan, ScanSynapse};
use crate::synapse::Synapse;
use crate::wiring::Wiring;
use burn::config::Config;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Sizes of the parameters that a layer starts with, in the layer's dimensionless units.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct InitialWeights {
    /// U ~ N(0, `input`/√C).
    pub input: f64,
    /// W_k ~ N(0, `recurrent`/√(N p)), where p of all connections exist. Of neurons with three senders and more each incoming weight is less
    /// their mean, and scaled to the same spread: where all fire alike, they leave each other alone. Under Dale's law inhibition is
    /// scaled so that it cancels excitation in the mean instead.
    pub recurrent: f64,
    /// I_o, the same for every neuron.
    pub bias: f64,
}

impl InitialWeights {
    /// A start from which every neuron fires at about 20 Hz without input, and input of unit variance moves its spikes:
    /// no neuron is dead, and none is driven by its bias current alone.
    pub fn of(neuron: &Neuron, time_unit: f64) -> Self {
        let input = if *neuron == Neuron::Nif { 0.3 } else { 0.5 };
        // Spikes per τ_u at 20 Hz.
        Self { input, recurrent: 0.1, bias: neuron.steady_current(0.02 * time_unit) }
    }
}

/// Configuration of a [`SpikingRnn`](crate::SpikingRnn).
#[derive(Config, Debug, PartialEq)]
pub struct SpikingRnnConfig {
    /// Number of input channels, C.
    pub d_input: usize,
    /// Number of neurons, N.
    pub d_hidden: usize,
    /// The neuron model. Default: QIF with τ_mem = 25 ms.
    #[config(default = "Neuron::Qif { tau_mem: 25.0 }")]
    pub neuron: Neuron,
    /// The gate. Default: quintic, width 0.5.
    #[config(default = "Gate::Quintic { width: 0.5 }")]
    pub gate: Gate,
    /// The synapse types, K of them. Default: one with τ = 20 ms, recurrent and read.
    #[config(default = "vec![Synapse::new(20.0)]")]
    pub synapses: Vec<Synapse>,
    /// Length of a time step, ms. Default: 1.
    #[config(default = 1.0)]
    pub dt: f64,
    /// τ_u of a NIF layer, ms; the first synapse's τ if not given. A neuron with a τ_mem has that for its τ_u, so it takes none.
    pub time_unit: Option<f64>,
    /// Whether each neuron has a bias current I_o. Default: yes.
    #[config(default = true)]
    pub bias: bool,
    /// Whether neurons may be connected to themselves. Default: no; the diagonals of W_k count as 0.
    #[config(default = false)]
    pub autapses: bool,
    /// Which neurons are connected. Default: all to all.
    #[config(default = "Wiring::Full")]
    pub wiring: Wiring,
    /// Dale's law: this share of the neurons, the first ones, only excites, and the others only inhibit; in [0, 1]. Default: each
    /// neuron may do both.
    pub dale: Option<f64>,
    /// Whether the state that a run starts from, when none is given, is learned: a potential and traces for each neuron. Default:
    /// no, runs start at rest.
    #[config(default = false)]
    pub learned_start: bool,
    /// Which constants are learned; they start from the values that the configuration gives. Default: none.
    #[config(default = "Learned::default()")]
    pub learned: Learned,
    /// How a step treats the recurrent current. Default: [`Integrator::Flow`].
    #[config(default = "Integrator::Flow")]
    pub integrator: Integrator,
    /// Whether inputs and trajectories are `[batch, time, ·]`; `[time, batch, ·]` if not. Default: yes.
    #[config(default = true)]
    pub batch_first: bool,
    /// Whether trajectories give the membrane potential. Default: no.
    #[config(default = false)]
    pub record_v: bool,
    /// Whether trajectories give the charge sent in each step. Default: no.
    #[config(default = false)]
    pub record_charge: bool,
    /// Whether each run and its gradient are searched for infinite values and NaN on every backend, which waits for the device. The CPU
    /// kernel looks anyway, at no cost. Default: no.
    #[config(default = false)]
    pub check_finite: bool,
    /// What a backward pass does when the gradient is infinite or NaN, as a strongly coupled network's may be in single precision. The CPU
    /// kernel finds out, at no cost; other backends check only if `check_finite` is set. Default: [`NonFiniteGradient::Panic`].
    #[config(default = "NonFiniteGradient::Panic")]
    pub non_finite_gradient: NonFiniteGradient,
    /// What is kept of a run for its gradient, on the CPU backends. It changes memory and time, not the gradient. Default:
    /// [`Checkpointing::Auto`].
    #[config(default = "Checkpointing::Auto")]
    pub checkpointing: Checkpointing,
    /// How errors go back through the network. Default: [`Adjoint::Exact`].
    #[config(default = "Adjoint::Exact")]
    pub adjoint: Adjoint,
    /// The parameters to start with; [`InitialWeights::of`] the neuron if not given.
    pub initial: Option<InitialWeights>,
}

impl SpikingRnnConfig {
    /// Refuses a configuration that describes no network.
    ///
    /// # Errors
    /// [`ConfigError`] names the value, its limit and the remedy.
    pub fn check(&self) -> Result<(), ConfigError> {
        at_least_one("d_input", self.d_input, "a layer without input still needs one channel, which may be 0")?;
        at_least_one("d_hidden", self.d_hidden, "give the number of neurons")?;
        at_least_one("number of synapse types", self.synapses.len(), "add Synapse::new(tau)")?;
        positive("dt", self.dt, "give the length of a time step in ms")?;
        self.neuron.check()?;
        self.gate.check()?;
        self.adjoint.check(self.dt)?;
        self.synapses.iter().try_for_each(|synapse| synapse.check(self.dt))?;
        self.wiring.check(self.d_hidden)?;
        self.learned.check(&self.neuron, &self.gate)?;
        if self.integrator == Integrator::Heun && self.adjoint != Adjoint::Exact {
            return Err(ConfigError::Mismatch(
                "Integrator::Heun is differentiated automatically, which knows no limited adjoint and no mean-field adjoint; choose \
                 Integrator::Flow"
                    .into(),
            ));
        }
        if self.integrator == Integrator::Heun
            && (self.check_finite || self.non_finite_gradient != NonFiniteGradient::Panic)
        {
            return Err(ConfigError::Mismatch(
                "Integrator::Heun runs in tensor operations that nothing looks through, so neither check_finite nor \
                 NonFiniteGradient::Nan would do anything; leave them out, or choose Integrator::Flow"
                    .into(),
            ));
        }
        if self.integrator == Integrator::Heun && !self.gate.is_differentiable() {
            return Err(ConfigError::Mismatch(
                "Integrator::Heun would give Gate::Threshold a gradient of 0; choose Integrator::Flow, or a gate of width above 0".into(),
            ));
        }
        if self.integrator == Integrator::Heun && self.synapses.iter().any(|synapse| synapse.delay > 0.0) {
            return Err(ConfigError::Mismatch(
                "Integrator::Heun takes the mean of a current over a step, which a delay of whole steps does not have; choose \
                 Integrator::Flow"
                    .into(),
            ));
        }
        self.plan_with_adjoint()?;
        if let Some(excitatory) = self.dale {
            share("dale, the share of excitatory neurons,", excitatory, "leave it out for neurons that do both")?;
        }
        if let Checkpointing::Every(steps) = self.checkpointing {
            at_least_one("checkpoint", steps, "use Checkpointing::Auto to leave it to the kernel")?;
        }
        if let Some(time_unit) = self.time_unit {
            positive("time_unit", time_unit, "give the time constant of the parameters' units in ms")?;
            if let Some(tau_mem) = self.neuron.tau() {
                return Err(ConfigError::Mismatch(format!(
                    "time_unit is {time_unit} ms, but a {} layer takes its unit from tau_mem = {tau_mem} ms; leave time_unit out",
                    self.neuron
                )));
            }
        }
        Ok(())
    }

    /// A series `[B, T, ·]` from one as the configuration has it, or the other way round.
    pub(crate) fn in_layout(&self, series: Tensor<3>) -> Tensor<3> {
        if self.batch_first { series } else { series.swap_dims(0, 1) }
    }

    /// The time constant τ_u of the parameters' units, ms.
    pub fn time_unit_ms(&self) -> f64 {
        self.neuron.tau().or(self.time_unit).unwrap_or_else(|| self.synapses.first().map_or(1.0, |synapse| synapse.tau))
    }

    /// The plan of a configuration that was checked.
    pub(super) fn plan(&self) -> ScanPlan {
        self.plan_with_adjoint().expect("the configuration was checked")
    }

    fn plan_with_adjoint(&self) -> Result<ScanPlan, ConfigError> {
        self.exact_plan().with_adjoint(self.adjoint)
    }

    fn exact_plan(&self) -> ScanPlan {
        let mut plane = 0..;
        let synapses = self.synapses.iter().map(|synapse| ScanSynapse {
            decay: synapse.decay(self.dt),
            amplitude: 1.0,
            weights: if synapse.recurrent { plane.next() } else { None },
            readout: synapse.readout,
            delay: synapse.delay_steps(self.dt),
        });
        ScanPlan {
            neuron: self.neuron.clone(),
            gate: self.gate,
            dt: self.dt,
            synapses: synapses.collect(),
            record_v: self.record_v,
            record_charge: self.record_charge,
            check_finite: self.check_finite,
            panic_if_not_finite: true,
            non_finite_gradient: self.non_finite_gradient,
            readout: None,
            checkpointing: self.checkpointing,
            adjoint: Adjoint::Exact,
            rates: None,
            per_neuron: None,
            constants: self.learned.of_scan(),
            implementation: Implementation::Fused,
        }
    }
}

impl SpikingRnnConfig {
    /// Name and value of every constant that gives the parameters their meaning.
    pub(super) fn constants(&self) -> [(&'static str, String); 14] {
        let synapses: Vec<_> = self.synapses.iter().map(|synapse| format!("[{synapse}]")).collect();
        [
            ("d_input", self.d_input.to_string()),
            ("d_hidden", self.d_hidden.to_string()),
            ("neuron", self.neuron.to_string()),
            ("gate", self.gate.to_string()),
            ("synapses", synapses.join(" ")),
            ("dt", format!("{} ms", self.dt)),
            ("time_unit", format!("{} ms", self.time_unit_ms())),
            ("bias", self.bias.to_string()),
            ("autapses", self.autapses.to_string()),
            ("wiring", self.wiring.to_string()),
            ("dale", self.dale.map_or("none".into(), |share| share.to_string())),
            ("learned_start", self.learned_start.to_string()),
            ("learned", self.learned.to_string()),
            ("integrator", format!("{:?}", self.integrator)),
        ]
    }
}
