//! Which pairs of neurons, or of channels and neurons, are connected.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};

/// Pairs that are not connected.
#[derive(Module, Debug)]
pub struct Missing {
    /// 1 where there is a connection, else 0, `[pre, post]`. Numbers, since Burn 0.22 cannot move booleans from a CPU to a GPU.
    pub(super) there: Tensor<2>,
}

impl Missing {
    /// `None` if nothing is missing.
    pub(super) fn of(connected: &[bool], shape: [usize; 2], device: &Device) -> Option<Self> {
        let there: Vec<f32> = connected.iter().map(|&there| there as u8 as f32).collect();
        connected.contains(&false).then(|| Self { there: Tensor::from_data(TensorData::new(there, shape), device) })
    }

    pub(super) fn erase(&self, weights: Tensor<2>) -> Tensor<2> {
        let there = self.there.clone().cast(weights.dtype());
        weights * there
    }
}
