//! The cost of a readout that should follow a target, and costs on potentials, activity and rates.
//!
//! ```text
//! C = mean over batch and time of (m Σ_outputs |o − o_d|² + λ Σ_neurons |ŝ|²)/2
//! ```
//!
//! m is the weight of a step, 1 unless given. If samples end at different steps, the steps after a
//! sample's end cost nothing, and the mean is over the samples' own steps. A [`Trajectory`] and a
//! [`NetworkOutput`] know these steps.
//!
//! Source: Huh & Sejnowski 2017, l = (|o − o_d|² + λ |s|²)/2.

use crate::error::ConfigError;
use crate::layer::network::NetworkOutput;
use crate::layer::sequence::Timing;
use crate::layer::trajectory::Trajectory;
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Tensor, assert_shape};

/// Configuration of a [`TrackingLoss`].
#[derive(Config, Debug, PartialEq)]
pub struct TrackingLossConfig {
    /// λ, the weight of the activity. Default: 0.
    #[config(default = 0.0)]
    pub lambda: f64,
}

impl TrackingLossConfig {
    /// Initialises the loss.
    ///
    /// # Errors
    /// If λ is negative, infinite or NaN.
    pub fn init(&self) -> Result<TrackingLoss, ConfigError> {
        if !(self.lambda.is_finite() && self.lambda >= 0.0) {
            return Err(ConfigError::OutOfRange {
                name: "lambda".into(),
                value: self.lambda,
                limit: "at least 0 and finite".into(),
                remedy: "use 0 for no cost on activity".into(),
            });
        }
        Ok(TrackingLoss { lambda: self.lambda })
    }
}

/// The squared distance from a target, and a cost on activity. Should be created with
/// [`TrackingLossConfig`].
#[derive(Module, Debug)]
pub struct TrackingLoss {
    /// λ.
    pub lambda: f64,
}

impl TrackingLoss {
    /// The cost, `[1]`.
    ///
    /// - `output`, `target`: `[B, T, O]`.
    /// - `trace`: the readout's trace, `[B, T, N]`.
    ///
    /// # Panics
    /// If the shapes do not match.
    pub fn forward(&self, output: Tensor<3>, target: Tensor<3>, trace: Tensor<3>) -> Tensor<1> {
        self.trace_cost(output, target, None, trace, None)
    }

    /// Like [`forward`](Self::forward), with a weight for each step.
    ///
    /// - `output`, `target`: `[B, T, O]`.
    /// - `weight`: m, `[B, T]`.
    /// - `trace`: the readout's trace, `[B, T, N]`.
    ///
    /// # Panics
    /// If the shapes do not match.
    pub fn forward_weighted(
        &self,
        output: Tensor<3>,
        target: Tensor<3>,
        weight: Tensor<2>,
        trace: Tensor<3>,
    ) -> Tensor<1> {
        self.trace_cost(output, target, Some(weight), trace, None)
    }

    /// The cost, `[1]`, of a readout of a [`SpikingRnn`](crate::SpikingRnn)'s trajectory, over each
    /// sample's own steps. All tensors have the layer's layout.
    ///
    /// - `output`, `target`: `[B, T, O]`.
    /// - `weight`: m, `[B, T]`; 1 if `None`.
    /// - `trajectory`: a trajectory with one trace.
    ///
    /// # Panics
    /// If the shapes do not match, or if the trajectory has no trace or several traces.
    pub fn forward_layer(
        &self,
        output: Tensor<3>,
        target: Tensor<3>,
        weight: Option<Tensor<2>>,
        trajectory: &Trajectory,
    ) -> Tensor<1> {
        self.trace_cost(output, target, weight, trajectory.clone().trace(), Some(trajectory.timing()))
    }

    /// The cost, `[1]`, of a [`SpikingNetwork`](crate::SpikingNetwork)'s output, over each sample's
    /// own steps. The activity of the output replaces the sum over the trace. All tensors have the
    /// layer's layout.
    ///
    /// - `run`: output `[B, T, O]` and activity `[B]`.
    /// - `target`: `[B, T, O]`.
    /// - `weight`: m, `[B, T]`; 1 if `None`.
    ///
    /// # Panics
    /// If the shapes do not match.
    pub fn forward_network(&self, run: NetworkOutput, target: Tensor<3>, weight: Option<Tensor<2>>) -> Tensor<1> {
        let timing = run.timing().clone();
        self.cost(run.output, target, weight, Some(&timing), || run.activity.sum())
    }

    fn trace_cost(
        &self,
        output: Tensor<3>,
        target: Tensor<3>,
        weight: Option<Tensor<2>>,
        trace: Tensor<3>,
        timing: Option<&Timing>,
    ) -> Tensor<1> {
        let [batch, steps, _] = output.dims();
        assert_shape!(trace, [batch, steps, _]);
        self.cost(output, target, weight, timing, || trace.square().sum())
    }

    fn cost(
        &self,
        output: Tensor<3>,
        target: Tensor<3>,
        weight: Option<Tensor<2>>,
        timing: Option<&Timing>,
        activity: impl FnOnce() -> Tensor<1>,
    ) -> Tensor<1> {
        let [batch, steps, outputs] = output.dims();
        assert_shape!(target, [batch, steps, outputs]);
        let half_mean = half_mean(timing, &output);
        let mut error = output - target;
        if let Some(timing) = timing {
            error = timing.cut(error);
        }
        error = error.square();
        if let Some(weight) = weight {
            assert_shape!(weight, [batch, steps]);
            let weight = timing.map_or_else(|| weight.clone(), |timing| timing.cut(weight.clone()));
            error = error * weight.unsqueeze_dim(2);
        }
        let error = error.sum();
        if self.lambda == 0.0 {
            return error * half_mean;
        }
        (error + activity() * self.lambda) * half_mean
    }
}

/// Half the share of one step in a mean over batch and time. It is a factor and not a divisor,
/// because Burn differentiates a division by a number in single precision.
fn half_mean(timing: Option<&Timing>, series: &Tensor<3>) -> f64 {
    let [batch, steps, _] = series.dims();
    0.5 / timing.map_or(batch * steps, |timing| timing.steps_of_all(series)) as f64
}

/// A cost on membrane potentials below a floor.
///
/// ```text
/// C = mean over batch and time of κ Σ_neurons max(floor − v, 0)²/2
/// ```
///
/// The membrane potential of a neuron without a restoring force, such as
/// [`Nif`](crate::neuron::Nif), may drift so far below its reset that the neuron never spikes
/// again. It then sends no charge, and no error reaches it. The gradient of this cost reaches it
/// through its potential.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PotentialFloor {
    /// The membrane potential below which the cost starts, in units of the distance from reset (0)
    /// to threshold (1).
    pub floor: f64,
    /// κ.
    pub weight: f64,
}

impl PotentialFloor {
    /// The cost, `[1]`, of the potentials of a run, over each sample's own steps.
    ///
    /// # Panics
    /// If the trajectory has no potentials.
    pub fn forward(&self, trajectory: &Trajectory) -> Tensor<1> {
        let (v, timing) = (trajectory.potentials("costs of low potentials"), trajectory.timing());
        // After a sample's end the potentials are 0, which may lie below the floor.
        let below = timing.cut((-v.clone() + self.floor).clamp_min(0.0));
        below.square().sum() * (half_mean(Some(timing), v) * self.weight)
    }
}

/// A cost on activity at rest: between the rounds of a task, the network should return to its
/// background state.
///
/// ```text
/// C = mean over batch and time of κ r_t Σ_neurons |ŝ|²/2        r_t = 1 at rest, else 0
/// ```
///
/// It works for trials and for chunks of streams. If a network answers repeatedly, the activity
/// that holds one answer must end before the next question. A cost at all times (λ of
/// [`TrackingLoss`]) would also suppress memories.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RestCost {
    /// κ; 0 turns the cost off.
    pub weight: f64,
}

impl RestCost {
    /// The weights m = λ + κ r, `[B, T]`, for
    /// [`forward_weighted`](crate::SpikingNetwork::forward_weighted). The activity of its output
    /// then contains both costs on activity, the one at all times and the one at rest. Give the
    /// output to a [`TrackingLoss`] of λ = 1. No trajectory is kept.
    ///
    /// - `rest`: r, `[B, T]`.
    /// - `lambda`: λ, the cost of activity at all times.
    pub fn activity_weight(&self, rest: Tensor<2>, lambda: f64) -> Tensor<2> {
        rest * self.weight + lambda
    }

    /// The cost, `[1]`, of the trace of a run, over each sample's own steps.
    /// - `trajectory`: a trajectory with one trace.
    /// - `rest`: r, `[B, T]`, in the layout of the trajectory's first two axes.
    ///
    /// # Panics
    /// If the shapes do not match, or if the trajectory has no trace or several traces.
    pub fn forward(&self, trajectory: &Trajectory, rest: Tensor<2>) -> Tensor<1> {
        let trace = trajectory.clone().trace();
        let [batch, steps, _] = trace.dims();
        assert_shape!(rest, [batch, steps]);
        let unit = half_mean(Some(trajectory.timing()), &trace) * self.weight;
        let rest = trajectory.timing().cut(rest);
        (trace.square() * rest.unsqueeze_dim(2)).sum() * unit
    }
}

/// Configuration of [`RateBounds`].
#[derive(Config, Debug, PartialEq)]
pub struct RateBoundsConfig {
    /// The lower bound on a neuron's mean rate over the batch, Hz. Default: 0, no bound.
    #[config(default = 0.0)]
    pub lower_hz: f64,
    /// The upper bound on a neuron's rate in each sample, Hz. Default: no bound.
    pub upper_hz: Option<f64>,
    /// κ, the weight of the cost, 1/Hz². Default: 1e-4.
    #[config(default = 1e-4)]
    pub weight: f64,
}

impl RateBoundsConfig {
    /// Initialises the cost.
    ///
    /// # Errors
    /// If a bound or the weight is negative, infinite or NaN, or if the upper bound is not above
    /// the lower.
    pub fn init(&self) -> Result<RateBounds, ConfigError> {
        let &Self { lower_hz, upper_hz, weight } = self;
        let told = |name: &str, value: f64, limit: String, remedy: &str| {
            Err(ConfigError::OutOfRange { name: name.into(), value, limit, remedy: remedy.into() })
        };
        if !(lower_hz.is_finite() && lower_hz >= 0.0) {
            return told("lower_hz", lower_hz, "at least 0 and finite".into(), "use 0 for no lower bound");
        }
        if let Some(upper) = upper_hz.filter(|upper| !(upper.is_finite() && *upper > lower_hz)) {
            let limit = format!("above lower_hz = {lower_hz} and finite");
            return told("upper_hz", upper, limit, "use None for no upper bound");
        }
        if !(weight.is_finite() && weight >= 0.0) {
            return told("weight", weight, "at least 0 and finite".into(), "use 0 for no cost");
        }
        Ok(RateBounds { lower_hz, upper_hz, weight })
    }
}

/// A cost on firing rates outside their bounds. Should be created with [`RateBoundsConfig`].
///
/// ```text
/// C = κ/2 · mean over neurons of (max(lower − r̄_j, 0)²
///                                 + mean over the batch of max(r_bj − upper, 0)²)
/// ```
///
/// r_bj is the rate of neuron j over the steps of sample b. r̄_j is its mean over the batch, in
/// which all samples have the same weight. The gradient of the lower bound reaches a neuron through
/// the gate, so it acts only on a neuron whose potential enters the active zone from time to time.
/// For neurons that never enter it, see [`PotentialFloor`]. Source of the form, with a lower bound
/// on the batch and an upper bound on each sample: Zenke & Vogels, Neural Comput. 2021.
#[derive(Module, Debug)]
pub struct RateBounds {
    /// Lower bound, Hz.
    pub lower_hz: f64,
    /// Upper bound, Hz; no bound if `None`.
    pub upper_hz: Option<f64>,
    /// κ, 1/Hz².
    pub weight: f64,
}

impl RateBounds {
    /// The cost, `[1]`, of the charges of a run.
    ///
    /// # Panics
    /// If the trajectory has no charges.
    pub fn forward(&self, trajectory: &Trajectory) -> Tensor<1> {
        let rates = trajectory.rates_hz();
        let [batch, neurons] = rates.dims();
        let mut cost = (-rates.clone().mean_dim(0) + self.lower_hz).clamp_min(0.0).square().sum();
        if let Some(upper_hz) = self.upper_hz {
            cost = cost + (rates - upper_hz).clamp_min(0.0).square().sum() * (1.0 / batch as f64);
        }
        cost * (0.5 * self.weight / neurons as f64)
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn cost_is_its_equation() {
        let device = Device::flex();
        let output = Tensor::<3>::from_data([[[1.0, 2.0], [0.0, 1.0]]], &device);
        let target = Tensor::<3>::from_data([[[0.0, 2.0], [0.0, -1.0]]], &device);
        let trace = Tensor::<3>::from_data([[[1.0, 2.0, 0.0], [0.0, 3.0, 0.0]]], &device);
        let loss = TrackingLossConfig::new().with_lambda(0.5).init().unwrap();
        let cost = loss.forward(output.clone(), target.clone(), trace.clone()).into_scalar::<f64>();
        assert!((cost - (5.0 + 0.5 * 14.0) / 4.0).abs() < 1e-6, "{cost}");
        let weight = Tensor::<2>::from_data([[2.0, 0.25]], &device);
        let cost = loss.forward_weighted(output, target, weight, trace).into_scalar::<f64>();
        assert!((cost - (2.0 + 0.25 * 4.0 + 0.5 * 14.0) / 4.0).abs() < 1e-6, "{cost}");
    }

    #[test]
    fn floor_is_its_equation() {
        let v = Tensor::<3>::from_data([[[1.0, -2.0], [-0.5, -1.5]]], &Device::flex());
        let run = Trajectory { v: Some(v.clone()), ..Trajectory::of_charge(v, 1.0) };
        let cost = PotentialFloor { floor: -0.5, weight: 0.2 }.forward(&run).into_scalar::<f64>();
        assert!((cost - 0.1 * (1.5 * 1.5 + 1.0) / 2.0).abs() < 1e-6, "{cost}");
    }

    #[test]
    fn rest_is_its_equation() {
        let device = Device::flex();
        let trace = Tensor::<3>::from_data([[[1.0, 2.0], [3.0, 0.5]], [[4.0, 0.0], [0.0, 1.0]]], &device);
        let rest = Tensor::<2>::from_data([[1.0, 0.0], [0.0, 1.0]], &device);
        let run = Trajectory { traces: vec![trace.clone()], ..Trajectory::of_charge(trace, 1.0) };
        let cost = RestCost { weight: 0.2 }.forward(&run, rest).into_scalar::<f64>();
        assert!((cost - 0.1 * (5.0 + 1.0) / 4.0).abs() < 1e-6, "{cost}");
    }

    #[test]
    fn rate_bounds_are_their_equation() {
        // Two samples of four steps of 5 ms, so that 1 spike is 50 Hz.
        let charge = Tensor::<3>::from_data(
            [[[1.0, 0.0], [1.0, 0.0], [0.0, 0.0], [1.0, 0.0]], [[0.0, 0.0], [0.5, 0.0], [0.5, 0.2], [0.0, 0.0]]],
            &Device::flex(),
        );
        let bounds =
            RateBoundsConfig::new().with_lower_hz(15.0).with_upper_hz(Some(80.0)).with_weight(0.1).init().unwrap();
        let run = Trajectory::of_charge(charge, 5.0);
        let cost = bounds.forward(&run).into_scalar::<f64>();
        // Neuron 0 fires at 150 and 50 Hz, neuron 1 at 0 and 10 Hz.
        let wanted = 0.05 * ((150.0 - 80.0_f64).powi(2) / 2.0 + (15.0 - 5.0_f64).powi(2)) / 2.0;
        assert!((cost - wanted).abs() < 1e-3, "{cost}, {wanted}");
        let free = RateBoundsConfig::new().init().unwrap().forward(&run).into_scalar::<f64>();
        assert_eq!(free, 0.0);
    }

    #[test]
    fn negative_lambda_is_refused() {
        assert!(TrackingLossConfig::new().with_lambda(-1.0).init().unwrap_err().to_string().contains("lambda is -1"));
    }
}
