//! The same system in plain tensor operations, differentiated by Burn: the oracle of the tests and the peer that the op is
//! measured against.
//!
//! It is written as well as tensor operations allow. The drive comes from a closure, step by step, so that a model can
//! project its raw, untracked input there: slicing a tracked `[B, T, N]` tensor costs O(T²) in the backward pass. The
//! currents come from one product W s a step. A flow's cheaper form is used where every current of the step allows it.
//!
//! It is also what runs [`Scheme::Heun`].

use super::composed::{Recorder, Recording, State, dynamics_by, dynamics_of};
use super::field::Field;
use super::{Run, ScanPlan, Scheme};
use crate::neuron::{Flow, NeuronModel, with_model};
use burn::backend::Dispatch;
use burn::tensor::Tensor;

/// What a run starts from, beside its drive; see [`Arguments`](super::Arguments).
#[derive(Debug, Clone)]
pub struct Start {
    /// W, `[M, N, N]`.
    pub weights: Option<Tensor<3>>,
    /// v_0, `[B, N]`.
    pub v0: Tensor<2>,
    /// s_0, `[B, K + D, N]`.
    pub s0: Tensor<3>,
    /// O, `[N, O]`, if the plan has a readout.
    pub readout: Option<Tensor<2>>,
    /// The weights of the steps in the activity, `[B, T]`; 1 if `None`.
    pub activity_weight: Option<Tensor<2>>,
    /// τ_v, w, α_1 … α_K to be differentiated by, as in [`Arguments`](super::Arguments); the plan's own numbers if `None`.
    pub constants: Option<Tensor<1>>,
}

/// Runs a network step by step. `drive` gives x_t, `[B, N]`.
pub fn run(
    steps: usize,
    mut drive: impl FnMut(usize) -> Tensor<2>,
    start: Start,
    plan: &ScanPlan,
    scheme: Scheme,
) -> Run {
    let Start { weights, v0, s0, readout, activity_weight, constants } = start;
    let asked = plan;
    let mut plan = plan.clone();
    // The readout's trace is a trajectory here.
    plan.synapses.iter_mut().enumerate().for_each(|(k, synapse)| synapse.read |= asked.readout == Some(k));
    let plan = &plan;
    let weights: Vec<Field<Dispatch>> = match weights {
        Some(weights) => {
            let weights = Field(weights.into_dispatch());
            (0..plan.weight_planes()).map(|m| weights.index(0, m)).collect()
        }
        None => Vec::new(),
    };
    let v0 = Field(v0.into_dispatch());
    let dynamics = match &constants {
        Some(constants) => dynamics_by(plan, &Field(constants.clone().into_dispatch())),
        None => dynamics_of(plan, &v0),
    };
    let shared = constants.is_none() && plan.each.is_none();
    let mut state = State::new(v0, &Field(s0.into_dispatch()), plan, &dynamics);
    let mut recorder = Recorder::<Dispatch>::new(plan);
    for t in 0..steps {
        let x = Field(drive(t).into_dispatch());
        let flow = |v, i| match shared {
            true => {
                with_model!(&plan.neuron, |model| phi(model.over(plan.dt), v, i), |_own| plan.neuron.phi(v, i, plan.dt))
            }
            false => dynamics.phi(v, i),
        };
        let step = match scheme {
            Scheme::Held => state.advance(x, &weights, (plan, &dynamics), flow),
            Scheme::Heun => state.advance_by_heun(x, &weights, (plan, &dynamics), flow),
        };
        recorder.record(&state, &step.charge, plan);
    }
    let Recording { traces, v, charge } = recorder.finish();
    let mut traces: Vec<Tensor<3>> = traces.into_iter().map(tensor).collect();
    let (mut output, mut activity) = (None, None);
    if let (Some(k), Some(readout)) = (asked.readout, readout) {
        let at = plan.synapses[..k].iter().filter(|synapse| synapse.read).count();
        let trace = if asked.synapses[k].read { traces[at].clone() } else { traces.remove(at) };
        output = Some(trace.clone().matmul(readout.unsqueeze()));
        let squares = match activity_weight {
            Some(weight) => trace.square() * weight.unsqueeze_dim(2),
            None => trace.square(),
        };
        activity = Some(squares.sum_dim(2).sum_dim(1).flatten(0, 2));
    }
    Run {
        traces,
        v: v.map(tensor),
        charge: charge.map(tensor),
        output,
        activity,
        last_v: tensor(state.v.clone()),
        last_s: tensor(state.rows()),
    }
}

fn tensor<const D: usize>(field: Field<Dispatch>) -> Tensor<D> {
    Tensor::from_dispatch(field.0)
}

fn phi<F: Flow>(flow: F, v: Field<Dispatch>, i: Field<Dispatch>) -> Field<Dispatch> {
    let (limit, near) = flow.near();
    if limit.is_infinite() {
        return flow.phi(v, i);
    }
    let largest = tensor::<2>(i.clone()).detach().abs().max().into_scalar::<f64>();
    if largest <= limit { near.phi(v, i) } else { flow.phi(v, i) }
}
