//! The cost of a readout that should follow a target, and costs on what neurons do.
//!
//! ```text
//! C = mean over batch and time of (m Σ_outputs |o − o_d|² + λ Σ_neurons |ŝ|²)/2
//! ```
//!
//! m is the weight of a step, 1 unless given. Where samples end at different steps, what follows their ends costs nothing, and the mean is
//! over the steps that they have: a [`Trajectory`] and a [`NetworkOutput`] know them.
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
    /// If λ is negative or not finite.
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

/// Squared distance from a target, and a cost on activity. Should be created with [`TrackingLossConfig`].
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
    /// If the shapes do not fit each other.
    pub fn forward(&self, output: Tensor<3>, target: Tensor<3>, trace: Tensor<3>) -> Tensor<1> {
        self.trace_cost(output, target, None, trace, None)
    }

    /// The same with a weight for each step.
    ///
    /// - `output`, `target`: `[B, T, O]`.
    /// - `weight`: m, `[B, T]`.
    /// - `trace`: the readout's trace, `[B, T, N]`.
    ///
    /// # Panics
    /// If the shapes do not fit each other.
    pub fn forward_weighted(
        &self,
        output: Tensor<3>,
        target: Tensor<3>,
        weight: Tensor<2>,
        trace: Tensor<3>,
    ) -> Tensor<1> {
        self.trace_cost(output, target, Some(weight), trace, None)
    }

    /// The cost of a readout of a [`SpikingRnn`](crate::SpikingRnn)'s trajectory, which knows its lengths. All tensors have the layer's layout.
    ///
    /// - `output`, `target`: `[B, T, O]`.
    /// - `weight`: m, `[B, T]`; 1 if `None`.
    /// - `trajectory`: with one trace.
    ///
    /// # Panics
    /// If the shapes do not fit each other, or the trajectory has no trace or several.
    pub fn forward_layer(
        &self,
        output: Tensor<3>,
        target: Tensor<3>,
        weight: Option<Tensor<2>>,
        trajectory: &Trajectory,
    ) -> Tensor<1> {
        self.trace_cost(output, target, weight, trajectory.clone().trace(), Some(trajectory.timing()))
    }

    /// The cost of a [`SpikingNetwork`](crate::SpikingNetwork)'s output, whose activity stands for the trace. All tensors have the layer's
    /// layout.
    ///
    /// - `run`: output `[B, T, O]` and activity `[B]`.
    /// - `target`: `[B, T, O]`.
    /// - `weight`: m, `[B, T]`; 1 if `None`.
    ///
    /// # Panics
    /// If the shapes do not fit each other.
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

/// 1/2 of one step's share in a mean over batch and time: to be multiplied by, since Burn differentiates a division by a number in single
/// precision.
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
/// A neuron without restoring force, such as [`Nif`](crate::neuron::Nif), may drift so far below its reset that it never spikes
/// again; no charge flows then, and no error comes back. This cost's gradient reaches it through its potential.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PotentialFloor {
    /// The potential below which it costs, in units of the way from reset (0) to threshold (1).
    pub floor: f64,
    /// κ.
    pub weight: f64,
}

impl PotentialFloor {
    /// The cost, `[1]`, of a run's potentials, over each sample's own steps.
    ///
    /// # Panics
    /// If the trajectory has no potentials.
    pub fn forward(&self, trajectory: &Trajectory) -> Tensor<1> {
        let (v, timing) = (trajectory.potentials("costs of low potentials"), trajectory.timing());
        // After a sample's end potentials are 0, which may lie below the floor.
        let below = timing.cut((-v.clone() + self.floor).clamp_min(0.0));
        below.square().sum() * (half_mean(Some(timing), v) * self.weight)
    }
}

/// A cost on activity at rest: between rounds of a task the network should be back in its background state.
///
/// ```text
/// C = mean over batch and time of κ r_t Σ_neurons |ŝ|²/2        r_t = 1 at rest, else 0
/// ```
///
/// It is for trials and for chunks of streams alike. Where a network answers again and again, what holds one answer must end before the
/// next question; a cost at all times (λ of [`TrackingLoss`]) would also work against memories.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RestCost {
    /// κ; 0 turns it off.
    pub weight: f64,
}

impl RestCost {
    /// m = λ + κ r, `[B, T]`: the weights for [`forward_weighted`](crate::SpikingNetwork::forward_weighted), whose activity then is what
    /// [`TrackingLoss`] of λ = 1 and this cost want together. No trajectory is kept for it.
    ///
    /// - `rest`: r, `[B, T]`.
    /// - `lambda`: λ, the cost of activity at all times.
    pub fn activity_weight(&self, rest: Tensor<2>, lambda: f64) -> Tensor<2> {
        rest * self.weight + lambda
    }

    /// The cost, `[1]`, of a run's trace, over each sample's own steps.
    ///
    /// - `trajectory`: with one trace.
    /// - `rest`: r, `[B, T]`, like the trajectory's first axes.
    ///
    /// # Panics
    /// If the shapes do not fit each other, or the trajectory has no trace or several.
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
    /// Rate below which a neuron should not fall in the mean of a batch, Hz. Default: 0, no bound.
    #[config(default = 0.0)]
    pub lower_hz: f64,
    /// Rate that a neuron should exceed in no sample, Hz. Default: no bound.
    pub upper_hz: Option<f64>,
    /// κ, the cost of 1 Hz². Default: 1e-4.
    #[config(default = 1e-4)]
    pub weight: f64,
}

impl RateBoundsConfig {
    /// Initialises the cost.
    ///
    /// # Errors
    /// If a bound or the weight is negative, infinite or NaN, or the upper bound is not above the lower.
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

/// A cost on firing rates out of bounds. Should be created with [`RateBoundsConfig`].
///
/// ```text
/// C = κ/2 · mean over neurons of (max(lower − r̄_j, 0)² + mean over the batch of max(r_bj − upper, 0)²)
/// ```
///
/// r_bj is a neuron's rate in a sample's own time, r̄_j its mean over the batch, in which all samples count alike. The lower bound reaches
/// a neuron through the gate, so only one whose potential enters the active zone now and then; for those that never do, see [`PotentialFloor`]. Source of the form,
/// with a lower bound on the batch and an upper on each sample: Zenke & Vogels, Neural Comput. 2021.
#[derive(Module, Debug)]
pub struct RateBounds {
    /// Lower bound, Hz.
    pub lower_hz: f64,
    /// Upper bound, Hz; none if `None`.
    pub upper_hz: Option<f64>,
    /// κ, 1/Hz².
    pub weight: f64,
}

impl RateBounds {
    /// The cost, `[1]`, of a run's charges.
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
        // Two samples of four steps of 5 ms: 1 spike is 50 Hz.
        let charge = Tensor::<3>::from_data(
            [[[1.0, 0.0], [1.0, 0.0], [0.0, 0.0], [1.0, 0.0]], [[0.0, 0.0], [0.5, 0.0], [0.5, 0.2], [0.0, 0.0]]],
            &Device::flex(),
        );
        let bounds =
            RateBoundsConfig::new().with_lower_hz(15.0).with_upper_hz(Some(80.0)).with_weight(0.1).init().unwrap();
        let run = Trajectory::of_charge(charge, 5.0);
        let cost = bounds.forward(&run).into_scalar::<f64>();
        // Neuron 0 fires at 150 and 50 Hz, neuron 1 at 0 and 10.
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
