//! Shows, converts and runs networks in files.

mod cli;

use clap::{Parser, Subcommand};
use cli::reading::Reading;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Shows, converts and runs spiking networks in files: NIR graphs (.nir), records of burn-spiking
/// (.bpk, with the configuration in .bpk.json beside it), its SafeTensors, and state dicts of
/// snnTorch, Norse and SpikingJelly (.safetensors, .pt, .pth).
#[derive(Parser, Debug)]
#[command(version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Show the nodes of a graph, the constants of a network, or the tensors of a state dict
    Inspect {
        /// The file
        file: PathBuf,
    },
    /// Convert between graphs, records and SafeTensors, or a state dict to any of them
    Convert {
        /// The file to read
        from: PathBuf,
        /// The file to write
        to: PathBuf,
        /// Replace the file to write
        #[arg(long)]
        overwrite: bool,
        #[command(flatten)]
        reading: Reading,
    },
    /// Run a network forward on an input: print how it fires, write its spikes and series, and draw
    /// a raster of the first sample
    Run {
        /// The file of the network, the layer or the stack
        network: PathBuf,
        /// The input: events in a CSV file with the columns sample, time (ms) and unit, or an array
        /// [B, T, C] in .npy or .npz
        #[arg(id = "file-of-input", value_name = "INPUT")]
        input: PathBuf,
        /// The length of the run, ms [default: up to the last event]
        #[arg(long, value_name = "MS")]
        duration: Option<f64>,
        /// The file of the recording: .npz with all series, or .csv with the spikes alone; the
        /// picture is beside it
        #[arg(long, default_value = "run.npz")]
        out: PathBuf,
        /// Replace the files to write
        #[arg(long)]
        overwrite: bool,
        #[command(flatten)]
        reading: Reading,
    },
}

/// Refuses to replace a file unless told to.
fn check_new(file: &Path, overwrite: bool) -> Result<(), String> {
    if file.exists() && !overwrite {
        return Err(format!("{} exists; give another name, or --overwrite", file.display()));
    }
    Ok(())
}

/// The path of the configuration of a record.
fn with_json(record: &Path) -> PathBuf {
    let mut name = record.as_os_str().to_owned();
    name.push(".json");
    name.into()
}

fn run(command: Command) -> Result<(), String> {
    match command {
        Command::Inspect { file } => cli::inspect::inspect(&file),
        Command::Convert { from, to, overwrite, reading } => {
            // A record has its configuration in a file beside it.
            let beside = to.extension().is_some_and(|end| end == "bpk").then(|| with_json(&to));
            [Some(to.clone()), beside].into_iter().flatten().try_for_each(|file| check_new(&file, overwrite))?;
            cli::convert::convert(&from, &to, &reading)?;
            println!("{}", to.display());
            Ok(())
        }
        Command::Run { network, input, duration, out, overwrite, reading } => {
            let figure = out.with_extension("png");
            [&out, &figure].into_iter().try_for_each(|file| check_new(file, overwrite))?;
            if !matches!(out.extension().and_then(|end| end.to_str()), Some("npz" | "csv")) {
                return Err(format!("{}: the name must end in .npz or .csv", out.display()));
            }
            cli::run::run(&reading.network(&network)?, &input, duration, &out, &figure)
        }
    }
}

fn main() -> ExitCode {
    match run(Args::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}
