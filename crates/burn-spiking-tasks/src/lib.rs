//! Tasks for spiking networks as Burn data sets, with scores that measure whether a task is solved.
//!
//! Every item is drawn at random from (seed, index). So a data set is lazy, costs no memory, and
//! does not depend on the order of reading. Nothing is downloaded.
//!
//! - [`coding`]: predictive coding. A readout follows its filtered input, or a linear system driven
//!   by the input.
//! - [`delayed_xor`]: delayed-memory exclusive or. A round has two pulses, long gaps, a go cue and
//!   an answer.
//! - [`loader`]: a data loader whose data may change from epoch to epoch.
//! - `stream` (feature `train`): endless tasks. Trials follow each other and are cut into chunks.
//! - [`score`]: the normalised error; [`answers`]: the share of rounds answered correctly.
//! - `metric` (feature `train`): the scores as metrics of Burn's learner.

pub mod answers;
pub mod coding;
pub mod delayed_xor;
pub mod error;
pub mod loader;
#[cfg(feature = "train")]
pub mod metric;
pub mod score;
#[cfg(feature = "train")]
pub mod stream;
pub mod trial;

pub use answers::{Answer, Answers, Round};
pub use coding::{Coding, CodingDataset};
pub use delayed_xor::{DelayedXor, DelayedXorDataset, Gaps, PulseShape};
pub use error::TaskError;
pub use loader::EpochLoader;
pub use score::Tracking;
#[cfg(feature = "train")]
pub use stream::{StreamLoader, StreamSizes};
pub use trial::{Trial, TrialBatch, TrialBatcher};
