//! Memory for trajectories that is not initialized before it is written.

use std::mem::{ManuallyDrop, MaybeUninit};

/// Returns uninitialized memory for `len` numbers. To set it to 0 first would take about a tenth of
/// the time of a run.
pub(super) fn unwritten<T>(len: usize) -> Vec<MaybeUninit<T>> {
    let mut room = Vec::with_capacity(len);
    // SAFETY: `MaybeUninit` needs no initialization.
    unsafe { room.set_len(len) };
    room
}

/// Returns the numbers in `room`.
///
/// # Safety
/// All elements of `room` must have been written.
pub(super) unsafe fn written<T>(room: Vec<MaybeUninit<T>>) -> Vec<T> {
    let mut room = ManuallyDrop::new(room);
    // SAFETY: the elements are written, and both types have the same layout.
    unsafe { Vec::from_raw_parts(room.as_mut_ptr().cast(), room.len(), room.capacity()) }
}
