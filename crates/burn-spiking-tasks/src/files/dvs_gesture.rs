//! DVS128 Gesture: eleven gestures of the arms, as seen by an event camera of 128 × 128 pixels
//! (Amir et al. 2017).
//!
//! ```text
//! DIR/trials_to_train.txt, DIR/trials_to_test.txt    a recording on each line: NAME.aedat
//! DIR/NAME.aedat                                     the events, AEDAT 3.1
//! DIR/NAME_labels.csv                                class (1 to 11), start, end (µs)
//!
//! AEDAT 3.1: header lines that begin with #, the last of them #!END-HEADER, then packets
//! packet, 28 bytes, low byte first:
//!   type (16 bits; 1: polarity), source (16), size of an event, offset of its time, overflow of the clock,
//!   capacity, number of events, number of valid events (32 each)
//! polarity event, 8 bytes:
//!   bit 0 valid, bit 1 polarity, bits 2 to 16 y, bits 17 to 31 x; time (32 bits, µs)
//! ```
//!
//! A sample is one gesture of a recording. Its times count from the start of the gesture. Unit
//! (polarity · 128 + y) · 128 + x. An overflow adds 2^31 µs for each count. Packets of other types
//! and invalid events are left out. The files come from
//! <https://research.ibm.com/interactive/dvsgesture>; unpack them first.

use super::FileError;
use crate::events::{Events, Sample};
use burn::data::dataset::{Dataset, DatasetError};
use serde::Deserialize;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Width and height of the camera, pixels.
pub const SIDE: usize = 128;
/// Number of input units: two polarities of each pixel.
pub const UNITS: usize = 2 * SIDE * SIDE;
/// Number of gestures.
pub const CLASSES: usize = 11;

/// The type of packets with polarity events.
const POLARITY: u16 = 1;
/// Bytes of the head of a packet.
const HEAD: usize = 28;
/// Bytes of a polarity event.
const EVENT: usize = 8;
/// The most bytes of a packet. The recordings have packets of at most some ten kilobytes.
const LARGEST: usize = 1 << 26;
const REMEDY: &str = "the file is damaged, or is none of DVS128 Gesture: unpack the archive again";

/// Which recordings of the data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trials {
    /// Those that the authors train with.
    Train,
    /// Those that the authors test with.
    Test,
}

impl Trials {
    fn list(self) -> &'static str {
        match self {
            Self::Train => "trials_to_train.txt",
            Self::Test => "trials_to_test.txt",
        }
    }
}

/// The gestures of the recordings that a list names. Each read of a gesture scans its whole
/// recording.
#[derive(Debug, Clone)]
pub struct DvsGesture {
    gestures: Arc<[Gesture]>,
}

#[derive(Debug, Clone)]
struct Gesture {
    recording: PathBuf,
    class: usize,
    /// µs.
    start: u64,
    /// µs.
    end: u64,
}

/// A line of the labels.
#[derive(Deserialize)]
struct Label {
    class: usize,
    #[serde(rename = "startTime_usec")]
    start: u64,
    #[serde(rename = "endTime_usec")]
    end: u64,
}

impl DvsGesture {
    /// Reads the list of the recordings and the labels of each.
    ///
    /// # Errors
    /// [`FileError`] if a file is missing or cannot be read, if the list is empty, or if a label
    /// has no class from 1 to 11 or ends before it starts.
    pub fn open(folder: impl AsRef<Path>, trials: Trials) -> Result<Self, FileError> {
        let folder = folder.as_ref();
        let list = folder.join(trials.list());
        let text = std::fs::read_to_string(&list).map_err(|error| FileError::unreadable(&list, &error))?;
        let names = text.lines().map(str::trim).filter(|name| !name.is_empty());
        let mut gestures = Vec::new();
        for name in names {
            let recording = folder.join(name);
            if !recording.is_file() {
                let problem = format!("the recording {} is missing", recording.display());
                return Err(FileError::new(&list, name, problem, REMEDY));
            }
            let labels = folder.join(format!("{}_labels.csv", name.trim_end_matches(".aedat")));
            gestures.extend(labels_of(&labels, &recording)?);
        }
        if gestures.is_empty() {
            return Err(FileError::new(&list, "the whole file", "it names no recording with a gesture", REMEDY));
        }
        Ok(Self { gestures: gestures.into() })
    }

    /// Reads a gesture.
    ///
    /// # Errors
    /// [`FileError`] if its recording cannot be read, is not AEDAT 3.1, ends within a packet, or
    /// has an event outside the camera.
    ///
    /// # Panics
    /// If there is no such gesture.
    pub fn read(&self, index: usize) -> Result<Sample, FileError> {
        let Gesture { recording, class, start, end } = &self.gestures[index];
        let file = File::open(recording).map_err(|error| FileError::unreadable(recording, &error))?;
        let events = events(recording, BufReader::new(file), *start, *end)?;
        Ok(Sample { events, class: *class })
    }
}

fn labels_of(path: &Path, recording: &Path) -> Result<Vec<Gesture>, FileError> {
    let file = File::open(path).map_err(|error| FileError::unreadable(path, &error))?;
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(file);
    let mut gestures = Vec::new();
    for (at, label) in reader.deserialize().enumerate() {
        let told = |problem: String| {
            let remedy = "give the columns class, startTime_usec and endTime_usec, as unpacked";
            FileError::new(path, format!("line {}", at + 2), problem, remedy)
        };
        let Label { class, start, end } = label.map_err(|error| told(error.to_string()))?;
        if !(1..=CLASSES).contains(&class) {
            return Err(told(format!("the class is {class}, but must be from 1 to {CLASSES}")));
        }
        if end <= start {
            return Err(told(format!("the gesture ends at {end} µs, but starts at {start} µs")));
        }
        gestures.push(Gesture { recording: recording.into(), class: class - 1, start, end });
    }
    Ok(gestures)
}

/// Reads the events of a recording from `start` to `end`, µs.
fn events(path: &Path, mut file: impl BufRead, start: u64, end: u64) -> Result<Events, FileError> {
    let told = |place: usize, problem: String| FileError::new(path, format!("byte {place}"), problem, REMEDY);
    let failed = |error: std::io::Error| FileError::unreadable(path, &error);
    let mut at = skip_header(path, &mut file)?;
    let mut events = Events::default();
    loop {
        let head = read_up_to(&mut file, HEAD).map_err(failed)?;
        if head.is_empty() {
            return Ok(events);
        }
        if head.len() < HEAD {
            return Err(told(at, format!("the head of a packet has {} of {HEAD} bytes", head.len())));
        }
        let number = |from: usize| u32::from_le_bytes([head[from], head[from + 1], head[from + 2], head[from + 3]]);
        let kind = u16::from_le_bytes([head[0], head[1]]);
        let [size, overflow, capacity, count] = [4, 12, 16, 20].map(|from| number(from) as usize);
        let length = size.checked_mul(count).filter(|&length| length <= LARGEST && count <= capacity);
        let Some(length) = length else {
            return Err(told(at, format!("a packet of {count} events of {size} bytes, with room for {capacity}")));
        };
        let body = read_up_to(&mut file, length).map_err(failed)?;
        if body.len() < length {
            return Err(told(at + HEAD, format!("a packet has {} of {length} bytes", body.len())));
        }
        if kind == POLARITY {
            if size != EVENT {
                return Err(told(at, format!("polarity events of {size} bytes, but they have {EVENT}")));
            }
            for (k, event) in body.chunks_exact(EVENT).enumerate() {
                let &[a, b, c, d, e, f, g, h] = event else { unreachable!("events have 8 bytes") };
                let (data, time) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
                let time = ((overflow as u64) << 31) + time as u64;
                if data & 1 == 0 || time < start || time >= end {
                    continue;
                }
                let (polarity, y, x) = (data >> 1 & 1, data >> 2 & 0x7fff, data >> 17);
                let (polarity, y, x) = (polarity as usize, y as usize, x as usize);
                if x >= SIDE || y >= SIDE {
                    let problem = format!("an event at pixel ({x}, {y}), but the camera has {SIDE} × {SIDE}");
                    return Err(told(at + HEAD + EVENT * k, problem));
                }
                events.push((time - start) as f64 / 1000.0, (polarity * SIDE + y) * SIDE + x);
            }
        }
        at += HEAD + length;
    }
}

/// Reads the header lines. Returns their number of bytes.
fn skip_header(path: &Path, file: &mut impl BufRead) -> Result<usize, FileError> {
    let told = |place: usize, problem: &str| FileError::new(path, format!("byte {place}"), problem, REMEDY);
    let mut at = 0;
    loop {
        let mut line = Vec::new();
        // A header line has some hundred bytes. A foreign file may have no end of line at all.
        let read = file.by_ref().take(65_536).read_until(b'\n', &mut line);
        read.map_err(|error| FileError::unreadable(path, &error))?;
        if at == 0 && !line.starts_with(b"#!AER-DAT3.1") {
            return Err(told(0, "the first line is not #!AER-DAT3.1"));
        }
        if !line.starts_with(b"#") {
            return Err(told(at, "the header does not end with the line #!END-HEADER"));
        }
        at += line.len();
        if line.starts_with(b"#!END-HEADER") {
            return Ok(at);
        }
    }
}

/// Reads this many bytes, or fewer at the end of the file.
fn read_up_to(file: &mut impl Read, length: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(length as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl Dataset<Sample> for DvsGesture {
    fn get(&self, index: usize) -> Result<Sample, DatasetError> {
        assert!(index < self.len(), "sample {index} was asked for, but the data set has {}", self.len());
        self.read(index).map_err(DatasetError::new)
    }

    fn len(&self) -> usize {
        self.gestures.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 0: DVS128\r\n#!END-HEADER\r\n";

    /// A packet with these events, as in the file.
    fn packet(kind: u16, overflow: u32, events: &[[u32; 2]]) -> Vec<u8> {
        let mut bytes = [kind.to_le_bytes(), 1_u16.to_le_bytes()].concat();
        let count = events.len() as u32;
        for number in [EVENT as u32, 4, overflow, count, count, count].iter().chain(events.iter().flatten()) {
            bytes.extend(number.to_le_bytes());
        }
        bytes
    }

    fn event(x: u32, y: u32, polarity: u32, time: u32) -> [u32; 2] {
        [x << 17 | y << 2 | polarity << 1 | 1, time]
    }

    fn recording(packets: &[Vec<u8>]) -> Vec<u8> {
        [HEADER.as_bytes(), &packets.concat()].concat()
    }

    fn read(bytes: &[u8], start: u64, end: u64) -> Result<Events, FileError> {
        events(Path::new("user01.aedat"), bytes, start, end)
    }

    #[test]
    fn events_are_read_byte_by_byte() {
        let [_, invalid] = [event(0, 0, 0, 0), [event(5, 5, 0, 3000)[0] & !1, 3000]];
        let bytes = recording(&[
            packet(POLARITY, 0, &[event(127, 0, 1, 999), event(127, 0, 1, 1000), invalid]),
            packet(0, 0, &[event(1, 1, 1, 2000)]),
            packet(POLARITY, 0, &[event(2, 127, 0, 3500), event(2, 127, 0, 9000)]),
        ]);
        let found: Vec<_> = read(&bytes, 1000, 9000).unwrap().iter().collect();
        assert_eq!(found, [(0.0, 128 * 128 + 127), (2.5, 127 * 128 + 2)]);
    }

    #[test]
    fn an_overflow_of_the_clock_is_counted() {
        let bytes = recording(&[packet(POLARITY, 1, &[event(1, 0, 0, 500)])]);
        let start = (1 << 31) - 500;
        assert_eq!(read(&bytes, start, start + 2000).unwrap().iter().collect::<Vec<_>>(), [(1.0, 1)]);
    }

    #[test]
    fn gestures_are_those_of_the_labels() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
        write("trials_to_test.txt", b"user01_led.aedat\n\n");
        let missing = DvsGesture::open(folder.path(), Trials::Test).unwrap_err().to_string();
        assert!(missing.contains("user01_led.aedat: the recording") && missing.contains("is missing"), "{missing}");
        write("user01_led_labels.csv", b"class,startTime_usec,endTime_usec\n3,1000,2000\n11,2000,4000\n");
        write("user01_led.aedat", &recording(&[packet(POLARITY, 0, &[event(0, 0, 0, 1500), event(0, 1, 0, 2500)])]));
        let data = DvsGesture::open(folder.path(), Trials::Test).unwrap();
        assert_eq!(data.len(), 2);
        let [first, second] = [0, 1].map(|at| data.get(at).unwrap());
        assert_eq!((first.class, second.class), (2, 10));
        assert_eq!(first.events.iter().collect::<Vec<_>>(), [(0.5, 0)]);
        assert_eq!(second.events.iter().collect::<Vec<_>>(), [(0.5, 128)]);
        let missing = DvsGesture::open(folder.path(), Trials::Train).unwrap_err().to_string();
        assert!(missing.contains("trials_to_train.txt, the whole file"), "{missing}");
        write("user01_led_labels.csv", b"class,startTime_usec,endTime_usec\n12,1000,2000\n");
        let class = DvsGesture::open(folder.path(), Trials::Test).unwrap_err().to_string();
        assert!(class.contains("user01_led_labels.csv, line 2: the class is 12"), "{class}");
        write("user01_led_labels.csv", b"class,startTime_usec,endTime_usec\n1,2000,2000\n");
        let order = DvsGesture::open(folder.path(), Trials::Test).unwrap_err().to_string();
        assert!(order.contains("ends at 2000 µs, but starts at 2000 µs"), "{order}");
    }

    #[test]
    fn damaged_files_are_told() {
        let told = |bytes: &[u8]| read(bytes, 0, 1 << 40).unwrap_err().to_string();
        let good = recording(&[packet(POLARITY, 0, &[event(1, 2, 0, 5)])]);
        assert!(told(b"#!AER-DAT2.0\r\n").contains("the first line is not #!AER-DAT3.1"));
        assert!(told(&HEADER.as_bytes()[..40]).contains("does not end with the line #!END-HEADER"));
        assert!(told(&good[..HEADER.len() + 10]).contains("the head of a packet has 10 of 28 bytes"));
        assert!(told(&good[..HEADER.len() + 30]).contains("a packet has 2 of 8 bytes"));
        let outside = told(&recording(&[packet(POLARITY, 0, &[event(128, 2, 0, 5)])]));
        assert!(outside.contains("an event at pixel (128, 2)"), "{outside}");
        let mut huge = good.clone();
        huge[HEADER.len() + 20..HEADER.len() + 24].fill(0xff);
        assert!(told(&huge).contains("a packet of 4294967295 events of 8 bytes"));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, with_header: bool) {
            let bytes = if with_header { [HEADER.as_bytes(), &bytes].concat() } else { bytes };
            if let Err(error) = read(&bytes, 0, u64::MAX) {
                assert!(error.to_string().contains("user01.aedat, byte "), "{error}");
            }
        }
    }
}
