//! A run of `classify`: training, report and figures.

use super::{NeuronName, Options, Task, TaskName};
use crate::classifier::Classifier;
use crate::figures;
use crate::output::{Folder, Stop};
use crate::run::{Place, Run};
use crate::training::{Best, Training};
use burn::data::dataloader::DataLoader;
use burn_spiking::{Adjoint, Averaged, ConfigError, Firing, Gate, Scaling, Skipping};
use burn_spiking_plot::{Raster, Scale, confusion, raster};
use burn_spiking_tasks::metric::class_accuracy;
use burn_spiking_tasks::{Confusion, SampleBatch};
use serde::Serialize;
use std::time::Instant;

/// The columns of the table of reports.
pub const COLUMNS: [&str; 8] =
    ["seed", "neuron", "accuracy", "spikes_per_sample", "rate_hz", "silent", "best_epoch", "train_seconds"];

#[derive(Serialize)]
struct Report {
    task: TaskName,
    seed: u64,
    neuron: NeuronName,
    neurons: usize,
    gate: Gate,
    adjoint: Adjoint,
    epochs: usize,
    best_epoch: usize,
    test_samples: u64,
    accuracy: f64,
    accuracy_by_class: Vec<f64>,
    /// `[right][given]`.
    confusion: Vec<Vec<u64>>,
    spikes_per_sample: f64,
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
    let run = Run::open("classify", place, options, Options::check)?;
    let (folder, options) = (&run.folder, &run.options);
    let (task, recipe) = (Task::open(options)?, options.recipe());
    let name = options.task;
    let device = options.device.device()?;
    let training_device = device.clone().autodiff();
    device.seed(options.seed);
    let told = |error: ConfigError| error.to_string();
    let model = recipe.classifier(&task, &training_device).map_err(told)?;
    println!("{}", model.network.layer);
    let model = Averaged::new(model, recipe.average).map_err(told)?;
    let model = Skipping::new(Scaling::new(model, recipe.scale).map_err(told)?);
    let data = task.data(&recipe, options.seed, &device, &training_device)?;
    let started = Instant::now();
    let trained = Training {
        folder,
        resumed: run.resumed,
        plain: options.plain,
        model,
        optimizer: recipe.optimizer(),
        rates: recipe.schedule(recipe.epochs * data.iterations)?,
        best: Best::Score,
        epochs: recipe.epochs,
        training: data.training,
        schedule: None,
        validation: data.validation,
    }
    .train(class_accuracy())?;
    let train_seconds = started.elapsed().as_secs_f64();

    let model = trained.model;
    let (found, firing) = judge(&model, data.test.as_ref(), |batch| {
        if let Some(export) = run.export {
            let (run, _) = model.network.forward_recording(batch.input.clone(), None);
            let trajectory = run.trajectory().clone();
            export.write(folder, &trajectory, [("input", batch.input.clone()), ("output", run.output)])?;
        }
        draw_sample(folder, (name, &task.classes), &model, batch)
    })?;
    let title = format!("{}: training", name.title());
    figures::training(&folder.file("training.png"), &title, &trained.history, ("Accuracy", Scale::Linear))?;
    let sample_ms = task.binning(&recipe).steps as f64 * recipe.dt;
    let report = Report {
        task: name,
        seed: options.seed,
        neuron: recipe.neuron,
        neurons: recipe.neurons,
        gate: model.network.layer.config().gate,
        adjoint: model.network.layer.config().adjoint,
        epochs: recipe.epochs,
        best_epoch: trained.best_epoch,
        test_samples: found.samples(),
        accuracy: found.accuracy(),
        accuracy_by_class: found.accuracy_by_class(),
        confusion: found.counts().to_vec(),
        spikes_per_sample: firing.rate_hz() * 1e-3 * sample_ms * recipe.neurons as f64,
        rate_hz: firing.rate_hz(),
        silent: firing.silent(),
        train_seconds: (!run.resumed).then_some(train_seconds),
    };
    let title = format!("{}: {:.1} % of {} test samples", name.title(), 100.0 * report.accuracy, report.test_samples);
    confusion(folder.file("confusion.png"), &title, &task.classes, &report.confusion)
        .map_err(|error| error.to_string())?;
    model.save(folder)?;
    // This file comes last: its presence marks the run as finished.
    folder.write_json("report.json", &report)?;

    println!("accuracy on {} test samples  {:.4}", report.test_samples, report.accuracy);
    println!(
        "firing  {:.1} spikes in a sample, {:.1} Hz, {} of {} neurons silent",
        report.spikes_per_sample, report.rate_hz, report.silent, recipe.neurons
    );
    println!("training took {train_seconds:.0} s; the best epoch was {} of {}", report.best_epoch, recipe.epochs);
    println!("report {}", folder.file("report.json").display());
    Ok(())
}

/// Runs all batches, one after the other, and counts their classes. `first` gets the first batch.
fn judge(
    model: &Classifier,
    test: &dyn DataLoader<SampleBatch>,
    first: impl Fn(&SampleBatch) -> Result<(), String>,
) -> Result<(Confusion, Firing), String> {
    let (mut confusion, mut firing) = (Confusion::new(), Firing::default());
    for (at, batch) in test.iter().enumerate() {
        let batch = batch.map_err(|error| error.to_string())?;
        if at == 0 {
            first(&batch)?;
        }
        let verdict = model.forward_recording(batch);
        confusion.merge(&verdict.confusion());
        verdict.firing.iter().for_each(|found| firing.merge(found));
    }
    Ok((confusion, firing))
}

/// Draws the spikes and the outputs of the first sample of a batch.
fn draw_sample(
    folder: &Folder,
    (task, classes): (TaskName, &[String]),
    model: &Classifier,
    batch: &SampleBatch,
) -> Result<(), String> {
    let input = batch.input.clone().narrow(0, 0, 1);
    let [_, steps, _] = input.dims();
    let class = batch.class.clone().narrow(0, 0, 1).into_data().iter::<i64>().next().unwrap_or_default();
    let (run, _) = model.network.forward_recording(input, None);
    let [_, _, outputs] = run.output.dims();
    let values: Vec<f32> = run.output.clone().into_data().iter::<f32>().collect();
    let output: Vec<Vec<f32>> = (0..outputs).map(|at| figures::Inside::column(&values, outputs, at)).collect();
    let output: Vec<&[f32]> = output.iter().map(Vec::as_slice).collect();
    let config = model.network.layer.config();
    let figure = Raster {
        title: &format!("{}: a sample of class {}", task.title(), classes[class as usize]),
        dt: config.dt,
        steps,
        neurons: config.d_hidden,
        spikes: &run.trajectory().spikes(0),
        input: &[],
        output: &output,
    };
    raster(folder.file("raster.png"), &figure).map_err(|error| error.to_string())
}
