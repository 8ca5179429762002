//! Readouts over time: one score for each class from the outputs of all steps, and the cost of a
//! classification.
//!
//! ```text
//! scores     y_c = mean, last or largest of o_ct over t, or log of the mean of softmax(o_t)_c
//! C          = mean over the batch of −log softmax(y)_target
//! ```
//!
//! The outputs are a linear readout of the trace. For a linear readout of spike counts, see
//! [`trajectory`](crate::layer::trajectory).
//!
//! Sources of the forms: Cramer et al., IEEE TNNLS 2022 for the last and the largest potential;
//! Bittar & Garner, Front. Neurosci. 2022 for the sum of the softmax.

use crate::layer::network::NetworkOutput;
use crate::layer::sequence::{after_ends, check_lengths, cut};
use burn::module::Module;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::tensor::activation::softmax;
use burn::tensor::{Int, Tensor, TensorData, assert_shape};

/// The rule that turns the outputs of all steps into one score for each class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Scores {
    /// The mean output over the steps.
    #[default]
    Mean,
    /// The output of the last step.
    Last,
    /// The largest output of each class.
    Max,
    /// The logarithm of the mean probability of each class.
    MeanProbability,
}

impl Scores {
    /// Computes the scores, `[B, classes]`, of outputs `[B, T, classes]`.
    pub fn forward(&self, output: Tensor<3>) -> Tensor<2> {
        let [batch, steps, _] = output.dims();
        self.forward_lengths(output, &vec![steps; batch])
    }

    /// Computes the scores, `[B, classes]`, of a network's output, over each sample's own steps.
    /// The output may have either layout.
    pub fn forward_network(&self, run: &NetworkOutput) -> Tensor<2> {
        let timing = run.timing();
        self.forward_lengths(timing.in_layout(run.output.clone()), &timing.steps(&run.output))
    }

    /// Computes the scores, `[B, classes]`, of outputs `[B, T, classes]` whose samples end at
    /// different steps.
    ///
    /// - `lengths`: the number of steps of each sample.
    ///
    /// # Panics
    /// If the number of lengths is not B, or if a length is not in 1 ..= T.
    pub fn forward_lengths(&self, output: Tensor<3>, lengths: &[usize]) -> Tensor<2> {
        let [batch, steps, classes] = output.dims();
        check_lengths(lengths, [batch, steps]);
        let options = (&output.device(), output.dtype());
        let mean = |series: Tensor<3>| {
            let share: Vec<f64> = lengths.iter().map(|&length| 1.0 / length as f64).collect();
            let share = Tensor::<2>::from_data(TensorData::new(share, [batch, 1]), options);
            cut(series, lengths).sum_dim(1).squeeze_dim(1) * share
        };
        match self {
            Scores::Mean => mean(output),
            Scores::Last => {
                let last: Vec<i64> = lengths.iter().map(|&length| length as i64 - 1).collect();
                let last = Tensor::<1, Int>::from_data(TensorData::from(last.as_slice()), options.0);
                output.gather(1, last.unsqueeze_dims::<3>(&[1, 2]).expand([batch, 1, classes])).squeeze_dim(1)
            }
            Scores::Max => {
                let after = after_ends(lengths, &output);
                output.mask_fill(after, f32::MIN).max_dim(1).squeeze_dim(1)
            }
            // In single precision a probability may be 0. The added number keeps its logarithm
            // finite.
            Scores::MeanProbability => (mean(softmax(cut(output, lengths), 2)) + 1e-30).log(),
        }
    }
}

/// The cross-entropy of the scores of outputs over time.
#[derive(Module, Debug, Default)]
pub struct ClassificationLoss {
    /// The rule that turns outputs into scores.
    #[module(skip)]
    pub scores: Scores,
}

impl ClassificationLoss {
    /// Creates the loss with the given rule for the scores.
    pub fn new(scores: Scores) -> Self {
        Self { scores }
    }

    /// Computes the cost, `[1]`, and the scores, `[B, classes]`, for Burn's `ClassificationOutput`.
    ///
    /// - `output`: `[B, T, classes]`.
    /// - `targets`: the class of each sample, `[B]`, counted from 0.
    ///
    /// # Panics
    /// If the number of targets is not B.
    pub fn forward(&self, output: Tensor<3>, targets: Tensor<1, Int>) -> (Tensor<1>, Tensor<2>) {
        let [batch, steps, _] = output.dims();
        self.forward_lengths(output, &vec![steps; batch], targets)
    }

    /// Like [`forward`](Self::forward), for a network's output, over each sample's own steps. The
    /// output may have either layout.
    ///
    /// # Panics
    /// If the number of targets is not B.
    pub fn forward_network(&self, run: &NetworkOutput, targets: Tensor<1, Int>) -> (Tensor<1>, Tensor<2>) {
        self.of_scores(self.scores.forward_network(run), targets)
    }

    /// Like [`forward`](Self::forward), for samples that end at different steps.
    ///
    /// - `lengths`: the number of steps of each sample.
    ///
    /// # Panics
    /// If the number of lengths or targets is not B, or if a length is not in 1 ..= T.
    pub fn forward_lengths(
        &self,
        output: Tensor<3>,
        lengths: &[usize],
        targets: Tensor<1, Int>,
    ) -> (Tensor<1>, Tensor<2>) {
        self.of_scores(self.scores.forward_lengths(output, lengths), targets)
    }

    fn of_scores(&self, scores: Tensor<2>, targets: Tensor<1, Int>) -> (Tensor<1>, Tensor<2>) {
        let [batch, _] = scores.dims();
        assert_shape!(targets, [batch]);
        let loss = CrossEntropyLossConfig::new().init(&scores.device()).forward(scores.clone(), targets);
        (loss, scores)
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn output(device: &Device) -> Tensor<3> {
        Tensor::from_data([[[1.0, 0.0], [3.0, -2.0], [-1.0, 5.0]], [[0.5, 1.0], [0.5, 2.0], [9.0, 9.0]]], device)
    }

    fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
        tensor.into_data().iter::<f64>().collect()
    }

    #[test]
    fn scores_are_their_equations() {
        let device = Device::flex();
        let of = |scores: Scores| numbers(scores.forward_lengths(output(&device), &[3, 2]));
        assert_eq!(of(Scores::Mean), [1.0, 1.0, 0.5, 1.5]);
        assert_eq!(of(Scores::Last), [-1.0, 5.0, 0.5, 2.0]);
        assert_eq!(of(Scores::Max), [3.0, 5.0, 0.5, 2.0]);
        let softmax = |a: f64, b: f64| a.exp() / (a.exp() + b.exp());
        let first = (softmax(1.0, 0.0) + softmax(3.0, -2.0) + softmax(-1.0, 5.0)) / 3.0;
        let second = (softmax(0.5, 1.0) + softmax(0.5, 2.0)) / 2.0;
        let wanted = [first.ln(), (1.0 - first).ln(), second.ln(), (1.0 - second).ln()];
        for (found, wanted) in of(Scores::MeanProbability).iter().zip(wanted) {
            assert!((found - wanted).abs() < 1e-5, "{found}, {wanted}");
        }
        let whole = numbers(Scores::Last.forward(output(&device)));
        assert_eq!(whole, [-1.0, 5.0, 9.0, 9.0]);
    }

    #[test]
    fn cost_is_the_cross_entropy_of_the_scores() {
        let device = Device::flex();
        let targets = Tensor::<1, Int>::from_data([1, 0], &device);
        let (cost, scores) = ClassificationLoss::new(Scores::Max).forward_lengths(output(&device), &[3, 2], targets);
        let wanted = -0.5 * ((1.0 / (1.0 + f64::exp(-2.0))).ln() + (1.0 / (1.0 + f64::exp(1.5))).ln());
        assert!((cost.into_scalar::<f64>() - wanted).abs() < 1e-6);
        assert_eq!(scores.dims(), [2, 2]);
    }
}
