//! Shows the effect of the gate: the charge that one neuron sends while its potential stays below
//! the active zone, enters it, or crosses the threshold. Each excursion is shown slow and fast, and
//! next to the charge of an ordinary threshold-triggered synapse.
//!
//! Source: Huh & Sejnowski 2017, figure 1.

use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};
use burn_spiking::{Gate, Neuron, SpikingRnn, SpikingRnnConfig, Synapse, Trajectory};
use burn_spiking_examples::device::DeviceName;
use burn_spiking_examples::network::floats;
use burn_spiking_examples::output::{Folder, Stop, exit_code};
use burn_spiking_plot::{Trace, Traces, traces};
use clap::Parser;
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;

/// Draws the charge that a gated synapse sends while the membrane potential changes, and prints a
/// table of it for several speeds.
#[derive(Parser, Debug)]
#[command(version)]
struct Args {
    /// Width of the gate's active zone, in (0, 1]
    #[arg(long, default_value_t = 0.4)]
    width: f64,
    /// Length of a time step, ms
    #[arg(long, default_value_t = 0.1)]
    dt: f64,
    /// Folder for the report and the figures
    #[arg(long, default_value = "runs/gate-demo")]
    out: PathBuf,
    /// Device to compute on
    #[arg(long, value_enum, default_value_t = DeviceName::Flex)]
    device: DeviceName,
}

/// Time constant of the synapse in the figure, in ms.
const TAU: f64 = 5.0;

/// One excursion of the potential: up at a constant speed, and back down from the part above the
/// last reset.
#[derive(Clone, Copy)]
struct Excursion {
    /// Height of the excursion, in units of the distance from reset (0) to threshold (1).
    height: f64,
    /// Time that the potential takes from 0 to 1, in ms.
    crossing_ms: f64,
}

impl Excursion {
    /// Returns the current of each step, in 1/ms. A step changes the potential of a NIF neuron by
    /// dt times the current.
    fn currents(self, dt: f64) -> Vec<f64> {
        let steps = |way: f64| ((way * self.crossing_ms / dt).round() as usize).max(1);
        let move_by = |way: f64| vec![way / (steps(way.abs()) as f64 * dt); steps(way.abs())];
        let mut currents = move_by(self.height);
        // After the spikes, the potential comes down from its part above the last reset.
        let back = self.height.fract();
        if back > 0.0 {
            currents.extend(move_by(-back));
        }
        currents
    }
}

/// Makes a neuron that integrates its input, in 1/ms, and its synapse.
fn neuron(gate: Gate, dt: f64, device: &Device) -> Result<SpikingRnn, String> {
    let config = SpikingRnnConfig::new(1, 1)
        .with_neuron(Neuron::Nif)
        .with_gate(gate)
        .with_synapses(vec![Synapse::readout_only(TAU)])
        .with_bias(false)
        .with_dt(dt);
    let mut layer = config.init(device).map_err(|error| error.to_string())?;
    // U is in units of 1/time_unit.
    layer.input_weight = Param::from_tensor(Tensor::full([1, 1], config.time_unit_ms(), device));
    Ok(layer)
}

/// Records potential and charge of a neuron under the given current of each step.
fn run(layer: &SpikingRnn, currents: &[f64], device: &Device) -> Trajectory {
    let currents: Vec<f32> = currents.iter().map(|&i| i as f32).collect();
    let steps = currents.len();
    let input = Tensor::<3>::from_data(TensorData::new(currents, [1, steps, 1]), device);
    layer.forward_recording(input, None).0
}

#[derive(Serialize)]
struct Row {
    excursion: String,
    height: f64,
    crossing_ms: f64,
    gated_on_the_way_up: f64,
    gated: f64,
    triggered: f64,
}

#[derive(Serialize)]
struct Report {
    width: f64,
    dt: f64,
    rows: Vec<Row>,
}

fn sum(charges: &[f32]) -> f64 {
    charges.iter().map(|&q| q as f64).sum()
}

fn demonstrate(args: &Args) -> Result<(), Stop> {
    let device = args.device.device()?;
    let gated = neuron(Gate::Quintic { width: args.width }, args.dt, &device)?;
    let triggered = neuron(Gate::Threshold { at: 1.0 }, args.dt, &device)?;
    let folder = Folder::make(&args.out)?;
    let heights = [
        ("below the zone", 0.9 * (1.0 - args.width)),
        ("into the zone", 1.0 - 0.5 * args.width),
        ("nearly to the threshold", 1.0 - 0.15 * args.width),
        ("beyond the threshold", 1.0 + 0.3 * (1.0 - args.width)),
    ];

    let pause = vec![0.0; (8.0 / args.dt).round() as usize];
    let mut currents = pause.clone();
    for crossing_ms in [20.0, 4.0] {
        for (_, height) in heights {
            currents.extend(Excursion { height, crossing_ms }.currents(args.dt));
            currents.extend(&pause);
        }
    }
    draw(&folder, args, &run(&gated, &currents, &device), &run(&triggered, &currents, &device))?;

    let mut rows = Vec::new();
    let several = [("three spikes", 3.0 + 0.3 * (1.0 - args.width))];
    for (name, height) in heights.into_iter().chain(several) {
        for crossing_ms in [100.0, 20.0, 4.0, 1.0, 0.05] {
            let excursion = Excursion { height, crossing_ms };
            let currents = excursion.currents(args.dt);
            let up = currents.iter().take_while(|&&i| i > 0.0).count();
            let charges = |layer: &SpikingRnn| floats(run(layer, &currents, &device).charge.expect("recorded"));
            let (by_gate, by_trigger) = (charges(&gated), charges(&triggered));
            rows.push(Row {
                excursion: name.into(),
                height,
                crossing_ms,
                gated_on_the_way_up: sum(&by_gate[..up]),
                gated: sum(&by_gate),
                triggered: sum(&by_trigger),
            });
        }
    }
    println!(
        "charge sent by a gate of width {}, and by a threshold-triggered synapse, in steps of {} ms",
        args.width, args.dt
    );
    println!(
        "{:<24} {:>7} {:>14} {:>14} {:>14} {:>10}",
        "potential goes", "to", "at ms per unit", "gate, way up", "gate, in all", "triggered"
    );
    for row in &rows {
        let Row { excursion, height, crossing_ms, gated_on_the_way_up, gated, triggered } = row;
        // Adding 0 removes the sign of a rounded −0.
        let [up, all] = [gated_on_the_way_up, gated].map(|q| (q * 1e6).round() / 1e6 + 0.0);
        println!("{excursion:<24} {height:>7.2} {crossing_ms:>14} {up:>14.6} {all:>14.6} {triggered:>10.6}");
    }
    folder.write_json("report.json", &Report { width: args.width, dt: args.dt, rows })?;
    println!("report {}, picture {}", folder.file("report.json").display(), folder.file("gate.png").display());
    Ok(())
}

fn draw(folder: &Folder, args: &Args, gated: &Trajectory, triggered: &Trajectory) -> Result<(), String> {
    let numbers = |trajectory: &Trajectory| {
        let charge = floats(trajectory.charge.clone().expect("recorded"));
        let total = charge.iter().scan(0.0, |total, q| {
            *total += q;
            Some(*total)
        });
        (total.collect::<Vec<f32>>(), charge, floats(trajectory.clone().trace()))
    };
    let v = floats(gated.v.clone().expect("recorded"));
    let (zone, threshold) = (vec![1.0 - args.width as f32; v.len()], vec![1.0; v.len()]);
    let (gated_total, gated_charge, gated_trace) = numbers(gated);
    let (triggered_total, _, triggered_trace) = numbers(triggered);
    let flow: Vec<f32> = gated_charge.iter().map(|q| q / args.dt as f32).collect();
    let panels = [
        Traces {
            label: "v",
            lines: vec![
                Trace::reference("active zone, to the threshold", &zone),
                Trace::reference("", &threshold),
                Trace::new("membrane potential", &v),
            ],
        },
        Traces { label: "charge per ms", lines: vec![Trace::new("g(v) dv/dt", &flow)] },
        Traces {
            label: "synaptic trace",
            lines: vec![
                Trace::reference("threshold-triggered synapse", &triggered_trace),
                Trace::new("gated synapse", &gated_trace),
            ],
        },
        Traces {
            label: "charge sent so far",
            lines: vec![
                Trace::reference("threshold-triggered synapse", &triggered_total),
                Trace::new("gated synapse", &gated_total),
            ],
        },
    ];
    let title = format!("A gate of width {}: slow excursions, then fast ones", args.width);
    for name in ["gate.png", "gate.svg"] {
        traces(folder.file(name), &title, args.dt, &panels).map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn main() -> ExitCode {
    exit_code(demonstrate(&Args::parse()))
}
