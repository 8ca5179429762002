//! A run: a folder, the options it was started with, and whether it goes on from where it was left.

use crate::output::Folder;
use clap::Args;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

/// Where a program's run lives.
#[derive(Args, Debug, Clone)]
pub struct Place {
    /// Folder for the report, the pictures, the model and the checkpoints [default: runs/PROGRAM]
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Delete the run that the folder holds and start anew
    #[arg(long)]
    pub overwrite: bool,
    /// Go on with the run in this folder, with the options that it was started with
    #[arg(long, value_name = "DIR", exclusive = true)]
    pub resume: Option<PathBuf>,
}

impl Place {
    /// The folder that a program's new run goes to.
    pub fn folder(&self, program: &str) -> PathBuf {
        self.out.clone().unwrap_or_else(|| Path::new("runs").join(program))
    }
}

/// A run that is open; no other program can open it at the same time.
#[derive(Debug)]
pub struct Run<O> {
    /// Its folder.
    pub folder: Folder,
    /// Its options.
    pub options: O,
    /// Whether it was there before.
    pub resumed: bool,
    _lock: File,
}

/// A seed of its own for each stream of random numbers that a run draws.
pub fn seeded(seed: u64, stream: u64) -> u64 {
    seed.wrapping_mul(1_000_003).wrapping_add(stream)
}

/// What `run.json` holds.
#[derive(Serialize, Deserialize)]
struct Started<O> {
    program: String,
    version: String,
    options: O,
}

/// What a run leaves in its folder, beside reports and pictures.
const TRACES: [&str; 4] = ["checkpoint", "train", "valid", "history.jsonl"];

impl<O: Serialize + DeserializeOwned> Run<O> {
    /// Opens a folder: a new run with these options, or the one to be resumed with its own. Options
    /// that `check` refuses leave nothing behind.
    ///
    /// # Errors
    /// If the options are refused; if the folder cannot be made or written, is in use, holds a run
    /// that would be lost, or holds none to resume.
    pub fn open(
        program: &str,
        place: &Place,
        options: O,
        check: impl Fn(&O) -> Result<(), String>,
    ) -> Result<Self, String> {
        match &place.resume {
            Some(path) => {
                let run = Self::resume(program, path)?;
                check(&run.options)?;
                Ok(run)
            }
            None => {
                check(&options)?;
                Self::start(program, &place.folder(program), options, place.overwrite)
            }
        }
    }

    fn start(program: &str, path: &Path, options: O, overwrite: bool) -> Result<Self, String> {
        let folder = Folder::make(path)?;
        let lock = lock(&folder)?;
        let traces = TRACES.map(|name| folder.file(name));
        if !overwrite && traces.iter().any(|trace| trace.exists()) {
            let path = path.display();
            return Err(format!(
                "{path} already holds a run; go on with it by --resume {path}, choose another folder by --out, or lose it by --overwrite"
            ));
        }
        for trace in traces.iter().filter(|trace| trace.exists()) {
            let removed = if trace.is_dir() { std::fs::remove_dir_all(trace) } else { std::fs::remove_file(trace) };
            removed.map_err(|error| format!("{}: {error}", trace.display()))?;
        }
        let version = env!("CARGO_PKG_VERSION").into();
        let started = Started { program: program.into(), version, options };
        folder.write_json("run.json", &started)?;
        Ok(Self { folder, options: started.options, resumed: false, _lock: lock })
    }

    fn resume(program: &str, path: &Path) -> Result<Self, String> {
        let file = path.join("run.json");
        let text = std::fs::read_to_string(&file).map_err(|error| {
            format!("{} holds no run to resume ({}: {error}); give the folder of a run", path.display(), file.display())
        })?;
        // The program first: another program's options need not make sense here.
        let whose = serde_json::from_str::<Started<serde_json::Value>>(&text);
        let whose = whose.map_err(|error| format!("{} is no record of a run: {error}", file.display()))?;
        if whose.program != program {
            return Err(format!(
                "{} holds a run of {}, not of {program}; resume it with that program",
                path.display(),
                whose.program
            ));
        }
        let options = serde_json::from_value(whose.options)
            .map_err(|error| format!("{} has options that {program} does not know: {error}", file.display()))?;
        if whose.version != env!("CARGO_PKG_VERSION") {
            eprintln!("the run was started by version {} of this program; its course may differ", whose.version);
        }
        let folder = Folder::make(path)?;
        let lock = lock(&folder)?;
        Ok(Self { folder, options, resumed: true, _lock: lock })
    }
}

/// Keeps other programs out of a folder until the file is dropped or the program dies.
fn lock(folder: &Folder) -> Result<File, String> {
    let path = folder.file(".lock");
    let file = File::create(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(format!(
            "another program is running in {}; wait for it, or choose another folder by --out",
            folder.path().display()
        )),
        Err(TryLockError::Error(error)) => Err(format!("{}: {error}", path.display())),
    }
}
