//! State dicts of PyTorch libraries, as `safetensors.torch.save_file(model.state_dict(), path)` or
//! `torch.save(model.state_dict(), path)` writes them. The latter's names end in .pt or .pth.
//!
//! A state dict has weights and some constants, but not how its modules are joined. So
//! [`Modules`] names the modules, and [`snntorch`], [`norse`] and [`spikingjelly`] know how their
//! library steps. The result is a [`Graph`], which [`Graph::import`] makes a network of, with
//! spikes that are pulses of one step ([`Spikes::Pulse`](crate::nir::Spikes)).
//!
//! # The steps of other libraries
//!
//! ```text
//! snnTorch      I_t = α I_{t−1} + x_t + W z_{t−1}      v_t = β v_{t−1} + I_t
//! Norse         I_t = α I_{t−1} + x_t + W z_{t−1}      v_t = β v_{t−1} + (1 − β) (v_leak + I_t)
//!               α = 1 − dt/τ_syn, β = 1 − dt/τ_mem
//! SpikingJelly  I_t = x_t + W z_{t−1}                  v_t = β v_{t−1} + (1 − β) v_reset + g I_t
//!               β = 1 − 1/tau, g = 1 − β with decay_input and 1 without
//! ```
//!
//! Neurons without a synapse (`Leaky`, `RLeaky`, `LIFNode`) have α = 0. The exact flow over a step
//! is the same map if τ_mem = −dt/ln β, τ_syn = −dt/ln α. So between spikes, potentials are equal
//! up to rounding. Resets differ: here the neuron is reset at its crossing, and the rest of the
//! step goes on. And a bias of the linear module before a synapse is a current from the first step
//! on here, while there it rises within τ_syn.

mod checkpoint;
mod norse;
mod snntorch;
mod spikingjelly;

pub use norse::{NorseConstants, norse};
pub use snntorch::snntorch;
pub use spikingjelly::{SpikingJellyConstants, spikingjelly};

use crate::ExchangeError;
use crate::nir::{Field, Graph, Node};
use crate::tensors::Tensors;
use std::path::Path;

/// The modules of a model that become a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Modules {
    /// The linear module before the neurons, such as "fc1". For Norse's recurrent cells and
    /// SpikingJelly's `LinearRecurrentContainer`, which have input weights, it may be `None`.
    pub input: Option<String>,
    /// The neurons, such as "lif1", or the container around them.
    pub neurons: String,
    /// The linear module after the neurons, if there is one. It reads the spikes of each step.
    pub readout: Option<String>,
}

/// τ of a filter that forgets within a step, in steps: e^(−50) is nothing.
const WITHIN_A_STEP: f64 = 0.02;

impl Tensors {
    /// A matrix `[post, pre]`.
    fn matrix(&self, name: &str) -> Result<([usize; 2], Vec<f64>), ExchangeError> {
        let (shape, numbers) = self.wanted(name)?;
        match shape[..] {
            [post, pre] if post > 0 && pre > 0 => Ok(([post, pre], numbers)),
            _ => Err(self.error(name, format!("it is {shape:?}, but must be [post, pre]"))),
        }
    }

    /// One number for each of `count` neurons; a single number counts for all.
    fn each(&self, name: &str, count: usize) -> Result<Vec<f64>, ExchangeError> {
        let (shape, numbers) = self.wanted(name)?;
        match numbers.len() {
            1 => Ok(vec![numbers[0]; count]),
            length if length == count => Ok(numbers),
            _ => Err(self.error(name, format!("it is {shape:?}, but there are {count} neurons"))),
        }
    }

    /// A bias of `count` numbers; 0 if the file has none.
    fn bias(&self, name: &str, count: usize) -> Result<Vec<f64>, ExchangeError> {
        match self.get(name)? {
            None => Ok(vec![0.0; count]),
            Some((_, numbers)) if numbers.len() == count => Ok(numbers),
            Some((shape, _)) => Err(self.error(name, format!("it is {shape:?}, but must have {count} numbers"))),
        }
    }
}

/// Returns the names and the shapes of the tensors of a file, in the order of names.
///
/// # Errors
/// [`ExchangeError`] if the file is damaged.
pub fn tensors(file: impl AsRef<Path>) -> Result<Vec<(String, Vec<usize>)>, ExchangeError> {
    Ok(Tensors::read(file.as_ref())?.shapes())
}

/// A linear module.
struct Linear {
    /// Number of outputs.
    post: usize,
    /// Number of inputs.
    pre: usize,
    /// `[post, pre]`.
    weight: Vec<f64>,
    /// `[post]`.
    bias: Vec<f64>,
}

impl Linear {
    /// Reads the weight and the bias, if it has one, of a module.
    fn read(tensors: &Tensors, module: &str) -> Result<Self, ExchangeError> {
        let ([post, pre], weight) = tensors.matrix(&format!("{module}.weight"))?;
        let bias = tensors.bias(&format!("{module}.bias"), post)?;
        Ok(Self { post, pre, weight, bias })
    }

    /// Reads a weight without a bias.
    fn of_weight(tensors: &Tensors, weight: &str) -> Result<Self, ExchangeError> {
        let ([post, pre], weight) = tensors.matrix(weight)?;
        Ok(Self { post, pre, weight, bias: vec![0.0; post] })
    }

    /// The product of this module after the one of that name, if there is one.
    fn behind(self, tensors: &Tensors, module: Option<&String>) -> Result<Self, ExchangeError> {
        let Some(module) = module else { return Ok(self) };
        let first = Self::read(tensors, module)?;
        match first.post == self.pre {
            true => Ok(self.after(&first)),
            false => {
                let what = format!(
                    "it has {} outputs, but what comes after it has {} inputs; name the module before the neurons",
                    first.post, self.pre
                );
                Err(tensors.error(&format!("{module}.weight"), what))
            }
        }
    }

    /// The product of this module after `first`.
    fn after(&self, first: &Self) -> Self {
        let mut weight = vec![0.0; self.post * first.pre];
        let mut bias = self.bias.clone();
        let rows = self.weight.chunks_exact(self.pre).zip(weight.chunks_exact_mut(first.pre));
        for ((row, product), sum) in rows.zip(&mut bias) {
            for ((own, inner), b) in row.iter().zip(first.weight.chunks_exact(first.pre)).zip(&first.bias) {
                product.iter_mut().zip(inner).for_each(|(to, x)| *to += own * x);
                *sum += own * b;
            }
        }
        Self { post: self.post, pre: first.pre, weight, bias }
    }

    /// The module as a node.
    fn node(&self) -> Node {
        let weight = Field::of(&[self.post, self.pre], self.weight.clone());
        Node::unit("Affine", [("weight", weight), ("bias", Field::of(&[self.post], self.bias.clone()))])
    }
}

/// Neurons of another library, one number for each.
struct Steps {
    /// The way of the input to the neurons. Its bias is the part of x that is the same in all
    /// steps.
    input: Linear,
    /// `[post, pre]`.
    recurrent: Option<Vec<f64>>,
    /// α; 0 without a synapse.
    alpha: f64,
    /// β.
    beta: f64,
    /// What a current of 1 adds to v in a step.
    gain: f64,
    /// What is added to v in a step without a current.
    rise: f64,
    threshold: Vec<f64>,
    reset: f64,
    readout: Option<Linear>,
    /// What to do if α or β is out of its range.
    remedy: &'static str,
}

impl Steps {
    /// The graph whose exact flow over `dt` ms is these steps.
    fn graph(self, dt: f64) -> Result<Graph, ExchangeError> {
        let step = 1e-3 * dt;
        let Linear { post: count, pre: channels, weight: input, bias: constant } = self.input;
        let all = |value: f64| Field::of(&[count], vec![value; count]);
        let Self { alpha, beta, gain, .. } = self;
        for (name, value, low, range) in [
            ("alpha (of the synapse)", alpha, 0.0, "[0, 1)"),
            ("beta (of the membrane)", beta, f64::MIN_POSITIVE, "(0, 1)"),
        ] {
            if !(low..1.0).contains(&value) {
                return Err(ExchangeError::Network(format!(
                    "{name} is {value} in steps of {dt} ms, but must be in {range}; {}",
                    self.remedy
                )));
            }
        }
        let filter = |decay: f64| if decay > 0.0 { -step / decay.ln() } else { WITHIN_A_STEP * step };
        let (tau_mem, tau_syn) = (-step / beta.ln(), filter(alpha));
        // In a step, a constant current I adds (1 − β) r I to v.
        let r = gain / (1.0 - beta);
        let leak = constant.iter().map(|x| (self.rise + gain * x / (1.0 - alpha)) / (1.0 - beta)).collect();
        let linear =
            |shape: [usize; 2], weight: Vec<f64>| Node::unit("Linear", [("weight", Field::of(&shape, weight))]);
        let neurons = Node::unit(
            "CubaLIF",
            [
                ("tau_mem", all(tau_mem)),
                ("tau_syn", all(tau_syn)),
                ("r", all(r)),
                ("w_in", all(tau_syn / step)),
                ("v_leak", Field::of(&[count], leak)),
                ("v_threshold", Field::of(&[count], self.threshold)),
                ("v_reset", all(self.reset)),
            ],
        );
        let sizes = |size: usize| {
            let numbers = crate::nir::Numbers::I64(vec![size as i64]);
            [("shape", Field::Numbers { shape: vec![1], numbers })]
        };
        let outputs = self.readout.as_ref().map_or(count, |readout| readout.post);
        let mut graph = Graph::default()
            .with("input", Node::unit("Input", sizes(channels)))
            .with("input_weights", linear([count, channels], input))
            .with("neurons", neurons)
            .with("output", Node::unit("Output", sizes(outputs)))
            .joined("input", "input_weights")
            .joined("input_weights", "neurons");
        if let Some(weights) = self.recurrent {
            graph = graph
                .with("recurrent_weights", linear([count, count], weights))
                .joined("neurons", "recurrent_weights")
                .joined("recurrent_weights", "neurons");
        }
        let Some(readout) = self.readout else { return Ok(graph.joined("neurons", "output")) };
        // The trace of the spikes of a step alone.
        let tau = WITHIN_A_STEP * step;
        let trace = [("tau", all(tau)), ("r", all(tau / step)), ("v_leak", all(0.0))];
        Ok(graph
            .with("spikes", Node::unit("LI", trace))
            .with("readout", readout.node())
            .joined("neurons", "spikes")
            .joined("spikes", "readout")
            .joined("readout", "output"))
    }
}

fn readout(tensors: &Tensors, modules: &Modules, count: usize) -> Result<Option<Linear>, ExchangeError> {
    let Some(name) = &modules.readout else { return Ok(None) };
    let readout = Linear::read(tensors, name)?;
    match readout.pre == count {
        true => Ok(Some(readout)),
        false => {
            let what = format!("it has {} inputs, but there are {count} neurons", readout.pre);
            Err(tensors.error(&format!("{name}.weight"), what))
        }
    }
}

/// Refuses tensors of the neurons' module that are not read: with them, the module does more.
fn check_all_read(tensors: &Tensors, modules: &Modules) -> Result<(), ExchangeError> {
    match tensors.unread(&format!("{}.", modules.neurons)) {
        Some(more) => {
            Err(tensors
                .error(more, "no neurons that are read have such a tensor; see docs/exchange.md for those that are"))
        }
        None => Ok(()),
    }
}

fn check_step(dt: f64) -> Result<(), ExchangeError> {
    if dt.is_finite() && dt > 0.0 {
        return Ok(());
    }
    Err(ExchangeError::Network(format!(
        "dt is {dt} ms, but must be above 0 and finite; give the step of the other library"
    )))
}

/// Weights between the neurons, `[post, pre]`.
fn between(tensors: &Tensors, name: &str, count: usize) -> Result<Vec<f64>, ExchangeError> {
    let (shape, weights) = tensors.matrix(name)?;
    if shape == [count, count] {
        return Ok(weights);
    }
    Err(tensors.error(name, format!("it is {shape:?}, but there are {count} neurons")))
}
