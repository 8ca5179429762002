//! The scores as metrics of Burn's learner. A model's output provides them through
//! `Adaptor<Tracking>` or `Adaptor<Answers>`.

use crate::answers::Answers;
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

/// The normalised error over all trials of an epoch; lower is better.
pub fn nmse() -> ScoreMetric<Tracking> {
    ScoreMetric::lower_is_better("Nmse", Tracking::nmse)
}

/// The share of an epoch's rounds that are answered correctly; higher is better.
pub fn answer_accuracy() -> ScoreMetric<Answers> {
    ScoreMetric::higher_is_better("Accuracy", Answers::accuracy)
}
