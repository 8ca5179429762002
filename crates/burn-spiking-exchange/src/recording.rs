//! The spikes and series of a run for other tools: npz for NumPy, CSV for everything else.
//!
//! ```text
//! npz   samples, times, units    [S]: the sample, the time (ms) and the neuron of each spike
//!       durations                [B]: the length of each sample, ms
//!       dt, neurons              the time step (ms), the number of neurons
//!       NAME                     a series, [B, T, columns]
//! csv   sample,time,unit         a line for each spike
//! ```
//!
//! A neuron is reset within a step. The time of a spike is the middle of its step, so it is right
//! within dt/2, and a tool that sorts times into bins of dt finds the step again. With a column
//! `class`, the CSV file is an event table of `burn-spiking-tasks`.

use crate::ExchangeError;
use crate::tensors::failed;
use burn::tensor::{DType, Tensor};
use burn_spiking::Trajectory;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// A spike.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spike {
    /// The sample, from 0.
    pub sample: usize,
    /// The time, ms.
    pub time: f64,
    /// The neuron, from 0.
    pub unit: usize,
}

/// The numbers of a series.
#[derive(Debug, Clone, PartialEq)]
enum Series {
    Single(Vec<f32>),
    Double(Vec<f64>),
}

/// The spikes of a run, and the series that come with them.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    dt: f64,
    neurons: usize,
    /// Number of steps of a series, T.
    steps: usize,
    batch_first: bool,
    durations: Vec<f64>,
    spikes: Vec<Spike>,
    series: Vec<(String, [usize; 3], Series)>,
}

/// The names of the arrays that every npz file has.
const RESERVED: [&str; 6] = ["samples", "times", "units", "durations", "dt", "neurons"];

impl Recording {
    /// Collects the spikes of a trajectory, by sample and time. Waits for the device.
    ///
    /// # Errors
    /// If the trajectory has no potentials or no charges.
    pub fn of(trajectory: &Trajectory) -> Result<Self, ExchangeError> {
        let (Some(v), Some(_)) = (&trajectory.v, &trajectory.charge) else {
            return Err(ExchangeError::Network(
                "the trajectory has no potentials or no charges, which tell the spikes; run the layer by forward_recording, or with \
                 record_v and record_charge"
                    .into(),
            ));
        };
        let timing = trajectory.timing();
        let [first, second, neurons] = v.dims();
        let (batch, longest) = if timing.batch_first { (first, second) } else { (second, first) };
        let steps = timing.lengths.as_ref().map_or_else(|| vec![longest; batch], |lengths| lengths.to_vec());
        let spikes = (0..batch).flat_map(|sample| {
            let spike =
                move |(step, unit): (usize, usize)| Spike { sample, time: (step as f64 + 0.5) * timing.dt, unit };
            trajectory.spikes(sample).into_iter().map(spike)
        });
        let spikes = spikes.collect();
        let durations = steps.into_iter().map(|steps| steps as f64 * timing.dt).collect();
        let batch_first = timing.batch_first;
        Ok(Self { dt: timing.dt, neurons, steps: longest, batch_first, durations, spikes, series: Vec::new() })
    }

    /// The same with a series, such as the output of a readout. Only npz files have series.
    ///
    /// - `name`: the name of its array.
    /// - `series`: `[B, T, columns]`, or `[T, B, columns]` if the layer has this layout. The file
    ///   has `[B, T, columns]`.
    ///
    /// # Errors
    /// If the name is empty, taken, or contains a slash, or if B or T are not those of the run.
    pub fn with_series(mut self, name: &str, series: Tensor<3>) -> Result<Self, ExchangeError> {
        let taken = RESERVED.contains(&name) || self.series.iter().any(|(other, ..)| other == name);
        if taken || name.is_empty() || name.contains(['/', '\\']) {
            return Err(ExchangeError::Network(format!(
                "a series cannot have the name \"{name}\"; give one without slashes that is not taken"
            )));
        }
        let series = if self.batch_first { series } else { series.swap_dims(0, 1) };
        let (shape, wanted) = (series.dims(), [self.durations.len(), self.steps]);
        if shape[..2] != wanted {
            return Err(ExchangeError::Network(format!(
                "the series \"{name}\" has {} samples of {} steps, but the run has {} of {}; give a series of this run",
                shape[0], shape[1], wanted[0], wanted[1]
            )));
        }
        let data = series.into_data();
        let numbers = match data.dtype() {
            DType::F64 => Series::Double(data.iter().collect()),
            _ => Series::Single(data.iter().collect()),
        };
        self.series.push((name.into(), shape, numbers));
        Ok(self)
    }

    /// The number of neurons.
    pub fn neurons(&self) -> usize {
        self.neurons
    }

    /// The spikes, by sample and time.
    pub fn spikes(&self) -> &[Spike] {
        &self.spikes
    }

    /// Writes a file, whose name ends in .npz or .csv. A CSV file has the spikes alone.
    ///
    /// # Errors
    /// If the name ends in something else, or the file cannot be written.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), ExchangeError> {
        let path = path.as_ref();
        let told = |error: std::io::Error| failed(path, "the file", error);
        let write = match path.extension().and_then(|end| end.to_str()) {
            Some("npz") => Self::write_npz,
            Some("csv") => Self::write_csv,
            _ => return Err(failed(path, "the name", "it must end in .npz or .csv")),
        };
        let mut file = BufWriter::new(File::create(path).map_err(told)?);
        write(self, &mut file).and_then(|()| file.flush()).map_err(told)
    }

    fn write_csv(&self, file: &mut BufWriter<File>) -> std::io::Result<()> {
        writeln!(file, "sample,time,unit")?;
        self.spikes.iter().try_for_each(|Spike { sample, time, unit }| writeln!(file, "{sample},{time},{unit}"))
    }

    fn write_npz(&self, file: &mut BufWriter<File>) -> std::io::Result<()> {
        let mut archive = zip::ZipWriter::new(file);
        let each = |of: fn(&Spike) -> usize| self.spikes.iter().map(|spike| of(spike) as i64).collect::<Vec<_>>();
        let times: Vec<f64> = self.spikes.iter().map(|spike| spike.time).collect();
        array(&mut archive, "samples", &[self.spikes.len()], &each(|spike| spike.sample))?;
        array(&mut archive, "times", &[self.spikes.len()], &times)?;
        array(&mut archive, "units", &[self.spikes.len()], &each(|spike| spike.unit))?;
        array(&mut archive, "durations", &[self.durations.len()], &self.durations)?;
        array(&mut archive, "dt", &[], &[self.dt])?;
        array(&mut archive, "neurons", &[], &[self.neurons as i64])?;
        for (name, shape, numbers) in &self.series {
            match numbers {
                Series::Single(numbers) => array(&mut archive, name, shape, numbers)?,
                Series::Double(numbers) => array(&mut archive, name, shape, numbers)?,
            }
        }
        archive.finish()?;
        Ok(())
    }
}

/// Adds an array to an npz file.
fn array<T: npyz::AutoSerialize + Copy>(
    archive: &mut zip::ZipWriter<&mut BufWriter<File>>,
    name: &str,
    shape: &[usize],
    numbers: &[T],
) -> std::io::Result<()> {
    use npyz::WriterBuilder;
    let options = zip::write::SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Stored)
        .large_file(size_of_val(numbers) >= 1 << 31);
    archive.start_file(format!("{name}.npy"), options)?;
    let shape: Vec<u64> = shape.iter().map(|&extent| extent as u64).collect();
    let mut writer = npyz::WriteOptions::new().default_dtype().shape(&shape).writer(archive).begin_nd()?;
    writer.extend(numbers.iter().copied())?;
    writer.finish()
}
