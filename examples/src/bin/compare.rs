//! Compares the times of the op and of the network with a fused readout with those of four others:
//! the same computation in tensor operations, backpropagation through time by Burn's automatic
//! differentiation, and the same system in JAX and in PyTorch.

use burn::tensor::DType;
use burn_spiking_examples::benchmark::{DT, Found, NeuronName, Problem, System, TAU_V, Way, at_least_one, name};
use burn_spiking_examples::device::DeviceName;
use burn_spiking_examples::measured::Measured;
use burn_spiking_examples::output::{Folder, Stop, exit_code};
use burn_spiking_examples::peers::{Constants, Description, Peer, Peers};
use clap::{Parser, ValueEnum};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// Times the gradient of one network, forward and backward pass together: a spiking layer, a linear
/// readout of 2 outputs, and the mean squared distance from a target. Compares the op (hand-written
/// adjoint), the layer with a readout by Burn, the network with its readout fused, the same with
/// the mean-field adjoint, the same adjoint in tensor operations, Burn's automatic differentiation
/// of the same system, and with --peers JAX and PyTorch. Each runs in its own process, which also
/// gives its peak memory.
#[derive(Parser, Debug, Clone)]
#[command(version)]
struct Args {
    #[command(flatten)]
    system: System,
    /// Precision of the timed runs
    #[arg(long, value_enum, default_value_t = Precision::F32)]
    dtype: Precision,
    /// Number of timed runs; the slow ways (tensor operations, automatic differentiation, peers)
    /// get a quarter of them
    #[arg(long, default_value_t = 20, value_parser = at_least_one)]
    repeat: usize,
    /// Device to compute on
    #[arg(long, value_enum, default_value_t = DeviceName::Flex)]
    device: DeviceName,
    /// Leave out tensor operations and Burn's automatic differentiation
    #[arg(long)]
    fast_only: bool,
    /// Also measure JAX and PyTorch, with this Python interpreter (`just peers` makes its
    /// environment); they have neither adaptation nor delays
    #[arg(long, value_name = "PYTHON", conflicts_with_all = ["adaptation", "delays"])]
    peers: Option<PathBuf>,
    /// Folder for the report
    #[arg(long, default_value = "runs/compare")]
    out: PathBuf,
    /// Measure one way in this process and print it as JSON
    #[arg(long, hide = true)]
    measure: Option<Way>,
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

#[derive(Serialize)]
struct Report {
    batch: usize,
    steps: usize,
    neurons: usize,
    channels: usize,
    neuron: String,
    synapses: usize,
    feed_forward: bool,
    adaptation: bool,
    /// The longest of the learned delays, if there are any.
    longest_delay_ms: Option<f64>,
    dtype: String,
    width: f64,
    rate_hz: f64,
    /// Share of (neuron, step) pairs that send charge.
    active_share: f64,
    op: Measured,
    layer: Measured,
    network: Measured,
    mean_field: Option<Measured>,
    tensor_ops: Option<Measured>,
    burn_bptt: Option<Measured>,
    jax: Option<Measured>,
    torch: Option<Measured>,
    torch_compiled: Option<Measured>,
    /// Device of the op, its tensor operations and Burn's automatic BPTT.
    device: String,
    /// Largest relative difference between the layer and automatic BPTT, over the cost and the
    /// gradients of all parameters. Taken at a number of steps where rounding does not grow; in
    /// f64, except on wgpu in f32.
    gradient_difference: f64,
    /// The same difference from the layer for each other way.
    gradient_differences: BTreeMap<String, f64>,
    gradient_steps: usize,
}

/// Number of steps within which chaos does not yet magnify rounding.
const SAFE_STEPS: usize = 30;

/// Returns the largest relative difference between two results, |a − b|/|b| in the Euclidean norm,
/// over the cost and all gradients.
///
/// # Errors
/// If `b` lacks a gradient that `a` has.
fn difference(a: &Found, b: &Found) -> Result<f64, String> {
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
    let mut worst = 0.0;
    for (name, a) in a {
        let b = b.get(name).ok_or_else(|| format!("the gradient of {name} is missing"))?;
        let (a, b): (Vec<f64>, Vec<f64>) = (a.iter::<f64>().collect(), b.iter::<f64>().collect());
        let next = norm(&mut a.iter().zip(&b).map(|(a, b)| a - b)) / norm(&mut b.iter().copied());
        // If all numbers of a gradient are 0, the difference is NaN. Keep it: it must not count as
        // agreement.
        worst = if f64::is_nan(worst) || next <= worst { worst } else { next };
    }
    Ok(worst)
}

fn problem(args: &Args, steps: usize, dtype: DType) -> Result<Problem, String> {
    Problem::new(&args.system, steps, &args.device.device()?, dtype).map_err(|error| error.to_string())
}

/// Measures one way in its own process.
fn measured(args: &Args, way: Way) -> Result<Measured, String> {
    eprintln!("measuring {} ...", way.title());
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command
        .args(["--batch", &args.system.batch.to_string(), "--steps", &args.system.steps.to_string()])
        .args(["--neurons", &args.system.neurons.to_string(), "--channels", &args.system.channels.to_string()])
        .args(["--neuron", &name(&args.system.neuron)])
        .args(["--width", &args.system.width.to_string(), "--rate", &args.system.rate.to_string()])
        .args(["--repeat", &args.repeat.to_string(), "--dtype", &name(&args.dtype)])
        .args(["--device", &name(&args.device), "--measure", &name(&way)]);
    match args.system.feed_forward {
        true => command.arg("--feed-forward"),
        false => command.args(["--synapses", &args.system.synapses.to_string()]),
    };
    if args.system.adaptation {
        command.arg("--adaptation");
    }
    if let Some(longest) = args.system.delays {
        command.args(["--delays", &longest.to_string()]);
    }
    let output = command.output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("measuring {} failed: {}", way.title(), String::from_utf8_lossy(&output.stderr)));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
}

/// Describes a problem for the Python peers.
fn described(args: &Args, problem: &Problem, dtype: DType) -> Description {
    let layer = &problem.network.layer;
    let config = layer.config();
    let mut tensors = problem.parameters();
    tensors.insert("input".into(), problem.input.clone().into_data());
    tensors.insert("target".into(), problem.target.clone().into_data());
    tensors.insert("v0".into(), problem.start.v.clone().into_data());
    Description {
        tensors,
        constants: Constants {
            neuron: name(&args.system.neuron),
            tau_mem: TAU_V,
            time_unit: config.time_unit_ms(),
            width: args.system.width,
            dt: DT,
            decays: config.synapses.iter().map(|synapse| (-DT / synapse.tau).exp()).collect(),
            recurrent: !args.system.feed_forward,
            double: dtype == DType::F64,
            cuda: args.device == DeviceName::Cuda,
        },
    }
}

fn run(args: &Args) -> Result<(), Stop> {
    if let Some(way) = args.measure {
        let measured = problem(args, args.system.steps, args.dtype.dtype())?.measure(way, args.repeat);
        println!("{}", serde_json::to_string(&measured).map_err(|error| error.to_string())?);
        return Ok(());
    }
    if args.peers.is_some() && !matches!(args.system.neuron, NeuronName::Nif | NeuronName::Lif | NeuronName::Qif) {
        return Err(Stop::Failed(format!(
            "--peers knows nif, lif and qif, but --neuron is {}; leave out --peers, or choose one of these",
            name(&args.system.neuron)
        )));
    }
    // Invalid options give their error before a folder is made.
    problem(args, 1, DType::F32)?;
    let folder = Folder::make(&args.out)?;
    let firing = problem(args, args.system.steps, args.dtype.dtype())?.firing();
    let (rate_hz, active_share) = (firing.rate_hz(), firing.active_share());

    let gradient_steps = args.system.steps.min(SAFE_STEPS);
    let short = problem(args, gradient_steps, args.device.exact())?;
    let of_op = short.gradients(Way::Layer);
    let gradient_difference = difference(&of_op, &short.gradients(Way::BurnBptt))?;
    let mut gradient_differences =
        BTreeMap::from([("network".to_string(), difference(&short.gradients(Way::Network), &of_op)?)]);

    // Each fast way gets three processes, spread over time: an unlucky placement of two threads by
    // the operating system can slow down a whole process.
    let mut fast = [Way::Op, Way::Layer, Way::Network, Way::MeanField].map(|way| (way, Vec::new()));
    let has_rates = short.has_rates();
    let mut slow = [Way::TensorOps, Way::BurnBptt].map(|way| (way, None));
    for round in 0..3 {
        for (way, found) in fast.iter_mut().filter(|(way, _)| has_rates || *way != Way::MeanField) {
            found.push(measured(args, *way)?);
        }
        if let (Some((way, found)), false) = (slow.get_mut(round), args.fast_only) {
            *found = Some(measured(args, *way)?);
        }
    }
    let [op, layer, network, mean_field] = fast.map(|(_, found)| found);
    let [op, layer, network] = [op, layer, network].map(Measured::middle);
    let mean_field = has_rates.then(|| Measured::middle(mean_field));
    let [tensor_ops, burn_bptt] = slow.map(|(_, found)| found);
    let mut of_peers: BTreeMap<Peer, Measured> = BTreeMap::new();
    if let Some(python) = &args.peers {
        let peers = Peers::new(python, &folder)?;
        let timed = problem(args, args.system.steps, args.dtype.dtype())?;
        let timed = described(args, &timed, args.dtype.dtype());
        let short = described(args, &short, args.device.exact());
        for peer in Peer::ALL {
            eprintln!("measuring {} ...", peer.title());
            let found = peers.gradients(peer, &short)?;
            gradient_differences.insert(peer.title().into(), difference(&of_op, &found)?);
            of_peers.insert(peer, peers.measure(peer, &timed, args.repeat.div_ceil(4))?);
        }
    }
    let report = Report {
        batch: args.system.batch,
        steps: args.system.steps,
        neurons: args.system.neurons,
        channels: args.system.channels,
        neuron: name(&args.system.neuron),
        synapses: args.system.synapses,
        feed_forward: args.system.feed_forward,
        adaptation: args.system.adaptation,
        longest_delay_ms: args.system.delays,
        dtype: name(&args.dtype),
        width: args.system.width,
        rate_hz,
        active_share,
        op,
        layer,
        network,
        mean_field,
        tensor_ops,
        burn_bptt,
        jax: of_peers.get(&Peer::Jax).cloned(),
        torch: of_peers.get(&Peer::Torch).cloned(),
        torch_compiled: of_peers.get(&Peer::TorchCompiled).cloned(),
        device: name(&args.device),
        gradient_difference,
        gradient_differences,
        gradient_steps,
    };
    folder.write_json("report.json", &report)?;
    print(args, &report);
    println!("report {}", folder.file("report.json").display());
    Ok(())
}

/// Returns the parts of a network that it has only if they are asked for, for a line of text.
fn extras(system: &System) -> String {
    let adaptation = system.adaptation.then(|| ", adaptation".to_string());
    let delays = system.delays.map(|longest| format!(", learned delays up to {longest} ms"));
    adaptation.into_iter().chain(delays).collect()
}

fn print(args: &Args, report: &Report) {
    println!(
        "B = {}, T = {}, N = {}, {} channels, {}, {} {} synapse type(s){}, quintic gate of width {}: {:.1} Hz, {:.1} % of neurons \
         active in a step",
        args.system.batch,
        args.system.steps,
        args.system.neurons,
        args.system.channels,
        name(&args.system.neuron).to_uppercase(),
        args.system.synapses,
        if args.system.feed_forward { "feed-forward" } else { "recurrent" },
        extras(&args.system),
        args.system.width,
        report.rate_hz,
        100.0 * report.active_share
    );
    let what = format!("forward + backward, {}", name(&args.dtype));
    println!("{what:<28} {:>10} {:>19} {:>10} {:>8}", "median ms", "min .. max", "peak MB", "/ op");
    let ways = [
        (Way::Op.title(), Some(&report.op)),
        (Way::Layer.title(), Some(&report.layer)),
        (Way::Network.title(), Some(&report.network)),
        (Way::MeanField.title(), report.mean_field.as_ref()),
        (Way::TensorOps.title(), report.tensor_ops.as_ref()),
        (Way::BurnBptt.title(), report.burn_bptt.as_ref()),
        (Peer::Jax.title(), report.jax.as_ref()),
        (Peer::Torch.title(), report.torch.as_ref()),
        (Peer::TorchCompiled.title(), report.torch_compiled.as_ref()),
    ];
    for (title, measured) in ways {
        let Some(measured) = measured else { continue };
        let range = format!("{:.1} .. {:.1}", measured.ms_min, measured.ms_max);
        println!(
            "{title:<28} {:>10.1} {range:>19} {:>10.0} {:>8.1}",
            measured.ms,
            measured.peak_mb,
            measured.ms / report.op.ms
        );
    }
    if args.device.is_gpu() {
        println!("on {}; peak MB is the program's own memory, not the GPU's", report.device);
    }
    let exact = if args.device.exact() == DType::F64 { "f64" } else { "f32" };
    print!("largest relative difference to the op's gradients ({exact}, {} steps):", report.gradient_steps);
    print!(" Burn's BPTT {:.1e}", report.gradient_difference);
    report.gradient_differences.iter().for_each(|(name, difference)| print!(", {name} {difference:.1e}"));
    println!();
}

fn main() -> ExitCode {
    exit_code(run(&Args::parse()))
}
