//! Delayed-memory exclusive or: after a long delay, the network tells whether two pulses had
//! different signs.
//!
//! ```text
//! channel 0   ....[±]....gap....[±]....gap..................
//! channel 1   .................................[go].........
//! target      ...................................[answer]...     + for unequal signs, − for equal
//! ```
//!
//! A round may also have one pulse or none; its answer is then 0. A trial has any number of rounds,
//! one after the other. Outside the answer windows, the output should be 0. The gaps are drawn for
//! each round. All trials of a data set have the same length.
//!
//! Source: Huh & Sejnowski 2017, second task. [`DelayedXor::graz`] is the variant of the Graz group
//! (Bellec et al.).

use crate::answers::{Answer, Round};
use crate::error::{TaskError, require};
use crate::trial::Trial;
use burn::data::dataset::{Dataset, DatasetError};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Shape of a pulse or cue over time; its largest value is 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PulseShape {
    /// 1 throughout.
    Square,
    /// The normal density between its 1 % and 99 % quantiles.
    Gaussian,
}

impl PulseShape {
    /// Returns the value at `share` of the pulse's length, for a `share` in [0, 1].
    fn at(self, share: f64) -> f64 {
        /// The normal distribution's 99 % quantile.
        const QUANTILE: f64 = 2.326_347_874_040_841;
        match self {
            PulseShape::Square => 1.0,
            PulseShape::Gaussian => (-0.5 * (QUANTILE * (2.0 * share - 1.0)).powi(2)).exp(),
        }
    }
}

/// Distribution of the two gaps of a round: the gap between the pulses, and the gap between the
/// second pulse and the go cue.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Gaps {
    /// Draws each gap uniformly from a range.
    Even {
        /// Shortest gap, ms.
        min_ms: f64,
        /// Longest gap, ms.
        max_ms: f64,
    },
    /// Draws one gap for both: `step_ms` times a geometrically distributed number (1, 2, ...) with
    /// mean `max_ms`/`step_ms`, limited to `max_ms`.
    Geometric {
        /// Unit of the gaps, ms.
        step_ms: f64,
        /// Longest gap, ms.
        max_ms: f64,
    },
}

impl Gaps {
    /// The longest gap, ms.
    pub fn max_ms(&self) -> f64 {
        match *self {
            Gaps::Even { max_ms, .. } | Gaps::Geometric { max_ms, .. } => max_ms,
        }
    }

    /// Draws two gaps, ms. Always takes two numbers from the random stream.
    fn draw(&self, random: &mut ChaCha8Rng) -> [f64; 2] {
        let drawn: [f64; 2] = [random.random(), random.random()];
        match *self {
            Gaps::Even { min_ms, max_ms } => drawn.map(|share| min_ms + (max_ms - min_ms) * share),
            Gaps::Geometric { step_ms, max_ms } => {
                let stop = (step_ms / max_ms).min(1.0);
                let count = ((1.0 - drawn[0]).ln() / (1.0 - stop).ln()).floor() + 1.0;
                let gap = (step_ms * count).min(max_ms);
                [gap, gap]
            }
        }
    }
}

/// Parameters of the task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DelayedXor {
    /// Length of a time step, ms.
    pub dt: f64,
    /// Length of a trial, ms; at least [`longest_ms`](Self::longest_ms).
    pub trial_ms: f64,
    /// Number of rounds in a trial.
    pub rounds: usize,
    /// Silence before each round, ms.
    pub lead_ms: f64,
    /// Shape of pulses and cues.
    pub shape: PulseShape,
    /// Length of pulses and cues, ms.
    pub pulse_ms: f64,
    /// Distribution of the gaps.
    pub gaps: Gaps,
    /// Time from the onset of the go cue to the answer window, ms.
    pub wait_ms: f64,
    /// Length of the answer window, ms.
    pub window_ms: f64,
    /// Length of the last part of the answer window, over which the answer is read, ms.
    pub decoded_ms: f64,
    /// Silence after each answer window, ms.
    pub rest_ms: f64,
    /// Shares of the rounds with two pulses, one pulse and no pulse; they add up to 1.
    pub shares: [f64; 3],
    /// Share of the cost's weight that lies outside the answer windows, in [0, 1).
    pub outside: f64,
    /// Number of neurons. Their initial potentials are drawn uniformly from [0, `v0_below`).
    pub neurons: usize,
    /// Upper limit of the initial potentials, in (0, 1].
    pub v0_below: f64,
}

impl DelayedXor {
    /// The task with `rounds` rounds in a trial and gaps from 30 ms to `max_gap_ms`, for a network
    /// of `neurons` neurons. A third of the rounds has the answer +, a third −, and a third none.
    /// Of all rounds, a quarter has one pulse and a twelfth has no pulse.
    pub fn new(rounds: usize, max_gap_ms: f64, neurons: usize) -> Self {
        let task = Self {
            dt: 1.0,
            trial_ms: 0.0,
            rounds,
            lead_ms: 50.0,
            shape: PulseShape::Square,
            pulse_ms: 50.0,
            gaps: Gaps::Even { min_ms: 30.0, max_ms: max_gap_ms },
            wait_ms: 20.0,
            window_ms: 80.0,
            decoded_ms: 60.0,
            rest_ms: 100.0,
            shares: [2.0 / 3.0, 1.0 / 4.0, 1.0 / 12.0],
            outside: 0.5,
            neurons,
            v0_below: 1.0,
        };
        Self { trial_ms: task.longest_ms(), ..task }
    }

    /// The variant of the Graz group: Gaussian pulses of 30 ms, geometric gaps of at most 100 ms, a
    /// fifth of the trials without pulses, an answer window of 60 ms from the onset of the go cue,
    /// and no cost outside the window.
    ///
    /// The source does not say whether the area or the peak of the pulses is normalised, or whether
    /// a round has one drawn gap or two. Here, the peak is 1, and the two gaps of a round are
    /// equal.
    pub fn graz(neurons: usize) -> Self {
        let task = Self {
            shape: PulseShape::Gaussian,
            pulse_ms: 30.0,
            gaps: Gaps::Geometric { step_ms: 10.0, max_ms: 100.0 },
            wait_ms: 0.0,
            window_ms: 60.0,
            decoded_ms: 60.0,
            shares: [0.8, 0.0, 0.2],
            outside: 0.0,
            ..Self::new(1, 100.0, neurons)
        };
        Self { trial_ms: task.longest_ms(), ..task }
    }

    /// Returns the same task with another longest gap, and with trials just long enough for it. Use
    /// it for gaps that grow during training.
    pub fn with_max_gap(&self, max_ms: f64) -> Self {
        let gaps = match self.gaps {
            Gaps::Even { min_ms, .. } => Gaps::Even { min_ms: min_ms.min(max_ms), max_ms },
            Gaps::Geometric { step_ms, .. } => Gaps::Geometric { step_ms, max_ms },
        };
        let task = Self { gaps, ..self.clone() };
        Self { trial_ms: task.longest_ms(), ..task }
    }

    /// Length of a trial in which all gaps have the greatest length, ms.
    pub fn longest_ms(&self) -> f64 {
        let answer = self.wait_ms + self.window_ms;
        let round =
            self.lead_ms + 2.0 * (self.pulse_ms + self.gaps.max_ms()) + answer.max(self.pulse_ms) + self.rest_ms;
        self.rounds as f64 * round
    }

    /// Number of time steps in a trial.
    pub fn steps(&self) -> usize {
        self.step(self.trial_ms)
    }

    fn step(&self, ms: f64) -> usize {
        (ms / self.dt).round() as usize
    }

    /// Checks the parameters.
    ///
    /// # Errors
    /// [`TaskError`] if a value is invalid. It names the value, its limit and the remedy.
    pub fn check(&self) -> Result<(), TaskError> {
        for (name, value) in [("dt", self.dt), ("pulse_ms", self.pulse_ms), ("window_ms", self.window_ms)] {
            let holds = value.is_finite() && value > 0.0;
            require(holds, name, value, "above 0 and finite", "give a length of time in ms")?;
        }
        for (name, value) in [("lead_ms", self.lead_ms), ("wait_ms", self.wait_ms), ("rest_ms", self.rest_ms)] {
            let holds = value.is_finite() && value >= 0.0;
            require(holds, name, value, "at least 0 and finite", "give a length of time in ms")?;
        }
        require(self.rounds > 0, "rounds", self.rounds, "at least 1", "give the number of rounds in a trial")?;
        require(self.neurons > 0, "neurons", self.neurons, "at least 1", "give the number of neurons")?;
        let v0_holds = self.v0_below > 0.0 && self.v0_below <= 1.0;
        require(v0_holds, "v0_below", self.v0_below, "in (0, 1]", "use 1 for potentials anywhere below threshold")?;
        let outside_holds = (0.0..1.0).contains(&self.outside);
        require(outside_holds, "outside", self.outside, "in [0, 1)", "leave some of the cost to the answers")?;
        for share in self.shares {
            require((0.0..=1.0).contains(&share), "a share", share, "in [0, 1]", "shares are parts of all rounds")?;
        }
        let sum: f64 = self.shares.iter().sum();
        require((sum - 1.0).abs() < 1e-6, "the sum of the shares", sum, "1", "scale the shares")?;
        let shortest = match self.gaps {
            Gaps::Even { min_ms, .. } => min_ms,
            Gaps::Geometric { step_ms, .. } => step_ms,
        };
        let (longest, least) = (self.gaps.max_ms(), format!("at least the shortest gap, {shortest} ms"));
        require(shortest >= 0.0, "the shortest gap", shortest, "at least 0 ms", "give a length of time in ms")?;
        let ordered = longest.is_finite() && longest >= shortest && longest > 0.0;
        require(ordered, "the longest gap", longest, &least, "lengthen it or shorten the other")?;
        let decoded = self.step(self.decoded_ms);
        require(
            decoded > 0 && self.decoded_ms <= self.window_ms,
            "decoded_ms",
            self.decoded_ms,
            &format!("at least a step and at most window_ms = {}", self.window_ms),
            "read the answer in the window",
        )?;
        require(
            self.trial_ms.is_finite() && self.steps() >= self.step(self.longest_ms()),
            "trial_ms",
            self.trial_ms,
            &format!("at least {} for {} rounds with gaps up to {longest} ms", self.longest_ms(), self.rounds),
            "lengthen the trial, shorten the gaps or ask for fewer rounds",
        )
    }

    /// Returns a data set of `len` trials drawn from `seed`.
    ///
    /// # Errors
    /// [`TaskError`] in the same cases as [`check`](Self::check).
    pub fn dataset(&self, seed: u64, len: usize) -> Result<DelayedXorDataset, TaskError> {
        self.check()?;
        Ok(DelayedXorDataset { task: self.clone(), seed, len })
    }
}

/// Trials of [`DelayedXor`], drawn on request.
#[derive(Debug, Clone)]
pub struct DelayedXorDataset {
    task: DelayedXor,
    seed: u64,
    len: usize,
}

impl Dataset<Trial> for DelayedXorDataset {
    fn get(&self, index: usize) -> Result<Trial, DatasetError> {
        assert!(index < self.len, "trial {index} was asked for, but the data set has {}", self.len);
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(index as u64);
        Ok(self.task.trial(&mut random))
    }

    fn len(&self) -> usize {
        self.len
    }
}

/// Number of input channels: one for the pulses, one for the go cues.
pub const CHANNELS: usize = 2;

impl DelayedXor {
    fn trial(&self, random: &mut ChaCha8Rng) -> Trial {
        let steps = self.steps();
        let v0 = (0..self.neurons).map(|_| random.random_range(0.0..self.v0_below as f32)).collect();
        let mut input = vec![0.0; CHANNELS * steps];
        let mut rounds = Vec::with_capacity(self.rounds);
        let mut time = 0.0;
        for _ in 0..self.rounds {
            time += self.lead_ms;
            let pulses = self.pulses(random);
            let gaps = self.gaps.draw(random);
            let first_end = time + self.pulse_ms;
            for (sign, gap) in pulses.into_iter().zip(gaps) {
                self.draw_pulse(&mut input, time, 0, sign);
                time += self.pulse_ms + gap;
            }
            self.draw_pulse(&mut input, time, 1, 1.0);
            let answer = match pulses {
                [0.0, _] | [_, 0.0] => Answer::None,
                [first, second] if first == second => Answer::Minus,
                _ => Answer::Plus,
            };
            let opens = time + self.wait_ms;
            let closes = opens + self.window_ms;
            rounds.push(Round {
                answer,
                window: self.step(opens)..self.step(closes),
                decoded: self.step(closes) - self.step(self.decoded_ms)..self.step(closes),
                delay: self.step(time - first_end),
            });
            time += (self.wait_ms + self.window_ms).max(self.pulse_ms) + self.rest_ms;
        }
        let mut target = vec![0.0; steps];
        for round in &rounds {
            target[round.window.clone()].fill(round.answer.value());
        }
        Trial { steps, input, target, weight: self.weight(&rounds), v0, rounds }
    }

    /// Draws the signs of the two pulses; 0 means no pulse. Always takes four numbers from the
    /// random stream.
    fn pulses(&self, random: &mut ChaCha8Rng) -> [f32; 2] {
        let kind: f64 = random.random();
        let signs = [0, 1].map(|_| if random.random::<bool>() { 1.0 } else { -1.0 });
        let late: bool = random.random();
        match kind {
            kind if kind < self.shares[0] => signs,
            kind if kind >= self.shares[0] + self.shares[1] => [0.0, 0.0],
            _ if late => [0.0, signs[1]],
            _ => [signs[0], 0.0],
        }
    }

    fn draw_pulse(&self, input: &mut [f32], onset: f64, channel: usize, height: f32) {
        let span: Range<usize> = self.step(onset)..self.step(onset + self.pulse_ms);
        let last = (span.len().max(2) - 1) as f64;
        for (at, t) in span.enumerate() {
            input[CHANNELS * t + channel] = height * self.shape.at(at as f64 / last) as f32;
        }
    }

    /// The weight of each step. The steps outside the answer windows share `outside` of the sum of
    /// all weights; the steps within the windows share the rest.
    fn weight(&self, rounds: &[Round]) -> Vec<f32> {
        let steps = self.steps();
        let within: usize = rounds.iter().map(|round| round.window.len()).sum();
        let share = |part: f64, of: usize| (part * steps as f64 / of.max(1) as f64) as f32;
        let mut weight = vec![share(self.outside, steps - within); steps];
        for round in rounds {
            weight[round.window.clone()].fill(share(1.0 - self.outside, within));
        }
        weight
    }
}

#[cfg(test)]
mod tests;
