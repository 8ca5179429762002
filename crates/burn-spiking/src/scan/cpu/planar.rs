//! The dynamics of neurons with two variables. The rows hold the potential v itself, and w beside
//! it.
//!
//! A step of such a neuron costs much more than a call. So the kernel is compiled once for all
//! models and calls the [`Rows`] of a model, which are compiled for each.

use super::dynamics::{Dynamics, Neurons, Slopes};
use super::gates::{Gates, PerNeuronGates};
use super::rows::{self, ActiveSet, Aligned, BLOCK, Row, by_gate, lanes, lanes_mut};
use crate::gate::Zone;
use crate::neuron::OwnPlanarNeuron;
use crate::neuron::planar::{CONSTANTS, LearnableConstants, PlanarFlow, PlanarModel, Plane, PlaneOn, WITH_CONSTANTS};
use crate::num::simd::{Lanes, unserved, vectorize};
use crate::num::{Dual, Number, Real};
use crate::scan::ScanPlan;
use macerator::{Simd, WithSimd};
use std::any::Any;
use std::sync::Arc;

/// One step of rows of planar neurons.
trait Rows<T>: Sync {
    /// Replaces v and w by those after the step, before the jump of w. Writes the spikes.
    fn step(&self, state: (&mut [T], &mut [T]), i: &[T], spikes: &mut [T]);

    /// Does the same, and writes the slopes. Those of the constants are written if the neurons have
    /// their own.
    fn step_with_slopes(&self, state: (&mut [T], &mut [T]), i: &[T], spikes: &mut [T], slopes: RowSlopes<'_, T>);
}

/// The rows of slopes of v, and those of ψ: with respect to v, w and I, and to the constants.
struct RowSlopes<'a, T> {
    of_state: [[&'a mut [T]; 3]; 2],
    of_constants: Option<[[&'a mut [T]; CONSTANTS]; 2]>,
}

impl<T: Real, P: Plane> Rows<T> for PlanarFlow<P> {
    fn step(&self, (v, w): (&mut [T], &mut [T]), i: &[T], spikes: &mut [T]) {
        vectorize(StepTask { flows: self, constants: [], v, w, i, spikes, slopes: None });
    }

    fn step_with_slopes(&self, (v, w): (&mut [T], &mut [T]), i: &[T], spikes: &mut [T], slopes: RowSlopes<'_, T>) {
        vectorize(StepTask { flows: self, constants: [], v, w, i, spikes, slopes: Some(slopes.of_state) });
    }
}

/// Makes the rows of a user-defined model for steps of some length.
struct MakeRows<T>(Box<dyn Fn(f64) -> Box<dyn Rows<T>> + Send + Sync>);

/// The rows of a user-defined model, compiled for both precisions. The neuron carries them.
struct CompiledRows(MakeRows<f32>, MakeRows<f64>);

impl CompiledRows {
    /// The rows over steps of `dt` ms.
    fn over<T: Real>(&self, dt: f64) -> Box<dyn Rows<T>> {
        let makers: [&dyn Any; 2] = [&self.0, &self.1];
        let make = makers.into_iter().find_map(|make| make.downcast_ref::<MakeRows<T>>());
        (make.expect("the kernel runs in f32 or f64").0)(dt)
    }
}

/// Returns the rows of a user-defined model, for the neuron to carry.
pub(crate) fn rows_for(model: impl PlanarModel) -> Arc<dyn Any + Send + Sync> {
    let single = model.clone();
    let single = MakeRows::<f32>(Box::new(move |dt| Box::new(single.over(dt))));
    let double = MakeRows::<f64>(Box::new(move |dt| Box::new(model.over(dt))));
    Arc::new(CompiledRows(single, double))
}

/// Planar neurons with constants of their own, or constants that have gradients.
struct OwnConstants<M, T> {
    model: M,
    dt: f64,
    /// The number of sub-steps of a step.
    substeps: usize,
    /// The constants of [`LearnableConstants::constants`].
    rows: [Row<T>; CONSTANTS],
}

impl<T: Real, M: LearnableConstants> Rows<T> for OwnConstants<M, T> {
    fn step(&self, (v, w): (&mut [T], &mut [T]), i: &[T], spikes: &mut [T]) {
        let constants = self.rows.each_ref().map(|row| &**row);
        vectorize(StepTask { flows: self, constants, v, w, i, spikes, slopes: None });
    }

    fn step_with_slopes(&self, (v, w): (&mut [T], &mut [T]), i: &[T], spikes: &mut [T], slopes: RowSlopes<'_, T>) {
        let constants = self.rows.each_ref().map(|row| &**row);
        let RowSlopes { of_state: [[vv, vw, vi], [wv, ww, wi]], of_constants } = slopes;
        let mut unread: [Row<T>; 2 * CONSTANTS];
        let [[va, vb], [wa, wb]] = match of_constants {
            Some(rows) => rows,
            None => {
                unread = std::array::from_fn(|_| Row::zeros(i.len()));
                let [va, vb, wa, wb] = unread.each_mut().map(|row| &mut **row);
                [[va, vb], [wa, wb]]
            }
        };
        let slopes = Some([[vv, vw, vi, va, vb], [wv, ww, wi, wa, wb]]);
        vectorize(StepTask { flows: self, constants, v, w, i, spikes, slopes });
    }
}

/// The flows of neurons with C constants of their own, which have D derivatives.
trait Flows<const C: usize, const D: usize>: Sync {
    /// The equations on one kind of numbers.
    type Plane<X: Number>: PlaneOn<X>;

    /// The flow of neurons with these constants.
    fn flow<X: Number>(&self, constants: [X; C]) -> PlanarFlow<Self::Plane<X>>;

    /// One of the D variables of a step.
    fn variable<X: Number>(x: X, at: usize) -> Dual<X, D>;

    /// The number of sub-steps of a step.
    fn substeps(&self) -> usize;
}

impl<P: Plane> Flows<0, 3> for PlanarFlow<P> {
    type Plane<X: Number> = P;

    #[inline(always)]
    fn flow<X: Number>(&self, _constants: [X; 0]) -> Self {
        self.clone()
    }

    #[inline(always)]
    fn variable<X: Number>(x: X, at: usize) -> Dual<X, 3> {
        Dual::<X, 3>::variable(x, at)
    }

    #[inline(always)]
    fn substeps(&self) -> usize {
        PlanarFlow::substeps(self)
    }
}

impl<T: Real, M: LearnableConstants> Flows<CONSTANTS, WITH_CONSTANTS> for OwnConstants<M, T> {
    type Plane<X: Number> = M::Given<X>;

    #[inline(always)]
    fn flow<X: Number>(&self, constants: [X; CONSTANTS]) -> PlanarFlow<Self::Plane<X>> {
        self.model.over_with(self.dt, constants)
    }

    #[inline(always)]
    fn variable<X: Number>(x: X, at: usize) -> Dual<X, WITH_CONSTANTS> {
        Dual::<X, WITH_CONSTANTS>::variable(x, at)
    }

    #[inline(always)]
    fn substeps(&self) -> usize {
        self.substeps
    }
}

/// A step of one row of neurons, with the slopes of v and those of ψ.
struct StepTask<'a, T, F, const C: usize, const D: usize> {
    flows: &'a F,
    constants: [&'a [T]; C],
    v: &'a mut [T],
    w: &'a mut [T],
    i: &'a [T],
    spikes: &'a mut [T],
    slopes: Option<[[&'a mut [T]; D]; 2]>,
}

/// The flow of the neurons with these constants, and I, as dual numbers.
macro_rules! on_duals {
    ($flows:ident: $type:ident, $constants:expr, $i:expr) => {{
        let mut at = 3..;
        let constants = $constants.map(|constant| $type::variable(constant, at.next().unwrap_or_default()));
        ($flows.flow(constants), $type::variable($i, 2))
    }};
}

impl<T: Real, F: Flows<C, D>, const C: usize, const D: usize> WithSimd for StepTask<'_, T, F, C, D> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self) {
        if const { unserved::<S>() } {
            unreachable!("this processor runs the tensor operations");
        }
        self.spikes.fill(T::default());
        // Before the step, v and w have the derivative 1 with respect to themselves.
        for (variable, rows) in self.slopes.iter_mut().flatten().enumerate() {
            for (by, row) in rows.iter_mut().enumerate() {
                row.fill(T::of((by == variable) as usize as f64));
            }
        }
        for _ in 0..self.flows.substeps() {
            self.sub_step::<S>();
        }
    }
}

/// The slopes of v and those of ψ of one vector of neurons.
type VectorSlopes<S, T, const D: usize> = [[Lanes<S, T>; D]; 2];

/// The slopes of the vector `at`.
#[inline(always)]
fn slopes_at<S: Simd, T: Real, const D: usize>(rows: &[[&mut [T]; D]; 2], at: usize) -> VectorSlopes<S, T, D> {
    let mut slopes = [[Lanes::<S, T>::of(0.0); D]; 2];
    for (rows, slopes) in rows.iter().zip(&mut slopes) {
        for (row, slope) in rows.iter().zip(slopes) {
            *slope = lanes::<S, T>(row)[at];
        }
    }
    slopes
}

/// Writes the slopes of the vector `at`.
#[inline(always)]
fn write_slopes<S: Simd, T: Real, const D: usize>(
    rows: &mut [[&mut [T]; D]; 2],
    at: usize,
    slopes: VectorSlopes<S, T, D>,
) {
    for (rows, slopes) in rows.iter_mut().zip(slopes) {
        for (row, slope) in rows.iter_mut().zip(slopes) {
            lanes_mut::<S, T>(row)[at] = slope;
        }
    }
}

/// Neurons of a row that cross the threshold in a sub-step. Few do, and the search for the time is
/// expensive. So the kernel collects them and searches for a whole vector at once.
struct Crossing<T, const C: usize, const D: usize> {
    /// v, w, I, and v at the end of the sub-step without a threshold.
    state: [Aligned<T>; 4],
    constants: [Aligned<T>; C],
    /// The slopes before the sub-step.
    slopes: [[Aligned<T>; D]; 2],
    /// Their places in the row.
    places: [usize; BLOCK],
    count: usize,
}

impl<T: Real, const C: usize, const D: usize> Crossing<T, C, D> {
    fn none() -> Self {
        // Numbers in lanes that are not used have no effect, but must be finite, and the constants
        // above 0.
        let (zeros, ones) = (Aligned([T::default(); BLOCK]), Aligned([T::of(1.0); BLOCK]));
        Self { state: [zeros; 4], constants: [ones; C], slopes: [[zeros; D]; 2], places: [0; BLOCK], count: 0 }
    }
}

/// The numbers in the lanes of a vector.
#[inline(always)]
fn numbers<S: Simd, T: Real>(lanes: &Lanes<S, T>) -> &[T] {
    bytemuck::cast_slice(std::slice::from_ref(lanes))
}

/// The vector in a row of the length of a vector.
#[inline(always)]
fn vector<S: Simd, T: Real>(row: &Aligned<T>) -> Lanes<S, T> {
    lanes::<S, T>(&row.0)[0]
}

impl<T: Real, F: Flows<C, D>, const C: usize, const D: usize> StepTask<'_, T, F, C, D> {
    /// Runs a sub-step: first all neurons without a threshold, then those that cross it.
    #[inline(always)]
    fn sub_step<S: Simd>(&mut self) {
        let width = Lanes::<S, T>::count();
        let flows = self.flows;
        let mut crossing = Crossing::none();
        let vectors = self.i.len() / width;
        // The vector whose lanes are looked through: v, w, I, v at the end, the constants, and the
        // slopes before the sub-step.
        let mut state = [Lanes::<S, T>::of(0.0); 4];
        let mut constants = [Lanes::<S, T>::of(1.0); C];
        let mut before = [[Lanes::<S, T>::of(0.0); D]; 2];
        let (mut at, mut lane) = (0, width);
        // `cross` is called in one place: its code is long, and is compiled in line.
        loop {
            while lane < width && crossing.count < width {
                if numbers(&state[3])[lane] >= T::of(1.0) {
                    let to = crossing.count;
                    crossing.places[to] = (at - 1) * width + lane;
                    for (row, vector) in crossing.state.iter_mut().zip(&state) {
                        row.0[to] = numbers(vector)[lane];
                    }
                    for (row, vector) in crossing.constants.iter_mut().zip(&constants) {
                        row.0[to] = numbers(vector)[lane];
                    }
                    for (row, vector) in crossing.slopes.iter_mut().flatten().zip(before.iter().flatten()) {
                        row.0[to] = numbers(vector)[lane];
                    }
                    crossing.count += 1;
                }
                lane += 1;
            }
            if crossing.count == width || (at == vectors && crossing.count > 0) {
                self.cross::<S>(&mut crossing);
                continue;
            }
            if at == vectors {
                return;
            }
            let [v, w, i] = [&*self.v, &*self.w, self.i].map(|row| lanes::<S, T>(row)[at]);
            constants = self.constants.map(|row| lanes::<S, T>(row)[at]);
            let (end, w_end) = match &mut self.slopes {
                None => flows.flow(constants).free(v, w, i),
                Some(rows) => {
                    before = slopes_at::<S, T, D>(rows, at);
                    let (flow, i) = on_duals!(flows: F, constants, i);
                    let (v, w) = (Dual { value: v, slopes: before[0] }, Dual { value: w, slopes: before[1] });
                    let (v, w) = flow.free(v, w, i);
                    write_slopes::<S, T, D>(rows, at, [v.slopes, w.slopes]);
                    (v.value, w.value)
                }
            };
            lanes_mut::<S, T>(self.v)[at] = end;
            lanes_mut::<S, T>(self.w)[at] = w_end;
            state = [v, w, i, end];
            lane = if Lanes::<S, T>::holds_everywhere(&end.below(1.0)) { width } else { 0 };
            at += 1;
        }
    }

    /// Writes the state after the sub-step, and its slopes, of the neurons that cross the
    /// threshold. Empties the list.
    #[inline(always)]
    fn cross<S: Simd>(&mut self, crossing: &mut Crossing<T, C, D>) {
        let flows = self.flows;
        let [v, w, i, end] = crossing.state.each_ref().map(vector::<S, T>);
        let constants = crossing.constants.each_ref().map(vector::<S, T>);
        let places = &crossing.places[..crossing.count];
        let (v, w) = match &mut self.slopes {
            None => flows.flow(constants).crossed((v, w), i, end),
            Some(rows) => {
                let (flow, i) = on_duals!(flows: F, constants, i);
                let [of_v, of_w] = crossing.slopes.each_ref().map(|rows| rows.each_ref().map(vector::<S, T>));
                let (v, w) = (Dual { value: v, slopes: of_v }, Dual { value: w, slopes: of_w });
                let end = v.zero().with_value(end);
                let (v, w) = flow.crossed((v, w), i, end);
                for (rows, slopes) in rows.iter_mut().zip([&v.slopes, &w.slopes]) {
                    for (row, slope) in rows.iter_mut().zip(slopes) {
                        places.iter().zip(numbers(slope)).for_each(|(&place, &slope)| row[place] = slope);
                    }
                }
                (v.value, w.value)
            }
        };
        for ((&place, &v), &w) in places.iter().zip(numbers(&v)).zip(numbers(&w)) {
            (self.v[place], self.w[place]) = (v, w);
            self.spikes[place] += T::of(1.0);
        }
        crossing.count = 0;
    }
}

/// The dynamics of planar neurons.
pub(super) struct PlanarDynamics<T> {
    flow: Box<dyn Rows<T>>,
    gates: PerNeuronGates<T>,
    /// b of each neuron, the rise of w by one spike.
    jump: Row<T>,
}

impl<T: Real> PlanarDynamics<T> {
    /// The dynamics of this number of neurons of a built-in model.
    pub(super) fn of(model: &impl LearnableConstants, plan: &ScanPlan, neurons: usize) -> Self {
        if !plan.planar_constants {
            return Self::along(Box::new(model.over(plan.dt)), plan, neurons);
        }
        let (own, substeps) = (plan.own_constants(), model.over(plan.dt).substeps());
        let rows = [&own.tau_mem, &own.second].map(|constant| row_of(constant, neurons, 1.0));
        Self::along(Box::new(OwnConstants { model: model.clone(), dt: plan.dt, substeps, rows }), plan, neurons)
    }

    /// The dynamics of this number of neurons of a user-defined model.
    pub(super) fn of_own(own: &OwnPlanarNeuron, plan: &ScanPlan, neurons: usize) -> Self {
        Self::along(own.rows::<CompiledRows>().over(plan.dt), plan, neurons)
    }

    fn along(flow: Box<dyn Rows<T>>, plan: &ScanPlan, neurons: usize) -> Self {
        let zones = match &plan.per_neuron {
            Some(each) => each.zones(),
            None => Zone::of(plan.gate.width()).map(|constant| vec![constant; neurons]),
        };
        Self { flow, gates: PerNeuronGates::of(plan.gate, zones), jump: jumps_of(plan, neurons) }
    }

    /// Replaces the spikes in `charge` by ΔQ_t and G(v_t) in `sent` by G(v_{t+1}), and adds the
    /// jump to w.
    #[inline(always)]
    fn send<S: Simd>(&self, v: &[T], w: &mut [T], sent: &mut [T], charge: &mut [T]) {
        let (zone_at, jumps) = (self.gates.zone_at::<S>(), lanes::<S, T>(&self.jump));
        by_gate!(self.gates.gate(), |shape| {
            let state = lanes::<S, T>(v).iter().zip(lanes_mut(w));
            let rows = state.zip(lanes_mut(sent).iter_mut().zip(lanes_mut(charge)));
            for (n, ((&v, w), (sent, charge))) in rows.enumerate() {
                let sent_after = shape.on(&zone_at(n)).charge(v);
                *charge = *charge + (sent_after - *sent);
                (*w, *sent) = (*w + *charge * jumps[n], sent_after);
            }
        });
    }
}

/// A constant of each neuron from those of all neurons or the one that they share, with `beyond` in
/// the lanes that the last vector has more.
fn row_of<T: Real>(constant: &[f64], neurons: usize, beyond: f64) -> Row<T> {
    let mut row = Row::zeros(neurons);
    row.fill(T::of(beyond));
    for (n, to) in row[..neurons].iter_mut().enumerate() {
        *to = T::of(constant[n % constant.len()]);
    }
    row
}

/// b of each neuron of two variables.
pub(super) fn jumps_of<T: Real>(plan: &ScanPlan, neurons: usize) -> Row<T> {
    match plan.planar_constants {
        true => row_of(&plan.own_constants().jump, neurons, 0.0),
        false => row_of(&[plan.neuron.jump().unwrap_or(0.0)], neurons, 0.0),
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
        let Some([vw, wv, ww, wi]) = slopes.second else {
            unreachable!("the segments of planar neurons have rows for the slopes of w")
        };
        let of_constants = slopes.by_constants.map(|[va, wa, vb, wb]| [[va, vb], [wa, wb]]);
        let slopes = RowSlopes { of_state: [[slopes.by_v, vw, slopes.by_i], [wv, ww, wi]], of_constants };
        self.flow.step_with_slopes((held, w), i, charge, slopes);
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
