//! The input of a run from a file: events in a CSV file, or an array of NumPy.
//!
//! ```text
//! csv         sample,time,unit    a line for each event; other columns are left alone
//! npy, npz    [B, T, C]           the array `input` of an npz file, or its only array
//! ```
//!
//! An event adds 1 to the step in which its time, in ms, lies.

use crate::ExchangeError;
use crate::tensors::{bytes_of, failed};
use npyz::{NpyFile, Order};
use serde::Deserialize;
use std::io::{Cursor, Read};
use std::path::Path;

/// The most numbers that an input may have.
const MOST: usize = 1 << 28;

/// An input.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    /// B, T and C.
    pub shape: [usize; 3],
    /// The numbers, `[B, T, C]`.
    pub numbers: Vec<f32>,
}

/// A line of a CSV file.
#[derive(Deserialize)]
struct Line {
    sample: usize,
    time: f64,
    unit: usize,
}

const COLUMNS: &str = "give a CSV file with the columns sample, time (ms) and unit";

impl Input {
    /// Reads the input of a network.
    ///
    /// - `channels`: C of the network.
    /// - `dt`: its time step, ms.
    /// - `duration`: the length of the run, ms; only for events, and by default up to the last one.
    ///
    /// # Errors
    /// [`ExchangeError`] with the file and the place, if the file cannot be read, is damaged, or
    /// does not fit the network; if a number is negative where it must not be, infinite or NaN; if
    /// there are more than 2^28 numbers.
    pub fn read(
        path: impl AsRef<Path>,
        channels: usize,
        dt: f64,
        duration: Option<f64>,
    ) -> Result<Self, ExchangeError> {
        let path = path.as_ref();
        let bytes = bytes_of(path)?;
        let read = match path.extension().and_then(|end| end.to_str()) {
            Some("csv") => return Self::of_events(&bytes, path, channels, dt, duration),
            Some("npy") => Self::of_array(Cursor::new(&bytes), bytes.len() as u64, path, "the array"),
            Some("npz") => Self::of_archive(&bytes, path),
            _ => Err(failed(path, "the name", "it must end in .csv (events), .npy or .npz ([B, T, C])")),
        };
        let input = read?;
        if duration.is_some() {
            return Err(failed(path, "the array", "it has a length of its own; a duration is for events"));
        }
        match input.shape[2] == channels {
            true => Ok(input),
            false => Err(failed(
                path,
                "the array",
                format!("it has {} channels, but the network has {channels}; the shape is [B, T, C]", input.shape[2]),
            )),
        }
    }

    fn of_events(
        bytes: &[u8],
        path: &Path,
        channels: usize,
        dt: f64,
        duration: Option<f64>,
    ) -> Result<Self, ExchangeError> {
        if let Some(duration) = duration.filter(|duration| !(duration.is_finite() && *duration >= dt)) {
            let what = format!("it is {duration} ms, but must be at least a time step, {dt} ms");
            return Err(failed(path, "the duration", what));
        }
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(bytes);
        let told = |line: u64, what: String| failed(path, &format!("line {line}"), format!("{what}; {COLUMNS}"));
        let headers = reader.headers().map_err(|error| told(1, error.to_string()))?.clone();
        let (mut events, mut batch, mut last) = (Vec::new(), 0, 0.0_f64);
        for (at, record) in reader.records().enumerate() {
            let record = record.map_err(|error| told(at as u64 + 2, error.to_string()))?;
            let line = record.position().map_or(at as u64 + 2, csv::Position::line);
            let Line { sample, time, unit } =
                record.deserialize(Some(&headers)).map_err(|error| told(line, error.to_string()))?;
            if !(time.is_finite() && time >= 0.0) {
                return Err(told(line, format!("the time is {time}, but must be at least 0 ms and finite")));
            }
            if unit >= channels {
                return Err(told(line, format!("the unit is {unit}, but the network has {channels} channels, from 0")));
            }
            if let Some(duration) = duration.filter(|&duration| time >= duration) {
                return Err(told(line, format!("the time is {time} ms, after the end of the run of {duration} ms")));
            }
            batch = batch.max(sample.saturating_add(1));
            last = last.max(time);
            events.push((sample, time, unit));
        }
        if events.is_empty() && duration.is_none() {
            return Err(failed(path, "the file", "it has no events, so give a duration"));
        }
        let batch = batch.max(1);
        let steps = duration.map_or((last / dt).floor() + 1.0, |duration| (duration / dt).round());
        let numbers = (batch as f64 * steps * channels as f64) as usize;
        if numbers > MOST {
            let what = format!(
                "{batch} samples of {steps} steps have {numbers} numbers, but at most {MOST} are run; give fewer"
            );
            return Err(failed(path, "the file", what));
        }
        let steps = steps as usize;
        let mut input = vec![0.0; numbers];
        for (sample, time, unit) in events {
            let step = ((time / dt) as usize).min(steps - 1);
            input[(sample * steps + step) * channels + unit] += 1.0;
        }
        Ok(Self { shape: [batch, steps, channels], numbers: input })
    }

    fn of_archive(bytes: &[u8], path: &Path) -> Result<Self, ExchangeError> {
        let told =
            |error: &dyn std::fmt::Display| failed(path, "the file", format!("{error}; write it by numpy.savez"));
        let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(|error| told(&error))?;
        let names: Vec<String> = archive.file_names().filter_map(|name| Some(name.ok()?.into_owned())).collect();
        let name = match &names[..] {
            [only] => only,
            all => all
                .iter()
                .find(|name| *name == "input.npy")
                .ok_or_else(|| told(&format!("there is no array `input` among {}", names.join(", "))))?,
        };
        let file = archive.by_name(name).map_err(|error| told(&error))?;
        // Deflated data has at most some thousand times its length.
        let size = file.size().min(2000 * bytes.len() as u64);
        Self::of_array(file, size, path, name)
    }

    /// Reads an array of at most `size` bytes.
    fn of_array(file: impl Read, size: u64, path: &Path, name: &str) -> Result<Self, ExchangeError> {
        let told = |error: std::io::Error| failed(path, name, error);
        let array = NpyFile::new(file).map_err(told)?;
        let shape = match *array.shape() {
            [batch, steps, channels] if batch > 0 && steps > 0 && channels > 0 => [batch, steps, channels],
            ref other => {
                return Err(failed(path, name, format!("its shape is {other:?}, but must be [B, T, C], each above 0")));
            }
        };
        if array.order() != Order::C {
            return Err(failed(path, name, "its order is Fortran's; write it by numpy.ascontiguousarray"));
        }
        let count = shape.iter().try_fold(1_u64, |count, &extent| count.checked_mul(extent));
        let width = array.dtype().num_bytes().unwrap_or(1) as u64;
        if count.and_then(|count| count.checked_mul(width)).is_none_or(|bytes| bytes > size) {
            return Err(failed(path, name, format!("its shape is {shape:?}, but it has at most {size} bytes")));
        }
        if count.is_none_or(|count| count > MOST as u64) {
            return Err(failed(path, name, format!("its shape is {shape:?}, but at most {MOST} numbers are run")));
        }
        let numbers: Vec<f32> = match width {
            4 => array.into_vec::<f32>().map_err(told)?,
            8 => array.into_vec::<f64>().map_err(told)?.into_iter().map(|x| x as f32).collect(),
            _ => return Err(failed(path, name, "its numbers must be float32 or float64")),
        };
        match numbers.iter().find(|x| !x.is_finite()) {
            Some(wrong) => Err(failed(path, name, format!("it contains {wrong}, which is not finite"))),
            None => Ok(Self { shape: shape.map(|extent| extent as usize), numbers }),
        }
    }
}
