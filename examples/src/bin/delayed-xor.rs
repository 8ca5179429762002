//! Trains a spiking network on the delayed-memory exclusive or.

use burn_spiking_examples::delayed_xor::{COLUMNS, Options, run};
use burn_spiking_examples::output::exit_code;
use burn_spiking_examples::run::Place;
use burn_spiking_examples::seeds::Seeds;
use burn_spiking_plot::Scale;
use clap::Parser;
use std::process::ExitCode;

/// Trains spiking neurons to answer, at each go cue, whether the two pulses since the last go cue
/// had unequal signs; writes a report, figures and the trained model. Ctrl-C (in the dashboard: q)
/// stops the training safely, and --resume continues it to the same result.
///
/// By default a trial has four rounds with gaps up to 500 ms, and the mean-field adjoint trains the
/// network (spikes in the forward pass, rates in the backward pass). For the older task of one
/// round and exact gradients, use --rounds 1 --max-gap 300.
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
    let learning = ("Accuracy", Scale::Linear);
    let program = |place: &Place, seed: u64| run(place, with(seed));
    exit_code(seeds.run("delayed-xor", &place, options.seed, with, program, &COLUMNS, learning))
}
