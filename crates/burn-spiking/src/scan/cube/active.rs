//! The active neurons of a step, as a list that all units of a cube read.
//!
//! A unit sets a bit for each of its neurons that is active, by an atomic *or*, whose order does not matter. After a barrier the bits
//! below a neuron's own tell its place in the list; so the list is in the order of the neurons in every run.

use cubecl::prelude::*;

/// Notes a neuron of this step; `now` is where the step's words begin.
#[cube]
pub(super) fn note(bits: &Shared<[Atomic<u32>]>, now: usize, neuron: usize) {
    bits[now + neuron / 32].fetch_or(1u32 << (neuron % 32) as u32);
}

/// Forgets all neurons of a step.
#[cube]
pub(super) fn forget(bits: &Shared<[Atomic<u32>]>, now: usize, #[comptime] words: usize, #[comptime] units: usize) {
    let mut word = UNIT_POS_X as usize;
    while word < words {
        bits[now + word].store(0u32);
        word += units;
    }
}

/// How many there are; after a barrier.
#[cube]
pub(super) fn count(bits: &Shared<[Atomic<u32>]>, now: usize, #[comptime] words: usize) -> u32 {
    let mut count = 0u32;
    for word in 0..words {
        count += bits[now + word].load().count_ones();
    }
    count
}

/// Whether a neuron is among them; after a barrier.
#[cube]
pub(super) fn holds(bits: &Shared<[Atomic<u32>]>, now: usize, neuron: usize) -> bool {
    (bits[now + neuron / 32].load() >> (neuron % 32) as u32) & 1u32 != 0
}

/// Puts a neuron that is among them at its place in the list; after a barrier, and to be read after another.
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
