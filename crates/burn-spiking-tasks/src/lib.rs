//! Tasks for spiking networks, as Burn data sets with the score that says whether the task is solved.
//!
//! Every item is drawn from (seed, index), so a data set is lazy, costs no memory and does not depend on the order in which it
//! is read. Nothing is downloaded.
//!
//! - [`coding`]: predictive coding. A readout follows its filtered input, or a linear system that the input drives.
//! - [`loader`]: a data loader whose data may change from epoch to epoch.
//! - [`score`]: normalised error.

pub mod coding;
pub mod error;
pub mod loader;
pub mod score;
pub mod trial;

pub use coding::{Coding, CodingDataset};
pub use error::TaskError;
pub use loader::EpochLoader;
pub use score::Tracking;
pub use trial::{Trial, TrialBatch, TrialBatcher};
