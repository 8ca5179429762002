//! Merges the reports of many runs, from any number of folders.
//!
//! Runs with equal options apart from the seed form a group. A group has the mean and the spread of
//! every number in its reports.

use crate::run::{REPORT, Started};
use crate::seeds::json;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Runs of one program and version that differ in their seed alone.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    /// The program.
    pub program: String,
    /// The version of the program that started the runs.
    pub version: String,
    /// The options, without the seed.
    pub options: Map<String, Value>,
    /// The finished runs, by their seeds.
    pub finished: BTreeMap<u64, Finished>,
    /// The unfinished runs, by their seeds.
    pub unfinished: BTreeMap<u64, PathBuf>,
    /// The numbers of the reports, by their names.
    pub statistics: BTreeMap<String, Statistics>,
}

/// A finished run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finished {
    /// Its folder.
    pub folder: PathBuf,
    /// Its report.
    pub report: Value,
}

/// The mean and the spread of a number.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Statistics {
    /// The number of reports that have the number.
    pub runs: usize,
    /// The mean.
    pub mean: f64,
    /// The standard deviation, with runs − 1 as its denominator. `None` for one run.
    pub sd: Option<f64>,
    /// The lowest value.
    pub min: f64,
    /// The highest value.
    pub max: f64,
}

impl Statistics {
    fn of(values: &[f64]) -> Self {
        let runs = values.len();
        let mean = values.iter().sum::<f64>() / runs as f64;
        let squares: f64 = values.iter().map(|x| (x - mean).powi(2)).sum();
        Self {
            runs,
            mean,
            sd: (runs > 1).then(|| (squares / (runs - 1) as f64).sqrt()),
            min: values.iter().copied().fold(f64::INFINITY, f64::min),
            max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        }
    }
}

/// Finds all runs in these folders and below them.
///
/// # Errors
/// If a folder cannot be read or has no run; if a record or a report cannot be read; if two runs
/// have the same program, version, options and seed.
pub fn groups(folders: &[PathBuf]) -> Result<Vec<Group>, String> {
    let mut groups: Vec<Group> = Vec::new();
    let mut seen = BTreeSet::new();
    for folder in folders {
        let runs = runs(folder)?;
        if runs.is_empty() {
            return Err(format!("{} has no run, at any depth; a run has a file run.json", folder.display()));
        }
        // A folder within another one has its runs once.
        for (folder, started) in runs {
            let real = folder.canonicalize().map_err(|error| format!("{}: {error}", folder.display()))?;
            if seen.insert(real) {
                add(&mut groups, folder, started)?;
            }
        }
    }
    for group in &mut groups {
        group.statistics = statistics(group.finished.values().map(|run| &run.report));
        // Reports repeat options, which are the same in all runs.
        group.statistics.retain(|name, _| !group.options.contains_key(name));
    }
    Ok(groups)
}

fn runs(folder: &Path) -> Result<Vec<(PathBuf, Started<Value>)>, String> {
    if let Some(started) = Started::of(folder)? {
        return Ok(vec![(folder.to_path_buf(), started)]);
    }
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut below = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        // Not links: they could lead into a circle.
        if entry.file_type().map_err(failed)?.is_dir() {
            below.push(entry.path());
        }
    }
    below.sort();
    let found = below.iter().map(|path| runs(path)).collect::<Result<Vec<_>, _>>()?;
    Ok(found.into_iter().flatten().collect())
}

fn add(groups: &mut Vec<Group>, folder: PathBuf, started: Started<Value>) -> Result<(), String> {
    let Started { program, version, options, .. } = started;
    let told = |what: &str| format!("{}: {what}", folder.join("run.json").display());
    let Value::Object(mut options) = options else { return Err(told("its options are no object")) };
    let seed = options.remove("seed").and_then(|seed| seed.as_u64()).ok_or_else(|| told("its options have no seed"))?;
    let same = |group: &Group| group.program == program && group.version == version && group.options == options;
    let at = match groups.iter().position(same) {
        Some(at) => at,
        None => {
            let (finished, unfinished, statistics) = Default::default();
            groups.push(Group { program, version, options, finished, unfinished, statistics });
            groups.len() - 1
        }
    };
    let group = &mut groups[at];
    let other = group.finished.get(&seed).map(|run| &run.folder).or(group.unfinished.get(&seed));
    if let Some(other) = other {
        return Err(format!(
            "{} and {} hold the same run of {} (seed {seed}); give one of them",
            other.display(),
            folder.display(),
            group.program
        ));
    }
    let report = folder.join(REPORT);
    match report.exists() {
        true => {
            let report = json(&report)?;
            group.finished.insert(seed, Finished { folder, report });
        }
        false => {
            group.unfinished.insert(seed, folder);
        }
    }
    Ok(())
}

/// Returns the statistics of each number in these reports, apart from the seed.
fn statistics<'a>(reports: impl Iterator<Item = &'a Value>) -> BTreeMap<String, Statistics> {
    let mut values: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (name, value) in reports.filter_map(Value::as_object).flatten() {
        if let Some(number) = value.as_f64().filter(|_| name != "seed") {
            values.entry(name.clone()).or_default().push(number);
        }
    }
    values.into_iter().map(|(name, values)| (name, Statistics::of(&values))).collect()
}

/// Returns the options that differ between the groups of a program, as `name=value`. Options that
/// one of the groups lacks are among them.
fn what_differs(group: &Group, groups: &[Group]) -> Vec<String> {
    let others: Vec<&Group> = groups.iter().filter(|other| other.program == group.program).collect();
    let mut told: Vec<String> = Vec::new();
    if others.iter().any(|other| other.version != group.version) {
        told.push(format!("version={}", group.version));
    }
    let names: BTreeSet<&String> = others.iter().flat_map(|other| other.options.keys()).collect();
    for name in names {
        if others.iter().any(|other| other.options.get(name) != group.options.get(name)) {
            let value = match group.options.get(name) {
                None => "none".into(),
                Some(Value::String(text)) => text.clone(),
                Some(value) => value.to_string(),
            };
            told.push(format!("{name}={value}"));
        }
    }
    told
}

/// Formats one table for each group.
pub fn tables(groups: &[Group]) -> String {
    let mut text = String::new();
    for group in groups {
        let seeds = group.finished.keys().map(u64::to_string).collect::<Vec<_>>().join(", ");
        let title = [vec![group.program.clone()], what_differs(group, groups)].concat().join(" ");
        text += &format!("{title}\n  {} finished", group.finished.len());
        text += &if seeds.is_empty() { "\n".into() } else { format!(", seeds {seeds}\n") };
        for (seed, folder) in &group.unfinished {
            text += &format!("  not finished: seed {seed}, {}\n", folder.display());
        }
        if !group.statistics.is_empty() {
            let width = group.statistics.keys().map(String::len).max().unwrap_or(0);
            let row = |name: &str, cells: [String; 5]| {
                let [mean, sd, min, max, runs] = cells;
                format!("  {name:width$} {mean:>12} {sd:>12} {min:>12} {max:>12} {runs:>5}\n")
            };
            text += &row("", ["mean", "sd", "min", "max", "runs"].map(String::from));
            for (name, Statistics { runs, mean, sd, min, max }) in &group.statistics {
                let sd = sd.map_or("-".into(), number);
                text += &row(name, [number(*mean), sd, number(*min), number(*max), runs.to_string()]);
            }
        }
        text.push('\n');
    }
    text
}

/// Formats a number with four significant digits or more.
fn number(x: f64) -> String {
    match x.abs() {
        0.0 => "0".into(),
        1e-3..1000.0 => format!("{x:.4}"),
        1000.0..1e6 => format!("{x:.0}"),
        _ => format!("{x:.3e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Folder;
    use serde_json::json;

    fn write(path: PathBuf, options: Value, report: Option<Value>) {
        let folder = Folder::make(path).unwrap();
        folder.write_json("run.json", &json!({ "program": "test", "version": "1", "options": options })).unwrap();
        if let Some(report) = report {
            folder.write_json(REPORT, &report).unwrap();
        }
    }

    #[test]
    fn runs_are_grouped_by_their_options() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for (seed, score) in [(0, 0.5), (1, 0.7), (2, 0.9)] {
            let report = json!({ "seed": seed, "score": score, "name": "x", "rate": 0.1 });
            write(at(&format!("a/seed-{seed}")), json!({ "seed": seed, "rate": 0.1 }), Some(report));
        }
        write(at("b/seed-0"), json!({ "seed": 0, "rate": 0.2 }), Some(json!({ "score": 1.0, "extra": null })));
        write(at("b/deeper/seed-1"), json!({ "seed": 1, "rate": 0.2 }), None);
        // A folder and one within it give each run once.
        let found = groups(&[root.path().into(), at("b/seed-0")]).unwrap();
        assert_eq!(found.len(), 2);
        let score = found[0].statistics["score"];
        assert!((score.mean - 0.7).abs() < 1e-12 && (score.sd.unwrap() - 0.2).abs() < 1e-12, "{score:?}");
        assert_eq!((score.runs, score.min, score.max), (3, 0.5, 0.9));
        assert_eq!(found[0].statistics.len(), 1);
        assert_eq!(found[1].statistics["score"].sd, None);
        assert_eq!(found[1].unfinished[&1], at("b/deeper/seed-1"));
        let text = tables(&found);
        assert!(text.contains("test rate=0.1\n  3 finished, seeds 0, 1, 2\n"), "{text}");
        assert!(text.contains("not finished: seed 1"), "{text}");
    }

    #[test]
    fn the_same_run_twice_and_a_folder_without_runs_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        write(at("a"), json!({ "seed": 3 }), Some(json!({})));
        write(at("b"), json!({ "seed": 3 }), None);
        let told = groups(&[at("a"), at("b")]).unwrap_err();
        assert!(told.contains("hold the same run of test (seed 3)"), "{told}");
        std::fs::create_dir(at("empty")).unwrap();
        let told = groups(&[at("empty")]).unwrap_err();
        assert!(told.contains("has no run, at any depth"), "{told}");
        assert!(groups(&[at("nowhere")]).unwrap_err().contains("nowhere"));
    }
}
