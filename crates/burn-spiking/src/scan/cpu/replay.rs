//! The second run of a segment, forward from the state that was kept before it. It leaves the
//! charges, slopes and gates of all steps of the segment for the adjoint, which then goes backward
//! through them.

use super::active_set::Lists;
use super::dynamics::{Dynamics, SECOND_SLOPES, Slopes};
use super::matrix::Matrix;
use super::network::{Network, SampleBlock, Scratch, Sender, State};
use super::rows;
use super::sample::{Inputs, Shared};
use crate::neuron::planar::CONSTANTS;
use crate::num::Real;
use crate::num::simd::unserved;
use macerator::{Simd, WithSimd};
use std::ops::Range;

/// The rows of all steps of a segment.
pub(super) struct Segment<T> {
    /// ΔQ_t, the charge of each step.
    pub(super) charge: Matrix<T>,
    /// c_k ΔQ_t of one type at a time.
    pub(super) amplitudes: Matrix<T>,
    /// ∂φ/∂v.
    pub(super) dv: Matrix<T>,
    /// ∂φ/∂I.
    pub(super) di: Matrix<T>,
    /// The other slopes of neurons with two variables, in the order of [`SECOND_SLOPES`].
    pub(super) second: Option<[Matrix<T>; SECOND_SLOPES]>,
    /// g(v_t), one row more than there are steps.
    pub(super) density: Matrix<T>,
    /// s_{t+1} of the type that the readout sees.
    pub(super) trace: Matrix<T>,
    /// Pᵏ_{t+1} of each type, and Pᵏ_{t+2} of the last step; without rows for types that have no
    /// current.
    pub(super) p: Vec<Matrix<T>>,
    /// q_t, and the rows of q after the last step that its Pᵏ needs: 1 + the longest delay.
    pub(super) q: Matrix<T>,
    /// The rows for the gradients of the constants; `None` if these are not wanted.
    pub(super) constants: Option<ConstantRows<T>>,
    /// The active neurons of each step.
    pub(super) active: Lists,
}

/// The rows of all steps of a segment that the gradients of the network's constants need.
pub(super) struct ConstantRows<T> {
    /// ∂φ/∂τ_mem.
    pub(super) by_tau: Matrix<T>,
    /// ∂v/∂c and ∂ψ/∂c of each constant c of neurons with two variables, if the plan has
    /// `planar_constants`.
    pub(super) by_planar: Option<[Matrix<T>; 2 * CONSTANTS]>,
    /// ∂G/∂w(v_t), one row more than there are steps.
    pub(super) by_width: Matrix<T>,
    /// sᵏ_t.
    pub(super) s: Vec<Matrix<T>>,
    /// Jᵏ_t; 0 for types without a current.
    pub(super) j: Vec<Matrix<T>>,
}

impl<T: Real> Segment<T> {
    fn new(network: &Network<'_, T>, every: usize) -> Self {
        let n = network.neurons;
        let rows = |count: usize| Matrix::zeros(count, n);
        Self {
            charge: rows(every),
            amplitudes: rows(if network.weights.is_empty() { 0 } else { every }),
            dv: rows(every),
            di: rows(every),
            second: network.jumps.as_ref().map(|_| std::array::from_fn(|_| rows(every))),
            density: rows(every + 1),
            trace: rows(if network.readout.is_some() { every } else { 0 }),
            p: network.synapses.iter().map(|synapse| rows(if synapse.connects() { every + 1 } else { 0 })).collect(),
            q: rows(every + 1 + network.longest_delay()),
            constants: network.constants.then(|| ConstantRows {
                by_tau: rows(every),
                by_planar: network.planar_constants.then(|| std::array::from_fn(|_| rows(every))),
                by_width: rows(every + 1),
                s: network.synapses.iter().map(|_| rows(every)).collect(),
                j: network.synapses.iter().map(|_| rows(every)).collect(),
            }),
            active: Lists::new(n, every),
        }
    }
}

/// One sample's second run of a segment, with the rows that it leaves.
pub(super) struct Replay<T> {
    state: State<T>,
    scratch_rows: Scratch<T>,
    /// The step that ran last, counted from the start of the segment.
    at: usize,
    pub(super) segment: Segment<T>,
}

impl<T: Real> Sender<T> for Replay<T> {
    #[inline(always)]
    fn sent<'a>(&'a mut self, everyone: &'a [u32]) -> (&'a mut State<T>, &'a [u32], &'a [T]) {
        (&mut self.state, self.segment.active.of(self.at, everyone), self.segment.charge.row(self.at))
    }
}

impl<T: Real> Replay<T> {
    pub(super) fn new(network: &Network<'_, T>, every: usize) -> Self {
        Self {
            state: State::zeros(network),
            scratch_rows: Scratch::new(network.neurons),
            at: 0,
            segment: Segment::new(network, every),
        }
    }

    /// Loads the state that was kept before a segment.
    #[inline(always)]
    fn load<S: Simd>(
        &mut self,
        (network, dynamics): (&Network<'_, T>, &impl Dynamics<T>),
        inputs: &Inputs<'_, T>,
        which: usize,
    ) {
        let segment = &mut self.segment;
        let state_size = network.state_rows(inputs.currents.is_some()) * network.neurons;
        self.state.load::<S>(network, dynamics, &inputs.states[which * state_size..][..state_size]);
        segment.active.clear();
        dynamics.density::<S>(&self.state.v, segment.density.row_mut(0));
        if let Some(constants) = &mut segment.constants {
            dynamics.charge_by_width::<S>(&self.state.v, constants.by_width.row_mut(0));
        }
    }

    /// Runs step t, the `at`-th of the segment, again up to the charges sent.
    #[inline(always)]
    fn step<S: Simd>(
        &mut self,
        (network, dynamics): (&Network<'_, T>, &impl Dynamics<T>),
        inputs: &Inputs<'_, T>,
        channels: usize,
        at: usize,
        t: usize,
    ) {
        let Self { state, scratch_rows, segment, .. } = self;
        let n = network.neurons;
        self.at = at;
        match inputs.currents {
            Some(currents) => scratch_rows.i[..n].copy_from_slice(&currents[t * n..(t + 1) * n]),
            None => state.current::<S>(network, &inputs.drive[t * channels..(t + 1) * channels], scratch_rows),
        }
        if let Some(constants) = &mut segment.constants {
            for (rows, row) in constants.s.iter_mut().zip(&state.s).chain(constants.j.iter_mut().zip(&state.j)) {
                rows::copy::<S, T>(rows.row_mut(at), row);
            }
        }
        let second = match &mut segment.second {
            Some([a, b, c, d]) => Some([a.row_mut(at), b.row_mut(at), c.row_mut(at), d.row_mut(at)]),
            None => None,
        };
        let by_constants = match segment.constants.as_mut().and_then(|constants| constants.by_planar.as_mut()) {
            Some([a, b, c, d]) => Some([a.row_mut(at), b.row_mut(at), c.row_mut(at), d.row_mut(at)]),
            None => None,
        };
        let slopes = Slopes { by_v: segment.dv.row_mut(at), by_i: segment.di.row_mut(at), second, by_constants };
        let (before, after) = segment.density.row_and_next_mut(at);
        let charge = segment.charge.row_mut(at);
        let neurons = state.neurons(&mut scratch_rows.scratch, charge);
        let active = segment.active.members();
        let chosen = dynamics.step_with_slopes::<S>(n, neurons, &scratch_rows.i, slopes, (before, after), active);
        let charge = segment.charge.row(at);
        segment.active.end(chosen);
        if let Some(constants) = &mut segment.constants {
            let (after, di) = (&*state.v, segment.di.row(at));
            dynamics.slope_by_tau::<S>((after, &scratch_rows.i, di), constants.by_tau.row_mut(at));
            dynamics.charge_by_width::<S>(after, constants.by_width.row_mut(at + 1));
        }
        let for_itself = inputs.currents.is_none() && network.self_weights.rows() > 0;
        if network.readout.is_some() || segment.constants.is_some() || for_itself {
            state.trace::<S>(network, charge);
        }
        if let Some((k, _)) = network.readout {
            rows::copy::<S, T>(segment.trace.row_mut(at), &state.s[k]);
        }
    }
}

/// Runs a segment of samples side by side a second time.
pub(super) struct ReplayTask<'a, 'n, T, F> {
    pub(super) network: &'a Network<'n, T>,
    pub(super) dynamics: &'a F,
    pub(super) shared: &'a Shared,
    pub(super) inputs: &'a [Inputs<'a, T>],
    pub(super) replays: &'a mut [Replay<T>],
    pub(super) together: &'a mut SampleBlock<T>,
    /// The segment's steps.
    pub(super) steps: Range<usize>,
}

impl<T: Real, F: Dynamics<T>> WithSimd for ReplayTask<'_, '_, T, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self) {
        if const { unserved::<S>() } {
            unreachable!("this processor runs the tensor operations");
        }
        let Self { network, dynamics, shared, inputs, replays, together, steps } = self;
        for (replay, inputs) in replays.iter_mut().zip(inputs) {
            replay.load::<S>((network, dynamics), inputs, steps.start / shared.every);
        }
        for t in steps.clone() {
            for (replay, inputs) in replays.iter_mut().zip(inputs) {
                replay.step::<S>((network, dynamics), inputs, shared.channels, t - steps.start, t);
            }
            if !shared.currents_kept {
                together.send::<S>(network, replays);
            }
        }
    }
}
