//! Tasks for spiking networks as Burn data sets, with scores that measure whether a task is solved.
//!
//! Items are drawn at random from (seed, index). So a data set is lazy, costs no memory, and does
//! not depend on the order of reading. Nothing is downloaded.
//!
//! Tasks in which an output follows a target ([`Trial`]):
//!
//! - [`coding`]: predictive coding. A readout follows its filtered input, or a linear system driven
//!   by the input.
//! - [`delayed_xor`]: delayed-memory exclusive or. A round has two pulses, long gaps, a go cue and
//!   an answer.
//! - [`pattern`]: pattern generation. The output draws a fixed curve from fixed input spikes.
//!
//! Tasks in which input spikes belong to a class ([`Sample`]):
//!
//! - [`yin_yang`]: points of a disc, in three classes.
//! - [`randman`]: random manifolds of spike times.
//! - [`evidence`]: cues, a delay, and the question of which kind there were more.
//! - [`digits`]: images of handwritten digits, which this crate carries.
//! - [`files`]: recorded spikes from the user's own files.
//!
//! What they are made of:
//!
//! - [`events`]: input spikes; [`binning`]: their time steps; [`encoding`]: codes of values by
//!   spikes; [`jitter`]: events that are moved at random; [`pooling`]: coarser input units;
//!   [`cached`]: samples that stay in memory.
//! - [`loader`]: a data loader whose data may change from epoch to epoch.
//! - `stream` (feature `train`): endless tasks. Trials follow each other and are cut into chunks.
//! - [`score`]: the normalised error; [`answers`]: the share of rounds answered correctly;
//!   [`confusion`]: the share of samples with the right class.
//! - `metric` (feature `train`): the scores as metrics of Burn's learner.

pub mod answers;
pub mod binning;
pub mod cached;
pub mod coding;
pub mod confusion;
pub mod delayed_xor;
pub mod digits;
pub mod encoding;
pub mod error;
pub mod events;
pub mod evidence;
pub mod files;
pub mod jitter;
pub mod loader;
#[cfg(feature = "train")]
pub mod metric;
pub mod pattern;
pub mod pooling;
pub mod randman;
pub mod score;
#[cfg(feature = "train")]
pub mod stream;
pub mod trial;
pub mod yin_yang;

pub use answers::{Answer, Answers, Round};
pub use binning::{AnswerBatcher, Binning, InputFilter, SampleBatch, SampleBatcher};
pub use cached::Cached;
pub use coding::{Coding, CodingDataset};
pub use confusion::Confusion;
pub use delayed_xor::{DelayedXor, DelayedXorDataset, Gaps, PulseShape};
pub use digits::{Digits, DigitsDataset};
pub use error::TaskError;
pub use events::{Events, Sample};
pub use evidence::{Evidence, EvidenceDataset};
pub use jitter::Jittered;
pub use loader::EpochLoader;
pub use pattern::{Pattern, PatternDataset};
pub use pooling::{Pooled, Pooling};
pub use randman::{Randman, RandmanDataset};
pub use score::Tracking;
#[cfg(feature = "train")]
pub use stream::{StreamLoader, StreamSizes};
pub use trial::{Trial, TrialBatch, TrialBatcher};
pub use yin_yang::{YinYang, YinYangDataset};
