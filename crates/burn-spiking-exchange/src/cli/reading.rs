//! How a file becomes a network: what graphs and state dicts do not say.

use super::files::{Kind, kind_to_read, saved, told};
use burn::tensor::Device;
use burn_spiking::Gate;
use burn_spiking_exchange::nir::{Graph, ImportOptions, Spikes};
use burn_spiking_exchange::state_dict::{self, Modules, NorseConstants, SpikingJellyConstants};
use burn_spiking_exchange::weights::Saved;
use clap::ValueEnum;
use std::path::Path;

/// What a graph or a state dict does not say.
#[derive(clap::Args, Debug, Clone)]
pub struct Reading {
    /// What a spike is in the graph: "impulse", or the length of a pulse in ms, which is the time
    /// step of the other tool (snnTorch: 0.1). Needed to read graphs of other tools
    #[arg(long, value_name = "impulse|MS", value_parser = spikes)]
    pub spikes: Option<Spikes>,
    /// The time step of the layer, ms [default: that of the network, or of the other tool]
    #[arg(long, value_name = "MS")]
    pub dt: Option<f64>,
    /// The width of the layer's quintic gate, in (0, 1] [default: that of the network, or a
    /// threshold]
    #[arg(long)]
    pub width: Option<f64>,
    #[command(flatten)]
    library: LibraryOptions,
}

impl Reading {
    /// Reads the graph of a NIR file or a state dict.
    ///
    /// # Errors
    /// If the file is damaged, or an option is missing.
    pub fn graph(&self, file: &Path, kind: Kind) -> Result<Graph, String> {
        match kind {
            Kind::StateDict if self.spikes.is_some() => {
                Err("--spikes is for graphs; a spike of a state dict is a pulse of --dt".into())
            }
            Kind::StateDict => self.library.graph(file, self.dt),
            _ => {
                self.library.check_none()?;
                Graph::read(file).map_err(told)
            }
        }
    }

    /// Reads a network or a layer from any file. Prints what an import changed.
    ///
    /// # Errors
    /// If the file is damaged, or an option is missing or does not fit.
    pub fn network(&self, file: &Path) -> Result<Saved, String> {
        let kind = kind_to_read(file)?;
        if let Kind::Record | Kind::Weights = kind {
            if self.dt.is_some() || self.spikes.is_some() || self.width.is_some() {
                return Err("--dt, --spikes and --width are for graphs and state dicts; a network has its own".into());
            }
            self.library.check_none()?;
            return saved(file, kind);
        }
        let graph = self.graph(file, kind)?;
        let spikes = if kind == Kind::StateDict { self.dt.map(|dt| Spikes::Pulse { dt }) } else { self.spikes };
        let mut options = ImportOptions::default();
        if let Some(spikes) = spikes {
            options = options.with_spikes(spikes);
        }
        if let Some(dt) = self.dt {
            options = options.with_dt(dt);
        }
        if let Some(width) = self.width {
            options = options.with_gate(Gate::Quintic { width });
        }
        let imported = graph.import(&options, &Device::flex()).map_err(told)?;
        imported.notes.iter().for_each(|note| eprintln!("note: {note}"));
        match imported.readout.is_some() {
            true => Ok(Saved::Network(Box::new(imported.into_network().map_err(told)?))),
            false => Ok(Saved::Layer(Box::new(imported.layer))),
        }
    }
}

/// What a state dict does not say.
#[derive(clap::Args, Debug, Clone)]
struct LibraryOptions {
    /// The library of a state dict; it also needs --neurons and --dt
    #[arg(long, value_enum, requires_all = ["neurons", "dt"])]
    library: Option<Library>,
    /// The linear module before the neurons of a state dict, such as fc1
    #[arg(long, value_name = "MODULE", requires = "library")]
    input: Option<String>,
    /// The module of the neurons of a state dict, such as lif1
    #[arg(long, value_name = "MODULE", requires = "library")]
    neurons: Option<String>,
    /// The linear module after the neurons of a state dict, such as fc2
    #[arg(long, value_name = "MODULE", requires = "library")]
    readout: Option<String>,
    /// tau_mem of Norse's neurons, ms [default: 10]
    #[arg(long, value_name = "MS", requires = "library")]
    tau_mem: Option<f64>,
    /// tau_syn of Norse's neurons, ms [default: 5]
    #[arg(long, value_name = "MS", requires = "library")]
    tau_syn: Option<f64>,
    /// v_leak of Norse's neurons [default: 0]
    #[arg(long, requires = "library", allow_negative_numbers = true)]
    leak: Option<f64>,
    /// tau of SpikingJelly's LIFNode, in steps [default: 2]
    #[arg(long, requires = "library")]
    tau: Option<f64>,
    /// SpikingJelly's neurons have decay_input=False
    #[arg(long, requires = "library")]
    no_decay_input: bool,
    /// v_th of Norse's neurons, or v_threshold of SpikingJelly's [default: 1]
    #[arg(long, requires = "library")]
    threshold: Option<f64>,
    /// v_reset of Norse's or SpikingJelly's neurons [default: 0]
    #[arg(long, requires = "library", allow_negative_numbers = true)]
    reset: Option<f64>,
}

/// A library of PyTorch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Library {
    /// Leaky, Synaptic, RLeaky, RSynaptic.
    #[value(name = "snntorch")]
    SnnTorch,
    /// LIFCell, LIFRecurrentCell.
    Norse,
    /// LIFNode, ParametricLIFNode, LinearRecurrentContainer.
    #[value(name = "spikingjelly")]
    SpikingJelly,
}

impl LibraryOptions {
    /// Refuses a library for a file that is no state dict; all other options need a library.
    fn check_none(&self) -> Result<(), String> {
        match self.library {
            Some(_) => Err("--library and its options are for state dicts; leave them out for this file".into()),
            None => Ok(()),
        }
    }

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
        let Self { tau_mem, tau_syn, leak, tau, threshold, reset, no_decay_input, .. } = *self;
        let of_norse = [("--tau-mem", tau_mem), ("--tau-syn", tau_syn), ("--leak", leak)];
        let of_jelly = [("--tau", tau), ("--no-decay-input", no_decay_input.then_some(1.0))];
        let of_both = [("--threshold", threshold), ("--reset", reset)];
        let foreign: &[&[_]] = match library {
            Library::SnnTorch => &[&of_norse, &of_jelly, &of_both],
            Library::Norse => &[&of_jelly],
            Library::SpikingJelly => &[&of_norse],
        };
        if let Some((option, _)) = foreign.iter().copied().flatten().find(|(_, given)| given.is_some()) {
            return Err(format!("{option} is for another library; leave it out"));
        }
        let assumed = |name: &str, given: Option<f64>, usual: f64| {
            given.unwrap_or_else(|| {
                eprintln!("note: {name} is not in a state dict; {usual} is assumed");
                usual
            })
        };
        match library {
            Library::SnnTorch => state_dict::snntorch(file, &modules, dt),
            Library::Norse => {
                let usual = NorseConstants::default();
                let constants = NorseConstants {
                    tau_mem: assumed("--tau-mem", tau_mem, usual.tau_mem),
                    tau_syn: assumed("--tau-syn", tau_syn, usual.tau_syn),
                    leak: assumed("--leak", leak, usual.leak),
                    threshold: assumed("--threshold", threshold, usual.threshold),
                    reset: assumed("--reset", reset, usual.reset),
                };
                state_dict::norse(file, &modules, constants, dt)
            }
            Library::SpikingJelly => {
                let usual = SpikingJellyConstants::default();
                let constants = SpikingJellyConstants {
                    tau: assumed("--tau (of LIFNode)", tau, usual.tau),
                    decay_input: !no_decay_input,
                    threshold: assumed("--threshold", threshold, usual.threshold),
                    reset: assumed("--reset", reset, usual.reset),
                };
                state_dict::spikingjelly(file, &modules, constants, dt)
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
