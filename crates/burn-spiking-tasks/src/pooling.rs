//! Coarser input: neighbouring units of a camera or a cochlea become one unit.
//!
//! Unit (plane · height + y) · width + x becomes (plane · height' + y/f) · width' + x/f, with
//! width' = ⌈width/f⌉ and height' = ⌈height/f⌉. A cochlea has height 1.

use crate::error::{TaskError, require};
use crate::events::Sample;
use burn::data::dataset::{Dataset, DatasetError};

/// The units of a data set, as planes of rows, and the factor by which they become fewer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pooling {
    /// Number of units in a row.
    pub width: usize,
    /// Number of rows in a plane.
    pub height: usize,
    /// f, the number of neighbouring units, in each direction, that become one.
    pub factor: usize,
}

impl Pooling {
    /// Checks the numbers.
    ///
    /// # Errors
    /// [`TaskError`] if there are no units or if the factor is 0.
    pub fn check(&self) -> Result<(), TaskError> {
        require(self.width > 0, "width", self.width, "at least 1", "give the number of units in a row")?;
        require(self.height > 0, "height", self.height, "at least 1", "use 1 for units in one row")?;
        require(self.factor > 0, "factor of the pooling", self.factor, "at least 1", "use 1 to keep all units")
    }

    /// The number of units that `units` units become.
    ///
    /// # Panics
    /// If a number is 0, which [`check`](Self::check) refuses.
    pub fn units(&self, units: usize) -> usize {
        let planes = units.div_ceil(self.width * self.height);
        planes * self.height.div_ceil(self.factor) * self.width.div_ceil(self.factor)
    }

    /// The unit that a unit becomes.
    ///
    /// # Panics
    /// If a number is 0, which [`check`](Self::check) refuses.
    pub fn unit(&self, unit: usize) -> usize {
        let (x, row) = (unit % self.width, unit / self.width);
        let (y, plane) = (row % self.height, row / self.height);
        let [width, height] = [self.width, self.height].map(|size| size.div_ceil(self.factor));
        (plane * height + y / self.factor) * width + x / self.factor
    }
}

/// A data set with coarser input. All events stay.
#[derive(Debug, Clone)]
pub struct Pooled<D> {
    data: D,
    pooling: Pooling,
}

impl<D: Dataset<Sample>> Pooled<D> {
    /// The events of `data` on coarser units.
    ///
    /// # Errors
    /// As [`Pooling::check`].
    pub fn new(data: D, pooling: Pooling) -> Result<Self, TaskError> {
        pooling.check()?;
        Ok(Self { data, pooling })
    }
}

impl<D: Dataset<Sample>> Dataset<Sample> for Pooled<D> {
    fn get(&self, index: usize) -> Result<Sample, DatasetError> {
        Ok(self.data.get(index)?.with_each(|(time, unit)| (time, self.pooling.unit(unit))))
    }

    fn len(&self) -> usize {
        self.data.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Events;
    use burn::data::dataset::InMemDataset;

    #[test]
    fn neighbours_become_one() {
        let cochlea = Pooling { width: 700, height: 1, factor: 5 };
        assert_eq!(cochlea.units(700), 140);
        assert_eq!([0, 4, 5, 699].map(|unit| cochlea.unit(unit)), [0, 0, 1, 139]);
        // Two planes of 3 × 5 pixels become planes of 2 × 3.
        let camera = Pooling { width: 5, height: 3, factor: 2 };
        assert_eq!(camera.units(30), 12);
        let at = |plane: usize, y: usize, x: usize| camera.unit((plane * 3 + y) * 5 + x);
        assert_eq!([at(0, 0, 0), at(0, 1, 1), at(0, 2, 4), at(1, 0, 2), at(1, 2, 4)], [0, 0, 5, 7, 11]);
    }

    #[test]
    fn a_factor_of_1_changes_nothing() {
        let all = Pooling { width: 4, height: 3, factor: 1 };
        assert!((0..24).all(|unit| all.unit(unit) == unit));
    }

    #[test]
    fn events_keep_their_times() {
        let events = Events::new(vec![1.0, 2.5], vec![7, 2]).unwrap();
        let data = InMemDataset::new(vec![Sample { events, class: 3 }]);
        let pooled = Pooled::new(data, Pooling { width: 10, height: 1, factor: 2 }).unwrap();
        let sample = pooled.get(0).unwrap();
        assert_eq!((sample.class, sample.events.iter().collect::<Vec<_>>()), (3, vec![(1.0, 3), (2.5, 1)]));
    }

    #[test]
    fn impossible_sizes_are_refused() {
        let told = |pooling: Pooling| pooling.check().unwrap_err().to_string();
        assert!(told(Pooling { width: 0, height: 1, factor: 1 }).contains("width is 0"));
        assert!(told(Pooling { width: 1, height: 0, factor: 1 }).contains("height is 0"));
        assert!(told(Pooling { width: 1, height: 1, factor: 0 }).contains("factor of the pooling is 0"));
    }
}
