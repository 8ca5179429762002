//! The dynamics of neurons whose spikes have a surrogate derivative. The forward pass is that of
//! uniform neurons. The equations are in [`surrogate`](crate::scan::surrogate).

use super::dynamics::{ByPotential, Potentials, UniformDynamics};
use super::gates::{Gates, UniformGates};
use super::rows::{lanes, lanes_mut};
use crate::gate::{Gate, Zone};
use crate::neuron::Flow;
use crate::num::simd::Lanes;
use crate::num::{Number, Real};
use crate::scan::ScanPlan;
use crate::scan::surrogate::{Surrogate, slopes_without_spike};
use macerator::Simd;

/// Uniform neurons with surrogate derivatives.
pub(super) struct SurrogateDynamics<F> {
    inside: UniformDynamics<F>,
    gates: SurrogateGates,
    /// (∂v_{t+1}/∂v_t, ∂v_{t+1}/∂I_t).
    slopes: (f64, f64),
}

impl<F> SurrogateDynamics<F> {
    /// Returns the dynamics of a flow with the surrogate of the plan.
    pub(super) fn of(flow: F, surrogate: Surrogate, plan: &ScanPlan) -> Potentials<Self> {
        let slopes = slopes_without_spike(&plan.neuron, plan.dt).expect("the plan was checked");
        let gates = SurrogateGates { inside: UniformGates(plan.gate), surrogate };
        Potentials(Self { inside: UniformDynamics::of(flow, plan).0, gates, slopes })
    }
}

impl<T: Real, F: Flow> ByPotential<T> for SurrogateDynamics<F> {
    #[inline(always)]
    fn phi<S: Simd>(&self, potentials_and_currents: (&[T], &[T]), vpre: &mut [T]) {
        self.inside.phi::<S>(potentials_and_currents, vpre);
    }

    #[inline(always)]
    fn phi_and_slopes<S: Simd>(
        &self,
        potentials_and_currents: (&[T], &[T]),
        vpre: &mut [T],
        (dv, di): (&mut [T], &mut [T]),
    ) {
        self.inside.phi::<S>(potentials_and_currents, vpre);
        dv.fill(T::of(self.slopes.0));
        di.fill(T::of(self.slopes.1));
    }

    #[inline(always)]
    fn slope_by_tau<S: Simd>(&self, at: (&[T], &[T], &[T]), out: &mut [T]) {
        ByPotential::slope_by_tau::<S>(&self.inside, at, out);
    }

    #[inline(always)]
    fn gates(&self) -> &impl Gates<T> {
        &self.gates
    }
}

/// Gates whose density in a step is the surrogate h(vpre_t − 1).
struct SurrogateGates {
    inside: UniformGates,
    surrogate: Surrogate,
}

impl<T: Real> Gates<T> for SurrogateGates {
    type Constant<S: Simd> = f64;

    #[inline(always)]
    fn gate(&self) -> &Gate {
        Gates::<T>::gate(&self.inside)
    }

    #[inline(always)]
    fn zone_at<S: Simd>(&self) -> impl Fn(usize) -> Zone<f64> {
        Gates::<T>::zone_at::<S>(&self.inside)
    }

    #[inline(always)]
    fn update_with_density<S: Simd>(&self, (v, sent): (&mut [T], &mut [T]), charge: &mut [T], density: &mut [T]) {
        for (&vpre, density) in lanes::<S, T>(v).iter().zip(lanes_mut(density)) {
            let beyond: Lanes<S, T> = vpre.plus(-1.0);
            *density = self.surrogate.density(beyond);
        }
        self.update::<S>(v, sent, charge);
    }
}
