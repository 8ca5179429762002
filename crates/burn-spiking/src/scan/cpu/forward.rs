//! The forward kernel: the run of one sample, or of a few samples side by side.

use super::dynamics::Dynamics;
use super::network::{Network, SampleBlock, Scratch, Sender, State};
use super::rows::{self, ActiveSet, Row};
use crate::num::Real;
use crate::scan::mean_field::Blocks;
use macerator::Simd;
use std::mem::MaybeUninit;

/// One sample's inputs.
pub(super) struct Inputs<'a, T> {
    /// The drive x, `[T, N]`, or the input i, `[T, C]`.
    pub(super) drive: &'a [T],
    /// m, the weights of the steps in the activity, `[T]`; 1 if `None`.
    pub(super) activity_weight: Option<&'a [T]>,
    /// v_0, `[N]`.
    pub(super) v0: &'a [T],
    /// s_0, `[H, N]`.
    pub(super) s0: &'a [T],
}

/// The memory to which one sample's run is written. The run writes every element.
pub(super) struct Outputs<'a, T> {
    /// The traces in the trajectory, `[T, N]` each.
    pub(super) traces: Vec<&'a mut [MaybeUninit<T>]>,
    /// v_{t+1}, `[T, N]`.
    pub(super) v: Option<&'a mut [MaybeUninit<T>]>,
    /// ΔQ_t, `[T, N]`.
    pub(super) charge: Option<&'a mut [MaybeUninit<T>]>,
    /// The readout o, `[T, O]`, and the activity A.
    pub(super) readout: Option<(&'a mut [MaybeUninit<T>], &'a mut T)>,
    /// The currents I_t, `[T, N]`.
    pub(super) currents: Option<&'a mut [MaybeUninit<T>]>,
    /// The state before each segment, `[segments, rows, N]`.
    pub(super) states: Option<&'a mut [MaybeUninit<T>]>,
    /// The mean traces of each block of the mean-field adjoint, `[blocks, N]` for each synapse
    /// type; empty if they are not wanted.
    pub(super) means: Vec<&'a mut [MaybeUninit<T>]>,
    /// v_T, `[N]`.
    pub(super) last_v: &'a mut [T],
    /// s_T, `[H, N]`.
    pub(super) last_s: &'a mut [T],
}

/// One sample during its run.
struct Sample<'a, T> {
    inputs: Inputs<'a, T>,
    outputs: Outputs<'a, T>,
    state: State<T>,
    scratch_rows: Scratch<T>,
    /// ΔQ_t, the charge of this step.
    charge: Row<T>,
    /// Σ_t m_t s_{t+1}², per neuron.
    activity: Row<T>,
    /// The sum of the traces over the current block so far, for each synapse type whose means are
    /// wanted.
    block: Vec<Row<T>>,
    /// The neurons that sent charge in this step.
    senders: Vec<u32>,
    chosen: ActiveSet,
}

impl<T: Real> Sender<T> for Sample<'_, T> {
    #[inline(always)]
    fn sent<'a>(&'a mut self, everyone: &'a [u32]) -> (&'a mut State<T>, &'a [u32], &'a [T]) {
        let senders = match self.chosen {
            ActiveSet::Everyone => everyone,
            ActiveSet::Listed => &self.senders,
        };
        (&mut self.state, senders, &self.charge)
    }
}

impl<'a, T: Real> Sample<'a, T> {
    #[inline(always)]
    fn new<S: Simd>(
        network: &Network<'_, T>,
        dynamics: &impl Dynamics<T>,
        inputs: Inputs<'a, T>,
        outputs: Outputs<'a, T>,
    ) -> Self {
        let n = network.neurons;
        Self {
            state: State::start::<S>(network, dynamics, inputs.v0, inputs.s0),
            scratch_rows: Scratch::new(n),
            charge: Row::zeros(n),
            activity: Row::zeros(n),
            block: vec![Row::zeros(n); outputs.means.len()],
            senders: Vec::with_capacity(n),
            chosen: ActiveSet::Listed,
            inputs,
            outputs,
        }
    }

    /// Runs step t up to the charges sent.
    #[inline(always)]
    fn step<S: Simd>(
        &mut self,
        (network, dynamics): (&Network<'_, T>, &impl Dynamics<T>),
        t: usize,
        steps: usize,
        every: usize,
    ) {
        let Self { inputs, outputs, state, scratch_rows, .. } = self;
        let (n, channels) = (network.neurons, inputs.drive.len() / steps);
        let state_size = network.state_rows(outputs.currents.is_some()) * n;
        if let (Some(states), 0) = (&mut outputs.states, t % every) {
            state.save(network, &mut states[t / every * state_size..][..state_size]);
        }
        state.current::<S>(network, &inputs.drive[t * channels..(t + 1) * channels], scratch_rows);
        self.senders.clear();
        let charge = &mut self.charge;
        let neurons = state.neurons(&mut scratch_rows.scratch, charge);
        self.chosen = dynamics.step::<S>(n, neurons, &scratch_rows.i, &mut self.senders);
        state.trace::<S>(network, &self.charge);
    }

    /// Writes the wanted outputs of step t.
    #[inline(always)]
    fn record<S: Simd>(
        &mut self,
        (network, dynamics): (&Network<'_, T>, &impl Dynamics<T>),
        blocks: Blocks,
        t: usize,
        steps: usize,
    ) {
        let Self { outputs, state, scratch_rows, .. } = self;
        let n = network.neurons;
        for ((sum, out), s) in self.block.iter_mut().zip(&mut outputs.means).zip(&state.s) {
            rows::add::<S, T>(sum, s);
            let block = t / blocks.every;
            if (t + 1).is_multiple_of(blocks.every) || t + 1 == steps {
                rows::scale::<S, T>(sum, T::of(1.0 / blocks.len(block) as f64));
                rows::write::<S, T>(&mut out[block * n..(block + 1) * n], sum);
                rows::clear::<S, T>(sum);
            }
        }
        let here = t * n..(t + 1) * n;
        let read = network.synapses.iter().zip(&state.s).filter(|(synapse, _)| synapse.readout);
        // w, if it is recorded, is the last of these rows.
        let read = read.map(|(_, s)| s).chain([&state.w]);
        for (out, row) in outputs.traces.iter_mut().zip(read) {
            rows::write::<S, T>(&mut out[here.clone()], row);
        }
        if let Some(out) = &mut outputs.v {
            rows::write::<S, T>(&mut out[here.clone()], dynamics.potentials::<S>(&state.v, &mut scratch_rows.scratch));
        }
        if let Some(out) = &mut outputs.charge {
            rows::write::<S, T>(&mut out[here.clone()], &self.charge);
        }
        if let Some(out) = &mut outputs.currents {
            rows::write::<S, T>(&mut out[here], &scratch_rows.i);
        }
        if let (Some((out, _)), Some((k, weights))) = (&mut outputs.readout, network.readout) {
            let width = out.len() / steps;
            weights.product::<S>(&state.s[k], &mut out[t * width..(t + 1) * width]);
            let weight = self.inputs.activity_weight.map_or(T::of(1.0), |weight| weight[t]);
            rows::add_squares::<S, T>(&mut self.activity, weight, &state.s[k]);
        }
    }

    /// Writes v_T, s_T and the activity.
    #[inline(always)]
    fn finish<S: Simd>(self, n: usize, dynamics: &impl Dynamics<T>) {
        let Self { outputs, state, mut scratch_rows, activity, .. } = self;
        outputs.last_v.copy_from_slice(&dynamics.potentials::<S>(&state.v, &mut scratch_rows.scratch)[..n]);
        state.write_rows(n, outputs.last_s);
        if let Some((_, out)) = outputs.readout {
            *out = activity[..n].iter().fold(T::default(), |sum, &x| sum + x);
        }
    }
}

/// Runs samples side by side through all steps. The steps are cut into segments of `every` steps
/// and into the `blocks` of the mean-field adjoint. The equations are in [`scan`](crate::scan).
#[inline(always)]
pub(super) fn run<S: Simd, T: Real>(
    (network, dynamics): (&Network<'_, T>, &impl Dynamics<T>),
    steps: usize,
    (every, blocks): (usize, Blocks),
    samples: Vec<(Inputs<'_, T>, Outputs<'_, T>)>,
) {
    let mut running = Vec::with_capacity(samples.len());
    for (inputs, outputs) in samples {
        running.push(Sample::new::<S>(network, dynamics, inputs, outputs));
    }
    let mut together = SampleBlock::new(running.len(), network.neurons);
    for t in 0..steps {
        for sample in &mut running {
            sample.step::<S>((network, dynamics), t, steps, every);
        }
        together.send::<S>(network, &mut running);
        for sample in &mut running {
            sample.record::<S>((network, dynamics), blocks, t, steps);
        }
    }
    for sample in running {
        sample.finish::<S>(network.neurons, dynamics);
    }
}
