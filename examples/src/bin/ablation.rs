//! Measures which parts of the recipe for the delayed exclusive or are necessary. Each variant
//! removes or changes one part, and runs with several seeds.

use burn_spiking_examples::delayed_xor::{COLUMNS, GradientName, Options, ScaleName, StartName, run};
use burn_spiking_examples::output::{Folder, Stop, exit_code};
use burn_spiking_examples::run::Place;
use burn_spiking_examples::seeds::{Seeds, Several};
use burn_spiking_plot::Scale;
use clap::Parser;
use serde::Serialize;
use serde_json::Value;
use std::path::PathBuf;
use std::process::ExitCode;

/// Trains the delayed exclusive or (four rounds, gaps up to 500 ms) with one part of the recipe
/// changed at a time, and prints a table. The same command, given again, continues unfinished runs.
#[derive(Parser, Debug)]
#[command(version)]
struct Args {
    /// Folder for all runs [default: runs/ablation]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Number of seeds of each variant, from --seed on; at least 2
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(2..))]
    seeds: u64,
    /// Run only variants whose name contains this
    #[arg(long)]
    only: Option<String>,
    /// The recipe to change; the change of a variant overrides these options
    #[command(flatten)]
    options: Options,
}

/// A change of the recipe.
struct Variant {
    name: &'static str,
    change: fn(&mut Options),
}

const VARIANTS: [Variant; 14] = [
    Variant { name: "as it is", change: |_| {} },
    Variant { name: "latched start", change: |o| o.start = Some(StartName::Latched) },
    Variant { name: "no streams", change: |o| o.fresh = Some(1.0) },
    Variant { name: "half of the trials start anew", change: |o| o.fresh = Some(0.5) },
    Variant { name: "no cost of rest", change: |o| o.rest = Some(0.0) },
    Variant { name: "an eighth of the cost of rest", change: |o| o.rest = Some(0.00025) },
    Variant { name: "no clipping", change: |o| o.scale = Some(ScaleName::Off) },
    Variant { name: "unit norms instead of clipping", change: |o| o.scale = Some(ScaleName::Unit) },
    Variant { name: "no running mean", change: |o| o.average = Some(0.0) },
    Variant { name: "trials of one round", change: |o| o.trial_rounds = Some(1) },
    Variant { name: "trials of two rounds in two chunks", change: |o| o.chunks = Some(2) },
    Variant { name: "trials of four rounds", change: |o| o.trial_rounds = Some(4) },
    Variant { name: "exact gradient, limited", change: |o| exact(o, 3.0) },
    Variant { name: "exact gradient, not limited", change: |o| exact(o, 0.0) },
];

/// Changes to the exact gradient, with the learning rates of the recipe for exact gradients. The
/// number of epochs stays the same.
///
/// - `limit`: the limit of the exact adjoint; 0 for none.
fn exact(options: &mut Options, limit: f64) {
    let usual = options.recipe();
    options.gradient = Some(GradientName::Exact);
    options.limit = Some(limit);
    options.epochs = options.epochs.or(Some(usual.epochs));
}

/// The results of a variant over all its seeds.
#[derive(Serialize)]
struct Row {
    variant: &'static str,
    /// One value for each seed.
    accuracy: Vec<f64>,
    lowest: f64,
    mean: f64,
    leak: f64,
    rest_hz: f64,
    /// Number of seeds with an accuracy of at least 0.99.
    solved: usize,
}

impl Row {
    fn of(variant: &'static str, reports: &[Value]) -> Self {
        let of = |name: &str| -> Vec<f64> { reports.iter().filter_map(|report| report[name].as_f64()).collect() };
        let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len() as f64;
        let accuracy = of("accuracy");
        Self {
            variant,
            lowest: accuracy.iter().copied().fold(f64::INFINITY, f64::min),
            mean: mean(accuracy.clone()),
            leak: mean(of("leak")),
            rest_hz: mean(of("rest_hz")),
            solved: accuracy.iter().filter(|&&accuracy| accuracy >= 0.99).count(),
            accuracy,
        }
    }

    /// Formats the row for the Markdown table.
    fn line(&self) -> String {
        let Self { variant, lowest, mean, leak, rest_hz, solved, accuracy } = self;
        format!("| {variant} | {solved} of {} | {mean:.3} | {lowest:.3} | {leak:.3} | {rest_hz:.1} |", accuracy.len())
    }
}

fn main() -> ExitCode {
    exit_code(compare(Args::parse()))
}

fn compare(args: Args) -> Result<(), Stop> {
    let root = Folder::make(args.out.unwrap_or_else(|| PathBuf::from("runs/ablation")))?;
    let chosen = |variant: &&Variant| args.only.as_ref().is_none_or(|part| variant.name.contains(part.as_str()));
    if !VARIANTS.iter().any(|variant| chosen(&variant)) {
        let names: Vec<_> = VARIANTS.iter().map(|variant| variant.name).collect();
        return Err(Stop::Failed(format!("no variant's name contains --only; they are: {}", names.join("; "))));
    }
    let mut rows = Vec::new();
    for variant in VARIANTS.iter().filter(chosen) {
        println!("\n#### {}", variant.name);
        let with = |seed: u64| {
            let mut options = Options { seed, plain: true, ..args.options.clone() };
            (variant.change)(&mut options);
            options
        };
        let folder = root.file(&variant.name.replace([' ', ','], "-"));
        let place = Place { out: Some(folder.clone()), ..Place::default() };
        let program = |place: &Place, seed: u64| run(place, with(seed));
        let learning = ("Accuracy", Scale::Linear);
        let first = args.options.seed;
        Seeds { seeds: Several::Count(args.seeds) }.run(
            "delayed-xor",
            &place,
            first,
            with,
            program,
            &COLUMNS,
            learning,
        )?;
        let text = std::fs::read_to_string(folder.join("summary.json")).map_err(|error| error.to_string())?;
        let reports: Vec<Value> = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        rows.push(Row::of(variant.name, &reports));
    }
    println!("\n| what is changed | seeds at 0.99 | accuracy, mean | lowest | leak | between rounds, Hz |");
    println!("| --- | --- | --- | --- | --- | --- |");
    rows.iter().for_each(|row| println!("{}", row.line()));
    root.write_json("ablation.json", &rows)?;
    println!("figures {}", root.file("ablation.json").display());
    Ok(())
}
