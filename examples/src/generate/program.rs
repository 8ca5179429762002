//! A run of `generate`: training, report and figures.

use super::{ITERATIONS, Options};
use crate::figures::{self, Inside};
use crate::output::Stop;
use crate::run::{Place, Run};
use crate::training::{Best, Training, batches};
use burn::optim::AdamConfig;
use burn::tensor::Device;
use burn_spiking::{Averaged, ConfigError, GradientScale, Scaling, Skipping};
use burn_spiking_plot::{Readout, Scale, readout};
use burn_spiking_tasks::metric::nmse;
use burn_spiking_tasks::{EpochLoader, Trial, TrialBatch, TrialBatcher};
use serde::Serialize;
use std::sync::Arc;
use std::time::Instant;

/// The columns of the table of reports.
pub const COLUMNS: [&str; 6] = ["seed", "nmse", "rate_hz", "silent", "best_epoch", "train_seconds"];

/// Decay of the running mean of the parameters.
const AVERAGE: f64 = 0.98;

#[derive(Serialize)]
struct Report {
    seed: u64,
    neurons: usize,
    outputs: usize,
    epochs: u32,
    best_epoch: usize,
    nmse: f64,
    rate_hz: f64,
    silent: usize,
    /// `None` if the run was resumed, because its time is then interrupted.
    train_seconds: Option<f64>,
}

/// Trains a network, judges it, and writes all results into the folder of the run.
///
/// # Errors
/// If the run was stopped, the options are invalid, or a file cannot be written.
pub fn run(place: &Place, options: Options) -> Result<(), Stop> {
    let run = Run::open("generate", place, options, Options::check)?;
    let (folder, options) = (&run.folder, &run.options);
    let device = options.device.device()?;
    let training_device = device.clone().autodiff();
    device.seed(options.seed);
    let told = |error: ConfigError| error.to_string();
    let model = options.network(&training_device).map_err(told)?;
    println!("{}", model.network.layer);
    let model = Averaged::new(model, AVERAGE).map_err(told)?;
    let scale = GradientScale::MedianClip { multiple: 1.5, window: 50 };
    let model = Skipping::new(Scaling::new(model, scale).map_err(told)?);
    let task = options.task();
    // All trials are equal, so one is a batch.
    let trials = |len: usize, device: &Device| -> Result<EpochLoader<Trial, TrialBatch>, String> {
        let data = task.dataset(options.seed, len).map_err(|error| error.to_string())?;
        Ok(EpochLoader::constant(data, TrialBatcher, 1, device))
    };
    let training = trials(ITERATIONS, &training_device)?;
    let started = Instant::now();
    let trained = Training {
        folder,
        resumed: run.resumed,
        plain: options.plain,
        model,
        optimizer: AdamConfig::new().with_beta_2(0.99).with_epsilon(1e-8).init(),
        rates: options.rates()?,
        best: Best::Cost,
        epochs: options.epochs as usize,
        training: Box::new(|epoch| Arc::new(training.start_at(epoch))),
        schedule: None,
        validation: Arc::new(trials(1, &device)?),
    }
    .train(nmse())?;
    let train_seconds = started.elapsed().as_secs_f64();

    let (model, test) = (trained.model, batches(&trials(1, &device)?)?);
    let outcome = model.forward_recording(test[0].clone());
    let inside = Inside::of(&model, &test[0], 0);
    let firing = outcome.firing.clone().unwrap_or_default();
    let report = Report {
        seed: options.seed,
        neurons: options.neurons,
        outputs: options.outputs,
        epochs: options.epochs,
        best_epoch: trained.best_epoch,
        nmse: outcome.tracking().nmse(),
        rate_hz: firing.rate_hz(),
        silent: firing.silent(),
        train_seconds: (!run.resumed).then_some(train_seconds),
    };
    let target: Vec<f32> = test[0].target.clone().into_data().iter::<f32>().collect();
    let shown = Readout {
        title: &format!("A curve by {} spiking neurons: normalised error {:.4}", options.neurons, report.nmse),
        dt: task.dt,
        output: &inside.output,
        target: &target,
        width: options.outputs,
    };
    readout(folder.file("readout.png"), &shown).map_err(|error| error.to_string())?;
    let inside = Inside { input: vec![0.0; task.steps()], ..inside };
    inside.raster(&folder.file("raster.png"), "Pattern generation: spikes and output", &model)?;
    figures::training(
        &folder.file("training.png"),
        "Pattern generation: training",
        &trained.history,
        ("Nmse", Scale::Log),
    )?;
    if let Some(export) = run.export {
        export.write_trials(folder, &model, &test[0])?;
    }
    model.save(folder)?;
    // This file comes last: its presence marks the run as finished.
    folder.write_json("report.json", &report)?;

    println!("normalised error  {:.4}", report.nmse);
    println!("firing rate       {:.1} Hz, {} of {} neurons silent", report.rate_hz, report.silent, options.neurons);
    println!("training took {train_seconds:.0} s; the best epoch was {} of {}", report.best_epoch, options.epochs);
    println!("report {}, picture {}", folder.file("report.json").display(), folder.file("readout.png").display());
    Ok(())
}
