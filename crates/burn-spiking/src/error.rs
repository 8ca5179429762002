//! What a user is told when a configuration or a record cannot be.

use thiserror::Error;

/// A configuration that describes no network. The text names the value, its limit and the remedy.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A constant outside its range.
    #[error("{name} is {value}, but must be {limit}; {remedy}")]
    OutOfRange {
        /// What the constant is called.
        name: String,
        /// Its value.
        value: f64,
        /// The range it must lie in.
        limit: String,
        /// What to do about it.
        remedy: String,
    },
    /// Parts that do not fit each other.
    #[error("{0}")]
    Mismatch(String),
}

/// A run that was refused before it began, or that broke down. See [`SpikingRnn::try_forward`](crate::SpikingRnn::try_forward).
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum ForwardError {
    /// The input or the state does not fit the layer: shape, dtype, device, or a gradient that the gate does not have.
    #[error("{0}")]
    Mismatch(String),
    /// A potential, a trace or an output became infinite or NaN.
    #[error("{0}")]
    NotFinite(String),
}

/// A record that could not be written, read or used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The file's constants are not the layer's.
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
        /// What the system or Burn said.
        reason: String,
    },
}

/// Refuses a value that is not finite and above zero.
pub(crate) fn positive(name: &str, value: f64, remedy: &str) -> Result<(), ConfigError> {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    Err(out_of_range(name, value, "above 0 and finite", remedy))
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
