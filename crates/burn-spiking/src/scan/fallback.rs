//! The record of the reasons why runs whose plan asks for a kernel use tensor operations instead.

use super::plan::{Implementation, ScanPlan};
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

static REASONS: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

fn reasons() -> MutexGuard<'static, BTreeSet<String>> {
    // A panic in another thread never leaves the set half changed, so a poisoned lock is harmless.
    REASONS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The reasons why runs of this process used tensor operations although their plan asked for the
/// kernel ([`Implementation::Fused`]). Empty if every run that asked for the kernel used it.
///
/// Tensor operations give the same numbers up to rounding, but are many times slower. Each reason
/// is also logged once, as a warning.
pub fn fallbacks() -> Vec<String> {
    reasons().iter().cloned().collect()
}

/// Records the reason why a run has no kernel, if its plan asks for one.
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
