//! Lists of the active neurons, or input channels that are not 0, in each step of a segment.

use super::rows::ActiveSet;

/// One list for each step, stored one after another.
pub(super) struct Lists {
    members: Vec<u32>,
    /// The end of each step's list in `members`. With [`ActiveSet::Everyone`] the list is empty.
    ends: Vec<(usize, ActiveSet)>,
}

impl Lists {
    /// Makes empty lists with capacity for `steps` steps of up to `everyone` members each.
    pub(super) fn new(everyone: usize, steps: usize) -> Self {
        Self { members: Vec::with_capacity(everyone * steps), ends: Vec::with_capacity(steps) }
    }

    pub(super) fn clear(&mut self) {
        self.members.clear();
        self.ends.clear();
    }

    /// The vector to which the caller appends the members of the next step. A function that appends
    /// would be compiled on its own, without the vectors of the processor.
    #[inline(always)]
    pub(super) fn members(&mut self) -> &mut Vec<u32> {
        &mut self.members
    }

    /// Ends the list of the current step.
    #[inline(always)]
    pub(super) fn end(&mut self, chosen: ActiveSet) {
        self.ends.push((self.members.len(), chosen));
    }

    /// The members of step `at` of the segment; `everyone` if all are active.
    #[inline(always)]
    pub(super) fn of<'a>(&'a self, at: usize, everyone: &'a [u32]) -> &'a [u32] {
        let (end, chosen) = self.ends[at];
        match chosen {
            ActiveSet::Everyone => everyone,
            ActiveSet::Listed => &self.members[if at == 0 { 0 } else { self.ends[at - 1].0 }..end],
        }
    }

    /// Returns whether all neurons are active in every step.
    #[inline(always)]
    pub(super) fn always_everyone(&self) -> bool {
        let mut always = true;
        for &(_, chosen) in &self.ends {
            always &= chosen == ActiveSet::Everyone;
        }
        always
    }
}
