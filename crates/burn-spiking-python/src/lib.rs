//! The scan of [`burn_spiking`] and its adjoint as functions on NumPy arrays, for the Python
//! package `burn_spiking`.
//!
//! An array that goes in is read where it lies, and an array that comes out owns the memory to
//! which the kernel wrote. Python's lock is released while the kernel runs.

mod arrays;

use arrays::{Array, Given, array, tensor};
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::Device;
use burn_spiking::scan::{
    AdjointRequest, GradientMask, OptionalTensor, OutputGradients, ScanInputs, ScanPlan, ScanTape, SpikingBackend,
};
use burn_spiking::{Gate, InitialWeights, Neuron, SpikingRnnConfig, Synapse};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Everything about a network except its tensors: neuron, gate, synapse types and time step.
#[pyclass(frozen, module = "burn_spiking")]
struct Plan {
    plan: Arc<ScanPlan>,
    unit: f64,
    rest: f64,
    initial: InitialWeights,
}

/// What a run keeps for its adjoint.
#[pyclass(frozen, module = "burn_spiking")]
struct Tape {
    inputs: ScanInputs<Flex>,
    tape: ScanTape<Flex>,
}

/// Reads a part of a plan that Python wrote.
macro_rules! read {
    ($what:literal, $json:expr) => {
        serde_json::from_str($json)
            .map_err(|error| PyValueError::new_err(format!("{} {} cannot be read: {error}", $what, $json)))
    };
}

/// Runs a kernel without Python's lock. A panic, such as that of a value that is not finite,
/// becomes an error.
fn without_lock<R: Send>(py: Python<'_>, run: impl FnOnce() -> R + Send) -> PyResult<R> {
    let outcome = py.detach(|| catch_unwind(AssertUnwindSafe(run)));
    outcome.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned().or(panic.downcast_ref::<&str>().map(|s| s.to_string()));
        PyValueError::new_err(text.unwrap_or_else(|| "the scan failed".into()))
    })
}

/// Returns an error if a tensor has another shape than the run needs.
fn fits(name: &str, found: &Given, wanted: &[usize]) -> PyResult<()> {
    let found = found.shape().to_vec();
    if found == wanted {
        return Ok(());
    }
    Err(PyValueError::new_err(format!("{name} is {found:?}, but must be {wanted:?}")))
}

/// The trajectory and the final state of a run: traces, v, charge, last v, last s, and the tape.
type Run<'py> = (Array<'py>, Array<'py>, Array<'py>, Array<'py>, Array<'py>, Option<Tape>);

/// The gradients of the input, the projection, the bias, the weights, the self-weights, v_0 and
/// s_0.
type Gradients<'py> = [Array<'py>; 7];

#[pymethods]
impl Plan {
    /// Neuron, gate and synapse types are JSON, as the library writes them.
    #[new]
    #[pyo3(signature = (neuron, gate, synapses, dt, record_v = false, record_charge = false))]
    fn new(
        neuron: &str,
        gate: &str,
        synapses: &str,
        dt: f64,
        record_v: bool,
        record_charge: bool,
    ) -> PyResult<Self> {
        let neuron: Neuron = read!("the neuron", neuron)?;
        let gate: Gate = read!("the gate", gate)?;
        let synapses: Vec<Synapse> = read!("the list of synapse types", synapses)?;
        let config = SpikingRnnConfig::new(1, 1)
            .with_neuron(neuron)
            .with_gate(gate)
            .with_synapses(synapses)
            .with_dt(dt)
            .with_record_v(record_v)
            .with_record_charge(record_charge);
        let layer = config.init(&Device::flex()).map_err(|error| PyValueError::new_err(error.to_string()))?;
        if config.synapses.iter().any(|synapse| synapse.learned_delays.is_some()) {
            return Err(PyValueError::new_err("learned delays are not part of the op; give a fixed delay"));
        }
        let unit = config.time_unit_ms();
        Ok(Self {
            plan: layer.plan().clone(),
            unit,
            rest: config.neuron.resting_potential(),
            initial: InitialWeights::of(&config.neuron, unit),
        })
    }

    /// The time unit of a layer's parameters, in ms.
    #[getter]
    fn time_unit(&self) -> f64 {
        self.unit
    }

    /// The potential at rest.
    #[getter]
    fn resting_potential(&self) -> f64 {
        self.rest
    }

    /// The sizes of a new layer's parameters: (input, recurrent, bias).
    #[getter]
    fn initial(&self) -> (f64, f64, f64) {
        let InitialWeights { input, recurrent, bias } = self.initial;
        (input, recurrent, bias)
    }

    /// H, the rows of a state besides v.
    #[getter]
    fn state_rows(&self) -> usize {
        self.plan.state_rows()
    }

    /// The number of recorded traces.
    #[getter]
    fn traces(&self) -> usize {
        self.plan.readout_traces()
    }

    /// M, the number of weight planes.
    #[getter]
    fn weight_planes(&self) -> usize {
        self.plan.weight_planes()
    }

    /// L, the number of rows of self-weights.
    #[getter]
    fn self_weight_rows(&self) -> usize {
        self.plan.self_weight_rows()
    }

    /// Runs all time steps. Currents are in 1/ms.
    ///
    /// Without a projection, the input is the drive, `[B, T, N]`; with one, `[B, T, C]`.
    #[pyo3(signature = (input, projection, bias, weights, self_weights, v0, s0, keep))]
    #[allow(clippy::too_many_arguments)]
    fn forward<'py>(
        &self,
        py: Python<'py>,
        input: &Bound<'py, PyAny>,
        projection: Option<&Bound<'py, PyAny>>,
        bias: Option<&Bound<'py, PyAny>>,
        weights: Option<&Bound<'py, PyAny>>,
        self_weights: Option<&Bound<'py, PyAny>>,
        v0: &Bound<'py, PyAny>,
        s0: &Bound<'py, PyAny>,
        keep: bool,
    ) -> PyResult<Run<'py>> {
        let input = tensor("input", input)?;
        let optional = |name, given: Option<&Bound<'py, PyAny>>| given.map(|given| tensor(name, given)).transpose();
        let (projection, bias) = (optional("projection", projection)?, optional("bias", bias)?);
        let (weights, self_weights) = (optional("weights", weights)?, optional("self_weights", self_weights)?);
        let (v0, s0) = (tensor("v0", v0)?, tensor("s0", s0)?);
        let &[batch, steps, channels] = &*input.shape() else {
            return Err(PyValueError::new_err("the input must be [batch, steps, channels]"));
        };
        if batch * steps * channels == 0 {
            return Err(PyValueError::new_err(format!(
                "the input has {batch} samples of {steps} steps and {channels} channels, but needs at least 1 of each"
            )));
        }
        let neurons = match &projection {
            Some(projection) => *projection.shape().last().unwrap_or(&0),
            None => channels,
        };
        let plan = &self.plan;
        let (planes, rows) = (plan.weight_planes(), plan.self_weight_rows());
        fits("v0", &v0, &[batch, neurons])?;
        fits("s0", &s0, &[batch, plan.state_rows(), neurons])?;
        projection.iter().try_for_each(|projection| fits("projection", projection, &[channels, neurons]))?;
        bias.iter().try_for_each(|bias| fits("bias", bias, &[neurons]))?;
        for (name, given, count, wanted) in [
            ("weights", &weights, planes, vec![planes, neurons, neurons]),
            ("self_weights", &self_weights, rows, vec![rows, neurons]),
        ] {
            match given {
                Some(given) => fits(name, given, &wanted)?,
                None if count == 0 => {}
                None => return Err(PyValueError::new_err(format!("{name} are missing; give {wanted:?}"))),
            }
        }
        if bias.is_some() && projection.is_none() {
            return Err(PyValueError::new_err("a bias goes with a projection; add it to a drive that has none"));
        }
        let others = [&projection, &bias, &weights, &self_weights].into_iter().flatten().chain([&v0, &s0]);
        for other in others {
            if other.dtype() != input.dtype() {
                return Err(PyValueError::new_err(format!(
                    "the input is {:?}, but another array is {:?}; give all in one precision",
                    input.dtype(),
                    other.dtype()
                )));
            }
        }
        let inputs = ScanInputs {
            drive: input,
            projection: projection.into(),
            bias: bias.into(),
            weights: weights.into(),
            self_weights: self_weights.into(),
            v0,
            s0,
            readout: OptionalTensor::Absent,
            activity_weight: OptionalTensor::Absent,
            constants: OptionalTensor::Absent,
        };
        let (plan, again) = (self.plan.clone(), inputs.clone());
        let output = without_lock(py, move || Flex::spiking_scan(again, plan, keep))?;
        let tape = keep.then_some(Tape { inputs, tape: output.tape });
        Ok((
            array(py, output.traces.into_option())?,
            array(py, output.v.into_option())?,
            array(py, output.charge.into_option())?,
            array(py, Some(output.last_v))?,
            array(py, Some(output.last_s))?,
            tape,
        ))
    }

    /// Runs the adjoint of a run. A gradient that is `None` is 0. `wanted` has a flag for each of
    /// the input, the projection, the bias, the weights, the self-weights and s_0.
    #[allow(clippy::too_many_arguments)]
    fn adjoint<'py>(
        &self,
        py: Python<'py>,
        tape: &Tape,
        traces: Option<&Bound<'py, PyAny>>,
        v: Option<&Bound<'py, PyAny>>,
        charge: Option<&Bound<'py, PyAny>>,
        last_v: Option<&Bound<'py, PyAny>>,
        last_s: Option<&Bound<'py, PyAny>>,
        wanted: [bool; 6],
    ) -> PyResult<Gradients<'py>> {
        let [batch, steps, _] = tape.inputs.drive.shape().dims::<3>();
        let neurons = tape.inputs.v0.shape()[1];
        let planes = self.plan.recorded_planes();
        let slot = |name, given: Option<&Bound<'py, PyAny>>, wanted: &[usize]| -> PyResult<OptionalTensor<Flex>> {
            let given = given.map(|given| tensor(name, given)).transpose()?;
            given.iter().try_for_each(|given| fits(name, given, wanted))?;
            Ok(given.into())
        };
        let gradients = OutputGradients {
            traces: slot("the gradient of the traces", traces, &[planes, batch, steps, neurons])?,
            v: slot("the gradient of v", v, &[batch, steps, neurons])?,
            charge: slot("the gradient of the charges", charge, &[batch, steps, neurons])?,
            readout: OptionalTensor::Absent,
            activity: OptionalTensor::Absent,
            last_v: slot("the gradient of the last v", last_v, &[batch, neurons])?,
            last_s: slot("the gradient of the last s", last_s, &[batch, self.plan.state_rows(), neurons])?,
        };
        let there = |slot: &OptionalTensor<Flex>| slot.as_option().is_some();
        let (inputs, [drive, projection, bias, weights, self_weights, s0]) = (tape.inputs.clone(), wanted);
        let mask = GradientMask {
            drive,
            projection: projection && there(&inputs.projection),
            bias: bias && there(&inputs.bias),
            weights: weights && there(&inputs.weights),
            self_weights: self_weights && there(&inputs.self_weights),
            s0,
            readout: false,
            constants: false,
        };
        let request = AdjointRequest { inputs, tape: tape.tape.clone(), gradients };
        let plan = self.plan.clone();
        let found = without_lock(py, move || Flex::spiking_scan_adjoint(request, plan, mask))?;
        Ok([
            array(py, found.drive.into_option())?,
            array(py, found.projection.into_option())?,
            array(py, found.bias.into_option())?,
            array(py, found.weights.into_option())?,
            array(py, found.self_weights.into_option())?,
            array(py, Some(found.v0))?,
            array(py, found.s0.into_option())?,
        ])
    }
}

/// The compiled part of the package `burn_spiking`.
#[pymodule]
fn _op(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Plan>()?;
    module.add_class::<Tape>()
}
