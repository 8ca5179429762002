//! The error of invalid tasks.

use thiserror::Error;

/// An invalid parameter of a task. The message names the value, its limit and the remedy.
#[derive(Debug, Clone, PartialEq, Error)]
#[error("{name} is {value}, but must be {limit}; {remedy}")]
pub struct TaskError {
    /// Name of the parameter.
    pub name: String,
    /// Its value.
    pub value: String,
    /// The allowed range of the value.
    pub limit: String,
    /// How to correct the value.
    pub remedy: String,
}

/// Returns a [`TaskError`] unless `holds`.
pub(crate) fn require(
    holds: bool,
    name: &str,
    value: impl std::fmt::Display,
    limit: &str,
    remedy: &str,
) -> Result<(), TaskError> {
    if holds {
        return Ok(());
    }
    Err(TaskError { name: name.into(), value: value.to_string(), limit: limit.into(), remedy: remedy.into() })
}
