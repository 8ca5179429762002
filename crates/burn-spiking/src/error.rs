//! The errors that a user gets: an invalid configuration, a run that fails, a record that does not
//! fit.

use thiserror::Error;

/// An invalid configuration. The message names the value, its limit and the remedy.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A constant outside its range.
    #[error("{name} is {value}, but must be {limit}; {remedy}")]
    OutOfRange {
        /// The constant's name.
        name: String,
        /// Its value.
        value: f64,
        /// The range that the value must lie in.
        limit: String,
        /// The remedy.
        remedy: String,
    },
    /// Parts of a configuration that do not fit each other.
    #[error("{0}")]
    Mismatch(String),
}

/// A run that the layer refuses before the first step, or whose values become infinite or NaN. See
/// [`SpikingRnn::try_forward`](crate::SpikingRnn::try_forward).
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum ForwardError {
    /// The input or the state does not fit the layer: its shape, dtype or device differs, or it
    /// needs a gradient that the gate does not have.
    #[error("{0}")]
    Mismatch(String),
    /// A potential, a trace or an output became infinite or NaN.
    #[error("{0}")]
    NotFinite(String),
}

/// A record that the layer cannot write, read or use.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The record's constants differ from the layer's.
    #[error(
        "the record in {path} was saved with {saved}, but this layer has {own}; initialise the layer from the record's own configuration"
    )]
    OtherConstants {
        /// The record's path.
        path: String,
        /// The first constant that differs, as saved.
        saved: String,
        /// The same constant of this layer.
        own: String,
    },
    /// The file could not be read or written.
    #[error("{path}: {reason}")]
    File {
        /// The path.
        path: String,
        /// The message of the operating system or of Burn.
        reason: String,
    },
}

/// Refuses a value unless it is finite and above 0.
pub(crate) fn positive(name: &str, value: f64, remedy: &str) -> Result<(), ConfigError> {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    Err(out_of_range(name, value, "above 0 and finite", remedy))
}

/// Refuses a value that is infinite or NaN.
pub(crate) fn finite(name: &str, value: f64, remedy: &str) -> Result<(), ConfigError> {
    if value.is_finite() {
        return Ok(());
    }
    Err(out_of_range(name, value, "finite", remedy))
}

/// Refuses a value unless it is finite and below the limit, which `what` names.
pub(crate) fn below(name: &str, value: f64, limit: f64, what: &str, remedy: &str) -> Result<(), ConfigError> {
    if value.is_finite() && value < limit {
        return Ok(());
    }
    Err(out_of_range(name, value, &format!("below {what}, and finite"), remedy))
}

/// Refuses a value outside (0, limit].
pub(crate) fn positive_at_most(name: &str, value: f64, limit: f64, remedy: &str) -> Result<(), ConfigError> {
    if value > 0.0 && value <= limit {
        return Ok(());
    }
    Err(out_of_range(name, value, &format!("in (0, {limit}]"), remedy))
}

/// Refuses a value outside [0, limit).
#[cfg(feature = "train")]
pub(crate) fn within_below(name: &str, value: f64, limit: f64, remedy: &str) -> Result<(), ConfigError> {
    if (0.0..limit).contains(&value) {
        return Ok(());
    }
    Err(out_of_range(name, value, &format!("in [0, {limit})"), remedy))
}

/// Refuses a value outside [0, 1].
pub(crate) fn share(name: &str, value: f64, remedy: &str) -> Result<(), ConfigError> {
    if (0.0..=1.0).contains(&value) {
        return Ok(());
    }
    Err(out_of_range(name, value, "in [0, 1]", remedy))
}

/// Refuses a count of zero.
pub(crate) fn at_least_one(name: &str, value: usize, remedy: &str) -> Result<(), ConfigError> {
    if value > 0 {
        return Ok(());
    }
    Err(out_of_range(name, 0.0, "at least 1", remedy))
}

fn out_of_range(name: &str, value: f64, limit: &str, remedy: &str) -> ConfigError {
    ConfigError::OutOfRange { name: name.into(), value, limit: limit.into(), remedy: remedy.into() }
}
