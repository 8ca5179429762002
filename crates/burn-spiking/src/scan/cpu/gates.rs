//! The gates of rows of neurons: of one width, or of a width per neuron.

use super::rows::{Row, by_gate, lanes, lanes_mut, reset};
use crate::gate::{Gate, Zone};
use crate::num::simd::Lanes;
use crate::num::{Constant, Own, Real};
use macerator::Simd;

/// The gates of all neurons, on one padded row at a time.
pub(super) trait Gates<T: Real>: Sync {
    /// The constants of the active zone.
    type Constant<S: Simd>: Constant<Lanes<S, T>>;

    /// The shape of the gates.
    fn gate(&self) -> &Gate;

    /// The active zone of each vector of neurons.
    fn zone_at<S: Simd>(&self) -> impl Fn(usize) -> Zone<Self::Constant<S>>;

    /// Writes G(v).
    #[inline(always)]
    fn charge<S: Simd>(&self, v: &[T], sent: &mut [T]) {
        let zone_at = self.zone_at::<S>();
        by_gate!(self.gate(), |shape| {
            for (n, (&v, sent)) in lanes::<S, T>(v).iter().zip(lanes_mut(sent)).enumerate() {
                *sent = shape.on(&zone_at(n)).charge(v);
            }
        })
    }

    /// Writes g(v).
    #[inline(always)]
    fn density<S: Simd>(&self, v: &[T], density: &mut [T]) {
        let zone_at = self.zone_at::<S>();
        by_gate!(self.gate(), |shape| {
            for (n, (&v, density)) in lanes::<S, T>(v).iter().zip(lanes_mut(density)).enumerate() {
                *density = shape.on(&zone_at(n)).density(v);
            }
        })
    }

    /// Writes ∂G/∂w at v.
    #[inline(always)]
    fn charge_by_width<S: Simd>(&self, v: &[T], out: &mut [T]) {
        let zone_at = self.zone_at::<S>();
        by_gate!(self.gate(), |shape| {
            for (n, (&v, out)) in lanes::<S, T>(v).iter().zip(lanes_mut(out)).enumerate() {
                *out = shape.on(&zone_at(n)).charge_by_width(v);
            }
        })
    }

    /// Replaces vpre_t in `v` by v_{t+1}, and G(v_t) in `sent` by G(v_{t+1}). Writes ΔQ_t.
    #[inline(always)]
    fn update<S: Simd>(&self, v: &mut [T], sent: &mut [T], charge: &mut [T]) {
        let zone_at = self.zone_at::<S>();
        by_gate!(self.gate(), |shape| {
            let rows = lanes_mut::<S, T>(v).iter_mut().zip(lanes_mut(sent).iter_mut().zip(lanes_mut(charge)));
            for (n, (v, (sent, charge))) in rows.enumerate() {
                let (spikes, after) = reset(*v);
                let sent_after = shape.on(&zone_at(n)).charge(after);
                *charge = spikes + (sent_after - *sent);
                (*v, *sent) = (after, sent_after);
            }
        })
    }

    /// Does the same as [`update`](Self::update), and writes g(v_{t+1}).
    #[inline(always)]
    fn update_with_density<S: Simd>(&self, (v, sent): (&mut [T], &mut [T]), charge: &mut [T], density: &mut [T]) {
        let zone_at = self.zone_at::<S>();
        by_gate!(self.gate(), |shape| {
            let state = lanes_mut::<S, T>(v).iter_mut().zip(lanes_mut(sent));
            let rows = state.zip(lanes_mut(charge).iter_mut().zip(lanes_mut(density)));
            for (n, ((v, sent), (charge, density))) in rows.enumerate() {
                let zone = zone_at(n);
                let (spikes, after) = reset(*v);
                let sent_after = shape.on(&zone).charge(after);
                *charge = spikes + (sent_after - *sent);
                *density = shape.on(&zone).density(after);
                (*v, *sent) = (after, sent_after);
            }
        })
    }
}

/// Gates of one width.
pub(super) struct UniformGates(pub(super) Gate);

impl<T: Real> Gates<T> for UniformGates {
    type Constant<S: Simd> = f64;

    #[inline(always)]
    fn gate(&self) -> &Gate {
        &self.0
    }

    #[inline(always)]
    fn zone_at<S: Simd>(&self) -> impl Fn(usize) -> Zone<f64> {
        let zone = Zone::of(self.0.width());
        move |_| zone
    }
}

/// Gates with a width per neuron.
pub(super) struct PerNeuronGates<T> {
    gate: Gate,
    zone: Zone<Row<T>>,
}

impl<T: Real> PerNeuronGates<T> {
    /// The gates with the active zone of each neuron.
    pub(super) fn of(gate: Gate, zones: Zone<Vec<f64>>) -> Self {
        let row = |numbers: Vec<f64>| Row::of(&numbers.into_iter().map(T::of).collect::<Vec<T>>());
        Self { gate, zone: zones.map(row) }
    }
}

impl<T: Real> Gates<T> for PerNeuronGates<T> {
    type Constant<S: Simd> = Own<Lanes<S, T>>;

    #[inline(always)]
    fn gate(&self) -> &Gate {
        &self.gate
    }

    #[inline(always)]
    fn zone_at<S: Simd>(&self) -> impl Fn(usize) -> Zone<Own<Lanes<S, T>>> {
        let (offset, inverse) = (lanes::<S, T>(&self.zone.offset), lanes::<S, T>(&self.zone.inverse));
        move |n| Zone { offset: Own(offset[n]), inverse: Own(inverse[n]) }
    }
}
