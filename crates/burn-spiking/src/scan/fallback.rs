//! Runs whose plan asks for a kernel, and which run in tensor operations nevertheless.

use super::plan::{Implementation, ScanPlan};
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

static REASONS: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

fn reasons() -> MutexGuard<'static, BTreeSet<String>> {
    // A set is whole whenever its lock is free, whoever panicked.
    REASONS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why runs of this process took tensor operations although their plan asked for the kernel ([`Implementation::Fused`]); empty if all had it.
///
/// Tensor operations give the same numbers to rounding, but take many times as long. Each reason is also logged once, as a warning.
pub fn fallbacks() -> Vec<String> {
    reasons().iter().cloned().collect()
}

/// Takes down why a run has no kernel, if its plan asks for one.
pub(super) fn tell(plan: &ScanPlan, reason: impl FnOnce() -> String) {
    if plan.implementation != Implementation::Fused {
        return;
    }
    let reason = reason();
    let mut reasons = reasons();
    if !reasons.contains(&reason) {
        log::warn!("a spiking scan runs in tensor operations, many times slower than by its kernel: {reason}");
        reasons.insert(reason);
    }
}
