//! The scores as metrics of Burn's learner. A model's output provides them through
//! `Adaptor<Tracking>`, `Adaptor<Answers>` or `Adaptor<Confusion>`.

use crate::answers::Answers;
use crate::confusion::Confusion;
use crate::score::Tracking;
use burn_spiking::train::metric::{Accumulate, ScoreMetric};

impl Accumulate for Tracking {
    fn merge(&mut self, other: &Self) {
        Tracking::merge(self, other);
    }
}

impl Accumulate for Answers {
    fn merge(&mut self, other: &Self) {
        Answers::merge(self, other);
    }
}

impl Accumulate for Confusion {
    fn merge(&mut self, other: &Self) {
        Confusion::merge(self, other);
    }
}

/// The normalised error over all trials of an epoch; lower is better.
pub fn nmse() -> ScoreMetric<Tracking> {
    ScoreMetric::lower_is_better("Nmse", Tracking::nmse)
}

/// The share of an epoch's rounds that are answered correctly; higher is better.
pub fn answer_accuracy() -> ScoreMetric<Answers> {
    ScoreMetric::higher_is_better("Accuracy", Answers::accuracy)
}

/// The share of an epoch's samples with the right class; higher is better.
pub fn class_accuracy() -> ScoreMetric<Confusion> {
    ScoreMetric::higher_is_better("Accuracy", Confusion::accuracy)
}
