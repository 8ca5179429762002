//! Trains a spiking network to draw a curve.

use burn_spiking_examples::generate::{COLUMNS, Options, run};
use burn_spiking_examples::output::exit_code;
use burn_spiking_examples::run::Place;
use burn_spiking_examples::seeds::Seeds;
use burn_spiking_plot::Scale;
use clap::Parser;
use std::process::ExitCode;

/// Trains a recurrent spiking network to draw a fixed curve from fixed input spikes, and writes a
/// report, the trained model and figures. Ctrl-C (in the dashboard: q) stops the training safely,
/// and --resume continues it to the same result.
#[derive(Parser, Debug)]
#[command(version)]
struct Args {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    seeds: Seeds,
    #[command(flatten)]
    options: Options,
}

fn main() -> ExitCode {
    let Args { place, seeds, options } = Args::parse();
    let with = |seed: u64| Options { seed, ..options.clone() };
    let program = |place: &Place, seed: u64| run(place, with(seed));
    exit_code(seeds.run("generate", &place, options.seed, with, program, &COLUMNS, ("Nmse", Scale::Log)))
}
