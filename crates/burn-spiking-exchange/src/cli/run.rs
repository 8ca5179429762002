//! Runs a network forward on an input in a file.

use super::files::told;
use burn::tensor::{Device, Tensor, TensorData};
use burn_spiking::{SpikingRnn, Trajectory};
use burn_spiking_exchange::input::Input;
use burn_spiking_exchange::recording::Recording;
use burn_spiking_exchange::weights::Saved;
use burn_spiking_plot::{Raster, raster};
use std::path::Path;

/// The most channels and outputs that the figure shows.
const MOST_LINES: usize = 8;

/// The layer that takes the input.
fn input_layer(saved: &Saved) -> &SpikingRnn {
    match saved {
        Saved::Layer(layer) => layer,
        Saved::Network(network) => &network.layer,
        Saved::Stack(stack) => &stack.layers[0],
    }
}

/// Runs a network; of a stack, the last layer is recorded.
fn recorded(saved: &Saved, input: Tensor<3>) -> (Trajectory, Option<Tensor<3>>) {
    match saved {
        Saved::Layer(layer) => (layer.forward_recording(input, None).0, None),
        Saved::Network(network) => {
            let (run, _) = network.forward_recording(input, None);
            (run.trajectory().clone(), Some(run.output))
        }
        Saved::Stack(stack) => {
            let (mut trajectories, _) = stack.forward_recording(input, None);
            (trajectories.pop().expect("a stack has a layer"), None)
        }
    }
}

/// Runs a network on the input of a file, prints how it fires, writes the recording, and draws the
/// first sample.
///
/// - `duration`: the length of the run, ms, for events.
///
/// # Errors
/// If the input does not fit, or a file cannot be written.
pub fn run(saved: &Saved, input: &Path, duration: Option<f64>, out: &Path, figure: &Path) -> Result<(), String> {
    let layer = input_layer(saved);
    let config = layer.config().clone();
    let Input { shape, numbers } = Input::read(input, config.d_input, config.dt, duration).map_err(told)?;
    let [batch, steps, channels] = shape;
    let options = (&Device::flex(), layer.input_weight.val().dtype());
    let tensor = Tensor::<3>::from_data(TensorData::new(numbers.clone(), shape), options);
    let tensor = if config.batch_first { tensor } else { tensor.swap_dims(0, 1) };
    let (trajectory, output) = recorded(saved, tensor);
    let mut recording = Recording::of(&trajectory).map_err(told)?;
    let (ran, neurons) = (steps as f64 * config.dt, recording.neurons());
    for sample in 0..batch {
        let spikes = recording.spikes().iter().filter(|spike| spike.sample == sample).count();
        let rate = spikes as f64 / (1e-3 * ran * neurons as f64);
        println!("sample {sample}: {spikes} spikes in {ran:.1} ms, {rate:.1} Hz in the mean");
    }
    for (k, trace) in trajectory.traces.iter().enumerate() {
        recording = recording.with_series(&format!("trace_{k}"), trace.clone()).map_err(told)?;
    }
    let potentials = trajectory.v.clone().expect("it was recorded");
    recording = recording.with_series("v", potentials).map_err(told)?;
    if let Some(output) = &output {
        recording = recording.with_series("output", output.clone()).map_err(told)?;
    }
    recording.write(out).map_err(told)?;

    let of_first = |rows: &[f32], columns: usize| -> Vec<Vec<f32>> {
        let shown = if columns > MOST_LINES { 0 } else { columns };
        (0..shown).map(|at| rows.iter().skip(at).step_by(columns).take(steps).copied().collect()).collect()
    };
    let output: Vec<Vec<f32>> = output.map_or(Vec::new(), |output| {
        let output = if config.batch_first { output } else { output.swap_dims(0, 1) };
        let [.., columns] = output.dims();
        of_first(&output.narrow(0, 0, 1).into_data().iter::<f32>().collect::<Vec<_>>(), columns)
    });
    let input = of_first(&numbers[..steps * channels], channels);
    let input: Vec<&[f32]> = input.iter().map(Vec::as_slice).collect();
    let output: Vec<&[f32]> = output.iter().map(Vec::as_slice).collect();
    let title = match batch {
        1 => "Input, spikes and output".to_string(),
        _ => format!("Input, spikes and output of the first of {batch} samples"),
    };
    let drawn = Raster {
        title: &title,
        dt: config.dt,
        steps,
        neurons,
        spikes: &trajectory.spikes(0),
        input: &input,
        output: &output,
    };
    raster(figure, &drawn).map_err(told)?;
    println!("recording {}, picture {}", out.display(), figure.display());
    Ok(())
}
