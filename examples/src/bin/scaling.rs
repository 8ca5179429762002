//! Measures how the time of the op grows with neurons, steps, trials, firing rate and gate width,
//! and draws it.

use burn::tensor::DType;
use burn_spiking_examples::benchmark::{Problem, System, Way, at_least_one};
use burn_spiking_examples::device::DeviceName;
use burn_spiking_examples::measured::Stream;
use burn_spiking_examples::output::{Folder, Stop, exit_code};
use burn_spiking_plot::{Curve, Curves, Role, Scale, curves};
use clap::Parser;
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;

/// Times the op alone (forward pass and adjoint, QIF neurons, single precision) per neuron and
/// step, while one of its sizes varies, and draws the time. For comparison, the figure has the time
/// that this machine's memory bandwidth needs to stream the trace and the gradient of the trace.
#[derive(Parser, Debug)]
#[command(version)]
struct Args {
    /// Number of runs of each size; the median counts
    #[arg(long, default_value_t = 9, value_parser = at_least_one)]
    repeat: usize,
    /// Leave out the larger sizes
    #[arg(long)]
    quick: bool,
    /// Device to compute on
    #[arg(long, value_enum, default_value_t = DeviceName::Flex)]
    device: DeviceName,
    /// Folder for the report and the figure
    #[arg(long, default_value = "runs/scaling")]
    out: PathBuf,
}

#[derive(Serialize)]
struct Point {
    batch: usize,
    steps: usize,
    neurons: usize,
    width: f64,
    rate_hz: f64,
    active_share: f64,
    ms: f64,
    ns_per_neuron_step: f64,
}

#[derive(Serialize)]
struct Report {
    stream: Stream,
    stream_ns_per_neuron_step: f64,
    /// The points for each varied size and each gate width.
    series: Vec<Series>,
}

#[derive(Serialize)]
struct Series {
    varied: &'static str,
    width: f64,
    points: Vec<Point>,
}

fn point(system: &System, args: &Args) -> Result<Point, String> {
    let problem = Problem::new(system, system.steps, &args.device.device()?, DType::F32);
    let problem = problem.map_err(|error| error.to_string())?;
    let firing = problem.firing();
    let measured = problem.measure(Way::Op, args.repeat);
    let neuron_steps = (system.batch * system.steps * system.neurons) as f64;
    Ok(Point {
        batch: system.batch,
        steps: system.steps,
        neurons: system.neurons,
        width: system.width,
        rate_hz: firing.rate_hz(),
        active_share: firing.active_share(),
        ms: measured.ms,
        ns_per_neuron_step: 1e6 * measured.ms / neuron_steps,
    })
}

/// Returns systems in which one size varies.
fn varied(what: &str, width: f64, quick: bool) -> Vec<System> {
    let base = System { width, ..System::default() };
    let upto = |sizes: &[usize], most: usize| -> Vec<usize> {
        sizes.iter().copied().filter(|&size| !quick || size <= most).collect()
    };
    match what {
        "neurons" => upto(&[64, 128, 256, 512, 1024, 2048], 256)
            .into_iter()
            .map(|neurons| System { batch: 16, steps: 200, neurons, ..base.clone() })
            .collect(),
        "steps" => upto(&[50, 200, 1000, 4000], 200)
            .into_iter()
            .map(|steps| System { steps, batch: 16, ..base.clone() })
            .collect(),
        "trials" => upto(&[1, 2, 4, 16, 64, 256], 16)
            .into_iter()
            .map(|batch| System { batch, steps: 400, ..base.clone() })
            .collect(),
        "rate" => [5.0, 10.0, 20.0, 40.0, 80.0]
            .into_iter()
            .map(|rate| System { rate, batch: 16, steps: 400, ..base.clone() })
            .collect(),
        _ => [0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0]
            .into_iter()
            .map(|width| System { width, batch: 16, steps: 400, ..base.clone() })
            .collect(),
    }
}

fn run(args: &Args) -> Result<(), Stop> {
    args.device.device()?;
    let folder = Folder::make(&args.out)?;
    let stream = Stream::measure();
    println!("memory: {:.1} GB/s read, {:.1} GB/s written, by all threads", stream.read_gb_s, stream.write_gb_s);
    let stream_ns = stream.ns_for_trace();

    let studies: [(&'static str, &str, &[f64]); 5] = [
        ("neurons", "neurons N (B 16, T 200)", &[0.1, 1.0]),
        ("steps", "steps T (B 16, N 80)", &[0.1, 1.0]),
        ("trials", "trials B (T 400, N 80)", &[0.1, 1.0]),
        ("rate", "firing rate, Hz (B 16, T 400, N 80)", &[0.1, 0.5]),
        ("active share", "active share (B 16, T 400, N 80)", &[f64::NAN]),
    ];
    let mut series = Vec::new();
    for (varied_size, _, widths) in studies {
        for &width in widths {
            let mut points = Vec::new();
            for system in varied(varied_size, width, args.quick) {
                let point = point(&system, args)?;
                println!(
                    "{varied_size:>12}: B {:>4} T {:>5} N {:>5} width {:<5} {:>6.1} Hz {:>6.1} % active {:>9.2} ms {:>7.2} ns per \
                     neuron and step",
                    point.batch,
                    point.steps,
                    point.neurons,
                    point.width,
                    point.rate_hz,
                    100.0 * point.active_share,
                    point.ms,
                    point.ns_per_neuron_step
                );
                points.push(point);
            }
            series.push(Series { varied: varied_size, width, points });
        }
    }

    let x = |varied: &str, point: &Point| match varied {
        "neurons" => point.neurons as f64,
        "steps" => point.steps as f64,
        "trials" => point.batch as f64,
        "rate" => point.rate_hz,
        _ => point.active_share,
    };
    let panels: Vec<Curves> = studies
        .iter()
        .map(|&(varied, label, _)| {
            let mut lines: Vec<Curve> = series
                .iter()
                .filter(|series| series.varied == varied)
                .map(|series| Curve {
                    name: if series.width.is_nan() { "op".into() } else { format!("op, width {}", series.width) },
                    points: series.points.iter().map(|point| (x(varied, point), point.ns_per_neuron_step)).collect(),
                    role: Role::Own,
                })
                .collect();
            let ends: Vec<f64> = lines.iter().flat_map(|line| line.points.iter().map(|point| point.0)).collect();
            let (low, high) = (ends.iter().copied().fold(f64::MAX, f64::min), ends.iter().copied().fold(0.0, f64::max));
            let points = vec![(low, stream_ns), (high, stream_ns)];
            lines.push(Curve { name: "streaming".into(), points, role: Role::Reference });
            let y = "ns per neuron and step".into();
            Curves { x: label.into(), y, x_scale: Scale::Log, y_scale: Scale::Log, lines }
        })
        .collect();
    let report = Report { stream, stream_ns_per_neuron_step: stream_ns, series };
    folder.write_json("report.json", &report)?;
    let picture = folder.file("scaling.png");
    curves(&picture, "Forward and adjoint of the op", &panels).map_err(|error| error.to_string())?;
    println!("report {}, picture {}", folder.file("report.json").display(), picture.display());
    Ok(())
}

fn main() -> ExitCode {
    exit_code(run(&Args::parse()))
}
