//! Runs a program with several seeds, each in its own folder, and makes a table of the reports.

use crate::figures;
use crate::history::History;
use crate::output::{Folder, Stop};
use crate::run::{Place, REPORT};
use burn_spiking_plot::Scale;
use serde::Serialize;
use serde_json::Value;
use std::ops::Range;
use std::path::Path;
use std::str::FromStr;

/// The seeds of a command.
#[derive(clap::Args, Debug, Clone)]
pub struct Seeds {
    /// Number of runs, with seeds from --seed on, or a range of seeds, without its end: `3..5` is
    /// 3 and 4; each run has its own folder below --out, and the same command, given again,
    /// continues unfinished runs
    #[arg(long, default_value = "1", value_name = "N|A..B")]
    pub seeds: Several,
}

/// Several seeds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Several {
    /// A number of seeds, from the first seed on.
    Count(u64),
    /// The seeds of a range.
    Range(Range<u64>),
}

impl FromStr for Several {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.parse::<u64>();
        let several = match text.split_once("..") {
            Some((start, end)) => number(start).and_then(|start| Ok(Self::Range(start..number(end)?))),
            None => number(text).map(Self::Count),
        };
        match several {
            Ok(Self::Count(0)) => Err("no seed; give 1 or more".into()),
            Ok(Self::Range(range)) if range.is_empty() => {
                Err(format!("no seed; the end {} must be beyond the start {}", range.end, range.start))
            }
            Ok(several) => Ok(several),
            Err(error) => Err(format!("{error}; give a number such as 5, or a range such as 0..5")),
        }
    }
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
    /// written; if there are a range of seeds and a first seed.
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
        let seeds = match &self.seeds {
            Several::Count(1) if place.go_on => {
                let folder = place.folder(program);
                if place.start_or_continue(&folder, &options(first), |place| run(place, first))? {
                    println!("the run in {} is finished", folder.display());
                }
                return Ok(());
            }
            Several::Count(1) => return run(place, first),
            Several::Count(count) => first..first + count,
            Several::Range(range) if first == 0 => range.clone(),
            Several::Range(range) => {
                return Err(Stop::Failed(format!(
                    "--seeds {}..{} has a first seed, and --seed {first} is another; leave --seed out",
                    range.start, range.end
                )));
            }
        };
        let root = Folder::make(place.folder(program))?;
        let (mut reports, mut histories) = (Vec::new(), Vec::new());
        for seed in seeds {
            let folder = root.file(&format!("seed-{seed}"));
            place.start_or_continue(&folder, &options(seed), |place| {
                println!("\n== seed {seed}");
                run(place, seed)
            })?;
            reports.push(json(&folder.join(REPORT))?);
            histories.push((seed, History::open(&folder, usize::MAX)?));
        }
        println!("\n{}", table(&reports, columns));
        root.write_json("summary.json", &reports)?;
        figures::learning(&root.file("learning.png"), &format!("{program}: all seeds"), &histories, learning)?;
        println!("summary {}", root.file("summary.json").display());
        Ok(())
    }
}

pub(crate) fn json(path: &Path) -> Result<Value, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
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
        Place { out: Some(out.to_path_buf()), ..Place::default() }
    }

    #[test]
    fn each_seed_runs_once_and_a_broken_one_goes_on() {
        let root = tempfile::tempdir().unwrap();
        let seeds = Seeds { seeds: "3".parse().unwrap() };
        let calls = RefCell::new(Vec::new());
        let run = |rate: f64, broken: bool| {
            let options = move |seed: u64| json!({ "seed": seed, "rate": rate });
            let program = |place: &Place, seed: u64| {
                calls.borrow_mut().push((seed, place.resume.is_some()));
                let folder = Folder::make(place.out.as_ref().or(place.resume.as_ref()).unwrap())?;
                let started = json!({ "program": "test", "version": "0", "options": options(seed) });
                folder.write_json("run.json", &started)?;
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
        let Err(Stop::Failed(told)) = run(0.2, false) else { panic!("other options were accepted") };
        assert!(told.contains("other options (rate 0.1 there, 0.2 here)"), "{told}");
    }

    #[test]
    fn one_run_goes_on_until_it_is_finished() {
        let root = tempfile::tempdir().unwrap();
        let calls = RefCell::new(Vec::new());
        let run = |go_on: bool, broken: bool| {
            let program = |place: &Place, _: u64| {
                calls.borrow_mut().push(place.resume.is_some());
                let folder = Folder::make(root.path())?;
                folder.write_json("run.json", &json!({ "program": "test", "version": "0", "options": {} }))?;
                match broken {
                    true => Err(Stop::Interrupted("stopped".into())),
                    false => folder.write_json(REPORT, &json!({})).map_err(Stop::from),
                }
            };
            let place = Place { go_on, ..place(root.path()) };
            let seeds = Seeds { seeds: Several::Count(1) };
            seeds.run("test", &place, 0, |_| json!({}), program, &[], ("Score", Scale::Linear))
        };
        assert_eq!(run(true, true), Err(Stop::Interrupted("stopped".into())));
        run(true, false).unwrap();
        run(true, false).unwrap();
        assert_eq!(*calls.borrow(), [false, true]);
    }

    #[test]
    fn seeds_are_a_number_or_a_range() {
        assert_eq!("5".parse(), Ok(Several::Count(5)));
        assert_eq!("3..5".parse(), Ok(Several::Range(3..5)));
        let told = |text: &str| text.parse::<Several>().unwrap_err();
        assert!(told("0").contains("give 1 or more") && told("4..4").contains("beyond the start 4"));
        assert!(told("a..4").contains("such as 0..5") && told("3..").contains("such as 0..5"));
    }

    #[test]
    fn a_range_has_its_own_first_seed() {
        let root = tempfile::tempdir().unwrap();
        let seeds = Seeds { seeds: Several::Range(3..4) };
        let run = |first: u64| {
            let program = |place: &Place, seed: u64| {
                let folder = Folder::make(place.out.as_ref().unwrap())?;
                folder.write_json(REPORT, &json!({ "seed": seed })).map_err(Stop::from)
            };
            let options = |seed: u64| json!({ "seed": seed });
            seeds.run("test", &place(root.path()), first, options, program, &["seed"], ("Score", Scale::Linear))
        };
        let Err(Stop::Failed(told)) = run(2) else { panic!("two first seeds were accepted") };
        assert!(told.contains("leave --seed out"), "{told}");
        run(0).unwrap();
        assert!(root.path().join("seed-3").join(REPORT).exists());
    }

    #[test]
    fn table_has_a_row_for_each_report() {
        let reports = [json!({ "seed": 0, "score": 0.25 }), json!({ "seed": 1, "score": null })];
        assert_eq!(table(&reports, &["seed", "score"]), "  seed   score\n     0  0.2500\n     1       -");
    }
}
