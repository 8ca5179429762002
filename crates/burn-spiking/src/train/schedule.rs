//! Schedules for a number of a task that follows the score (feature `train`). For example, a gap
//! grows when the network has learned the current gap.
//!
//! ```text
//! value = start · factor^level, and end at the last level
//! level + 1   when the mean of the last `batches` scores is at least `above`
//! level − 1   when it is below `below`, if that is given
//! ```
//!
//! After each change of level, the mean starts again without earlier scores. The state of a
//! schedule is a few numbers that a run saves with its checkpoint.

use crate::error::{ConfigError, at_least_one, positive};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, MutexGuard};

/// The rule by which a number follows the score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FollowScore {
    /// The first value, above 0.
    pub start: f64,
    /// The last value, above 0. It lies below the start if the factor is below 1.
    pub end: f64,
    /// The factor between the values of two levels; above 0 and not 1.
    pub factor: f64,
    /// The level rises if the mean score is at least this value.
    pub above: f64,
    /// The level falls if the mean score is below this value; it never falls if `None`.
    pub below: Option<f64>,
    /// Number of scores in the mean, at least 1.
    pub batches: usize,
}

/// A bound on the rounding error of a score in single precision.
const ROUNDING: f64 = 1e-6;

/// The part of a schedule that a checkpoint saves.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ScheduleState {
    /// The level.
    pub level: usize,
    /// The last scores since the last change of level, at most `batches`. They are in single
    /// precision, because every JSON reader restores such numbers exactly.
    pub recent: Vec<f32>,
    /// Number of scores since the last level was reached.
    pub at_end: usize,
}

/// A number that follows the score. Clones share their state, so that the training step can observe
/// scores and the data loader can read the value.
#[derive(Debug, Clone)]
pub struct ScoreSchedule {
    config: Arc<FollowScore>,
    state: Arc<Mutex<ScheduleState>>,
}

impl ScoreSchedule {
    /// Creates a schedule at its start.
    ///
    /// # Errors
    /// [`ConfigError`] if start, end or factor is not above 0 and finite, if the factor does not
    /// lead from start to end, or if `batches` is 0.
    pub fn new(config: FollowScore) -> Result<Self, ConfigError> {
        positive("the schedule's start", config.start, "give the number that it starts from")?;
        positive("the schedule's end", config.end, "give the number that it ends at")?;
        positive("the schedule's factor", config.factor, "use a factor such as 1.2")?;
        at_least_one("the schedule's batches", config.batches, "give the number of scores that are averaged")?;
        let leads = if config.end > config.start { config.factor > 1.0 } else { config.factor < 1.0 };
        if config.end != config.start && !leads {
            return Err(ConfigError::Mismatch(format!(
                "a schedule from {} to {} never gets there by the factor {}; choose one above 1 to rise, below 1 to fall",
                config.start, config.end, config.factor
            )));
        }
        Ok(Self { config: Arc::new(config), state: Arc::default() })
    }

    fn lock(&self) -> MutexGuard<'_, ScheduleState> {
        self.state.lock().expect("no holder of the schedule panics")
    }

    /// The number of levels from start to end.
    pub fn levels(&self) -> usize {
        let FollowScore { start, end, factor, .. } = *self.config;
        // If rounding puts the quotient slightly above a whole number, that number counts.
        ((end / start).ln() / factor.ln() - 1e-9).ceil().max(0.0) as usize
    }

    /// The current value.
    pub fn value(&self) -> f64 {
        let FollowScore { start, end, factor, .. } = *self.config;
        let level = self.lock().level;
        if level >= self.levels() { end } else { start * factor.powi(level as i32) }
    }

    /// The current level as a share of all levels, from 0 to 1. Other numbers of a task can follow
    /// it.
    pub fn progress(&self) -> f64 {
        let levels = self.levels();
        if levels == 0 { 1.0 } else { self.lock().level as f64 / levels as f64 }
    }

    /// Whether the schedule has reached its last level.
    pub fn is_at_end(&self) -> bool {
        self.lock().level >= self.levels()
    }

    /// Takes a score into account. Ignores NaN, such as the score of a batch without answers.
    pub fn observe(&self, score: f64) {
        let levels = self.levels();
        let FollowScore { above, below, batches, .. } = *self.config;
        let mut state = self.lock();
        if score.is_nan() {
            return;
        }
        if state.level >= levels {
            state.at_end += 1;
        }
        state.recent.push(score as f32);
        if state.recent.len() > batches {
            state.recent.remove(0);
        }
        if state.recent.len() < batches {
            return;
        }
        let mean = state.recent.iter().map(|&score| score as f64).sum::<f64>() / batches as f64;
        // A mean of exactly `above` must count in spite of rounding.
        if mean >= above - ROUNDING && state.level < levels {
            *state = ScheduleState { level: state.level + 1, ..Default::default() };
        } else if below.is_some_and(|below| mean < below - ROUNDING) && state.level > 0 {
            *state = ScheduleState { level: state.level - 1, ..Default::default() };
        }
    }

    /// The state to save with a checkpoint.
    pub fn state(&self) -> ScheduleState {
        self.lock().clone()
    }

    /// Continues from a saved state.
    pub fn restore(&self, state: ScheduleState) {
        *self.lock() = state;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> FollowScore {
        FollowScore { start: 30.0, end: 50.0, factor: 1.2, above: 0.9, below: Some(0.5), batches: 2 }
    }

    #[test]
    fn it_rises_and_falls_with_the_mean_score() {
        let schedule = ScoreSchedule::new(config()).unwrap();
        assert_eq!((schedule.levels(), schedule.value(), schedule.progress()), (3, 30.0, 0.0));
        let observe = |scores: &[f64]| {
            scores.iter().for_each(|&score| schedule.observe(score));
            schedule.value()
        };
        // One good score is not enough, and NaN does not count.
        assert_eq!(observe(&[1.0, f64::NAN]), 30.0);
        assert_eq!(observe(&[0.9]), 36.0);
        // The two scores before the change no longer count.
        assert_eq!(observe(&[1.0]), 36.0);
        assert_eq!(observe(&[0.7]), 36.0);
        assert_eq!(observe(&[0.1]), 30.0);
        assert_eq!(observe(&[0.0, 0.0, 0.0, 0.0]), 30.0);
        assert_eq!(observe(&[1.0, 1.0, 1.0, 1.0, 1.0, 1.0]), 50.0);
        assert!(schedule.is_at_end());
        assert_eq!(observe(&[1.0, 1.0, 1.0]), 50.0);
        assert_eq!(schedule.state().at_end, 3);
    }

    #[test]
    fn it_goes_on_from_what_was_saved() {
        let (one, other) = (ScoreSchedule::new(config()).unwrap(), ScoreSchedule::new(config()).unwrap());
        // In double precision, not every JSON reader would restore 11/12 exactly.
        [1.0, 1.0, 11.0 / 12.0].into_iter().for_each(|score| one.observe(score));
        let text = serde_json::to_string(&one.state()).unwrap();
        other.restore(serde_json::from_str(&text).unwrap());
        [&one, &other].into_iter().for_each(|schedule| schedule.observe(0.95));
        assert_eq!(one.state(), other.state());
        assert_eq!(one.value(), 30.0 * 1.2 * 1.2);
    }

    #[test]
    fn a_schedule_that_leads_nowhere_is_refused() {
        let told = |config: FollowScore| ScoreSchedule::new(config).unwrap_err().to_string();
        assert!(told(FollowScore { factor: 0.9, ..config() }).contains("never gets there"));
        assert!(told(FollowScore { end: 3.0, factor: 1.0, ..config() }).contains("never gets there"));
        assert!(told(FollowScore { start: 0.0, ..config() }).contains("start is 0"));
        assert!(told(FollowScore { batches: 0, ..config() }).contains("batches is 0"));
        let falls = ScoreSchedule::new(FollowScore { end: 3.0, factor: 0.5, ..config() }).unwrap();
        assert_eq!(falls.levels(), 4);
    }
}
