//! Draws the firing patterns of the AdEx and Izhikevich neurons with their published constants:
//! tonic, adapting, bursting and others, each under a constant current.
//!
//! Sources: Gerstner, Kistler, Naud & Paninski 2014, table 6.1; Izhikevich 2003, figure 2.

use burn::tensor::{Device, Tensor};
use burn_spiking::neuron::{AdEx, AdExConstants, Izhikevich};
use burn_spiking::{Gate, Neuron, SpikingRnnConfig, Synapse};
use burn_spiking_examples::network::floats;
use burn_spiking_examples::output::{Folder, Stop, exit_code};
use burn_spiking_plot::{Trace, Traces, traces};
use clap::Parser;
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;

/// Draws the firing patterns of AdEx and Izhikevich neurons, and prints their intervals.
#[derive(Parser, Debug)]
#[command(version)]
struct Args {
    /// Length of a time step, ms
    #[arg(long, default_value_t = 0.1)]
    dt: f64,
    /// Length of a run, ms
    #[arg(long, default_value_t = 300.0)]
    time: f64,
    /// Folder for the report and the figures
    #[arg(long, default_value = "runs/firing-patterns")]
    out: PathBuf,
}

/// A neuron under a constant current.
struct Pattern {
    name: &'static str,
    neuron: Neuron,
    /// The current, in 1/ms.
    current: f64,
    /// Reset and peak, mV.
    reset: f64,
    peak: f64,
}

#[derive(Serialize)]
struct Found {
    name: &'static str,
    /// Spike times, ms.
    spikes: Vec<f64>,
}

fn adex(name: &'static str, constants: AdExConstants, pa: f64) -> Pattern {
    let AdExConstants { tau_mem, reset, peak, .. } = constants;
    let neuron = Neuron::AdEx(AdEx::published(constants, 4));
    Pattern { name, neuron, current: constants.current(pa) / tau_mem, reset, peak }
}

fn izhikevich(name: &'static str, model: Izhikevich) -> Pattern {
    Pattern { name, neuron: Neuron::Izhikevich(model), current: model.current(10.0), reset: model.c, peak: 30.0 }
}

/// Runs a pattern, and returns the potentials in mV, with a spike drawn to its peak, and the spike
/// times.
fn run(pattern: &Pattern, args: &Args) -> Result<(Vec<f32>, Found), String> {
    let device = Device::flex();
    let layer = SpikingRnnConfig::new(1, 1)
        .with_neuron(pattern.neuron.clone())
        .with_gate(Gate::Threshold { at: 1.0 })
        .with_synapses(vec![Synapse::readout_only(20.0)])
        .with_dt(args.dt)
        .with_bias(false)
        .init(&device);
    let mut layer = layer.map_err(|error| error.to_string())?;
    let unit = layer.config().time_unit_ms();
    layer.input_weight = layer.input_weight.map(|weight| weight.full_like(unit));
    let steps = ((args.time / args.dt).round() as usize).max(1);
    let input = Tensor::<3>::full([1, steps, 1], pattern.current, &device);
    let (trajectory, _) = layer.forward_recording(input, None);
    let potentials = floats(trajectory.v.expect("recorded"));
    let spikes = floats(trajectory.charge.expect("recorded"));
    let in_mv = |(v, n): (&f32, &f32)| match *n > 0.5 {
        true => pattern.peak as f32,
        false => (pattern.reset + (pattern.peak - pattern.reset) * *v as f64) as f32,
    };
    let times = spikes.iter().enumerate().filter(|(_, n)| **n > 0.5).map(|(t, _)| t as f64 * args.dt);
    let found = Found { name: pattern.name, spikes: times.collect() };
    Ok((potentials.iter().zip(&spikes).map(in_mv).collect(), found))
}

fn draw(title: &str, file: PathBuf, patterns: &[Pattern], args: &Args) -> Result<Vec<Found>, String> {
    let runs = patterns.iter().map(|pattern| run(pattern, args)).collect::<Result<Vec<_>, _>>()?;
    let panels: Vec<Traces<'_>> = runs
        .iter()
        .map(|(potentials, found)| Traces { label: "V (mV)", lines: vec![Trace::new(found.name, potentials)] })
        .collect();
    traces(&file, title, args.dt, &panels).map_err(|error| error.to_string())?;
    for (_, Found { name, spikes }) in &runs {
        let intervals: Vec<String> = spikes.windows(2).map(|pair| format!("{:.1}", pair[1] - pair[0])).collect();
        println!("{name:>24}: {:>3} spikes, intervals {} ms", spikes.len(), intervals.join(" "));
    }
    println!("{}", file.display());
    Ok(runs.into_iter().map(|(_, found)| found).collect())
}

fn program(args: &Args) -> Result<(), Stop> {
    let folder = Folder::make(&args.out)?;
    let exponential = [
        adex("tonic", AdExConstants::tonic(), 65.0),
        adex("adapting", AdExConstants::adapting(), 65.0),
        adex("initial burst", AdExConstants::initial_burst(), 65.0),
        adex("bursting", AdExConstants::bursting(), 65.0),
        adex("transient", AdExConstants::transient(), 65.0),
        adex("delayed", AdExConstants::delayed(), 25.0),
    ];
    let quadratic = [
        izhikevich("regular spiking", Izhikevich::regular_spiking(1)),
        izhikevich("intrinsically bursting", Izhikevich::intrinsically_bursting(1)),
        izhikevich("chattering", Izhikevich::chattering(1)),
        izhikevich("fast spiking", Izhikevich::fast_spiking(1)),
        izhikevich("low-threshold spiking", Izhikevich::low_threshold_spiking(1)),
    ];
    let mut all = draw("AdEx neurons", folder.file("adex.png"), &exponential, args)?;
    all.extend(draw("Izhikevich neurons", folder.file("izhikevich.png"), &quadratic, args)?);
    folder.write_json("report.json", &all)?;
    Ok(())
}

fn main() -> ExitCode {
    exit_code(program(&Args::parse()))
}
