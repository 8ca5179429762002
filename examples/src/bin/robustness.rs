//! Measures how well trained networks perform after a change, such as shorter steps or a narrower
//! gate, and after further training while the gate narrows.

use burn_spiking_examples::device::DeviceName;
use burn_spiking_examples::learned::{Change, Learned};
use burn_spiking_examples::output::{Folder, Stop, exit_code};
use burn_spiking_plot::{Curve, Curves, Role, Scale, curves};
use clap::Parser;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Judges the networks of finished runs of autoencoder and delayed-xor in finer steps, with
/// narrower gates down to threshold-triggered spikes, in double precision, and with noise in their
/// initial potentials. Then trains them further while the gate narrows, and judges them with
/// threshold-triggered spikes again. Writes robustness.json and robustness.png into the folder of
/// each run. Ctrl-C stops the training safely, and the same command continues it. A
/// threshold-triggered synapse sends its charge in the middle of the gate's active zone (the limit
/// of a gate that narrows about its middle), or at the spike, which is the end of the zone and
/// comes later by half the time that the neuron takes through the zone.
#[derive(Parser, Debug)]
#[command(version)]
struct Args {
    /// Folders of the runs
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// Number of iterations of one training at a width
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    iterations: u32,
    /// Largest number of trainings at a width; fewer if the network reaches the score that it had
    /// at the first width, to within 0.01 of an accuracy or a fifth of an error
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..))]
    tries: u32,
    /// Ratio of each width to the one before
    #[arg(long, default_value_t = 0.8, value_parser = share)]
    narrower: f64,
    /// Width at which training ends, as a share of the first
    #[arg(long, default_value_t = 0.1, value_parser = share)]
    last: f64,
    /// Number of time steps that replace one step of the run if the gate is narrow, in training and
    /// in judging; the narrower the gate, the more steps, because a neuron can cross a narrow gate
    /// unseen within one long step; 1 keeps the steps of the run
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    finer: u16,
    /// Width below which --finer counts a gate as narrow, as a share of the first; just below it,
    /// --finer steps replace one
    #[arg(long, default_value_t = 0.25, value_parser = share)]
    finer_below: f64,
    /// Factor on the usual learning rates
    #[arg(long, default_value_t = 0.3)]
    rate: f64,
    /// Judge the networks without further training
    #[arg(long)]
    no_training: bool,
    /// Device to compute on
    #[arg(long, value_enum, default_value_t = DeviceName::Flex)]
    device: DeviceName,
}

impl Args {
    /// Returns the number of time steps that replace one step of the run. A neuron then crosses all
    /// narrow gates in about the same number of steps.
    ///
    /// - `share`: the width of the gate, as a share of the first.
    fn parts(&self, share: f64) -> usize {
        match (self.finer, share / self.finer_below) {
            (finer, narrow) if finer > 1 && narrow < 1.0 => (f64::from(finer) / narrow).ceil() as usize,
            _ => 1,
        }
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if share > 0.0 && share < 1.0 => Ok(share),
        Ok(share) => Err(format!("{share} is not between 0 and 1")),
        Err(error) => Err(error.to_string()),
    }
}

/// The widths that are judged without training, as shares of the trained width.
const SHARES: [f64; 5] = [0.7, 0.5, 0.25, 0.1, 0.05];

#[derive(Serialize)]
struct Report {
    score: &'static str,
    /// Each change with its score.
    changes: Vec<(String, f64)>,
    /// The scores after further training with narrower gates.
    narrowed: Vec<Narrowed>,
}

/// The scores of a network after further training with a narrower gate.
#[derive(Serialize)]
struct Narrowed {
    width: f64,
    /// Number of time steps that replace one step of the run.
    steps_in_one: usize,
    /// The score with that gate.
    gate: f64,
    /// The score with synapses that are triggered in the middle of the gate's active zone.
    middle: f64,
    /// The score with synapses that are triggered by the spike.
    spike: f64,
}

fn main() -> ExitCode {
    let args = Args::parse();
    exit_code(run(&args))
}

fn run(args: &Args) -> Result<(), Stop> {
    let device = args.device.device()?;
    // Open all folders first, so that errors come before any work.
    let learned: Result<Vec<_>, _> = args.runs.iter().map(|run| Learned::open(run, &device)).collect();
    let mut reports = Vec::new();
    for (run, learned) in args.runs.iter().zip(learned?) {
        println!("\n== {}", run.display());
        let report = judge(args, run, learned)?;
        Folder::make(run)?.write_json("robustness.json", &report)?;
        draw(run, &report)?;
        reports.push(report);
    }
    print_table(args, &reports);
    Ok(())
}

fn judge(args: &Args, run: &Path, learned: Learned) -> Result<Report, Stop> {
    let device = args.device.device()?;
    let test = learned.test(&device)?;
    let narrower = SHARES.map(Change::Narrower);
    let changes = [Change::None, Change::Finer(2), Change::Finer(5), Change::Double].into_iter();
    let changes =
        changes.chain([0.01, 0.03, 0.1].map(Change::Noise)).chain(narrower).chain([Change::Middle, Change::Spike]);
    let mut report = Report { score: learned.score_name(), changes: Vec::new(), narrowed: Vec::new() };
    for change in changes {
        let score = learned.score(&test, change)?.value();
        println!("{:<24} {} {score:.4}", change.to_string(), report.score);
        report.changes.push((change.to_string(), score));
    }
    if args.no_training {
        return Ok(report);
    }
    let first = learned.model.network.layer.config().gate.width();
    let validation = learned.validation(&device)?;
    let trained = learned.score(&validation, Change::None)?.value();
    let reached = |score: f64| match report.score {
        "accuracy" => score >= trained - 0.01,
        _ => score <= 1.2 * trained,
    };
    let (mut learned, mut test, mut validation) = (learned, test, validation);
    let mut narrowed = Vec::new();
    let mut width = first * args.narrower;
    while width > first * args.last {
        let parts = args.parts(width / first);
        if parts != learned.parts() {
            learned = learned.in_steps(parts).map_err(|error| error.to_string())?;
            (test, validation) = (learned.test(&device)?, learned.validation(&device)?);
        }
        let folder = run.join(if parts == 1 { "narrowed".into() } else { format!("narrowed-in-{parts}") });
        for at in 0..args.tries {
            let folder = folder.join(format!("width-{width:.4}-{at}"));
            learned = learned.trained_on(&folder, width, args.iterations as usize, args.rate)?;
            let score = |change| -> Result<f64, String> { Ok(learned.score(&test, change)?.value()) };
            let (gate, middle, spike) = (score(Change::None)?, score(Change::Middle)?, score(Change::Spike)?);
            println!(
                "trained on at width {width:.4}, dt/{parts}: {} {gate:.4}, triggered in the middle {middle:.4}, by the spike \
                 {spike:.4}",
                report.score
            );
            let enough = reached(learned.score(&validation, Change::None)?.value());
            if enough || at + 1 == args.tries {
                narrowed.push(Narrowed { width, steps_in_one: parts, gate, middle, spike });
            }
            if enough {
                break;
            }
        }
        width *= args.narrower;
    }
    report.narrowed = narrowed;
    Ok(report)
}

/// Draws the score against the width of the gate after further training.
fn draw(run: &Path, report: &Report) -> Result<(), String> {
    if report.narrowed.is_empty() {
        return Ok(());
    }
    let line = |name: &str, points: Vec<(f64, f64)>| Curve { name: name.into(), points, role: Role::Own };
    let of = |pick: fn(&Narrowed) -> f64| report.narrowed.iter().map(|at| (at.width, pick(at))).collect();
    let panel = Curves {
        x: "width of the gate trained at".into(),
        y: report.score.into(),
        x_scale: Scale::Log,
        y_scale: if report.score == "accuracy" { Scale::Linear } else { Scale::Log },
        lines: vec![
            line("with that gate", of(|at| at.gate)),
            line("triggered in its middle", of(|at| at.middle)),
            line("triggered by the spike", of(|at| at.spike)),
        ],
    };
    let title = "Trained on while the gate narrows";
    curves(run.join("robustness.png"), title, &[panel]).map_err(|error| error.to_string())
}

/// Prints a table with a row for each change and a column for each run.
fn print_table(args: &Args, reports: &[Report]) {
    println!();
    let Some(first) = reports.first() else { return };
    for (row, (change, _)) in first.changes.iter().enumerate() {
        let cells: Vec<String> = reports
            .iter()
            .map(|report| report.changes.get(row).map_or("-".into(), |at| format!("{:.4}", at.1)))
            .collect();
        println!("| {change} | {} |", cells.join(" | "));
    }
    if !args.no_training {
        let last = |pick: fn(&Narrowed) -> f64| -> String {
            let cells =
                reports.iter().map(|report| report.narrowed.last().map_or("-".into(), |at| format!("{:.4}", pick(at))));
            cells.collect::<Vec<_>>().join(" | ")
        };
        println!("| trained on to width x {} | {} |", args.last, last(|at| at.gate));
        println!("| the same, triggered in the middle | {} |", last(|at| at.middle));
        println!("| the same, triggered by the spike | {} |", last(|at| at.spike));
    }
}
