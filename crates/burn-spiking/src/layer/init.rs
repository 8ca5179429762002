//! Initialisation of a layer: draws the parameters with the sizes of [`InitialWeights`].

use super::config::{InitialWeights, SpikingRnnConfig};
use super::constants::{Constants, Learn, Learned, WIDEST, logit};
use super::delays::initial_logits;
use super::mask::Missing;
use super::record::Described;
use super::rnn::SpikingRnn;
use crate::error::ConfigError;
use crate::synapse::Connections;
use crate::wiring::signs;
use burn::module::Param;
use burn::tensor::{DType, Distribution, Tensor, TensorCreationOptions, TensorData};
use std::sync::Arc;

impl SpikingRnnConfig {
    /// Initialises a layer on a device: `init(&device)`, or `init((&device, DType::F64))` for
    /// double precision.
    ///
    /// # Errors
    /// [`ConfigError`] as in [`check`](Self::check), if the dtype is neither `F32` nor `F64`, or if
    /// this build has no scan for the device.
    pub fn init(&self, options: impl Into<TensorCreationOptions>) -> Result<SpikingRnn, ConfigError> {
        self.check()?;
        let options = options.into();
        crate::scan::device::check(&options.device)?;
        if let Some(half) = options.dtype.filter(|dtype| !matches!(dtype, DType::F32 | DType::F64)) {
            return Err(ConfigError::Mismatch(format!(
                "a layer in {half:?} has too few digits for its potentials, and no kernel; initialise it in DType::F32 or DType::F64"
            )));
        }
        let n = self.d_hidden;
        let initial = self.initial.unwrap_or_else(|| InitialWeights::of(&self.neuron, self.time_unit_ms()));
        let normal = |shape: [usize; 2], gain: f64| {
            let spread = Distribution::Normal(0.0, gain / (shape[0] as f64).sqrt());
            Tensor::<2>::random(shape, spread, options.clone())
        };
        let device = options.device.clone();
        let planes = self.synapses.iter().filter(|synapse| synapse.is_recurrent()).count();
        let recurrent = (0..planes).map(|k| Param::from_tensor(self.initial_weights(k, initial.recurrent, &options)));
        let self_weights = self.synapses.iter().filter_map(|synapse| match synapse.connections {
            Connections::SelfOnly { weight, learned } => {
                let weights = Tensor::<1>::full([n], weight, options.clone());
                Some(Param::from_tensor(weights).set_require_grad(learned))
            }
            _ => None,
        });
        let delays = self.synapses.iter().filter_map(|synapse| synapse.learned_delays);
        let delay_logits = delays.map(|delays| Param::from_tensor(initial_logits(delays, n, &options))).collect();
        let unreached = self.wiring.reached().and_then(|reached| {
            let reached = std::iter::repeat_n(reached, self.d_input).flatten().collect::<Vec<_>>();
            Missing::of(&reached, [self.d_input, n], &device)
        });
        // A sigmoid is always above 0, the resting potential of some neurons.
        let resting = self.neuron.resting_potential().max(0.02);
        let start = self.learned_start.then(|| {
            let v = Tensor::<1>::full([n], logit(resting), options.clone());
            let s = Tensor::<2>::zeros([self.synapses.len(), n], options.clone());
            (Param::from_tensor(v), Param::from_tensor(s))
        });
        let (start_v, start_s) = start.unzip();
        Ok(SpikingRnn {
            input_weight: Param::from_tensor(normal([self.d_input, n], initial.input)),
            bias: self.bias.then(|| Param::from_tensor(Tensor::<1>::full([n], initial.bias, options.clone()))),
            recurrent_weights: recurrent.collect(),
            self_weights: self_weights.collect(),
            delay_logits,
            start_v,
            start_s,
            constants: (self.learned != Learned::default()).then(|| Constants::new(self, &options)),
            unreached,
            signs: self
                .dale
                .map(|excitatory| Tensor::from_data(TensorData::new(signs(n, excitatory), [n, 1]), options.clone())),
            plan: Arc::new(self.plan()),
            config: Described::new(self.clone(), &device),
        })
    }

    /// Draws the initial weights of the k-th recurrent synapse type.
    fn initial_weights(&self, k: usize, gain: f64, options: &TensorCreationOptions) -> Tensor<2> {
        let n = self.d_hidden;
        let connected = self.wiring.connected(n, k, true);
        let density = connected.iter().filter(|&&there| there).count().max(1) as f64 / (n * n) as f64;
        let spread = Distribution::Normal(0.0, gain / (n as f64 * density).sqrt());
        let weights = Tensor::<2>::random([n, n], spread, options.clone());
        if let Some(excitatory) = self.dale {
            let signs = signs(n, excitatory);
            let exciting = signs.iter().filter(|&&sign| sign > 0.0).count();
            let inhibition = if exciting == 0 || exciting == n { 1.0 } else { exciting as f64 / (n - exciting) as f64 };
            let scale: Vec<f64> = signs.iter().map(|&sign| if sign > 0.0 { 1.0 } else { inhibition }).collect();
            return weights * Tensor::<2>::from_data(TensorData::new(scale, [n, 1]), options.clone());
        }
        let connected = self.wiring.connected(n, k, self.autapses);
        let erase = |weights: Tensor<2>| match Missing::of(&connected, [n, n], &options.device) {
            Some(missing) => missing.erase(weights),
            None => weights,
        };
        let senders = |post: usize| (0..n).filter(|pre| connected[pre * n + post]).count();
        let senders: Vec<usize> = (0..n).map(senders).collect();
        // The mean of one or two weights is not subtracted: one weight would become 0, and two
        // would become each other's negative.
        let where_balanced = |of: fn(f64) -> f64, elsewhere: f64| {
            let value = |&senders: &usize| if senders < 3 { elsewhere } else { of(senders as f64) };
            let values: Vec<f64> = senders.iter().map(value).collect();
            Tensor::<2>::from_data(TensorData::new(values, [1, n]), options.clone())
        };
        let weights = erase(weights);
        let mean = weights.clone().sum_dim(0) * where_balanced(|senders| 1.0 / senders, 0.0);
        erase(weights - mean) * where_balanced(|senders| (senders / (senders - 1.0)).sqrt(), 1.0)
    }
}

impl Constants {
    /// Makes the parameters of the constants that a configuration learns, with its configured
    /// values.
    pub(crate) fn new(config: &SpikingRnnConfig, options: &TensorCreationOptions) -> Self {
        let param = |values: Vec<f64>| {
            let length = values.len();
            Param::from_tensor(Tensor::from_data(TensorData::new(values, [length]), options.clone()))
        };
        let of = |learn: Learn, value: f64| match learn {
            Learn::No => None,
            Learn::Shared => Some(param(vec![value])),
            Learn::PerNeuron => Some(param(vec![value; config.d_hidden])),
        };
        let learned = config.learned;
        let width = config.gate.width().min(WIDEST);
        let second = config.neuron.second_constant().map_or(1.0, |(_, value)| value);
        Self {
            log_tau_mem: of(learned.tau_mem, config.time_unit_ms().ln()),
            log_tau_syn: learned
                .tau_syn
                .then(|| param(config.synapses.iter().map(|synapse| synapse.tau.ln()).collect())),
            logit_width: of(learned.width, logit(width)),
            log_threshold: learned.threshold.then(|| param(vec![0.0; config.d_hidden])),
            log_tau_w: of(learned.tau_w, second.ln()),
            log_frequency: of(learned.frequency, second.ln()),
            jump: of(learned.jump, config.neuron.jump().unwrap_or_default()),
        }
    }
}
