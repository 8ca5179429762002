//! Events as a table: a CSV file with a line for each event.
//!
//! ```text
//! sample,class,time,unit
//! 0,3,1.25,17
//! ```
//!
//! `sample` and `class` count from 0, `time` is in ms, `unit` counts from 0. Columns may be in any
//! order, and lines too. Samples without events do not occur. The whole table is in memory, at 8
//! bytes for each event.

use super::{FileError, MOST_CLASSES};
use crate::events::{Events, Sample};
use burn::data::dataset::{Dataset, DatasetError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// The samples of a table, in the order of their numbers.
#[derive(Debug, Clone)]
pub struct EventTable {
    samples: Arc<[Sample]>,
    classes: usize,
    units: usize,
}

/// A line of the table.
#[derive(Serialize, Deserialize)]
struct Line {
    sample: u64,
    class: usize,
    time: f32,
    unit: u32,
}

/// The most units that a table may have.
const MOST_UNITS: u32 = 1 << 20;
const REMEDY: &str = "give a CSV file with the columns sample, class, time (ms) and unit";

impl EventTable {
    /// Reads a table.
    ///
    /// # Errors
    /// [`FileError`] if the file cannot be read, a column is missing, a line has no number where it
    /// needs one, a class or a unit is too large, a time is negative or not finite, or the lines of
    /// a sample have different classes.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, FileError> {
        let path = path.as_ref();
        let file = std::fs::File::open(path).map_err(|error| FileError::unreadable(path, &error))?;
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(file);
        let mut samples: BTreeMap<u64, Sample> = BTreeMap::new();
        let told = |line: u64, problem: String| FileError::new(path, format!("line {line}"), problem, REMEDY);
        let headers = reader.headers().map_err(|error| told(1, error.to_string()))?.clone();
        for (at, record) in reader.records().enumerate() {
            let record = record.map_err(|error| told(at as u64 + 2, error.to_string()))?;
            let place = record.position().map_or(at as u64 + 2, csv::Position::line);
            let Line { sample: number, class, time, unit } =
                record.deserialize(Some(&headers)).map_err(|error| told(place, error.to_string()))?;
            if !(time.is_finite() && time >= 0.0) {
                return Err(told(place, format!("the time is {time}, but must be at least 0 and finite")));
            }
            if class >= MOST_CLASSES || unit >= MOST_UNITS {
                let limits = format!("classes are below {MOST_CLASSES} and units below {MOST_UNITS}");
                return Err(told(place, format!("the class is {class} and the unit {unit}, but {limits}")));
            }
            let sample = samples.entry(number).or_insert(Sample { events: Events::default(), class });
            if sample.class != class {
                let problem = format!("sample {number} has class {class}, but class {} before", sample.class);
                return Err(told(place, problem));
            }
            sample.events.push(time as f64, unit as usize);
        }
        if samples.is_empty() {
            return Err(told(1, "the table has no events".into()));
        }
        let samples: Vec<Sample> = samples.into_values().collect();
        let classes = samples.iter().map(|sample| sample.class + 1).max().unwrap_or(0);
        let units = samples.iter().map(|sample| sample.events.units()).max().unwrap_or(0);
        Ok(Self { samples: samples.into(), classes, units })
    }

    /// Writes a table of all samples of a data set, by their index. Samples without events do not
    /// occur in it. Returns the number of samples that do.
    ///
    /// # Errors
    /// [`FileError`] if a sample cannot be read or if the file cannot be written.
    pub fn write(path: impl AsRef<Path>, data: &impl Dataset<Sample>) -> Result<usize, FileError> {
        let path = path.as_ref();
        let failed = |error: std::io::Error| {
            FileError::new(path, "the whole file", error.to_string(), "give a file that can be written")
        };
        let mut writer = csv::Writer::from_path(path).map_err(|error| failed(error.into()))?;
        let mut written = 0;
        for sample in 0..data.len() {
            let told = |error: DatasetError| {
                FileError::new(path, format!("sample {sample}"), error.to_string(), "correct the source")
            };
            let Sample { events, class } = data.get(sample).map_err(told)?;
            written += !events.is_empty() as usize;
            for (time, unit) in events.iter() {
                let line = Line { sample: sample as u64, class, time: time as f32, unit: unit as u32 };
                writer.serialize(line).map_err(|error| failed(error.into()))?;
            }
        }
        writer.flush().map_err(failed)?;
        Ok(written)
    }

    /// One more than the largest class.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The time after which no sample has an event, ms.
    pub fn end(&self) -> f64 {
        self.samples.iter().map(|sample| sample.events.end()).fold(0.0, f64::max)
    }

    /// One more than the largest unit.
    pub fn units(&self) -> usize {
        self.units
    }
}

impl Dataset<Sample> for EventTable {
    fn get(&self, index: usize) -> Result<Sample, DatasetError> {
        assert!(index < self.len(), "sample {index} was asked for, but the data set has {}", self.len());
        Ok(self.samples[index].clone())
    }

    fn len(&self) -> usize {
        self.samples.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(text: &str) -> Result<EventTable, FileError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.csv");
        std::fs::write(&path, text).unwrap();
        EventTable::open(path)
    }

    #[test]
    fn lines_belong_to_their_samples() {
        let table = open("unit, time, sample, class\n17, 1.25, 4, 3\n2, 0, 1, 0\n5, 7.5, 4, 3\n").unwrap();
        assert_eq!((table.len(), table.classes(), table.units()), (2, 4, 18));
        let sample = table.get(1).unwrap();
        assert_eq!(sample.class, 3);
        assert_eq!(sample.events.iter().collect::<Vec<_>>(), [(1.25, 17), (7.5, 5)]);
    }

    #[test]
    fn a_table_comes_back_as_it_was_written() {
        let [data, _] = crate::Digits::default().datasets().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("digits.csv");
        assert_eq!(EventTable::write(&path, &data).unwrap(), data.len());
        let table = EventTable::open(&path).unwrap();
        assert_eq!(table.len(), data.len());
        assert!((0..data.len()).all(|at| table.get(at).unwrap() == data.get(at).unwrap()));
    }

    #[test]
    fn wrong_tables_are_told() {
        let told = |text: &str| open(text).unwrap_err().to_string();
        let cases = [
            ("sample,time,unit\n0,1,2\n", "line 2", "missing field `class`"),
            ("sample,class,time,unit\n0,1,2\n", "line 2", "fields"),
            ("sample,class,time,unit\n0,1,soon,3\n", "line 2", "invalid float"),
            ("sample,class,time,unit\n0,1,2,3\n0,1,-2,3\n", "line 3", "the time is -2"),
            ("sample,class,time,unit\n0,1,NaN,3\n", "line 2", "the time is NaN"),
            ("sample,class,time,unit\n0,1,2,3\n0,2,4,3\n", "line 3", "class 2, but class 1 before"),
            ("sample,class,time,unit\n", "line 1", "no events"),
        ];
        for (text, place, problem) in cases {
            let told = told(text);
            assert!(told.contains("events.csv") && told.contains(place) && told.contains(problem), "{told}");
        }
        let missing = EventTable::open("/nowhere/events.csv").unwrap_err().to_string();
        assert!(missing.contains("/nowhere/events.csv"), "{missing}");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(sample,class,time,unit\n)?([0-9,.\n -]|NaN){0,60}") {
            let _ = open(&text);
        }
    }
}
