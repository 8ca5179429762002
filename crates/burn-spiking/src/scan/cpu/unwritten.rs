//! Memory for trajectories: not set before it is written, and in large pages where the system has them.
//!
//! A trajectory's memory is fresh from the system in every call, and the first touch of each of its 4 KiB pages costs as much as
//! writing it a dozen times over. Large pages (2 MiB) leave one touch of five hundred.

use std::mem::{ManuallyDrop, MaybeUninit};

/// From this size on, large pages are asked for.
const LARGE: usize = 4 << 20;

/// Room for `len` numbers; setting them to 0 first would take as long as a tenth of a run.
pub(super) fn unwritten<T>(len: usize) -> Vec<MaybeUninit<T>> {
    let mut room = Vec::with_capacity(len);
    // Nothing is promised of these elements.
    unsafe { room.set_len(len) };
    if size_of_val(room.as_slice()) >= LARGE {
        ask_for_large_pages(&mut room);
    }
    room
}

/// The numbers of a room.
///
/// # Safety
/// All of them have been written.
pub(super) unsafe fn written<T>(room: Vec<MaybeUninit<T>>) -> Vec<T> {
    let mut room = ManuallyDrop::new(room);
    unsafe { Vec::from_raw_parts(room.as_mut_ptr().cast(), room.len(), room.capacity()) }
}

/// Asks the system to back the whole pages of a room by large ones. It may decline.
#[cfg(target_os = "linux")]
fn ask_for_large_pages<T>(room: &mut [MaybeUninit<T>]) {
    const PAGE: usize = 4096;
    let bytes = room.as_mut_ptr_range();
    let (start, end) = ((bytes.start as usize).next_multiple_of(PAGE), bytes.end as usize / PAGE * PAGE);
    // The pages lie within the room; the advice changes none of their contents.
    unsafe { libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_HUGEPAGE) };
}

#[cfg(not(target_os = "linux"))]
fn ask_for_large_pages<T>(_: &mut [MaybeUninit<T>]) {}
