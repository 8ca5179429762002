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

/// How far before a multiple of the time step a time may lie and count as that multiple, as a share
/// of the time.
const GRID: f64 = 1e-9;

/// The step of a time. A time that rounding has put just before a step lies in that step: 0.3/0.1
/// is less than 3.
fn step_at(time: f64, dt: f64) -> f64 {
    (time / dt * (1.0 + GRID)).floor()
}

fn on_grid(steps: f64) -> bool {
    (steps - steps.round()).abs() <= 1e-6 * steps
}

impl Input {
    /// Reads the input of a network.
    ///
    /// - `channels`: C of the network.
    /// - `dt`: its time step, ms.
    /// - `duration`: the length of the run, a whole number of steps, ms; only for events, and by
    ///   default up to the last one.
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
            Some("npy") => Self::of_array(&bytes, path, "the array"),
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
        let whole = |duration: &f64| duration.is_finite() && *duration >= dt * (1.0 - GRID) && on_grid(*duration / dt);
        if let Some(duration) = duration.filter(|duration| !whole(duration)) {
            let what = format!(
                "it is {duration} ms, but must be a whole number of time steps of {dt} ms, at least 1; change it"
            );
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
        let steps = duration.map_or(step_at(last, dt) + 1.0, |duration| (duration / dt).round());
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
            let step = (step_at(time, dt) as usize).min(steps - 1);
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
        // Deflated data has at most some thousand times its length. Reading beyond the end also
        // checks the sum of the entry.
        let most = file.size().min(2000 * bytes.len() as u64);
        let mut array = Vec::new();
        file.take(most + 1).read_to_end(&mut array).map_err(|error| told(&error))?;
        Self::of_array(&array, path, name)
    }

    /// Reads an array from its bytes.
    fn of_array(bytes: &[u8], path: &Path, name: &str) -> Result<Self, ExchangeError> {
        let told =
            |error: std::io::Error| failed(path, name, format!("{error}; write it by numpy.save or numpy.savez"));
        // The length of the header is that of the allocation for it.
        let header = match bytes {
            [_, _, _, _, _, _, 1, _, low, high, ..] => u64::from(u16::from_le_bytes([*low, *high])),
            [_, _, _, _, _, _, _, _, a, b, c, d, ..] => u64::from(u32::from_le_bytes([*a, *b, *c, *d])),
            _ => return Err(failed(path, name, "it is no array of NumPy; write it by numpy.save or numpy.savez")),
        };
        if header > bytes.len() as u64 {
            return Err(failed(path, name, "its header is longer than the file; write it again by numpy.save"));
        }
        let array = NpyFile::new(bytes).map_err(told)?;
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
        if count.and_then(|count| count.checked_mul(width)).is_none_or(|claimed| claimed > bytes.len() as u64) {
            return Err(failed(
                path,
                name,
                format!("its shape is {shape:?}, but it has {} bytes; write it again", bytes.len()),
            ));
        }
        if count.is_none_or(|count| count > MOST as u64) {
            return Err(failed(path, name, format!("its shape is {shape:?}, but at most {MOST} numbers are run")));
        }
        let kind = array.dtype().descr();
        let numbers: Vec<f32> = match kind.trim_matches(['\'', '"']) {
            "<f4" => array.into_vec().map_err(told)?,
            "<f8" => array.into_vec::<f64>().map_err(told)?.into_iter().map(|x| x as f32).collect(),
            "<i8" => array.into_vec::<i64>().map_err(told)?.into_iter().map(|x| x as f32).collect(),
            "|u1" => array.into_vec::<u8>().map_err(told)?.into_iter().map(f32::from).collect(),
            "|b1" => array.into_vec::<bool>().map_err(told)?.into_iter().map(f32::from).collect(),
            other => {
                return Err(failed(
                    path,
                    name,
                    format!("its numbers are {other}; convert them by .astype(numpy.float32)"),
                ));
            }
        };
        match numbers.iter().find(|x| !x.is_finite()) {
            Some(wrong) => Err(failed(path, name, format!("it contains {wrong} in single precision; take it out"))),
            None => Ok(Self { shape: shape.map(|extent| extent as usize), numbers }),
        }
    }
}
