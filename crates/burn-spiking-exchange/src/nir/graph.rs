//! A graph, node for node.

use crate::ExchangeError;
use std::collections::{BTreeMap, BTreeSet};

/// A NIR graph.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Graph {
    /// The nodes by name.
    pub nodes: BTreeMap<String, Node>,
    /// The edges, from node to node.
    pub edges: Vec<(String, String)>,
    /// Metadata of any kind, which tools may ignore.
    pub metadata: BTreeMap<String, Field>,
}

/// A node of a graph.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// A node with parameters.
    Unit {
        /// The kind, such as "LIF" or "Affine".
        kind: String,
        /// The parameters by name.
        fields: BTreeMap<String, Field>,
        /// Metadata of any kind.
        metadata: BTreeMap<String, Field>,
    },
    /// A graph inside the graph.
    Graph(Graph),
}

/// A parameter of a node.
#[derive(Debug, Clone, PartialEq)]
pub enum Field {
    /// Numbers.
    Numbers {
        /// The sizes of the dimensions; none for a single number.
        shape: Vec<usize>,
        /// The numbers, the last dimension fastest.
        numbers: Numbers,
    },
    /// Texts.
    Texts {
        /// The sizes of the dimensions; none for a single text.
        shape: Vec<usize>,
        /// The texts.
        texts: Vec<String>,
    },
}

/// Numbers in the precision in which a file has them.
#[derive(Debug, Clone, PartialEq)]
pub enum Numbers {
    /// Single precision.
    F32(Vec<f32>),
    /// Double precision.
    F64(Vec<f64>),
    /// Whole numbers.
    I64(Vec<i64>),
}

impl Numbers {
    /// The numbers in double precision.
    pub fn to_f64(&self) -> Vec<f64> {
        match self {
            Numbers::F32(numbers) => numbers.iter().map(|&x| f64::from(x)).collect(),
            Numbers::F64(numbers) => numbers.clone(),
            Numbers::I64(numbers) => numbers.iter().map(|&x| x as f64).collect(),
        }
    }
}

impl Field {
    /// Numbers in double precision.
    pub fn of(shape: &[usize], numbers: Vec<f64>) -> Self {
        Self::Numbers { shape: shape.to_vec(), numbers: Numbers::F64(numbers) }
    }

    /// A single text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Texts { shape: Vec::new(), texts: vec![text.into()] }
    }

    /// Whether there are as many values as the shape says.
    pub(crate) fn is_whole(&self) -> bool {
        let length = match self {
            Field::Numbers { numbers: Numbers::F32(numbers), .. } => numbers.len(),
            Field::Numbers { numbers: Numbers::F64(numbers), .. } => numbers.len(),
            Field::Numbers { numbers: Numbers::I64(numbers), .. } => numbers.len(),
            Field::Texts { texts, .. } => texts.len(),
        };
        self.shape().iter().try_fold(1_usize, |count, &size| count.checked_mul(size)) == Some(length)
    }

    /// The shape of the field.
    pub fn shape(&self) -> &[usize] {
        match self {
            Field::Numbers { shape, .. } | Field::Texts { shape, .. } => shape,
        }
    }

    /// The single text, if the field is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Field::Texts { shape, texts } if shape.is_empty() => texts.first().map(String::as_str),
            _ => None,
        }
    }
}

impl Node {
    /// A node of this kind with these parameters, and without metadata.
    pub fn unit(kind: &str, fields: impl IntoIterator<Item = (&'static str, Field)>) -> Self {
        let fields = fields.into_iter().map(|(name, field)| (name.to_string(), field)).collect();
        Node::Unit { kind: kind.into(), fields, metadata: BTreeMap::new() }
    }

    /// The kind of the node; "NIRGraph" for a graph.
    pub fn kind(&self) -> &str {
        match self {
            Node::Unit { kind, .. } => kind,
            Node::Graph(_) => "NIRGraph",
        }
    }

    /// A parameter of the node.
    pub fn field(&self, name: &str) -> Option<&Field> {
        match self {
            Node::Unit { fields, .. } => fields.get(name),
            Node::Graph(_) => None,
        }
    }
}

impl Graph {
    /// Adds a node.
    pub(crate) fn with(mut self, name: impl Into<String>, node: Node) -> Self {
        self.nodes.insert(name.into(), node);
        self
    }

    /// Adds an edge.
    pub(crate) fn joined(mut self, from: impl Into<String>, to: impl Into<String>) -> Self {
        self.edges.push((from.into(), to.into()));
        self
    }

    /// The names of the nodes with an edge to `node`, each once.
    pub fn before(&self, node: &str) -> Vec<&str> {
        let mut names: Vec<&str> =
            self.edges.iter().filter(|(_, to)| to == node).map(|(from, _)| from.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Returns the graph with the nodes of graphs inside it in their place. The nodes of graph
    /// `inner` are named `inner.name`; its Input and Output nodes disappear.
    ///
    /// # Errors
    /// [`ExchangeError`] with the node, if an edge has no node at an end, is there twice, leads
    /// into an Input or out of an Output, or joins a graph that has no such end; or if two nodes
    /// get the same name.
    pub fn flat(&self) -> Result<Graph, ExchangeError> {
        self.check_edges()?;
        let mut flat = Graph { metadata: self.metadata.clone(), ..Graph::default() };
        let mut add = |name: String, node: &Node| match flat.nodes.insert(name.clone(), node.clone()) {
            None => Ok(()),
            Some(_) => {
                Err(ExchangeError::node(&name, "two nodes have this name once graphs are taken apart; rename one"))
            }
        };
        // The ends of edges to and from a graph inside: the nodes behind its Input, and before its
        // Output.
        let (mut entries, mut exits) = (Ends::new(), Ends::new());
        let mut edges = BTreeSet::new();
        for (name, node) in &self.nodes {
            let Node::Graph(inner) = node else {
                add(name.clone(), node)?;
                continue;
            };
            let inner = inner.flat()?;
            let is = |node: &str, kind: &str| inner.nodes.get(node).is_some_and(|node| node.kind() == kind);
            let long = |node: &str| format!("{name}.{node}");
            for (node, content) in inner.nodes.iter().filter(|(_, node)| !["Input", "Output"].contains(&node.kind())) {
                add(long(node), content)?;
            }
            for (from, to) in &inner.edges {
                match (is(from, "Input"), is(to, "Output")) {
                    (false, false) => drop(edges.insert((long(from), long(to)))),
                    (true, false) => drop(entries.entry(name.clone()).or_default().insert(long(to))),
                    (false, true) => drop(exits.entry(name.clone()).or_default().insert(long(from))),
                    (true, true) => {
                        return Err(ExchangeError::node(
                            name,
                            "its input goes straight to its output; leave the graph out",
                        ));
                    }
                }
            }
        }
        for (from, to) in &self.edges {
            let ends = |name: &String, of: &Ends, end: &str| match (&self.nodes[name], of.get(name)) {
                (Node::Unit { .. }, _) => Ok(BTreeSet::from([name.clone()])),
                (Node::Graph(_), Some(ends)) => Ok(ends.clone()),
                (Node::Graph(_), None) => {
                    Err(ExchangeError::node(name, format!("an edge joins it, but it has no {end}")))
                }
            };
            let (from, to) = (ends(from, &exits, "Output")?, ends(to, &entries, "Input")?);
            from.iter().for_each(|from| edges.extend(to.iter().map(|to| (from.clone(), to.clone()))));
        }
        flat.edges = edges.into_iter().collect();
        Ok(flat)
    }

    fn check_edges(&self) -> Result<(), ExchangeError> {
        let mut seen = BTreeSet::new();
        for (from, to) in &self.edges {
            for (end, other) in [(from, to), (to, from)] {
                if !self.nodes.contains_key(end) {
                    return Err(ExchangeError::node(
                        end,
                        format!("an edge joins it to \"{other}\", but there is no such node"),
                    ));
                }
            }
            if !seen.insert((from, to)) {
                let what =
                    format!("two edges lead to it from \"{from}\"; keep one, and double the weights if both are meant");
                return Err(ExchangeError::node(to, what));
            }
            if self.nodes[to].kind() == "Input" {
                return Err(ExchangeError::node(
                    to,
                    format!("an edge leads into this input from \"{from}\"; lead it past the input"),
                ));
            }
            if self.nodes[from].kind() == "Output" {
                return Err(ExchangeError::node(
                    from,
                    format!("an edge leads out of this output to \"{to}\"; lead it past the output"),
                ));
            }
        }
        Ok(())
    }
}

/// The nodes at the ends of the graphs inside a graph.
type Ends = BTreeMap<String, BTreeSet<String>>;
