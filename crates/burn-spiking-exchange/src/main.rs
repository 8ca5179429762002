//! Shows and converts networks in files.

use burn::tensor::Device;
use burn_spiking::{Gate, SpikingNetworkConfig, SpikingRnnConfig};
use burn_spiking_exchange::nir::{Graph, ImportOptions, Node, Spikes, export, export_layer};
use clap::{Parser, Subcommand};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Shows and converts spiking networks in files: NIR graphs (.nir) and records of burn-spiking
/// (.bpk, with the configuration in .bpk.json beside it).
#[derive(Parser, Debug)]
#[command(version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Show the nodes of a graph, or the constants of a record
    Inspect {
        /// The file
        file: PathBuf,
    },
    /// Convert a graph to a record, or a record of a network or layer to a graph
    Convert {
        /// The file to read
        from: PathBuf,
        /// The file to write
        to: PathBuf,
        /// What a spike is in the graph: "impulse", or the length of a pulse in ms, which is the
        /// time step of the other tool (snnTorch: 0.1). Needed to read graphs of other tools
        #[arg(long, value_name = "impulse|MS", value_parser = spikes)]
        spikes: Option<Spikes>,
        /// The time step of the layer, ms [default: that of the network, or of the other tool]
        #[arg(long, value_name = "MS")]
        dt: Option<f64>,
        /// The width of the layer's quintic gate, in (0, 1] [default: that of the network, or a
        /// threshold]
        #[arg(long)]
        width: Option<f64>,
        /// Replace the file to write
        #[arg(long)]
        overwrite: bool,
    },
}

fn spikes(text: &str) -> Result<Spikes, String> {
    match text.parse() {
        _ if text == "impulse" => Ok(Spikes::Impulse),
        Ok(dt) if f64::is_finite(dt) && dt > 0.0 => Ok(Spikes::Pulse { dt }),
        _ => Err("give \"impulse\", or a number of ms above 0".into()),
    }
}

/// The kinds of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Graph,
    Record,
}

fn kind(path: &Path) -> Result<Kind, String> {
    match path.extension().and_then(|end| end.to_str()) {
        Some("nir" | "h5" | "hdf5") => Ok(Kind::Graph),
        Some("bpk") => Ok(Kind::Record),
        _ => Err(format!("{}: the name must end in .nir or .h5 (a graph) or .bpk (a record)", path.display())),
    }
}

fn told(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn show(graph: &Graph, indent: &str) {
    for (name, node) in &graph.nodes {
        match node {
            Node::Graph(inner) => {
                println!("{indent}{name}  NIRGraph");
                show(inner, &format!("{indent}    "));
            }
            Node::Unit { kind, fields, .. } => {
                let fields: Vec<_> = fields.iter().map(|(name, field)| format!("{name} {:?}", field.shape())).collect();
                println!("{indent}{name}  {kind}  {}", fields.join(", "));
            }
        }
    }
    for (from, to) in &graph.edges {
        println!("{indent}{from} -> {to}");
    }
}

fn inspect(file: &Path) -> Result<(), String> {
    match kind(file)? {
        Kind::Graph => show(&Graph::read(file).map_err(told)?, ""),
        Kind::Record => match SpikingNetworkConfig::load_for_record(file) {
            Ok(config) => println!("network: {config}"),
            Err(_) => println!("layer: {}", SpikingRnnConfig::load_for_record(file).map_err(told)?),
        },
    }
    Ok(())
}

/// Makes a graph of a record.
fn graph_of(record: &Path, spikes: Option<Spikes>) -> Result<Graph, String> {
    let device = Device::flex();
    let spikes_of = |dt: f64| spikes.unwrap_or(Spikes::Pulse { dt });
    match SpikingNetworkConfig::load_for_record(record) {
        Ok(config) => {
            let spikes = spikes_of(config.layer.dt);
            let network = config.init(&device).map_err(told)?.load(record).map_err(told)?;
            export(&network, spikes).map_err(told)
        }
        Err(_) => {
            let config = SpikingRnnConfig::load_for_record(record).map_err(told)?;
            let spikes = spikes_of(config.dt);
            let layer = config.init(&device).map_err(told)?.load(record).map_err(told)?;
            export_layer(&layer, spikes).map_err(told)
        }
    }
}

fn run(command: Command) -> Result<(), String> {
    let (from, to, spikes, dt, width, overwrite) = match command {
        Command::Inspect { file } => return inspect(&file),
        Command::Convert { from, to, spikes, dt, width, overwrite } => (from, to, spikes, dt, width, overwrite),
    };
    let kinds = (kind(&from)?, kind(&to)?);
    if to.exists() && !overwrite {
        return Err(format!("{} exists; give another name, or --overwrite", to.display()));
    }
    match kinds {
        (Kind::Graph, Kind::Record) => {
            let mut options = ImportOptions::default();
            if let Some(spikes) = spikes {
                options = options.with_spikes(spikes);
            }
            if let Some(dt) = dt {
                options = options.with_dt(dt);
            }
            if let Some(width) = width {
                options = options.with_gate(Gate::Quintic { width });
            }
            let imported = Graph::read(&from).map_err(told)?.import(&options, &Device::flex()).map_err(told)?;
            imported.notes.iter().for_each(|note| eprintln!("note: {note}"));
            match imported.readout.is_some() {
                true => imported.into_network().map_err(told)?.save(&to).map_err(told)?,
                false => imported.layer.save(&to).map_err(told)?,
            }
        }
        (Kind::Record, Kind::Graph) => {
            if dt.is_some() || width.is_some() {
                return Err("--dt and --width are for reading a graph; a record has its own".into());
            }
            graph_of(&from, spikes)?.write(&to).map_err(told)?;
        }
        _ => return Err("one of the files must be a graph (.nir) and the other a record (.bpk)".into()),
    }
    println!("{}", to.display());
    Ok(())
}

fn main() -> ExitCode {
    match run(Args::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}
