//! Trains a spiking network to predict its filtered input, and shows what it learned.

use burn::data::dataset::Dataset;
use burn::grad_clipping::GradientClippingConfig;
use burn::lr_scheduler::cosine::CosineAnnealingLrSchedulerConfig;
use burn::lr_scheduler::module_lr_scheduler::{ModuleLrScheduler, ModuleLrSchedulerConfig};
use burn::module::ParamGroup;
use burn::optim::AdamConfig;
use burn::tensor::Device;
use burn_spiking_examples::autoencoder::{TAU, WIDTH, autoencoder, correlations, evaluate, without_fast};
use burn_spiking_examples::device::DeviceName;
use burn_spiking_examples::output::{Stop, exit_code};
use burn_spiking_examples::run::{Place, Run, seeded};
use burn_spiking_examples::training::{Training, batches};
use burn_spiking_plot::{Readout, readout};
use burn_spiking_tasks::metric::nmse;
use burn_spiking_tasks::{Coding, EpochLoader, Trial, TrialBatch, TrialBatcher};
use clap::Parser;
use serde::{Deserialize, Serialize};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

/// Trains 30 spiking neurons so that a linear readout of their spikes follows the filtered input, and writes a report, the
/// trained model and a picture of readout against target. Ctrl-C (in the dashboard: q) stops in good order, and --resume goes
/// on to the same end.
#[derive(Parser, Debug)]
#[command(version)]
struct Args {
    #[command(flatten)]
    place: Place,
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
    /// Epochs of 50 iterations; trials grow during the first half of them
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..))]
    epochs: u32,
    /// Where to compute
    #[arg(long, value_enum, default_value_t = DeviceName::Flex)]
    device: DeviceName,
    /// Print a line for each epoch, even in a terminal
    #[arg(long)]
    plain: bool,
}

const BATCH: usize = 50;
const ITERATIONS_PER_EPOCH: usize = 50;
const NEURONS: usize = 30;
const CHANNELS: usize = 2;
const VALIDATION_TRIALS: usize = 100;
const TEST_TRIALS: usize = 200;
/// Steps of the trials that are not trained on.
const LONG: usize = 800;

#[derive(Serialize)]
struct Report {
    seed: u64,
    epochs: u32,
    best_epoch: usize,
    trials: usize,
    nmse: f64,
    nmse_without_fast: f64,
    corr_wf_uo: f64,
    corr_u_o: f64,
    rate_hz: f64,
    silent: usize,
    /// `None` of a run that was resumed, whose time is not one stretch.
    train_seconds: Option<f64>,
}

fn main() -> ExitCode {
    exit_code(run(&Args::parse()))
}

/// Trials grow: a neuron that drifts away in a long trial before it has learned to fire never gets a gradient again.
fn steps_in(epoch: usize, epochs: usize) -> usize {
    match 8 * (epoch - 1) / epochs {
        0 => 50,
        1 => 100,
        2..4 => 200,
        _ => 400,
    }
}

/// Each parameter's rate follows its natural size, and falls along a cosine to a twentieth.
fn rates(iterations: usize) -> Result<ModuleLrScheduler, String> {
    let cosine = |rate: f64| CosineAnnealingLrSchedulerConfig::new(rate, iterations).with_min_lr(0.05 * rate);
    ModuleLrSchedulerConfig::new(cosine(0.02).into())
        .with_group(ParamGroup::from_predicate("readout"), cosine(0.002))
        .with_group(ParamGroup::from_predicate("recurrent"), cosine(0.06))
        .init()
}

/// A loader of long trials that are not trained on.
fn unseen(task: &Coding, seed: u64, trials: usize, device: &Device) -> Result<EpochLoader<Trial, TrialBatch>, String> {
    let data = Coding { steps: LONG, ..task.clone() }.dataset(seed, trials).map_err(|error| error.to_string())?;
    Ok(EpochLoader::constant(data, TrialBatcher, BATCH, device))
}

fn run(args: &Args) -> Result<(), Stop> {
    let run = Run::open("autoencoder", &args.place, args.options.clone(), |options| options.device.device().map(drop))?;
    let (folder, options) = (&run.folder, &run.options);
    let device = options.device.device()?;
    let training_device = device.clone().autodiff();
    device.seed(options.seed);
    let task = Coding { v0_below: 1.0 - WIDTH, ..Coding::auto_encoding(CHANNELS, TAU, NEURONS) };
    task.check().map_err(|error| error.to_string())?;
    let model = autoencoder(&task, &training_device).map_err(|error| error.to_string())?;
    println!("{}", model.network.layer);

    let epochs = options.epochs as usize;
    let training_data = {
        let (task, seed) = (task.clone(), options.seed);
        move |epoch: usize| -> Arc<dyn Dataset<Trial>> {
            let task = Coding { steps: steps_in(epoch.min(epochs), epochs), ..task.clone() };
            let seed = seeded(seed, 10 + epoch as u64);
            Arc::new(task.dataset(seed, BATCH * ITERATIONS_PER_EPOCH).expect("the task was checked"))
        }
    };
    let optimizer =
        AdamConfig::new().with_epsilon(1e-8).with_grad_clipping(Some(GradientClippingConfig::Norm(1.0))).init();
    let started = Instant::now();
    let trained = Training {
        folder,
        resumed: run.resumed,
        plain: options.plain,
        model,
        optimizer,
        rates: rates(epochs * ITERATIONS_PER_EPOCH)?,
        epochs,
        training: EpochLoader::new(training_data, TrialBatcher, BATCH, &training_device),
        validation: Arc::new(unseen(&task, seeded(options.seed, 1), VALIDATION_TRIALS, &device)?),
    }
    .train(nmse())?;
    let train_seconds = started.elapsed().as_secs_f64();

    let model = trained.model;
    let test = batches(&unseen(&task, seeded(options.seed, 2), TEST_TRIALS, &device)?)?;
    let evaluation = evaluate(&model, test.clone());
    let (corr_wf_uo, corr_u_o) = correlations(&model);
    let report = Report {
        seed: options.seed,
        epochs: options.epochs,
        best_epoch: trained.best_epoch,
        trials: TEST_TRIALS,
        nmse: evaluation.tracking.nmse(),
        nmse_without_fast: evaluate(&without_fast(model.clone()), test).tracking.nmse(),
        corr_wf_uo,
        corr_u_o,
        rate_hz: evaluation.firing.rate_hz(),
        silent: evaluation.firing.silent(),
        train_seconds: (!run.resumed).then_some(train_seconds),
    };
    model.save(folder)?;
    let picture = folder.file("readout.png");
    folder.write_json("report.json", &report)?;
    let shown = Readout {
        title: &format!("Auto-encoding by {NEURONS} spiking neurons: normalised error {:.4}", report.nmse),
        dt: task.dt,
        output: &evaluation.output,
        target: &evaluation.target,
        width: CHANNELS,
    };
    readout(&picture, &shown).map_err(|error| error.to_string())?;

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
