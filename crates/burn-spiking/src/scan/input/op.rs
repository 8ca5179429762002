//! The input current as one operation of Burn's CPU backends, with its hand-written backward step.

use crate::scan::{OptionalTensor, Vectors};
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Autodiff, AutodiffBackend, Backend, Dispatch, DispatchDevice, ExtensionType, TensorMetadata, backend_extension,
};
use burn::tensor::{Device, Shape, Tensor};
use std::sync::{Arc, OnceLock};

/// The tensors of an input current on one backend.
#[derive(Debug, Clone, ExtensionType)]
pub struct InputTensors<B: Backend> {
    /// e, `[B, T, C]`.
    pub input: FloatTensor<B>,
    /// U, `[C, N]`.
    pub weights: FloatTensor<B>,
    /// I_o, `[N]`; 0 if absent.
    #[extension_type]
    pub bias: OptionalTensor<B>,
    /// y_{−1}, `[B, N]`; 0 if absent.
    #[extension_type]
    pub before: OptionalTensor<B>,
}

/// The gradients of an input current that are wanted.
#[derive(Debug, Clone, ExtensionType)]
pub struct InputCurrentGradients<B: Backend> {
    /// ∂C/∂e, `[B, T, C]`.
    #[extension_type]
    pub input: OptionalTensor<B>,
    /// ∂C/∂U, `[C, N]`.
    #[extension_type]
    pub weights: OptionalTensor<B>,
    /// ∂C/∂I_o, `[N]`.
    #[extension_type]
    pub bias: OptionalTensor<B>,
    /// ∂C/∂y_{−1}, `[B, N]`.
    #[extension_type]
    pub before: OptionalTensor<B>,
}

/// What the forward pass finds out about an input and keeps for its adjoint.
pub type Found = Arc<OnceLock<OpenChannels>>;

/// The channels of an input that are not 0.
#[derive(Debug)]
pub enum OpenChannels {
    /// So many that products with whole matrices are faster.
    Dense,
    /// Those of each sample, step after step.
    Listed(Vec<Listed>),
}

/// The channels of one sample that are not 0.
#[derive(Debug, Default)]
pub struct Listed {
    /// The channels of all steps, one step after another.
    pub channels: Vec<u32>,
    /// The end of each step's channels.
    pub ends: Vec<usize>,
}

impl Listed {
    /// Returns the channels of step t.
    #[inline(always)]
    pub fn of(&self, t: usize) -> &[u32] {
        &self.channels[if t == 0 { 0 } else { self.ends[t - 1] }..self.ends[t]]
    }
}

/// The gradients that are wanted, in the order of [`InputTensors`].
pub type Wanted = [bool; 4];

/// A backend that has the operation.
#[backend_extension(Flex: cfg(feature = "flex"), NdArray: cfg(feature = "ndarray"), Autodiff)]
pub trait InputBackend: Backend {
    /// Computes x, `[B, T, N]`.
    fn input_current(#[extension_type] tensors: InputTensors<Self>, decay: f64, found: Found) -> FloatTensor<Self>;

    /// Computes the gradients for q, `[B, T, N]`.
    fn input_current_adjoint(
        #[extension_type] tensors: InputTensors<Self>,
        q: FloatTensor<Self>,
        decay: f64,
        found: Found,
        wanted: Wanted,
    ) -> InputCurrentGradients<Self>;
}

/// Whether a device has the operation.
pub(super) fn serves(device: &Device) -> bool {
    if Vectors::found().is_empty() {
        return false;
    }
    match device.clone().inner().as_dispatch() {
        #[cfg(feature = "flex")]
        DispatchDevice::Flex(_) => true,
        #[cfg(feature = "ndarray")]
        DispatchDevice::NdArray(_) => true,
        _ => false,
    }
}

/// Computes x, `[B, T, N]`.
pub(super) fn current(tensors: InputTensors<Dispatch>, decay: f64) -> Tensor<3> {
    Tensor::from_dispatch(Dispatch::input_current(tensors, decay, Found::default()))
}

impl<B: Backend> InputTensors<B> {
    fn in_order(&self) -> [Option<&FloatTensor<B>>; 4] {
        [Some(&self.input), Some(&self.weights), self.bias.as_option(), self.before.as_option()]
    }

    fn map<A: Backend>(self, f: impl Fn(FloatTensor<B>) -> FloatTensor<A>) -> InputTensors<A> {
        let slot = |slot: OptionalTensor<B>| OptionalTensor::from(slot.into_option().map(&f));
        let Self { input, weights, bias, before } = self;
        InputTensors { input: f(input), weights: f(weights), bias: slot(bias), before: slot(before) }
    }
}

/// The backward step.
#[derive(Debug)]
struct AdjointStep;

#[derive(Debug, Clone)]
struct AdjointState<B: Backend> {
    tensors: InputTensors<B>,
    decay: f64,
    found: Found,
}

impl<B: InputBackend> Backward<B, 4> for AdjointStep {
    type State = AdjointState<B>;

    fn backward(self, ops: Ops<Self::State, 4>, grads: &mut Gradients, _: &mut Checkpointer) {
        let q = grads.consume::<B>(&ops.node);
        let AdjointState { tensors, decay, found } = ops.state;
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let given = B::input_current_adjoint(tensors, q, decay, found, wanted);
        let given = [given.input, given.weights, given.bias, given.before].map(OptionalTensor::into_option);
        for (parent, gradient) in ops.parents.into_iter().zip(given) {
            if let (Some(parent), Some(gradient)) = (parent, gradient) {
                grads.register::<B>(parent.id, gradient);
            }
        }
    }
}

impl<B: InputBackend, C: CheckpointStrategy> InputBackend for Autodiff<B, C> {
    fn input_current(tensors: InputTensors<Self>, decay: f64, found: Found) -> FloatTensor<Self> {
        let (device, dtype) = (tensors.input.device(), tensors.input.dtype());
        let nodes = tensors.in_order().map(|tensor| match tensor {
            Some(tensor) => tensor.node(),
            None => {
                let nothing = B::float_zeros(Shape::from([1]), &device, dtype.into());
                <Self as AutodiffBackend>::from_inner(nothing).node()
            }
        });
        let tensors: InputTensors<B> = tensors.map(|tensor| tensor.into_primitive());
        match AdjointStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::UnTracked(prep) => prep.finish(B::input_current(tensors, decay, found)),
            OpsKind::Tracked(prep) => {
                let current = B::input_current(tensors.clone(), decay, found.clone());
                prep.finish(AdjointState { tensors, decay, found }, current)
            }
        }
    }

    fn input_current_adjoint(
        _: InputTensors<Self>,
        _: FloatTensor<Self>,
        _: f64,
        _: Found,
        _: Wanted,
    ) -> InputCurrentGradients<Self> {
        panic!("the input current has no second derivative; differentiate it once")
    }
}
