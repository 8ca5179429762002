//! Training progress: one line for each epoch with the time left, and in a terminal a progress bar.

use burn::train::LearnerSummary;
use burn::train::logger::{EvaluationProgressLogger, TrainingProgressLogger};
use burn::train::metric::{MetricDefinition, MetricId, NumericEntry};
use burn::train::renderer::{
    EvaluationName, MetricState, MetricsRenderer, MetricsRendererEvaluation, MetricsRendererTraining,
};
use burn_spiking::train::metric::shown;
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

/// A renderer for Burn's learner.
pub struct EpochLines {
    names: HashMap<MetricId, String>,
    /// (split, metric) → value over the epoch.
    values: BTreeMap<(&'static str, String), f64>,
    first_epoch: usize,
    epochs: usize,
    epoch: usize,
    started: Instant,
    bar: ProgressBar,
}

impl Default for EpochLines {
    fn default() -> Self {
        let style = ProgressStyle::with_template("{msg} {bar:30} {pos}/{len}").expect("a valid template");
        let bar = ProgressBar::new(0).with_style(style);
        Self {
            names: HashMap::new(),
            values: BTreeMap::new(),
            first_epoch: 1,
            epochs: 0,
            epoch: 1,
            started: Instant::now(),
            bar,
        }
    }
}

impl EpochLines {
    fn add(&mut self, split: &'static str, state: MetricState) {
        // Only the final value of an epoch counts. Ignore values of single batches.
        if let MetricState::Numeric(entry, Some(NumericEntry::Final(value))) = state {
            let name = self.names.get(&entry.metric_id).cloned().unwrap_or_default();
            self.values.insert((split, name), value);
        }
    }

    fn line(&mut self) -> String {
        let done = self.epoch + 1 - self.first_epoch;
        let spent = self.started.elapsed();
        let left = spent.mul_f64((self.epochs - self.epoch) as f64 / done as f64);
        let width = self.epochs.to_string().len();
        let mut line = format!("epoch {:>width$}/{}", self.epoch, self.epochs);
        let mut before = "";
        for ((split, name), value) in std::mem::take(&mut self.values) {
            let heading = if split == before { String::new() } else { format!("  {split}") };
            line += &format!("{heading} {} {}", name.to_lowercase(), shown(value, 4));
            before = split;
        }
        line + &format!("  {} spent, {} left", clock(spent), clock(left))
    }
}

/// Formats a time as minutes and seconds.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs_f64().round() as u64;
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

impl MetricsRendererTraining for EpochLines {
    fn update_train(&mut self, state: MetricState) {
        self.add("train", state);
    }

    fn update_valid(&mut self, state: MetricState) {
        self.add("valid", state);
    }

    fn on_train_end(&mut self, _: Option<LearnerSummary>) -> Result<(), Box<dyn std::error::Error>> {
        self.bar.finish_and_clear();
        Ok(())
    }
}

impl TrainingProgressLogger for EpochLines {
    fn start(&mut self, total_epochs: usize, starting_epoch: usize, _: Option<usize>, _: Option<&str>) {
        self.epochs = total_epochs;
        self.first_epoch = starting_epoch.max(1);
        self.epoch = self.first_epoch;
        self.started = Instant::now();
    }

    fn start_split(&mut self, split: &str, total_items: usize) {
        self.bar.reset();
        self.bar.set_length(total_items as u64);
        self.bar.set_message(format!("epoch {} {split}", self.epoch));
    }

    fn update_split(&mut self, items_processed: usize) {
        self.bar.set_position(items_processed as u64);
    }

    fn update_epoch(&mut self, epoch: usize) {
        self.epoch = epoch;
        let line = self.line();
        self.bar.suspend(|| println!("{line}"));
        self.epoch += 1;
    }

    fn end_split(&mut self) {}

    fn end(&mut self) {
        self.bar.finish_and_clear();
    }

    fn log_event_training(&mut self, _: String) {}
}

impl MetricsRendererEvaluation for EpochLines {
    fn update_test(&mut self, _: EvaluationName, _: MetricState) {}
}

impl EvaluationProgressLogger for EpochLines {
    fn start_global_progress(&mut self, _: usize) {}
    fn start_test(&mut self, _: &str, _: usize) {}
    fn update_test_progress(&mut self, _: usize) {}
    fn end_test(&mut self) {}
    fn end_global_progress(&mut self) {}
    fn log_event_evaluation(&mut self, _: String) {}
}

impl MetricsRenderer for EpochLines {
    fn manual_close(&mut self) {}

    fn register_metric(&mut self, definition: MetricDefinition) {
        self.names.insert(definition.metric_id, definition.name.to_string());
    }
}
