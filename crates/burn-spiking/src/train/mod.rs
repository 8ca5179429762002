//! Tools for training: costs and scores and, with the feature `train`, metrics, streams, schedules,
//! averaged weights, and the scaling and skipping of gradients.

#[cfg(feature = "train")]
pub mod average;
#[cfg(feature = "train")]
pub mod clip;
pub mod firing;
pub mod loss;
#[cfg(feature = "train")]
pub mod metric;
pub mod readout;
#[cfg(feature = "train")]
pub mod schedule;
#[cfg(feature = "train")]
pub mod skip;
#[cfg(feature = "train")]
pub mod stream;
#[cfg(feature = "train")]
mod wrapper;
