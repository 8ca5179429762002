//! Arrays of NumPy as tensors of Burn's CPU backend, and back, without copies.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Flex, ops::FloatTensorOps};
use burn::tensor::{DType, Element, Shape, TensorData};
use bytes::Bytes as Shared;
use cubecl_environment::bytes::{AllocationProperty, Bytes};
use numpy::{PyArray1, PyArrayDyn, PyArrayMethods, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// A tensor from an array.
pub(crate) type Given = FloatTensor<Flex>;

/// An array of float32 or float64, or `None`.
pub(crate) type Array<'py> = Option<Bound<'py, PyAny>>;

/// The memory of an array, which keeps the array alive.
struct Owner {
    _array: Py<PyAny>,
    start: *const u8,
    length: usize,
}

// The memory is that of the array, which this owner holds, and nobody writes to it while the scan
// may read it: see `tensor`.
unsafe impl Send for Owner {}
unsafe impl Sync for Owner {}

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the array is contiguous and has this many bytes.
        unsafe { std::slice::from_raw_parts(self.start, self.length) }
    }
}

/// The array as a tensor in the array's own memory. The caller must not write to the array before
/// the tensor is gone, as with what PyTorch saves for a backward pass.
pub(crate) fn tensor(name: &str, given: &Bound<'_, PyAny>) -> PyResult<Given> {
    if let Ok(array) = given.cast::<PyArrayDyn<f32>>() {
        return shared(name, array, DType::F32);
    }
    if let Ok(array) = given.cast::<PyArrayDyn<f64>>() {
        return shared(name, array, DType::F64);
    }
    let kind = given.get_type().name().map(|name| name.to_string()).unwrap_or_default();
    Err(PyValueError::new_err(format!(
        "{name} is a {kind}, but must be a NumPy array of float32 or float64; convert it"
    )))
}

fn shared<T: numpy::Element>(name: &str, array: &Bound<'_, PyArrayDyn<T>>, dtype: DType) -> PyResult<Given> {
    if !array.is_c_contiguous() {
        return Err(PyValueError::new_err(format!(
            "{name} is not contiguous; give it in order, by numpy.ascontiguousarray or torch's contiguous"
        )));
    }
    let owner = Owner {
        start: array.data().cast(),
        length: array.len() * size_of::<T>(),
        _array: array.clone().into_any().unbind(),
    };
    let bytes = Bytes::from_shared(Shared::from_owner(owner), AllocationProperty::Native);
    let data = TensorData::from_bytes(bytes, Shape::from(array.shape().to_vec()), dtype);
    Ok(Flex::float_from_data(data, &Default::default()))
}

/// A tensor as an array that owns the tensor's memory.
pub(crate) fn array<'py>(py: Python<'py>, tensor: Option<Given>) -> PyResult<Array<'py>> {
    let Some(tensor) = tensor else { return Ok(None) };
    let double = tensor.dtype() == DType::F64;
    let data = tensor.into_data();
    Ok(Some(if double { owned::<f64>(py, data)? } else { owned::<f32>(py, data)? }))
}

fn owned<'py, T: numpy::Element + Element>(py: Python<'py>, data: TensorData) -> PyResult<Bound<'py, PyAny>> {
    let shape = data.shape().to_vec();
    let numbers: Vec<T> = data.try_into_vec().map_err(|error| PyValueError::new_err(format!("{error:?}")))?;
    Ok(PyArray1::from_vec(py, numbers).reshape(shape)?.into_any())
}
