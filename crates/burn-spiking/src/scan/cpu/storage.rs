//! The kernel's access to the memory of the CPU backends.

use crate::num::Real;
use crate::scan::{OptionalTensor, SpikingBackend};
use burn::backend::tensor::FloatTensor;
use burn::tensor::TensorData;

/// A backend whose tensors are slices in the host's memory.
pub(crate) trait Storage: SpikingBackend {
    /// Returns the tensor with its elements in order; it is the same tensor if they are in order.
    fn contiguous(tensor: FloatTensor<Self>) -> FloatTensor<Self>;
    /// Returns the elements of a contiguous tensor.
    fn slice<T: Real>(tensor: &FloatTensor<Self>) -> &[T];
    /// Makes a tensor from a vector without a copy.
    fn from_vec<T: Real>(data: Vec<T>, shape: &[usize]) -> FloatTensor<Self>;
}

/// Returns the tensor of a slot with its elements in order.
pub(super) fn contiguous<B: Storage>(slot: OptionalTensor<B>) -> Option<FloatTensor<B>> {
    slot.into_option().map(B::contiguous)
}

/// Returns the `at`-th part of `length` elements of a contiguous tensor.
pub(super) fn part<B: Storage, T: Real>(tensor: &Option<FloatTensor<B>>, at: usize, length: usize) -> Option<&[T]> {
    tensor.as_ref().map(|tensor| &B::slice::<T>(tensor)[at * length..(at + 1) * length])
}

/// Makes a slot from a vector, if there is one.
pub(super) fn slot_of<B: Storage, T: Real>(data: Option<Vec<T>>, shape: &[usize]) -> OptionalTensor<B> {
    OptionalTensor::from(data.map(|data| B::from_vec(data, shape)))
}

#[cfg(feature = "flex")]
impl Storage for burn::backend::Flex {
    fn contiguous(tensor: FloatTensor<Self>) -> FloatTensor<Self> {
        tensor.to_contiguous()
    }

    fn slice<T: Real>(tensor: &FloatTensor<Self>) -> &[T] {
        let stored: &[T] = tensor.as_slice().expect("the tensor is contiguous, and its dtype was checked");
        stored
    }

    fn from_vec<T: Real>(data: Vec<T>, shape: &[usize]) -> FloatTensor<Self> {
        burn_flex::FlexTensor::from_data(TensorData::new(data, shape.to_vec()))
    }
}

#[cfg(feature = "ndarray")]
impl Storage for burn::backend::NdArray {
    fn contiguous(tensor: FloatTensor<Self>) -> FloatTensor<Self> {
        use burn_ndarray::NdArrayTensor;
        macro_rules! ordered {
            ($storage:expr) => {{
                let view = $storage.view();
                if view.is_standard_layout() {
                    return tensor;
                }
                NdArrayTensor::from_data(TensorData::new(view.iter().copied().collect(), view.shape().to_vec()))
            }};
        }
        match &tensor {
            NdArrayTensor::F32(storage) => ordered!(storage),
            NdArrayTensor::F64(storage) => ordered!(storage),
            _ => tensor,
        }
    }

    fn slice<T: Real>(tensor: &FloatTensor<Self>) -> &[T] {
        use burn_ndarray::NdArrayTensor;
        let contiguous = "the tensor is contiguous";
        match tensor {
            NdArrayTensor::F32(storage) => bytemuck::cast_slice(storage.view().to_slice().expect(contiguous)),
            NdArrayTensor::F64(storage) => bytemuck::cast_slice(storage.view().to_slice().expect(contiguous)),
            _ => unreachable!("the dtype was checked"),
        }
    }

    fn from_vec<T: Real>(data: Vec<T>, shape: &[usize]) -> FloatTensor<Self> {
        burn_ndarray::NdArrayTensor::from_data(TensorData::new(data, shape.to_vec()))
    }
}
