//! Tests that an interrupted and resumed run ends like an uninterrupted one: with the same
//! parameters and the same history, bit for bit. An interruption is a stop, or a kill while the run
//! writes a checkpoint.

use burn::module::Module;
use burn::tensor::{Device, TensorData};
use burn_spiking::{Averaged, Scaling, Skipping, Streamed};
use burn_spiking_examples::checkpoint;
use burn_spiking_examples::delayed_xor::{Options, delayed_xor};
use burn_spiking_examples::network::ReadoutNetwork;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const NEURONS: usize = 6;
const EPOCHS: usize = 5;

fn program() -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_delayed-xor"));
    program.stdout(Stdio::null()).stderr(Stdio::piped());
    program
}

/// Makes the command of a small run in streams. Some trials start from fresh potentials. The gaps
/// grow for any score, so that the state of the schedule matters.
fn start(folder: &Path) -> Command {
    let mut program = program();
    program.args(["--neurons", &NEURONS.to_string(), "--epochs", &EPOCHS.to_string(), "--iterations", "3"]);
    program.args(["--batch", "4", "--max-gap", "60", "--seed", "7", "--fresh", "0.3", "--rounds", "2"]);
    program.args(["--grow-above", "0", "--grow-batches", "2", "--grow", "1.1", "--out"]).arg(folder);
    program
}

fn resume(folder: &Path) -> Command {
    let mut program = program();
    program.arg("--resume").arg(folder);
    program
}

fn finish(mut program: Command) {
    let output = program.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Returns the number of epochs with a whole line in the history.
fn judged(folder: &Path) -> usize {
    std::fs::read_to_string(folder.join("history.jsonl")).unwrap_or_default().matches('\n').count()
}

/// Runs a program until an epoch is in the history, then sends it a signal, and waits for its end.
fn interrupt(mut program: Command, folder: &Path, epoch: usize, signal: &str) -> Output {
    let child = program.spawn().unwrap();
    let started = Instant::now();
    while judged(folder) < epoch {
        assert!(started.elapsed() < Duration::from_secs(120), "epoch {epoch} never came");
        std::thread::sleep(Duration::from_millis(2));
    }
    let id = child.id().to_string();
    assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    child.wait_with_output().unwrap()
}

fn parameters(model: &ReadoutNetwork) -> Vec<TensorData> {
    let layer = &model.network.layer;
    vec![
        layer.input_weight.val().into_data(),
        layer.bias.as_ref().unwrap().val().into_data(),
        layer.recurrent_weights[0].val().into_data(),
        model.network.readout.weight.val().into_data(),
    ]
}

/// Returns the history with the schedule, and all numbers of the result: the states of the streams,
/// the norms of the gradients, and the parameters of the last epoch and of the saved model.
fn end_of(folder: &Path) -> (String, Vec<TensorData>) {
    let text = std::fs::read_to_string(folder.join("run.json")).unwrap();
    let run: serde_json::Value = serde_json::from_str(&text).unwrap();
    let options: Options = serde_json::from_value(run["options"].clone()).unwrap();
    let numbers = [checkpoint::file(folder, "model", EPOCHS), folder.join("model.bpk")].map(|path| {
        let (device, recipe) = (Device::default(), options.recipe());
        let network = delayed_xor(&options.task(), &recipe, &device).unwrap();
        if path.ends_with("model.bpk") {
            return parameters(&network.load_file(path));
        }
        let model = Scaling::new(Averaged::new(network, recipe.average).unwrap(), recipe.scale).unwrap();
        let model = Skipping::new(model);
        let streamed = Streamed::new(model, [options.sizes().streams, 1, NEURONS], &device).load_file(path);
        let states = vec![streamed.v.val().into_data(), streamed.s.val().into_data()];
        let norms = vec![streamed.model.model.norms.val().into_data()];
        let Averaged { model, average, .. } = &streamed.model.model.model;
        [states, norms, parameters(model), parameters(average)].concat()
    });
    (std::fs::read_to_string(folder.join("history.jsonl")).unwrap(), numbers.concat())
}

fn left_alone() -> (String, Vec<TensorData>) {
    let folder = tempfile::tempdir().unwrap();
    finish(start(folder.path()));
    end_of(folder.path())
}

#[test]
fn stopped_twice_and_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path();
    let go_on = || {
        let mut program = start(run);
        program.arg("--continue");
        program
    };
    for (program, epoch, signal) in [(go_on(), 1, "-INT"), (resume(run), 3, "-TERM")] {
        let output = interrupt(program, run, epoch, signal);
        let told = String::from_utf8_lossy(&output.stderr).to_string();
        assert_eq!(output.status.code(), Some(130), "{told}");
        assert!(told.contains("go on with --resume"), "{told}");
        assert!(judged(run) < EPOCHS, "it was stopped too late to tell");
    }
    finish(go_on());
    let (ours, alone) = (end_of(run), left_alone());
    assert_eq!(ours.0, alone.0);
    assert_eq!(ours.1, alone.1);
    // --continue leaves a finished run alone, and resuming it only writes the report again.
    let report = run.join("report.json");
    let written = std::fs::metadata(&report).unwrap().modified().unwrap();
    finish(go_on());
    assert_eq!(std::fs::metadata(&report).unwrap().modified().unwrap(), written);
    std::fs::remove_file(&report).unwrap();
    finish(resume(run));
    assert!(report.exists());
    assert_eq!(end_of(run), alone);
}

#[test]
fn killed_while_a_checkpoint_was_written() {
    let alone = left_alone();
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path();
    // The line of an epoch comes just before its checkpoint, so these kills hit the writing of a
    // checkpoint.
    interrupt(start(run), run, 2, "-KILL");
    interrupt(resume(run), run, 4, "-KILL");
    finish(resume(run));
    assert_eq!(end_of(run), alone);
}

#[test]
fn a_checkpoint_that_was_spoiled_is_passed_over() {
    let alone = left_alone();
    let spoil: [fn(&Path); 3] = [
        // The last part was not written.
        |run| std::fs::remove_file(checkpoint::file(run, "scheduler", 3)).unwrap(),
        // A file with its final name holds only half of its data, because the disk did not flush
        // it.
        |run| {
            let path = checkpoint::file(run, "model", 3);
            let whole = std::fs::read(&path).unwrap();
            std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        },
        // A partial file, and half a line in the history.
        |run| {
            std::fs::write(checkpoint::folder(run).join("partial-optim.bpk"), b"half").unwrap();
            let path = run.join("history.jsonl");
            std::fs::write(&path, std::fs::read_to_string(&path).unwrap() + "{\"epoch\":4,\"tr").unwrap();
        },
    ];
    for spoil in spoil {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path();
        interrupt(start(run), run, 3, "-INT");
        assert!((3..EPOCHS).contains(&judged(run)), "{}", judged(run));
        // If the run finished epoch 4, remove its checkpoint, as if it had stopped in epoch 4.
        for part in checkpoint::PARTS {
            let _ = std::fs::remove_file(checkpoint::file(run, part, 4));
        }
        spoil(run);
        finish(resume(run));
        assert_eq!(end_of(run), alone);
    }
}
