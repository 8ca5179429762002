//! The dynamics of neurons with two variables. The rows hold the potential v itself, and w beside
//! it.
//!
//! A step of such a neuron costs much more than a call. So the kernel is compiled once for all
//! models and calls the [`Rows`] of a model, which are compiled for each.

use super::dynamics::{Dynamics, Neurons, SECOND_SLOPES, Slopes};
use super::gates::{Gates, PerNeuronGates};
use super::rows::{self, ActiveSet, Aligned, BLOCK, by_gate, lanes, lanes_mut};
use crate::gate::Zone;
use crate::neuron::planar::{Jacobian, PlanarFlow, PlanarModel, Plane};
use crate::num::simd::{Lanes, unserved, vectorize};
use crate::num::{Dual, Number, Real};
use crate::scan::ScanPlan;
use macerator::{Simd, WithSimd};

/// One step of rows of planar neurons.
trait Rows<T>: Sync {
    /// Replaces v and w by those after the step, before the jump of w. Writes the spikes.
    fn step(&self, state: (&mut [T], &mut [T]), i: &[T], spikes: &mut [T]);

    /// Does the same, and writes (∂v/∂v, ∂v/∂I) and the slopes of [`SECOND_SLOPES`].
    fn step_with_slopes(&self, state: (&mut [T], &mut [T]), i: &[T], spikes: &mut [T], slopes: RowSlopes<'_, T>);
}

type RowSlopes<'a, T> = ([&'a mut [T]; 2], [&'a mut [T]; SECOND_SLOPES]);

impl<T: Real, P: Plane> Rows<T> for PlanarFlow<P> {
    fn step(&self, state: (&mut [T], &mut [T]), i: &[T], spikes: &mut [T]) {
        vectorize(StepTask { flow: self, state, i, spikes, slopes: None });
    }

    fn step_with_slopes(&self, state: (&mut [T], &mut [T]), i: &[T], spikes: &mut [T], slopes: RowSlopes<'_, T>) {
        vectorize(StepTask { flow: self, state, i, spikes, slopes: Some(slopes) });
    }
}

struct StepTask<'a, T, P> {
    flow: &'a PlanarFlow<P>,
    state: (&'a mut [T], &'a mut [T]),
    i: &'a [T],
    spikes: &'a mut [T],
    slopes: Option<RowSlopes<'a, T>>,
}

impl<T: Real, P: Plane> WithSimd for StepTask<'_, T, P> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self) {
        if const { unserved::<S>() } {
            unreachable!("this processor runs the tensor operations");
        }
        if self.flow.substeps() == 1 {
            return self.in_one_sub_step::<S>();
        }
        let Self { flow, state: (v, w), i, spikes, slopes } = self;
        let flow = *flow;
        let state = lanes_mut::<S, T>(v).iter_mut().zip(lanes_mut(w)).zip(lanes(i)).zip(lanes_mut(spikes));
        let Some(mut slopes) = slopes else {
            for (((v, w), &i), spikes) in state {
                let moved = flow.step(*v, *w, i);
                (*v, *w, *spikes) = (moved.v, moved.w, moved.spikes);
            }
            return;
        };
        let mut rows = in_order(&mut slopes).map(|row| lanes_mut::<S, T>(row));
        for (at, (((v, w), &i), spikes)) in state.enumerate() {
            let (moved, Jacobian { v: of_v, w: of_w }) = flow.step_and_jacobian(*v, *w, i);
            rows.iter_mut().zip(of_v.into_iter().chain(of_w)).for_each(|(row, slope)| row[at] = slope);
            (*v, *w, *spikes) = (moved.v, moved.w, moved.spikes);
        }
    }
}

/// Neurons of a row that cross the threshold in a step. Few do, and the search for the time is
/// expensive. So the kernel collects them and searches for a whole vector at once.
struct Crossing<T> {
    /// v, w, I, and v at the end of the step without a threshold.
    state: [Aligned<T>; 4],
    /// Their places in the row.
    places: [usize; BLOCK],
    count: usize,
}

impl<T: Real> Crossing<T> {
    fn none() -> Self {
        // Numbers in lanes that are not used have no effect, but must be finite.
        Self { state: [Aligned([T::default(); BLOCK]); 4], places: [0; BLOCK], count: 0 }
    }

    fn add(&mut self, place: usize, state: [T; 4]) {
        self.places[self.count] = place;
        self.state.iter_mut().zip(state).for_each(|(to, from)| to.0[self.count] = from);
        self.count += 1;
    }
}

/// The numbers in the lanes of a vector.
#[inline(always)]
fn numbers<S: Simd, T: Real>(lanes: &Lanes<S, T>) -> &[T] {
    bytemuck::cast_slice(std::slice::from_ref(lanes))
}

impl<T: Real, P: Plane> StepTask<'_, T, P> {
    /// Runs a step that has one sub-step: first all neurons without a threshold, then those that
    /// cross it.
    #[inline(always)]
    fn in_one_sub_step<S: Simd>(mut self) {
        let width = Lanes::<S, T>::count();
        let mut crossing = Crossing::none();
        for at in 0..self.i.len() / width {
            let [v, w, i] = [&*self.state.0, &*self.state.1, self.i].map(|row| lanes::<S, T>(row)[at]);
            let (end, w_end) = match &mut self.slopes {
                None => self.flow.free(v, w, i),
                Some(slopes) => {
                    let (v, w) = self.flow.free(Dual::variable(v, 0), Dual::variable(w, 1), Dual::variable(i, 2));
                    in_order(slopes).into_iter().zip(v.slopes.into_iter().chain(w.slopes)).for_each(|(row, slope)| {
                        lanes_mut::<S, T>(row)[at] = slope;
                    });
                    (v.value, w.value)
                }
            };
            lanes_mut::<S, T>(self.state.0)[at] = end;
            lanes_mut::<S, T>(self.state.1)[at] = w_end;
            lanes_mut::<S, T>(self.spikes)[at] = Lanes::of(0.0);
            if Lanes::<S, T>::holds_everywhere(&end.below(1.0)) {
                continue;
            }
            let [v, w, i, end] = [&v, &w, &i, &end].map(numbers);
            for k in 0..width {
                if end[k] >= T::of(1.0) {
                    crossing.add(at * width + k, [v[k], w[k], i[k], end[k]]);
                    if crossing.count == width {
                        self.cross::<S>(&mut crossing);
                    }
                }
            }
        }
        if crossing.count > 0 {
            self.cross::<S>(&mut crossing);
        }
    }

    /// Writes the state after the step, and its slopes, of the neurons that cross the threshold.
    /// Empties the list.
    #[inline(always)]
    fn cross<S: Simd>(&mut self, crossing: &mut Crossing<T>) {
        let [v, w, i, end] = crossing.state.each_ref().map(|row| lanes::<S, T>(&row.0)[0]);
        let places = &crossing.places[..crossing.count];
        let (v, w) = match &mut self.slopes {
            None => self.flow.crossed((v, w), i, end),
            Some(slopes) => {
                let (state, end) =
                    ((Dual::variable(v, 0), Dual::variable(w, 1)), Dual { value: end, slopes: [Lanes::of(0.0); 3] });
                let (v, w) = self.flow.crossed(state, Dual::variable(i, 2), end);
                for (row, slope) in in_order(slopes).into_iter().zip(v.slopes.into_iter().chain(w.slopes)) {
                    places.iter().zip(numbers(&slope)).for_each(|(&place, &slope)| row[place] = slope);
                }
                (v.value, w.value)
            }
        };
        for ((&place, &v), &w) in places.iter().zip(numbers(&v)).zip(numbers(&w)) {
            (self.state.0[place], self.state.1[place], self.spikes[place]) = (v, w, T::of(1.0));
        }
        crossing.count = 0;
    }
}

/// The rows of slopes in the order ∂v/∂v, ∂v/∂w, ∂v/∂I, ∂ψ/∂v, ∂ψ/∂w, ∂ψ/∂I.
fn in_order<'s, T>(slopes: &'s mut RowSlopes<'_, T>) -> [&'s mut [T]; 6] {
    let ([by_v, by_i], [by_w, w_by_v, w_by_w, w_by_i]) = slopes;
    [by_v, by_w, by_i, w_by_v, w_by_w, w_by_i]
}

/// The dynamics of planar neurons.
pub(super) struct PlanarDynamics<T> {
    flow: Box<dyn Rows<T>>,
    gates: PerNeuronGates<T>,
    /// b, the rise of w by one spike.
    jump: f64,
}

impl<T: Real> PlanarDynamics<T> {
    /// The dynamics of this number of neurons.
    pub(super) fn of(model: &impl PlanarModel, plan: &ScanPlan, neurons: usize) -> Self {
        let zones = match &plan.per_neuron {
            Some(each) => each.zones(),
            None => Zone::of(plan.gate.width()).map(|constant| vec![constant; neurons]),
        };
        let flow = Box::new(model.over(plan.dt));
        Self { flow, gates: PerNeuronGates::of(plan.gate, zones), jump: model.jump() }
    }

    /// Replaces the spikes in `charge` by ΔQ_t and G(v_t) in `sent` by G(v_{t+1}), and adds the
    /// jump to w.
    #[inline(always)]
    fn send<S: Simd>(&self, v: &[T], w: &mut [T], sent: &mut [T], charge: &mut [T]) {
        let (zone_at, jump) = (self.gates.zone_at::<S>(), self.jump);
        by_gate!(self.gates.gate(), |shape| {
            let state = lanes::<S, T>(v).iter().zip(lanes_mut(w));
            let rows = state.zip(lanes_mut(sent).iter_mut().zip(lanes_mut(charge)));
            for (n, ((&v, w), (sent, charge))) in rows.enumerate() {
                let sent_after = shape.on(&zone_at(n)).charge(v);
                *charge = *charge + (sent_after - *sent);
                (*w, *sent) = (*w + charge.times(jump), sent_after);
            }
        });
    }
}

impl<T: Real> Dynamics<T> for PlanarDynamics<T> {
    #[inline(always)]
    fn encode<S: Simd>(&self, _held: &mut [T]) {}

    #[inline(always)]
    fn potentials<'a, S: Simd>(&self, held: &'a [T], _room: &'a mut [T]) -> &'a [T] {
        held
    }

    #[inline(always)]
    fn step<S: Simd>(&self, n: usize, neurons: Neurons<'_, T>, i: &[T], senders: &mut Vec<u32>) -> ActiveSet {
        let Neurons { held, w, sent, charge, .. } = neurons;
        self.flow.step((held, w), i, charge);
        self.send::<S>(held, w, sent, charge);
        rows::nonzero::<S, T, 1>(senders, n, [charge])
    }

    #[inline(always)]
    fn step_with_slopes<S: Simd>(
        &self,
        n: usize,
        neurons: Neurons<'_, T>,
        i: &[T],
        slopes: Slopes<'_, T>,
        (before, after): (&[T], &mut [T]),
        active: &mut Vec<u32>,
    ) -> ActiveSet {
        let Neurons { held, w, sent, charge, .. } = neurons;
        let Some(second) = slopes.second else {
            unreachable!("the segments of planar neurons have rows for the slopes of w")
        };
        self.flow.step_with_slopes((held, w), i, charge, ([slopes.by_v, slopes.by_i], second));
        self.send::<S>(held, w, sent, charge);
        self.gates.density::<S>(held, after);
        rows::nonzero::<S, T, 3>(active, n, [charge, before, after])
    }

    #[inline(always)]
    fn slope_by_tau<S: Simd>(&self, _at: (&[T], &[T], &[T]), out: &mut [T]) {
        for out in lanes_mut::<S, T>(out) {
            *out = Lanes::of(0.0);
        }
    }

    #[inline(always)]
    fn charge<S: Simd>(&self, held: &[T], sent: &mut [T]) {
        self.gates.charge::<S>(held, sent);
    }

    #[inline(always)]
    fn density<S: Simd>(&self, held: &[T], density: &mut [T]) {
        self.gates.density::<S>(held, density);
    }

    #[inline(always)]
    fn charge_by_width<S: Simd>(&self, held: &[T], out: &mut [T]) {
        self.gates.charge_by_width::<S>(held, out);
    }
}
