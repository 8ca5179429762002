//! Metrics for Burn's learner (feature `train`): scores of sums over an epoch, the firing of a
//! network, and its gradients.
//!
//! The input of a metric is the record of one batch, which the model's output provides through
//! Burn's `Adaptor`. The metric merges the records of an epoch. The score of an epoch is the score
//! of all its trials together, not the mean of the batches' scores.

use crate::train::firing::Firing;
use crate::train::skip::finite_gradients;
use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{Tensor, TensorReadError};
use burn::train::metric::{
    Metric, MetricAttributes, MetricMetadata, MetricName, Numeric, NumericAttributes, NumericEntry, SerializedEntry,
    format_float,
};
use std::collections::HashSet;
use std::sync::Arc;

/// A record of trials that can be merged with the record of other trials.
pub trait Accumulate: Clone + Default + Send + Sync {
    /// Adds the record of other trials.
    fn merge(&mut self, other: &Self);
}

impl Accumulate for Firing {
    fn merge(&mut self, other: &Self) {
        Firing::merge(self, other);
    }
}

/// A metric that scores all trials of an epoch together.
#[derive(Clone)]
pub struct ScoreMetric<R> {
    name: MetricName,
    unit: Option<&'static str>,
    higher_is_better: bool,
    score: fn(&R) -> f64,
    batch: R,
    epoch: R,
}

impl<R: Accumulate> ScoreMetric<R> {
    /// A metric whose score should rise.
    pub fn higher_is_better(name: &str, score: fn(&R) -> f64) -> Self {
        let name = Arc::new(name.to_string());
        Self { name, unit: None, higher_is_better: true, score, batch: R::default(), epoch: R::default() }
    }

    /// A metric whose score should fall.
    pub fn lower_is_better(name: &str, score: fn(&R) -> f64) -> Self {
        Self { higher_is_better: false, ..Self::higher_is_better(name, score) }
    }

    /// Sets the unit of the score.
    pub fn in_unit(self, unit: &'static str) -> Self {
        Self { unit: Some(unit), ..self }
    }

    fn of_epoch(&self) -> f64 {
        (self.score)(&self.epoch)
    }

    fn entry(&self, entry: NumericEntry) -> SerializedEntry {
        let unit = self.unit.map(|unit| format!(" {unit}")).unwrap_or_default();
        let [epoch, batch] = [&self.epoch, &self.batch].map(|record| shown((self.score)(record), 3));
        SerializedEntry::new(format!("epoch {epoch}{unit} - batch {batch}{unit}"), entry.serialize())
    }
}

/// Formats a number as Burn does, except that 0 is written `0`.
pub fn shown(number: f64, digits: usize) -> String {
    if number == 0.0 { "0".into() } else { format_float(number, digits) }
}

impl<R: Accumulate> Metric for ScoreMetric<R> {
    type Input = R;

    fn name(&self) -> MetricName {
        self.name.clone()
    }

    fn attributes(&self) -> MetricAttributes {
        NumericAttributes { unit: self.unit.map(String::from), higher_is_better: self.higher_is_better }.into()
    }

    fn update(&mut self, record: &R, _: &MetricMetadata) -> Result<SerializedEntry, TensorReadError> {
        self.batch = record.clone();
        self.epoch.merge(record);
        Ok(self.entry(NumericEntry::Value((self.score)(record))))
    }

    fn compute(&mut self) -> Result<SerializedEntry, TensorReadError> {
        Ok(self.entry(NumericEntry::Final(self.of_epoch())))
    }

    fn clear(&mut self) {
        (self.batch, self.epoch) = (R::default(), R::default());
    }
}

impl<R: Accumulate> Numeric for ScoreMetric<R> {
    fn value(&self) -> Option<NumericEntry> {
        Some(NumericEntry::Value((self.score)(&self.batch)))
    }

    fn running_value(&self) -> Option<NumericEntry> {
        Some(NumericEntry::Value(self.of_epoch()))
    }

    fn final_value(&self) -> NumericEntry {
        NumericEntry::Final(self.of_epoch())
    }
}

/// Mean firing rate, Hz.
pub fn firing_rate() -> ScoreMetric<Firing> {
    ScoreMetric::lower_is_better("Rate", Firing::rate_hz).in_unit("Hz")
}

/// Share of neurons that send less than the charge of one spike in a whole epoch.
pub fn silent_share() -> ScoreMetric<Firing> {
    ScoreMetric::lower_is_better("Silent", Firing::silent_share)
}

/// Share of (neuron, step) pairs with charge; only these pairs cost work.
pub fn active_share() -> ScoreMetric<Firing> {
    ScoreMetric::lower_is_better("Active", Firing::active_share)
}

/// The sum of the gradients' norms over iterations.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GradientNorm {
    norms: f64,
    iterations: usize,
}

impl GradientNorm {
    /// Computes the norm of the gradient over all parameters of a module, for the output of its
    /// training step. Waits for the device.
    pub fn of<M: Module>(module: &M, gradients: &GradientsParams) -> Self {
        /// Σ |g_p|², and the parameters visited so far. A parameter that occurs twice, as in
        /// [`Averaged`](crate::Averaged), counts once.
        struct Squares<'a>(&'a GradientsParams, f64, HashSet<ParamId>);
        impl ModuleVisitor for Squares<'_> {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                let found = self.0.get::<D>(param.id).filter(|_| self.2.insert(param.id));
                // In double precision, since the squares of large gradients exceed the range of
                // single precision.
                let square = found.map_or(0.0, |gradient| gradient.into_data().iter::<f64>().map(|x| x * x).sum());
                self.1 += square;
            }
        }
        let mut squares = Squares(gradients, 0.0, HashSet::new());
        module.visit(&mut squares);
        Self { norms: squares.1.sqrt(), iterations: 1 }
    }

    /// The mean norm.
    pub fn mean(&self) -> f64 {
        self.norms / self.iterations as f64
    }
}

impl Accumulate for GradientNorm {
    fn merge(&mut self, other: &Self) {
        self.norms += other.norms;
        self.iterations += other.iterations;
    }
}

/// Mean norm of the gradient.
pub fn gradient_norm() -> ScoreMetric<GradientNorm> {
    ScoreMetric::lower_is_better("Gradient norm", GradientNorm::mean)
}

/// The number of batches whose gradient was infinite or NaN, for the output of a training step.
/// [`Skipping`](crate::Skipping) skips the optimizer's step for such batches.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BadGradients(f64);

impl BadGradients {
    /// Checks the gradient of one batch. Waits for the device.
    pub fn of<M: Module>(module: &M, gradients: &GradientsParams) -> Self {
        Self(if finite_gradients(module, gradients) { 0.0 } else { 1.0 })
    }

    /// The number of such batches.
    pub fn count(&self) -> f64 {
        self.0
    }
}

impl Accumulate for BadGradients {
    fn merge(&mut self, other: &Self) {
        self.0 += other.0;
    }
}

/// Number of batches in an epoch whose gradient was infinite or NaN.
pub fn bad_gradients() -> ScoreMetric<BadGradients> {
    ScoreMetric::lower_is_better("Bad gradients", BadGradients::count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Averaged;
    use crate::layer::trajectory::Trajectory;
    use burn::data::dataloader::Progress;
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::Device;

    #[test]
    fn the_norm_of_a_gradient_is_over_all_parameters() {
        let device = Device::default().autodiff();
        let linear: Linear = LinearConfig::new(2, 1).init(&device);
        let input = Tensor::<2>::from_data([[3.0, 0.0], [0.0, -4.0]], &device);
        // The gradient is (3, -4) for the weights and 2 for the bias.
        let gradients = linear.forward(input.clone()).sum().backward();
        let gradients = GradientsParams::from_grads(gradients, &linear);
        let mut norm = GradientNorm::of(&linear, &gradients);
        assert!((norm.mean() - 29.0_f64.sqrt()).abs() < 1e-6, "{norm:?}");
        // The model and its mean have the same parameter ids.
        let averaged = Averaged::new(linear.clone(), 0.9).unwrap();
        let gradients = GradientsParams::from_grads(averaged.model.forward(input).sum().backward(), &averaged);
        assert_eq!(GradientNorm::of(&averaged, &gradients), norm);
        norm.merge(&GradientNorm::of(&linear, &GradientsParams::new()));
        assert!((norm.mean() - 0.5 * 29.0_f64.sqrt()).abs() < 1e-6, "{norm:?}");
    }

    #[test]
    fn an_epoch_is_scored_as_a_whole() {
        let device = Device::default();
        let metadata = MetricMetadata { progress: Progress::new(1, 2, None), iteration: Some(1), lr: None };
        let mut metric = silent_share();
        // One of the two neurons is silent in each batch, but none is silent in the whole epoch.
        for charge in [[[[1.0, 0.0]]], [[[0.0, 1.0]]]] {
            let record = Firing::of(&Trajectory::of_charge(Tensor::<3>::from_data(charge, &device), 1.0));
            metric.update(&record, &metadata).unwrap();
            assert_eq!(metric.value().unwrap().current(), 0.5);
        }
        assert_eq!(metric.final_value().current(), 0.0);
        assert_eq!(metric.compute().unwrap().serialized, "0,final");
        metric.clear();
        assert!(metric.final_value().current().is_nan());
    }
}
