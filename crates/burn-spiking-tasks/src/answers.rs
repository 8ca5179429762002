//! Rounds, which are the parts of a trial that ask for an answer, and the score of the answers.
//!
//! ```text
//! answer = + if mean o > 1/2,  − if mean o < −1/2,  none otherwise
//!          mean over the last part of the answer window
//! leak   = mean |o| outside all answer windows
//! ```

use std::ops::Range;

/// An answer: the sign of an output, or no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// +1.
    Plus,
    /// −1.
    Minus,
    /// 0.
    None,
}

impl Answer {
    /// All answers, in the order of [`Answers::accuracy_by_answer`].
    pub const ALL: [Answer; 3] = [Answer::Plus, Answer::Minus, Answer::None];

    /// Returns the output that stands for this answer.
    pub fn value(self) -> f32 {
        match self {
            Answer::Plus => 1.0,
            Answer::Minus => -1.0,
            Answer::None => 0.0,
        }
    }

    /// Returns the answer for a mean output: + above 1/2, − below −1/2, none otherwise.
    pub fn of(mean: f64) -> Self {
        match mean {
            mean if mean > 0.5 => Answer::Plus,
            mean if mean < -0.5 => Answer::Minus,
            _ => Answer::None,
        }
    }
}

/// One question of a trial: the right answer and its times, in steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    /// The right answer.
    pub answer: Answer,
    /// The steps in which the output should give the answer.
    pub window: Range<usize>,
    /// The part of the window over which the answer is read.
    pub decoded: Range<usize>,
    /// The number of steps from the end of the first pulse to the onset of the go cue, to relate
    /// accuracy to delay.
    pub delay: usize,
}

impl Round {
    /// Returns the round in the steps of a part of its trial, from step `first` to `end`. The
    /// answer must be read within this part.
    #[cfg(feature = "train")]
    pub(crate) fn within(&self, first: usize, end: usize) -> Self {
        let clamped = |range: &Range<usize>| range.start.max(first) - first..range.end.min(end) - first;
        Self { window: clamped(&self.window), decoded: clamped(&self.decoded), ..self.clone() }
    }

    /// Returns the same round after each step is divided into `parts` steps.
    pub(crate) fn in_finer_steps(&self, parts: usize) -> Self {
        let finer = |range: &Range<usize>| range.start * parts..range.end * parts;
        Self {
            answer: self.answer,
            window: finer(&self.window),
            decoded: finer(&self.decoded),
            delay: self.delay * parts,
        }
    }
}

/// Counts of right and wrong answers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answers {
    /// `[right answer][given answer]`, in the order of [`Answer::ALL`].
    counts: [[u64; 3]; 3],
    /// For the first round of each trial, the second, …: the number of rounds, and the number
    /// answered correctly.
    by_round: Vec<[u64; 2]>,
    leak: f64,
    leak_steps: u64,
}

impl Answers {
    /// Creates empty counts.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a trial: its output, `[T]`, and its rounds.
    ///
    /// # Panics
    /// If a round lies outside the output.
    pub fn add(&mut self, output: &[f32], rounds: &[Round]) {
        self.by_round.resize(self.by_round.len().max(rounds.len()), [0; 2]);
        for (round, counted) in rounds.iter().zip(&mut self.by_round) {
            let decoded = &output[round.decoded.clone()];
            let mean = decoded.iter().map(|&o| o as f64).sum::<f64>() / decoded.len() as f64;
            let given = Answer::of(mean);
            self.counts[round.answer as usize][given as usize] += 1;
            *counted = [counted[0] + 1, counted[1] + (round.answer == given) as u64];
        }
        let outside = |t: &usize| !rounds.iter().any(|round| round.window.contains(t));
        for t in (0..output.len()).filter(outside) {
            self.leak += output[t].abs() as f64;
            self.leak_steps += 1;
        }
    }

    /// Adds the counts of other trials.
    pub fn merge(&mut self, other: &Self) {
        let pairs = self.counts.iter_mut().flatten().zip(other.counts.iter().flatten());
        pairs.for_each(|(own, other)| *own += other);
        self.by_round.resize(self.by_round.len().max(other.by_round.len()), [0; 2]);
        for (own, other) in self.by_round.iter_mut().zip(&other.by_round) {
            *own = [own[0] + other[0], own[1] + other[1]];
        }
        self.leak += other.leak;
        self.leak_steps += other.leak_steps;
    }

    /// The number of rounds.
    pub fn rounds(&self) -> u64 {
        self.counts.iter().flatten().sum()
    }

    /// The share of rounds answered correctly; NaN if there are no rounds.
    pub fn accuracy(&self) -> f64 {
        let right: u64 = (0..3).map(|answer| self.counts[answer][answer]).sum();
        right as f64 / self.rounds() as f64
    }

    /// The accuracy of the rounds whose right answer is +, − and none; NaN for an answer without
    /// rounds.
    pub fn accuracy_by_answer(&self) -> [f64; 3] {
        [0, 1, 2].map(|answer| {
            let of: u64 = self.counts[answer].iter().sum();
            self.counts[answer][answer] as f64 / of as f64
        })
    }

    /// The accuracy of the first round of each trial, of the second round, and so on.
    pub fn accuracy_by_round(&self) -> Vec<f64> {
        self.by_round.iter().map(|&[all, right]| right as f64 / all as f64).collect()
    }

    /// The mean |o| outside the answer windows; NaN if no step lies outside.
    pub fn leak(&self) -> f64 {
        self.leak / self.leak_steps as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(answer: Answer, at: usize) -> Round {
        Round { answer, window: at..at + 4, decoded: at + 2..at + 4, delay: 0 }
    }

    #[test]
    fn answers_are_read_from_the_end_of_the_window() {
        let rounds = [round(Answer::Plus, 2), round(Answer::None, 8), round(Answer::Minus, 12)];
        let mut output = vec![0.0; 20];
        // Each output is wrong at the start of its window and right at the end.
        output[2..6].copy_from_slice(&[-1.0, -1.0, 0.4, 0.7]);
        output[8..12].copy_from_slice(&[1.0, 1.0, 0.9, -0.1]);
        output[12..16].copy_from_slice(&[0.0, 0.0, -0.5, -0.6]);
        output[0] = -0.3;
        output[17] = 0.5;
        let mut answers = Answers::new();
        answers.add(&output, &rounds);
        assert_eq!(answers.rounds(), 3);
        assert_eq!(answers.accuracy(), 1.0);
        assert!((answers.leak() - 0.8 / 8.0).abs() < 1e-7);

        let mut wrong = Answers::new();
        wrong.add(&[0.0; 20], &rounds);
        assert_eq!(wrong.accuracy_by_answer(), [0.0, 0.0, 1.0]);
        answers.merge(&wrong);
        assert_eq!(answers.accuracy(), 4.0 / 6.0);
        assert_eq!(answers.accuracy_by_answer(), [0.5, 0.5, 1.0]);
        assert_eq!(answers.accuracy_by_round(), [0.5, 1.0, 0.5]);
        answers.merge(&{
            let mut one = Answers::new();
            one.add(&[0.0; 20], &rounds[..1]);
            one
        });
        assert_eq!(answers.accuracy_by_round(), [1.0 / 3.0, 1.0, 0.5]);
    }
}
