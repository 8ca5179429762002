//! Trains a spiking network to classify input spikes.

use burn_spiking_examples::classify::{COLUMNS, Options, Task, run};
use burn_spiking_examples::output::{Stop, exit_code};
use burn_spiking_examples::run::Place;
use burn_spiking_examples::seeds::Seeds;
use burn_spiking_plot::Scale;
use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;

/// Trains spiking neurons to classify input spikes, and writes a report, the trained model and
/// figures. Ctrl-C (in the dashboard: q) stops the training safely, and --resume continues it to
/// the same result.
#[derive(Parser, Debug)]
#[command(version)]
struct Args {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    seeds: Seeds,
    #[command(flatten)]
    options: Options,
    /// Write the samples as tables of events into this folder, and do not train
    #[arg(long, value_name = "DIR")]
    tables: Option<PathBuf>,
}

fn main() -> ExitCode {
    let Args { place, seeds, options, tables } = Args::parse();
    if let Some(folder) = tables {
        let written = Task::open(&options).and_then(|task| task.write_tables(options.seed, &folder));
        return exit_code(written.map_err(Stop::from));
    }
    let with = |seed: u64| Options { seed, ..options.clone() };
    let program = |place: &Place, seed: u64| run(place, with(seed));
    exit_code(seeds.run("classify", &place, options.seed, with, program, &COLUMNS, ("Accuracy", Scale::Linear)))
}
