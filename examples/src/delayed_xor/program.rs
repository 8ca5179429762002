//! A run of `delayed-xor`: training, report and figures.

use super::figures::{draw_answers, draw_gaps, draw_rest, draw_spikes};
use super::report::{Evaluation, Report, accuracy_by_gap, accuracy_by_rounds, evaluate};
use super::{BY_RATES, GradientName, Options, Recipe, TEST_ROUNDS, VALIDATION_ROUNDS, delayed_xor, optimizer, rates};
use crate::checkpoint;
use crate::figures;
use crate::history::{Epoch, History};
use crate::learned::Learned;
use crate::network::{Mixture, SharedNumber};
use crate::output::Stop;
use crate::run::{Place, Run, seeded};
use crate::training::{Best, Training, batches};
use burn::data::dataset::Dataset;
use burn_spiking::{Averaged, ConfigError, Scaling, Skipping, Streamed};
use burn_spiking_plot::Scale;
use burn_spiking_tasks::metric::answer_accuracy;
use burn_spiking_tasks::{EpochLoader, StreamLoader, Trial, TrialBatcher};
use std::sync::Arc;
use std::time::Instant;

/// The columns of the table of reports.
pub const COLUMNS: [&str; 9] = [
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

/// Returns the share of the exact gradient in a mixture. It rises from 0 to 1 in the first half of
/// training.
fn exact_share(iteration: usize, iterations: usize) -> f64 {
    (2.0 * iteration as f64 / iterations as f64).min(1.0)
}

/// Trains a network, judges it, and writes all results into the folder of the run.
///
/// # Errors
/// If the run was stopped, the options are invalid, or a file cannot be written.
pub fn run(place: &Place, options: Options) -> Result<(), Stop> {
    // A resumed run already has its parameters. So it does not need the network of --from.
    let check = |options: &Options| match place.resume {
        None => options.check().and_then(|()| options.check_from()),
        Some(_) => options.check(),
    };
    let run = Run::open("delayed-xor", place, options, check)?;
    let (folder, options) = (&run.folder, &run.options);
    let recipe = options.recipe();
    let device = options.device.device()?;
    let training_device = device.clone().autodiff();
    device.seed(options.seed);
    let task = options.task();
    let told = |error: ConfigError| error.to_string();
    let mut network = delayed_xor(&task, &recipe, &training_device).map_err(told)?;
    // If the run has checkpoints, its parameters come from there.
    let begins = !run.resumed || !checkpoint::folder(folder.path()).exists();
    if let Some(from) = options.from.as_ref().filter(|_| begins) {
        network = Learned::open(from, &device)?.into_start_of(network);
    }
    let exact = SharedNumber::default();
    if recipe.gradient == GradientName::Mixed {
        network.mixture = Some(Mixture { rates: BY_RATES, exact_share: exact.clone() });
    }
    println!("{}", network.network.layer);
    let schedule = recipe.gaps(options.from.is_some())?;
    let model = Averaged::new(network, recipe.average).map_err(told)?;
    let model = Skipping::new(Scaling::new(model, recipe.scale).map_err(told)?);
    let sizes = options.sizes();
    let model =
        Streamed::new(model, [sizes.streams, 1, options.neurons], &training_device).with_schedule(schedule.clone());

    let fixed = |stream: u64, rounds: usize| -> Result<_, String> {
        let data = task.dataset(seeded(options.seed, stream), rounds.div_ceil(options.rounds));
        Ok(EpochLoader::constant(data.map_err(|error| error.to_string())?, TrialBatcher, sizes.streams, &device))
    };
    let iterations = recipe.epochs * sizes.chunks_per_epoch;
    let training = {
        let (seed, gaps, options) = (options.seed, schedule.clone(), options.clone());
        let trials = move |n: usize| -> Arc<dyn Dataset<Trial>> {
            exact.set(exact_share(n * sizes.chunks_per_trial, iterations));
            let task = options.training_task(gaps.value());
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
    draw_spikes(folder, &trained.model, &test[0])?;
    draw_rest(folder, &trained.model, &test[0])?;
    let (answers_picture, title) = (folder.file("answers.png"), "Delayed exclusive or: answers to fresh trials");
    draw_answers(&answers_picture, title, (&trained.model, task.dt), &test[0])?;
    figures::training(
        &folder.file("training.png"),
        "Delayed exclusive or: training",
        &trained.history,
        ("Accuracy", Scale::Linear),
    )?;
    let Evaluation { answers, firing, rest_hz } = evaluate(&trained.model, test.clone());
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
        full_gap_iteration: full_gap_iteration(&trained.history, options),
        train_seconds: (!run.resumed).then_some(train_seconds),
        accuracy_by_rounds: accuracy_by_rounds(&trained.model, options)?,
        accuracy_by_gap: accuracy_by_gap(&trained.model, &task, options)?,
    };
    draw_gaps(folder, &report)?;
    if let Some(export) = run.export {
        export.write_trials(folder, &trained.model, &test[0])?;
    }
    trained.model.save(folder)?;
    // This file comes last: its presence marks the run as finished.
    folder.write_json("report.json", &report)?;
    tell(&report, &recipe, train_seconds);
    println!("report {}, picture {}", folder.file("report.json").display(), answers_picture.display());
    Ok(())
}

/// Returns the iteration in which the gaps of training first had their full length, or `None` if
/// they never had it.
fn full_gap_iteration(history: &History, options: &Options) -> Option<usize> {
    let longest = options.recipe().train_gap;
    let full = |epoch: &&Epoch| epoch.scheduled == Some(longest);
    history.epochs().iter().find(full).map(|epoch| {
        let since = epoch.schedule.as_ref().map_or(0, |schedule| schedule.at_end);
        (epoch.epoch * options.sizes().chunks_per_epoch).saturating_sub(since)
    })
}

/// Prints the main results of a report.
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
