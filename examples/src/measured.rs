//! Times and memory of one way to compute a gradient.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// The measurements of one way, taken in its own process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Measured {
    /// Median time of forward and backward pass together, in ms.
    pub ms: f64,
    /// Shortest time, in ms.
    pub ms_min: f64,
    /// Longest time, in ms.
    pub ms_max: f64,
    /// Number of timed runs. The first run is not timed.
    pub runs: usize,
    /// Largest resident memory, above that of the process before its first run, in MB.
    pub peak_mb: f64,
}

impl Measured {
    /// Makes the measurements from times in ms. The process had `base` MB before its first run.
    pub fn of(mut times: Vec<f64>, base: f64) -> Self {
        times.sort_by(f64::total_cmp);
        let runs = times.len();
        Self { ms: times[runs / 2], ms_min: times[0], ms_max: times[runs - 1], runs, peak_mb: memory("VmHWM:") - base }
    }

    /// Returns the measurements of the process whose median time is the middle one.
    ///
    /// # Panics
    /// If `processes` is empty.
    pub fn middle(mut processes: Vec<Self>) -> Self {
        processes.sort_by(|a, b| a.ms.total_cmp(&b.ms));
        let middle = processes.len() / 2;
        processes.swap_remove(middle)
    }
}

/// Returns the value of a line of /proc/self/status, in MB; 0 if there is no such line.
pub fn memory(line: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let value = status.lines().find_map(|text| text.strip_prefix(line)?.split_whitespace().next()?.parse::<f64>().ok());
    value.unwrap_or(0.0) / 1024.0
}

/// Memory bandwidth of the machine for all threads together, over more memory than the caches hold.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Stream {
    /// Bandwidth of reading, in GB/s.
    pub read_gb_s: f64,
    /// Bandwidth of writing, in GB/s.
    pub write_gb_s: f64,
}

impl Stream {
    /// Measures the bandwidth: the fastest of several passes over 128 MiB.
    pub fn measure() -> Self {
        let mut memory = vec![1.0_f32; 32 << 20];
        let bytes = size_of_val(memory.as_slice()) as f64;
        let part = memory.len().div_ceil(rayon::current_num_threads());
        let fastest = |pass: &mut dyn FnMut()| {
            let times = (0..7).map(|_| {
                let started = Instant::now();
                pass();
                started.elapsed().as_secs_f64()
            });
            bytes / times.fold(f64::MAX, f64::min) / 1e9
        };
        let write_gb_s = fastest(&mut || memory.par_chunks_mut(part).for_each(|part| part.fill(2.0)));
        let read_gb_s = fastest(&mut || {
            // Sixteen independent sums, so that an addition does not wait for the one before.
            let sum = |part: &[f32]| {
                let mut sums = [0.0; 16];
                for block in part.as_chunks::<16>().0 {
                    sums.iter_mut().zip(block).for_each(|(sum, x)| *sum += x);
                }
                sums.iter().sum::<f32>()
            };
            let sum: f32 = memory.par_chunks(part).map(sum).sum();
            std::hint::black_box(sum);
        });
        Self { read_gb_s, write_gb_s }
    }
    /// Returns the time to write a trace and to read its gradient, for each neuron and step, in ns:
    /// four bytes each way. The op must do at least this.
    pub fn ns_for_trace(&self) -> f64 {
        4.0 / self.write_gb_s + 4.0 / self.read_gb_s
    }
}
