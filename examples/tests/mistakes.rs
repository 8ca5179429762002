//! Tests the error messages of the programs. A table has the arguments of each mistake, and parts
//! of the message.

use std::path::Path;
use std::process::Command;

/// Runs a program in a folder. Returns its exit code and its standard error.
fn told(program: &str, arguments: &[&str], folder: &Path) -> (i32, String) {
    let output = Command::new(program).args(arguments).current_dir(folder).output().unwrap();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).to_string())
}

const XOR: &str = env!("CARGO_BIN_EXE_delayed-xor");
const AUTOENCODER: &str = env!("CARGO_BIN_EXE_autoencoder");
const COMPARE: &str = env!("CARGO_BIN_EXE_compare");
const CLASSIFY: &str = env!("CARGO_BIN_EXE_classify");
const GENERATE: &str = env!("CARGO_BIN_EXE_generate");
const PULSE_ORDER: &str = env!("CARGO_BIN_EXE_pulse-order");
const TINY: [&str; 8] = ["--epochs", "1", "--iterations", "1", "--batch", "2", "--max-gap", "30"];

#[test]
fn programs() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    std::fs::write(folder.join("file"), b"").unwrap();
    let (code, message) = told(XOR, &[&TINY[..], &["--neurons", "3", "--out", "run"]].concat(), folder);
    assert_eq!(code, 0, "{message}");
    std::fs::create_dir(folder.join("empty")).unwrap();
    std::fs::create_dir(folder.join("broken")).unwrap();
    std::fs::write(folder.join("broken/run.json"), b"{ \"prog").unwrap();

    let mut rows: Vec<(&str, &[&str], &[&str])> = vec![
        (XOR, &["--out", "file/run"], &["file/run", "cannot be written", "--out"]),
        (COMPARE, &["--out", "file/run", "--steps", "10"], &["file/run", "cannot be written", "--out"]),
        (PULSE_ORDER, &["--out", "file/run"], &["file/run", "cannot be written", "--out"]),
        (XOR, &["--device", "abacus"], &["abacus", "possible values", "flex"]),
        (XOR, &["--max-gap", "20"], &["longest gap is 20", "at least the shortest gap, 30 ms"]),
        (XOR, &["--rounds", "0"], &["rounds is 0", "at least 1"]),
        (XOR, &["--neurons", "0"], &["neurons is 0", "at least 1"]),
        (XOR, &["--width", "1.5"], &["gate width is 1.5", "(0, 1]"]),
        (XOR, &["--epochs", "0"], &["--epochs", "0"]),
        (XOR, &["--fresh", "2"], &["--fresh is 2", "in [0, 1]"]),
        (XOR, &["--rest", "-1"], &["--rest is -1", "at least 0"]),
        (XOR, &["--average", "1"], &["--average is 1", "in [0, 1)"]),
        (XOR, &["--limit", "3"], &["--limit is for exact adjoints", "--gradient exact"]),
        (XOR, &["--from", "run", "--out", "next"], &["3 neurons", "80"]),
        (XOR, &["--from", "empty", "--out", "next"], &["empty", "finished run"]),
        (XOR, &["--limit", "-3", "--gradient", "exact"], &["adjoint's limit is -3", "above 0"]),
        (XOR, &["--chunks", "3"], &["chunks_per_epoch is 50", "multiple of chunks_per_trial = 3"]),
        (XOR, &["--train-gap", "20"], &["--train-gap is 20 ms", "at least 30", "shortest gap"]),
        (XOR, &["--grow", "0.9"], &["a schedule from 30 to 600", "never gets there"]),
        (XOR, &["--gradient", "surrogate"], &["surrogate", "possible values", "mean-field"]),
        (CLASSIFY, &["--task", "mnist"], &["mnist", "possible values", "yin-yang"]),
        (CLASSIFY, &["--epochs", "0"], &["--epochs is 0", "at least 1"]),
        (CLASSIFY, &["--rate", "0"], &["--rate is 0", "above 0"]),
        (CLASSIFY, &["--dt", "100"], &["steps is 0", "at least 1"]),
        (CLASSIFY, &["--jitter", "NaN"], &["--jitter is NaN", "at least 0"]),
        (CLASSIFY, &["--neurons", "0"], &["d_hidden is 0", "at least 1"]),
        (CLASSIFY, &["--input-tau", "0"], &["input filter is 0", "above 0"]),
        (CLASSIFY, &["--task", "graz-xor", "--input-tau", "3"], &["--input-tau", "leave it out"]),
        (CLASSIFY, &["--iterations", "5"], &["--iterations", "always new", "leave it out"]),
        (CLASSIFY, &["--task", "shd"], &["--data DIR", "shd_train.h5", "zenkelab.org"]),
        (CLASSIFY, &["--task", "shd", "--data", "empty"], &["shd_train.h5, the whole file"]),
        (CLASSIFY, &["--task", "dvs-gesture", "--data", "empty"], &["trials_to_train.txt", "the whole file"]),
        (CLASSIFY, &["--data", "empty"], &["--data is empty", "drawn", "leave it out"]),
        (CLASSIFY, &["--length", "50"], &["--length", "recorded data", "leave it out"]),
        (CLASSIFY, &["--tau-adapt", "50"], &["--tau-adapt", "--neuron alif"]),
        (CLASSIFY, &["--surrogate", "fast-sigmoid", "--slope", "0"], &["surrogate's slope is 0", "above 0"]),
        (CLASSIFY, &["--surrogate", "fast-sigmoid", "--neuron", "qif"], &["serves LIF neurons", "--neuron lif"]),
        (CLASSIFY, &["--surrogate", "triangle", "--width", "0.3"], &["--width", "--surrogate", "cannot be used with"]),
        (CLASSIFY, &["--keep", "2"], &["kept of the adjoint", "is 2", "(0, 1]"]),
        (CLASSIFY, &["--task", "evidence", "--tables", "t"], &["--tables", "always new"]),
        (GENERATE, &["--outputs", "0"], &["outputs is 0", "at least 1"]),
        (GENERATE, &["--rate", "inf"], &["--rate is inf", "finite"]),
        (GENERATE, &["--width", "2"], &["gate width is 2", "(0, 1]"]),
        (COMPARE, &["--width", "0"], &["gate width is 0", "(0, 1]"]),
        (COMPARE, &["--batch", "0"], &["--batch", "at least 1"]),
        (COMPARE, &["--synapses", "0"], &["--synapses", "at least 1"]),
        (COMPARE, &["--neuron", "lif2"], &["lif2", "possible values", "qif"]),
        (XOR, &["--out", "run"], &["already holds a run", "--resume run", "--out", "--overwrite"]),
        (XOR, &["--resume", "run", "--seed", "1"], &["--resume", "cannot be used with"]),
        (XOR, &["--resume", "nowhere"], &["nowhere holds no run", "run.json"]),
        (XOR, &["--resume", "empty"], &["empty holds no run", "run.json"]),
        (XOR, &["--resume", "broken"], &["broken/run.json", "no record of a run"]),
        (AUTOENCODER, &["--resume", "run"], &["run of delayed-xor", "with that program"]),
    ];
    if !cfg!(feature = "ndarray") {
        rows.push((XOR, &["--device", "ndarray"], &["without the device ndarray", "--features ndarray"]));
    }
    for (program, arguments, parts) in rows {
        let (code, message) = told(program, arguments, folder);
        assert!(code == 1 || code == 2, "{arguments:?}: code {code}, {message}");
        assert!(!message.contains("panicked"), "{arguments:?}: {message}");
        for part in parts {
            assert!(message.contains(part), "{arguments:?}: \"{part}\" is missing from \"{message}\"");
        }
    }
    assert!(!folder.join("nowhere").exists(), "asking to resume a folder must not make it");
    assert!(!folder.join("runs").exists(), "a refused run must leave nothing behind");
}

#[test]
fn checkpoints() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let train = |name: &str, neurons: &str, more: &[&str]| {
        let arguments = [&TINY[..], &["--neurons", neurons, "--out", name], more].concat();
        let (code, message) = told(XOR, &arguments, folder);
        assert_eq!(code, 0, "{message}");
    };
    train("run", "3", &[]);
    train("other", "4", &[]);
    let file = |run: &str, part: &str| folder.join(run).join(format!("checkpoint/{part}-1.bpk"));
    let refused = |parts: &[&str]| {
        let (code, message) = told(XOR, &["--resume", "run"], folder);
        assert!(code == 1 && !message.contains("panicked"), "code {code}, {message}");
        for part in parts {
            assert!(message.contains(part), "\"{part}\" is missing from \"{message}\"");
        }
    };
    std::fs::copy(file("other", "model"), file("run", "model")).unwrap();
    refused(&["model-1.bpk", "belongs to another model", "resume the folder that it came from"]);
    std::fs::write(file("run", "model"), b"no record").unwrap();
    refused(&["checkpoint 1 cannot be read", "no checkpoint in run", "--overwrite"]);
    std::fs::remove_file(file("run", "optim")).unwrap();
    refused(&["checkpoint 1 is incomplete", "--overwrite"]);
    train("run", "3", &["--overwrite"]);
}

#[test]
fn two_programs_in_one_folder() {
    use burn_spiking_examples::run::{Place, Run};
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("run");
    let place = |overwrite: bool| Place { out: Some(folder.clone()), overwrite, ..Place::default() };
    let first = Run::open("test", &place(false), 1, |_| Ok(())).unwrap();
    let message = Run::open("test", &place(true), 2, |_| Ok(())).unwrap_err();
    assert!(message.contains("another program is running in"), "{message}");
    drop(first);
    assert_eq!(Run::open("test", &place(true), 2, |_| Ok(())).unwrap().options, 2);
}
