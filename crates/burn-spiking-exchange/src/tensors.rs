//! The tensors of a file, as numbers in double precision.

use crate::ExchangeError;
use safetensors::{Dtype, SafeTensors};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The shape and the numbers of a tensor.
pub(crate) type Numbers = (Vec<usize>, Vec<f64>);

/// A tensor. Its numbers are an error if its type is none of those that are read.
pub(crate) struct Stored {
    pub(crate) shape: Vec<usize>,
    pub(crate) numbers: Result<Vec<f64>, String>,
}

/// The tensors of a file, by their names.
pub(crate) struct Tensors {
    pub(crate) file: String,
    pub(crate) all: BTreeMap<String, Stored>,
    /// Whether a tensor is in double precision.
    pub(crate) double: bool,
    /// The names that were asked for.
    pub(crate) read: RefCell<BTreeSet<String>>,
}

/// The types of numbers that are read.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    F32,
    F64,
    I32,
    I64,
}

// SafeTensors are little-endian, and the numbers of a checkpoint come in the machine's order.
const _: () = assert!(cfg!(target_endian = "little"), "the bytes of tensors are read as little-endian");

impl Kind {
    /// The numbers in the bytes of a tensor.
    pub(crate) fn numbers(self, bytes: &[u8]) -> Vec<f64> {
        match self {
            Kind::F32 => bytes.as_chunks().0.iter().map(|&four| f32::from_le_bytes(four).into()).collect(),
            Kind::F64 => bytes.as_chunks().0.iter().map(|&eight| f64::from_le_bytes(eight)).collect(),
            Kind::I32 => bytes.as_chunks().0.iter().map(|&four| i32::from_le_bytes(four).into()).collect(),
            Kind::I64 => bytes.as_chunks().0.iter().map(|&eight| i64::from_le_bytes(eight) as f64).collect(),
        }
    }
}

impl Tensors {
    /// Reads SafeTensors from the bytes of a file.
    ///
    /// # Errors
    /// If they are damaged.
    pub(crate) fn of_safetensors(bytes: &[u8], path: &Path) -> Result<Self, ExchangeError> {
        let file = SafeTensors::deserialize(bytes).map_err(|error| {
            let what = format!(
                "{error}; write it again, from PyTorch by safetensors.torch.save_file(model.state_dict(), path)"
            );
            failed(path, "the file", what)
        })?;
        let all = file.iter().map(|(name, tensor)| {
            let kind = match tensor.dtype() {
                Dtype::F32 => Ok(Kind::F32),
                Dtype::F64 => Ok(Kind::F64),
                Dtype::I32 => Ok(Kind::I32),
                Dtype::I64 => Ok(Kind::I64),
                other => Err(format!("{other:?}")),
            };
            let numbers = kind.map(|kind| kind.numbers(tensor.data()));
            (name.to_string(), Stored { shape: tensor.shape().to_vec(), numbers })
        });
        let double = file.iter().any(|(_, tensor)| tensor.dtype() == Dtype::F64);
        Ok(Self { file: path.display().to_string(), all: all.collect(), double, read: RefCell::default() })
    }

    /// An error at a place in the file.
    pub(crate) fn error(&self, place: &str, what: impl Into<String>) -> ExchangeError {
        ExchangeError::File { file: self.file.clone(), place: place.into(), what: what.into() }
    }

    /// The names of all tensors, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.all.keys().map(String::as_str)
    }

    /// The first tensor whose name begins with `prefix` and that nobody asked for.
    pub(crate) fn unread(&self, prefix: &str) -> Option<&str> {
        let read = self.read.borrow();
        self.names().find(|name| name.starts_with(prefix) && !read.contains(*name))
    }

    /// Whether the file has a tensor.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.all.contains_key(name)
    }

    /// The shape and the numbers of a tensor; `None` if the file does not have it.
    ///
    /// # Errors
    /// If its type is not read, or a number is infinite or NaN.
    pub(crate) fn get(&self, name: &str) -> Result<Option<Numbers>, ExchangeError> {
        let Some(Stored { shape, numbers }) = self.all.get(name) else { return Ok(None) };
        self.read.borrow_mut().insert(name.into());
        let numbers = numbers.clone().map_err(|dtype| {
            self.error(name, format!("it is {dtype}, but must be F32, F64, I32 or I64; save `model.float()`"))
        })?;
        match numbers.iter().find(|x| !x.is_finite()) {
            Some(wrong) => Err(self.error(
                name,
                format!("it contains {wrong}, which is not finite; save a network with finite parameters"),
            )),
            None => Ok(Some((shape.clone(), numbers))),
        }
    }

    /// The shape and the numbers of a tensor.
    ///
    /// # Errors
    /// As [`get`](Self::get), or if the file does not have it.
    pub(crate) fn wanted(&self, name: &str) -> Result<Numbers, ExchangeError> {
        self.get(name)?.ok_or_else(|| {
            let names: Vec<&str> = self.names().collect();
            self.error(name, format!("there is no such tensor; the file has {}", names.join(", ")))
        })
    }
}

/// Reads the bytes of a file.
pub(crate) fn bytes_of(path: &Path) -> Result<Vec<u8>, ExchangeError> {
    std::fs::read(path).map_err(|error| failed(path, "the file", error))
}

/// An error at a place in a file.
pub(crate) fn failed(path: &Path, place: &str, what: impl ToString) -> ExchangeError {
    ExchangeError::File { file: path.display().to_string(), place: place.into(), what: what.to_string() }
}
