//! The input and output tensors of the scan and its adjoint.

use super::synapse::ScanConnections;
use burn::backend::{Backend, ExtensionType, tensor::FloatTensor};

/// A tensor that may be absent.
#[derive(Debug, Clone, ExtensionType)]
#[extension_type(fusion: cfg(feature = "cube"))]
pub enum OptionalTensor<B: Backend> {
    /// No tensor: it is not given, it is not wanted, or it is 0.
    Absent,
    /// The tensor.
    Present(FloatTensor<B>),
}

impl<B: Backend> OptionalTensor<B> {
    /// Converts this slot to an option.
    pub fn into_option(self) -> Option<FloatTensor<B>> {
        match self {
            OptionalTensor::Absent => None,
            OptionalTensor::Present(tensor) => Some(tensor),
        }
    }

    /// Adds two tensors; an absent one is 0.
    #[cfg(feature = "cube")]
    pub(super) fn plus(self, other: Self) -> Self {
        match (self, other) {
            (Self::Present(a), Self::Present(b)) => Self::Present(B::float_add(a, b)),
            (Self::Absent, one) | (one, Self::Absent) => one,
        }
    }

    /// Borrows the tensor, if there is one.
    pub fn as_option(&self) -> Option<&FloatTensor<B>> {
        match self {
            OptionalTensor::Absent => None,
            OptionalTensor::Present(tensor) => Some(tensor),
        }
    }
}

impl<B: Backend> From<Option<FloatTensor<B>>> for OptionalTensor<B> {
    fn from(tensor: Option<FloatTensor<B>>) -> Self {
        tensor.map_or(OptionalTensor::Absent, OptionalTensor::Present)
    }
}

/// The input tensors of a scan. Each has a gradient, except the weights of the activity.
#[derive(Debug, Clone, ExtensionType)]
#[extension_type(fusion: cfg(feature = "cube"))]
pub struct ScanInputs<B: Backend> {
    /// The drive x, `[B, T, N]`; with a projection, the input i, `[B, T, C]`.
    pub drive: FloatTensor<B>,
    /// U, `[C, N]`.
    #[extension_type]
    pub projection: OptionalTensor<B>,
    /// I_o, `[N]`; only with a projection.
    #[extension_type]
    pub bias: OptionalTensor<B>,
    /// W, `[M, N, N]`: one weight plane for each of the M synapse types that have weights.
    #[extension_type]
    pub weights: OptionalTensor<B>,
    /// d, `[L, N]`: one row of self-weights for each of the L synapse types that connect each
    /// neuron to itself alone.
    #[extension_type]
    pub self_weights: OptionalTensor<B>,
    /// v_0, `[B, N]`.
    pub v0: FloatTensor<B>,
    /// s_0, `[B, H, N]`.
    pub s0: FloatTensor<B>,
    /// O, `[N, O]`.
    #[extension_type]
    pub readout: OptionalTensor<B>,
    /// m, the weights of the steps in the activity, `[B, T]`; all 1 if absent. They have no
    /// gradient.
    #[extension_type]
    pub activity_weight: OptionalTensor<B>,
    /// τ_mem, w, α_1 … α_K, `[2 M + K]`. Here M is 1, or N if each neuron has its own τ_mem and w.
    /// The numbers are those of the plan; the tensor makes the run differentiable with respect to
    /// them. Present only if the plan's `constants` is set.
    #[extension_type]
    pub constants: OptionalTensor<B>,
}

/// The number of a scan's inputs that have gradients.
pub(super) const DIFFERENTIABLE: usize = 9;

impl<B: Backend> ScanInputs<B> {
    /// The inputs that have gradients, in the order of [`InputGradients::in_order`].
    pub(super) fn differentiable(&self) -> [Option<&FloatTensor<B>>; DIFFERENTIABLE] {
        let Self { drive, projection, bias, weights, self_weights, v0, s0, readout, activity_weight: _, constants } =
            self;
        [
            Some(drive),
            projection.as_option(),
            bias.as_option(),
            weights.as_option(),
            self_weights.as_option(),
            Some(v0),
            Some(s0),
            readout.as_option(),
            constants.as_option(),
        ]
    }

    /// The same inputs on another backend.
    pub(super) fn map<A: Backend>(self, f: impl Fn(FloatTensor<B>) -> FloatTensor<A>) -> ScanInputs<A> {
        let slot = |slot: OptionalTensor<B>| OptionalTensor::from(slot.into_option().map(&f));
        let Self { drive, projection, bias, weights, self_weights, v0, s0, readout, activity_weight, constants } = self;
        ScanInputs {
            drive: f(drive),
            projection: slot(projection),
            bias: slot(bias),
            weights: slot(weights),
            self_weights: slot(self_weights),
            v0: f(v0),
            s0: f(s0),
            readout: slot(readout),
            activity_weight: slot(activity_weight),
            constants: slot(constants),
        }
    }
}

/// The output tensors of a scan.
#[derive(Debug, Clone, ExtensionType)]
#[extension_type(fusion: cfg(feature = "cube"))]
pub struct ScanOutput<B: Backend> {
    /// The R recorded traces, `[R, B, T, N]`; the last is w if the plan records it.
    #[extension_type]
    pub traces: OptionalTensor<B>,
    /// The membrane potentials, `[B, T, N]`.
    #[extension_type]
    pub v: OptionalTensor<B>,
    /// The charges sent, `[B, T, N]`.
    #[extension_type]
    pub charge: OptionalTensor<B>,
    /// o, `[B, T, O]`, with a readout.
    #[extension_type]
    pub readout: OptionalTensor<B>,
    /// A, `[B]`, with a readout.
    #[extension_type]
    pub activity: OptionalTensor<B>,
    /// v_T, `[B, N]`.
    pub last_v: FloatTensor<B>,
    /// s_T, `[B, H, N]`.
    pub last_s: FloatTensor<B>,
    /// The tape for the adjoint; empty unless `keep_tape` is set.
    #[extension_type]
    pub tape: ScanTape<B>,
}

/// The cost's direct gradients with respect to a scan's outputs; absent if they are 0.
#[derive(Debug, Clone, ExtensionType)]
#[extension_type(fusion: cfg(feature = "cube"))]
pub struct OutputGradients<B: Backend> {
    /// s′, and w′ if the plan records w, `[R, B, T, N]`.
    #[extension_type]
    pub traces: OptionalTensor<B>,
    /// v′, `[B, T, N]`.
    #[extension_type]
    pub v: OptionalTensor<B>,
    /// ΔQ′, `[B, T, N]`.
    #[extension_type]
    pub charge: OptionalTensor<B>,
    /// o′, `[B, T, O]`.
    #[extension_type]
    pub readout: OptionalTensor<B>,
    /// A′, `[B]`.
    #[extension_type]
    pub activity: OptionalTensor<B>,
    /// The gradient with respect to v_T, `[B, N]`.
    #[extension_type]
    pub last_v: OptionalTensor<B>,
    /// The gradient with respect to s_T, `[B, H, N]`.
    #[extension_type]
    pub last_s: OptionalTensor<B>,
}

impl<B: Backend> OutputGradients<B> {
    /// Gradients that are all 0.
    pub fn empty() -> Self {
        Self {
            traces: OptionalTensor::Absent,
            v: OptionalTensor::Absent,
            charge: OptionalTensor::Absent,
            readout: OptionalTensor::Absent,
            activity: OptionalTensor::Absent,
            last_v: OptionalTensor::Absent,
            last_s: OptionalTensor::Absent,
        }
    }
}

/// The tensors that a forward run keeps for its adjoint. Each program decides which of them it
/// keeps.
#[derive(Debug, Clone, ExtensionType)]
#[extension_type(fusion: cfg(feature = "cube"))]
pub struct ScanTape<B: Backend> {
    /// I_t, `[B, T, N]`.
    #[extension_type]
    pub currents: OptionalTensor<B>,
    /// vpre_t, `[B, T, N]`.
    #[extension_type]
    pub potentials: OptionalTensor<B>,
    /// The trace that the readout reads, `[B, T, N]`.
    #[extension_type]
    pub trace: OptionalTensor<B>,
    /// The state before each segment, `[B, segments, rows, N]`. The number of rows depends on the
    /// program.
    #[extension_type]
    pub states: OptionalTensor<B>,
    /// The mean of each trace over each block, `[K, B, blocks, N]`, for
    /// [`Adjoint::MeanField`](super::Adjoint::MeanField).
    #[extension_type]
    pub means: OptionalTensor<B>,
}

impl<B: Backend> ScanTape<B> {
    /// A tape without tensors.
    pub fn empty() -> Self {
        Self {
            currents: OptionalTensor::Absent,
            potentials: OptionalTensor::Absent,
            trace: OptionalTensor::Absent,
            states: OptionalTensor::Absent,
            means: OptionalTensor::Absent,
        }
    }
}

/// The tensors that an adjoint needs.
#[derive(Debug, Clone, ExtensionType)]
#[extension_type(fusion: cfg(feature = "cube"))]
pub struct AdjointRequest<B: Backend> {
    /// The inputs of the run.
    #[extension_type]
    pub inputs: ScanInputs<B>,
    /// What the run kept.
    #[extension_type]
    pub tape: ScanTape<B>,
    /// The cost's direct gradients with respect to the outputs of the run.
    #[extension_type]
    pub gradients: OutputGradients<B>,
}

/// The gradients that are wanted. The gradient of v_0 is always computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GradientMask {
    /// ∂C/∂x, or ∂C/∂i with a projection.
    pub drive: bool,
    /// ∂C/∂U.
    pub projection: bool,
    /// ∂C/∂I_o.
    pub bias: bool,
    /// ∂C/∂W.
    pub weights: bool,
    /// ∂C/∂d.
    pub self_weights: bool,
    /// ∂C/∂s_0.
    pub s0: bool,
    /// ∂C/∂O.
    pub readout: bool,
    /// ∂C/∂(τ_mem, w, α_1 … α_K).
    pub constants: bool,
}

impl GradientMask {
    /// Selects gradients, in the order of [`InputGradients::in_order`].
    pub(super) fn of(wanted: [bool; DIFFERENTIABLE]) -> Self {
        let [drive, projection, bias, weights, self_weights, _v0, s0, readout, constants] = wanted;
        Self { drive, projection, bias, weights, self_weights, s0, readout, constants }
    }

    /// Whether the gradient of the weights of such connections is wanted.
    pub(super) fn of_connections(&self, connections: ScanConnections) -> bool {
        match connections {
            ScanConnections::None => false,
            ScanConnections::Plane(_) => self.weights,
            ScanConnections::SelfRow(_) => self.self_weights,
        }
    }

    /// Selects the gradients that training needs: those of the parameters among the inputs, and
    /// that of a whole drive, because the drive may depend on other parameters.
    pub fn parameters<B: Backend>(inputs: &ScanInputs<B>) -> Self {
        let given = Self::of(inputs.differentiable().map(|tensor| tensor.is_some()));
        Self { drive: !given.projection, s0: false, ..given }
    }
}

/// The gradients of a scan's inputs that are wanted.
#[derive(Debug, Clone, ExtensionType)]
#[extension_type(fusion: cfg(feature = "cube"))]
pub struct InputGradients<B: Backend> {
    /// ∂C/∂x, `[B, T, N]`, or ∂C/∂i, `[B, T, C]`.
    #[extension_type]
    pub drive: OptionalTensor<B>,
    /// ∂C/∂U, `[C, N]`.
    #[extension_type]
    pub projection: OptionalTensor<B>,
    /// ∂C/∂I_o, `[N]`.
    #[extension_type]
    pub bias: OptionalTensor<B>,
    /// ∂C/∂W, `[M, N, N]`.
    #[extension_type]
    pub weights: OptionalTensor<B>,
    /// ∂C/∂d, `[L, N]`.
    #[extension_type]
    pub self_weights: OptionalTensor<B>,
    /// ∂C/∂v_0, `[B, N]`.
    pub v0: FloatTensor<B>,
    /// ∂C/∂s_0, `[B, H, N]`.
    #[extension_type]
    pub s0: OptionalTensor<B>,
    /// ∂C/∂O, `[N, O]`.
    #[extension_type]
    pub readout: OptionalTensor<B>,
    /// ∂C/∂(τ_mem, w, α_1 … α_K), `[2 M + K]`.
    #[extension_type]
    pub constants: OptionalTensor<B>,
}

impl<B: Backend> InputGradients<B> {
    /// The gradients in the order of [`ScanInputs::differentiable`].
    pub(super) fn in_order(self) -> [Option<FloatTensor<B>>; DIFFERENTIABLE] {
        let Self { drive, projection, bias, weights, self_weights, v0, s0, readout, constants } = self;
        [
            drive.into_option(),
            projection.into_option(),
            bias.into_option(),
            weights.into_option(),
            self_weights.into_option(),
            Some(v0),
            s0.into_option(),
            readout.into_option(),
            constants.into_option(),
        ]
    }

    /// Adds two sets of gradients. Those of the drive and of the initial state are the first set's,
    /// because they belong to a run alone.
    #[cfg(feature = "cube")]
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            projection: self.projection.plus(other.projection),
            bias: self.bias.plus(other.bias),
            weights: self.weights.plus(other.weights),
            self_weights: self.self_weights.plus(other.self_weights),
            readout: self.readout.plus(other.readout),
            constants: self.constants.plus(other.constants),
            ..self
        }
    }
}
