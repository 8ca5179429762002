//! What the adjoint reads and writes of one sample.

use std::mem::MaybeUninit;

/// One sample's inputs, tape and the cost's direct gradients; `None` where zero.
pub(super) struct Inputs<'a, T> {
    /// x, `[T, N]`, or i, `[T, C]`.
    pub(super) drive: &'a [T],
    /// I_t, `[T, N]`, if kept.
    pub(super) currents: Option<&'a [T]>,
    /// The states before each segment, `[segments, rows, N]`.
    pub(super) states: &'a [T],
    /// s_0, `[K + D, N]`.
    pub(super) s0: &'a [T],
    /// s′ of the traces read, `[T, N]` each.
    pub(super) traces: Vec<Option<&'a [T]>>,
    /// v′, `[T, N]`.
    pub(super) v: Option<&'a [T]>,
    /// ΔQ′, `[T, N]`.
    pub(super) charge: Option<&'a [T]>,
    /// o′, `[T, O]`.
    pub(super) readout: Option<&'a [T]>,
    /// A′.
    pub(super) activity: Option<T>,
    /// m, `[T]`; 1 if `None`.
    pub(super) activity_weight: Option<&'a [T]>,
    /// `[N]`.
    pub(super) last_v: Option<&'a [T]>,
    /// `[K + D, N]`.
    pub(super) last_s: Option<&'a [T]>,
}

/// Where one sample's gradients are written.
pub(super) struct Outputs<'a, T> {
    /// ∂C/∂x, `[T, N]`, or ∂C/∂i, `[T, C]`.
    pub(super) drive: Option<&'a mut [MaybeUninit<T>]>,
    /// `[N]`.
    pub(super) v0: &'a mut [T],
    /// `[K + D, N]`.
    pub(super) s0: Option<&'a mut [T]>,
}

/// What all samples of a run have in common.
pub(super) struct Shared {
    /// T.
    pub(super) steps: usize,
    /// Steps in a segment.
    pub(super) every: usize,
    /// Length of a row of the drive.
    pub(super) channels: usize,
    /// Whether the tape holds all currents.
    pub(super) currents_kept: bool,
    pub(super) all_channels: Vec<u32>,
    pub(super) all_outputs: Vec<u32>,
}
