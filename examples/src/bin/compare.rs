//! Measures the op against its own body in tensor operations and against Burn's automatic backprop through time.

use burn::module::Param;
use burn::tensor::{DType, Device, Tensor, TensorData};
use burn_spiking::{Body, Firing, Gate, Neuron, SpikingRnn, SpikingRnnConfig, SpikingState, Synapse, Trajectory};
use burn_spiking_examples::device::DeviceName;
use burn_spiking_examples::output::{Folder, Stop, exit_code};
use clap::{Parser, ValueEnum};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Instant;

/// Times one network's gradient, forward and backward together, by the op (hand-written adjoint), by the same adjoint in tensor
/// operations, and by Burn's automatic differentiation of the same system. Each runs in a process of its own, which also gives
/// its peak memory.
#[derive(Parser, Debug, Clone)]
#[command(version)]
struct Args {
    /// Trials in a batch
    #[arg(long, default_value_t = 50, value_parser = at_least_one)]
    batch: usize,
    /// Time steps of 1 ms
    #[arg(long, default_value_t = 1000, value_parser = at_least_one)]
    steps: usize,
    /// Number of neurons, which fire at about 20 Hz
    #[arg(long, default_value_t = 80, value_parser = at_least_one)]
    neurons: usize,
    /// The neuron model
    #[arg(long, value_enum, default_value_t = NeuronName::Qif)]
    neuron: NeuronName,
    /// Number of recurrent synapse types; the first has tau 20 ms and is read, each further one half the last one's tau
    #[arg(long, default_value_t = 1, value_parser = at_least_one)]
    synapses: usize,
    /// Width of the gate, in (0, 1]
    #[arg(long, default_value_t = 0.2)]
    width: f64,
    /// Precision of what is timed
    #[arg(long, value_enum, default_value_t = Precision::F32)]
    dtype: Precision,
    /// Runs of the op; the slower ways get a quarter of them
    #[arg(long, default_value_t = 20, value_parser = at_least_one)]
    repeat: usize,
    /// Where to compute
    #[arg(long, value_enum, default_value_t = DeviceName::Flex)]
    device: DeviceName,
    /// Folder for the report
    #[arg(long, default_value = "runs/compare")]
    out: PathBuf,
    /// Measure one way in this process and print it as JSON
    #[arg(long, hide = true)]
    measure: Option<Way>,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("must be at least 1".into()),
        Ok(value) => Ok(value),
        Err(error) => Err(format!("{error}")),
    }
}

/// A neuron model with its constants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum NeuronName {
    /// Non-leaky, in units of 25 ms.
    Nif,
    /// Quadratic, tau_v 25 ms.
    Qif,
}

/// A floating-point type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Precision {
    /// Single precision.
    F32,
    /// Double precision.
    F64,
}

impl Precision {
    fn dtype(self) -> DType {
        match self {
            Precision::F32 => DType::F32,
            Precision::F64 => DType::F64,
        }
    }
}

/// What the command line calls a value.
fn name(value: &impl ValueEnum) -> String {
    value.to_possible_value().expect("no value is hidden").get_name().to_string()
}

/// A way to the gradient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Way {
    Op,
    TensorOps,
    BurnBptt,
}

impl Way {
    fn title(self) -> &'static str {
        match self {
            Way::Op => "op",
            Way::TensorOps => "same adjoint in tensor ops",
            Way::BurnBptt => "Burn's automatic BPTT",
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Measured {
    /// Median time of forward and backward together.
    ms: f64,
    ms_min: f64,
    ms_max: f64,
    runs: usize,
    /// Largest resident memory above what the process had before its first run.
    peak_mb: f64,
}

#[derive(Serialize)]
struct Report {
    batch: usize,
    steps: usize,
    neurons: usize,
    neuron: String,
    synapses: usize,
    dtype: String,
    width: f64,
    rate_hz: f64,
    /// Share of (neuron, step) pairs that send charge.
    active_share: f64,
    op: Measured,
    tensor_ops: Measured,
    burn_bptt: Measured,
    /// Largest relative difference of a parameter's gradient between op and automatic BPTT, in f64, at a length where
    /// rounding does not grow.
    gradient_difference: f64,
    gradient_steps: usize,
}

/// Steps after which chaos has not yet magnified rounding.
const SAFE_STEPS: usize = 30;
const CHANNELS: usize = 3;

/// One network with its input and its cost C = Σ c ŝ, c fixed numbers.
struct Problem {
    layer: SpikingRnn,
    start: SpikingState,
    input: Tensor<3>,
    coefficients: Tensor<3>,
}

impl Problem {
    fn new(args: &Args, steps: usize, device: &Device, dtype: DType) -> Result<Self, String> {
        device.seed(0);
        let (neuron, tau_m) = match args.neuron {
            NeuronName::Nif => (Neuron::Nif, Some(25.0)),
            NeuronName::Qif => (Neuron::Qif { tau_v: 25.0 }, None),
        };
        let faster = (1..args.synapses).map(|k| Synapse::recurrent_only(20.0 * 0.5_f64.powi(k as i32)));
        let layer = SpikingRnnConfig::new(CHANNELS, args.neurons)
            .with_neuron(neuron)
            .with_tau_m(tau_m)
            .with_gate(Gate::Quintic { width: args.width })
            .with_synapses(std::iter::once(Synapse::new(20.0)).chain(faster).collect())
            .init((&device.clone().autodiff(), dtype))
            .map_err(|error| error.to_string())?;
        let wave = |count: usize, pitch: f64| -> Vec<f64> {
            (0..count).map(|at| (pitch * at as f64 + (at as f64 * 0.0137).cos()).sin()).collect()
        };
        let tensor = |width: usize, pitch: f64| {
            let shape = [args.batch, steps, width];
            let data = TensorData::new(wave(shape.iter().product(), pitch), shape);
            Tensor::<3>::from_data(data, (&device.clone().autodiff(), dtype))
        };
        // From potentials anywhere, so that gates are open from the first step on.
        let start = layer.random_state(args.batch, 0.0, 1.0, 0);
        Ok(Self { start, input: tensor(CHANNELS, 0.711), coefficients: tensor(args.neurons, 1.37), layer })
    }

    fn run(&self, way: Way) -> Trajectory {
        let (input, start) = (self.input.clone(), Some(self.start.clone()));
        match way {
            Way::Op => self.layer.forward(input, start).0,
            Way::TensorOps => self.layer.clone().with_body(Body::TensorOps).forward(input, start).0,
            Way::BurnBptt => self.layer.forward_reference(input, start).0,
        }
    }

    /// The gradients of U, I_o and W.
    fn gradients(&self, way: Way) -> Vec<TensorData> {
        let cost = (self.run(way).trace() * self.coefficients.clone()).sum();
        let gradients = cost.backward();
        let of =
            |parameter: &Param<Tensor<2>>| parameter.grad(&gradients).expect("a parameter has a gradient").into_data();
        let tonic = self.layer.tonic.as_ref().and_then(|tonic| tonic.grad(&gradients));
        let mut found = vec![of(&self.layer.input), tonic.expect("the layer has a tonic current").into_data()];
        found.extend(self.layer.recurrent.iter().map(of));
        found
    }
}

/// A line of /proc/self/status in MB; 0 where there is none.
fn memory(line: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let value = status.lines().find_map(|text| text.strip_prefix(line)?.split_whitespace().next()?.parse::<f64>().ok());
    value.unwrap_or(0.0) / 1024.0
}

fn measure(args: &Args, way: Way) -> Result<Measured, String> {
    let problem = Problem::new(args, args.steps, &args.device.device()?, args.dtype.dtype())?;
    let base = memory("VmRSS:");
    let runs = if way == Way::Op { args.repeat } else { args.repeat.div_ceil(4) };
    problem.gradients(way);
    let mut times: Vec<f64> = (0..runs)
        .map(|_| {
            let started = Instant::now();
            problem.gradients(way);
            started.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    Ok(Measured {
        ms: times[runs / 2],
        ms_min: times[0],
        ms_max: times[runs - 1],
        runs,
        peak_mb: memory("VmHWM:") - base,
    })
}

/// Measures one way in a process of its own.
fn measured(args: &Args, way: Way) -> Result<Measured, String> {
    eprintln!("measuring {} ...", way.title());
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new(program)
        .args(["--batch", &args.batch.to_string(), "--steps", &args.steps.to_string()])
        .args(["--neurons", &args.neurons.to_string(), "--width", &args.width.to_string()])
        .args(["--neuron", &name(&args.neuron), "--synapses", &args.synapses.to_string()])
        .args(["--repeat", &args.repeat.to_string(), "--dtype", &name(&args.dtype)])
        .args(["--device", &name(&args.device), "--measure", &name(&way)])
        .output()
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("measuring {} failed: {}", way.title(), String::from_utf8_lossy(&output.stderr)));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
}

fn gradient_difference(args: &Args, steps: usize) -> Result<f64, String> {
    let problem = Problem::new(args, steps, &args.device.device()?, DType::F64)?;
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
    let pairs = problem.gradients(Way::Op).into_iter().zip(problem.gradients(Way::BurnBptt));
    let differences = pairs.map(|(op, bptt)| {
        let (op, bptt): (Vec<f64>, Vec<f64>) = (op.iter::<f64>().collect(), bptt.iter::<f64>().collect());
        norm(&mut op.iter().zip(&bptt).map(|(a, b)| a - b)) / norm(&mut bptt.iter().copied())
    });
    // A gradient of nothing compares as NaN, which must not pass for agreement.
    Ok(differences.fold(0.0, |worst: f64, next| if worst.is_nan() || next <= worst { worst } else { next }))
}

fn activity(args: &Args) -> Result<(f64, f64), String> {
    let problem = Problem::new(args, args.steps, &args.device.device()?, args.dtype.dtype())?;
    let (trajectory, _) = problem.layer.forward_recording(problem.input.clone(), Some(problem.start.clone()));
    let firing = Firing::of(trajectory.charge.expect("a recording has the charge"), problem.layer.config().dt);
    Ok((firing.rate_hz(), firing.active_share()))
}

fn run(args: &Args) -> Result<(), Stop> {
    if let Some(way) = args.measure {
        let measured = measure(args, way)?;
        println!("{}", serde_json::to_string(&measured).map_err(|error| error.to_string())?);
        return Ok(());
    }
    // What cannot be measured is told before a folder is made.
    Problem::new(args, 1, &args.device.device()?, DType::F32)?;
    let folder = Folder::make(&args.out)?;
    let (rate_hz, active_share) = activity(args)?;
    let gradient_steps = args.steps.min(SAFE_STEPS);
    let report = Report {
        batch: args.batch,
        steps: args.steps,
        neurons: args.neurons,
        neuron: name(&args.neuron),
        synapses: args.synapses,
        dtype: name(&args.dtype),
        width: args.width,
        rate_hz,
        active_share,
        op: measured(args, Way::Op)?,
        tensor_ops: measured(args, Way::TensorOps)?,
        burn_bptt: measured(args, Way::BurnBptt)?,
        gradient_difference: gradient_difference(args, gradient_steps)?,
        gradient_steps,
    };
    folder.write_json("report.json", &report)?;

    println!(
        "B = {}, T = {}, N = {}, {}, {} synapse type(s), quintic gate of width {}: {rate_hz:.1} Hz, {:.1} % of neurons active \
         in a step",
        args.batch,
        args.steps,
        args.neurons,
        name(&args.neuron).to_uppercase(),
        args.synapses,
        args.width,
        100.0 * active_share
    );
    let what = format!("forward + backward, {}", name(&args.dtype));
    println!("{what:<28} {:>10} {:>17} {:>10} {:>8}", "median ms", "min .. max", "peak MB", "ratio");
    let ways = [(Way::Op, &report.op), (Way::TensorOps, &report.tensor_ops), (Way::BurnBptt, &report.burn_bptt)];
    for (way, measured) in ways {
        let range = format!("{:.1} .. {:.1}", measured.ms_min, measured.ms_max);
        println!(
            "{:<28} {:>10.1} {:>17} {:>10.0} {:>8.1}",
            way.title(),
            measured.ms,
            range,
            measured.peak_mb,
            measured.ms / report.op.ms
        );
    }
    println!(
        "gradients of op and automatic BPTT differ by {:.1e} (f64, {gradient_steps} steps)",
        report.gradient_difference
    );
    println!("report {}", folder.file("report.json").display());
    Ok(())
}

fn main() -> ExitCode {
    exit_code(run(&Args::parse()))
}
