//! The program: it shows files, converts them, and refuses what it cannot do.

use burn::tensor::{DType, Device};
use burn_spiking::{InitialWeights, Neuron, SpikingNetworkConfig, SpikingRnnConfig};
use burn_spiking_exchange::nir::{Graph, Spikes, export};
use burn_spiking_exchange::weights::{self, Saved};
use std::path::Path;
use std::process::Command;

/// Runs the program in a folder. Returns whether it succeeded, and what it printed.
fn run(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let program = env!("CARGO_BIN_EXE_burn-spiking-exchange");
    let output = Command::new(program).current_dir(folder).args(arguments).output().unwrap();
    let printed = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (output.status.success(), printed)
}

#[test]
fn graphs_become_records_and_records_become_graphs() {
    let folder = tempfile::tempdir().unwrap();
    let layer = SpikingRnnConfig::new(2, 3).with_neuron(Neuron::Lif { tau_mem: 20.0 }).with_dt(0.5);
    let network = SpikingNetworkConfig::new(layer, 1).init(&Device::flex()).unwrap();
    let graph = export(&network, Spikes::Pulse { dt: 0.5 }).unwrap();
    graph.write(folder.path().join("a.nir")).unwrap();

    let (ok, shown) = run(folder.path(), &["inspect", "a.nir"]);
    assert!(ok && shown.contains("neurons  LIF") && shown.contains("readout -> output"), "{shown}");
    let (ok, told) = run(folder.path(), &["convert", "a.nir", "a.bpk"]);
    assert!(ok, "{told}");
    let (ok, told) = run(folder.path(), &["convert", "a.bpk", "b.nir"]);
    assert!(ok, "{told}");
    // In single precision, as the network is; so the graphs are equal.
    assert_eq!(Graph::read(folder.path().join("b.nir")).unwrap(), graph);
    let (ok, shown) = run(folder.path(), &["inspect", "a.bpk"]);
    assert!(ok && shown.contains("tau_mem"), "{shown}");

    // A layer without a readout.
    network.layer.save(folder.path().join("layer.bpk")).unwrap();
    let (ok, told) = run(folder.path(), &["convert", "layer.bpk", "layer.nir", "--spikes", "impulse"]);
    assert!(ok, "{told}");
    let graph = Graph::read(folder.path().join("layer.nir")).unwrap();
    assert_eq!(graph.before("output"), ["neurons"]);
    let (ok, told) = run(folder.path(), &["convert", "layer.nir", "again.bpk", "--width", "0.2"]);
    assert!(ok, "{told}");
    let config = SpikingRnnConfig::load_for_record(folder.path().join("again.bpk")).unwrap();
    assert_eq!((config.gate.width(), config.dt), (0.2, 0.5));
}

#[test]
fn records_become_safetensors_and_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let layer = SpikingRnnConfig::new(2, 3).with_neuron(Neuron::Lif { tau_mem: 20.0 }).with_dt(0.5);
    let network = SpikingNetworkConfig::new(layer, 1).init(&Device::flex()).unwrap();
    network.save(folder.path().join("a.bpk")).unwrap();
    network.layer.save(folder.path().join("layer.bpk")).unwrap();
    for name in ["a", "layer"] {
        let [from, to, again] = [".bpk", ".safetensors", "-again.bpk"].map(|end| format!("{name}{end}"));
        for (from, to) in [(&from, &to), (&to, &again)] {
            let (ok, told) = run(folder.path(), &["convert", from, to]);
            assert!(ok, "{told}");
        }
        let (ok, shown) = run(folder.path(), &["inspect", &to]);
        assert!(ok && shown.contains("input_weight  [2, 3]") && shown.contains("tau_mem"), "{shown}");
    }
    // Both have the same graph.
    for name in ["a.bpk", "a-again.bpk", "a.safetensors"] {
        let (ok, told) = run(folder.path(), &["convert", name, &format!("{name}.nir")]);
        assert!(ok, "{told}");
    }
    let graph = |name: &str| Graph::read(folder.path().join(name)).unwrap();
    assert_eq!(graph("a.bpk.nir"), graph("a-again.bpk.nir"));
    assert_eq!(graph("a.bpk.nir"), graph("a.safetensors.nir"));
    let (ok, told) = run(folder.path(), &["convert", "a.bpk", "b.safetensors", "--dt", "1"]);
    assert!(!ok && told.contains("a network has its own"), "{told}");
}

#[test]
fn double_precision_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let config = SpikingNetworkConfig::new(SpikingRnnConfig::new(2, 3), 1);
    let network = config.init((&Device::flex(), DType::F64)).unwrap();
    network.save(folder.path().join("a.bpk")).unwrap();
    for (from, to) in [("a.bpk", "a.safetensors"), ("a.safetensors", "b.bpk"), ("b.bpk", "b.safetensors")] {
        let (ok, told) = run(folder.path(), &["convert", from, to]);
        assert!(ok, "{told}");
    }
    let Saved::Network(again) = weights::read(folder.path().join("b.safetensors"), &Device::flex()).unwrap() else {
        panic!("a network")
    };
    assert_eq!(again.layer.input_weight.val().into_data(), network.layer.input_weight.val().into_data());
    std::fs::write(folder.path().join("events.csv"), "sample,time,unit\n0,30,0\n").unwrap();
    let (ok, told) = run(folder.path(), &["run", "b.safetensors", "events.csv"]);
    assert!(ok && told.contains("in 31.0 ms"), "{told}");
}

#[test]
fn a_state_dict_becomes_a_record_and_a_graph() {
    let folder = tempfile::tempdir().unwrap();
    let tensor = |shape: Vec<usize>| {
        let bytes: Vec<u8> =
            (0..shape.iter().product()).flat_map(|at: usize| (0.01 * at as f32).to_le_bytes()).collect();
        (shape, bytes)
    };
    let tensors = [("fc.weight", tensor(vec![3, 2])), ("lif.beta", (vec![], 0.9_f32.to_le_bytes().to_vec()))];
    let threshold = ("lif.threshold", (vec![], 1.0_f32.to_le_bytes().to_vec()));
    let views = tensors.iter().chain([&threshold]).map(|(name, (shape, bytes))| {
        (*name, safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes).unwrap())
    });
    std::fs::write(folder.path().join("model.safetensors"), safetensors::serialize(views, None).unwrap()).unwrap();
    let (ok, shown) = run(folder.path(), &["inspect", "model.safetensors"]);
    assert!(ok && shown.contains("fc.weight  [3, 2]"), "{shown}");
    let library = ["--library", "snntorch", "--input", "fc", "--neurons", "lif", "--dt", "1"];
    for to in ["a.bpk", "a.nir"] {
        let (ok, told) = run(folder.path(), &[&["convert", "model.safetensors", to][..], &library].concat());
        assert!(ok, "{told}");
    }
    let config = SpikingRnnConfig::load_for_record(folder.path().join("a.bpk")).unwrap();
    // beta is 0.9 in single precision.
    assert!((config.neuron.tau().unwrap() + 1.0 / 0.9_f64.ln()).abs() < 1e-5, "{config}");
}

#[test]
fn a_network_runs_on_the_events_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let layer = SpikingRnnConfig::new(2, 3).with_neuron(Neuron::Lif { tau_mem: 20.0 }).with_dt(0.5);
    let initial = InitialWeights { input: 0.0, recurrent: 0.0, bias: 2.0 };
    let network = SpikingNetworkConfig::new(layer.with_initial(Some(initial)), 1).init(&Device::flex()).unwrap();
    network.save(folder.path().join("a.bpk")).unwrap();
    network.layer.save(folder.path().join("layer.bpk")).unwrap();
    std::fs::write(folder.path().join("events.csv"), "sample,time,unit\n1,3,0\n0,199.9,1\n").unwrap();
    let (ok, told) = run(folder.path(), &["run", "a.bpk", "events.csv"]);
    // An interval is 20 ln 2 = 13.9 ms: 14 spikes of each neuron in 200 ms.
    assert!(ok && told.contains("sample 1: 42 spikes in 200.0 ms, 70.0 Hz in the mean"), "{told}");
    assert!(folder.path().join("run.npz").exists() && folder.path().join("run.png").exists());
    let (ok, told) = run(folder.path(), &["run", "a.bpk", "events.csv"]);
    assert!(!ok && told.contains("run.npz exists"), "{told}");
    let (ok, told) = run(folder.path(), &["run", "layer.bpk", "events.csv", "--duration", "300", "--out", "b.csv"]);
    assert!(ok && told.contains("sample 0: 63 spikes in 300.0 ms"), "{told}");
    let rows = std::fs::read_to_string(folder.path().join("b.csv")).unwrap();
    assert!(rows.starts_with("sample,time,unit\n0,") && rows.lines().count() == 1 + 2 * 63, "{rows}");

    let refused = |arguments: &[&str]| {
        let (ok, told) = run(folder.path(), arguments);
        assert!(!ok, "{arguments:?} succeeded: {told}");
        told
    };
    assert!(refused(&["run", "a.bpk", "missing.csv", "--out", "c.npz"]).contains("missing.csv"));
    assert!(refused(&["run", "a.bpk", "events.csv", "--out", "c.txt"]).contains(".npz or .csv"));
    assert!(refused(&["run", "a.bpk", "events.csv", "--out", "c.npz", "--dt", "1"]).contains("has its own"));
    assert!(!folder.path().join("c.npz").exists());
}

#[test]
fn mistakes_are_told_and_nothing_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |arguments: &[&str]| {
        let (ok, told) = run(folder.path(), arguments);
        assert!(!ok, "{arguments:?} succeeded: {told}");
        told
    };
    std::fs::write(folder.path().join("there.nir"), "mine").unwrap();
    std::fs::write(folder.path().join("bad.nir"), "not HDF5").unwrap();
    std::fs::write(folder.path().join("bad.safetensors"), [255; 20]).unwrap();
    assert!(refused(&["convert", "x.bpk", "there.nir"]).contains("there.nir exists"));
    assert_eq!(std::fs::read_to_string(folder.path().join("there.nir")).unwrap(), "mine");
    assert!(refused(&["convert", "x.txt", "y.nir"]).contains("must end in .nir"));
    assert!(refused(&["convert", "x.nir", "y.nir"]).contains("choose another file"));
    assert!(refused(&["convert", "x.safetensors", "y.bpk"]).contains("give --library"));
    assert!(refused(&["inspect", "bad.nir"]).contains("bad.nir, the file"));
    assert!(refused(&["inspect", "bad.safetensors"]).contains("bad.safetensors, the file"));
    assert!(refused(&["inspect", "missing.bpk"]).contains("missing.bpk"));
    assert!(refused(&["convert", "a.nir", "b.bpk", "--spikes", "0"]).contains("impulse"));
    assert!(refused(&["convert", "a.bpk", "b.nir", "--dt", "1"]).contains("for reading a graph"));
    assert!(refused(&["convert", "a.bpk", "b.nir", "--width", "0.5"]).contains("has no gate"));
    assert!(refused(&["convert", "a.safetensors", "b.nir", "--spikes", "1"]).contains("pulse of --dt"));
    let with_tau = ["convert", "x.pt", "y.bpk", "--library", "norse", "--neurons", "n", "--dt", "1", "--tau", "3"];
    assert!(refused(&with_tau).contains("--tau is for another library"));
    assert!(refused(&["convert", "x.pt", "y.bpk", "--tau", "3"]).contains("--library"));
    let with_library = ["convert", "bad.nir", "y.bpk", "--library", "norse", "--neurons", "n", "--dt", "1"];
    assert!(refused(&with_library).contains("for state dicts"));
    std::fs::write(folder.path().join("mine.bpk.json"), "mine").unwrap();
    assert!(refused(&["convert", "bad.nir", "mine.bpk"]).contains("mine.bpk.json exists"));
}
