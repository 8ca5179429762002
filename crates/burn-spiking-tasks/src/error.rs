//! What a user is told when a task cannot be.

use thiserror::Error;

/// Parameters that describe no task. The text names the value, its limit and the remedy.
#[derive(Debug, Clone, PartialEq, Error)]
#[error("{name} is {value}, but must be {limit}; {remedy}")]
pub struct TaskError {
    /// What the parameter is called.
    pub name: String,
    /// Its value.
    pub value: String,
    /// The range it must lie in.
    pub limit: String,
    /// What to do about it.
    pub remedy: String,
}

/// Refuses a value unless `holds`.
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
