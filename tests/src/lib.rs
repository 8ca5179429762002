//! Random networks, and several ways to compute their gradients, for the tests of the whole system.
//!
//! A [`Draw`] is a network with its inputs. Its cost depends on every output: C = Σ (c + 0.3 y) y
//! over traces, potentials, charges, the readout and its activity, and the final state, with random
//! c. Each way returns the gradients with respect to all inputs.

// Burn 0.22 deprecates its NdArray backend, which users may still choose.
#![cfg_attr(any(feature = "ndarray", feature = "tch"), allow(deprecated))]

mod damage;
mod draws;
mod mean_field;
mod own_adex;
mod own_qif;
mod surrogate;
mod ways;

pub use damage::damaged;
pub use draws::{crowds, draws, normal, of_one_variable, planar_neuron, sample, sample_of, sparse_crowds};
pub use own_adex::OwnAdEx;
pub use own_qif::{OwnQif, OwnQifFlow};

use burn::tensor::{Device, Tensor};
use burn_spiking::Neuron;
use burn_spiking::scan::{Drive, ScanPlan};

/// The devices that this build can test on: first those with the CPU kernel, then LibTorch.
pub fn devices() -> Vec<Device> {
    #[allow(unused_mut)]
    let mut all = devices_with_kernel();
    #[cfg(feature = "tch")]
    all.push(Device::libtorch());
    all
}

/// The devices that this build can test the CPU kernel on.
pub fn devices_with_kernel() -> Vec<Device> {
    vec![
        #[cfg(feature = "flex")]
        Device::flex(),
        #[cfg(feature = "ndarray")]
        Device::ndarray(),
    ]
}

/// The GPU that this build can test on.
#[cfg(any(feature = "wgpu", feature = "cuda"))]
pub fn gpu() -> Device {
    #[cfg(feature = "cuda")]
    return Device::cuda(0);
    #[cfg(not(feature = "cuda"))]
    Device::wgpu(Default::default())
}

/// The inputs of a network, or the gradients of a cost with respect to them. A list is empty if the
/// network has no such input.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Values {
    /// x, `[B, T, N]`, or i, `[B, T, C]`.
    pub drive: Vec<f64>,
    /// U, `[C, N]`.
    pub projection: Vec<f64>,
    /// I_o, `[N]`.
    pub bias: Vec<f64>,
    /// W, `[M, N, N]`.
    pub weights: Vec<f64>,
    /// d, `[L, N]`.
    pub self_weights: Vec<f64>,
    /// v_0, `[B, N]`.
    pub v0: Vec<f64>,
    /// s_0, `[B, K, N]`.
    pub s0: Vec<f64>,
    /// O, `[N, O]`.
    pub readout: Vec<f64>,
    /// τ_mem, w, α_1 … α_K, `[2 M + K]`. M is N if τ_mem and w are per neuron, otherwise 1.
    pub constants: Vec<f64>,
}

impl Values {
    /// All inputs, in the order of the fields.
    pub fn all(&self) -> [&Vec<f64>; 9] {
        let Self { drive, projection, bias, weights, self_weights, v0, s0, readout, constants } = self;
        [drive, projection, bias, weights, self_weights, v0, s0, readout, constants]
    }

    fn all_mut(&mut self) -> [&mut Vec<f64>; 9] {
        let Self { drive, projection, bias, weights, self_weights, v0, s0, readout, constants } = self;
        [drive, projection, bias, weights, self_weights, v0, s0, readout, constants]
    }

    /// The largest of the inputs' relative distances ([`relative_distance`]).
    pub fn distance(&self, other: &Self) -> f64 {
        self.all().into_iter().zip(other.all()).map(|(a, b)| relative_distance(a, b)).fold(0.0, f64::max)
    }
}

/// A network with its inputs, in double precision.
#[derive(Debug, Clone)]
pub struct Draw {
    /// Neuron, gate, synapses, readout and step.
    pub plan: ScanPlan,
    /// B.
    pub batch: usize,
    /// T.
    pub steps: usize,
    /// N.
    pub neurons: usize,
    /// C; `None` if the drive is given without a projection.
    pub channels: Option<usize>,
    /// O; 0 without a readout.
    pub outputs: usize,
    /// The inputs of the network.
    pub inputs: Values,
    /// Seed of the coefficients of the cost.
    pub seed: u64,
}

impl Draw {
    /// Whether the CPU kernel supports the network. User-defined neurons that have a gate width
    /// each run in the tensor operations of the backends.
    pub fn has_kernel(&self) -> bool {
        self.plan.per_neuron.is_none() || !matches!(self.plan.neuron, Neuron::Own(_))
    }
}

/// The relative distance |a − b|/max(|a|, |b|); infinite if a number is not finite.
pub fn relative_distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    // Infinity, because `f64::max` ignores NaN.
    if !a.iter().chain(b).all(|x| x.is_finite()) {
        return f64::INFINITY;
    }
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
    let scale = norm(&mut a.iter().copied()).max(norm(&mut b.iter().copied()));
    let distance = norm(&mut a.iter().zip(b).map(|(a, b)| a - b));
    if scale == 0.0 { 0.0 } else { distance / scale }
}

/// A bound for relative distances in double precision: rounding errors, magnified by a few steps of
/// a network.
pub const NEAR_ROUNDING: f64 = 1e-10;

/// The drive of step t, `[B, N]`, in tensor operations.
pub(crate) fn drive_at(drive: &Drive, t: usize) -> Tensor<2> {
    let at = |series: &Tensor<3>| series.clone().narrow(1, t, 1).squeeze_dim(1);
    match drive {
        Drive::Whole(drive) => at(drive),
        Drive::Projected { input, projection, bias } => {
            let x: Tensor<2> = at(input).matmul(projection.clone());
            match bias {
                Some(bias) => x + bias.clone().unsqueeze(),
                None => x,
            }
        }
    }
}

/// The output of a training step, if no metric reads it.
pub struct Nothing;

impl burn::train::ItemLazy for Nothing {
    fn sync(self) -> Result<Self, burn::backend::ExecutionError> {
        Ok(self)
    }
}

/// The numbers of a tensor, in order.
pub fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}
