//! Masks of connections: pairs of neurons, or of input channels and neurons, that are not
//! connected.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};

/// The pairs that are not connected.
#[derive(Module, Debug)]
pub struct Missing {
    /// 1 for a connection, 0 for none, `[pre, post]`. The mask consists of numbers because Burn
    /// 0.22 fails to move booleans from a CPU to a GPU.
    pub(super) there: Tensor<2>,
}

impl Missing {
    /// Makes the mask of a shape, `None` if all pairs are connected.
    pub(super) fn of(connected: &[bool], shape: [usize; 2], device: &Device) -> Option<Self> {
        let there: Vec<f32> = connected.iter().map(|&there| there as u8 as f32).collect();
        connected.contains(&false).then(|| Self { there: Tensor::from_data(TensorData::new(there, shape), device) })
    }

    pub(super) fn erase(&self, weights: Tensor<2>) -> Tensor<2> {
        let there = self.there.clone().cast(weights.dtype());
        weights * there
    }
}
