//! Scores of outputs: the normalised error and the correlation.
//!
//! ```text
//! nmse = Σ |o − o_d|² / Σ |o_d − mean o_d|²        over all trials, times and outputs
//! ```

/// Accumulates the normalised error of outputs that should follow targets. A perfect output scores
/// 0; the mean of the targets scores 1.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tracking {
    error: f64,
    count: f64,
    sum: Vec<f64>,
    sum_of_squares: f64,
}

impl Tracking {
    /// Creates a score without trials.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds trials. `output` and `target` are flattened `[.., O]` series, and `width` is O.
    ///
    /// # Panics
    /// If the lengths differ or are not a multiple of `width`.
    pub fn add(&mut self, output: &[f32], target: &[f32], width: usize) {
        assert_eq!(output.len(), target.len(), "an output for each target");
        assert_eq!(target.len() % width, 0, "whole rows of {width} outputs");
        self.sum.resize(width, 0.0);
        for (output, target) in output.chunks_exact(width).zip(target.chunks_exact(width)) {
            for ((sum, &output), &target) in self.sum.iter_mut().zip(output).zip(target) {
                let (output, target) = (output as f64, target as f64);
                self.error += (output - target).powi(2);
                self.sum_of_squares += target * target;
                *sum += target;
            }
            self.count += 1.0;
        }
    }

    /// Adds the sums of other trials.
    ///
    /// # Panics
    /// If the numbers of outputs differ.
    pub fn merge(&mut self, other: &Self) {
        if self.sum.is_empty() {
            self.sum.resize(other.sum.len(), 0.0);
        }
        assert!(other.sum.is_empty() || self.sum.len() == other.sum.len(), "scores of as many outputs");
        self.sum.iter_mut().zip(&other.sum).for_each(|(own, other)| *own += other);
        self.error += other.error;
        self.count += other.count;
        self.sum_of_squares += other.sum_of_squares;
    }

    /// The normalised error; if the targets never vary, infinite, or NaN for a perfect output.
    pub fn nmse(&self) -> f64 {
        let of_means: f64 = self.sum.iter().map(|sum| sum * sum / self.count).sum();
        self.error / (self.sum_of_squares - of_means).max(0.0)
    }
}

/// Pearson's correlation of two lists of the same length; NaN if one of them never varies.
///
/// # Panics
/// If the lengths differ.
pub fn correlation(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len(), "lists of one length");
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let products = |x: &[f64], mean_x: f64, y: &[f64], mean_y: f64| {
        x.iter().zip(y).map(|(x, y)| (x - mean_x) * (y - mean_y)).sum::<f64>()
    };
    products(a, mean_a, b, mean_b) / (products(a, mean_a, a, mean_a) * products(b, mean_b, b, mean_b)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_scores_one_and_target_zero() {
        let target = [1.0, 5.0, 3.0, 1.0, 2.0, 3.0];
        let mut perfect = Tracking::new();
        perfect.add(&target, &target, 2);
        assert_eq!(perfect.nmse(), 0.0);
        let mut mean = Tracking::new();
        // In two parts, like two batches.
        mean.add(&[2.0, 3.0], &target[..2], 2);
        mean.add(&[2.0, 3.0, 2.0, 3.0], &target[2..], 2);
        assert!((mean.nmse() - 1.0).abs() < 1e-12);
        let mut merged = Tracking::new();
        merged.merge(&mean);
        merged.merge(&perfect);
        assert!((merged.nmse() - 0.5).abs() < 1e-12);
    }

    #[test]
    fn correlation_of_lines() {
        let x = [1.0, 2.0, 4.0];
        assert!((correlation(&x, &x.map(|x| 3.0 * x - 1.0)) - 1.0).abs() < 1e-12);
        assert!((correlation(&x, &x.map(|x| -x)) + 1.0).abs() < 1e-12);
    }
}
