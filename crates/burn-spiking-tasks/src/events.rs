//! Spikes as lists of events, the input of classification tasks.

use crate::error::{TaskError, require};

/// The input spikes of one sample. An event is a spike of one input unit at one time.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Events {
    times: Vec<f32>,
    units: Vec<u32>,
}

impl Events {
    /// Makes a list of events from their times, in ms, and their units, both in the same order.
    ///
    /// # Errors
    /// [`TaskError`] if there are not as many times as units, or if a time is negative, infinite or
    /// NaN.
    pub fn new(times: Vec<f32>, units: Vec<u32>) -> Result<Self, TaskError> {
        let (is, want) = (units.len(), times.len());
        require(is == want, "number of units", is, &format!("{want}, the number of times"), "give each event a unit")?;
        for &time in &times {
            let holds = time.is_finite() && time >= 0.0;
            require(
                holds,
                "time of an event",
                time,
                "at least 0 and finite",
                "give it in ms from the start of the sample",
            )?;
        }
        Ok(Self { times, units })
    }

    /// Adds an event whose time is known to be valid.
    pub(crate) fn push(&mut self, time: f64, unit: usize) {
        self.times.push(time as f32);
        self.units.push(unit as u32);
    }

    /// The number of events.
    pub fn len(&self) -> usize {
        self.times.len()
    }

    /// Whether there are no events.
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// The time (ms) and the unit of each event.
    pub fn iter(&self) -> impl Iterator<Item = (f64, usize)> + '_ {
        self.times.iter().zip(&self.units).map(|(&time, &unit)| (time as f64, unit as usize))
    }

    /// The time after which there are no events, ms; 0 if there are none at all.
    pub fn end(&self) -> f64 {
        self.times.iter().copied().fold(0.0, f32::max) as f64
    }

    /// The smallest number of units that contains all events.
    pub fn units(&self) -> usize {
        self.units.iter().max().map_or(0, |&unit| unit as usize + 1)
    }
}

/// A sample of a classification task: input spikes and their class.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The input spikes.
    pub events: Events,
    /// The class, counted from 0.
    pub class: usize,
}

impl Sample {
    /// The same sample with each event (time, unit) replaced. The new times must be valid.
    pub(crate) fn with_each(self, replaced: impl FnMut((f64, usize)) -> (f64, usize)) -> Self {
        let mut events = Events::default();
        self.events.iter().map(replaced).for_each(|(time, unit)| events.push(time, unit));
        Self { events, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_know_their_extent() {
        let events = Events::new(vec![3.0, 1.5], vec![2, 7]).unwrap();
        assert_eq!((events.len(), events.end(), events.units()), (2, 3.0, 8));
        assert_eq!(events.iter().collect::<Vec<_>>(), [(3.0, 2), (1.5, 7)]);
        let none = Events::default();
        assert_eq!((none.is_empty(), none.end(), none.units()), (true, 0.0, 0));
    }

    #[test]
    fn impossible_events_are_refused() {
        let told = |times: Vec<f32>, units: Vec<u32>| Events::new(times, units).unwrap_err().to_string();
        assert!(told(vec![1.0], vec![]).contains("number of units is 0, but must be 1"));
        assert!(told(vec![1.0, -0.5], vec![0, 0]).contains("time of an event is -0.5"));
        assert!(told(vec![f32::NAN], vec![0]).contains("NaN"));
    }
}
