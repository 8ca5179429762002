//! The Python peers of `compare`: the same system in JAX and PyTorch.
//!
//! The program gives a peer the network as a SafeTensors file and the constants as JSON. The peer
//! returns times as JSON or gradients as SafeTensors. The program contains the scripts of the peers
//! (`examples/peers`), and writes them into the folder `peers` next to its report.

use crate::measured::Measured;
use crate::output::Folder;
use burn::tensor::{DType, TensorData};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A Python implementation of the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// JAX: `lax.scan` under `jit` and `value_and_grad`.
    Jax,
    /// PyTorch: a loop over time.
    Torch,
    /// PyTorch: the same loop, with its step compiled by `torch.compile`.
    TorchCompiled,
}

impl Peer {
    /// All peers.
    pub const ALL: [Peer; 3] = [Peer::Jax, Peer::Torch, Peer::TorchCompiled];

    /// Returns the title for tables.
    pub fn title(self) -> &'static str {
        match self {
            Peer::Jax => "JAX, scan under jit",
            Peer::Torch => "PyTorch, loop",
            Peer::TorchCompiled => "PyTorch, compiled step",
        }
    }

    fn script(self) -> &'static str {
        match self {
            Peer::Jax => "jax_scan.py",
            Peer::Torch | Peer::TorchCompiled => "torch_loop.py",
        }
    }
}

/// The constants of the system in the form that `system.py` reads. Times are in ms.
#[derive(Debug, Clone, Serialize)]
pub struct Constants {
    /// `nif`, `lif` or `qif`.
    pub neuron: String,
    /// Membrane time constant, in ms.
    pub tau_mem: f64,
    /// Time unit of the parameters, in ms.
    pub time_unit: f64,
    /// Width of the gate.
    pub width: f64,
    /// Length of a time step, in ms.
    pub dt: f64,
    /// The decay α_k of each synapse type in a time step.
    pub decays: Vec<f64>,
    /// Whether the layer has recurrent weights.
    pub recurrent: bool,
    /// Whether the peer computes in double precision.
    pub double: bool,
    /// Whether the peer runs on a GPU with CUDA.
    pub cuda: bool,
}

/// A network with its input and target.
#[derive(Debug, Clone)]
pub struct Description {
    /// Parameters, input, target and initial potentials v0, by name.
    pub tensors: BTreeMap<String, TensorData>,
    /// The constants.
    pub constants: Constants,
}

const SCRIPTS: [(&str, &str); 4] = [
    ("system.py", include_str!("../peers/system.py")),
    ("measure.py", include_str!("../peers/measure.py")),
    ("jax_scan.py", include_str!("../peers/jax_scan.py")),
    ("torch_loop.py", include_str!("../peers/torch_loop.py")),
];

/// The peers in one Python environment.
pub struct Peers {
    python: PathBuf,
    folder: PathBuf,
}

impl Peers {
    /// Writes the scripts into the folder `peers` in the folder of the program.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn new(python: &Path, folder: &Folder) -> Result<Self, String> {
        let peers = Self { python: python.into(), folder: folder.file("peers") };
        std::fs::create_dir_all(&peers.folder).map_err(|error| peers.failed(error))?;
        for (name, text) in SCRIPTS {
            std::fs::write(peers.folder.join(name), text).map_err(|error| peers.failed(error))?;
        }
        Ok(peers)
    }

    fn failed(&self, error: impl std::fmt::Display) -> String {
        format!("{}: {error}", self.folder.display())
    }

    /// Runs the script of a peer and returns its output.
    fn run(&self, peer: Peer, description: &Description, more: &[&str]) -> Result<Vec<u8>, String> {
        let file = |name: &str| self.folder.join(name);
        let views = description.tensors.iter().map(|(name, data)| Ok((name.clone(), view(data)?)));
        let views: Vec<(String, TensorView)> = views.collect::<Result<_, String>>()?;
        safetensors::serialize_to_file(views, None, &file("network.safetensors"))
            .map_err(|error| self.failed(error))?;
        let constants = serde_json::to_string(&description.constants).map_err(|error| self.failed(error))?;
        std::fs::write(file("constants.json"), constants).map_err(|error| self.failed(error))?;
        let mut command = Command::new(&self.python);
        command.arg(file(peer.script())).arg("--network").arg(file("network.safetensors"));
        command.arg("--constants").arg(file("constants.json")).args(more);
        if peer == Peer::TorchCompiled {
            command.arg("--compile");
        }
        let output = command.output().map_err(|error| {
            format!("{}: {error}; --peers wants a Python interpreter, which `just peers` makes", self.python.display())
        })?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(format!(
            "{} failed: {}\nits packages are listed in examples/peers/requirements.txt; `just peers` installs them",
            peer.title(),
            String::from_utf8_lossy(&output.stderr)
        ))
    }

    /// Measures times and memory of a peer.
    ///
    /// # Errors
    /// If the peer fails.
    pub fn measure(&self, peer: Peer, description: &Description, repeat: usize) -> Result<Measured, String> {
        let printed = self.run(peer, description, &["--repeat", &repeat.to_string()])?;
        serde_json::from_slice(&printed).map_err(|error| format!("{}: {error}", peer.title()))
    }

    /// Computes the cost and the gradients with a peer.
    ///
    /// # Errors
    /// If the peer fails.
    pub fn gradients(&self, peer: Peer, description: &Description) -> Result<BTreeMap<String, TensorData>, String> {
        let path = self.folder.join("gradients.safetensors");
        self.run(peer, description, &["--gradients", &path.display().to_string()])?;
        let bytes = std::fs::read(&path).map_err(|error| self.failed(error))?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(|error| self.failed(error))?;
        let found = tensors.iter().map(|(name, tensor)| Ok((name.to_string(), doubles(&tensor)?)));
        found.collect()
    }
}

fn view(data: &TensorData) -> Result<TensorView<'_>, String> {
    let dtype = match data.dtype() {
        DType::F32 => Dtype::F32,
        DType::F64 => Dtype::F64,
        other => return Err(format!("peers take f32 or f64, not {other:?}")),
    };
    TensorView::new(dtype, data.shape().to_vec(), data.as_bytes()).map_err(|error| error.to_string())
}

fn doubles(tensor: &TensorView) -> Result<TensorData, String> {
    let numbers: Vec<f64> = match tensor.dtype() {
        Dtype::F64 => tensor.data().as_chunks::<8>().0.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect(),
        Dtype::F32 => tensor.data().as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes) as f64).collect(),
        other => return Err(format!("a peer's gradient is {other:?}, but was asked for in F64 or F32")),
    };
    Ok(TensorData::new(numbers, tensor.shape().to_vec()))
}
