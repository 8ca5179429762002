//! State dicts of PyTorch libraries, as `safetensors.torch.save_file(model.state_dict(), path)`
//! writes them.
//!
//! A state dict has weights and some constants, but not how its modules are joined. So
//! [`Modules`] names the modules, and [`snntorch`] and [`norse`] know how their library steps. The
//! result is a [`Graph`], which [`Graph::import`] makes a network of, with spikes that are pulses
//! of one step ([`Spikes::Pulse`](crate::nir::Spikes)).
//!
//! # The steps of other libraries
//!
//! ```text
//! snnTorch    I_t = α I_{t−1} + x_t + W z_{t−1}      v_t = β v_{t−1} + I_t
//! Norse       I_t = α I_{t−1} + x_t + W z_{t−1}      v_t = β v_{t−1} + (1 − β) (v_leak + I_t)
//!             α = 1 − dt/τ_syn, β = 1 − dt/τ_mem
//! ```
//!
//! Neurons without a synapse (`Leaky`, `RLeaky`) have α = 0. The exact flow over a step is the same
//! map if τ_mem = −dt/ln β, τ_syn = −dt/ln α. So between spikes, potentials are equal up to
//! rounding. Resets differ: here the neuron is reset at its crossing, and the rest of the step goes
//! on. And a bias of the linear module before a synapse is a current from the first step on here,
//! while there it rises within τ_syn.

use crate::ExchangeError;
use crate::nir::{Field, Graph, Node};
use safetensors::{Dtype, SafeTensors};
use std::path::Path;

/// The modules of a model that become a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Modules {
    /// The linear module before the neurons, such as "fc1". For Norse's recurrent cells, which have
    /// input weights, `None`.
    pub input: Option<String>,
    /// The neurons, such as "lif1".
    pub neurons: String,
    /// The linear module after the neurons, if there is one. It reads the spikes of each step.
    pub readout: Option<String>,
}

/// The constants of Norse's neurons, which its state dicts do not have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NorseConstants {
    /// τ_mem, ms: 1000/`tau_mem_inv`.
    pub tau_mem: f64,
    /// τ_syn, ms: 1000/`tau_syn_inv`.
    pub tau_syn: f64,
    /// `v_leak`.
    pub leak: f64,
    /// `v_th`.
    pub threshold: f64,
    /// `v_reset`.
    pub reset: f64,
}

impl Default for NorseConstants {
    /// The constants of `LIFParameters()`.
    fn default() -> Self {
        Self { tau_mem: 10.0, tau_syn: 5.0, leak: 0.0, threshold: 1.0, reset: 0.0 }
    }
}

/// τ of a filter that forgets within a step, in steps: e^(−50) is nothing.
const WITHIN_A_STEP: f64 = 0.02;

/// The shape and the numbers of a tensor.
type Numbers = (Vec<usize>, Vec<f64>);

/// The tensors of a file.
struct Tensors<'a> {
    file: String,
    all: SafeTensors<'a>,
}

impl Tensors<'_> {
    fn error(&self, place: &str, what: impl Into<String>) -> ExchangeError {
        ExchangeError::File { file: self.file.clone(), place: place.into(), what: what.into() }
    }

    /// The shape and the numbers of a tensor; `None` if the file does not have it.
    fn get(&self, name: &str) -> Result<Option<Numbers>, ExchangeError> {
        let Ok(tensor) = self.all.tensor(name) else { return Ok(None) };
        let bytes = tensor.data();
        let numbers: Vec<f64> = match tensor.dtype() {
            Dtype::F32 => bytes.as_chunks().0.iter().map(|&four| f64::from(f32::from_le_bytes(four))).collect(),
            Dtype::F64 => bytes.as_chunks().0.iter().map(|&eight| f64::from_le_bytes(eight)).collect(),
            Dtype::I64 => bytes.as_chunks().0.iter().map(|&eight| i64::from_le_bytes(eight) as f64).collect(),
            other => {
                return Err(self.error(name, format!("it is {other:?}, but must be F32 or F64; save `model.float()`")));
            }
        };
        match numbers.iter().find(|x| !x.is_finite()) {
            Some(wrong) => Err(self.error(name, format!("it contains {wrong}, which is not finite"))),
            None => Ok(Some((tensor.shape().to_vec(), numbers))),
        }
    }

    fn wanted(&self, name: &str) -> Result<Numbers, ExchangeError> {
        self.get(name)?.ok_or_else(|| {
            let names: Vec<&str> = self.all.iter().map(|(name, _)| name).collect();
            self.error(name, format!("there is no such tensor; the file has {}", names.join(", ")))
        })
    }

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

/// Opens the tensors in the bytes of a file.
fn opened<'a>(bytes: &'a [u8], file: &Path) -> Result<Tensors<'a>, ExchangeError> {
    let file = file.display().to_string();
    match SafeTensors::deserialize(bytes) {
        Ok(all) => Ok(Tensors { file, all }),
        Err(error) => Err(ExchangeError::File {
            file,
            place: "the file".into(),
            what: format!("{error}; write it by safetensors.torch.save_file(model.state_dict(), path)"),
        }),
    }
}

/// Returns the names and the shapes of the tensors of a file, in the order of names.
///
/// # Errors
/// [`ExchangeError`] if the file is damaged.
pub fn tensors(file: impl AsRef<Path>) -> Result<Vec<(String, Vec<usize>)>, ExchangeError> {
    let file = file.as_ref();
    let bytes = read(file)?;
    let tensors = opened(&bytes, file)?;
    let mut all: Vec<_> =
        tensors.all.iter().map(|(name, tensor)| (name.to_string(), tensor.shape().to_vec())).collect();
    all.sort();
    Ok(all)
}

fn read(file: &Path) -> Result<Vec<u8>, ExchangeError> {
    std::fs::read(file).map_err(|error| ExchangeError::File {
        file: file.display().to_string(),
        place: "the file".into(),
        what: error.to_string(),
    })
}

/// Neurons of another library, one number for each.
struct Steps {
    /// `[post, pre]`.
    input: ([usize; 2], Vec<f64>),
    /// x of every step, besides the input.
    constant: Vec<f64>,
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
    readout: Option<([usize; 2], Vec<f64>, Vec<f64>)>,
}

impl Steps {
    /// The graph whose exact flow over `dt` ms is these steps.
    fn graph(self, dt: f64) -> Result<Graph, ExchangeError> {
        let step = 1e-3 * dt;
        let ([count, channels], input) = self.input;
        let all = |value: f64| Field::of(&[count], vec![value; count]);
        let Self { alpha, beta, gain, .. } = self;
        for (name, value, low, range) in [
            ("alpha (of the synapse)", alpha, 0.0, "[0, 1)"),
            ("beta (of the membrane)", beta, f64::MIN_POSITIVE, "(0, 1)"),
        ] {
            if !(low..1.0).contains(&value) {
                return Err(ExchangeError::Network(format!(
                    "{name} is {value}, but must be in {range}; take steps, here {dt} ms, shorter than tau_syn and tau_mem"
                )));
            }
        }
        let filter = |decay: f64| if decay > 0.0 { -step / decay.ln() } else { WITHIN_A_STEP * step };
        let (tau_mem, tau_syn) = (-step / beta.ln(), filter(alpha));
        // In a step, a constant current I adds (1 − β) r I to v.
        let r = gain / (1.0 - beta);
        let leak = self.constant.iter().map(|x| (self.rise + gain * x / (1.0 - alpha)) / (1.0 - beta)).collect();
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
        let outputs = self.readout.as_ref().map_or(count, |([outputs, _], ..)| *outputs);
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
        let Some((shape, weights, bias)) = self.readout else { return Ok(graph.joined("neurons", "output")) };
        // The trace of the spikes of a step alone.
        let tau = WITHIN_A_STEP * step;
        let trace = [("tau", all(tau)), ("r", all(tau / step)), ("v_leak", all(0.0))];
        let affine = [("weight", Field::of(&shape, weights)), ("bias", Field::of(&[shape[0]], bias))];
        Ok(graph
            .with("spikes", Node::unit("LI", trace))
            .with("readout", Node::unit("Affine", affine))
            .joined("neurons", "spikes")
            .joined("spikes", "readout")
            .joined("readout", "output"))
    }
}

/// The weights and the bias of the readout, if there is one.
type Readout = Option<([usize; 2], Vec<f64>, Vec<f64>)>;

fn readout(tensors: &Tensors<'_>, modules: &Modules, count: usize) -> Result<Readout, ExchangeError> {
    let Some(name) = &modules.readout else { return Ok(None) };
    let weight = format!("{name}.weight");
    let ([outputs, inputs], weights) = tensors.matrix(&weight)?;
    if inputs != count {
        return Err(tensors.error(&weight, format!("it has {inputs} inputs, but there are {count} neurons")));
    }
    Ok(Some(([outputs, inputs], weights, tensors.bias(&format!("{name}.bias"), outputs)?)))
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
fn between(tensors: &Tensors<'_>, name: &str, count: usize) -> Result<Vec<f64>, ExchangeError> {
    let (shape, weights) = tensors.matrix(name)?;
    if shape == [count, count] {
        return Ok(weights);
    }
    Err(tensors.error(name, format!("it is {shape:?}, but there are {count} neurons")))
}

/// Reads `Leaky`, `Synaptic`, `RLeaky` or `RSynaptic` of snnTorch, with the linear modules before
/// and after it.
///
/// - `dt`: what a step stands for, ms. snnTorch does not say.
///
/// # Errors
/// [`ExchangeError`] with the file, the tensor and the remedy, if the file is damaged, lacks a
/// tensor, or has constants that no layer has: a decay of each neuron, one-to-one recurrence, or no
/// reset.
pub fn snntorch(file: impl AsRef<Path>, modules: &Modules, dt: f64) -> Result<Graph, ExchangeError> {
    let file = file.as_ref();
    let bytes = read(file)?;
    snntorch_from(&bytes, file, modules, dt)
}

fn snntorch_from(bytes: &[u8], file: &Path, modules: &Modules, dt: f64) -> Result<Graph, ExchangeError> {
    check_step(dt)?;
    let tensors = opened(bytes, file)?;
    let Some(linear) = &modules.input else {
        return Err(ExchangeError::Network(
            "snnTorch's neurons have no input weights; name the linear module before them".into(),
        ));
    };
    let own = |name: &str| format!("{}.{name}", modules.neurons);
    let ([count, channels], input) = tensors.matrix(&format!("{linear}.weight"))?;
    let mut constant = tensors.bias(&format!("{linear}.bias"), count)?;
    let same = |name: &str| -> Result<f64, ExchangeError> {
        let name = own(name);
        let numbers = tensors.each(&name, count)?;
        match numbers.iter().find(|&&x| x != numbers[0]) {
            None => Ok(numbers[0]),
            Some(other) => Err(tensors
                .error(&name, format!("it has the values {} and {other}, but a layer has one for all", numbers[0]))),
        }
    };
    for (name, right, what) in [
        ("reset_mechanism_val", &[0.0, 1.0][..], "use reset_mechanism=\"zero\" or \"subtract\""),
        ("graded_spikes_factor", &[1.0], "use graded_spikes_factor=1"),
    ] {
        let found = tensors.get(&own(name))?.map_or(Vec::new(), |(_, numbers)| numbers);
        if let Some(wrong) = found.iter().find(|found| !right.contains(found)) {
            return Err(tensors.error(&own(name), format!("it is {wrong}, but must be one of {right:?}; {what}")));
        }
    }
    let alpha = if tensors.get(&own("alpha"))?.is_some() { same("alpha")? } else { 0.0 };
    if tensors.get(&own("recurrent.V"))?.is_some() {
        return Err(tensors.error(&own("recurrent.V"), "the recurrence is one to one; use all_to_all=True"));
    }
    let recurrent = match tensors.get(&own("recurrent.weight"))? {
        None => None,
        Some(_) => {
            let bias = tensors.bias(&own("recurrent.bias"), count)?;
            constant.iter_mut().zip(bias).for_each(|(sum, b)| *sum += b);
            Some(between(&tensors, &own("recurrent.weight"), count)?)
        }
    };
    Steps {
        input: ([count, channels], input),
        constant,
        recurrent,
        alpha,
        beta: same("beta")?,
        gain: 1.0,
        rise: 0.0,
        threshold: tensors.each(&own("threshold"), count)?,
        reset: 0.0,
        readout: readout(&tensors, modules, count)?,
    }
    .graph(dt)
}

/// Reads `LIFRecurrentCell` of Norse, or `LIFCell` with the linear module before it, and the linear
/// module after it.
///
/// - `dt`: the step of the cell, ms; 1 by default in Norse.
///
/// # Errors
/// [`ExchangeError`] with the file, the tensor and the remedy, if the file is damaged or lacks a
/// tensor, or if a step is too long for the constants.
pub fn norse(
    file: impl AsRef<Path>,
    modules: &Modules,
    constants: NorseConstants,
    dt: f64,
) -> Result<Graph, ExchangeError> {
    let file = file.as_ref();
    let bytes = read(file)?;
    check_step(dt)?;
    let tensors = opened(&bytes, file)?;
    let own = |name: &str| format!("{}.{name}", modules.neurons);
    let (([count, channels], input), constant) = match &modules.input {
        Some(linear) => {
            let weights = tensors.matrix(&format!("{linear}.weight"))?;
            let bias = tensors.bias(&format!("{linear}.bias"), weights.0[0])?;
            (weights, bias)
        }
        None => {
            let weights = tensors.matrix(&own("input_weights"))?;
            let none = vec![0.0; weights.0[0]];
            (weights, none)
        }
    };
    let recurrent = match tensors.get(&own("recurrent_weights"))? {
        Some(_) => Some(between(&tensors, &own("recurrent_weights"), count)?),
        None => None,
    };
    let NorseConstants { tau_mem, tau_syn, leak, threshold, reset } = constants;
    let beta = 1.0 - dt / tau_mem;
    Steps {
        input: ([count, channels], input),
        constant,
        recurrent,
        alpha: 1.0 - dt / tau_syn,
        beta,
        gain: 1.0 - beta,
        rise: (1.0 - beta) * leak,
        threshold: vec![threshold; count],
        reset,
        readout: readout(&tensors, modules, count)?,
    }
    .graph(dt)
}
