//! The dynamics of neurons whose spikes have a surrogate derivative. The forward pass is that of
//! the dynamics inside. The equations are in [`surrogate`](crate::scan::surrogate).

use super::dynamics::{Dynamics, Neurons, Slopes};
use super::rows::{self, ActiveSet, lanes, lanes_mut};
use crate::num::simd::Lanes;
use crate::num::{Number, Real};
use crate::scan::ScanPlan;
use crate::scan::surrogate::{Surrogate, slopes_without_spike};
use macerator::Simd;

/// Dynamics with surrogate derivatives; rows of `D` hold the potentials themselves.
pub(super) struct SurrogateDynamics<D> {
    inside: D,
    surrogate: Surrogate,
    /// (∂v_{t+1}/∂v_t, ∂v_{t+1}/∂I_t).
    slopes: (f64, f64),
}

impl<D> SurrogateDynamics<D> {
    /// Returns the dynamics `inside` with the surrogate of the plan.
    pub(super) fn of(inside: D, surrogate: Surrogate, plan: &ScanPlan) -> Self {
        let slopes = slopes_without_spike(&plan.neuron, plan.dt).expect("the plan was checked");
        Self { inside, surrogate, slopes }
    }
}

impl<T: Real, D: Dynamics<T>> Dynamics<T> for SurrogateDynamics<D> {
    #[inline(always)]
    fn encode<S: Simd>(&self, held: &mut [T]) {
        self.inside.encode::<S>(held);
    }

    #[inline(always)]
    fn potentials<'a, S: Simd>(&self, held: &'a [T], scratch: &'a mut [T]) -> &'a [T] {
        self.inside.potentials::<S>(held, scratch)
    }

    #[inline(always)]
    fn step<S: Simd>(&self, n: usize, neurons: Neurons<'_, T>, i: &[T], senders: &mut Vec<u32>) -> ActiveSet {
        self.inside.step::<S>(n, neurons, i, senders)
    }

    /// The second of the gates is h(vpre_t − 1). The first is not used.
    #[inline(always)]
    fn step_with_slopes<S: Simd>(
        &self,
        n: usize,
        neurons: Neurons<'_, T>,
        i: &[T],
        slopes: Slopes<'_, T>,
        (_, after): (&[T], &mut [T]),
        active: &mut Vec<u32>,
    ) -> ActiveSet {
        let Neurons { held, w, scratch, sent, charge } = neurons;
        let before = active.len();
        let inner = Neurons { held: &mut *held, w, scratch, sent, charge: &mut *charge };
        let _senders = self.inside.step::<S>(n, inner, i, active);
        active.truncate(before);
        slopes.by_v.fill(T::of(self.slopes.0));
        slopes.by_i.fill(T::of(self.slopes.1));
        let neurons = lanes::<S, T>(held).iter().zip(lanes(charge)).zip(lanes_mut(after));
        for ((&v, &spikes), after) in neurons {
            // vpre_t − 1.
            let beyond: Lanes<S, T> = (v + spikes).plus(-1.0);
            *after = self.surrogate.density(beyond);
        }
        rows::nonzero::<S, T, 2>(active, n, [charge, after])
    }

    #[inline(always)]
    fn slope_by_tau<S: Simd>(&self, at: (&[T], &[T], &[T]), out: &mut [T]) {
        self.inside.slope_by_tau::<S>(at, out);
    }

    #[inline(always)]
    fn charge<S: Simd>(&self, held: &[T], sent: &mut [T]) {
        self.inside.charge::<S>(held, sent);
    }

    #[inline(always)]
    fn density<S: Simd>(&self, held: &[T], density: &mut [T]) {
        self.inside.density::<S>(held, density);
    }

    #[inline(always)]
    fn charge_by_width<S: Simd>(&self, held: &[T], out: &mut [T]) {
        self.inside.charge_by_width::<S>(held, out);
    }
}
