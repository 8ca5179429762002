//! The spikes of a trained network, in a file for other tools.

use crate::network::ReadoutNetwork;
use crate::output::Folder;
use burn::tensor::Tensor;
use burn_spiking::Trajectory;
use burn_spiking_exchange::recording::Recording;
use burn_spiking_tasks::TrialBatch;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// The format of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Export {
    /// NumPy's: spikes, potentials, input and output
    Npz,
    /// A table of spikes
    Csv,
}

impl Export {
    /// Writes `spikes.npz` or `spikes.csv` into the folder of a run.
    ///
    /// - `series`: named series of the run, `[B, T, columns]`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write<'a>(
        self,
        folder: &Folder,
        trajectory: &Trajectory,
        series: impl IntoIterator<Item = (&'a str, Tensor<3>)>,
    ) -> Result<(), String> {
        let recording = Recording::of(trajectory).map_err(|error| error.to_string())?;
        let mut series = trajectory.v.clone().map(|v| ("v", v)).into_iter().chain(series);
        let path = folder.file(match self {
            Export::Npz => "spikes.npz",
            Export::Csv => "spikes.csv",
        });
        let recording = series.try_fold(recording, |recording, (name, series)| recording.with_series(name, series));
        recording.and_then(|recording| recording.write(&path)).map_err(|error| error.to_string())?;
        println!("spikes {}", path.display());
        Ok(())
    }

    /// Runs a batch of trials, and writes its spikes, input, target and output.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn write_trials(self, folder: &Folder, model: &ReadoutNetwork, batch: &TrialBatch) -> Result<(), String> {
        let (run, trajectory) = model.recorded(batch);
        let series = [("input", batch.input.clone()), ("target", batch.target.clone()), ("output", run.output)];
        self.write(folder, &trajectory, series)
    }
}
