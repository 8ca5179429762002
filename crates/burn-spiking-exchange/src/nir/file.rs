//! Graphs as HDF5 files.
//!
//! ```text
//! /version                    text
//! /node/type                  "NIRGraph"
//! /node/edges                 texts, [E, 2]
//! /node/nodes/NAME/type       text
//! /node/nodes/NAME/...        a data set for each parameter
//! /node/nodes/NAME/metadata   a group, if there are any
//! ```

use super::graph::{Field, Graph, Node, Numbers};
use crate::ExchangeError;
use hdf5_pure::{DType, Dataset, File, FileBuilder, Group, GroupBuilder};
use std::collections::BTreeMap;
use std::path::Path;

/// The version of NIR that files are written for.
const VERSION: &str = "1.0.8";

/// The largest number of values in a file: 2 GB in double precision.
const MOST_VALUES: u64 = 1 << 28;

/// The largest number of graphs within each other.
const DEEPEST: usize = 16;

/// The largest number of nodes in a file.
const MOST_NODES: usize = 100_000;

/// What may still be read. A damaged file may name one part many times.
struct Budget {
    values: u64,
    nodes: usize,
}

/// A place in a file, for error messages.
#[derive(Clone, Copy)]
struct Place<'a> {
    file: &'a str,
    path: &'a str,
}

impl Place<'_> {
    fn error(self, what: impl Into<String>) -> ExchangeError {
        ExchangeError::File { file: self.file.into(), place: self.path.into(), what: what.into() }
    }

    /// An error of the reader.
    fn damaged(self, error: impl std::fmt::Display) -> ExchangeError {
        self.error(format!("{error}; the file is damaged, or not a NIR graph: write it again"))
    }
}

/// Reads a data set.
fn field(data: &Dataset, at: Place<'_>, budget: &mut Budget) -> Result<Field, ExchangeError> {
    let told = |error: hdf5_pure::Error| at.damaged(error);
    let sizes = data.shape().map_err(told)?;
    let count = sizes.iter().try_fold(1_u64, |count, &size| count.checked_mul(size)).unwrap_or(u64::MAX);
    match budget.values.checked_sub(count) {
        Some(left) => budget.values = left,
        None => {
            return Err(at.error(format!(
                "it has {count} values, but at most {MOST_VALUES} are read of a file; the file is damaged, or the network too large"
            )));
        }
    }
    let shape: Vec<usize> = sizes.iter().map(|&size| size as usize).collect();
    let numbers = match data.dtype().map_err(told)? {
        DType::F32 => Numbers::F32(data.read_f32().map_err(told)?),
        DType::F64 => Numbers::F64(data.read_f64().map_err(told)?),
        DType::I8 | DType::I16 | DType::I32 | DType::I64 | DType::U8 | DType::U16 | DType::U32 | DType::U64 => {
            Numbers::I64(data.read_i64().map_err(told)?)
        }
        DType::String | DType::VariableLengthString => {
            let texts = data.read_string().map_err(told)?;
            return if texts.len() as u64 == count {
                Ok(Field::Texts { shape, texts })
            } else {
                Err(at.damaged(format!("{} texts, but {count} are named", texts.len())))
            };
        }
        other => return Err(at.error(format!("it has values of type {other}, which NIR does not use; write it again"))),
    };
    let found = match &numbers {
        Numbers::F32(numbers) => numbers.len(),
        Numbers::F64(numbers) => numbers.len(),
        Numbers::I64(numbers) => numbers.len(),
    };
    if found as u64 != count {
        return Err(at.damaged(format!("{found} values, but {count} are named")));
    }
    Ok(Field::Numbers { shape, numbers })
}

/// Reads all data sets of a group.
fn fields(group: &Group, at: Place<'_>, budget: &mut Budget) -> Result<BTreeMap<String, Field>, ExchangeError> {
    let mut found = BTreeMap::new();
    for name in group.datasets().map_err(|error| at.damaged(error))? {
        let path = format!("{}/{name}", at.path);
        let at = Place { path: &path, ..at };
        let data = group.dataset(&name).map_err(|error| at.damaged(error))?;
        found.insert(name, field(&data, at, budget)?);
    }
    Ok(found)
}

/// Reads the metadata of a node; none if it has no such group.
fn metadata(group: &Group, at: Place<'_>, budget: &mut Budget) -> Result<BTreeMap<String, Field>, ExchangeError> {
    let groups = group.groups().map_err(|error| at.damaged(error))?;
    if !groups.iter().any(|name| name == "metadata") {
        return Ok(BTreeMap::new());
    }
    let path = format!("{}/metadata", at.path);
    let at = Place { path: &path, ..at };
    fields(&group.group("metadata").map_err(|error| at.damaged(error))?, at, budget)
}

fn node(group: &Group, at: Place<'_>, depth: usize, budget: &mut Budget) -> Result<Node, ExchangeError> {
    match budget.nodes.checked_sub(1) {
        Some(left) => budget.nodes = left,
        None => return Err(at.error(format!("the file has more than {MOST_NODES} nodes; it is damaged"))),
    }
    let mut fields = fields(group, at, budget)?;
    let kind = fields.remove("type");
    let Some(kind) = kind.as_ref().and_then(Field::as_text) else {
        return Err(at.error("it has no \"type\"; this is not a node of a NIR graph"));
    };
    let metadata = metadata(group, at, budget)?;
    if kind != "NIRGraph" {
        return Ok(Node::Unit { kind: kind.into(), fields, metadata });
    }
    if depth == DEEPEST {
        return Err(at.error(format!("there are more than {DEEPEST} graphs within each other; the file is damaged")));
    }
    let edges = match fields.remove("edges") {
        Some(Field::Texts { shape, texts }) if shape.len() == 2 && shape[1] == 2 => {
            texts.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
        }
        // A writer has no type for an empty list of edges.
        Some(field) if field.shape().iter().product::<usize>() == 0 => Vec::new(),
        _ => return Err(at.error("\"edges\" must be pairs of names, [edges, 2]; write the graph again")),
    };
    let path = format!("{}/nodes", at.path);
    let inside = Place { path: &path, ..at };
    let all = group.group("nodes").map_err(|error| inside.damaged(error))?;
    let mut nodes = BTreeMap::new();
    for name in all.groups().map_err(|error| inside.damaged(error))? {
        let path = format!("{path}/{name}");
        let at = Place { path: &path, ..at };
        let group = all.group(&name).map_err(|error| at.damaged(error))?;
        nodes.insert(name, node(&group, at, depth + 1, budget)?);
    }
    Ok(Node::Graph(Graph { nodes, edges, metadata }))
}

fn write_field(group: &mut GroupBuilder, name: &str, field: &Field) {
    let shape: Vec<u64> = field.shape().iter().map(|&size| size as u64).collect();
    let data = group.create_dataset(name);
    match field {
        Field::Numbers { numbers: Numbers::F32(numbers), .. } => data.with_f32_data(numbers),
        Field::Numbers { numbers: Numbers::F64(numbers), .. } => data.with_f64_data(numbers),
        Field::Numbers { numbers: Numbers::I64(numbers), .. } => data.with_i64_data(numbers),
        Field::Texts { texts, .. } => data.with_vlen_strings(&texts.iter().map(String::as_str).collect::<Vec<_>>()),
    };
    data.with_shape(&shape);
}

fn write_node(mut group: GroupBuilder, node: &Node) -> GroupBuilder {
    write_field(&mut group, "type", &Field::text(node.kind()));
    let metadata = match node {
        Node::Unit { fields, metadata, .. } => {
            fields.iter().for_each(|(name, field)| write_field(&mut group, name, field));
            metadata
        }
        Node::Graph(Graph { nodes, edges, metadata }) => {
            let texts = edges.iter().flat_map(|(from, to)| [from.clone(), to.clone()]).collect();
            write_field(&mut group, "edges", &Field::Texts { shape: vec![edges.len(), 2], texts });
            let mut all = group.create_group("nodes");
            for (name, node) in nodes {
                let inner = write_node(all.create_group(name), node);
                all.add_group(inner.finish());
            }
            group.add_group(all.finish());
            metadata
        }
    };
    if !metadata.is_empty() {
        let mut own = group.create_group("metadata");
        metadata.iter().for_each(|(name, field)| write_field(&mut own, name, field));
        group.add_group(own.finish());
    }
    group
}

impl Graph {
    /// Reads a graph from a file, node for node. Any kind of node is read.
    ///
    /// # Errors
    /// [`ExchangeError`] with the file, the place in it and the remedy, if the file cannot be read,
    /// is damaged, or is not a NIR graph.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, ExchangeError> {
        let name = path.as_ref().display().to_string();
        let bytes = std::fs::read(path.as_ref()).map_err(|error| ExchangeError::File {
            file: name.clone(),
            place: "the file".into(),
            what: error.to_string(),
        })?;
        Self::from_bytes(bytes, &name)
    }

    /// Reads a graph from the bytes of a file. `name` stands for the file in messages.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn from_bytes(bytes: Vec<u8>, name: &str) -> Result<Self, ExchangeError> {
        let at = Place { file: name, path: "the file" };
        let file = File::from_bytes(bytes).map_err(|error| at.damaged(error))?;
        let at = Place { path: "/node", ..at };
        let group = file.group("node").map_err(|error| at.damaged(error))?;
        match node(&group, at, 0, &mut Budget { values: MOST_VALUES, nodes: MOST_NODES })? {
            Node::Graph(graph) => Ok(graph),
            // A file may have a single node.
            unit => Ok(Graph::default().with("node", unit)),
        }
    }

    /// The bytes of the graph's file.
    ///
    /// # Errors
    /// [`ExchangeError`] if a name cannot be written.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ExchangeError> {
        let mut file = FileBuilder::new();
        file.create_dataset("version").with_vlen_strings(&[VERSION]).with_shape(&[]);
        let group = write_node(file.create_group("node"), &Node::Graph(self.clone()));
        file.add_group(group.finish());
        file.finish().map_err(|error| ExchangeError::Network(format!("the graph cannot be written: {error}")))
    }

    /// Writes the graph to a file.
    ///
    /// # Errors
    /// [`ExchangeError`] if the file cannot be written.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), ExchangeError> {
        std::fs::write(path.as_ref(), self.to_bytes()?).map_err(|error| ExchangeError::File {
            file: path.as_ref().display().to_string(),
            place: "the file".into(),
            what: error.to_string(),
        })
    }
}
