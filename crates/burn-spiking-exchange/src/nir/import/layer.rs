//! A layer under construction: paths of a graph become weights, bias currents and synapse types.

use super::ImportOptions;
use super::reader::{Filter, Neurons, Passed, Path, Reader, Weights, passed};
use crate::ExchangeError;
use crate::nir::Spikes;
use crate::nir::export::Origin;
use burn::module::Param;
use burn::tensor::{Tensor, TensorCreationOptions, TensorData};
use burn_spiking::{Connections, Gate, Neuron, SpikingRnn, SpikingRnnConfig, Synapse, Wiring};

/// A recurrent synapse type of the layer under construction.
struct Type {
    synapse: Synapse,
    weights: Option<Weights>,
    /// The factor of the weights of each receiver.
    factor: Vec<f64>,
}

/// A layer under construction, in the units of a layer.
pub(super) struct Layer {
    input: Weights,
    input_factor: Vec<f64>,
    input_tau: Option<f64>,
    bias: Vec<f64>,
    types: Vec<Type>,
    notes: Vec<String>,
}

impl Layer {
    /// A layer with the path from the input.
    pub(super) fn of(
        reader: &Reader,
        neurons: &Neurons,
        count: usize,
        (name, path, input): (&str, &Path, &str),
    ) -> Result<Self, ExchangeError> {
        let Some(weights) = &path.weights else {
            return Err(ExchangeError::node(
                name,
                format!("no weights are between \"{input}\" and it; add a Linear node, such as the identity"),
            ));
        };
        let input = reader.weights(weights)?;
        let [post, _] = input.shape;
        if post != count {
            return Err(ExchangeError::node(
                weights,
                format!("it leads to {post} receivers, but \"{name}\" has {count} neurons"),
            ));
        }
        let passed = passed(reader, neurons, (name, path), input.shape)?;
        let mut layer = Self {
            input_factor: passed.factor.clone(),
            input_tau: passed.tau,
            bias: neurons.bias.clone(),
            types: Vec::new(),
            notes: Vec::new(),
            input,
        };
        let bias = layer.input.bias.clone();
        layer.add_bias(bias, &passed, weights);
        Ok(layer)
    }

    /// Adds the bias of weights to the bias current.
    fn add_bias(&mut self, bias: Option<Vec<f64>>, passed: &Passed, node: &str) {
        let bias = bias.unwrap_or_default();
        if passed.late_bias && bias.iter().any(|&b| b != 0.0) {
            self.notes.push(format!(
                "the bias of \"{node}\" passes a synapse, and rises within its time constant; here it is a current from the first step on"
            ));
        }
        for ((sum, b), factor) in self.bias.iter_mut().zip(bias).zip(&passed.of_bias) {
            *sum += b * factor;
        }
    }

    /// Adds a path from the neurons to the neurons.
    pub(super) fn add(
        &mut self,
        reader: &Reader,
        neurons: &Neurons,
        (name, path): (&str, &Path),
    ) -> Result<(), ExchangeError> {
        let count = self.bias.len();
        let Some(node) = &path.weights else {
            return Err(ExchangeError::node(name, "its spikes come back without weights; add a Linear node"));
        };
        let weights = reader.weights(node)?;
        if weights.shape != [count, count] {
            let [post, pre] = weights.shape;
            return Err(ExchangeError::node(
                node,
                format!("it is [{post}, {pre}], but joins {count} neurons to each other"),
            ));
        }
        let passed = passed(reader, neurons, (name, path), weights.shape)?;
        let Some(tau) = passed.tau else {
            return Err(ExchangeError::node(
                node,
                format!(
                    "the spikes of \"{name}\" come back without a synapse, as jumps of the potential, which a layer here does not \
                     have; add an LI node, or use CubaLIF neurons"
                ),
            ));
        };
        self.add_bias(weights.bias.clone(), &passed, node);
        let connections = match weights.diagonal {
            true => Connections::SelfOnly { weight: 0.0, learned: true },
            false => Connections::Recurrent,
        };
        let delay = path.delay.as_ref().map_or(Ok(0.0), |delay| reader.same(delay, "delay", count))?;
        let synapse = Synapse { connections, readout: false, ..Synapse::new(tau) }.with_delay(1e3 * delay);
        self.types.push(Type { synapse, weights: Some(weights), factor: passed.factor });
        Ok(())
    }

    /// Marks the synapse type that the output reads, and returns the readout; `None` if the output
    /// gets the spikes.
    pub(super) fn read(
        &mut self,
        reader: &Reader,
        neurons: &Neurons,
        (output, path): (&str, &Path),
    ) -> Result<Option<Weights>, ExchangeError> {
        let count = self.bias.len();
        if let Some(delay) = &path.delay {
            return Err(ExchangeError::node(delay, "an output has no delay here; leave it out"));
        }
        let Some(trace) = &path.trace else {
            if let Some(weights) = &path.weights {
                return Err(ExchangeError::node(
                    weights,
                    format!(
                        "it leads spikes to \"{output}\", but a readout here sees a trace of spikes; add an LI node"
                    ),
                ));
            }
            // Without a readout, the trace of the first type stands for the spikes.
            match self.types.first_mut() {
                Some(first) => first.synapse.readout = true,
                None => {
                    let tau = neurons.synapse.as_ref().map_or(20.0, |(tau, _)| *tau);
                    self.types.push(Type { synapse: Synapse::readout_only(tau), weights: None, factor: Vec::new() });
                }
            }
            return Ok(None);
        };
        let Some(node) = &path.weights else {
            return Err(ExchangeError::node(
                output,
                format!("no weights are between \"{trace}\" and it; add a Linear node, such as the identity"),
            ));
        };
        let mut weights = reader.weights(node)?;
        let [outputs, inputs] = weights.shape;
        let Some(Filter { tau, rise, of_bias }) = reader.synapse(path, [outputs, count])? else {
            unreachable!("the path has a trace")
        };
        if inputs != count {
            return Err(ExchangeError::node(
                node,
                format!("it has {inputs} inputs, but \"{output}\" reads {count} neurons"),
            ));
        }
        weights.weight.iter_mut().for_each(|weight| *weight *= rise);
        if of_bias.is_some() && weights.bias.is_some() {
            self.notes
                .push(format!("the bias of \"{node}\" passes \"{trace}\"; here it is there from the first step on"));
        }
        weights.bias.iter_mut().flatten().for_each(|b| *b *= of_bias.unwrap_or(1.0));
        match self.types.iter_mut().find(|one| near(one.synapse.tau, tau)) {
            Some(read) => read.synapse.readout = true,
            None => self.types.push(Type { synapse: Synapse::readout_only(tau), weights: None, factor: Vec::new() }),
        }
        Ok(Some(weights))
    }

    /// Builds the layer. A layer that was exported keeps its wiring and its signs if the weights
    /// still fit them.
    pub(super) fn built(
        mut self,
        reader: &Reader,
        neurons: &Neurons,
        (options, origin): (&ImportOptions, Option<Origin>),
        (tensors, has_readout): (TensorCreationOptions, bool),
    ) -> Result<(SpikingRnn, Vec<String>), ExchangeError> {
        let told = |error: burn_spiking::ConfigError| ExchangeError::Network(error.to_string());
        let (channels, count) = (self.input.shape[1], self.bias.len());
        let own = origin.map(|origin| origin.layer);
        let step = match reader.spikes {
            Spikes::Pulse { dt } => dt,
            Spikes::Impulse => 1.0,
        };
        let base = own.clone().unwrap_or_else(|| {
            SpikingRnnConfig::new(channels, count).with_gate(Gate::Threshold { at: 1.0 }).with_dt(step)
        });
        if let (Some(own), false) = (&own, has_readout) {
            // The graph of a layer has no nodes for traces that are only read.
            self.types.iter_mut().for_each(|one| {
                let same = own.synapses.iter().find(|own| one.synapse.resembles(own));
                one.synapse.readout = same.is_none_or(|own| own.readout);
            });
            self.types.retain(|one| one.weights.is_some());
            let read_only = own.synapses.iter().filter(|synapse| synapse.connections == Connections::None);
            self.types.extend(read_only.map(|&synapse| Type { synapse, weights: None, factor: Vec::new() }));
        }
        if let Some(own) = &own {
            let place = |one: &Type| own.synapses.iter().position(|own| one.synapse.resembles(own));
            self.types.sort_by_key(|one| place(one).unwrap_or(usize::MAX));
        }
        let biased = self.bias.iter().any(|&b| b != 0.0);
        let mut config = SpikingRnnConfig {
            d_input: channels,
            d_hidden: count,
            neuron: neurons.neuron.clone(),
            input_tau: self.input_tau,
            bias: own.as_ref().is_none_or(|own| own.bias) || biased,
            autapses: own.as_ref().is_none_or(|own| own.autapses),
            synapses: self.types.iter().map(|one| one.synapse).collect(),
            ..base
        };
        config.time_unit = match neurons.neuron {
            // The gain of IF neurons is in 1/s.
            Neuron::Nif => Some(own.as_ref().map_or(1000.0, SpikingRnnConfig::time_unit_ms)),
            _ => None,
        };
        let unit = config.time_unit.map_or(1.0, |unit| 1e-3 * unit);
        if let Some(own) = &own {
            config = restored(config, own);
        }
        let as_given = SpikingRnnConfig { time_unit: own.as_ref().and_then(|own| own.time_unit), ..config.clone() };
        if config.time_unit == Some(as_given.time_unit_ms()) {
            config.time_unit = as_given.time_unit;
        }
        if let Some(dt) = options.dt {
            config.dt = dt;
        }
        if let Some(gate) = options.gate {
            config.gate = gate;
        }
        let layer = self.filled(config.clone().init(tensors.clone()).map_err(told)?, unit, &tensors);
        if self.fits(&layer, unit, &tensors) {
            return Ok((layer, self.notes));
        }
        self.notes.push(
            "the weights do not fit the wiring of the network that was exported; all neurons may be connected, and have no signs".into(),
        );
        let all = SpikingRnnConfig { autapses: true, wiring: Wiring::Full, dale: None, ..config };
        let layer = self.filled(all.init(tensors.clone()).map_err(told)?, unit, &tensors);
        Ok((layer, self.notes))
    }

    /// The weights of the input, and those of each type that joins neurons to each other.
    fn planes(&self, unit: f64, tensors: &TensorCreationOptions) -> (Tensor<2>, Vec<Tensor<2>>) {
        let plane = |one: &Type| {
            let weights = one.weights.as_ref().filter(|weights| !weights.diagonal)?;
            Some(weights.tensor(|n| one.factor[n] * unit, tensors))
        };
        let input = self.input.tensor(|n| self.input_factor[n] * unit, tensors);
        (input, self.types.iter().filter_map(plane).collect())
    }

    /// Gives a new layer its parameters.
    fn filled(&self, mut layer: SpikingRnn, unit: f64, tensors: &TensorCreationOptions) -> SpikingRnn {
        fn set<const D: usize>(param: &mut Param<Tensor<D>>, values: Tensor<D>) {
            let learns = param.is_require_grad();
            *param = param.clone().map(|_| values.set_require_grad(learns));
        }
        let (input, planes) = self.planes(unit, tensors);
        set(&mut layer.input_weight, input);
        layer.recurrent_weights.iter_mut().zip(planes).for_each(|(param, plane)| set(param, plane));
        let row = |numbers: &[f64], factor: &dyn Fn(usize) -> f64| {
            let numbers: Vec<f64> = numbers.iter().enumerate().map(|(n, x)| x * factor(n) * unit).collect();
            Tensor::<1>::from_data(TensorData::new(numbers, [self.bias.len()]), tensors.clone())
        };
        if let Some(bias) = &mut layer.bias {
            set(bias, row(&self.bias, &|_| 1.0));
        }
        let own = self.types.iter().filter_map(|one| {
            let weights = one.weights.as_ref().filter(|weights| weights.diagonal)?;
            Some(row(&weights.weight, &|n| one.factor[n]))
        });
        layer.self_weights.iter_mut().zip(own).for_each(|(param, row)| set(param, row));
        layer
    }

    /// Whether the layer's wiring and signs leave its weights as they are.
    fn fits(&self, layer: &SpikingRnn, unit: f64, tensors: &TensorCreationOptions) -> bool {
        let (input, planes) = self.planes(unit, tensors);
        let same = |a: Tensor<2>, b: Tensor<2>| a.into_data().iter::<f64>().eq(b.into_data().iter::<f64>());
        let mut all = same(layer.effective_input_weights(), input);
        for (k, plane) in planes.into_iter().enumerate() {
            all &= layer.effective_weights(k).is_ok_and(|weights| same(weights, plane));
        }
        all
    }
}

/// Whether two times are the same up to the rounding of units.
fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-6 * b.abs()
}

trait Resembles {
    /// Whether two synapse types have the same connections and, up to rounding, the same times.
    fn resembles(&self, other: &Self) -> bool;
}

impl Resembles for Synapse {
    fn resembles(&self, other: &Self) -> bool {
        let kind = |synapse: &Synapse| std::mem::discriminant(&synapse.connections);
        near(self.tau, other.tau) && near(self.delay, other.delay) && kind(self) == kind(other)
    }
}

/// The configuration with the constants of the network that was exported, where both are the same
/// up to the rounding of units. So a network that comes back is the same to the last bit.
fn restored(found: SpikingRnnConfig, own: &SpikingRnnConfig) -> SpikingRnnConfig {
    let neuron = match (&found.neuron, &own.neuron) {
        (Neuron::Lif { tau_mem: a }, Neuron::Lif { tau_mem: b }) if near(*a, *b) => own.neuron.clone(),
        _ => found.neuron.clone(),
    };
    let input_tau = match (found.input_tau, own.input_tau) {
        (Some(a), Some(b)) if near(a, b) => Some(b),
        (found, _) => found,
    };
    let synapses =
        found.synapses.into_iter().map(|synapse| match own.synapses.iter().find(|own| synapse.resembles(own)) {
            Some(own) => Synapse { readout: synapse.readout, ..*own },
            None => synapse,
        });
    SpikingRnnConfig { neuron, input_tau, synapses: synapses.collect(), ..found }
}
