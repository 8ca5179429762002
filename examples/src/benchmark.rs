//! The benchmark problem: a spiking layer, a linear readout, and the mean squared distance between
//! output and target as the cost.

use crate::delayed_xor::BY_RATES;
use crate::measured::{Measured, memory};
use burn::backend::Dispatch;
use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor, TensorData};
use burn_spiking::neuron::{AdEx, AdExConstants, Alif, Eif, Izhikevich, RefractoryLif, ResonateAndFire};
use burn_spiking::scan::{AdjointRequest, GradientMask, OptionalTensor, OutputGradients, ScanInputs, SpikingBackend};
use burn_spiking::{
    ConfigError, DelayOf, Firing, Gate, Implementation, InitialWeights, Neuron, SpikingNetwork, SpikingNetworkConfig,
    SpikingRnnConfig, SpikingState, Synapse, TrackingLoss, TrackingLossConfig,
};
use clap::ValueEnum;
use std::collections::BTreeMap;
use std::time::Instant;

/// Sizes and constants of the network. A time step is 1 ms.
#[derive(clap::Args, Debug, Clone)]
pub struct System {
    /// Number of trials in a batch
    #[arg(long, default_value_t = 50, value_parser = at_least_one)]
    pub batch: usize,
    /// Number of time steps of 1 ms
    #[arg(long, default_value_t = 1000, value_parser = at_least_one)]
    pub steps: usize,
    /// Number of neurons
    #[arg(long, default_value_t = 80, value_parser = at_least_one)]
    pub neurons: usize,
    /// Number of input channels
    #[arg(long, default_value_t = 3, value_parser = at_least_one)]
    pub channels: usize,
    /// Leave out the recurrent weights: a linear layer and neurons
    #[arg(long, conflicts_with = "synapses")]
    pub feed_forward: bool,
    /// The neuron model
    #[arg(long, value_enum, default_value_t = NeuronName::Qif)]
    pub neuron: NeuronName,
    /// Number of recurrent synapse types; the first has tau 20 ms and feeds the readout, and each
    /// further one has half the tau of the one before
    #[arg(long, default_value_t = 1, value_parser = at_least_one)]
    pub synapses: usize,
    /// Add spike-frequency adaptation: connections of each neuron to itself, tau 200 ms
    #[arg(long)]
    pub adaptation: bool,
    /// Learned delays of each connection of the first synapse type, up to this many ms
    #[arg(long, conflicts_with = "feed_forward")]
    pub delays: Option<f64>,
    /// Width of the gate, in (0, 1]
    #[arg(long, default_value_t = 0.2)]
    pub width: f64,
    /// Firing rate under the bias current alone, Hz
    #[arg(long, default_value_t = 20.0)]
    pub rate: f64,
}

impl Default for System {
    /// Returns the default values of the command-line options.
    fn default() -> Self {
        #[derive(clap::Parser)]
        struct Alone {
            #[command(flatten)]
            system: System,
        }
        <Alone as clap::Parser>::parse_from([""]).system
    }
}

/// Parses a count of at least 1.
///
/// # Errors
/// If the text is not such a count.
pub fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("must be at least 1".into()),
        Ok(value) => Ok(value),
        Err(error) => Err(format!("{error}")),
    }
}

/// A neuron model with its constants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum NeuronName {
    /// Non-leaky, with parameters in units of 1/(25 ms).
    Nif,
    /// Leaky, tau_mem 25 ms.
    Lif,
    /// Quadratic, tau_mem 25 ms.
    Qif,
    /// Exponential, tau_mem 25 ms.
    Eif,
    /// Leaky with a threshold that adapts, tau_mem 25 ms, tau_w 100 ms.
    Alif,
    /// Leaky with a refractory period of 2 ms, tau_mem 25 ms.
    RefractoryLif,
    /// Exponential with adaptation: the published adapting neuron, in 4 sub-steps.
    #[value(name = "adex")]
    AdEx,
    /// Quadratic with recovery: the published regular spiking neuron, in 4 sub-steps.
    Izhikevich,
    /// Resonate-and-fire, tau_mem 25 ms, 20 Hz.
    ResonateAndFire,
}

impl NeuronName {
    /// Returns the model, and the time unit of the parameters if the model has no τ_mem.
    fn model(self) -> (Neuron, Option<f64>) {
        let neuron = match self {
            NeuronName::Nif => return (Neuron::Nif, Some(TAU_V)),
            NeuronName::Lif => Neuron::Lif { tau_mem: TAU_V },
            NeuronName::Qif => Neuron::Qif { tau_mem: TAU_V },
            NeuronName::Eif => Neuron::Eif(Eif { tau_mem: TAU_V, delta: 0.1, onset: 0.7, substeps: 1 }),
            NeuronName::Alif => Neuron::Alif(Alif::new(TAU_V, 100.0, 0.1)),
            NeuronName::RefractoryLif => Neuron::RefractoryLif(RefractoryLif::new(TAU_V, 2.0)),
            NeuronName::AdEx => Neuron::AdEx(AdEx::published(AdExConstants::adapting(), 4)),
            NeuronName::Izhikevich => Neuron::Izhikevich(Izhikevich::regular_spiking(4)),
            NeuronName::ResonateAndFire => Neuron::ResonateAndFire(ResonateAndFire::new(TAU_V, 20.0)),
        };
        (neuron, None)
    }
}

/// Returns the command-line name of a value.
pub fn name(value: &impl ValueEnum) -> String {
    value.to_possible_value().expect("no value is hidden").get_name().to_string()
}

/// A way to compute the gradient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Way {
    /// The op of the layer alone: forward pass and adjoint, for a given gradient of the trace.
    Op,
    /// The layer, with a matrix product by Burn as the readout.
    Layer,
    /// The layer with a fused readout.
    Network,
    /// The layer with a fused readout and the mean-field adjoint, which is not exact.
    MeanField,
    /// The same forward pass and adjoint in tensor operations.
    TensorOps,
    /// Burn's automatic differentiation of a loop of tensor operations.
    BurnBptt,
}

impl Way {
    /// Returns the title for tables.
    pub fn title(self) -> &'static str {
        match self {
            Way::Op => "op alone",
            Way::Layer => "layer, readout by Burn",
            Way::Network => "network, readout fused",
            Way::MeanField => "network, mean-field adjoint",
            Way::TensorOps => "same adjoint in tensor ops",
            Way::BurnBptt => "Burn's automatic BPTT",
        }
    }

    /// Returns the number of timed runs. Fast ways run `repeat` times, slow ones a quarter of that.
    pub fn runs(self, repeat: usize) -> usize {
        match self {
            Way::Op | Way::Layer | Way::Network | Way::MeanField => repeat,
            Way::TensorOps | Way::BurnBptt => repeat.div_ceil(4),
        }
    }
}

/// Number of outputs.
pub const OUTPUTS: usize = 2;
/// Time constant of the neurons, in ms.
pub const TAU_V: f64 = 25.0;
/// Length of a time step, in ms.
pub const DT: f64 = 1.0;

/// One network with its input and with the target of its readout.
pub struct Problem {
    /// The layer and the readout.
    pub network: SpikingNetwork,
    /// The cost.
    pub loss: TrackingLoss,
    /// The state in which each trial starts.
    pub start: SpikingState,
    /// The input, `[B, T, C]`.
    pub input: Tensor<3>,
    /// The target, `[B, T, O]`.
    pub target: Tensor<3>,
}

impl Problem {
    /// Builds the problem of a system with `steps` time steps, in precision `dtype`. The same
    /// system always gives the same problem.
    ///
    /// # Errors
    /// [`ConfigError`] if the constants of the system are invalid.
    pub fn new(system: &System, steps: usize, device: &Device, dtype: DType) -> Result<Self, ConfigError> {
        device.seed(0);
        let (neuron, time_unit) = system.neuron.model();
        let slowest = match (system.feed_forward, system.delays) {
            (true, _) => Synapse::readout_only(20.0),
            (false, None) => Synapse::new(20.0),
            (false, Some(longest)) => Synapse::new(20.0).with_learned_delays(DelayOf::Connection, longest),
        };
        let faster = (1..system.synapses).map(|k| Synapse::recurrent_only(20.0 * 0.5_f64.powi(k as i32)));
        let adaptation = system.adaptation.then(|| Synapse::adaptation(200.0, 0.01).with_learned_weights(true));
        let layer = SpikingRnnConfig::new(system.channels, system.neurons)
            .with_neuron(neuron.clone())
            .with_time_unit(time_unit)
            .with_gate(Gate::Quintic { width: system.width })
            .with_synapses(std::iter::once(slowest).chain(faster).chain(adaptation).collect())
            .with_dt(DT);
        let bias = neuron.steady_current(1e-3 * system.rate * neuron.tau().unwrap_or(TAU_V));
        let initial = InitialWeights { bias, ..InitialWeights::of(&neuron, TAU_V) };
        let layer = layer.with_initial(Some(initial));
        let options = (&device.clone().autodiff(), dtype);
        let network = SpikingNetworkConfig::new(layer, OUTPUTS).init(options)?;
        let wave = |count: usize, pitch: f64| -> Vec<f64> {
            (0..count).map(|at| (pitch * at as f64 + (at as f64 * 0.0137).cos()).sin()).collect()
        };
        let tensor = |width: usize, pitch: f64| {
            let shape = [system.batch, steps, width];
            Tensor::<3>::from_data(TensorData::new(wave(shape.iter().product(), pitch), shape), options)
        };
        Ok(Self {
            // Initial potentials are random, so that some gates are open from the first step on.
            start: network.layer.random_state(system.batch, 0.0, 1.0, 0),
            loss: TrackingLossConfig::new().init()?,
            input: tensor(system.channels, 0.711),
            target: tensor(OUTPUTS, 0.0137),
            network,
        })
    }

    /// Computes the cost C = mean over batch and time of Σ |o − o_d|²/2.
    fn cost(&self, way: Way) -> Tensor<1> {
        let (input, start) = (self.input.clone(), Some(self.start.clone()));
        let layer = &self.network.layer;
        let trajectory = match way {
            Way::Network => {
                let (run, _) = self.network.forward(input, start);
                return self.loss.forward_network(run, self.target.clone(), None);
            }
            Way::MeanField => {
                let layer = layer.clone().with_adjoint(BY_RATES).expect("the network has this adjoint");
                let network = SpikingNetwork { layer, readout: self.network.readout.clone() };
                let (run, _) = network.forward(input, start);
                return self.loss.forward_network(run, self.target.clone(), None);
            }
            Way::Op => unreachable!("the op alone has no cost"),
            Way::Layer => layer.forward(input, start).0,
            Way::TensorOps => layer.clone().with_implementation(Implementation::TensorOps).forward(input, start).0,
            Way::BurnBptt => layer.clone().with_implementation(Implementation::Autodiff).forward(input, start).0,
        };
        let trace = trajectory.trace();
        let [batch, steps, neurons] = trace.dims();
        let output = trace.clone().reshape([batch * steps, neurons]).matmul(self.network.readout.weight.val());
        self.loss.forward(output.reshape([batch, steps, OUTPUTS]), self.target.clone(), trace)
    }

    /// Returns all parameters by name.
    pub fn parameters(&self) -> BTreeMap<String, TensorData> {
        let layer = &self.network.layer;
        let of = |parameter: &Param<Tensor<2>>| parameter.val().into_data();
        let bias = layer.bias.as_ref().expect("the layer has a bias current");
        let mut all = BTreeMap::from([
            ("U".to_string(), of(&layer.input_weight)),
            ("O".to_string(), of(&self.network.readout.weight)),
            ("I_o".to_string(), bias.val().into_data()),
        ]);
        all.extend(layer.recurrent_weights.iter().enumerate().map(|(k, w)| (format!("W{k}"), of(w))));
        all.extend(layer.self_weights.iter().enumerate().map(|(l, d)| (format!("d{l}"), d.val().into_data())));
        all.extend(layer.delay_logits.iter().enumerate().map(|(l, theta)| (format!("theta{l}"), of(theta))));
        all
    }

    /// Computes the cost and the gradients of all parameters.
    ///
    /// # Panics
    /// If the way is [`Way::Op`], which has no cost.
    pub fn gradients(&self, way: Way) -> Found {
        let cost = self.cost(way);
        let gradients = cost.backward();
        let layer = &self.network.layer;
        let of =
            |parameter: &Param<Tensor<2>>| parameter.grad(&gradients).expect("a parameter has a gradient").into_data();
        let bias = layer.bias.as_ref().and_then(|bias| bias.grad(&gradients));
        let mut found = BTreeMap::from([
            ("U".to_string(), of(&layer.input_weight)),
            ("O".to_string(), of(&self.network.readout.weight)),
            ("I_o".to_string(), bias.expect("the layer has a bias current").into_data()),
            ("cost".to_string(), cost.into_data()),
        ]);
        found.extend(layer.recurrent_weights.iter().enumerate().map(|(k, w)| (format!("W{k}"), of(w))));
        found.extend(layer.delay_logits.iter().enumerate().map(|(l, theta)| (format!("theta{l}"), of(theta))));
        found.extend(
            layer
                .self_weights
                .iter()
                .enumerate()
                .map(|(l, d)| (format!("d{l}"), d.grad(&gradients).expect("a parameter has a gradient").into_data())),
        );
        found
    }

    /// Returns a gradient of the trace for [`op_alone`](Self::op_alone), `[B, T, N]`.
    pub fn direct(&self) -> Tensor<3> {
        let [batch, steps, _] = self.input.dims();
        let neurons = self.network.layer.config().d_hidden;
        Tensor::full([batch, steps, neurons], 1e-5, (&self.input.device().inner(), self.input.dtype()))
    }

    /// Runs the forward pass of the op and its adjoint for a given gradient of the trace, without a
    /// graph.
    pub fn op_alone(&self, direct: &Tensor<3>) {
        let layer = self.network.layer.clone().valid();
        let start = SpikingState { v: self.start.v.clone().inner(), s: self.start.s.clone().inner() };
        let inputs: ScanInputs<Dispatch> = layer.arguments(self.input.clone().inner(), Some(start)).into();
        let output = Dispatch::spiking_scan(inputs.clone(), layer.plan().clone(), true);
        let traces = OptionalTensor::Present(direct.clone().unsqueeze::<4>().into_dispatch());
        let gradients = OutputGradients { traces, ..OutputGradients::empty() };
        let wanted = GradientMask::parameters(&inputs);
        let found = Dispatch::spiking_scan_adjoint(
            AdjointRequest { inputs, tape: output.tape, gradients },
            layer.plan().clone(),
            wanted,
        );
        // A GPU works asynchronously, and computes only results that are read. So read one.
        Tensor::<2>::from_dispatch(found.v0).into_data();
    }

    /// Returns whether the network has a mean-field adjoint.
    pub fn has_rates(&self) -> bool {
        self.network.layer.clone().with_adjoint(BY_RATES).is_ok()
    }

    /// Measures how the neurons fire.
    pub fn firing(&self) -> Firing {
        let layer = &self.network.layer;
        let (trajectory, _) = layer.forward_recording(self.input.clone(), Some(self.start.clone()));
        Firing::of(&trajectory)
    }

    /// Measures times and memory of one way.
    pub fn measure(&self, way: Way, repeat: usize) -> Measured {
        let direct = self.direct();
        let once = || match way {
            Way::Op => self.op_alone(&direct),
            _ => drop(self.gradients(way)),
        };
        let base = memory("VmRSS:");
        once();
        let times = (0..way.runs(repeat)).map(|_| {
            let started = Instant::now();
            once();
            started.elapsed().as_secs_f64() * 1e3
        });
        Measured::of(times.collect(), base)
    }
}

/// The cost and the gradients of all parameters by name.
pub type Found = BTreeMap<String, TensorData>;
