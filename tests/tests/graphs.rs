//! NIR graphs: files that NIR's own library wrote, networks that come back, and graphs that are
//! refused.

use burn::nn::LinearConfig;
use burn::tensor::{DType, Device, Tensor, TensorData};
use burn_spiking::{
    Gate, InitialWeights, Neuron, SpikingNetwork, SpikingRnn, SpikingRnnConfig, SpikingState, Synapse, Trajectory,
    Wiring,
};
use burn_spiking_exchange::ExchangeError;
use burn_spiking_exchange::nir::{Field, Graph, ImportOptions, Node, Spikes, export, export_layer};
use burn_spiking_exchange::state_dict::{self, Modules, NorseConstants, SpikingJellyConstants};
use burn_spiking_tests::{devices, numbers, relative_distance};
use proptest::prelude::*;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden").join(name)
}

/// What the equations of a graph give, by small steps; see `golden/graphs.py`.
#[derive(Deserialize)]
struct Found {
    duration_ms: f64,
    events: Vec<(f64, usize)>,
    spikes: Vec<usize>,
    output: Vec<f64>,
}

/// The input of a run, `[1, T, C]`: one charge for each (step, channel).
fn charges(events: impl Iterator<Item = (usize, usize)>, steps: usize, channels: usize) -> Tensor<3> {
    let mut charges = vec![0.0; steps * channels];
    events.for_each(|(step, channel)| charges[step * channels + channel] += 1.0);
    Tensor::from_data(TensorData::new(charges, [1, steps, channels]), (&devices()[0], DType::F64))
}

/// The spikes of each neuron in a run of one sample.
fn spikes_of(trajectory: &Trajectory) -> Vec<usize> {
    let charge = trajectory.charge.clone().unwrap().sum_dim(1);
    numbers(charge).iter().map(|&spikes| spikes.round() as usize).collect()
}

const GRAPHS: [&str; 4] = ["cuba", "lif", "nested", "if"];

/// Runs an imported graph. Returns the spikes of each neuron, and the output at the end.
fn run(name: &str, found: &Found, dt: f64) -> (Vec<usize>, Vec<f64>) {
    let graph = Graph::read(golden(&format!("{name}.nir"))).unwrap();
    let options = ImportOptions::default().with_spikes(Spikes::Impulse).with_dt(dt);
    let imported = graph.import_as(&options, (&devices()[0], DType::F64)).unwrap();
    let network = imported.into_network().unwrap();
    let config = network.layer.config().clone();
    let steps = (found.duration_ms / dt).round() as usize;
    let events = found.events.iter().map(|&(time, channel)| ((time / dt).round() as usize, channel));
    let input = charges(events, steps, config.d_input);
    // The neurons begin at their reset, which is 0.
    let v = Tensor::zeros([1, config.d_hidden], (&devices()[0], DType::F64));
    let start = SpikingState::from_potential(v, config.synapses.len());
    let (run, _) = network.forward_recording(input, Some(start));
    let spikes = spikes_of(run.trajectory());
    let [_, _, outputs] = run.output.dims();
    let output = numbers(run.output.narrow(1, steps - 1, 1));
    assert_eq!(output.len(), outputs);
    (spikes, output)
}

/// Both programs err by a share of their steps, which halves with the step.
#[test]
fn graphs_of_other_tools_run_as_their_equations_say() {
    let text = std::fs::read_to_string(golden("graphs.json")).unwrap();
    let all: BTreeMap<String, Found> = serde_json::from_str(&text).unwrap();
    for name in GRAPHS {
        let found = &all[name];
        let size = found.output.iter().fold(0.0, |size: f64, x| size.max(x.abs()));
        let [coarse, fine] = [0.2, 0.05].map(|dt| {
            let (spikes, output) = run(name, found, dt);
            assert_eq!(spikes, found.spikes, "{name} in steps of {dt} ms");
            let errors = output.iter().zip(&found.output).map(|(a, b)| (a - b).abs());
            errors.fold(0.0, f64::max) / size
        });
        println!(
            "{name}: {:?} spikes, errors {coarse:.4} in steps of 0.2 ms, {fine:.4} in steps of 0.05 ms",
            found.spikes
        );
        assert!(fine < 0.03 && fine < 0.6 * coarse, "{name}: {coarse} {fine}");
    }
}

#[test]
fn files_of_other_tools_come_back_node_for_node() {
    for name in GRAPHS {
        let graph = Graph::read(golden(&format!("{name}.nir"))).unwrap();
        let again = Graph::from_bytes(graph.to_bytes().unwrap(), "again").unwrap();
        assert_eq!(again, graph);
    }
}

/// A network with these synapse types, whose weights are not 0.
fn network(config: SpikingRnnConfig) -> SpikingNetwork {
    let device = &devices()[0];
    device.seed(3);
    let initial = InitialWeights { input: 1.0, recurrent: 0.7, bias: 0.9 };
    let layer = config.with_initial(Some(initial)).init((device, DType::F64)).unwrap();
    let readout = LinearConfig::new(layer.config().d_hidden, 2).init(device);
    let double = |tensor: Tensor<2>| Tensor::from_data(tensor.into_data(), (device, DType::F64));
    let readout = burn::nn::Linear {
        weight: readout.weight.map(double),
        bias: readout.bias.map(|bias| bias.map(|b: Tensor<1>| Tensor::from_data(b.into_data(), (device, DType::F64)))),
    };
    SpikingNetwork::new(layer, readout).unwrap()
}

fn configs() -> Vec<SpikingRnnConfig> {
    let lif =
        SpikingRnnConfig::new(3, 7).with_neuron(Neuron::Lif { tau_mem: 17.3 }).with_gate(Gate::Quintic { width: 0.3 });
    vec![
        // One CubaLIF node.
        lif.clone().with_synapses(vec![Synapse::new(11.1)]).with_input_tau(Some(11.1)),
        lif.clone().with_synapses(vec![Synapse::readout_only(11.1)]).with_input_tau(Some(11.1)).with_bias(false),
        // LIF nodes with synapses beside them.
        lif.clone().with_synapses(vec![Synapse::new(9.0)]),
        lif.clone()
            .with_synapses(vec![
                Synapse::readout_only(30.0),
                Synapse::recurrent_only(5.0).with_delay(3.0),
                Synapse::recurrent_only(5.0),
                Synapse::adaptation(200.0, 0.1),
            ])
            .with_input_tau(Some(4.0))
            .with_dt(0.5)
            .with_autapses(true),
        lif.clone().with_wiring(Wiring::Sparse { share: 0.5, seed: 1 }).with_dale(Some(0.6)),
        SpikingRnnConfig::new(2, 5).with_neuron(Neuron::Nif).with_time_unit(Some(13.0)),
    ]
}

#[test]
fn networks_come_back_from_their_graphs() {
    for config in configs() {
        for spikes in [Spikes::Impulse, Spikes::Pulse { dt: 0.3 }] {
            let network = network(config.clone());
            let graph = export(&network, spikes).unwrap();
            let graph = Graph::from_bytes(graph.to_bytes().unwrap(), "graph").unwrap();
            let imported = graph.import_as(&ImportOptions::default(), (&devices()[0], DType::F64)).unwrap();
            assert_eq!(imported.notes, Vec::<String>::new());
            let back = imported.into_network().unwrap();
            let (a, b) = (network.layer.config().clone(), back.layer.config().clone());
            assert_eq!(SpikingRnnConfig { initial: None, ..a }, SpikingRnnConfig { initial: None, ..b });
            let input = Tensor::from_data(
                TensorData::new(
                    (0..40 * config.d_input).map(|k| (0.37 * k as f64).sin()).collect(),
                    [1, 40, config.d_input],
                ),
                (&devices()[0], DType::F64),
            );
            let of = |network: &SpikingNetwork| numbers(network.forward(input.clone(), None).0.output);
            let far = relative_distance(&of(&back), &of(&network));
            assert!(far < 1e-9, "{far:e} for {config}");
        }
    }
}

/// A layer whose graph has no node for a synapse type that is only read, and whose τ_u is τ of this
/// type.
#[test]
fn layers_come_back_with_the_traces_that_are_read() {
    let config = SpikingRnnConfig::new(2, 5)
        .with_neuron(Neuron::Nif)
        .with_synapses(vec![Synapse::readout_only(30.0), Synapse::recurrent_only(5.0)]);
    let layer = network(config.clone()).layer;
    let graph = export_layer(&layer, Spikes::Impulse).unwrap();
    let back = graph.import_as(&ImportOptions::default(), (&devices()[0], DType::F64)).unwrap();
    assert!(back.readout.is_none() && back.notes.is_empty());
    assert_eq!(SpikingRnnConfig { initial: None, ..back.layer.config().clone() }, config);
    let input = Tensor::ones([1, 40, 2], (&devices()[0], DType::F64));
    let of = |layer: &SpikingRnn| numbers(layer.forward(input.clone(), None).0.trace().clone());
    assert!(relative_distance(&of(&back.layer), &of(&layer)) < 1e-9);
}

#[test]
fn what_nir_cannot_say_is_refused() {
    let refused = |config: SpikingRnnConfig| export(&network(config), Spikes::Impulse).unwrap_err().to_string();
    let told = refused(SpikingRnnConfig::new(2, 3));
    assert!(told.contains("no node for the neuron QIF"), "{told}");
    let lif = SpikingRnnConfig::new(2, 3).with_neuron(Neuron::Lif { tau_mem: 20.0 });
    assert!(refused(lif.clone().with_learned_start(true)).contains("learns its start"));
    let told = export(&network(lif), Spikes::Pulse { dt: 0.0 }).unwrap_err().to_string();
    assert!(told.contains("is 0 ms, but must be above 0"), "{told}");
}

/// The graph of a simple network, changed by `change`, and the error when it is imported.
fn error_of(change: impl FnOnce(&mut Graph)) -> String {
    let mut graph = export(&network(configs().remove(2)), Spikes::Impulse).unwrap();
    change(&mut graph);
    match graph.import(&ImportOptions::default(), &devices()[0]) {
        Ok(_) => panic!("the graph is accepted"),
        Err(error) => error.to_string(),
    }
}

fn set(graph: &mut Graph, node: &str, name: &str, field: Field) {
    match graph.nodes.get_mut(node) {
        Some(Node::Unit { fields, .. }) => fields.insert(name.into(), field),
        _ => panic!("there is no node {node}"),
    };
}

#[test]
fn graphs_that_are_no_networks_are_refused_with_the_node() {
    let told = error_of(|graph| graph.metadata.clear());
    assert!(told.contains("does not say what a spike is"), "{told}");
    let told =
        error_of(|graph| set(graph, "neurons", "tau", Field::of(&[7], vec![0.01, 0.02, 0.02, 0.02, 0.02, 0.02, 0.02])));
    assert!(told.contains("node \"neurons\"") && told.contains("0.01 and 0.02"), "{told}");
    let told = error_of(|graph| set(graph, "synapse_0", "tau", Field::of(&[], vec![-0.1])));
    assert!(told.contains("node \"synapse_0\"") && told.contains("is -0.1 s"), "{told}");
    let told = error_of(|graph| set(graph, "readout", "weight", Field::of(&[2, 2], vec![0.0; 4])));
    assert!(told.contains("node \"readout\"") && told.contains("2 inputs"), "{told}");
    let told = error_of(|graph| set(graph, "input_weights", "weight", Field::of(&[7, 3], vec![f64::NAN; 21])));
    assert!(told.contains("node \"input_weights\"") && told.contains("NaN"), "{told}");
    let told = error_of(|graph| set(graph, "neurons", "v_reset", Field::of(&[7], vec![2.0; 7])));
    assert!(told.contains("above v_reset"), "{told}");
    let told = error_of(|graph| graph.edges.push(("nowhere".into(), "neurons".into())));
    assert!(told.contains("node \"nowhere\"") && told.contains("no such node"), "{told}");
    let told = error_of(|graph| {
        graph.nodes.insert("flat".into(), Node::unit("Flatten", []));
        graph.edges.push(("input".into(), "flat".into()));
        graph.edges.push(("flat".into(), "neurons".into()));
    });
    assert!(told.contains("node \"flat\"") && told.contains("no Flatten node"), "{told}");
    let told = error_of(|graph| {
        graph.edges.push(("neurons".into(), "direct".into()));
        graph.edges.push(("direct".into(), "neurons".into()));
        graph.nodes.insert("direct".into(), Node::unit("Linear", [("weight", Field::of(&[7, 7], vec![0.1; 49]))]));
    });
    assert!(told.contains("node \"direct\"") && told.contains("without a synapse"), "{told}");
    // A cycle beside the neurons.
    let told = error_of(|graph| {
        for name in ["a", "b"] {
            graph.nodes.insert(name.into(), Node::unit("Linear", [("weight", Field::of(&[7, 7], vec![0.1; 49]))]));
        }
        graph.edges.extend([("a", "b"), ("b", "a"), ("a", "neurons")].map(|(from, to)| (from.into(), to.into())));
    });
    assert!(told.contains("one path") || told.contains("cycle"), "{told}");
    let told = error_of(|graph| graph.edges.push(("neurons".into(), "synapse_0".into())));
    assert!(told.contains("two edges lead to it from \"neurons\""), "{told}");
    let told = error_of(|graph| graph.edges.push(("output".into(), "neurons".into())));
    assert!(told.contains("leads out of this output"), "{told}");
    let told = error_of(|graph| set(graph, "readout", "weight", Field::of(&[2, 7], vec![0.0; 3])));
    assert!(told.contains("node \"readout\"") && told.contains("other numbers of values"), "{told}");
    let told = error_of(|graph| {
        for name in ["v_threshold", "tau", "r", "v_leak", "v_reset"] {
            set(graph, "neurons", name, Field::of(&[], vec![0.5]));
        }
        set(graph, "input_weights", "weight", Field::of(&[0, 3], Vec::new()));
    });
    assert!(told.contains("0 neurons"), "{told}");
    let told = error_of(|graph| {
        // Feedback through the input of a graph inside.
        let inner = Graph {
            nodes: ["Input", "Output", "Linear"].map(|kind| (kind.into(), Node::unit(kind, []))).into(),
            edges: [("Input", "Linear"), ("Linear", "Output"), ("Linear", "Input")]
                .map(|(a, b)| (a.into(), b.into()))
                .into(),
            ..Graph::default()
        };
        graph.nodes.insert("inner".into(), Node::Graph(inner));
    });
    assert!(told.contains("leads into this input"), "{told}");
    let told = error_of(|graph| {
        graph.metadata.insert("burn_spiking".into(), Field::text("{}"));
    });
    assert!(told.contains("metadata \"burn_spiking\""), "{told}");
}

#[test]
fn weights_that_do_not_fit_the_exported_wiring_are_kept() {
    let mut graph = export(&network(configs().remove(4)), Spikes::Impulse).unwrap();
    let weights = Field::of(&[7, 7], (0..49).map(|k| k as f64 - 20.0).collect());
    set(&mut graph, "recurrent_weights_00", "weight", weights);
    let imported = graph.import_as(&ImportOptions::default(), (&devices()[0], DType::F64)).unwrap();
    assert!(imported.notes[0].contains("do not fit the wiring"), "{:?}", imported.notes);
    let layer = imported.layer;
    let found = numbers(layer.effective_weights(0).unwrap().transpose());
    assert!(found.iter().enumerate().all(|(k, w)| (w - (k as f64 - 20.0)).abs() < 1e-9), "{found:?}");
}

fn file_error(bytes: Vec<u8>) -> Option<String> {
    match Graph::from_bytes(bytes, "damaged.nir") {
        Ok(_) => None,
        Err(error) => {
            assert!(matches!(error, ExchangeError::File { .. }), "{error}");
            Some(error.to_string())
        }
    }
}

#[test]
fn foreign_and_truncated_files_are_refused() {
    let told = file_error(b"not a graph".to_vec()).unwrap();
    assert!(told.contains("damaged.nir") && told.contains("write it again"), "{told}");
    assert!(file_error(Vec::new()).is_some());
    let whole = std::fs::read(golden("cuba.nir")).unwrap();
    for length in (0..whole.len()).step_by(997) {
        file_error(whole[..length].to_vec());
    }
    let told = Graph::read("missing.nir").unwrap_err().to_string();
    assert!(told.contains("missing.nir"), "{told}");
    // HDF5, but no graph.
    let other = std::fs::read(
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../crates/burn-spiking-tasks/data/heidelberg-layout.h5"),
    );
    assert!(file_error(other.unwrap()).unwrap().contains("/node"));
}

/// Number of damaged files; `GRAPH_DRAWS` gives another.
fn draws() -> u32 {
    std::env::var("GRAPH_DRAWS").map_or(10_000, |text| text.parse().expect("GRAPH_DRAWS is a number"))
}

#[test]
fn damaged_files_give_errors_and_never_panic() {
    let device = Device::default();
    let files = GRAPHS.map(|name| std::fs::read(golden(&format!("{name}.nir"))).unwrap());
    let own = export(&network(configs().remove(3)), Spikes::Impulse).unwrap().to_bytes().unwrap();
    let files: Vec<Vec<u8>> = files.into_iter().chain([own]).collect();
    let damage = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12);
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(draws()) };
    let mut runner = prop::test_runner::TestRunner::new(config);
    let refused = std::cell::Cell::new(0);
    let tried = runner.run(&(0..files.len(), damage, any::<bool>()), |(which, damage, near_start)| {
        let mut bytes = files[which].clone();
        // Half of the draws damage the headers, which are at the start.
        let range = if near_start { bytes.len().min(4096) } else { bytes.len() };
        for (at, byte) in damage {
            bytes[at.index(range)] = byte;
        }
        match Graph::from_bytes(bytes, "damaged.nir") {
            Ok(graph) => drop(graph.import(&ImportOptions::default().with_spikes(Spikes::Impulse), &device)),
            Err(_) => refused.set(refused.get() + 1),
        }
        Ok(())
    });
    tried.unwrap_or_else(|error| panic!("{error}"));
    assert!(refused.get() > draws() / 20, "only {} were refused", refused.get());
}

/// Writes the graph that `golden/libraries.py` gives to Norse. Run it by
/// `cargo test --test graphs -- --ignored`, and the script after it, if the format changes.
#[test]
#[ignore = "writes golden/own.nir"]
fn write_the_graph_for_other_libraries() {
    export_layer(&layer_for_others(), Spikes::Pulse { dt: STEP }).unwrap().write(golden("own.nir")).unwrap();
}

/// The step of the other libraries, ms.
const STEP: f64 = 0.1;

/// A recurrent layer that other libraries run, too.
fn layer_for_others() -> SpikingRnn {
    let device = &devices()[0];
    device.seed(11);
    SpikingRnnConfig::new(4, 10)
        .with_neuron(Neuron::Lif { tau_mem: 20.0 })
        .with_synapses(vec![Synapse::new(8.0)])
        .with_input_tau(Some(8.0))
        .with_gate(Gate::Threshold { at: 1.0 })
        .with_dt(STEP)
        // Norse 1.1.0 takes the leak potential, which has the bias, for the rest of the synapse,
        // too.
        .with_bias(false)
        .with_initial(Some(InitialWeights { input: 1.0, recurrent: 0.5, bias: 0.0 }))
        .init((device, DType::F64))
        .unwrap()
}

/// The input and the spikes of another library.
#[derive(Deserialize)]
struct Library {
    /// (step, channel).
    events: Vec<(usize, usize)>,
    spikes: Vec<usize>,
}

/// The other libraries take steps of Euler's method and reset at the end of a step (Norse), or in
/// the step after it without that step's input (snnTorch). So each interval between spikes may be
/// longer by one or three steps. In T steps, n spikes are fewer by up to n²/T or 3 n²/T then. Two
/// more are allowed, since the neurons that send to each other are late, too.
#[test]
fn other_libraries_count_the_same_spikes() {
    let text = std::fs::read_to_string(golden("libraries.json")).unwrap();
    let all: BTreeMap<String, Library> = serde_json::from_str(&text).unwrap();
    let options = ImportOptions::default().with_spikes(Spikes::Pulse { dt: STEP });
    for (name, file, longer) in [("norse", "own.nir", 1), ("snntorch", "snntorch.nir", 3)] {
        let (wanted, steps) = (&all[name], 3000);
        let graph = Graph::read(golden(file)).unwrap();
        let imported = graph.import_as(&options, (&devices()[0], DType::F64)).unwrap();
        let (layer, config) = (&imported.layer, imported.layer.config());
        assert_eq!(config.dt, STEP);
        let input = charges(wanted.events.iter().copied(), steps, config.d_input);
        let (trajectory, _) = layer.forward_recording(input, None);
        let found = spikes_of(&trajectory);
        println!("{name}: {:?} spikes there, {found:?} here", wanted.spikes);
        assert!(wanted.spikes.iter().sum::<usize>() > 50);
        for (&there, &here) in wanted.spikes.iter().zip(&found) {
            let late = (longer * here * here) as f64 / steps as f64;
            assert!((here as f64 - there as f64).abs() <= 2.0 + late, "{here} spikes here, {there} in {name}");
        }
    }
}

/// A network of a state dict: its input, its potentials without spikes, its spikes, and the sums of
/// its outputs.
#[derive(Deserialize)]
struct States {
    /// (step, channel).
    events: Vec<(usize, usize)>,
    potentials: Vec<f64>,
    spikes: Vec<usize>,
    output: Vec<f64>,
}

fn modules(input: Option<&str>, neurons: &str) -> Modules {
    Modules { input: input.map(String::from), neurons: neurons.into(), readout: Some("fc2".into()) }
}

#[test]
fn state_dicts_step_like_their_libraries() {
    let text = std::fs::read_to_string(golden("states.json")).unwrap();
    let all: BTreeMap<String, States> = serde_json::from_str(&text).unwrap();
    let (device, dt) = (&devices()[0], 1.0);
    for (name, states) in &all {
        let end = if name.starts_with("jelly") { "pt" } else { "safetensors" };
        let file = golden(&format!("{name}.{end}"));
        let usual = SpikingJellyConstants::default();
        let graph = match name.as_str() {
            "norse-cell" => state_dict::norse(file, &modules(None, "cell"), NorseConstants::default(), dt),
            "jelly-container" => {
                let constants = SpikingJellyConstants { tau: 12.0, decay_input: false, reset: -0.1, ..usual };
                state_dict::spikingjelly(file, &modules(Some("fc1"), "cell"), constants, dt)
            }
            "jelly-plif" => {
                let constants = SpikingJellyConstants { threshold: 0.8, ..usual };
                state_dict::spikingjelly(file, &modules(Some("fc1"), "cell"), constants, dt)
            }
            _ => state_dict::snntorch(file, &modules(Some("fc1"), "lif1"), dt),
        };
        let graph = graph.unwrap();
        let options = ImportOptions::default().with_spikes(Spikes::Pulse { dt });
        let run = |graph: &Graph, steps: usize| {
            let network = graph.import_as(&options, (device, DType::F64)).unwrap().into_network().unwrap();
            let input = charges(states.events.iter().copied().filter(|(step, _)| *step < steps), steps, 3);
            network.forward_recording(input, None)
        };
        // With a threshold of 1e6, potentials are in units of 1e6 above the reset, and no neuron
        // spikes.
        let mut silent = graph.clone();
        set(&mut silent, "neurons", "v_threshold", Field::of(&[6], vec![1e6; 6]));
        let (_, state) = run(&silent, 40);
        let reset = if name == "jelly-container" { -0.1 } else { 0.0 };
        let potentials: Vec<f64> = numbers(state.v).into_iter().map(|v| reset + (1e6 - reset) * v).collect();
        let far = relative_distance(&potentials, &states.potentials);
        assert!(far < 1e-5, "{name}: {potentials:?}, there {:?}", states.potentials);

        let (found, _) = run(&graph, 400);
        let spikes = spikes_of(found.trajectory());
        let output = numbers(found.output.sum_dim(1));
        println!(
            "{name}: {far:.1e}; spikes {:?} there, {spikes:?} here; outputs {:?}, {output:?}",
            states.spikes, states.output
        );
        assert!(spikes.iter().sum::<usize>() > 20);
        for (&there, &here) in states.spikes.iter().zip(&spikes) {
            let late = (3 * here * here) as f64 / 400.0;
            assert!((here as f64 - there as f64).abs() <= 2.0 + late, "{here} spikes here, {there} in {name}");
        }
    }
}

#[test]
fn state_dicts_that_do_not_fit_are_refused() {
    let file = golden("rsynaptic.safetensors");
    let told = |error: ExchangeError| error.to_string();
    let told_by = |input: &str, neurons: &str, dt: f64| {
        told(state_dict::snntorch(&file, &modules(Some(input), neurons), dt).unwrap_err())
    };
    let missing = told_by("fc9", "lif1", 1.0);
    assert!(missing.contains("fc9.weight: there is no such tensor") && missing.contains("lif1.beta"), "{missing}");
    assert!(told_by("fc1", "lif9", 1.0).contains("lif9."));
    assert!(told_by("fc1", "lif1", 0.0).contains("dt is 0 ms"));
    let none = told(state_dict::snntorch(&file, &modules(None, "lif1"), 1.0).unwrap_err());
    assert!(none.contains("name the linear module"), "{none}");
    let long = told(
        state_dict::norse(golden("norse-cell.safetensors"), &modules(None, "cell"), NorseConstants::default(), 6.0)
            .unwrap_err(),
    );
    assert!(long.contains("is -0.1999") && long.contains("in steps of 6 ms"), "{long}");
    let jelly = |file: &str, input: Option<&str>, constants: SpikingJellyConstants| {
        told(state_dict::spikingjelly(golden(file), &modules(input, "cell"), constants, 1.0).unwrap_err())
    };
    let usual = SpikingJellyConstants::default();
    let outputs = jelly("jelly-container.pt", Some("fc2"), usual);
    assert!(outputs.contains("fc2.weight") && outputs.contains("4 inputs"), "{outputs}");
    let short = jelly("jelly-container.pt", Some("fc1"), SpikingJellyConstants { tau: 1.0, ..usual });
    assert!(short.contains("tau is 1 steps"), "{short}");
    assert!(jelly("jelly-plif.pt", None, usual).contains("name the linear module"));
    // Norse's cell has input weights of 3 channels, behind which no module of 6 outputs fits.
    let two = state_dict::norse(
        golden("norse-cell.safetensors"),
        &modules(Some("fc2"), "cell"),
        NorseConstants::default(),
        1.0,
    );
    assert!(told(two.unwrap_err()).contains("fc2.weight: it has 2 outputs"));
    // A container is more than its neurons.
    let inside = Modules { readout: None, ..modules(Some("fc1"), "cell.sub_module") };
    let more = state_dict::spikingjelly(golden("jelly-container.pt"), &inside, usual, 1.0).unwrap_err();
    assert!(told(more).contains("cell.sub_module.0.bias: no neurons that are read"));
    let foreign = told(state_dict::snntorch(golden("cuba.nir"), &modules(Some("fc1"), "lif1"), 1.0).unwrap_err());
    assert!(foreign.contains("save_file"), "{foreign}");
}
