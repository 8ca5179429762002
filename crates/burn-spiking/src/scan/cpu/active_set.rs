//! Which neurons, or input channels, count in each step of a segment.

use super::rows::ActiveSet;

/// A list for each step, one after another.
pub(super) struct Lists {
    members: Vec<u32>,
    /// Where each step's list ends; nothing is listed where all are meant.
    ends: Vec<(usize, ActiveSet)>,
}

impl Lists {
    /// Room for as many steps, in each of which all of so many may be listed.
    pub(super) fn new(everyone: usize, steps: usize) -> Self {
        Self { members: Vec::with_capacity(everyone * steps), ends: Vec::with_capacity(steps) }
    }

    pub(super) fn clear(&mut self) {
        self.members.clear();
        self.ends.clear();
    }

    /// Where the next step's list is appended. A function that appends would be compiled by itself, without the processor's vectors.
    #[inline(always)]
    pub(super) fn members(&mut self) -> &mut Vec<u32> {
        &mut self.members
    }

    /// Ends the list of a step.
    #[inline(always)]
    pub(super) fn end(&mut self, chosen: ActiveSet) {
        self.ends.push((self.members.len(), chosen));
    }

    /// The list of a step.
    #[inline(always)]
    pub(super) fn of<'a>(&'a self, at: usize, everyone: &'a [u32]) -> &'a [u32] {
        let (end, chosen) = self.ends[at];
        match chosen {
            ActiveSet::Everyone => everyone,
            ActiveSet::Listed => &self.members[if at == 0 { 0 } else { self.ends[at - 1].0 }..end],
        }
    }

    /// Whether all are meant in every step.
    #[inline(always)]
    pub(super) fn always_everyone(&self) -> bool {
        let mut always = true;
        for &(_, chosen) in &self.ends {
            always &= chosen == ActiveSet::Everyone;
        }
        always
    }
}
