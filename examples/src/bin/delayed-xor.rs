//! Trains a spiking network on the delayed-memory exclusive or.

use burn::data::dataset::Dataset;
use burn::tensor::Tensor;
use burn_spiking::{Averaged, Firing, Scaling, Streamed};
use burn_spiking_examples::delayed_xor::{
    BY_RATES, GRACE, GradientName, Options, Recipe, TEST_ROUNDS, VALIDATION_ROUNDS, delayed_xor, optimizer, rates,
};
use burn_spiking_examples::figures::{self, Inside};
use burn_spiking_examples::learned::Learned;
use burn_spiking_examples::network::{Mixture, ReadoutNetwork, SharedNumber, floats};
use burn_spiking_examples::output::{Folder, Stop, exit_code};
use burn_spiking_examples::run::{Place, Run, seeded};
use burn_spiking_examples::seeds::Seeds;
use burn_spiking_examples::training::{Best, Training, batches};
use burn_spiking_plot::{AnsweredTrial, Curve, Curves, Scale, curves};
use burn_spiking_tasks::metric::answer_accuracy;
use burn_spiking_tasks::{
    Answer, Answers, DelayedXor, EpochLoader, Gaps, StreamLoader, Trial, TrialBatch, TrialBatcher,
};
use clap::Parser;
use serde::Serialize;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

/// Trains spiking neurons to answer, at each go cue, whether the two pulses since the last one had unequal signs; writes a
/// report, pictures and the trained model. Ctrl-C (in the dashboard: q) stops in good order, and --resume goes on to the same end.
///
/// By default four rounds in a trial with gaps up to 500 ms, learned with spikes forward and rates backward (mean-field); the
/// older task of one round by exact gradients: --rounds 1 --max-gap 300.
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

/// Rounds for each gap in the figure of accuracy against gap, and for each number of rounds.
const VARIANT_ROUNDS: usize = 480;

#[derive(Serialize)]
struct Report {
    seed: u64,
    /// "exact", "mean-field" or "mixed".
    gradient: GradientName,
    rounds: usize,
    max_gap_ms: f64,
    accuracy: f64,
    accuracy_by_answer: [f64; 3],
    accuracy_by_round: Vec<f64>,
    test_rounds: usize,
    leak: f64,
    rate_hz: f64,
    /// Rate between rounds, from 40 ms after an answer to the next pulse.
    rest_hz: f64,
    silent: usize,
    active_share: f64,
    best_epoch: usize,
    epochs: usize,
    /// Iterations until the gaps had their full length; `None` if they never had.
    full_gap_iteration: Option<usize>,
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
    let columns = [
        "seed",
        "gradient",
        "accuracy",
        "accuracy_by_answer",
        "leak",
        "rate_hz",
        "rest_hz",
        "full_gap_iteration",
        "train_seconds",
    ];
    let learning = ("Accuracy", Scale::Linear);
    let program = |place: &Place, seed: u64| run(place, with(seed));
    exit_code(seeds.run("delayed-xor", &place, options.seed, with, program, &columns, learning))
}

/// The share of the exact gradient in a mixture: it rises in the first half of training.
fn exact_share(iteration: usize, iterations: usize) -> f64 {
    (2.0 * iteration as f64 / iterations as f64).min(1.0)
}

fn run(place: &Place, options: Options) -> Result<(), Stop> {
    let run = Run::open("delayed-xor", place, options, Options::check)?;
    let (folder, options) = (&run.folder, &run.options);
    let recipe = options.recipe();
    let device = options.device.device()?;
    let training_device = device.clone().autodiff();
    device.seed(options.seed);
    let task = options.task();
    let told = |error: burn_spiking::ConfigError| error.to_string();
    let mut network = delayed_xor(&task, &recipe, &training_device).map_err(told)?;
    if let Some(from) = &options.from {
        network = Learned::open(from, &device)?.into_start_of(network);
    }
    let exact = SharedNumber::default();
    if recipe.gradient == GradientName::Mixed {
        network.mixture = Some(Mixture { rates: BY_RATES, exact_share: exact.clone() });
    }
    println!("{}", network.network.layer);
    let schedule = recipe.gaps(options.max_gap)?;
    let model = Scaling::new(Averaged::new(network, recipe.average).map_err(told)?, recipe.scale).map_err(told)?;
    let sizes = options.sizes();
    let model =
        Streamed::new(model, [sizes.streams, 1, options.neurons], &training_device).with_schedule(schedule.clone());

    let fixed = |stream: u64, rounds: usize| -> Result<_, String> {
        let data = task.dataset(seeded(options.seed, stream), rounds.div_ceil(options.rounds));
        Ok(EpochLoader::constant(data.map_err(|error| error.to_string())?, TrialBatcher, sizes.streams, &device))
    };
    let iterations = recipe.epochs * sizes.chunks_per_epoch;
    let training = {
        let task = DelayedXor { rounds: recipe.trial_rounds, ..task.clone() };
        let (seed, max_gap, gaps) = (options.seed, options.max_gap, schedule.clone());
        let grown_already = options.from.is_some();
        let trials = move |n: usize| -> Arc<dyn Dataset<Trial>> {
            exact.set(exact_share(n * sizes.chunks_per_trial, iterations));
            let task = task.with_max_gap(if grown_already { max_gap } else { gaps.value() });
            Arc::new(task.dataset(seeded(seed, 10 + n as u64), sizes.streams).expect("the task was checked"))
        };
        let fresh = recipe.fresh;
        let loader = StreamLoader::new(trials, sizes, move || fresh, seeded(seed, 4), &training_device);
        loader.map_err(|error| error.to_string())?
    };
    let started = Instant::now();
    let trained = Training {
        folder,
        resumed: run.resumed,
        plain: options.plain,
        model,
        optimizer: optimizer(),
        rates: rates(&recipe, iterations, (recipe.falling * iterations as f64) as usize)?,
        best: Best::Score,
        epochs: recipe.epochs,
        training: Box::new(|epoch| Arc::new(training.start_at(epoch))),
        schedule: Some(schedule),
        validation: Arc::new(fixed(1, VALIDATION_ROUNDS)?),
    }
    .train(answer_accuracy())?;
    let train_seconds = started.elapsed().as_secs_f64();

    let test = batches(&fixed(2, TEST_ROUNDS)?)?;
    let shown = examples_of(&trained.model, &test[0]);
    draw_spikes(folder, &trained.model, &test[0])?;
    figures::training(
        &folder.file("training.png"),
        "Delayed exclusive or: training",
        &trained.history,
        ("Accuracy", Scale::Linear),
    )?;
    let by_gap = by_gap(&trained.model, &task, options)?;
    let Evaluation { answers, firing, rest_hz } = evaluate(&trained.model, test);
    let full = |epoch: &&burn_spiking_examples::history::Epoch| epoch.scheduled == Some(options.max_gap);
    let full_gap = trained.history.epochs().iter().find(full).map(|epoch| {
        let since = epoch.schedule.as_ref().map_or(0, |schedule| schedule.at_end);
        epoch.epoch * sizes.chunks_per_epoch - since
    });
    let report = Report {
        seed: options.seed,
        gradient: recipe.gradient,
        rounds: options.rounds,
        max_gap_ms: options.max_gap,
        accuracy: answers.accuracy(),
        accuracy_by_answer: answers.accuracy_by_answer(),
        accuracy_by_round: answers.accuracy_by_round(),
        test_rounds: TEST_ROUNDS,
        leak: answers.leak(),
        rate_hz: firing.rate_hz(),
        rest_hz,
        silent: firing.silent(),
        active_share: firing.active_share(),
        best_epoch: trained.best_epoch,
        epochs: recipe.epochs,
        full_gap_iteration: full_gap,
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
    tell(&report, &recipe, train_seconds);
    println!("report {}, picture {}", folder.file("report.json").display(), picture.display());
    Ok(())
}

/// What a person wants to know of a report.
fn tell(report: &Report, recipe: &Recipe, train_seconds: f64) {
    let [plus, minus, none] = report.accuracy_by_answer;
    println!(
        "accuracy on {TEST_ROUNDS} fresh rounds     {:.4} (+ {plus:.3}, - {minus:.3}, none {none:.3})",
        report.accuracy
    );
    let by_round: Vec<_> = report.accuracy_by_round.iter().map(|accuracy| format!("{accuracy:.3}")).collect();
    println!("accuracy of each round         {}", by_round.join(", "));
    println!("mean |o| outside the windows   {:.3}", report.leak);
    let by_rounds = report.accuracy_by_rounds.iter().map(|(rounds, accuracy)| format!("{rounds}: {accuracy:.3}"));
    println!("accuracy by rounds in a trial  {}", by_rounds.collect::<Vec<_>>().join(", "));
    println!("firing rate                    {:.1} Hz, between rounds {:.1} Hz", report.rate_hz, report.rest_hz);
    let gradient = match recipe.gradient {
        GradientName::Exact => "exact",
        GradientName::MeanField => "mean-field, not the exact one",
        GradientName::Mixed => "from mean-field to exact",
    };
    println!(
        "training took {train_seconds:.0} s; gradient: {gradient}; the best epoch was {} of {}",
        report.best_epoch, report.epochs
    );
}

/// How a network did on trials that it was not trained on.
struct Evaluation {
    answers: Answers,
    firing: Firing,
    rest_hz: f64,
}

fn evaluate(model: &ReadoutNetwork, batches: Vec<TrialBatch>) -> Evaluation {
    let (mut answers, mut firing) = (Answers::new(), Firing::default());
    let (mut spikes, mut neuron_ms) = (0.0, 0.0);
    let config = model.network.layer.config();
    for batch in batches {
        let rest = batch.rest(GRACE);
        let (run, trajectory) = model.recorded(&batch);
        let charge = trajectory.charge.expect("a recording has the charge");
        let at_rest = (charge.clone() * rest.clone().unsqueeze_dim(2)).sum();
        spikes += at_rest.into_scalar::<f64>();
        neuron_ms += rest.sum().into_scalar::<f64>() * config.n_neurons as f64 * config.dt;
        answers.merge(&model.judged(batch, run).answers());
        firing.merge(&Firing::of(charge, config.dt));
    }
    Evaluation { answers, firing, rest_hz: 1000.0 * spikes / neuron_ms }
}

/// The accuracy in trials of a variant of the task, drawn from a stream of the run's seed.
fn accuracy(model: &ReadoutNetwork, task: &DelayedXor, stream: u64, options: &Options) -> Result<f64, String> {
    let trials = VARIANT_ROUNDS.div_ceil(task.rounds);
    let data = task.dataset(seeded(options.seed, stream), trials).map_err(|error| error.to_string())?;
    let device = options.device.device()?;
    let mut answers = Answers::new();
    for batch in batches(&EpochLoader::constant(data, TrialBatcher, options.sizes().streams, &device))? {
        answers.merge(&model.forward(batch).answers());
    }
    Ok(answers.accuracy())
}

/// The accuracy where both gaps of each round are equally long, within the trained range and beyond it.
fn by_gap(model: &ReadoutNetwork, task: &DelayedXor, options: &Options) -> Result<Vec<(f64, f64)>, String> {
    let shares = [0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0];
    let mut gaps: Vec<f64> = shares.iter().map(|share| (share * options.max_gap).round()).collect();
    gaps.push(30.0);
    gaps.sort_by(f64::total_cmp);
    gaps.dedup();
    let mut points = Vec::new();
    for gap in gaps {
        let gaps = Gaps::Even { min_ms: gap, max_ms: gap };
        let task = DelayedXor { gaps, ..task.clone() }.with_max_gap(gap);
        points.push((gap, accuracy(model, &task, 3, options)?));
    }
    Ok(points)
}

/// The accuracy in trials of one to eight rounds.
fn by_rounds(model: &ReadoutNetwork, options: &Options) -> Result<Vec<(usize, f64)>, String> {
    let mut points = Vec::new();
    for rounds in [1, 2, 4, 8] {
        let task = DelayedXor::new(rounds, options.max_gap, options.neurons);
        points.push((rounds, accuracy(model, &task, 5, options)?));
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
