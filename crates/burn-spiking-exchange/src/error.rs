//! The errors of files and graphs.

use thiserror::Error;

/// Why a file or a graph cannot be read, written or converted.
#[derive(Debug, Error)]
pub enum ExchangeError {
    /// The file cannot be read or written, or it is damaged.
    #[error("{file}, {place}: {what}")]
    File {
        /// The path of the file.
        file: String,
        /// The place in the file.
        place: String,
        /// What is wrong, and the remedy.
        what: String,
    },
    /// A graph is not a network of this library.
    #[error("node \"{node}\": {what}")]
    Node {
        /// The name of the node.
        node: String,
        /// What is wrong, and the remedy.
        what: String,
    },
    /// A network cannot be written as a graph, or an option does not fit.
    #[error("{0}")]
    Network(String),
}

impl ExchangeError {
    /// An error at a node.
    #[cfg(feature = "nir")]
    pub(crate) fn node(node: &str, what: impl Into<String>) -> Self {
        Self::Node { node: node.into(), what: what.into() }
    }
}
