//! Files of state dicts: SafeTensors, or checkpoints that `torch.save` wrote.

use crate::ExchangeError;
use crate::tensors::{Kind, Stored, Tensors, bytes_of, failed};
use pytorch_reader::{DType, PytorchReader};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

impl Tensors {
    /// Reads a file; a checkpoint if its name ends in .pt or .pth.
    ///
    /// # Errors
    /// If the file cannot be read or is damaged.
    pub(crate) fn read(path: &Path) -> Result<Self, ExchangeError> {
        match path.extension().and_then(|end| end.to_str()) {
            Some("pt" | "pth") => Self::of_checkpoint(path),
            _ => Self::of_safetensors(&bytes_of(path)?, path),
        }
    }

    /// Reads a checkpoint of PyTorch. Tensors in dictionaries within it have the path as their
    /// name, such as `state_dict.fc1.weight`.
    fn of_checkpoint(path: &Path) -> Result<Self, ExchangeError> {
        let told = |place: &str, error: &dyn std::fmt::Display| {
            failed(path, place, format!("{error}; write it again by torch.save(model.state_dict(), path)"))
        };
        let length = std::fs::metadata(path).map_err(|error| failed(path, "the file", error))?.len();
        let file = PytorchReader::new(path).map_err(|error| told("the file", &error))?;
        let double = file.tensors().values().any(|tensor| tensor.dtype() == DType::F64);
        let mut all = BTreeMap::new();
        for (name, tensor) in file.tensors() {
            // A view can claim more numbers than its storage has.
            let count = tensor.shape().iter().try_fold(1_usize, |count, &extent| count.checked_mul(extent));
            let claimed = count.and_then(|count| count.checked_mul(tensor.dtype().size()));
            if claimed.is_none_or(|claimed| claimed as u64 > length) {
                let what = format!(
                    "its shape {:?} has more numbers than the file of {length} bytes; save it `.contiguous()` and without compression",
                    tensor.shape()
                );
                return Err(failed(path, name, what));
            }
            let numbers = match tensor.dtype() {
                DType::F32 => Ok(Kind::F32),
                DType::F64 => Ok(Kind::F64),
                DType::I32 => Ok(Kind::I32),
                DType::I64 => Ok(Kind::I64),
                other => Err(format!("{other:?}")),
            };
            let numbers = match numbers {
                Ok(kind) => Ok(kind.numbers(&tensor.read().map_err(|error| told("the file", &error))?)),
                Err(dtype) => Err(dtype),
            };
            all.insert(name.clone(), Stored { shape: tensor.shape().to_vec(), numbers });
        }
        Ok(Self { file: path.display().to_string(), all, double, read: RefCell::default() })
    }

    /// The names and shapes of all tensors, in order of the names.
    pub(crate) fn shapes(self) -> Vec<(String, Vec<usize>)> {
        self.all.into_iter().map(|(name, stored)| (name, stored.shape)).collect()
    }
}
