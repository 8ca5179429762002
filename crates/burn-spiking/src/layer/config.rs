//! The configuration of a layer: the description of the network, and the sizes of its initial
//! parameters.

use crate::error::{ConfigError, at_least_one, positive, share};
use crate::gate::Gate;
use crate::layer::constants::Learned;
use crate::neuron::Neuron;
use crate::scan::{
    Adjoint, Checkpointing, Implementation, Integrator, NonFiniteGradient, ScanConnections, ScanPlan, ScanSynapse,
};
use crate::synapse::{Connections, Synapse};
use crate::wiring::Wiring;
use burn::config::Config;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Sizes of a layer's initial parameters, in the layer's dimensionless units.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct InitialWeights {
    /// Input weights: U ~ N(0, `input`/√C), with the standard deviation as the second number.
    pub input: f64,
    /// Recurrent weights: W_k ~ N(0, `recurrent`/√(N p)), where p is the fraction of connections
    /// that exist. If a neuron has three or more senders, the mean of its incoming weights is
    /// subtracted from them, and they are scaled back to the same spread. So the effects of senders
    /// that all fire alike cancel. Under Dale's law, the inhibitory weights are scaled instead, so
    /// that inhibition cancels excitation on average.
    pub recurrent: f64,
    /// The bias current I_o, the same for every neuron.
    pub bias: f64,
}

impl InitialWeights {
    /// Returns sizes with which every neuron fires at about 20 Hz without input, and an input of
    /// unit variance shifts its spikes. So no neuron is silent, and no neuron is driven by its bias
    /// current alone. `time_unit` is τ_u, in ms.
    pub fn of(neuron: &Neuron, time_unit: f64) -> Self {
        let input = if *neuron == Neuron::Nif { 0.3 } else { 0.5 };
        // 20 Hz is 0.02 spikes per ms.
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
    /// The K synapse types. Default: one type with τ = 20 ms, with recurrent weights, and with its
    /// trace in the trajectory.
    #[config(default = "vec![Synapse::new(20.0)]")]
    pub synapses: Vec<Synapse>,
    /// Length of a time step, in ms. Default: 1.
    #[config(default = 1.0)]
    pub dt: f64,
    /// The time constant τ_in of the input synapses, in ms. The input of a step is then a charge
    /// for each channel, such as a count of spikes, and the synapses filter it: a charge of 1 adds
    /// 1 to the trace of its channel, which decays with τ_in. Default: none, the input is a
    /// current.
    pub input_tau: Option<f64>,
    /// The time unit τ_u of a layer whose neurons have no τ_mem (NIF), in ms. Default: τ of the
    /// first synapse type. For neurons with a τ_mem, τ_u is τ_mem, and this must be `None`.
    pub time_unit: Option<f64>,
    /// Whether each neuron has a bias current I_o. Default: yes.
    #[config(default = true)]
    pub bias: bool,
    /// Whether neurons may be connected to themselves. Default: no, so the diagonals of W_k count
    /// as 0.
    #[config(default = false)]
    pub autapses: bool,
    /// Which neurons are connected. Default: all to all.
    #[config(default = "Wiring::Full")]
    pub wiring: Wiring,
    /// Dale's law: the share of excitatory neurons, in [0, 1]. These are the first neurons; the
    /// others are inhibitory. Default: no such law, so each neuron may both excite and inhibit.
    pub dale: Option<f64>,
    /// Whether the layer learns the initial state of runs that are given no state: a membrane
    /// potential and traces for each neuron. Default: no, such runs start at rest.
    #[config(default = false)]
    pub learned_start: bool,
    /// The constants that are learned. They start from the configured values. Default: none.
    #[config(default = "Learned::default()")]
    pub learned: Learned,
    /// How a step treats the recurrent current. Default: [`Integrator::Flow`].
    #[config(default = "Integrator::Flow")]
    pub integrator: Integrator,
    /// Whether inputs and trajectories are `[batch, time, ·]`. If not, they are `[time, batch, ·]`.
    /// Default: yes.
    #[config(default = true)]
    pub batch_first: bool,
    /// Whether trajectories contain the membrane potential, and w of neurons with two variables.
    /// Default: no.
    #[config(default = false)]
    pub record_v: bool,
    /// Whether trajectories contain the charge sent in each step. Default: no.
    #[config(default = false)]
    pub record_charge: bool,
    /// Whether each run and its gradient are checked for infinite values and NaN on every backend.
    /// The check waits for the device. The CPU kernel always checks, at no cost. Default: no.
    #[config(default = false)]
    pub check_finite: bool,
    /// How a backward pass reacts to a gradient that is infinite or NaN, which may happen in a
    /// strongly coupled network in single precision. The CPU kernel always checks for this, at no
    /// cost. Other backends check only if `check_finite` is set. Default:
    /// [`NonFiniteGradient::Panic`].
    #[config(default = "NonFiniteGradient::Panic")]
    pub non_finite_gradient: NonFiniteGradient,
    /// The values of a run that the CPU and GPU kernels keep for its gradient. The choice changes
    /// memory and time, not the gradient. Default: [`Checkpointing::Auto`].
    #[config(default = "Checkpointing::Auto")]
    pub checkpointing: Checkpointing,
    /// How the backward pass sends errors through the network. Default: [`Adjoint::Exact`].
    #[config(default = "Adjoint::Exact")]
    pub adjoint: Adjoint,
    /// The sizes of the initial parameters. Default: [`InitialWeights::of`] the neuron.
    pub initial: Option<InitialWeights>,
}

impl SpikingRnnConfig {
    /// Checks that the configuration describes a network.
    ///
    /// # Errors
    /// A [`ConfigError`] that names the value, its limit and the remedy.
    pub fn check(&self) -> Result<(), ConfigError> {
        at_least_one("d_input", self.d_input, "a layer without input still needs one channel, which may be 0")?;
        at_least_one("d_hidden", self.d_hidden, "give the number of neurons")?;
        at_least_one("number of synapse types", self.synapses.len(), "add Synapse::new(tau)")?;
        positive("dt", self.dt, "give the length of a time step in ms")?;
        if let Some(tau) = self.input_tau {
            positive("input_tau", tau, "give the time constant of the input synapses in ms, or leave it out")?;
        }
        self.neuron.check()?;
        self.neuron.check_step(self.dt)?;
        self.gate.check()?;
        self.adjoint.check(self.dt)?;
        self.synapses.iter().try_for_each(|synapse| synapse.check(self.dt))?;
        self.wiring.check(self.d_hidden)?;
        self.learned.check(&self.neuron, &self.gate)?;
        if self.integrator == Integrator::Heun && self.adjoint != Adjoint::Exact {
            return Err(ConfigError::Mismatch(
                "Integrator::Heun is differentiated automatically, which knows no limited adjoint, no mean-field adjoint and no surrogate; choose \
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
        if self.integrator == Integrator::Heun
            && self.synapses.iter().any(|synapse| synapse.delay_steps(self.dt) > 0 || synapse.lags(self.dt) > 1)
        {
            return Err(ConfigError::Mismatch(
                "Integrator::Heun takes the mean of a current over a step, which a delay of whole steps does not have; choose \
                 Integrator::Flow"
                    .into(),
            ));
        }
        if self.integrator == Integrator::Heun && self.neuron.is_planar() {
            return Err(ConfigError::Mismatch(format!(
                "Integrator::Heun runs neurons of one variable, but {} has two; choose Integrator::Flow",
                self.neuron
            )));
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
                    "time_unit is {time_unit} ms, but its neurons ({}) give the unit, tau_mem = {tau_mem} ms; leave time_unit out",
                    self.neuron
                )));
            }
        }
        Ok(())
    }

    /// Converts a series from the configured layout to `[B, T, ·]`, or back.
    pub(crate) fn in_layout(&self, series: Tensor<3>) -> Tensor<3> {
        if self.batch_first { series } else { series.swap_dims(0, 1) }
    }

    /// Returns the factor by which the traces of the input decay in a step; 0 without input
    /// synapses.
    pub(crate) fn input_decay(&self) -> f64 {
        self.input_tau.map_or(0.0, |tau| (-self.dt / tau).exp())
    }

    /// Returns τ_u, the time unit of the layer's parameters, in ms.
    pub fn time_unit_ms(&self) -> f64 {
        self.neuron.tau().or(self.time_unit).unwrap_or_else(|| self.synapses.first().map_or(1.0, |synapse| synapse.tau))
    }

    /// Returns the scan's plan for a configuration that was checked.
    pub(super) fn plan(&self) -> ScanPlan {
        self.plan_with_adjoint().expect("the configuration was checked")
    }

    fn plan_with_adjoint(&self) -> Result<ScanPlan, ConfigError> {
        self.exact_plan().with_adjoint(self.adjoint)
    }

    /// Returns the synapse types of the scan: the index of the layer's type, and the lag. Each lag
    /// of learned delays is a type of the scan.
    pub(super) fn scan_types(&self) -> impl Iterator<Item = (usize, usize)> {
        let lags = self.synapses.iter().map(|synapse| synapse.lags(self.dt)).enumerate();
        lags.flat_map(|(k, lags)| (0..lags).map(move |lag| (k, lag)))
    }

    fn exact_plan(&self) -> ScanPlan {
        let (mut plane, mut self_row) = (0.., 0..);
        let synapses = self.scan_types().map(|(k, lag)| {
            let synapse = &self.synapses[k];
            ScanSynapse {
                decay: synapse.decay(self.dt),
                amplitude: 1.0,
                connections: match synapse.connections {
                    Connections::None => ScanConnections::None,
                    Connections::Recurrent => ScanConnections::Plane(plane.next().unwrap_or_default()),
                    Connections::SelfOnly { .. } => ScanConnections::SelfRow(self_row.next().unwrap_or_default()),
                },
                readout: synapse.readout && lag == 0,
                delay: synapse.delay_steps(self.dt) + lag,
            }
        });
        ScanPlan {
            neuron: self.neuron.clone(),
            gate: self.gate,
            dt: self.dt,
            synapses: synapses.collect(),
            record_v: self.record_v,
            record_charge: self.record_charge,
            record_w: self.record_v && self.neuron.is_planar(),
            check_finite: self.check_finite,
            panic_if_not_finite: true,
            non_finite_gradient: self.non_finite_gradient,
            readout: None,
            checkpointing: self.checkpointing,
            adjoint: Adjoint::Exact,
            rates: None,
            per_neuron: None,
            constants: self.learned.of_scan(),
            planar_constants: self.learned.of_planar(&self.neuron),
            implementation: Implementation::Fused,
        }
    }
}

impl SpikingRnnConfig {
    /// Returns the name and value of every constant on which the meaning of the parameters depends.
    pub(super) fn constants(&self) -> Vec<(&'static str, String)> {
        let synapses: Vec<_> = self.synapses.iter().map(|synapse| format!("[{synapse}]")).collect();
        let mut constants = vec![
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
        ];
        // Only layers with input synapses name their constant, so that records without them keep
        // their lines.
        constants.extend(self.input_tau.map(|tau| ("input_tau", format!("{tau} ms"))));
        constants
    }
}
