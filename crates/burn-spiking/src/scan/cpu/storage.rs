//! How the kernel reaches the CPU backends' memory.

use super::SpikingBackend;
use crate::number::Real;
use burn::backend::tensor::FloatTensor;
use burn::tensor::TensorData;

/// A backend whose tensors are slices in the host's memory.
pub(super) trait Storage: SpikingBackend {
    /// The same tensor with its elements in order; itself if they are already.
    fn contiguous(tensor: FloatTensor<Self>) -> FloatTensor<Self>;
    /// The elements of a contiguous tensor.
    fn slice<T: Real>(tensor: &FloatTensor<Self>) -> &[T];
    /// A tensor that takes over a vector.
    fn from_vec<T: Real>(data: Vec<T>, shape: &[usize]) -> FloatTensor<Self>;
}

#[cfg(feature = "flex")]
impl Storage for burn::backend::Flex {
    fn contiguous(tensor: FloatTensor<Self>) -> FloatTensor<Self> {
        tensor.to_contiguous()
    }

    fn slice<T: Real>(tensor: &FloatTensor<Self>) -> &[T] {
        tensor.as_slice().expect("the tensor is contiguous, and its dtype was checked")
    }

    fn from_vec<T: Real>(data: Vec<T>, shape: &[usize]) -> FloatTensor<Self> {
        burn_flex::FlexTensor::from_data(TensorData::new(data, shape.to_vec()))
    }
}

#[cfg(feature = "ndarray")]
impl Storage for burn::backend::NdArray {
    fn contiguous(tensor: FloatTensor<Self>) -> FloatTensor<Self> {
        use burn_ndarray::{NdArrayStorage, NdArrayTensor};
        fn ordered<E: burn::tensor::Element>(storage: NdArrayStorage<E>) -> NdArrayStorage<E> {
            if storage.view().is_standard_layout() {
                return storage;
            }
            NdArrayStorage::from_owned(storage.view().as_standard_layout().into_owned().into_shared())
        }
        match tensor {
            NdArrayTensor::F32(storage) => NdArrayTensor::F32(ordered(storage)),
            NdArrayTensor::F64(storage) => NdArrayTensor::F64(ordered(storage)),
            other => other,
        }
    }

    fn slice<T: Real>(tensor: &FloatTensor<Self>) -> &[T] {
        use burn_ndarray::{NdArrayStorage, NdArrayTensor};
        // A view borrows the storage for as long as the tensor lives, but ndarray's own slice only for the view's life.
        fn elements<E: burn::tensor::Element>(storage: &NdArrayStorage<E>) -> &[E] {
            storage.view().to_slice().expect("the tensor is contiguous")
        }
        match tensor {
            NdArrayTensor::F32(storage) => bytemuck::cast_slice(elements(storage)),
            NdArrayTensor::F64(storage) => bytemuck::cast_slice(elements(storage)),
            _ => unreachable!("the dtype was checked"),
        }
    }

    fn from_vec<T: Real>(data: Vec<T>, shape: &[usize]) -> FloatTensor<Self> {
        burn_ndarray::NdArrayTensor::from_data(TensorData::new(data, shape.to_vec()))
    }
}
