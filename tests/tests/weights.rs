//! Networks as SafeTensors: they come back to the last bit, with every constant, and files that are
//! damaged or do not fit are refused.

use burn::tensor::{Bool, DType, Device, Tensor, TensorData};
use burn_spiking::neuron::Alif;
use burn_spiking::{
    DelayOf, Learn, Learned, Neuron, SpikingNetwork, SpikingNetworkConfig, SpikingRnn, SpikingRnnConfig,
    SpikingStackConfig, Synapse, Wiring,
};
use burn_spiking_exchange::state_dict::{Modules, SpikingJellyConstants, spikingjelly};
use burn_spiking_exchange::weights::{Saved, read, write_layer, write_network, write_stack};
use burn_spiking_tests::{OwnAdEx, damaged, devices, numbers};
use std::path::PathBuf;
use tempfile::TempDir;

fn device() -> Device {
    devices()[0].clone()
}

fn input(dtype: DType) -> Tensor<3> {
    let values: Vec<f64> = (0..2 * 50 * 2).map(|at| 1.0 + 2.0 * (0.9 * at as f64).sin()).collect();
    Tensor::from_data(TensorData::new(values, [2, 50, 2]), (&device(), dtype))
}

/// Layers whose parameters and constants are of every kind.
fn layers() -> Vec<SpikingRnnConfig> {
    let base = || SpikingRnnConfig::new(2, 6);
    let alif = Neuron::Alif(Alif::new(20.0, 100.0, 0.2));
    let each =
        Learned { tau_mem: Learn::PerNeuron, tau_w: Learn::Shared, jump: Learn::PerNeuron, ..Learned::default() };
    vec![
        base(),
        base().with_neuron(alif).with_learned(each),
        base().with_dale(Some(0.5)).with_wiring(Wiring::Sparse { share: 0.5, seed: 3 }).with_bias(false),
        base()
            .with_synapses(vec![
                Synapse::new(10.0).with_learned_delays(DelayOf::Sender, 4.0),
                Synapse::adaptation(80.0, 0.3),
            ])
            .with_learned_start(true)
            .with_input_tau(Some(5.0)),
    ]
}

fn trace(layer: &SpikingRnn, dtype: DType) -> Vec<Vec<f64>> {
    layer.forward(input(dtype), None).0.traces.into_iter().map(numbers).collect()
}

fn file(folder: &TempDir) -> PathBuf {
    folder.path().join("saved.safetensors")
}

fn layer_of(saved: Saved) -> SpikingRnn {
    match saved {
        Saved::Layer(layer) => *layer,
        other => panic!("{other:?}"),
    }
}

#[test]
fn layers_come_back_to_the_last_bit() {
    let folder = tempfile::tempdir().unwrap();
    for dtype in [DType::F32, DType::F64] {
        for config in layers() {
            let layer = config.init((&device(), dtype)).unwrap();
            write_layer(&layer, file(&folder)).unwrap();
            let again = layer_of(read(file(&folder), &device()).unwrap());
            assert_eq!(trace(&layer, dtype), trace(&again, dtype), "{config}");
            assert_eq!(again.config().to_string(), config.to_string());
        }
    }
}

#[test]
fn connections_given_by_hand_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let there: Vec<bool> = (0..36).map(|at| at % 5 == 0).collect();
    let there = Tensor::<2, Bool>::from_data(TensorData::new(there, [6, 6]), &device());
    let layer = SpikingRnnConfig::new(2, 6).init(&device()).unwrap().with_connections(0, there).unwrap();
    write_layer(&layer, file(&folder)).unwrap();
    let again = layer_of(read(file(&folder), &device()).unwrap());
    let effective = |layer: &SpikingRnn| numbers(layer.effective_weights(0).unwrap());
    assert_eq!(effective(&layer), effective(&again));
    assert!(effective(&again).iter().filter(|&&w| w == 0.0).count() >= 28);
    assert_eq!(trace(&layer, DType::F32), trace(&again, DType::F32));
}

#[test]
fn networks_and_stacks_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let network: SpikingNetwork =
        SpikingNetworkConfig::new(SpikingRnnConfig::new(2, 6), 3).init((&device(), DType::F64)).unwrap();
    write_network(&network, file(&folder)).unwrap();
    let Saved::Network(again) = read(file(&folder), &device()).unwrap() else { panic!("a network") };
    let output = |network: &SpikingNetwork| numbers(network.forward(input(DType::F64), None).0.output);
    assert_eq!(output(&network), output(&again));

    let stack = SpikingStackConfig::new(vec![SpikingRnnConfig::new(2, 6), SpikingRnnConfig::new(6, 4)]);
    let stack = stack.init((&device(), DType::F64)).unwrap();
    write_stack(&stack, file(&folder)).unwrap();
    let Saved::Stack(again) = read(file(&folder), &device()).unwrap() else { panic!("a stack") };
    let top = |stack: &burn_spiking::SpikingStack| -> Vec<f64> {
        stack.forward(input(DType::F64), None).0.into_iter().flat_map(|run| numbers(run.trace())).collect()
    };
    assert_eq!(top(&stack), top(&again));
}

/// Writes a layer and changes its file.
fn changed(change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> String {
    let folder = tempfile::tempdir().unwrap();
    write_layer(&SpikingRnnConfig::new(2, 6).init(&device()).unwrap(), file(&folder)).unwrap();
    let bytes = std::fs::read(file(&folder)).unwrap();
    std::fs::write(file(&folder), change(bytes)).unwrap();
    read(file(&folder), &device()).unwrap_err().to_string()
}

/// Replaces text in the header by text of the same length.
fn replaced(bytes: Vec<u8>, from: &str, to: &str) -> Vec<u8> {
    let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).expect("the header has it");
    assert_eq!(from.len(), to.len());
    [&bytes[..at], to.as_bytes(), &bytes[at + from.len()..]].concat()
}

#[test]
fn files_that_do_not_fit_are_refused() {
    let told = [
        ("cut", "write it again", changed(|bytes| bytes[..bytes.len() - 3].to_vec())),
        ("empty", "write it again", changed(|_| Vec::new())),
        ("another library's", "no configuration", changed(|bytes| replaced(bytes, "burn_spiking", "burn_spikinG"))),
        ("a later format", "the format is 7", changed(|bytes| replaced(bytes, r#"format\":1"#, r#"format\":7"#))),
        ("other sizes", "must not", changed(|bytes| replaced(bytes, r#"d_hidden\":6"#, r#"d_hidden\":5"#))),
        ("an invalid constant", "dt is 0", changed(|bytes| replaced(bytes, r#"dt\":1.0"#, r#"dt\":0.0"#))),
        ("another name", "no such tensor", changed(|bytes| replaced(bytes, r#""input_weight""#, r#""input_wEight""#))),
        (
            "not a number",
            "is not finite",
            changed(|mut bytes| {
                let end = bytes.len();
                bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
                bytes
            }),
        ),
    ];
    for (mistake, wanted, found) in told {
        let wanted = if wanted == "must not" { "do not change shapes" } else { wanted };
        assert!(found.contains(wanted) && found.contains("saved.safetensors"), "{mistake}: {found}");
    }
    let folder = tempfile::tempdir().unwrap();
    let own = Neuron::own_planar(OwnAdEx { tau_mem: 20.0, tau_w: 50.0, substeps: 1 });
    let own = SpikingRnnConfig::new(2, 6).with_neuron(own).init(&device()).unwrap();
    let found = write_layer(&own, file(&folder)).unwrap_err().to_string();
    assert!(found.contains("known by its name alone") && !file(&folder).exists(), "{found}");
    let found = read(folder.path().join("nothing.safetensors"), &device()).unwrap_err().to_string();
    assert!(found.contains("nothing.safetensors"), "{found}");
}

/// `WEIGHT_DRAWS=n` changes the number of damaged files.
#[test]
fn damaged_files_do_not_panic() {
    let folder = tempfile::tempdir().unwrap();
    write_layer(&layers()[1].init(&device()).unwrap(), file(&folder)).unwrap();
    let whole = std::fs::read(file(&folder)).unwrap();
    let (draws, refused) = damaged("WEIGHT_DRAWS", 9, &[whole], |_, bytes| {
        std::fs::write(file(&folder), bytes).unwrap();
        read(file(&folder), &device()).is_err()
    });
    assert!(2 * refused > draws, "{refused} of {draws} refused: most of the file is its header");
}

/// `CHECKPOINT_DRAWS=n` changes the number of damaged files.
#[test]
fn damaged_state_dicts_do_not_panic() {
    let folder = tempfile::tempdir().unwrap();
    let modules = Modules { input: Some("fc1".into()), neurons: "cell".into(), readout: Some("fc2".into()) };
    let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let files = ["jelly-container.pt", "jelly-plif.pt"].map(|name| std::fs::read(golden.join(name)).unwrap());
    let (draws, refused) = damaged("CHECKPOINT_DRAWS", 10, &files, |_, bytes| {
        let file = folder.path().join("damaged.pt");
        std::fs::write(&file, bytes).unwrap();
        spikingjelly(&file, &modules, SpikingJellyConstants::default(), 1.0).is_err()
    });
    assert!(4 * refused > draws, "{refused} of {draws} refused");
}
