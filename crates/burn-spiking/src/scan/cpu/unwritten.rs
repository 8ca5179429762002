//! Memory for trajectories. It is not initialized before it is written, and it is in large pages if
//! the system has them.
//!
//! In every call, the memory of a trajectory is fresh from the system. The first access to each of
//! its 4 KiB pages costs a dozen times as much as writing the page. Large pages (2 MiB) need about
//! one five-hundredth of these first accesses.

use std::mem::{ManuallyDrop, MaybeUninit};

/// Smallest size for which large pages are requested, in bytes.
const LARGE: usize = 4 << 20;

/// Returns uninitialized memory for `len` numbers. To set it to 0 first would take about a tenth of
/// the time of a run.
pub(super) fn unwritten<T>(len: usize) -> Vec<MaybeUninit<T>> {
    let mut room = Vec::with_capacity(len);
    // `MaybeUninit` needs no initialization.
    unsafe { room.set_len(len) };
    if size_of_val(room.as_slice()) >= LARGE {
        ask_for_large_pages(&mut room);
    }
    room
}

/// Returns the numbers in `room`.
///
/// # Safety
/// All elements of `room` must have been written.
pub(super) unsafe fn written<T>(room: Vec<MaybeUninit<T>>) -> Vec<T> {
    let mut room = ManuallyDrop::new(room);
    unsafe { Vec::from_raw_parts(room.as_mut_ptr().cast(), room.len(), room.capacity()) }
}

/// Asks the system to use large pages for the whole pages in `room`. The system may decline.
#[cfg(target_os = "linux")]
fn ask_for_large_pages<T>(room: &mut [MaybeUninit<T>]) {
    const PAGE: usize = 4096;
    let bytes = room.as_mut_ptr_range();
    let (start, end) = ((bytes.start as usize).next_multiple_of(PAGE), bytes.end as usize / PAGE * PAGE);
    // The pages lie within `room`, and the request changes none of their contents.
    unsafe { libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_HUGEPAGE) };
}

#[cfg(not(target_os = "linux"))]
fn ask_for_large_pages<T>(_: &mut [MaybeUninit<T>]) {}
