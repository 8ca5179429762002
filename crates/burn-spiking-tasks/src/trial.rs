//! Trials of tasks in which outputs should follow targets, and batches of trials.

use crate::answers::Round;
use burn::data::dataloader::batcher::Batcher;
use burn::tensor::{Device, Tensor, TensorData};

/// One trial: the inputs, the targets, and the initial state of the network.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// Number of time steps, T.
    pub steps: usize,
    /// Inputs, `[T, C]`.
    pub input: Vec<f32>,
    /// Targets, `[T, O]`.
    pub target: Vec<f32>,
    /// Weight of each step in the cost, `[T]`, 1 on average.
    pub weight: Vec<f32>,
    /// Initial membrane potentials, `[N]`.
    pub v0: Vec<f32>,
    /// The questions in the trial, in order of time; empty if the output should follow its target
    /// in all steps.
    pub rounds: Vec<Round>,
}

impl Trial {
    /// Returns the same trial with each step divided into `parts` steps of the same values.
    pub fn in_finer_steps(self, parts: usize) -> Self {
        let finer = |series: &[f32]| -> Vec<f32> {
            let width = series.len() / self.steps;
            series.chunks_exact(width).flat_map(|row| std::iter::repeat_n(row, parts)).flatten().copied().collect()
        };
        Self {
            steps: self.steps * parts,
            input: finer(&self.input),
            target: finer(&self.target),
            weight: finer(&self.weight),
            rounds: self.rounds.iter().map(|round| round.in_finer_steps(parts)).collect(),
            v0: self.v0,
        }
    }
}

/// A batch of trials of the same length.
#[derive(Debug, Clone)]
pub struct TrialBatch {
    /// Inputs, `[B, T, C]`.
    pub input: Tensor<3>,
    /// Targets, `[B, T, O]`.
    pub target: Tensor<3>,
    /// Weight of each step in the cost, `[B, T]`.
    pub weight: Tensor<2>,
    /// Initial membrane potentials, `[B, N]`.
    pub v0: Tensor<2>,
    /// The rounds of each trial.
    pub rounds: Vec<Vec<Round>>,
    /// Whether the network is at rest before the first step: true at the start of a trial, false in
    /// a later part of a trial.
    pub begins_at_rest: bool,
}

impl TrialBatch {
    /// Marks the steps in which the network should be at rest, `[B, T]`. A value is 1 from `grace`
    /// steps after an answer window, or after the start of the trial, until the next input;
    /// otherwise it is 0.
    pub fn rest(&self, grace: usize) -> Tensor<2> {
        let [trials, steps, channels] = self.input.dims();
        let input: Vec<f32> = self.input.to_data().iter::<f32>().collect();
        let mut rest = vec![0.0_f32; trials * steps];
        for ((rounds, input), rest) in
            self.rounds.iter().zip(input.chunks_exact(steps * channels)).zip(rest.chunks_exact_mut(steps))
        {
            let silent = |t: &usize| input[t * channels..(t + 1) * channels].iter().all(|&x| x == 0.0);
            let beginning = self.begins_at_rest.then_some(0);
            for from in beginning.into_iter().chain(rounds.iter().map(|round| round.window.end)) {
                let until = from + (from..steps).take_while(silent).count();
                rest[(from + grace).min(until)..until].fill(1.0);
            }
        }
        Tensor::from_data(TensorData::new(rest, [trials, steps]), &self.input.device())
    }

    /// Returns trial `at` as a batch of one.
    ///
    /// # Panics
    /// If the batch does not have this trial.
    pub fn trial(&self, at: usize) -> Self {
        Self {
            input: self.input.clone().narrow(0, at, 1),
            target: self.target.clone().narrow(0, at, 1),
            weight: self.weight.clone().narrow(0, at, 1),
            v0: self.v0.clone().narrow(0, at, 1),
            rounds: vec![self.rounds[at].clone()],
            begins_at_rest: self.begins_at_rest,
        }
    }
}

/// Joins trials into a [`TrialBatch`].
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
        let rows = |data: Vec<f32>| {
            let width = data.len() / batch;
            Tensor::from_data(TensorData::new(data, [batch, width]), device)
        };
        TrialBatch {
            input: sequence(join(|trial| &trial.input)),
            target: sequence(join(|trial| &trial.target)),
            weight: rows(join(|trial| &trial.weight)),
            v0: rows(join(|trial| &trial.v0)),
            rounds: trials.into_iter().map(|trial| trial.rounds).collect(),
            begins_at_rest: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Answer;

    #[test]
    fn rest_is_between_rounds() {
        // Input in steps 3 and 10, a window from 4 to 6.
        let mut input = vec![0.0; 12];
        (input[3], input[10]) = (-1.0, 1.0);
        let round = Round { answer: Answer::Plus, window: 4..6, decoded: 5..6, delay: 0 };
        let trial = Trial {
            steps: 12,
            input,
            target: vec![0.0; 12],
            weight: vec![1.0; 12],
            v0: vec![0.0],
            rounds: vec![round],
        };
        let batch = TrialBatcher.batch(vec![trial], &Device::default());
        let rest = |grace| batch.rest(grace).into_data().iter::<f32>().map(|x| x as u8).collect::<Vec<_>>();
        assert_eq!(rest(0), [1, 1, 1, 0, 0, 0, 1, 1, 1, 1, 0, 0]);
        assert_eq!(rest(2), [0, 0, 1, 0, 0, 0, 0, 0, 1, 1, 0, 0]);
        assert_eq!(rest(9), [0; 12]);
    }

    #[test]
    fn finer_steps_hold_what_the_coarse_ones_held() {
        let round = Round { answer: Answer::Plus, window: 1..2, decoded: 1..2, delay: 1 };
        let trial = Trial {
            steps: 2,
            input: vec![1.0, 2.0, 3.0, 4.0],
            target: vec![5.0, 6.0],
            weight: vec![0.5, 1.5],
            v0: vec![0.1, 0.2, 0.3],
            rounds: vec![round.clone()],
        };
        let finer = trial.clone().in_finer_steps(3);
        assert_eq!(finer.steps, 6);
        assert_eq!(finer.input, [1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 3.0, 4.0, 3.0, 4.0, 3.0, 4.0]);
        assert_eq!(finer.target, [5.0, 5.0, 5.0, 6.0, 6.0, 6.0]);
        assert_eq!(finer.weight, [0.5, 0.5, 0.5, 1.5, 1.5, 1.5]);
        assert_eq!(finer.v0, trial.v0);
        assert_eq!(finer.rounds, [Round { window: 3..6, decoded: 3..6, delay: 3, ..round }]);
        assert_eq!(trial.clone().in_finer_steps(1), trial);
    }
}
