//! Shows and converts networks in files.

use burn::tensor::Device;
use burn_spiking::{Gate, RecordError, SpikingNetworkConfig, SpikingRnnConfig};
use burn_spiking_exchange::nir::{Graph, ImportOptions, Node, Spikes, export, export_layer};
use burn_spiking_exchange::state_dict::{self, Modules, NorseConstants};
use burn_spiking_exchange::weights::{self, Saved};
use clap::{Parser, Subcommand, ValueEnum};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Shows and converts spiking networks in files: NIR graphs (.nir), records of burn-spiking
/// (.bpk, with the configuration in .bpk.json beside it), its SafeTensors, and state dicts of
/// snnTorch and Norse (.safetensors).
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
    /// Convert a graph or a state dict to a record, or a record of a network or layer to a graph or
    /// to SafeTensors
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
        #[command(flatten)]
        library: LibraryOptions,
    },
}

/// What a state dict does not say.
#[derive(clap::Args, Debug, Clone)]
struct LibraryOptions {
    /// The library of a state dict; it also needs --neurons and --dt
    #[arg(long, value_enum, requires_all = ["neurons", "dt"])]
    library: Option<Library>,
    /// The linear module before the neurons of a state dict, such as fc1
    #[arg(long, value_name = "MODULE")]
    input: Option<String>,
    /// The module of the neurons of a state dict, such as lif1
    #[arg(long, value_name = "MODULE", requires = "library")]
    neurons: Option<String>,
    /// The linear module after the neurons of a state dict, such as fc2
    #[arg(long, value_name = "MODULE", requires = "library")]
    readout: Option<String>,
    /// tau_mem of Norse's neurons, ms
    #[arg(long, default_value_t = NorseConstants::default().tau_mem)]
    tau_mem: f64,
    /// tau_syn of Norse's neurons, ms
    #[arg(long, default_value_t = NorseConstants::default().tau_syn)]
    tau_syn: f64,
    /// v_th of Norse's neurons
    #[arg(long, default_value_t = NorseConstants::default().threshold)]
    threshold: f64,
}

/// A library of PyTorch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Library {
    /// Leaky, Synaptic, RLeaky, RSynaptic.
    #[value(name = "snntorch")]
    SnnTorch,
    /// LIFCell, LIFRecurrentCell.
    Norse,
}

impl LibraryOptions {
    /// The graph of a state dict.
    fn graph(&self, file: &Path, dt: Option<f64>) -> Result<Graph, String> {
        let (Some(library), Some(neurons), Some(dt)) = (self.library, &self.neurons, dt) else {
            return Err(format!(
                "{} is a state dict, which does not say how its modules are joined; give --library, --neurons, --dt, and --input and \
                 --readout if there are such modules",
                file.display()
            ));
        };
        let modules = Modules { input: self.input.clone(), neurons: neurons.clone(), readout: self.readout.clone() };
        let Self { tau_mem, tau_syn, threshold, .. } = *self;
        match library {
            Library::SnnTorch => state_dict::snntorch(file, &modules, dt),
            Library::Norse => {
                let constants = NorseConstants { tau_mem, tau_syn, threshold, ..NorseConstants::default() };
                state_dict::norse(file, &modules, constants, dt)
            }
        }
        .map_err(told)
    }
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
    StateDict,
    /// SafeTensors of this library, with their configuration.
    Weights,
}

/// The kind of a file to read. SafeTensors are this library's own if they have its metadata.
fn kind_to_read(path: &Path) -> Result<Kind, String> {
    let kind = kind(path)?;
    // A file that cannot be read counts as a state dict, whose reader tells why.
    let own = |bytes: Vec<u8>| weights::metadata(&bytes, path).ok().flatten();
    match kind {
        Kind::Weights if std::fs::read(path).ok().and_then(own).is_none() => Ok(Kind::StateDict),
        kind => Ok(kind),
    }
}

fn kind(path: &Path) -> Result<Kind, String> {
    match path.extension().and_then(|end| end.to_str()) {
        Some("nir" | "h5" | "hdf5") => Ok(Kind::Graph),
        Some("bpk") => Ok(Kind::Record),
        Some("safetensors") => Ok(Kind::Weights),
        _ => Err(format!(
            "{}: the name must end in .nir or .h5 (a graph), .bpk (a record) or .safetensors (weights)",
            path.display()
        )),
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
    match kind_to_read(file)? {
        Kind::Weights => {
            match weights::read(file, &Device::flex()).map_err(told)? {
                Saved::Layer(layer) => println!("layer: {}", layer.config()),
                Saved::Network(network) => println!("network: {}", network.config()),
                Saved::Stack(stack) => println!("stack: {}", stack.config()),
            }
            for (name, shape) in state_dict::tensors(file).map_err(told)? {
                println!("{name}  {shape:?}");
            }
        }
        Kind::Graph => show(&Graph::read(file).map_err(told)?, ""),
        Kind::Record => match SpikingNetworkConfig::load_for_record(file) {
            Ok(config) => println!("network: {config}"),
            Err(network) => println!("layer: {}", layer_config(file, network)?),
        },
        Kind::StateDict => {
            for (name, shape) in state_dict::tensors(file).map_err(told)? {
                println!("{name}  {shape:?}");
            }
        }
    }
    Ok(())
}

/// The configuration of a layer's record. `network` says why it is not that of a network.
fn layer_config(record: &Path, network: RecordError) -> Result<SpikingRnnConfig, String> {
    SpikingRnnConfig::load_for_record(record).map_err(|layer| format!("{layer}, as a layer; as a network: {network}"))
}

/// A network or a layer from a record or from SafeTensors.
fn saved(file: &Path, kind: Kind) -> Result<Saved, String> {
    let device = Device::flex();
    if kind == Kind::Weights {
        return weights::read(file, &device).map_err(told);
    }
    Ok(match SpikingNetworkConfig::load_for_record(file) {
        Ok(config) => Saved::Network(Box::new(config.init(&device).map_err(told)?.load(file).map_err(told)?)),
        Err(network) => {
            let config = layer_config(file, network)?;
            Saved::Layer(Box::new(config.init(&device).map_err(told)?.load(file).map_err(told)?))
        }
    })
}

/// Makes a graph of a network or a layer.
fn graph_of(saved: &Saved, spikes: Option<Spikes>) -> Result<Graph, String> {
    let spikes_of = |dt: f64| spikes.unwrap_or(Spikes::Pulse { dt });
    match saved {
        Saved::Network(network) => export(network, spikes_of(network.layer.config().dt)).map_err(told),
        Saved::Layer(layer) => export_layer(layer, spikes_of(layer.config().dt)).map_err(told),
        Saved::Stack(_) => Err("a stack does not become a graph; convert its layers one by one".into()),
    }
}

fn run(command: Command) -> Result<(), String> {
    let (from, to, mut spikes, dt, width, overwrite, library) = match command {
        Command::Inspect { file } => return inspect(&file),
        Command::Convert { from, to, spikes, dt, width, overwrite, library } => {
            (from, to, spikes, dt, width, overwrite, library)
        }
    };
    let kinds = (kind_to_read(&from)?, kind(&to)?);
    if to.exists() && !overwrite {
        return Err(format!("{} exists; give another name, or --overwrite", to.display()));
    }
    if kinds.0 == Kind::StateDict && spikes.is_some() {
        return Err("--spikes is for graphs; a spike of a state dict is a pulse of --dt".into());
    }
    if kinds.1 == Kind::Graph && width.is_some() {
        return Err("--width is for records, because a graph of NIR has no gate".into());
    }
    match kinds {
        (Kind::Graph | Kind::StateDict, Kind::Record) => {
            let graph = match kinds.0 {
                Kind::StateDict => {
                    spikes = dt.map(|dt| Spikes::Pulse { dt });
                    library.graph(&from, dt)?
                }
                _ => Graph::read(&from).map_err(told)?,
            };
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
            let imported = graph.import(&options, &Device::flex()).map_err(told)?;
            imported.notes.iter().for_each(|note| eprintln!("note: {note}"));
            match imported.readout.is_some() {
                true => imported.into_network().map_err(told)?.save(&to).map_err(told)?,
                false => imported.layer.save(&to).map_err(told)?,
            }
        }
        (Kind::Record | Kind::Weights, Kind::Graph) => {
            if dt.is_some() {
                return Err("--dt is for reading a graph; a network has its own".into());
            }
            graph_of(&saved(&from, kinds.0)?, spikes)?.write(&to).map_err(told)?;
        }
        (Kind::Record, Kind::Weights) | (Kind::Weights, Kind::Record) => {
            if dt.is_some() || spikes.is_some() || width.is_some() {
                return Err("--dt, --spikes and --width are for graphs and state dicts; a network has its own".into());
            }
            match (saved(&from, kinds.0)?, kinds.1) {
                (Saved::Layer(layer), Kind::Weights) => weights::write_layer(&layer, &to).map_err(told)?,
                (Saved::Network(network), Kind::Weights) => weights::write_network(&network, &to).map_err(told)?,
                (Saved::Stack(stack), Kind::Weights) => weights::write_stack(&stack, &to).map_err(told)?,
                (Saved::Layer(layer), _) => layer.save(&to).map_err(told)?,
                (Saved::Network(network), _) => network.save(&to).map_err(told)?,
                (Saved::Stack(stack), _) => stack.save(&to).map_err(told)?,
            }
        }
        (Kind::StateDict, Kind::Graph) => library.graph(&from, dt)?.write(&to).map_err(told)?,
        _ => {
            return Err(
                "a graph (.nir) or a state dict (.safetensors) becomes a record (.bpk), and a record becomes a graph or SafeTensors; \
                 choose another file"
                    .into(),
            );
        }
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
