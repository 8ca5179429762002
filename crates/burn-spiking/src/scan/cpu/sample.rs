//! The inputs and outputs of the adjoint of one sample.

use std::mem::MaybeUninit;

/// One sample's inputs and tape, and the direct gradients of the cost; `None` if they are 0.
pub(super) struct Inputs<'a, T> {
    /// The drive x, `[T, N]`, or the input i, `[T, C]`.
    pub(super) drive: &'a [T],
    /// I_t, `[T, N]`, if the tape holds it.
    pub(super) currents: Option<&'a [T]>,
    /// The state before each segment, `[segments, rows, N]`.
    pub(super) states: &'a [T],
    /// s_0, `[H, N]`.
    pub(super) s0: &'a [T],
    /// s′, the direct gradient with respect to each trace in the trajectory, `[T, N]`.
    pub(super) traces: Vec<Option<&'a [T]>>,
    /// w′, the direct gradient with respect to w, `[T, N]`.
    pub(super) w: Option<&'a [T]>,
    /// v′, the direct gradient with respect to v, `[T, N]`.
    pub(super) v: Option<&'a [T]>,
    /// ΔQ′, the direct gradient with respect to the charges, `[T, N]`.
    pub(super) charge: Option<&'a [T]>,
    /// o′, the direct gradient with respect to the readout, `[T, O]`.
    pub(super) readout: Option<&'a [T]>,
    /// A′, the direct gradient with respect to the activity.
    pub(super) activity: Option<T>,
    /// m, the weights of the steps in the activity, `[T]`; 1 if `None`.
    pub(super) activity_weight: Option<&'a [T]>,
    /// The direct gradient with respect to v_T, `[N]`.
    pub(super) last_v: Option<&'a [T]>,
    /// The direct gradient with respect to s_T, `[H, N]`.
    pub(super) last_s: Option<&'a [T]>,
}

/// The memory to which one sample's gradients are written.
pub(super) struct Outputs<'a, T> {
    /// ∂C/∂x, `[T, N]`, or ∂C/∂i, `[T, C]`.
    pub(super) drive: Option<&'a mut [MaybeUninit<T>]>,
    /// ∂C/∂v_0, `[N]`.
    pub(super) v0: &'a mut [T],
    /// ∂C/∂s_0, `[H, N]`.
    pub(super) s0: Option<&'a mut [T]>,
}

/// The data that all samples of a run share.
pub(super) struct Shared {
    /// T, the number of steps.
    pub(super) steps: usize,
    /// Number of steps in a segment.
    pub(super) every: usize,
    /// Length of a row of the drive: C with a projection, N without one.
    pub(super) channels: usize,
    /// Whether the tape holds all currents.
    pub(super) currents_kept: bool,
    pub(super) all_channels: Vec<u32>,
    pub(super) all_outputs: Vec<u32>,
}
