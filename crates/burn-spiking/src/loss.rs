//! The cost of a readout that should follow a target.
//!
//! ```text
//! C = mean over batch and time of (m Σ_outputs |o − o_d|² + λ Σ_neurons |ŝ|²)/2
//! ```
//!
//! m is the weight of a step, 1 unless given.
//!
//! Source: Huh & Sejnowski 2017, l = (|o − o_d|² + λ |s|²)/2.

use crate::error::ConfigError;
use crate::network::NetworkOutput;
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
        self.trace_cost(output, target, None, trace)
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
        self.trace_cost(output, target, Some(weight), trace)
    }

    /// The cost of a [`SpikingNetwork`](crate::SpikingNetwork)'s output, whose activity stands for the trace.
    ///
    /// - `run`: output `[B, T, O]` and activity `[B]`.
    /// - `target`: `[B, T, O]`.
    /// - `weight`: m, `[B, T]`; 1 if `None`.
    ///
    /// # Panics
    /// If the shapes do not fit each other.
    pub fn forward_network(&self, run: NetworkOutput, target: Tensor<3>, weight: Option<Tensor<2>>) -> Tensor<1> {
        self.cost(run.output, target, weight, || run.activity.sum())
    }

    fn trace_cost(
        &self,
        output: Tensor<3>,
        target: Tensor<3>,
        weight: Option<Tensor<2>>,
        trace: Tensor<3>,
    ) -> Tensor<1> {
        let [batch, steps, _] = output.dims();
        assert_shape!(trace, [batch, steps, _]);
        self.cost(output, target, weight, || trace.square().sum())
    }

    fn cost(
        &self,
        output: Tensor<3>,
        target: Tensor<3>,
        weight: Option<Tensor<2>>,
        activity: impl FnOnce() -> Tensor<1>,
    ) -> Tensor<1> {
        let [batch, steps, outputs] = output.dims();
        assert_shape!(target, [batch, steps, outputs]);
        // To be multiplied by: Burn differentiates a division by a number in single precision.
        let half_mean = 0.5 / (batch * steps) as f64;
        let mut error = (output - target).square();
        if let Some(weight) = weight {
            assert_shape!(weight, [batch, steps]);
            error = error * weight.unsqueeze_dim(2);
        }
        let error = error.sum();
        if self.lambda == 0.0 {
            return error * half_mean;
        }
        (error + activity() * self.lambda) * half_mean
    }
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
    /// The cost, `[1]`, of potentials `[B, T, N]`.
    pub fn forward(&self, v: Tensor<3>) -> Tensor<1> {
        let [batch, steps, _] = v.dims();
        let below = (-v + self.floor).clamp_min(0.0);
        below.square().sum() * (0.5 * self.weight / (batch * steps) as f64)
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
        let cost = PotentialFloor { floor: -0.5, weight: 0.2 }.forward(v).into_scalar::<f64>();
        assert!((cost - 0.1 * (1.5 * 1.5 + 1.0) / 2.0).abs() < 1e-6, "{cost}");
    }

    #[test]
    fn negative_lambda_is_refused() {
        assert!(TrackingLossConfig::new().with_lambda(-1.0).init().unwrap_err().to_string().contains("lambda is -1"));
    }
}
