//! One sample's network: its state, and a step of it. The forward run and its second run in the
//! adjoint share this program, so that recomputed values are the same to the last bit.
//!
//! Samples may run side by side, all at the same step. If most neurons are active, one pass through
//! W then serves all of them. The currents of a sample do not depend on the samples beside it, to
//! the last bit, because each sum has one fixed order.

use super::dynamics::{Dynamics, Neurons};
use super::matrix::Matrix;
use super::rows::{self, Row};
use crate::num::Real;
use crate::scan::synapse::{ScanSynapse, steps_of_delay};
use macerator::Simd;
use std::mem::MaybeUninit;
use std::sync::OnceLock;

/// The network's data that all samples share.
pub(super) struct Network<'a, T> {
    pub(super) synapses: &'a [ScanSynapse],
    /// W, one matrix for each synapse type that connects the neurons to each other.
    pub(super) weights: &'a [Weights<T>],
    /// d, one row for each synapse type that connects each neuron to itself alone.
    pub(super) self_weights: &'a Matrix<T>,
    /// The projection; `None` if the drive is given whole.
    pub(super) projection: Option<&'a Projection<T>>,
    /// The synapse type that the readout sees, and Oᵀ.
    pub(super) readout: Option<(usize, &'a Matrix<T>)>,
    /// L and the share that is kept, if the adjoint is limited.
    pub(super) adjoint_limit: Option<(f64, f64)>,
    /// Whether the gradients of the constants are wanted.
    pub(super) constants: bool,
    /// Whether the adjoint of a charge goes to the potential after the step alone, and not with a
    /// minus sign to the potential before it.
    pub(super) surrogate: bool,
    /// b of each neuron, the rise of w by one spike; `None` for neurons with one variable.
    pub(super) jumps: Option<Row<T>>,
    /// The number of constants that neurons may have each.
    pub(super) neuron_constants: usize,
    /// Whether the constants of neurons with two variables are among them.
    pub(super) planar_constants: bool,
    /// N, the number of neurons.
    pub(super) neurons: usize,
    /// Zeros, `[N]`: the recurrent current if there are no recurrent weights.
    pub(super) silence: Row<T>,
    /// The indices of all neurons, 0..N.
    pub(super) everyone: Vec<u32>,
}

/// W of one synapse type.
pub(super) struct Weights<T> {
    /// One row for each presynaptic neuron.
    pub(super) rows: Matrix<T>,
    transposed: OnceLock<Matrix<T>>,
}

impl<T: Real> Weights<T> {
    pub(super) fn new(rows: Matrix<T>) -> Self {
        Self { rows, transposed: OnceLock::new() }
    }

    /// The transpose: one row for each postsynaptic neuron. It is made at its first use, because
    /// runs with a narrow gate may never use it.
    #[inline(always)]
    pub(super) fn transposed(&self) -> &Matrix<T> {
        self.transposed.get_or_init(|| self.rows.transposed(self.rows.rows()))
    }
}

/// The projection of the input to the drive, x = U i + I_o.
pub(super) struct Projection<T> {
    /// U, `[C, N]`.
    pub(super) weights: Matrix<T>,
    /// I_o, `[N]`; zero if there is none.
    pub(super) bias: Row<T>,
}

impl<T: Real> Network<'_, T> {
    /// Returns the synapse types that connect the neurons to each other, each with the index of its
    /// weight plane.
    pub(super) fn recurrent(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.synapses.iter().enumerate().filter_map(|(k, synapse)| Some((k, synapse.plane()?)))
    }

    /// Returns the synapse types that connect each neuron to itself alone, each with the index of
    /// its row of self-weights.
    pub(super) fn to_itself(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.synapses.iter().enumerate().filter_map(|(k, synapse)| Some((k, synapse.self_row()?)))
    }

    /// Returns the synapse types that have a current.
    pub(super) fn connected(&self) -> impl Iterator<Item = usize> + '_ {
        self.synapses.iter().enumerate().filter(|(_, synapse)| synapse.connects()).map(|(k, _)| k)
    }

    /// Returns the number of steps of the longest delay.
    pub(super) fn longest_delay(&self) -> usize {
        self.synapses.iter().map(|synapse| synapse.delay).max().unwrap_or(0)
    }

    /// Returns the number of rows of a saved state: v as it is held, w, sᵏ, Jᵏ of the types with a
    /// weight plane, and the currents on their way. If the tape holds all currents, a saved state
    /// has no Jᵏ and no currents on their way.
    pub(super) fn state_rows(&self, currents_kept: bool) -> usize {
        let variables = 1 + self.jumps.is_some() as usize;
        variables
            + self.synapses.len()
            + if currents_kept { 0 } else { self.weights.len() + steps_of_delay(self.synapses) }
    }
}

/// The state between two steps.
pub(super) struct State<T> {
    /// v_t, in the form in which the dynamics hold it.
    pub(super) v: Row<T>,
    /// w_t; empty for neurons with one variable.
    pub(super) w: Row<T>,
    /// G(v_t).
    pub(super) sent: Row<T>,
    /// sᵏ_t.
    pub(super) s: Vec<Row<T>>,
    /// Jᵏ_t; always 0 for types without a current. For a type that connects each neuron to itself
    /// alone, it is d ∘ sᵏ and is computed when the step needs it.
    pub(super) j: Vec<Row<T>>,
    /// Jᵏ_{t−d} … Jᵏ_{t−1}, the currents of each type on their way.
    on_the_way: Vec<Queue<T>>,
}

/// A ring buffer of a fixed number of rows.
struct Queue<T> {
    rows: Vec<Row<T>>,
    first: usize,
}

impl<T: Real> Queue<T> {
    /// The row that is next; `None` if the buffer has no rows.
    #[inline(always)]
    fn front(&self) -> Option<&Row<T>> {
        self.rows.get(self.first)
    }

    /// Replaces the front row by `row`, which becomes the last one.
    #[inline(always)]
    fn turn(&mut self, row: &[T]) {
        if let Some(front) = self.rows.get_mut(self.first) {
            front.copy_from_slice(row);
            self.first = (self.first + 1) % self.rows.len();
        }
    }

    /// Returns all rows, the front one first.
    fn in_order(&self) -> impl Iterator<Item = &Row<T>> {
        self.rows[self.first..].iter().chain(&self.rows[..self.first])
    }
}

/// Rows that a step works in. Their values have no meaning between steps.
pub(super) struct Scratch<T> {
    /// The current I_t.
    pub(super) i: Row<T>,
    /// Input channels that are not 0.
    pub(super) channels: Vec<u32>,
    /// Room for new potentials.
    pub(super) scratch: Row<T>,
}

impl<T: Real> Scratch<T> {
    pub(super) fn new(n: usize) -> Self {
        Self { i: Row::zeros(n), channels: Vec::new(), scratch: Row::zeros(n) }
    }
}

/// Largest number of channels for which all channels of an input are sent. A search for those that
/// are not 0 would cost more.
pub(super) const FEW_CHANNELS: usize = 8;

/// Replaces the list by the channels of an input row that are not 0, or by all if there are few.
#[inline(always)]
fn channels_of<T: Real>(list: &mut Vec<u32>, input: &[T]) {
    if input.len() <= FEW_CHANNELS {
        if list.len() != input.len() {
            list.clear();
            list.extend(0..input.len() as u32);
        }
        return;
    }
    list.clear();
    append_open(list, input);
}

/// Appends the channels of an input row that are not 0.
#[inline(always)]
pub(super) fn append_open<T: Real>(list: &mut Vec<u32>, input: &[T]) {
    for (c, &x) in input.iter().enumerate() {
        if x != T::default() {
            list.push(c as u32);
        }
    }
}

impl<T: Real> State<T> {
    /// Makes room for a state that will be loaded.
    pub(super) fn zeros(network: &Network<'_, T>) -> Self {
        let row = || Row::zeros(network.neurons);
        let rows = || network.synapses.iter().map(|_| row()).collect();
        let queue = |synapse: &ScanSynapse| Queue { rows: (0..synapse.delay).map(|_| row()).collect(), first: 0 };
        let on_the_way = network.synapses.iter().map(queue).collect();
        let w = Row::zeros(if network.jumps.is_some() { network.neurons } else { 0 });
        Self { v: row(), w, sent: row(), s: rows(), j: rows(), on_the_way }
    }

    /// Makes the initial state: Jᵏ_0 = W_k sᵏ_0. `s0` has the traces and the currents on their way.
    #[inline(always)]
    pub(super) fn start<S: Simd>(network: &Network<'_, T>, dynamics: &impl Dynamics<T>, v0: &[T], s0: &[T]) -> Self {
        let n = network.neurons;
        let mut rows = s0.chunks_exact(n);
        let mut state = Self::zeros(network);
        state.v.copy_from_slice(&Row::of(v0));
        dynamics.encode::<S>(&mut state.v);
        for s in &mut state.s {
            rows.next().into_iter().for_each(|row| s[..n].copy_from_slice(row));
        }
        for row in state.on_the_way.iter_mut().flat_map(|queue| &mut queue.rows) {
            rows.next().into_iter().for_each(|given| row[..n].copy_from_slice(given));
        }
        if network.jumps.is_some() {
            rows.next().into_iter().for_each(|given| state.w[..n].copy_from_slice(given));
        }
        for (k, plane) in network.recurrent() {
            let (s, j) = (&state.s[k], &mut state.j[k]);
            network.weights[plane].rows.send::<S>(&network.everyone, s, T::of(1.0), T::default(), j);
        }
        dynamics.charge::<S>(&state.v, &mut state.sent);
        state
    }

    /// Writes the state, in the order of [`Network::state_rows`].
    pub(super) fn save(&self, network: &Network<'_, T>, out: &mut [MaybeUninit<T>]) {
        let currents = network.recurrent().map(|(k, _)| &self.j[k]);
        let currents = currents.chain(self.on_the_way.iter().flat_map(Queue::in_order));
        let variables = std::iter::once(&self.v).chain(network.jumps.as_ref().map(|_| &self.w));
        let rows = variables.chain(&self.s).chain(currents);
        for (out, row) in out.chunks_exact_mut(network.neurons).zip(rows) {
            out.write_copy_of_slice(&row[..network.neurons]);
        }
    }

    /// Loads a state that [`save`](Self::save) wrote.
    #[inline(always)]
    pub(super) fn load<S: Simd>(&mut self, network: &Network<'_, T>, dynamics: &impl Dynamics<T>, saved: &[T]) {
        let n = network.neurons;
        let mut saved = saved.chunks_exact(n);
        let mut take = |row: &mut Row<T>| {
            if let Some(saved) = saved.next() {
                row[..n].copy_from_slice(saved);
            }
        };
        take(&mut self.v);
        if network.jumps.is_some() {
            take(&mut self.w);
        }
        self.s.iter_mut().for_each(&mut take);
        network.recurrent().for_each(|(k, _)| take(&mut self.j[k]));
        for queue in &mut self.on_the_way {
            queue.first = 0;
            queue.rows.iter_mut().for_each(&mut take);
        }
        dynamics.charge::<S>(&self.v, &mut self.sent);
    }

    /// Writes the traces, the currents on their way, and w.
    pub(super) fn write_rows(&self, n: usize, out: &mut [T]) {
        let rows = self.s.iter().chain(self.on_the_way.iter().flat_map(Queue::in_order)).chain([&self.w]);
        for (out, row) in out.chunks_exact_mut(n).zip(rows) {
            out.copy_from_slice(&row[..n]);
        }
    }

    /// Writes I_t to the scratch rows: the drive, or the projected input, plus the recurrent
    /// currents that arrive in this step. Puts the currents Jᵏ_t on their way.
    #[inline(always)]
    pub(super) fn current<S: Simd>(&mut self, network: &Network<'_, T>, drive: &[T], scratch_rows: &mut Scratch<T>) {
        for (k, row) in network.to_itself() {
            rows::product::<S, T>(&mut self.j[k], &self.s[k], network.self_weights.row(row));
        }
        let arriving = |k: usize| self.on_the_way[k].front().unwrap_or(&self.j[k]);
        let mut recurrent = network.connected().map(arriving);
        let first = recurrent.next().unwrap_or(&network.silence);
        match network.projection {
            Some(projection) => {
                channels_of(&mut scratch_rows.channels, drive);
                let onto = (&*projection.bias, &**first);
                projection.weights.send_onto::<S>(&scratch_rows.channels, drive, onto, &mut scratch_rows.i);
            }
            None => rows::sum_with_tensor::<S, T>(&mut scratch_rows.i, first, drive),
        }
        for j in recurrent {
            rows::add::<S, T>(&mut scratch_rows.i, j);
        }
        for (queue, j) in self.on_the_way.iter_mut().zip(&self.j) {
            queue.turn(j);
        }
    }

    /// Returns the rows that a step of the neurons updates.
    #[inline(always)]
    pub(super) fn neurons<'a>(&'a mut self, scratch: &'a mut Row<T>, charge: &'a mut [T]) -> Neurons<'a, T> {
        Neurons { held: &mut self.v, w: &mut self.w, scratch, sent: &mut self.sent, charge }
    }

    /// Updates the traces with the charge ΔQ_t of a step.
    #[inline(always)]
    pub(super) fn trace<S: Simd>(&mut self, network: &Network<'_, T>, charge: &[T]) {
        for (synapse, s) in network.synapses.iter().zip(&mut self.s) {
            rows::decay_add::<S, T>(s, T::of(synapse.decay), charge, T::of(synapse.amplitude));
        }
    }

    /// Updates the currents Jᵏ with the charges of the neurons that sent some.
    #[inline(always)]
    fn send<S: Simd>(&mut self, network: &Network<'_, T>, senders: &[u32], charge: &[T]) {
        for (k, plane) in network.recurrent() {
            let (decay, amplitude) = (T::of(network.synapses[k].decay), T::of(network.synapses[k].amplitude));
            network.weights[plane].rows.send::<S>(senders, charge, amplitude, decay, &mut self.j[k]);
        }
    }
}

/// A sample after the step in which its neurons sent charges.
pub(super) trait Sender<T> {
    /// Returns the state, the neurons that sent charge, and ΔQ_t.
    fn sent<'a>(&'a mut self, everyone: &'a [u32]) -> (&'a mut State<T>, &'a [u32], &'a [T]);
}

/// The rows of samples side by side in a product with the weights.
pub(super) struct SampleBlock<T> {
    /// The factors of the product.
    pub(super) factors: Matrix<T>,
    /// The sums to which the product is added.
    pub(super) sums: Matrix<T>,
}

impl<T: Real> SampleBlock<T> {
    pub(super) fn new(samples: usize, n: usize) -> Self {
        let rows = if samples > 1 { samples } else { 0 };
        Self { factors: Matrix::zeros(rows, n), sums: Matrix::zeros(rows, n) }
    }

    /// Updates the currents of all samples with the charges of a step. If more than half of all
    /// neurons sent charge, one pass through the weights serves all samples.
    #[inline(always)]
    pub(super) fn send<S: Simd>(&mut self, network: &Network<'_, T>, samples: &mut [impl Sender<T>]) {
        let (count, everyone) = (samples.len(), &*network.everyone);
        let mut senders = 0;
        for sample in samples.iter_mut() {
            senders += sample.sent(everyone).1.len();
        }
        if count == 1 || 2 * senders <= count * network.neurons {
            for sample in samples {
                let (state, senders, charge) = sample.sent(everyone);
                state.send::<S>(network, senders, charge);
            }
            return;
        }
        for (k, plane) in network.recurrent() {
            let (decay, amplitude) = (T::of(network.synapses[k].decay), T::of(network.synapses[k].amplitude));
            for (r, sample) in samples.iter_mut().enumerate() {
                let (state, _, charge) = sample.sent(everyone);
                rows::scaled::<S, T>(self.factors.row_mut(r), amplitude, charge);
                rows::scaled::<S, T>(self.sums.row_mut(r), decay, &state.j[k]);
            }
            network.weights[plane].rows.send_block::<S>(count, &self.factors, &mut self.sums);
            for (r, sample) in samples.iter_mut().enumerate() {
                sample.sent(everyone).0.j[k].copy_from_slice(self.sums.row(r));
            }
        }
    }
}
