//! The output folder of a program, and its exit code.

use burn::module::Module;
use burn_spiking::SpikingRnn;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// An output folder that exists and can be written.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes the folder, and checks at once that it can be written, so that an error comes before
    /// the work.
    ///
    /// # Errors
    /// If the folder cannot be made or written.
    pub fn make(path: impl AsRef<Path>) -> Result<Self, String> {
        let path = path.as_ref().to_path_buf();
        let failed = |error: std::io::Error| {
            format!("the output folder {} cannot be written ({error}); choose another with --out", path.display())
        };
        std::fs::create_dir_all(&path).map_err(failed)?;
        let probe = path.join(".probe");
        std::fs::write(&probe, b"").and_then(|()| std::fs::remove_file(&probe)).map_err(failed)?;
        Ok(Self { path })
    }

    /// Returns the path of a file in the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Returns the path of the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a report as JSON. See [`write_json`].
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_json(&self, name: &str, report: &impl Serialize) -> Result<(), String> {
        write_json(&self.file(name), report)
    }

    /// Writes a model to `model.bpk`. Also writes its spiking layer with its constants to
    /// `network.bpk`, and the configuration of the layer to `network.bpk.json`.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write_model(&self, model: &impl Module, layer: &SpikingRnn) -> Result<(), String> {
        let path = self.file("model.bpk");
        layer.save(self.file("network.bpk")).map_err(|error| error.to_string())?;
        model.clone().into_record().save(&path).map_err(|error| format!("{}: {error}", path.display()))
    }
}

/// Writes a file as JSON under another name, flushes it to the disk, and renames it. So a file with
/// its final name is whole, even if the program is killed.
///
/// # Errors
/// If the file cannot be written.
pub fn write_json(path: &Path, report: &impl Serialize) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let json = serde_json::to_string_pretty(report).map_err(|error| error.to_string())?;
    let mut partial = path.as_os_str().to_os_string();
    partial.push(".partial");
    std::fs::write(&partial, json + "\n").and_then(|()| put_in_place(partial.as_ref(), path)).map_err(failed)
}

/// Flushes a file that was written under another name to the disk, and gives it its final name.
///
/// # Errors
/// If the file cannot be opened, flushed or renamed.
pub fn put_in_place(partial: &Path, path: &Path) -> std::io::Result<()> {
    std::fs::File::open(partial)?.sync_all()?;
    std::fs::rename(partial, path)
}

/// The reason why a program ends without a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// The program failed.
    Failed(String),
    /// The user stopped it.
    Interrupted(String),
}

impl From<String> for Stop {
    fn from(message: String) -> Self {
        Stop::Failed(message)
    }
}

/// Prints the reason why the program ended, if there is one. Returns the exit code: 130 for an
/// interrupt, as in shells.
pub fn exit_code(outcome: Result<(), Stop>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Stop::Failed(message)) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
        Err(Stop::Interrupted(message)) => {
            eprintln!("{message}");
            ExitCode::from(130)
        }
    }
}
