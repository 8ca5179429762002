//! The score of classification: how often each class was given for each right class.

/// Counts of right and given classes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Confusion {
    /// `[right][given]`.
    counts: Vec<Vec<u64>>,
}

impl Confusion {
    /// Creates empty counts.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a sample.
    pub fn add(&mut self, right: usize, given: usize) {
        self.resize(right.max(given) + 1);
        self.counts[right][given] += 1;
    }

    /// Adds the counts of other samples.
    pub fn merge(&mut self, other: &Self) {
        self.resize(other.classes());
        let pairs = self.counts.iter_mut().zip(&other.counts).flat_map(|(own, other)| own.iter_mut().zip(other));
        pairs.for_each(|(own, other)| *own += other);
    }

    fn resize(&mut self, classes: usize) {
        let classes = classes.max(self.classes());
        self.counts.iter_mut().for_each(|row| row.resize(classes, 0));
        self.counts.resize(classes, vec![0; classes]);
    }

    /// The number of classes that occurred: one more than the largest.
    pub fn classes(&self) -> usize {
        self.counts.len()
    }

    /// How often each class was given for each right class, `[right][given]`.
    pub fn counts(&self) -> &[Vec<u64>] {
        &self.counts
    }

    /// The number of samples.
    pub fn samples(&self) -> u64 {
        self.counts.iter().flatten().sum()
    }

    /// The share of samples with the right class; NaN if there are none.
    pub fn accuracy(&self) -> f64 {
        let right: u64 = (0..self.classes()).map(|class| self.counts[class][class]).sum();
        right as f64 / self.samples() as f64
    }

    /// The accuracy of the samples of each class; NaN for a class without samples.
    pub fn accuracy_by_class(&self) -> Vec<f64> {
        let of = |(class, row): (usize, &Vec<u64>)| row[class] as f64 / row.iter().sum::<u64>() as f64;
        self.counts.iter().enumerate().map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_grow_with_the_classes() {
        let mut confusion = Confusion::new();
        assert!(confusion.accuracy().is_nan());
        confusion.add(0, 0);
        confusion.add(0, 2);
        let mut other = Confusion::new();
        [(1, 1), (1, 1), (3, 0)].into_iter().for_each(|(right, given)| other.add(right, given));
        confusion.merge(&other);
        assert_eq!(confusion.counts(), [[1, 0, 1, 0], [0, 2, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0]]);
        assert_eq!((confusion.samples(), confusion.accuracy()), (5, 0.6));
        let by_class = confusion.accuracy_by_class();
        assert_eq!((by_class[0], by_class[1], by_class[3]), (0.5, 1.0, 0.0));
        assert!(by_class[2].is_nan());
    }
}
