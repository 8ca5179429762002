//! Trains a spiking network to follow its filtered input, and draws the trained network.

use burn::data::dataset::Dataset;
use burn::tensor::Device;
use burn_spiking::{Averaged, Skipping};
use burn_spiking_examples::autoencoder::{
    BATCH, CHANNELS, FastWeights, LONG, LONGEST, NEURONS, SystemName, TAU, TEST_TRIALS, VALIDATION_TRIALS, autoencoder,
    currents, evaluate, optimizer, rates, without_fast,
};
use burn_spiking_examples::device::DeviceName;
use burn_spiking_examples::figures::{self, Inside};
use burn_spiking_examples::network::ReadoutNetwork;
use burn_spiking_examples::output::{Folder, Stop, exit_code};
use burn_spiking_examples::run::{Place, Run, seeded};
use burn_spiking_examples::seeds::Seeds;
use burn_spiking_examples::training::{Best, Training, batches};
use burn_spiking_plot::{
    PlotError, Readout, Scale, Scatter, Trace, Traces, Weights, readout, scatter, traces, weights,
};
use burn_spiking_tasks::metric::nmse;
use burn_spiking_tasks::{Coding, EpochLoader, Trial, TrialBatch, TrialBatcher};
use clap::Parser;
use serde::{Deserialize, Serialize};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

/// Trains 30 spiking neurons so that a linear readout of their spikes follows the filtered input,
/// and writes a report, the trained model and figures. Ctrl-C (in the dashboard: q) stops the
/// training safely, and --resume continues it to the same result.
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

/// The options that determine the result of a run.
#[derive(clap::Args, Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    /// Seed of the initial parameters and of all trials
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Linear system that the readout should follow
    #[arg(long, value_enum, default_value_t = SystemName::AutoEncoding)]
    system: SystemName,
    /// Number of epochs of 50 iterations; the trials get longer during the first half of them
    #[arg(long, default_value_t = 80, value_parser = clap::value_parser!(u32).range(1..))]
    epochs: u32,
    /// Device to compute on
    #[arg(long, value_enum, default_value_t = DeviceName::Flex)]
    device: DeviceName,
    /// Print a line for each epoch, even in a terminal
    #[arg(long)]
    plain: bool,
}

/// Decay c of the running mean of the parameters, per iteration.
const AVERAGE: f64 = 0.99;
const ITERATIONS_PER_EPOCH: usize = 50;

#[derive(Serialize)]
struct Report {
    seed: u64,
    system: SystemName,
    epochs: u32,
    best_epoch: usize,
    trials: usize,
    nmse: f64,
    nmse_without_fast: f64,
    corr_wf_uo: f64,
    corr_u_o: f64,
    rate_hz: f64,
    silent: usize,
    /// `None` if the run was resumed, because its time is then interrupted.
    train_seconds: Option<f64>,
}

fn main() -> ExitCode {
    let Args { place, seeds, options } = Args::parse();
    let with = |seed: u64| Options { seed, ..options.clone() };
    let columns = ["seed", "nmse", "nmse_without_fast", "corr_wf_uo", "corr_u_o", "silent", "rate_hz", "train_seconds"];
    let program = |place: &Place, seed: u64| run(place, with(seed));
    exit_code(seeds.run("autoencoder", &place, options.seed, with, program, &columns, ("Nmse", Scale::Log)))
}

/// Returns the number of time steps of the trials in an epoch. Trials are short at first: a neuron
/// that drifts away in a long trial before it has learned to spike never gets a gradient again.
fn steps_in(epoch: usize, epochs: usize) -> usize {
    match 8 * (epoch - 1) / epochs {
        0 => 50,
        1 => 100,
        2..4 => 200,
        _ => LONGEST,
    }
}

/// Makes a loader of long trials for validation or test.
fn unseen(task: &Coding, seed: u64, trials: usize, device: &Device) -> Result<EpochLoader<Trial, TrialBatch>, String> {
    let data = Coding { steps: LONG, ..task.clone() }.dataset(seed, trials).map_err(|error| error.to_string())?;
    Ok(EpochLoader::constant(data, TrialBatcher, BATCH, device))
}

fn run(place: &Place, options: Options) -> Result<(), Stop> {
    let run = Run::open("autoencoder", place, options, |options| options.device.device().map(drop))?;
    let (folder, options) = (&run.folder, &run.options);
    let device = options.device.device()?;
    let training_device = device.clone().autodiff();
    device.seed(options.seed);
    let task = options.system.task();
    task.check().map_err(|error| error.to_string())?;
    let model = autoencoder(&task, options.system.recurrence(), &training_device).map_err(|error| error.to_string())?;
    println!("{}", model.network.layer);
    let model = Skipping::new(Averaged::new(model, AVERAGE).map_err(|error| error.to_string())?);

    let epochs = options.epochs as usize;
    let training_data = {
        let (task, seed) = (task.clone(), options.seed);
        move |epoch: usize| -> Arc<dyn Dataset<Trial>> {
            let task = Coding { steps: steps_in(epoch.min(epochs), epochs), ..task.clone() };
            let seed = seeded(seed, 10 + epoch as u64);
            Arc::new(task.dataset(seed, BATCH * ITERATIONS_PER_EPOCH).expect("the task was checked"))
        }
    };
    let started = Instant::now();
    let trained = Training {
        folder,
        resumed: run.resumed,
        plain: options.plain,
        model,
        optimizer: optimizer(),
        rates: rates(epochs * ITERATIONS_PER_EPOCH, 1.0)?,
        best: Best::Cost,
        epochs,
        training: Box::new(move |epoch| {
            Arc::new(EpochLoader::new(training_data, TrialBatcher, BATCH, &training_device).start_at(epoch))
        }),
        schedule: None,
        validation: Arc::new(unseen(&task, seeded(options.seed, 1), VALIDATION_TRIALS, &device)?),
    }
    .train(nmse())?;
    let train_seconds = started.elapsed().as_secs_f64();

    let model = trained.model;
    let test = batches(&unseen(&task, seeded(options.seed, 2), TEST_TRIALS, &device)?)?;
    let evaluation = evaluate(&model, test.clone());
    let found = FastWeights::of(&model);
    let (corr_wf_uo, corr_u_o) = found.correlations();
    let report = Report {
        seed: options.seed,
        system: options.system,
        epochs: options.epochs,
        best_epoch: trained.best_epoch,
        trials: TEST_TRIALS,
        nmse: evaluation.tracking.nmse(),
        nmse_without_fast: evaluate(&without_fast(model.clone()), test.clone()).tracking.nmse(),
        corr_wf_uo,
        corr_u_o,
        rate_hz: evaluation.firing.rate_hz(),
        silent: evaluation.firing.silent(),
        train_seconds: (!run.resumed).then_some(train_seconds),
    };
    if let Some(export) = run.export {
        export.write_trials(folder, &model, &test[0])?;
    }
    model.save(folder)?;
    let picture = folder.file("readout.png");
    let shown = Readout {
        title: &format!("{} by {NEURONS} spiking neurons: normalised error {:.4}", options.system.title(), report.nmse),
        dt: task.dt,
        output: &evaluation.output,
        target: &evaluation.target,
        width: CHANNELS,
    };
    readout(&picture, &shown).map_err(|error| error.to_string())?;
    draw(folder, options.system.title(), &model, &found, &test[0])?;
    let title = format!("{}: training", options.system.title());
    figures::training(&folder.file("training.png"), &title, &trained.history, ("Nmse", Scale::Log))?;
    // This file comes last: its presence marks the run as finished.
    folder.write_json("report.json", &report)?;

    println!("normalised error on {TEST_TRIALS} fresh trials  {:.4}", report.nmse);
    println!("  with the fast synapses W_f deleted    {:.4}", report.nmse_without_fast);
    println!("correlation of W_f with -U O            {corr_wf_uo:.3}");
    println!("correlation of U with O transposed      {corr_u_o:.3}");
    println!(
        "firing rate                             {:.1} Hz, {} of {NEURONS} neurons silent",
        report.rate_hz, report.silent
    );
    println!("training took {train_seconds:.0} s; the best epoch was {} of {epochs}", report.best_epoch);
    println!("report {}, picture {}", folder.file("report.json").display(), picture.display());
    Ok(())
}

/// Draws the activity of the network in one trial, and the weights.
fn draw(
    folder: &Folder,
    title: &str,
    model: &ReadoutNetwork,
    found: &FastWeights,
    batch: &TrialBatch,
) -> Result<(), String> {
    let failed = |error: PlotError| error.to_string();
    let inside = Inside::of(model, batch, 0);
    inside.raster(&folder.file("raster.png"), &format!("{title}: input, spikes, readout"), model)?;

    // Show the neuron that spikes most: its currents have the most to balance.
    let sent = |j: usize| Inside::column(&inside.charge, NEURONS, j).iter().sum::<f32>();
    let shown = (0..NEURONS).max_by(|&a, &b| sent(a).total_cmp(&sent(b))).unwrap_or(0);
    let dt = model.network.layer.config().dt;
    let [external, fast] = currents(model, &inside.input, &inside.charge, shown);
    // The current of a single spike lasts one or two steps. Its mean over TAU shows how the
    // currents cancel.
    let smooth = |current: &[f32]| -> Vec<f32> {
        let keep = (-dt / TAU).exp() as f32;
        let mean = current.iter().scan(0.0, |mean, x| {
            *mean = keep * *mean + (1.0 - keep) * x;
            Some(*mean)
        });
        mean.collect()
    };
    let total: Vec<f32> = external.iter().zip(&fast).map(|(a, b)| a + b).collect();
    let (external_mean, fast_mean, total_mean) = (smooth(&external), smooth(&fast), smooth(&total));
    let deleted = Inside::of(&without_fast(model.clone()), batch, 0);
    let [with, without] = [&inside, &deleted].map(|inside| Inside::column(&inside.v, NEURONS, shown));
    let label = format!("v of neuron {shown}");
    let panels = [
        Traces {
            label: "current (1/ms)",
            lines: vec![Trace::new("external U i", &external), Trace::new("fast recurrent W_f s", &fast)],
        },
        Traces {
            label: "mean current (1/ms)",
            lines: vec![
                Trace::new("external", &external_mean),
                Trace::new("fast recurrent", &fast_mean),
                Trace::reference("total", &total_mean),
            ],
        },
        Traces {
            label: &label,
            lines: vec![Trace::reference("W_f deleted", &without), Trace::new("as trained", &with)],
        },
    ];
    let title = format!("Tight balance: currents into neuron {shown}, and their means over {TAU} ms");
    traces(folder.file("balance.png"), &title, dt, &panels).map_err(failed)?;

    fn matrix<'a>(name: &'a str, values: &'a [f32]) -> Weights<'a> {
        Weights { name, values, columns: NEURONS, across: "to neuron" }
    }
    // The analysis predicts W_f up to a factor.
    let size = |values: &[f32]| values.iter().map(|x| x * x).sum::<f32>().sqrt();
    let factor = size(&found.trained) / size(&found.predicted).max(f32::MIN_POSITIVE);
    let scaled: Vec<f32> = found.predicted.iter().map(|x| x * factor).collect();
    let predicted = format!("-{factor:.1} U O, from neuron");
    let matrices = [matrix("W_f, from neuron", &found.trained), matrix(&predicted, &scaled)];
    weights(folder.file("weights.png"), "Fast recurrent weights, trained and predicted", &matrices).map_err(failed)?;
    let panels = [
        Scatter { x: "-U O", y: "W_f (without autapses)", points: &found.pairs },
        Scatter { x: "O transposed", y: "U", points: &found.input_and_readout },
    ];
    scatter(folder.file("scatter.png"), "What training finds, against the analysis", &panels).map_err(failed)
}
