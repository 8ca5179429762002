//! Tests of records: they contain the layer's constants and connections, in whichever module the
//! layer is.

use burn::module::{Module, ModuleMapper, Param};
use burn::nn::{Linear, LinearConfig};
use burn::store::ModuleRecord;
use burn::tensor::{Bool, DType, Device, Tensor};
use burn_spiking::{
    Gate, Learned, Neuron, RecordError, SpikingNetwork, SpikingNetworkConfig, SpikingRnn, SpikingRnnConfig,
    SpikingStack, SpikingStackConfig, Synapse, Wiring,
};
use burn_spiking_tests::{devices, numbers};
use std::path::Path;

/// A user's model, with a layer two modules deep.
#[derive(Module, Debug)]
struct Classifier {
    body: Body,
    head: Linear,
}

#[derive(Module, Debug)]
struct Body {
    layers: Vec<SpikingRnn>,
}

/// A module with only the parameters of a layer.
#[derive(Module, Debug)]
struct Parameters {
    input_weight: Param<Tensor<2>>,
    bias: Option<Param<Tensor<1>>>,
    recurrent_weights: Vec<Param<Tensor<2>>>,
}

fn device() -> Device {
    devices()[0].clone()
}

fn config() -> SpikingRnnConfig {
    SpikingRnnConfig::new(2, 5)
}

fn other() -> SpikingRnnConfig {
    config().with_neuron(Neuron::Qif { tau_mem: 10.0 })
}

fn classifier(config: SpikingRnnConfig) -> Classifier {
    let device = device();
    let body = Body { layers: vec![config.init(&device).unwrap()] };
    Classifier { body, head: LinearConfig::new(5, 3).init(&device) }
}

fn network(config: SpikingRnnConfig) -> SpikingNetwork {
    SpikingNetworkConfig::new(config, 2).init(&device()).unwrap()
}

fn stack(config: SpikingRnnConfig) -> SpikingStack {
    SpikingStackConfig::new(vec![SpikingRnnConfig::new(3, 2), config]).init(&device()).unwrap()
}

fn run(layer: &SpikingRnn) -> Vec<f64> {
    let input = Tensor::<3>::full([3, 40, 2], 0.7, &layer.device());
    numbers(layer.forward(input, None).0.trace())
}

/// A ring: each neuron sends to the next.
fn ring(device: &Device) -> Tensor<2, Bool> {
    let connected = |at: usize| (at / 5 + 1) % 5 == at % 5;
    let connected: Vec<f32> = (0..25).map(|at| connected(at) as u8 as f32).collect();
    Tensor::<1>::from_floats(connected.as_slice(), device).reshape([5, 5]).greater_elem(0.5)
}

/// Saves a model to a file and loads it into another model, by Burn's own methods.
fn through_file<M: Module>(model: M, into: M, folder: &Path) -> Result<M, String> {
    let path = folder.join("model.bpk");
    model.into_record().save(&path).unwrap();
    into.try_load_record(ModuleRecord::load(&path).unwrap()).map_err(|error| error.to_string())
}

#[test]
fn other_constants_are_refused_in_every_model_that_holds_a_layer() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let refused = [
        through_file(config().init(&device()).unwrap(), other().init(&device()).unwrap(), folder).map(drop),
        through_file(classifier(config()), classifier(other()), folder).map(drop),
        through_file(network(config()), network(other()), folder).map(drop),
        through_file(stack(config()), stack(other()), folder).map(drop),
    ];
    for refused in refused {
        let message = refused.unwrap_err();
        for part in ["QIF, tau_mem 25 ms", "QIF, tau_mem 10 ms", "record"] {
            assert!(message.contains(part), "{part} is missing from {message}");
        }
    }
    // The same constants are accepted.
    through_file(classifier(config()), classifier(config()), folder).unwrap();
    through_file(network(config()), network(config()), folder).unwrap();
    through_file(stack(config()), stack(config()), folder).unwrap();
}

#[test]
fn every_constant_is_in_the_record() {
    let folder = tempfile::tempdir().unwrap();
    let groups = Wiring::Groups { sizes: vec![2, 3], connections: vec![(0, 1)], inputs: vec![0] };
    let others = [
        ("dt 1 ms", config().with_dt(0.5)),
        ("width 0.5", config().with_gate(Gate::Quintic { width: 0.4 })),
        ("tau 20 ms", config().with_synapses(vec![Synapse::new(10.0)])),
        ("autapses false", config().with_autapses(true)),
        ("dale none", config().with_dale(Some(0.8))),
        ("wiring full", config().with_wiring(groups)),
        ("wiring full", config().with_wiring(Wiring::Sparse { share: 0.5, seed: 1 })),
        ("learned none", config().with_learned(Learned { tau_syn: true, ..Learned::default() })),
    ];
    for (part, other) in others {
        let message = through_file(classifier(config()), classifier(other), folder.path()).unwrap_err();
        assert!(message.contains(part), "{part} is missing from {message}");
    }
}

#[test]
fn connections_given_by_hand_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let path = folder.join("ring.bpk");
    let wired = config().init(&device()).unwrap().with_connections(0, ring(&device())).unwrap();
    wired.save(&path).unwrap();
    let fresh = || config().init(&device()).unwrap();
    assert_ne!(run(&fresh().load_record(fresh().into_record())), run(&wired));
    assert_eq!(run(&fresh().load(&path).unwrap()), run(&wired));
    // The layer is saved and loaded within a model, by Burn's own methods.
    let mut model = classifier(config());
    model.body.layers[0] = wired.clone();
    let loaded = through_file(model, classifier(config()), folder).unwrap();
    assert_eq!(run(&loaded.body.layers[0]), run(&wired));
    // A loaded layer can be saved and loaded again.
    let again = through_file(loaded, classifier(config()), folder).unwrap();
    assert_eq!(run(&again.body.layers[0]), run(&wired));
    // The record of a layer with the configured connections replaces connections given by hand.
    let plain = fresh();
    let loaded = through_file(plain.clone(), wired, folder).unwrap();
    assert_eq!(run(&loaded), run(&plain));
}

#[test]
fn each_record_has_a_configuration_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let records =
        [("w-0.1", 0.5), ("w-0.2", 1.0), ("layer.0", 2.0), ("layer.1", 0.25), ("net.json", 1.0), ("run.bpk", 0.5)];
    std::fs::write(folder.join("run.json"), "options").unwrap();
    for (name, dt) in records {
        config().with_dt(dt).init(&device()).unwrap().save(folder.join(name)).unwrap();
    }
    for (name, dt) in records {
        let path = folder.join(name);
        let saved = SpikingRnnConfig::load_for_record(&path).unwrap();
        assert_eq!(saved, config().with_dt(dt), "{name}");
        saved.init(&device()).unwrap().load(&path).unwrap();
        let error = config().with_dt(0.1).init(&device()).unwrap().load(&path).unwrap_err();
        assert!(matches!(error, RecordError::OtherConstants { .. }), "{name}: {error}");
    }
    assert_eq!(std::fs::read_to_string(folder.join("run.json")).unwrap(), "options");
}

#[test]
fn a_loaded_layer_needs_its_file_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("layer.bpk");
    let layer = config().init(&device()).unwrap();
    layer.save(&path).unwrap();
    let [one, other] = [0, 1].map(|_| config().init(&device()).unwrap().load(&path).unwrap());
    // One layer is saved over the file from which it was loaded. Then the file is removed.
    one.save(&path).unwrap();
    assert_eq!(run(&config().init(&device()).unwrap().load(&path).unwrap()), run(&layer));
    std::fs::remove_file(&path).unwrap();
    assert_eq!([run(&one), run(&other)], [run(&layer), run(&layer)]);
}

#[test]
fn a_layer_keeps_its_dtype() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("layer.bpk");
    let layer = config().init((&device(), DType::F64)).unwrap();
    layer.save(&path).unwrap();
    let single = config().init(&device()).unwrap().load(&path).unwrap();
    assert_eq!(single.input_weight.val().dtype(), DType::F32);
    assert_eq!(numbers(single.input_weight.val()), numbers(layer.input_weight.val().cast(DType::F32)));
    run(&single);
}

#[test]
fn numbers_come_back_to_the_last_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("layer");
    // An imprecise JSON parser changes about one double in ten.
    for at in 0..200 {
        let tau = (200.0 + at as f64).sqrt();
        let config = config().with_synapses(vec![Synapse::new(tau)]);
        config.init(&device()).unwrap().save(&path).unwrap();
        let saved = SpikingRnnConfig::load_for_record(&path).unwrap();
        assert_eq!(saved.synapses[0].tau, tau);
        saved.init(&device()).unwrap().load(&path).unwrap();
    }
}

#[test]
fn parameters_without_constants_are_refused_unless_partial_records_are_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("layer.bpk");
    let layer = config().init(&device()).unwrap();
    let SpikingRnn { input_weight, bias, recurrent_weights, .. } = layer.clone();
    Parameters { input_weight, bias, recurrent_weights }.into_record().save(&path).unwrap();
    let error = config().init(&device()).unwrap().load(&path).unwrap_err();
    assert!(matches!(error, RecordError::File { .. }) && error.to_string().contains("constants"), "{error}");
    let by_burn = |allow: bool| {
        let record = ModuleRecord::load(&path).unwrap().allow_partial(allow);
        config().init(&device()).unwrap().try_load_record(record)
    };
    let message = by_burn(false).unwrap_err().to_string();
    assert!(message.contains("constants") && message.contains("allow_partial(true)"), "{message}");
    assert_eq!(run(&by_burn(true).unwrap()), run(&layer));
}

#[test]
fn networks_and_stacks_come_back_from_their_files_and_refuse_other_constants() {
    let folder = tempfile::tempdir().unwrap();
    let (of_network, of_stack) = (folder.path().join("network.bpk"), folder.path().join("stack.bpk"));
    let output = |network: &SpikingNetwork| {
        let input = Tensor::<3>::full([3, 40, network.layer.config().d_input], 0.7, &device());
        numbers(network.forward(input, None).0.output)
    };
    let saved = network(config());
    saved.save(&of_network).unwrap();
    let loaded = SpikingNetworkConfig::load_for_record(&of_network).unwrap().init(&device()).unwrap();
    assert_eq!(output(&loaded.load(&of_network).unwrap()), output(&saved));
    let message = network(other()).load(&of_network).unwrap_err().to_string();
    assert!(message.contains("tau_mem 10 ms") && message.contains("network.bpk"), "{message}");

    let trace = |stack: &SpikingStack| {
        let input = Tensor::<3>::full([3, 40, stack.layers[0].config().d_input], 0.7, &device());
        numbers(stack.forward(input, None).0.last().unwrap().trace())
    };
    let saved = stack(config());
    saved.save(&of_stack).unwrap();
    let loaded = SpikingStackConfig::load_for_record(&of_stack).unwrap().init(&device()).unwrap();
    assert_eq!(trace(&loaded.load(&of_stack).unwrap()), trace(&saved));
    let message = stack(other()).load(&of_stack).unwrap_err().to_string();
    assert!(message.contains("tau_mem 10 ms"), "{message}");
}

/// Casts every parameter to a dtype.
struct Cast(DType);

impl ModuleMapper for Cast {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| tensor.cast(self.0))
    }
}

#[test]
fn a_layer_stays_itself_when_it_is_cast_moved_or_forked() {
    let device = device();
    let config = config().with_dale(Some(0.6));
    let layer = config.init(&device).unwrap().with_connections(0, ring(&device)).unwrap();
    let wanted = run(&layer);
    let there_and_back = layer.clone().map(&mut Cast(DType::F64)).map(&mut Cast(DType::F32));
    assert_eq!(run(&there_and_back), wanted);
    let wide = layer.clone().map(&mut Cast(DType::F64));
    let input = Tensor::<3>::full([3, 40, 2], 0.7, (&device, DType::F64));
    let trace = numbers(wide.forward(input, None).0.trace());
    let distance = trace.iter().zip(&wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(distance < 1e-4, "{distance}");
    assert_eq!(run(&layer.clone().to_device(&device)), wanted);
    assert_eq!(run(&layer.clone().fork(&device)), wanted);
    // To training mode and back.
    let trained = layer.clone().train();
    assert_eq!(run(&trained.valid()), wanted);
    // The record of the layer after both casts restores the same layer.
    let again = config.init(&device).unwrap().load_record(there_and_back.into_record());
    assert_eq!(run(&again), wanted);
}

#[test]
fn half_precision_is_refused_where_it_is_asked_for() {
    for half in [DType::F16, DType::BF16] {
        let message = config().init((&device(), half)).unwrap_err().to_string();
        assert!(message.contains("F16") && message.contains("DType::F32"), "{message}");
    }
}
