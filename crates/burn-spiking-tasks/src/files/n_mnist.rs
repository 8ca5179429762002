//! N-MNIST: handwritten digits as seen by an event camera of 34 × 34 pixels (Orchard et al. 2015).
//!
//! ```text
//! DIR/0/*.bin … DIR/9/*.bin
//!
//! event, 5 bytes:   x   y   polarity (1 bit), time (23 bits, µs, the highest byte first)
//! y = 240:          the clock overflowed: 2^13 µs are added to the time of this and of all later events
//! ```
//!
//! Unit (polarity · 34 + y) · 34 + x. The records of overflows are no events.

use super::FileError;
use crate::events::{Events, Sample};
use burn::data::dataset::{Dataset, DatasetError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Width and height of the camera, pixels.
pub const SIDE: usize = 34;
/// Number of input units: two polarities of each pixel.
pub const UNITS: usize = 2 * SIDE * SIDE;
/// The y of a record that reports an overflow of the clock.
const OVERFLOW: u8 = 240;
/// The time that an overflow adds, µs.
const ADDED: u64 = 1 << 13;
/// Number of digits, each with a folder.
const DIGITS: usize = 10;

/// The samples below one folder (`Train` or `Test`). A sample is read when it is asked for.
#[derive(Debug, Clone)]
pub struct NMnist {
    /// The file and the digit of each sample, digit by digit in the order of their names.
    files: Arc<[(PathBuf, usize)]>,
}

impl NMnist {
    /// Lists the files in the folders `0` to `9` of `folder`.
    ///
    /// # Errors
    /// [`FileError`] if a folder of a digit is missing or cannot be read, or has no `.bin` file.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, FileError> {
        let mut files = Vec::new();
        for digit in 0..DIGITS {
            let path = folder.as_ref().join(digit.to_string());
            let entries = std::fs::read_dir(&path).map_err(|error| {
                let remedy = "give the folder Train or Test of N-MNIST, which has a folder for each digit";
                FileError::new(&path, "the whole folder", error.to_string(), remedy)
            })?;
            let mut names = Vec::new();
            for entry in entries {
                let name = entry.map_err(|error| FileError::unreadable(&path, &error))?.path();
                if name.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("bin")) {
                    names.push(name);
                }
            }
            if names.is_empty() {
                let remedy = "unpack the archive again";
                return Err(FileError::new(&path, "the whole folder", "it has no .bin file", remedy));
            }
            names.sort();
            files.extend(names.into_iter().map(|name| (name, digit)));
        }
        Ok(Self { files: files.into() })
    }

    /// Reads a sample.
    ///
    /// # Errors
    /// [`FileError`] if the file cannot be read, does not consist of whole events, or has an event
    /// outside the camera.
    ///
    /// # Panics
    /// If there is no such sample.
    pub fn read(&self, index: usize) -> Result<Sample, FileError> {
        let (path, class) = &self.files[index];
        let bytes = std::fs::read(path).map_err(|error| FileError::unreadable(path, &error))?;
        Ok(Sample { events: events(path, &bytes)?, class: *class })
    }
}

fn events(path: &Path, bytes: &[u8]) -> Result<Events, FileError> {
    let remedy = "the file is damaged, or is none of N-MNIST: unpack the archive again";
    let records = bytes.chunks_exact(5);
    if !records.remainder().is_empty() {
        let place = format!("byte {}", bytes.len() - records.remainder().len());
        let problem = format!("the last event has {} of 5 bytes", records.remainder().len());
        return Err(FileError::new(path, place, problem, remedy));
    }
    let (mut events, mut added) = (Events::default(), 0);
    for (at, record) in records.enumerate() {
        let &[x, y, high, middle, low] = record else { unreachable!("records have 5 bytes") };
        if y == OVERFLOW {
            added += ADDED;
            continue;
        }
        if x as usize >= SIDE || y as usize >= SIDE {
            let problem = format!("an event at pixel ({x}, {y}), but the camera has {SIDE} × {SIDE}");
            return Err(FileError::new(path, format!("byte {}", 5 * at), problem, remedy));
        }
        let time = u64::from(high & 0x7f) << 16 | u64::from(middle) << 8 | u64::from(low);
        let polarity = (high >> 7) as usize;
        events.push((time + added) as f64 / 1000.0, (polarity * SIDE + y as usize) * SIDE + x as usize);
    }
    Ok(events)
}

impl Dataset<Sample> for NMnist {
    fn get(&self, index: usize) -> Result<Sample, DatasetError> {
        assert!(index < self.len(), "sample {index} was asked for, but the data set has {}", self.len());
        self.read(index).map_err(DatasetError::new)
    }

    fn len(&self) -> usize {
        self.files.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An event, as in the file.
    fn record(x: u8, y: u8, polarity: u8, time: u32) -> [u8; 5] {
        [x, y, polarity << 7 | (time >> 16) as u8, (time >> 8) as u8, time as u8]
    }

    /// A folder with one file for each digit, of which that of 3 has these bytes.
    fn folder(bytes: &[u8]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for digit in 0..10 {
            let path = folder.path().join(digit.to_string());
            std::fs::create_dir(&path).unwrap();
            std::fs::write(path.join("00001.bin"), if digit == 3 { bytes } else { &[] }).unwrap();
        }
        folder
    }

    #[test]
    fn events_are_read_byte_by_byte() {
        let bytes = [
            record(33, 0, 1, 0x7f_ffff),
            record(2, 5, 0, 1500),
            record(0, OVERFLOW, 0, 9),
            record(2, 5, 0, 1500),
            record(7, OVERFLOW, 1, 9),
            record(0, 1, 1, 0),
        ]
        .concat();
        let folder = folder(&bytes);
        let data = NMnist::open(folder.path()).unwrap();
        assert_eq!(data.len(), 10);
        let sample = data.get(3).unwrap();
        assert_eq!(sample.class, 3);
        let found: Vec<(f64, usize)> = sample.events.iter().collect();
        let wanted = [(8388.607, 34 * 34 + 33), (1.5, 5 * 34 + 2), (9.692, 5 * 34 + 2), (16.384, 34 * 34 + 34)];
        assert_eq!(found.len(), wanted.len());
        for ((time, unit), (wanted, of)) in found.into_iter().zip(wanted) {
            assert!((time - wanted).abs() < 1e-3 && unit == of, "{time} {unit}");
        }
        assert!(data.get(0).unwrap().events.is_empty());
        assert!(sample.events.units() <= UNITS);
    }

    #[test]
    fn damaged_files_are_told() {
        let told = |bytes: &[u8]| {
            let folder = folder(bytes);
            NMnist::open(folder.path()).unwrap().read(3).unwrap_err().to_string()
        };
        let truncated = told(&[&record(1, 1, 0, 5)[..], &[1, 2]].concat());
        assert!(truncated.contains("3/00001.bin, byte 5: the last event has 2 of 5 bytes"), "{truncated}");
        let outside = told(&[record(1, 1, 0, 5), record(34, 1, 0, 5)].concat());
        assert!(outside.contains("byte 5: an event at pixel (34, 1)"), "{outside}");
    }

    #[test]
    fn missing_folders_are_told() {
        let folder = folder(&[]);
        std::fs::remove_file(folder.path().join("7/00001.bin")).unwrap();
        let empty = NMnist::open(folder.path()).unwrap_err().to_string();
        assert!(empty.contains("7, the whole folder: it has no .bin file"), "{empty}");
        std::fs::remove_dir(folder.path().join("7")).unwrap();
        let missing = NMnist::open(folder.path()).unwrap_err().to_string();
        assert!(missing.contains("a folder for each digit"), "{missing}");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            match events(Path::new("x.bin"), &bytes) {
                Ok(events) => assert!(events.units() <= UNITS && events.len() <= bytes.len() / 5),
                Err(error) => assert!(error.to_string().contains("x.bin, byte ")),
            }
        }
    }
}
