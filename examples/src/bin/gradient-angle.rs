//! Measures the angle between the mean-field gradient and the exact gradient. Draws its cosine
//! against firing rate, synaptic time constant and number of neurons, which should bring the two
//! together.

use burn::tensor::{Distribution, Tensor, TensorData};
use burn_spiking::{
    Adjoint, Gate, InitialWeights, Neuron, SpikingNetwork, SpikingNetworkConfig, SpikingRnnConfig, Synapse,
    TrackingLossConfig,
};
use burn_spiking_examples::angle;
use burn_spiking_examples::device::DeviceName;
use burn_spiking_examples::output::{Folder, Stop, exit_code};
use burn_spiking_plot::{Curve, Curves, Role, Scale, curves};
use clap::Parser;
use indicatif::ProgressBar;
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;

/// Draws the cosine of the angle between the mean-field gradient and the exact gradient against
/// firing rate, synaptic time constant and number of neurons. The networks are random networks of
/// QIF neurons with slow input.
#[derive(Parser, Debug)]
#[command(version)]
struct Args {
    /// Folder for the figure and the numbers
    #[arg(long, default_value = "runs/gradient-angle")]
    out: PathBuf,
    /// Number of random networks for each point
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..))]
    networks: u64,
    /// Number of trials that each gradient is averaged over
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// Device to compute on
    #[arg(long, value_enum, default_value_t = DeviceName::Flex)]
    device: DeviceName,
}

/// One kind of network.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Kind {
    /// Firing rate under the bias current alone, in Hz.
    rate_hz: f64,
    /// Time constant τ of the synapses, in ms.
    tau: f64,
    /// Number of neurons N.
    neurons: usize,
}

/// The values that stay fixed while one of them varies.
const USUAL: Kind = Kind { rate_hz: 40.0, tau: 50.0, neurons: 100 };

/// Number of time steps of 1 ms.
const STEPS: usize = 1000;

/// The cosines of one kind of network.
#[derive(Debug, Clone, Serialize)]
struct Point {
    kind: Kind,
    /// Mean over networks, for U, W and I_o.
    cosines: [f64; 3],
}

fn main() -> ExitCode {
    exit_code(run(&Args::parse()))
}

fn run(args: &Args) -> Result<(), Stop> {
    let folder = Folder::make(&args.out)?;
    let rates = [5.0, 10.0, 20.0, 40.0, 80.0, 160.0].map(|rate_hz| Kind { rate_hz, ..USUAL });
    let taus = [5.0, 10.0, 20.0, 50.0, 100.0, 200.0].map(|tau| Kind { tau, ..USUAL });
    let sizes = [10, 20, 50, 100, 200, 400].map(|neurons| Kind { neurons, ..USUAL });
    let bar = ProgressBar::new(18);
    let measured = |kinds: [Kind; 6]| -> Result<Vec<Point>, String> {
        kinds
            .into_iter()
            .map(|kind| {
                let point = point(args, kind);
                bar.inc(1);
                point
            })
            .collect()
    };
    let (rates, taus, sizes) = (measured(rates)?, measured(taus)?, measured(sizes)?);
    bar.finish_and_clear();
    let panel = |x: &str, points: &[Point], of: fn(&Kind) -> f64| {
        let line = |(at, name): (usize, &str)| Curve {
            name: name.into(),
            points: points.iter().map(|point| (of(&point.kind), point.cosines[at])).collect(),
            role: Role::Own,
        };
        Curves {
            x: x.into(),
            y: "cosine".into(),
            x_scale: Scale::Log,
            y_scale: Scale::Linear,
            lines: ["of U", "of W", "of I_o"].into_iter().enumerate().map(line).collect(),
        }
    };
    let panels = [
        panel("firing rate (Hz)", &rates, |kind| kind.rate_hz),
        panel("synaptic time constant (ms)", &taus, |kind| kind.tau),
        panel("number of neurons", &sizes, |kind| kind.neurons as f64),
    ];
    let title = "Mean-field gradient and exact gradient: how far they point the same way";
    curves(folder.file("cosine.png"), title, &panels).map_err(|error| error.to_string())?;
    let all: Vec<Point> = [rates, taus, sizes].concat();
    for Point { kind: Kind { rate_hz, tau, neurons }, cosines: [u, w, bias] } in &all {
        println!("{rate_hz:>6} Hz  tau {tau:>4} ms  N {neurons:>4}   U {u:.3}  W {w:.3}  I_o {bias:.3}");
    }
    folder.write_json("cosine.json", &all)?;
    println!("figure {}", folder.file("cosine.png").display());
    Ok(())
}

fn point(args: &Args, kind: Kind) -> Result<Point, String> {
    let mut sums = [0.0; 3];
    for seed in 0..args.networks {
        let cosines = cosines(args, kind, seed)?;
        sums.iter_mut().zip(cosines).for_each(|(sum, cosine)| *sum += cosine);
    }
    Ok(Point { kind, cosines: sums.map(|sum| sum / args.networks as f64) })
}

/// Computes the cosines between the two gradients of U, W and I_o in one random network.
fn cosines(args: &Args, kind: Kind, seed: u64) -> Result<[f64; 3], String> {
    const TAU_V: f64 = 25.0;
    let Kind { rate_hz, tau, neurons } = kind;
    let device = args.device.device()?.autodiff();
    device.seed(seed);
    let neuron = Neuron::Qif { tau_mem: TAU_V };
    let bias = neuron.steady_current(1e-3 * rate_hz * TAU_V);
    // The input changes the current by up to half of its value, the recurrent weights by less.
    let layer = SpikingRnnConfig::new(1, neurons)
        .with_neuron(neuron)
        .with_gate(Gate::Quintic { width: 1.0 })
        .with_synapses(vec![Synapse::new(tau)])
        .with_initial(Some(InitialWeights { input: 0.5 * bias, recurrent: 0.2 * bias / (1e-3 * rate_hz * tau), bias }));
    let told = |error: burn_spiking::ConfigError| error.to_string();
    let network = SpikingNetworkConfig::new(layer, 1).init(&device).map_err(told)?;
    let batch = args.batch as usize;
    // Each trial has one slow wave with a random phase. The target is the same wave, 100 ms later.
    let phases: Vec<f32> = Tensor::<1>::random([batch], Distribution::Uniform(0.0, std::f64::consts::TAU), &device)
        .into_data()
        .iter()
        .collect();
    let wave = |delay: f32| {
        let value = |phase: &f32, t: usize| (phase + (t as f32 - delay) * std::f32::consts::TAU / 1000.0).sin();
        let values: Vec<f32> = phases.iter().flat_map(|phase| (0..STEPS).map(move |t| value(phase, t))).collect();
        Tensor::<3>::from_data(TensorData::new(values, [batch, STEPS, 1]), &device)
    };
    let (input, target) = (wave(0.0), wave(100.0));
    let start = network.layer.random_state(batch, 0.0, 1.0, seed);
    let gradients = |adjoint: Adjoint| -> Result<[Vec<f64>; 3], String> {
        let layer = network.layer.clone().with_adjoint(adjoint).map_err(told)?;
        let network = SpikingNetwork { layer, readout: network.readout.clone() };
        let loss = TrackingLossConfig::new().init().map_err(told)?;
        let (run, _) = network.forward(input.clone(), Some(start.clone()));
        let found = loss.forward_network(run, target.clone(), None).backward();
        let layer = &network.layer;
        let bias = layer.bias.as_ref().and_then(|bias| bias.grad(&found)).expect("there is a bias current");
        let matrix = |gradient: Option<Tensor<2>>| -> Vec<f64> {
            gradient.expect("a parameter has a gradient").into_data().iter().collect()
        };
        Ok([
            matrix(layer.input_weight.grad(&found)),
            matrix(layer.recurrent_weights[0].grad(&found)),
            bias.into_data().iter().collect(),
        ])
    };
    let exact = gradients(Adjoint::Exact)?;
    let by_rates = gradients(Adjoint::MeanField { step_ms: 5.0, softness: 0.005 })?;
    let mut cosines = [0.0; 3];
    for (cosine, (a, b)) in cosines.iter_mut().zip(exact.iter().zip(&by_rates)) {
        *cosine = angle::cosine(a, b);
    }
    Ok(cosines)
}
