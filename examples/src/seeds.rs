//! Runs a program with several seeds, each in its own folder, and makes a table of the reports.

use crate::figures;
use crate::history::History;
use crate::output::{Folder, Stop};
use crate::run::Place;
use burn_spiking_plot::Scale;
use serde::Serialize;
use serde_json::Value;
use std::path::Path;

/// The number of seeds.
#[derive(clap::Args, Debug, Clone)]
pub struct Seeds {
    /// Number of runs, with seeds from --seed on, each in its own folder below --out; the same
    /// command, given again, continues unfinished runs
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub seeds: u64,
}

impl Seeds {
    /// Runs a program with one seed, or with several seeds in turn.
    ///
    /// - `first`: the first seed.
    /// - `options`: the options that determine the result of the run with a given seed.
    /// - `run`: the program, for a given place and seed.
    /// - `columns`: the fields of the report that the table shows.
    /// - `learning`: the metric in the figure of all seeds, and the scale of its axis.
    ///
    /// # Errors
    /// As the program; if the folder of a seed holds a run with other options; if a file cannot be
    /// written.
    #[allow(clippy::too_many_arguments)]
    pub fn run<O: Serialize>(
        &self,
        program: &str,
        place: &Place,
        first: u64,
        options: impl Fn(u64) -> O,
        run: impl Fn(&Place, u64) -> Result<(), Stop>,
        columns: &[&str],
        learning: (&str, Scale),
    ) -> Result<(), Stop> {
        if self.seeds == 1 {
            return run(place, first);
        }
        let root = Folder::make(place.folder(program))?;
        let (mut reports, mut histories) = (Vec::new(), Vec::new());
        for seed in first..first + self.seeds {
            let folder = root.file(&format!("seed-{seed}"));
            let report = folder.join("report.json");
            let known = if place.overwrite { None } else { options_of(&folder)? };
            let asked = serde_json::to_value(options(seed)).map_err(|error| error.to_string())?;
            if known.as_ref().is_some_and(|known| *known != asked) {
                return Err(Stop::Failed(format!(
                    "{} holds a run with other options; choose another folder by --out, or lose it by --overwrite",
                    folder.display()
                )));
            }
            if known.is_none() || !report.exists() {
                println!("\n== seed {seed}");
                let place = match known {
                    Some(_) => Place { out: None, overwrite: false, resume: Some(folder.clone()), export: None },
                    None => Place { out: Some(folder.clone()), resume: None, ..place.clone() },
                };
                run(&place, seed)?;
            }
            reports.push(json(&report)?);
            histories.push((seed, History::open(&folder, usize::MAX)?));
        }
        println!("\n{}", table(&reports, columns));
        root.write_json("summary.json", &reports)?;
        figures::learning(&root.file("learning.png"), &format!("{program}: all seeds"), &histories, learning)?;
        println!("summary {}", root.file("summary.json").display());
        Ok(())
    }
}

fn json(path: &Path) -> Result<Value, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
}

/// Returns the options of the run in a folder, or `None` if there is no run.
fn options_of(folder: &Path) -> Result<Option<Value>, String> {
    let path = folder.join("run.json");
    if !path.exists() {
        return Ok(None);
    }
    Ok(json(&path)?.get("options").cloned())
}

/// Formats a table with a row for each report.
fn table(reports: &[Value], columns: &[&str]) -> String {
    let cell = |report: &Value, column: &str| match &report[column] {
        Value::Number(number) if number.is_f64() => format!("{:.4}", number.as_f64().unwrap_or(f64::NAN)),
        Value::Null => "-".into(),
        value => value.to_string(),
    };
    let width = |column: &str| {
        reports.iter().map(|report| cell(report, column).len()).chain([column.len()]).max().unwrap_or(0) + 2
    };
    let line = |of: &dyn Fn(&str) -> String| -> String {
        columns.iter().map(|column| format!("{:>width$}", of(column), width = width(column))).collect()
    };
    let rows = reports.iter().map(|report| line(&|column| cell(report, column)));
    std::iter::once(line(&|column| column.to_string())).chain(rows).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::cell::RefCell;

    fn place(out: &Path) -> Place {
        Place { out: Some(out.to_path_buf()), overwrite: false, resume: None, export: None }
    }

    #[test]
    fn each_seed_runs_once_and_a_broken_one_goes_on() {
        let root = tempfile::tempdir().unwrap();
        let seeds = Seeds { seeds: 3 };
        let calls = RefCell::new(Vec::new());
        let run = |rate: f64, broken: bool| {
            let options = move |seed: u64| json!({ "seed": seed, "rate": rate });
            let program = |place: &Place, seed: u64| {
                calls.borrow_mut().push((seed, place.resume.is_some()));
                let folder = Folder::make(place.out.as_ref().or(place.resume.as_ref()).unwrap())?;
                folder.write_json("run.json", &json!({ "options": options(seed) }))?;
                if broken && seed == 6 {
                    return Err(Stop::Interrupted("stopped".into()));
                }
                folder.write_json("report.json", &json!({ "seed": seed, "score": 0.5 })).map_err(Stop::from)
            };
            seeds.run("test", &place(root.path()), 5, options, program, &["seed", "score"], ("Score", Scale::Linear))
        };
        assert_eq!(run(0.1, true), Err(Stop::Interrupted("stopped".into())));
        run(0.1, false).unwrap();
        assert_eq!(*calls.borrow(), [(5, false), (6, false), (6, true), (7, false)]);
        assert_eq!(json(&root.path().join("summary.json")).unwrap().as_array().unwrap().len(), 3);
        assert!(matches!(run(0.2, false), Err(Stop::Failed(told)) if told.contains("other options")));
    }

    #[test]
    fn table_has_a_row_for_each_report() {
        let reports = [json!({ "seed": 0, "score": 0.25 }), json!({ "seed": 1, "score": null })];
        assert_eq!(table(&reports, &["seed", "score"]), "  seed   score\n     0  0.2500\n     1       -");
    }
}
