//! The recipes of `classify`: known good values for each task.

use super::{Options, Task, TaskName};
use crate::classifier::Classifier;
use crate::gradient::GradientOptions;
use crate::training::to_a_fiftieth;
use burn::lr_scheduler::module_lr_scheduler::{ModuleLrScheduler, ModuleLrSchedulerConfig};
use burn::module::{Initializer, ParamGroup};
use burn::nn::LinearConfig;
use burn::optim::{AdamWConfig, ModuleOptimizer};
use burn::tensor::{Device, Distribution, Tensor};
use burn_spiking::neuron::Alif;
use burn_spiking::{
    ConfigError, GradientScale, InitialWeights, Neuron, NonFiniteGradient, SpikingNetwork, SpikingRnnConfig, Synapse,
};
use burn_spiking_tasks::InputFilter;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A neuron model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NeuronName {
    /// Leaky integrate-and-fire.
    Lif,
    /// Leaky with a threshold that adapts.
    Alif,
    /// Quadratic integrate-and-fire.
    Qif,
}

/// How a network is trained. Costs are for the trace ŝ, learning rates in the layer's units.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// The neuron model.
    pub neuron: NeuronName,
    /// Number of neurons.
    pub neurons: usize,
    /// Whether the neurons are connected to each other.
    pub recurrent: bool,
    /// Width of the gate.
    pub width: f64,
    /// How the network gets its gradient.
    pub gradient: GradientOptions,
    /// Length of a time step, ms.
    pub dt: f64,
    /// Time constant of the filter of input spikes, ms.
    pub input_tau: Option<f64>,
    /// Whether the layer filters them. This is faster for many units, most of which are silent in a
    /// step.
    pub filter_in_layer: bool,
    /// Time constant of the neurons, ms.
    pub tau_mem: f64,
    /// Time constant of the threshold of adapting neurons, ms, and its rise by a spike.
    pub adaptation: [f64; 2],
    /// Time constant of the synapses, ms.
    pub tau: f64,
    /// Standard deviation of U, times √C.
    pub input: f64,
    /// The mean of the initial bias currents.
    pub bias: f64,
    /// The standard deviation of the initial bias currents. Neurons that fire without input then
    /// do not fire together.
    pub bias_spread: f64,
    /// Standard deviation of the readout's weights.
    pub readout: f64,
    /// Learning rate.
    pub rate: f64,
    /// Factors on the learning rate, for U, W, I_o and the readout.
    pub rates: [f64; 4],
    /// How gradients are scaled.
    pub scale: GradientScale,
    /// Weight of the cost of activity.
    pub activity: f64,
    /// Standard deviation of the moves of input spikes in training, ms.
    pub jitter: f64,
    /// Weight decay of the optimizer.
    pub decay: f32,
    /// Decay of the running mean of the parameters.
    pub average: f64,
    /// Number of samples in a batch.
    pub batch: usize,
    /// Number of iterations in an epoch, for tasks whose samples are drawn afresh in each epoch.
    pub iterations: usize,
    /// Number of epochs.
    pub epochs: usize,
}

impl Recipe {
    /// Neurons that are not connected to each other.
    fn feed_forward() -> Self {
        Self {
            neuron: NeuronName::Lif,
            neurons: 120,
            recurrent: false,
            width: 1.0,
            gradient: GradientOptions::default(),
            dt: 1.0,
            input_tau: Some(5.0),
            filter_in_layer: false,
            tau_mem: 20.0,
            adaptation: [300.0, 0.3],
            tau: 10.0,
            input: 4.0,
            bias: 0.0,
            bias_spread: 0.0,
            readout: 0.05,
            rate: 0.01,
            rates: [1.0, 0.1, 1.0, 1.0],
            scale: GradientScale::MedianClip { multiple: 1.5, window: 50 },
            activity: 0.0,
            jitter: 0.0,
            decay: 0.0,
            average: 0.99,
            batch: 100,
            iterations: 50,
            epochs: 60,
        }
    }

    /// Returns the recipe for a task.
    fn usual(task: TaskName) -> Self {
        let feed_forward = Self::feed_forward();
        match task {
            TaskName::YinYang => Self { neuron: NeuronName::Qif, input: 6.0, rate: 0.02, ..feed_forward },
            TaskName::Randman => Self {
                neurons: 256,
                dt: 2.0,
                input_tau: Some(10.0),
                tau: 20.0,
                input: 40.0,
                rate: 0.05,
                epochs: 12,
                ..feed_forward
            },
            TaskName::Digits => Self {
                neuron: NeuronName::Qif,
                neurons: 300,
                width: 0.2,
                input: 5.0,
                jitter: 3.0,
                decay: 0.6,
                epochs: 120,
                ..feed_forward
            },
            // The memory is in the thresholds, so the adjoint of the potentials may forget.
            TaskName::Evidence => Self {
                neurons: 100,
                recurrent: false,
                gradient: GradientOptions { keep: Some(0.8), ..GradientOptions::default() },
                dt: 5.0,
                input_tau: Some(10.0),
                adaptation: [5000.0, 0.03],
                input: 10.0,
                batch: 100,
                epochs: 6,
                ..Self::memory()
            },
            TaskName::GrazXor => Self::memory(),
            TaskName::Shd | TaskName::Ssc => Self { dt: 5.0, ..Self::recorded() },
            TaskName::NMnist => Self { recurrent: false, dt: 5.0, ..Self::recorded() },
            TaskName::DvsGesture => Self { dt: 10.0, batch: 16, ..Self::recorded() },
            TaskName::Table => Self { dt: 2.0, ..Self::recorded() },
        }
    }

    /// Recorded spikes of many units.
    fn recorded() -> Self {
        Self {
            neurons: 256,
            recurrent: true,
            input_tau: Some(10.0),
            filter_in_layer: true,
            tau: 20.0,
            tau_mem: 20.0,
            rate: 0.01,
            jitter: 2.0,
            batch: 64,
            epochs: 30,
            ..Self::feed_forward()
        }
    }

    /// A memory in adapting thresholds.
    fn memory() -> Self {
        Self {
            neuron: NeuronName::Alif,
            neurons: 80,
            recurrent: true,
            input_tau: None,
            tau: 20.0,
            input: 4.0 * 2.0_f64.sqrt(),
            bias: 1.5,
            bias_spread: 0.3,
            readout: 0.025,
            rate: 0.01,
            rates: [1.0, 0.05, 0.1, 1.0],
            activity: 0.001,
            average: 0.98,
            batch: 48,
            epochs: 10,
            ..Self::feed_forward()
        }
    }

    /// Returns the recipe that the options select.
    pub fn of(options: &Options) -> Self {
        let usual = Self::usual(options.task);
        Self {
            // The surrogates serve LIF neurons.
            neuron: options.neuron.unwrap_or(match options.gradient.surrogate {
                Some(_) if usual.neuron == NeuronName::Qif => NeuronName::Lif,
                _ => usual.neuron,
            }),
            gradient: if options.gradient == GradientOptions::default() { usual.gradient } else { options.gradient },
            neurons: options.neurons.unwrap_or(usual.neurons),
            recurrent: options.recurrent.unwrap_or(usual.recurrent),
            width: options.width.unwrap_or(usual.width),
            dt: options.dt.unwrap_or(usual.dt),
            tau_mem: options.tau_mem.unwrap_or(usual.tau_mem),
            adaptation: [options.tau_adapt.unwrap_or(usual.adaptation[0]), options.rise.unwrap_or(usual.adaptation[1])],
            tau: options.tau.unwrap_or(usual.tau),
            input_tau: options.input_tau.or(usual.input_tau),
            input: options.input.unwrap_or(usual.input),
            bias: options.bias.unwrap_or(usual.bias),
            jitter: options.jitter.unwrap_or(usual.jitter),
            decay: options.decay.unwrap_or(usual.decay),
            rate: options.rate.unwrap_or(usual.rate),
            batch: options.batch.unwrap_or(usual.batch),
            epochs: options.epochs.unwrap_or(usual.epochs),
            iterations: options.iterations.unwrap_or(usual.iterations),
            ..usual
        }
    }

    fn neuron(&self) -> Neuron {
        let (tau_mem, [tau_w, rise]) = (self.tau_mem, self.adaptation);
        match self.neuron {
            NeuronName::Lif => Neuron::Lif { tau_mem },
            NeuronName::Alif => Neuron::Alif(Alif::new(tau_mem, tau_w, rise)),
            NeuronName::Qif => Neuron::Qif { tau_mem },
        }
    }

    /// What an input spike gives to the input of the layer.
    pub fn filter(&self) -> InputFilter {
        match self.input_tau {
            None => InputFilter::Counts,
            Some(tau) if self.filter_in_layer => InputFilter::Charges { tau },
            Some(tau) => InputFilter::Filtered { tau },
        }
    }

    /// Configures the spiking layer.
    pub fn layer(&self, units: usize) -> SpikingRnnConfig {
        let synapse = if self.recurrent { Synapse::new(self.tau) } else { Synapse::readout_only(self.tau) };
        let (gate, adjoint) = self.gradient.gate_and_adjoint(self.width);
        SpikingRnnConfig::new(units, self.neurons)
            .with_neuron(self.neuron())
            .with_gate(gate)
            .with_adjoint(adjoint)
            .with_synapses(vec![synapse])
            .with_dt(self.dt)
            .with_input_tau(self.input_tau.filter(|_| self.filter_in_layer))
            .with_non_finite_gradient(NonFiniteGradient::Nan)
            // The recurrent weights begin at 0, so that the network is not chaotic.
            .with_initial(Some(InitialWeights { input: self.input, recurrent: 0.0, bias: self.bias }))
    }

    /// Builds the network. Its parameters are drawn from the random state of the device.
    ///
    /// # Errors
    /// [`ConfigError`] if a number of the recipe is invalid.
    pub fn classifier(&self, task: &Task, device: &Device) -> Result<Classifier, ConfigError> {
        let mut layer = self.layer(task.binning(self).units).init(device)?;
        let spread = Distribution::Normal(0.0, self.bias_spread);
        layer.bias =
            layer.bias.map(|bias| bias.map(|bias| bias.clone() + Tensor::random(bias.shape(), spread, device)));
        let readout = LinearConfig::new(self.neurons, task.classes.len())
            .with_initializer(Initializer::Normal { mean: 0.0, std: self.readout })
            .init(device);
        Ok(Classifier { network: SpikingNetwork::new(layer, readout)?, activity: self.activity })
    }

    /// Returns the learning rates of all parameters. They fall along a cosine to a fiftieth.
    ///
    /// # Errors
    /// If Burn rejects the rates.
    pub fn schedule(&self, iterations: usize) -> Result<ModuleLrScheduler, String> {
        let course = |factor: f64| to_a_fiftieth(self.rate * factor, iterations);
        let [input, recurrent, bias, readout] = self.rates;
        ModuleLrSchedulerConfig::new(course(input).into())
            .with_group(ParamGroup::from_predicate("layer.bias"), course(bias))
            .with_group(ParamGroup::from_predicate("recurrent"), course(recurrent))
            .with_group(ParamGroup::from_predicate("readout"), course(readout))
            .init()
    }

    /// Returns the optimizer in its initial state.
    pub fn optimizer(&self) -> ModuleOptimizer {
        AdamWConfig::new().with_beta_2(0.99).with_epsilon(1e-8).with_weight_decay(self.decay).init()
    }
}
