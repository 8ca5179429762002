//! Trains a spiking network on the delayed-memory exclusive or.

use burn::data::dataset::Dataset;
use burn::tensor::Tensor;
use burn_spiking::{Averaged, Firing};
use burn_spiking_examples::delayed_xor::{Start, TEST_TRIALS, VALIDATION_TRIALS, delayed_xor, layer, optimizer, rates};
use burn_spiking_examples::device::DeviceName;
use burn_spiking_examples::figures::{self, Inside};
use burn_spiking_examples::learned::Learned;
use burn_spiking_examples::network::{ReadoutNetwork, RestCost, floats};
use burn_spiking_examples::output::{Folder, Stop, exit_code};
use burn_spiking_examples::run::{Place, Run, seeded};
use burn_spiking_examples::seeds::Seeds;
use burn_spiking_examples::training::{Best, Training, batches};
use burn_spiking_plot::{AnsweredTrial, Curve, Curves, Scale, curves};
use burn_spiking_tasks::metric::answer_accuracy;
use burn_spiking_tasks::{Answer, Answers, DelayedXor, EpochLoader, Gaps, Trial, TrialBatch, TrialBatcher};
use clap::Parser;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

/// Trains spiking neurons to answer, at a go cue, whether two earlier pulses had unequal signs; writes a report, a
/// picture and the trained model. Ctrl-C (in the dashboard: q) stops in good order, and --resume goes on to the same end.
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

/// What fixes the course of a run.
#[derive(clap::Args, Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    /// Seed of the initial parameters and of all trials
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Rounds in a trial
    #[arg(long, default_value_t = 1)]
    rounds: usize,
    /// Longest gap between pulses, and between second pulse and go cue, ms; it grows from 30 during the first half of training
    #[arg(long, default_value_t = 300.0)]
    max_gap: f64,
    /// Number of neurons
    #[arg(long, default_value_t = 80)]
    neurons: usize,
    /// Width of the gate, in (0, 1]; a wide gate shows the gradient more, a narrow one is faster
    #[arg(long, default_value_t = 1.0)]
    width: f64,
    /// Cost of activity after each answer until the next round: 0.5 of it for a trace of 1 in one neuron
    #[arg(long, default_value_t = 0.0)]
    #[serde(default)]
    rest: f64,
    /// Share of the usual learning rates
    #[arg(long, default_value_t = 1.0)]
    #[serde(default = "all")]
    rate: f64,
    /// Start from the network of this finished run, with gaps of full length at once
    #[arg(long)]
    #[serde(default)]
    from: Option<PathBuf>,
    /// Epochs
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..))]
    epochs: u32,
    /// Iterations in an epoch
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    iterations: u32,
    /// Trials in a batch
    #[arg(long, default_value_t = 48, value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// Where to compute
    #[arg(long, value_enum, default_value_t = DeviceName::Flex)]
    device: DeviceName,
    /// Print a line for each epoch, even in a terminal
    #[arg(long)]
    plain: bool,
}

fn all() -> f64 {
    1.0
}

impl Options {
    fn task(&self) -> DelayedXor {
        DelayedXor::new(self.rounds, self.max_gap, self.neurons)
    }

    fn start(&self) -> Start {
        Start { width: self.width, ..Start::default() }
    }

    fn check(&self) -> Result<(), String> {
        self.device.device()?;
        self.task().check().map_err(|error| error.to_string())?;
        layer(&self.task(), self.start()).check().map_err(|error| error.to_string())
    }
}

/// Share of training during which the gaps grow.
const GROWTH: f64 = 0.5;
/// Steps after an answer in which activity may fade before it costs: two time constants of its traces.
const GRACE: usize = 40;
/// Iterations over which parameters are averaged: c = 0.99.
const AVERAGE: f64 = 0.99;
/// Trials for each gap in the figure of accuracy against gap, and for each number of rounds.
const VARIANT_TRIALS: usize = 240;

#[derive(Serialize)]
struct Report {
    seed: u64,
    rounds: usize,
    max_gap_ms: f64,
    accuracy: f64,
    accuracy_by_answer: [f64; 3],
    trials: usize,
    leak: f64,
    rate_hz: f64,
    silent: usize,
    active_share: f64,
    best_epoch: usize,
    epochs: u32,
    /// `None` of a run that was resumed, whose time is not one stretch.
    train_seconds: Option<f64>,
    /// (rounds in a trial, accuracy), also of more rounds than were trained.
    accuracy_by_rounds: Vec<(usize, f64)>,
    /// (gap in ms, accuracy) where both gaps of each round are that long.
    accuracy_by_gap: Vec<(f64, f64)>,
}

fn main() -> ExitCode {
    let Args { place, seeds, options } = Args::parse();
    let with = |seed: u64| Options { seed, ..options.clone() };
    let columns =
        ["seed", "accuracy", "accuracy_by_answer", "leak", "rate_hz", "silent", "best_epoch", "train_seconds"];
    let learning = ("Accuracy", Scale::Linear);
    let program = |place: &Place, seed: u64| run(place, with(seed));
    exit_code(seeds.run("delayed-xor", &place, options.seed, with, program, &columns, learning))
}

/// The longest gap of an epoch: from 30 ms it grows by the same factor each epoch.
fn grown(epoch: usize, epochs: usize, max_gap: f64) -> f64 {
    let start = max_gap.min(30.0);
    let share = ((epoch - 1) as f64 / (GROWTH * epochs as f64)).min(1.0);
    start * (max_gap / start).powf(share)
}

fn run(place: &Place, options: Options) -> Result<(), Stop> {
    let run = Run::open("delayed-xor", place, options, Options::check)?;
    let (folder, options) = (&run.folder, &run.options);
    let device = options.device.device()?;
    let training_device = device.clone().autodiff();
    device.seed(options.seed);
    let task = options.task();
    let mut model = delayed_xor(&task, options.start(), &training_device).map_err(|error| error.to_string())?;
    if let Some(from) = &options.from {
        model = Learned::open(from, &device)?.into_start_of(model);
    }
    model.rest = (options.rest > 0.0).then_some(RestCost { weight: options.rest, grace: GRACE });
    println!("{}", model.network.layer);
    let model = Averaged::new(model, AVERAGE).map_err(|error| error.to_string())?;

    let batch = options.batch as usize;
    let items = batch * options.iterations as usize;
    let fixed = |stream: u64, trials: usize| -> Result<_, String> {
        let data = task.dataset(seeded(options.seed, stream), trials).map_err(|error| error.to_string())?;
        Ok(EpochLoader::constant(data, TrialBatcher, batch, &device))
    };
    let epochs = options.epochs as usize;
    let training_data = {
        let (task, seed, max_gap, grown_already) =
            (task.clone(), options.seed, options.max_gap, options.from.is_some());
        move |epoch: usize| -> Arc<dyn Dataset<Trial>> {
            let task = if grown_already { task.clone() } else { task.with_max_gap(grown(epoch, epochs, max_gap)) };
            Arc::new(task.dataset(seeded(seed, 10 + epoch as u64), items).expect("the task was checked"))
        }
    };
    let training = EpochLoader::new(training_data, TrialBatcher, batch, &training_device);
    let started = Instant::now();
    let trained = Training {
        folder,
        resumed: run.resumed,
        plain: options.plain,
        model,
        optimizer: optimizer(),
        rates: rates(epochs * options.iterations as usize, options.rate)?,
        best: Best::Score,
        epochs,
        training,
        validation: Arc::new(fixed(1, VALIDATION_TRIALS)?),
    }
    .train(answer_accuracy())?;
    let train_seconds = started.elapsed().as_secs_f64();

    let test = batches(&fixed(2, TEST_TRIALS)?)?;
    let shown = examples_of(&trained.model, &test[0]);
    draw_spikes(folder, &trained.model, &test[0])?;
    figures::training(
        &folder.file("training.png"),
        "Delayed exclusive or: training",
        &trained.history,
        ("Accuracy", Scale::Linear),
    )?;
    let by_gap = by_gap(&trained.model, &task, options)?;
    let (answers, firing) = evaluate(&trained.model, test);
    let report = Report {
        seed: options.seed,
        rounds: options.rounds,
        max_gap_ms: options.max_gap,
        accuracy: answers.accuracy(),
        accuracy_by_answer: answers.accuracy_by_answer(),
        trials: TEST_TRIALS,
        leak: answers.leak(),
        rate_hz: firing.rate_hz(),
        silent: firing.silent(),
        active_share: firing.active_share(),
        best_epoch: trained.best_epoch,
        epochs: options.epochs,
        train_seconds: (!run.resumed).then_some(train_seconds),
        accuracy_by_rounds: by_rounds(&trained.model, options)?,
        accuracy_by_gap: by_gap,
    };
    draw_gaps(folder, &report)?;
    let (picture, title) =
        (folder.file("answers.png"), format!("Delayed exclusive or: accuracy {:.3}", report.accuracy));
    burn_spiking_plot::answers(&picture, &title, task.dt, &shown).map_err(|error| error.to_string())?;
    trained.model.save(folder)?;
    // The last of all files: with it the run is done.
    folder.write_json("report.json", &report)?;
    let [plus, minus, none] = report.accuracy_by_answer;
    println!(
        "accuracy on {TEST_TRIALS} fresh trials    {:.3} (+ {plus:.3}, - {minus:.3}, none {none:.3})",
        report.accuracy
    );
    println!("mean |o| outside the windows   {:.3}", report.leak);
    let by_rounds = report.accuracy_by_rounds.iter().map(|(rounds, accuracy)| format!("{rounds}: {accuracy:.3}"));
    println!("accuracy by rounds in a trial  {}", by_rounds.collect::<Vec<_>>().join(", "));
    println!(
        "firing rate                    {:.1} Hz, {} of {} neurons silent",
        report.rate_hz, report.silent, options.neurons
    );
    println!("training took {train_seconds:.0} s; the best epoch was {} of {epochs}", report.best_epoch);
    println!("report {}, picture {}", folder.file("report.json").display(), picture.display());
    Ok(())
}

fn evaluate(model: &ReadoutNetwork, batches: Vec<TrialBatch>) -> (Answers, Firing) {
    let (mut answers, mut firing) = (Answers::new(), Firing::default());
    for batch in batches {
        let outcome = model.forward_recording(batch);
        answers.merge(&outcome.answers());
        firing.merge(outcome.firing.as_ref().expect("a recording has the firing"));
    }
    (answers, firing)
}

/// The accuracy in trials of a variant of the task, drawn from a stream of the run's seed.
fn accuracy(model: &ReadoutNetwork, task: &DelayedXor, stream: u64, options: &Options) -> Result<f64, String> {
    let data = task.dataset(seeded(options.seed, stream), VARIANT_TRIALS).map_err(|error| error.to_string())?;
    let device = options.device.device()?;
    let mut answers = Answers::new();
    for batch in batches(&EpochLoader::constant(data, TrialBatcher, options.batch as usize, &device))? {
        answers.merge(&model.forward(batch).answers());
    }
    Ok(answers.accuracy())
}

/// The accuracy where both gaps of each round are equally long, within the trained range and beyond it.
fn by_gap(model: &ReadoutNetwork, task: &DelayedXor, options: &Options) -> Result<Vec<(f64, f64)>, String> {
    let shares = [0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0];
    let mut points = Vec::new();
    for share in shares {
        let gap = (share * options.max_gap).round();
        let gaps = Gaps::Even { min_ms: gap, max_ms: gap };
        let task = DelayedXor { gaps, ..task.clone() }.with_max_gap(gap);
        points.push((gap, accuracy(model, &task, 3, options)?));
    }
    Ok(points)
}

/// The accuracy in trials of one to four rounds.
fn by_rounds(model: &ReadoutNetwork, options: &Options) -> Result<Vec<(usize, f64)>, String> {
    let mut points = Vec::new();
    for rounds in 1..=4 {
        let task = DelayedXor::new(rounds, options.max_gap, options.neurons);
        points.push((rounds, accuracy(model, &task, 4, options)?));
    }
    Ok(points)
}

/// Draws accuracy against gap.
fn draw_gaps(folder: &Folder, report: &Report) -> Result<(), String> {
    let trained = vec![(report.max_gap_ms, 0.0), (report.max_gap_ms, 1.0)];
    let lines = vec![
        Curve { name: "longest gap trained".into(), points: trained, reference: true },
        Curve { name: "accuracy".into(), points: report.accuracy_by_gap.clone(), reference: false },
    ];
    let panel = Curves {
        x: "both gaps (ms)".into(),
        y: "accuracy".into(),
        x_scale: Scale::Linear,
        y_scale: Scale::Linear,
        lines,
    };
    let path = folder.file("gaps.png");
    curves(path, "Delayed exclusive or: accuracy against gap", &[panel]).map_err(|error| error.to_string())
}

/// Draws input, spikes and output of a trial for each answer.
fn draw_spikes(folder: &Folder, model: &ReadoutNetwork, batch: &TrialBatch) -> Result<(), String> {
    for (name, trial) in first_of_each(["plus", "minus", "none"], batch) {
        let title = format!("Delayed exclusive or: the answer is {name}");
        Inside::of(model, batch, trial).raster(&folder.file(&format!("raster-{name}.png")), &title, model)?;
    }
    Ok(())
}

/// For each answer, in the order of [`Answer::ALL`], its name and the first trial of a batch whose first round wants it, if any does.
fn first_of_each(names: [&'static str; 3], batch: &TrialBatch) -> impl Iterator<Item = (&'static str, usize)> {
    let first = |answer: Answer| batch.rounds.iter().position(|rounds| rounds[0].answer == answer);
    names.into_iter().zip(Answer::ALL.map(first)).filter_map(|(name, trial)| Some((name, trial?)))
}

/// The first trial of a batch for each answer of its first round.
fn examples_of(model: &ReadoutNetwork, batch: &TrialBatch) -> Vec<AnsweredTrial> {
    let output = model.forward(batch.clone()).output;
    let trial = |(label, at): (&str, usize)| {
        let row = |tensor: &Tensor<3>| floats(tensor.clone().narrow(0, at, 1));
        let [input, output, target] = [&batch.input, &output, &batch.target].map(row);
        AnsweredTrial { label: label.into(), input, output, target }
    };
    first_of_each(["answer +", "answer -", "no answer"], batch).map(trial).collect()
}
