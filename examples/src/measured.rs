//! Times and memory of a way to a gradient.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// What was measured of one way, in a process of its own.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Measured {
    /// Median time of forward and backward together.
    pub ms: f64,
    /// The shortest.
    pub ms_min: f64,
    /// The longest.
    pub ms_max: f64,
    /// How many times it ran after the first.
    pub runs: usize,
    /// Largest resident memory above what the process had before its first run.
    pub peak_mb: f64,
}

impl Measured {
    /// Of times in ms, in a process that had `base` MB before its first run.
    pub fn of(mut times: Vec<f64>, base: f64) -> Self {
        times.sort_by(f64::total_cmp);
        let runs = times.len();
        Self { ms: times[runs / 2], ms_min: times[0], ms_max: times[runs - 1], runs, peak_mb: memory("VmHWM:") - base }
    }

    /// The one of several processes whose median is in the middle.
    ///
    /// # Panics
    /// If there is none.
    pub fn middle(mut processes: Vec<Self>) -> Self {
        processes.sort_by(|a, b| a.ms.total_cmp(&b.ms));
        let middle = processes.len() / 2;
        processes.swap_remove(middle)
    }
}

/// A line of /proc/self/status in MB; 0 where there is none.
pub fn memory(line: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let value = status.lines().find_map(|text| text.strip_prefix(line)?.split_whitespace().next()?.parse::<f64>().ok());
    value.unwrap_or(0.0) / 1024.0
}

/// Memory bandwidth of this machine, by all threads, over more memory than caches hold.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Stream {
    /// Reading, GB/s.
    pub read_gb_s: f64,
    /// Writing, GB/s.
    pub write_gb_s: f64,
}

impl Stream {
    /// Measures it: the fastest of several passes over 128 MiB.
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
            // Sixteen sums, so that additions do not wait for each other.
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
}
