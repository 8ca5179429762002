//! The active neurons of a step, as a list that all units of a cube read.
//!
//! Each unit sets a bit for each of its active neurons by an atomic *or*, so the order of the units
//! does not matter. After a barrier, the number of bits that are set before a neuron's bit is its
//! place in the list. So in every run the list has the neurons in ascending order.

use cubecl::prelude::*;

/// Sets the bit of an active neuron. `now` is the index of the first word of this step.
#[cube]
pub(super) fn note(bits: &Shared<[Atomic<u32>]>, now: usize, neuron: usize) {
    bits[now + neuron / 32].fetch_or(1u32 << (neuron % 32) as u32);
}

/// Clears the bits of all neurons of a step.
#[cube]
pub(super) fn forget(bits: &Shared<[Atomic<u32>]>, now: usize, #[comptime] words: usize, #[comptime] units: usize) {
    let mut word = UNIT_POS_X as usize;
    while word < words {
        bits[now + word].store(0u32);
        word += units;
    }
}

/// The number of active neurons. Call it after a barrier.
#[cube]
pub(super) fn count(bits: &Shared<[Atomic<u32>]>, now: usize, #[comptime] words: usize) -> u32 {
    let mut count = 0u32;
    for word in 0..words {
        count += bits[now + word].load().count_ones();
    }
    count
}

/// Whether a neuron is active. Call it after a barrier.
#[cube]
pub(super) fn holds(bits: &Shared<[Atomic<u32>]>, now: usize, neuron: usize) -> bool {
    (bits[now + neuron / 32].load() >> (neuron % 32) as u32) & 1u32 != 0
}

/// Writes an active neuron at its place in the list. Call it after a barrier; units may read the
/// list after another barrier.
#[cube]
pub(super) fn enlist(bits: &Shared<[Atomic<u32>]>, now: usize, list: &mut Shared<[u32]>, neuron: usize) {
    let word = neuron / 32;
    let below = bits[now + word].load() & ((1u32 << (neuron % 32) as u32) - 1);
    let mut place = below.count_ones();
    for earlier in 0..word {
        place += bits[now + earlier].load().count_ones();
    }
    list[place as usize] = neuron as u32;
}
