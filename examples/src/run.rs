//! A run: its folder, its options, and whether it is resumed.

use crate::export::Export;
use crate::output::{Folder, Stop};
use clap::Args;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

/// The folder of a run, and how to open it.
#[derive(Args, Debug, Clone, Default)]
pub struct Place {
    /// Folder for the report, the figures, the model and the checkpoints [default: runs/PROGRAM]
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Delete the run in the folder and start a new one
    #[arg(long)]
    pub overwrite: bool,
    /// If the folder already holds this run, continue it; if the run is finished, leave it alone
    #[arg(long = "continue", conflicts_with = "overwrite")]
    pub go_on: bool,
    /// Continue the run in this folder, with its original options
    #[arg(long, value_name = "DIR", exclusive = true)]
    pub resume: Option<PathBuf>,
    /// Write the spikes of the first test batch into the folder, too
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub export: Option<Export>,
}

impl Place {
    /// Returns the folder for a new run of a program.
    pub fn folder(&self, program: &str) -> PathBuf {
        self.out.clone().unwrap_or_else(|| Path::new("runs").join(program))
    }

    /// Starts the run in a folder, continues it, or leaves it alone if it is finished. Returns
    /// whether it was finished before.
    ///
    /// - `options`: the options of the run, as `run.json` has them.
    /// - `run`: the program.
    ///
    /// # Errors
    /// As the program; if the folder holds a run with other options; if a file cannot be read.
    pub fn start_or_continue(
        &self,
        folder: &Path,
        options: &impl Serialize,
        run: impl FnOnce(&Place) -> Result<(), Stop>,
    ) -> Result<bool, Stop> {
        let start = || Place { out: Some(folder.to_path_buf()), resume: None, ..self.clone() };
        // A run that is overwritten is not read: its record may be the reason.
        let known = if self.overwrite { None } else { Started::of(folder)? };
        let Some(known) = known else {
            return run(&start()).map(|()| false);
        };
        let asked = serde_json::to_value(options).map_err(|error| error.to_string())?;
        if known.options != asked {
            return Err(Stop::Failed(format!(
                "{} holds a run with other options ({}); choose another folder by --out, or lose it by --overwrite",
                folder.display(),
                differences(&known.options, &asked)
            )));
        }
        let finished = folder.join(REPORT).exists();
        if !finished {
            run(&Place { resume: Some(folder.to_path_buf()), ..Place::default() })?;
        }
        Ok(finished)
    }
}

/// An open run. No other program can open its folder at the same time.
#[derive(Debug)]
pub struct Run<O> {
    /// The folder.
    pub folder: Folder,
    /// The options.
    pub options: O,
    /// Whether the run is resumed.
    pub resumed: bool,
    /// The format in which the spikes of the first test batch are written, if at all.
    pub export: Option<Export>,
    _lock: File,
}

/// Returns the seed of one stream of random numbers. Each stream of a run has another seed.
pub fn seeded(seed: u64, stream: u64) -> u64 {
    seed.wrapping_mul(1_000_003).wrapping_add(stream)
}

/// The contents of `run.json`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Started<O> {
    /// The program.
    pub program: String,
    /// The version of the program that started the run.
    pub version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    export: Option<Export>,
    /// The options that determine the result.
    pub options: O,
}

impl Started<Value> {
    /// Reads `run.json` in a folder. `None` if there is no such file.
    ///
    /// # Errors
    /// If the file cannot be read, or is no record of a run.
    pub fn of(folder: &Path) -> Result<Option<Self>, String> {
        let path = folder.join("run.json");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("{}: {error}", path.display())),
        };
        let started = serde_json::from_str(&text);
        started.map(Some).map_err(|error| format!("{} is no record of a run: {error}", path.display()))
    }
}

/// Names the options that differ, with both values.
fn differences(known: &Value, asked: &Value) -> String {
    let names: BTreeSet<&String> =
        [known, asked].into_iter().filter_map(Value::as_object).flat_map(Map::keys).collect();
    let differ = names.into_iter().filter(|name| known.get(*name) != asked.get(*name));
    let value = |of: &Value, name: &str| of.get(name).map_or("none".into(), Value::to_string);
    let told = differ.map(|name| format!("{name} {} there, {} here", value(known, name), value(asked, name)));
    told.collect::<Vec<_>>().join("; ")
}

/// The name of the report. A run writes it last, so its presence shows that the run is finished.
pub const REPORT: &str = "report.json";

/// The files and folders that show that a folder holds a run. Reports and figures are not among
/// them.
const TRACES: [&str; 4] = ["checkpoint", "train", "valid", "history.jsonl"];

impl<O: Serialize + DeserializeOwned> Run<O> {
    /// Starts a new run with these options, or resumes a run with its own options. If `check`
    /// rejects the options of a new run, nothing is written.
    ///
    /// # Errors
    /// If the options are rejected; if the folder cannot be made or written, or is in use; if the
    /// folder of a new run already holds a run and `overwrite` is not set; if there is no run to
    /// resume.
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
                Self::start(program, place, options)
            }
        }
    }

    fn start(program: &str, place: &Place, options: O) -> Result<Self, String> {
        let path = &place.folder(program);
        let folder = Folder::make(path)?;
        let lock = lock(&folder)?;
        let traces = TRACES.map(|name| folder.file(name));
        if !place.overwrite && traces.iter().any(|trace| trace.exists()) {
            let path = path.display();
            return Err(format!(
                "{path} already holds a run; go on with it by --resume {path}, choose another folder by --out, or lose it by --overwrite"
            ));
        }
        // Without its old report, the folder cannot look finished.
        for trace in traces.iter().chain([&folder.file(REPORT)]).filter(|trace| trace.exists()) {
            let removed = if trace.is_dir() { std::fs::remove_dir_all(trace) } else { std::fs::remove_file(trace) };
            removed.map_err(|error| format!("{}: {error}", trace.display()))?;
        }
        let version = env!("CARGO_PKG_VERSION").into();
        let started = Started { program: program.into(), version, export: place.export, options };
        folder.write_json("run.json", &started)?;
        Ok(Self { folder, options: started.options, resumed: false, export: place.export, _lock: lock })
    }

    fn resume(program: &str, path: &Path) -> Result<Self, String> {
        let file = path.join("run.json");
        let whose = Started::of(path)?.ok_or_else(|| {
            format!("{} holds no run to resume (no {}); give the folder of a run", path.display(), file.display())
        })?;
        // Check the name of the program first: the options of another program may be unreadable
        // here.
        if whose.program != program {
            return Err(format!(
                "{} holds a run of {}, not of {program}; resume it with that program",
                path.display(),
                whose.program
            ));
        }
        let export = whose.export;
        let options = serde_json::from_value(whose.options)
            .map_err(|error| format!("{} has options that {program} does not know: {error}", file.display()))?;
        if whose.version != env!("CARGO_PKG_VERSION") {
            eprintln!("the run was started by version {} of this program; its course may differ", whose.version);
        }
        let folder = Folder::make(path)?;
        let lock = lock(&folder)?;
        Ok(Self { folder, options, resumed: true, export, _lock: lock })
    }
}

/// Locks a folder against other programs until the file is dropped or the program ends.
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
