//! Measures how much of a gradient is the same from batch to batch, and whether a step along it
//! lowers the cost. Takes a trained network of `delayed-xor`, and varies the longest gap of its
//! trials.

use burn::tensor::Tensor;
use burn::train::TrainOutput;
use burn_spiking::Adjoint;
use burn_spiking::train::stream::StreamStep;
use burn_spiking_examples::angle::{cosine, product};
use burn_spiking_examples::delayed_xor::BY_RATES;
use burn_spiking_examples::device::DeviceName;
use burn_spiking_examples::learned::Learned;
use burn_spiking_examples::network::ReadoutNetwork;
use burn_spiking_examples::output::{Folder, Stop, exit_code};
use burn_spiking_plot::{Curve, Curves, Role, Scale, curves};
use burn_spiking_tasks::TrialBatch;
use clap::Parser;
use indicatif::ProgressBar;
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;

/// Computes the gradient of W of a trained network on two batches of fresh trials, with several
/// adjoints: its norm, and the cosine between the two batches. A cosine near 1 means that the
/// gradient has a clear direction; a cosine near 0 means that it is the noise of single trials.
/// Then takes a small step down the gradient of the first batch, and measures how the cost of the
/// second batch changes. Draws all three against the longest gap of the trials.
#[derive(Parser, Debug)]
#[command(version)]
struct Args {
    /// Folder of a finished run of delayed-xor
    run: PathBuf,
    /// Folder for the figure and the numbers
    #[arg(long, default_value = "runs/gradient-noise")]
    out: PathBuf,
    /// Longest gaps, ms
    #[arg(long, value_delimiter = ',', default_values_t = [30.0, 60.0, 120.0, 250.0, 500.0])]
    gaps: Vec<f64>,
    /// Number of trials in each of the two batches
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// Norm of the step down the gradient, in units of W; 0.01 is about a thousandth of W
    #[arg(long, default_value_t = 0.01)]
    step: f64,
    /// Device to compute on
    #[arg(long, value_enum, default_value_t = DeviceName::Flex)]
    device: DeviceName,
}

/// The results of one adjoint at one gap.
#[derive(Debug, Clone, Serialize)]
struct Point {
    adjoint: &'static str,
    gap_ms: f64,
    /// Norm of the gradient of the first batch.
    norm: f64,
    /// Cosine between the gradients of the two batches.
    cosine: f64,
    /// Cost of the second batch after a step down the gradient of the first batch, as a share of
    /// the cost before the step.
    after_step: f64,
}

fn main() -> ExitCode {
    exit_code(run(&Args::parse()))
}

fn run(args: &Args) -> Result<(), Stop> {
    let device = args.device.device()?.autodiff();
    let learned = Learned::open(&args.run, &device)?;
    let folder = Folder::make(&args.out)?;
    let limit = |limit: f64| Adjoint::Limited { limit: Some(limit), keep: 1.0 };
    let adjoints = [
        ("exact", Adjoint::Exact),
        ("limit 10", limit(10.0)),
        ("limit 3", limit(3.0)),
        ("limit 1", limit(1.0)),
        ("mean-field", BY_RATES),
    ];
    let bar = ProgressBar::new((args.gaps.len() * adjoints.len()) as u64);
    let mut points = Vec::new();
    for &gap_ms in &args.gaps {
        let batch = |stream: u64| learned.fresh_batch(stream, args.batch as usize, gap_ms, &device);
        let (one, other) = (batch(3000)?, batch(3001)?);
        for (adjoint, how) in adjoints {
            let model = learned.model.clone().with_adjoint(how).map_err(|error| error.to_string())?;
            let (_, a) = cost_and_gradient(&model, &one);
            let (before, b) = cost_and_gradient(&model, &other);
            let after = cost(&stepped(&model, &a, args.step), &other);
            let (a, b): (Vec<f64>, Vec<f64>) = (a.into_data().iter().collect(), b.into_data().iter().collect());
            let (norm, cosine) = (product(&a, &a).sqrt(), cosine(&a, &b));
            points.push(Point { adjoint, gap_ms, norm, cosine, after_step: after / before });
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    for Point { adjoint, gap_ms, norm, cosine, after_step } in &points {
        println!(
            "gaps to {gap_ms:>4} ms  {adjoint:<10}  norm {norm:>9.2e}  cosine {cosine:>6.3}  cost after a step x {after_step:.3}"
        );
    }
    let panel = |y: &str, y_scale: Scale, of: fn(&Point) -> f64| Curves {
        x: "longest gap (ms)".into(),
        y: y.into(),
        x_scale: Scale::Log,
        y_scale,
        lines: adjoints
            .iter()
            .map(|&(name, _)| Curve {
                name: name.into(),
                points: points
                    .iter()
                    .filter(|point| point.adjoint == name)
                    .map(|point| (point.gap_ms, of(point)))
                    .collect(),
                role: Role::Own,
            })
            .collect(),
    };
    let panels = [
        panel("cosine of two batches' gradients", Scale::Linear, |point| point.cosine),
        panel("norm of the gradient", Scale::Log, |point| point.norm),
        panel("cost after a step, share of that before", Scale::Linear, |point| point.after_step),
    ];
    let title = "Gradient of W: what two batches have in common, its size, and what a step down it does";
    curves(folder.file("noise.png"), title, &panels).map_err(|error| error.to_string())?;
    folder.write_json("noise.json", &points)?;
    println!("figure {}", folder.file("noise.png").display());
    Ok(())
}

/// Computes the cost of a batch that starts from its own initial potentials, with all costs of the
/// run's recipe, and the gradient of W.
fn cost_and_gradient(model: &ReadoutNetwork, batch: &TrialBatch) -> (f64, Tensor<2>) {
    let state = model.fresh_state(batch);
    let TrainOutput { grads, item } = model.stream_step(batch.clone(), state).train;
    let of_w =
        grads.get(model.network.layer.recurrent_weights[0].id).expect("a network with memory has recurrent weights");
    (item.cost.into_scalar(), of_w)
}

/// Computes the same cost without a gradient.
fn cost(model: &ReadoutNetwork, batch: &TrialBatch) -> f64 {
    let (outcome, _) = model.forward_learning(batch.clone(), model.fresh_state(batch));
    outcome.cost.into_scalar()
}

/// Returns the network after a step of a given norm down a gradient of W.
fn stepped(model: &ReadoutNetwork, gradient: &Tensor<2>, norm: f64) -> ReadoutNetwork {
    let mut model = model.clone();
    let of_norm_1 = gradient.clone() / gradient.clone().square().sum().sqrt().into_scalar::<f64>();
    let recurrent = model.network.layer.recurrent_weights.remove(0);
    let moved = recurrent.map(|w| {
        let step = Tensor::from_inner(of_norm_1) * norm;
        (w.detach() - step).detach().require_grad()
    });
    model.network.layer.recurrent_weights.insert(0, moved);
    model
}
