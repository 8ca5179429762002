//! Readers of recorded spikes. The files are the user's own; nothing is downloaded.
//!
//! | reader | files |
//! | --- | --- |
//! | [`NMnist`] | N-MNIST: a folder for each digit, with a file of 5 bytes for each event |
//! | [`DvsGesture`] | DVS128 Gesture: recordings of events (AEDAT 3.1) and their labels |
//! | [`Heidelberg`] | SHD and SSC: an HDF5 file with lists of times and channels |
//! | [`EventTable`] | a CSV table with the columns `sample`, `class`, `time` and `unit` |
//!
//! A damaged, truncated or foreign file gives a [`FileError`] with the file, the place and the
//! remedy.

mod dvs_gesture;
mod heidelberg;
mod n_mnist;
mod table;

pub use dvs_gesture::{
    CLASSES as DVS_GESTURE_CLASSES, DvsGesture, SIDE as DVS_GESTURE_SIDE, Trials, UNITS as DVS_GESTURE_UNITS,
};
pub use heidelberg::{Heidelberg, UNITS as HEIDELBERG_UNITS};
pub use n_mnist::{NMnist, SIDE as N_MNIST_SIDE, UNITS as N_MNIST_UNITS};
pub use table::EventTable;

use std::path::Path;
use thiserror::Error;

/// The most classes that a file may have.
const MOST_CLASSES: usize = 1000;

/// A file that cannot be read as spikes.
#[derive(Debug, Clone, PartialEq, Error)]
#[error("{path}, {place}: {problem}; {remedy}")]
pub struct FileError {
    /// Path of the file or folder.
    pub path: String,
    /// The place in the file: a byte, a line, or the whole file.
    pub place: String,
    /// What is wrong there.
    pub problem: String,
    /// How to correct it.
    pub remedy: String,
}

impl FileError {
    fn new(path: &Path, place: impl Into<String>, problem: impl Into<String>, remedy: &str) -> Self {
        Self { path: path.display().to_string(), place: place.into(), problem: problem.into(), remedy: remedy.into() }
    }

    /// A file that the system cannot open or read.
    fn unreadable(path: &Path, error: &std::io::Error) -> Self {
        Self::new(path, "the whole file", error.to_string(), "give a file or folder that can be read")
    }
}
