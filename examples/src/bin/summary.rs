//! Merges the reports of many runs into tables: mean and spread over the seeds.

use burn_spiking_examples::output::{Stop, exit_code, write_json};
use burn_spiking_examples::summary::{groups, tables};
use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;

/// Finds all runs of the training programs in the given folders, at any depth, and prints the mean
/// and the spread of every number in their reports. Runs whose options differ in the seed alone
/// form one table.
#[derive(Parser, Debug)]
#[command(version)]
struct Args {
    /// Folders with runs
    #[arg(required = true, value_name = "DIR")]
    folders: Vec<PathBuf>,
    /// Also write the tables and all reports into this file, as JSON
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

fn main() -> ExitCode {
    let Args { folders, out } = Args::parse();
    let run = || {
        let groups = groups(&folders)?;
        print!("{}", tables(&groups));
        out.map_or(Ok(()), |path| write_json(&path, &groups)).map_err(Stop::Failed)
    };
    exit_code(run())
}
