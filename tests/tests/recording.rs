//! Recordings for other tools, and inputs that come from them. `golden/spikes.py` reads the golden
//! files of this test with NumPy, Neo and PyNWB.

use burn::tensor::{DType, Tensor, TensorData};
use burn_spiking::{Neuron, SpikingRnnConfig, Trajectory};
use burn_spiking_exchange::ExchangeError;
use burn_spiking_exchange::input::Input;
use burn_spiking_exchange::recording::{Recording, Spike};
use burn_spiking_tests::{damaged, devices};
use std::path::{Path, PathBuf};

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden").join(name)
}

/// Two samples of three LIF neurons that only the input drives.
fn trajectory(batch_first: bool) -> Trajectory {
    let options = (&devices()[0], DType::F64);
    let config = SpikingRnnConfig::new(1, 3).with_neuron(Neuron::Lif { tau_mem: 10.0 }).with_dt(0.5);
    let mut layer = config.with_batch_first(batch_first).init(options).unwrap();
    layer.input_weight = layer.input_weight.map(|_| Tensor::from_data([[1.5, 2.0, 3.0]], options));
    layer.recurrent_weights = layer.recurrent_weights.into_iter().map(|w| w.map(|w| w.zeros_like())).collect();
    layer.bias = layer.bias.map(|bias| bias.map(|bias| bias.zeros_like()));
    let drive: Vec<f64> = (0..2 * 80).map(|at| if at < 80 { 1.0 } else { 0.5 + 0.01 * (at - 80) as f64 }).collect();
    let input = Tensor::from_data(TensorData::new(drive, [2, 80, 1]), options);
    layer.forward_recording(if batch_first { input } else { input.swap_dims(0, 1) }, None).0
}

fn recording() -> Recording {
    let trajectory = trajectory(true);
    let recording = Recording::of(&trajectory).unwrap();
    let single = trajectory.trace().cast(DType::F32);
    recording.with_series("v", trajectory.v.unwrap()).unwrap().with_series("trace", single).unwrap()
}

/// Writes the golden files, after which `golden/spikes.py` must be run.
#[test]
#[ignore = "writes golden files"]
fn write_golden_files() {
    recording().write(golden("spikes.npz")).unwrap();
    recording().write(golden("spikes.csv")).unwrap();
}

#[test]
fn files_are_those_that_other_tools_have_read() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["spikes.npz", "spikes.csv"] {
        let path = folder.path().join(name);
        recording().write(&path).unwrap();
        let (found, wanted) = (std::fs::read(path).unwrap(), std::fs::read(golden(name)).unwrap());
        // The last bits of potentials are those of the processor's vectors.
        assert!(found.len() == wanted.len() && (name == "spikes.npz" || found == wanted), "{name} is another file");
    }
}

#[test]
fn spikes_are_those_of_the_trajectory_in_both_layouts() {
    let trajectory = trajectory(true);
    let found = Recording::of(&trajectory).unwrap();
    let wanted: Vec<Spike> = (0..2)
        .flat_map(|sample| trajectory.spikes(sample).into_iter().map(move |(step, unit)| (sample, step, unit)))
        .map(|(sample, step, unit)| Spike { sample, time: 0.5 * step as f64 + 0.25, unit })
        .collect();
    assert!(wanted.len() > 20 && wanted.iter().any(|spike| spike.sample == 1));
    assert_eq!(found.spikes(), wanted);
    // Files of both layouts are the same, series included.
    let folder = tempfile::tempdir().unwrap();
    let [one, other] = [true, false].map(|batch_first| {
        let trajectory = self::trajectory(batch_first);
        let path = folder.path().join(format!("{batch_first}.npz"));
        let recording = Recording::of(&trajectory).unwrap().with_series("v", trajectory.v.unwrap()).unwrap();
        recording.write(&path).unwrap();
        assert_eq!(recording.spikes(), wanted);
        std::fs::read(path).unwrap()
    });
    assert!(one == other);
}

#[test]
fn recordings_that_cannot_be_written_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let told = |error: ExchangeError| error.to_string();
    assert!(told(recording().write(folder.path().join("a.nwb")).unwrap_err()).contains(".npz or .csv"));
    let series = Tensor::zeros([1, 1, 1], &devices()[0]);
    for name in ["times", "v", "", "a/b"] {
        assert!(told(recording().with_series(name, series.clone()).unwrap_err()).contains("is not taken"), "{name}");
    }
    let other = told(recording().with_series("other", series).unwrap_err());
    assert!(other.contains("1 samples of 1 steps, but the run has 2 of 80"), "{other}");
    let mut bare = trajectory(true);
    bare.charge = None;
    assert!(told(Recording::of(&bare).unwrap_err()).contains("record_charge"));
}

fn read(path: &Path, channels: usize, duration: Option<f64>) -> Result<Input, String> {
    Input::read(path, channels, 0.5, duration).map_err(|error| error.to_string())
}

#[test]
fn arrays_of_numpy_are_inputs() {
    let wanted: Vec<f32> = (0..30).map(|at| (at as f64 / 29.0) as f32).collect();
    for name in ["input.npy", "input.npz"] {
        let found = read(&golden(name), 3, None).unwrap();
        assert_eq!((found.shape, &found.numbers), ([2, 5, 3], &wanted), "{name}");
        assert!(read(&golden(name), 4, None).unwrap_err().contains("3 channels, but the network has 4"));
        assert!(read(&golden(name), 3, Some(9.0)).unwrap_err().contains("is for events"));
    }
    let other = read(&golden("spikes.npz"), 3, None).unwrap_err();
    assert!(other.contains("no array `input` among samples.npy"), "{other}");
}

#[test]
fn events_are_inputs_and_spikes_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.csv");
    let of = |text: &str, duration: Option<f64>| {
        std::fs::write(&file, text).unwrap();
        read(&file, 2, duration)
    };
    let found = of("unit,class,sample,time\n1,9,0,0.0\n1,9,0,0.4\n0,9,1,1.9\n", None).unwrap();
    assert_eq!(found.shape, [2, 4, 2]);
    let sum: f32 = found.numbers.iter().sum();
    assert_eq!((found.numbers[1], found.numbers[2 * 4 + 2 * 3], sum), (2.0, 1.0, 3.0));
    assert_eq!(of("sample,time,unit\n", Some(3.0)).unwrap().shape, [1, 6, 2]);
    // 0.3/0.1 is less than 3 in floating point.
    std::fs::write(&file, "sample,time,unit\n0,0.3,1\n0,0.7,1\n").unwrap();
    let found = Input::read(&file, 2, 0.1, None).unwrap();
    assert_eq!((found.shape, found.numbers[2 * 3 + 1], found.numbers[2 * 7 + 1]), ([1, 8, 2], 1.0, 1.0));

    let refused = |text: &str, duration: Option<f64>| of(text, duration).unwrap_err();
    assert!(refused("sample,time,unit\n", None).contains("give a duration"));
    assert!(refused("sample,time,unit\n0,1,2\n", None).contains("line 2: the unit is 2"));
    assert!(refused("sample,time,unit\n0,1,1\n0,-1,1\n", None).contains("line 3: the time is -1"));
    assert!(refused("sample,time,unit\n0,NaN,1\n", None).contains("the time is NaN"));
    assert!(refused("sample,time,unit\n0,5,1\n", Some(5.0)).contains("after the end"));
    assert!(refused("sample,time\n0,5\n", None).contains("give a CSV file with the columns"));
    assert!(refused("sample,time,unit\n999999999999,5,1\n", None).contains("give fewer"));
    assert!(refused("sample,time,unit\n0,1e300,1\n", None).contains("give fewer"));
    assert!(refused("sample,time,unit\n", Some(0.1)).contains("a whole number of time steps of 0.5 ms"));
    assert!(refused("sample,time,unit\n", Some(2.4)).contains("a whole number of time steps of 0.5 ms"));

    // The spikes of a recording as the input of the next network.
    recording().write(&file).unwrap();
    let input = read(&file, 3, Some(40.0)).unwrap();
    assert_eq!(input.shape, [2, 80, 3]);
    for &Spike { sample, time, unit } in recording().spikes() {
        assert!(input.numbers[(sample * 80 + (2.0 * time) as usize) * 3 + unit] >= 1.0);
    }
    assert_eq!(input.numbers.iter().sum::<f32>() as usize, recording().spikes().len());
}

/// `INPUT_DRAWS=n` changes the number of damaged files.
#[test]
fn damaged_inputs_do_not_panic() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["input.npy", "input.npz", "spikes.csv"];
    let files = names.map(|name| std::fs::read(golden(name)).unwrap());
    let (draws, refused) = damaged("INPUT_DRAWS", 4, &files, |which, bytes| {
        let path = folder.path().join(names[which]);
        std::fs::write(&path, bytes).unwrap();
        read(&path, 3, None).is_err()
    });
    assert!(4 * refused > draws, "{refused} of {draws} refused");
}
