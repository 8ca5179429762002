//! Files that users keep stay readable: records, configurations, SafeTensors and NIR graphs that an
//! earlier commit wrote, with the traces that their networks had then.
//!
//! If one of these tests fails, users lose their trained networks. Give a new field of a
//! configuration a default (`Option`, or `#[serde(default)]`), or keep a reader of the old form;
//! do not write the files anew.

use burn::tensor::{DType, Tensor, TensorData};
use burn_spiking::neuron::{AdEx, AdExConstants, Alif};
use burn_spiking::{
    DelayOf, Gate, InitialWeights, Learn, Learned, Neuron, SpikingNetwork, SpikingNetworkConfig, SpikingRnn,
    SpikingRnnConfig, Synapse, Wiring,
};
use burn_spiking_exchange::nir::{Graph, ImportOptions, Spikes, export};
use burn_spiking_exchange::weights::{self, Saved};
use burn_spiking_tests::{devices, numbers, relative_distance};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

fn kept(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden/kept").join(name)
}

/// What the networks gave when their files were written.
#[derive(Serialize, Deserialize)]
struct Kept {
    layers: BTreeMap<String, Vec<f64>>,
    network: Vec<f64>,
    graph: Vec<f64>,
}

/// Layers with constants of every kind.
fn layers() -> Vec<(&'static str, SpikingRnnConfig)> {
    let base = || SpikingRnnConfig::new(2, 6);
    let learned =
        Learned { tau_mem: Learn::PerNeuron, tau_w: Learn::Shared, jump: Learn::PerNeuron, ..Learned::default() };
    let strong = Some(InitialWeights { input: 1.0, recurrent: 0.5, bias: 4.0 });
    vec![
        ("qif", base().with_gate(Gate::Quintic { width: 0.3 })),
        ("alif", base().with_neuron(Neuron::Alif(Alif::new(20.0, 100.0, 0.2))).with_learned(learned)),
        (
            "adex",
            base()
                .with_neuron(Neuron::AdEx(AdEx::published(AdExConstants::adapting(), 4)))
                .with_dt(0.5)
                .with_initial(strong),
        ),
        ("wired", base().with_dale(Some(0.5)).with_wiring(Wiring::Sparse { share: 0.5, seed: 3 }).with_bias(false)),
        (
            "delayed",
            base()
                .with_synapses(vec![
                    Synapse::new(10.0).with_learned_delays(DelayOf::Sender, 4.0),
                    Synapse::adaptation(80.0, 0.3),
                ])
                .with_learned_start(true)
                .with_input_tau(Some(5.0)),
        ),
    ]
}

fn network_config() -> SpikingNetworkConfig {
    let layer = SpikingRnnConfig::new(2, 6).with_neuron(Neuron::Lif { tau_mem: 20.0 }).with_dt(0.5);
    SpikingNetworkConfig::new(layer.with_gate(Gate::Quintic { width: 0.4 }), 2)
}

fn input() -> Tensor<3> {
    let values: Vec<f64> = (0..2 * 80 * 2).map(|at| 1.0 + 2.0 * (0.9 * at as f64).sin()).collect();
    Tensor::from_data(TensorData::new(values, [2, 80, 2]), (&devices()[0], DType::F64))
}

fn traces(layer: &SpikingRnn) -> Vec<f64> {
    layer.forward(input(), None).0.traces.into_iter().flat_map(numbers).collect()
}

fn output(network: &SpikingNetwork) -> Vec<f64> {
    numbers(network.forward(input(), None).0.output)
}

fn from_graph() -> SpikingNetwork {
    let options = ImportOptions::default().with_spikes(Spikes::Pulse { dt: 0.5 });
    let graph = Graph::read(kept("network.nir")).unwrap();
    graph.import_as(&options, (&devices()[0], DType::F64)).unwrap().into_network().unwrap()
}

fn close(found: &[f64], wanted: &[f64], what: &str) {
    assert!(wanted.iter().any(|x| *x != 0.0), "{what} is silent");
    let far = relative_distance(found, wanted);
    assert!(found.len() == wanted.len() && far < 1e-9, "{what} gives other numbers: {far:e}");
}

/// Writes the files. They stay as they are: see the top.
#[test]
#[ignore = "writes golden files"]
fn write_golden_files() {
    let options = (&devices()[0], DType::F64);
    devices()[0].seed(7);
    let mut found = Kept { layers: BTreeMap::new(), network: Vec::new(), graph: Vec::new() };
    for (name, config) in layers() {
        let layer = config.init(options).unwrap();
        layer.save(kept(&format!("{name}.bpk"))).unwrap();
        weights::write_layer(&layer, kept(&format!("{name}.safetensors"))).unwrap();
        found.layers.insert(name.into(), traces(&layer));
    }
    let network = network_config().init(options).unwrap();
    network.save(kept("network.bpk")).unwrap();
    export(&network, Spikes::Pulse { dt: 0.5 }).unwrap().write(kept("network.nir")).unwrap();
    found.network = output(&network);
    found.graph = output(&from_graph());
    std::fs::write(kept("kept.json"), serde_json::to_string(&found).unwrap()).unwrap();
}

fn wanted() -> Kept {
    serde_json::from_str(&std::fs::read_to_string(kept("kept.json")).unwrap()).unwrap()
}

#[test]
fn records_and_their_configurations_are_read() {
    let (wanted, options) = (wanted(), (&devices()[0], DType::F64));
    assert_eq!(wanted.layers.len(), layers().len());
    for (name, wanted) in &wanted.layers {
        let record = kept(&format!("{name}.bpk"));
        let config = SpikingRnnConfig::load_for_record(&record).unwrap();
        close(&traces(&config.init(options).unwrap().load(&record).unwrap()), wanted, name);
    }
    let config = SpikingNetworkConfig::load_for_record(kept("network.bpk")).unwrap();
    let network = config.init(options).unwrap().load(kept("network.bpk")).unwrap();
    close(&output(&network), &wanted.network, "the network");
}

#[test]
fn safetensors_are_read() {
    for (name, wanted) in &wanted().layers {
        let Saved::Layer(layer) = weights::read(kept(&format!("{name}.safetensors")), &devices()[0]).unwrap() else {
            panic!("{name} is no layer")
        };
        close(&traces(&layer), wanted, name);
    }
}

#[test]
fn graphs_are_read() {
    close(&output(&from_graph()), &wanted().graph, "the graph");
}
