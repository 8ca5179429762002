//! A check of a layer's gradient against Burn's automatic differentiation of the same system, and
//! against central differences.
//!
//! Use it for a user-defined neuron, or if you doubt a gradient. The cost depends on every output
//! y: C = Σ (c + 0.3 y) y over traces, potentials, charges and the final state, with random
//! coefficients c. So an error in the gradient of any output changes the result. Strongly coupled
//! networks magnify rounding errors from step to step. Therefore check short runs (about ten steps)
//! of a few neurons.

use crate::layer::rnn::SpikingRnn;
use crate::layer::state::SpikingState;
use crate::scan::{Implementation, numbers};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{DType, Device, Gradients, Tensor, TensorData};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use thiserror::Error;

/// The relative differences |a − b|/max(|a|, |b|) of one gradient a from its two references b. |·|
/// is the Euclidean norm.
///
/// For automatic differentiation the denominator is at least 1e-7 of the norm of all gradients
/// together. A smaller gradient may consist of rounding errors only, from terms that cancel.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The parameter or input of this gradient: the path of a parameter in the layer, such as
    /// "input_weight" or "recurrent_weights.0", or "input", "v_0" or "s_0". If the run starts from
    /// the layer's learned start, "v_0" and "s_0" are missing. A parameter that the run does not
    /// use has the gradient 0.
    pub name: String,
    /// The norm of the layer's gradient.
    pub norm: f64,
    /// The difference from automatic differentiation of the same system.
    pub automatic: f64,
    /// The difference from central differences. `None` if central differences are unreliable: a
    /// change of h moves a spike to another step, the network magnifies the change so much that the
    /// differences do not converge, or the gradient is so small that rounding dominates them.
    pub central: Option<f64>,
}

/// The result of [`gradcheck`].
#[derive(Debug, Clone, PartialEq)]
pub struct GradientReport {
    /// One entry for each parameter and each input.
    pub differences: Vec<Difference>,
}

/// A gradient that differs from a reference by more than the tolerance.
#[derive(Debug, Clone, PartialEq, Error)]
#[error(
    "the gradient of {name} differs by {difference:e} from {from}, but may by {tolerance:e}; look at the slopes of the neuron's flow"
)]
pub struct GradientError {
    /// The name of the parameter or input, as in [`Difference::name`].
    pub name: String,
    /// The relative difference.
    pub difference: f64,
    /// The reference: automatic differentiation or central differences.
    pub from: &'static str,
    /// The largest difference allowed.
    pub tolerance: f64,
}

impl GradientReport {
    /// The largest difference from automatic differentiation, and the largest from central
    /// differences. The second is `None` if central differences are unreliable for all gradients.
    pub fn worst(&self) -> (f64, Option<f64>) {
        let automatic = self.differences.iter().map(|found| found.automatic).fold(0.0, f64::max);
        let central = self.differences.iter().filter_map(|found| found.central).reduce(f64::max);
        (automatic, central)
    }

    /// Checks that no gradient differs by more than `automatic` from automatic differentiation
    /// (1e-9 is a good tolerance), or by more than `central` from central differences (1e-6).
    ///
    /// # Errors
    /// [`GradientError`] for the first gradient that does.
    pub fn check(&self, automatic: f64, central: f64) -> Result<(), GradientError> {
        for found in &self.differences {
            let pairs = [
                (Some(found.automatic), "automatic differentiation", automatic),
                (found.central, "central differences", central),
            ];
            for (difference, from, tolerance) in pairs {
                if let Some(difference) = difference
                    && difference > tolerance
                {
                    return Err(GradientError { name: found.name.clone(), difference, from, tolerance });
                }
            }
        }
        Ok(())
    }
}

/// The step h of the central differences, in units of the membrane potential. Differences with
/// steps h and h/2 are extrapolated to step 0, and so are those with steps h/2 and h/4.
const H: f64 = 2e-5;
/// The largest relative difference of the two extrapolations. If they differ more, they are
/// unreliable because of rounding or a kink.
const SETTLED: f64 = 2e-7;

/// The lower bound of a gradient's norm in relative differences, as a share of the norm of all
/// gradients. A rounding error of 1e-16 of that norm then counts as a relative difference of 1e-9.
const LEAST: f64 = 1e-7;

/// One parameter or input, with the value at which its gradient is checked.
#[derive(Clone)]
struct Value {
    name: String,
    numbers: Vec<f64>,
    shape: Vec<usize>,
}

impl Value {
    fn of<const D: usize>(name: impl Into<String>, tensor: Tensor<D>) -> Self {
        Self { name: name.into(), shape: tensor.dims().to_vec(), numbers: numbers(tensor) }
    }

    fn tensor<const D: usize>(&self, device: &Device, track: bool) -> Tensor<D> {
        let data = TensorData::new(self.numbers.clone(), self.shape.clone());
        let tensor = Tensor::from_data(data, (device, DType::F64));
        if track { tensor.require_grad() } else { tensor }
    }
}

/// The point at which the gradient is checked: the layer's parameters, in the order in which Burn
/// visits them, and then the input and the initial state.
#[derive(Clone)]
struct Point<'a> {
    layer: &'a SpikingRnn,
    values: Vec<Value>,
    /// The number of parameters among the values.
    parameters: usize,
    seed: u64,
}

/// Lists the parameters of a layer.
#[derive(Default)]
struct List {
    path: Vec<String>,
    values: Vec<Value>,
}

impl ModuleVisitor for List {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.into());
    }
    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.values.push(Value::of(self.path.join("."), param.val()));
    }
}

/// Puts values into the parameters of a layer, in the order of [`List`].
struct Fill<'a> {
    values: std::slice::Iter<'a, Value>,
    device: &'a Device,
    track: bool,
}

impl ModuleMapper for Fill<'_> {
    fn map_float<const D: usize>(&mut self, _param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let value = self.values.next().expect("one value for each parameter");
        Param::from_tensor(value.tensor(self.device, self.track))
    }
}

/// Collects the gradients of a layer's parameters, in the order of [`List`].
struct Collect<'a> {
    gradients: &'a Gradients,
    found: Vec<Vec<f64>>,
}

impl Collect<'_> {
    fn add<const D: usize>(&mut self, tensor: &Tensor<D>) {
        let gradient = tensor.grad(self.gradients).unwrap_or_else(|| tensor.clone().inner().zeros_like());
        self.found.push(numbers(gradient));
    }
}

impl ModuleVisitor for Collect<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.add(&param.val());
    }
}

/// The tensors with gradients.
struct Leaves {
    layer: SpikingRnn,
    input: Tensor<3>,
    /// `None` if the run starts from the layer's learned start.
    state: Option<SpikingState>,
}

fn norm(x: &mut dyn Iterator<Item = f64>) -> f64 {
    x.map(|x| x * x).sum::<f64>().sqrt()
}

/// |a − b|/max(|a|, |b|, least), or infinity if any number is not finite.
fn distance(a: &[f64], b: &[f64], least: f64) -> f64 {
    if !a.iter().chain(b).all(|x| x.is_finite()) {
        return f64::INFINITY;
    }
    let scale = norm(&mut a.iter().copied()).max(norm(&mut b.iter().copied())).max(least);
    if scale == 0.0 { 0.0 } else { norm(&mut a.iter().zip(b).map(|(a, b)| a - b)) / scale }
}

impl<'a> Point<'a> {
    fn new(layer: &'a SpikingRnn, input: Tensor<3>, state: Option<SpikingState>, seed: u64) -> Self {
        let mut list = List::default();
        layer.visit(&mut list);
        let mut values = list.values;
        let parameters = values.len();
        values.push(Value::of("input", input));
        if let Some(SpikingState { v, s }) = state {
            values.extend([Value::of("v_0", v), Value::of("s_0", s)]);
        }
        Self { layer, values, parameters, seed }
    }

    /// The tensors on a device, with gradients if `track` is set.
    fn leaves(&self, device: &Device, track: bool) -> Leaves {
        let (parameters, inputs) = self.values.split_at(self.parameters);
        let mut fill = Fill { values: parameters.iter(), device, track };
        let layer = self.layer.clone().recording_all().to_device(device).map(&mut fill);
        let state = match inputs {
            [_, v, s] => Some(SpikingState { v: v.tensor(device, track), s: s.tensor(device, track) }),
            _ => None,
        };
        Leaves { layer, input: inputs[0].tensor(device, track), state }
    }

    /// The cost C and all potentials.
    fn cost(&self, leaves: &Leaves, reference: bool) -> (Tensor<1>, Tensor<3>) {
        let (input, state) = (leaves.input.clone(), leaves.state.clone());
        let (trajectory, last) = match reference {
            true => leaves.layer.clone().with_implementation(Implementation::Autodiff).forward(input, state),
            false => leaves.layer.forward(input, state),
        };
        let v = trajectory.v.expect("the layer records");
        let charge = trajectory.charge.expect("the layer records");
        let mut outputs: Vec<Tensor<1>> = trajectory.traces.into_iter().map(|trace| trace.flatten(0, 2)).collect();
        outputs.extend(trajectory.w.map(|w| w.flatten(0, 2)));
        outputs.extend([v.clone().flatten(0, 2), charge.flatten(0, 2), last.v.flatten(0, 1), last.s.flatten(0, 2)]);
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        let costs = outputs.into_iter().map(|y| {
            let c: Vec<f64> = (0..y.dims()[0]).map(|_| random.random_range(-1.0..1.0)).collect();
            let c = Tensor::<1>::from_data(TensorData::from(c.as_slice()), (&y.device(), DType::F64));
            ((c + y.clone() * 0.3) * y).sum()
        });
        (costs.reduce(|a, b| a + b).expect("there are outputs"), v)
    }

    /// All gradients, from the scan's adjoint or, if `reference` is set, from automatic
    /// differentiation.
    fn gradients(&self, reference: bool) -> Vec<Vec<f64>> {
        let device = self.layer.device().inner().autodiff();
        let leaves = self.leaves(&device, true);
        let gradients = self.cost(&leaves, reference).0.backward();
        let mut collect = Collect { gradients: &gradients, found: Vec::new() };
        leaves.layer.visit(&mut collect);
        collect.add(&leaves.input);
        if let Some(SpikingState { v, s }) = &leaves.state {
            collect.add(v);
            collect.add(s);
        }
        collect.found
    }

    /// One of the gradients by central differences; `None` if they are unreliable.
    fn central(&self, which: usize) -> Option<Vec<f64>> {
        let device = self.layer.device().inner();
        let run = |point: &Point| {
            let (cost, v) = point.cost(&point.leaves(&device, false), false);
            (cost.into_scalar::<f64>(), numbers(v))
        };
        let (cost, potentials) = run(self);
        // A weight or bias current of 1 moves the potential by dt/τ_u in a step.
        let config = self.layer.config();
        let is_current = ["input_weight", "bias", "recurrent_weights", "self_weights"]
            .iter()
            .any(|name| self.values[which].name.starts_with(name));
        let h = match is_current {
            true => H * config.time_unit_ms() / config.dt,
            // Between two steps, a current is a linear function of its delay.
            false if self.values[which].name.starts_with("delay_logits") => 10.0 * H,
            false => H,
        };
        let mut point = self.clone();
        let mut slope_at = |at: usize, h: f64| {
            let x = self.values[which].numbers[at];
            let mut cost_at = |x: f64| {
                point.values[which].numbers[at] = x;
                let (cost, v) = run(&point);
                // A change of h can move v by about 1 only through a reset.
                v.iter().zip(&potentials).all(|(a, b)| (a - b).abs() < 0.5).then_some(cost)
            };
            let slope = cost_at(x + h).zip(cost_at(x - h)).map(|(above, below)| (above - below) / (2.0 * h));
            point.values[which].numbers[at] = x;
            slope
        };
        let extrapolated = |(whole, half): (f64, f64)| (4.0 * half - whole) / 3.0;
        let mut both = |at: usize| {
            let [whole, half, quarter] = [h, 0.5 * h, 0.25 * h].map(|h| slope_at(at, h));
            Some((extrapolated((whole?, half?)), extrapolated((half?, quarter?))))
        };
        let pairs: Option<Vec<(f64, f64)>> = (0..self.values[which].numbers.len()).map(&mut both).collect();
        let (coarse, fine): (Vec<f64>, Vec<f64>) = pairs?.into_iter().unzip();
        // If rounding of the cost dominates a gradient, the two extrapolations may agree by chance.
        let rounding = 4.0 * f64::EPSILON * cost.abs().max(1.0) / (0.25 * h) * (fine.len() as f64).sqrt();
        let heard = rounding < SETTLED * fine.iter().map(|x| x * x).sum::<f64>().sqrt();
        (heard && distance(&coarse, &fine, 0.0) < SETTLED).then_some(fine)
    }
}

/// Checks a layer's gradient on one input.
///
/// - `input`: `[B, T, C]`, or `[T, B, C]` if the layer is not `batch_first`.
/// - `state`: the initial state. If it is `None`, the run starts from the layer's learned start, or
///   else from potentials in [0, 1) that are drawn from `seed`.
/// - `seed`: the seed of the cost's coefficients.
///
/// # Panics
/// If the layer is not in double precision, and in the cases of [`SpikingRnn::forward`].
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{DType, Device, Distribution, Tensor};
/// use burn_spiking::{SpikingRnnConfig, gradcheck::gradcheck};
///
/// let options = (&Device::flex(), DType::F64);
/// let layer = SpikingRnnConfig::new(2, 5).init(options)?;
/// let input = Tensor::random([2, 10, 2], Distribution::Normal(0.0, 1.0), options);
/// gradcheck(&layer, input, None, 0).check(1e-9, 1e-6).expect("the gradient is exact");
/// # }
/// # Ok::<(), burn_spiking::ConfigError>(())
/// ```
pub fn gradcheck(layer: &SpikingRnn, input: Tensor<3>, state: Option<SpikingState>, seed: u64) -> GradientReport {
    let dtype = layer.input_weight.val().dtype();
    assert_eq!(
        dtype,
        DType::F64,
        "a gradient is checked in double precision, but the layer is {dtype:?}; initialise it with (&device, DType::F64)"
    );
    let [batch, ..] = layer.config().in_layout(input.clone()).dims();
    let drawn = || layer.start_v.is_none().then(|| layer.random_state(batch, 0.0, 1.0, seed));
    let state = state.or_else(drawn).map(|state| layer.complete_state(Some(state), batch));
    let point = Point::new(layer, input, state, seed);
    let (op, automatic) = (point.gradients(false), point.gradients(true));
    let least = LEAST * norm(&mut automatic.iter().flatten().copied());
    let differences = (0..point.values.len()).map(|at| Difference {
        name: point.values[at].name.clone(),
        norm: norm(&mut op[at].iter().copied()),
        automatic: distance(&op[at], &automatic[at], least),
        central: point.central(at).map(|central| distance(&op[at], &central, 0.0)),
    });
    GradientReport { differences: differences.collect() }
}
