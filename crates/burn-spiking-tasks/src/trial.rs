//! One trial of a task in which outputs should follow targets, and the batch of several.

use burn::data::dataloader::batcher::Batcher;
use burn::tensor::{Device, Tensor, TensorData};

/// One trial: what goes in, what should come out, and where the network starts.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// Number of time steps, T.
    pub steps: usize,
    /// Inputs, `[T, C]`.
    pub input: Vec<f32>,
    /// Targets, `[T, O]`.
    pub target: Vec<f32>,
    /// Initial membrane potentials, `[N]`.
    pub v0: Vec<f32>,
}

/// A batch of trials of the same length.
#[derive(Debug, Clone)]
pub struct TrialBatch {
    /// `[B, T, C]`.
    pub input: Tensor<3>,
    /// `[B, T, O]`.
    pub target: Tensor<3>,
    /// `[B, N]`.
    pub v0: Tensor<2>,
}

/// Makes a [`TrialBatch`] of trials.
#[derive(Debug, Clone, Copy, Default)]
pub struct TrialBatcher;

impl Batcher<Trial, TrialBatch> for TrialBatcher {
    /// # Panics
    /// If the trials differ in length or width.
    fn batch(&self, trials: Vec<Trial>, device: &Device) -> TrialBatch {
        let (batch, steps) = (trials.len(), trials[0].steps);
        assert!(trials.iter().all(|trial| trial.steps == steps), "the trials of a batch must be equally long");
        let join = |part: fn(&Trial) -> &Vec<f32>| -> Vec<f32> { trials.iter().flat_map(part).copied().collect() };
        let sequence = |data: Vec<f32>| {
            let width = data.len() / (batch * steps);
            Tensor::from_data(TensorData::new(data, [batch, steps, width]), device)
        };
        let v0 = join(|trial| &trial.v0);
        let neurons = v0.len() / batch;
        TrialBatch {
            input: sequence(join(|trial| &trial.input)),
            target: sequence(join(|trial| &trial.target)),
            v0: Tensor::from_data(TensorData::new(v0, [batch, neurons]), device),
        }
    }
}
