//! The same system in plain tensor operations, differentiated by Burn: the oracle of the tests and the peer that the op is
//! measured against.
//!
//! It is written as well as tensor operations allow. The drive comes from a closure, step by step, so that a model can
//! project its raw, untracked input there: slicing a tracked `[B, T, N]` tensor costs O(T²) in the backward pass. The
//! currents come from one product W s a step. A flow's cheaper form is used where every current of the step allows it.

use super::composed::{Recorder, Recording, State};
use super::field::Field;
use super::{Run, ScanPlan};
use crate::neuron::{Flow, NeuronModel, with_model};
use burn::backend::Dispatch;
use burn::tensor::Tensor;

/// Runs a network step by step; see [`Arguments`](super::Arguments), of which `drive` gives x_t, `[B, N]`. It
/// gives trajectories only; a readout is a product that follows.
pub fn run(
    steps: usize,
    mut drive: impl FnMut(usize) -> Tensor<2>,
    weights: Option<Tensor<3>>,
    v0: Tensor<2>,
    s0: Tensor<3>,
    plan: &ScanPlan,
) -> Run {
    let weights: Vec<Field<Dispatch>> = match weights {
        Some(weights) => {
            let weights = Field(weights.into_dispatch());
            (0..plan.weight_planes()).map(|m| weights.index(0, m)).collect()
        }
        None => Vec::new(),
    };
    let mut state = State::new(Field(v0.into_dispatch()), &Field(s0.into_dispatch()), plan);
    let mut recorder = Recorder::<Dispatch>::new(plan);
    for t in 0..steps {
        let x = Field(drive(t).into_dispatch());
        let step = state.advance(x, &weights, plan, |v, i| {
            with_model!(&plan.neuron, |model| phi(model.over(plan.dt), v, i), |_own| plan.neuron.phi(v, i, plan.dt))
        });
        recorder.record(&state, &step.charge, plan);
    }
    let Recording { traces, v, charge } = recorder.finish();
    Run {
        traces: traces.into_iter().map(tensor).collect(),
        v: v.map(tensor),
        charge: charge.map(tensor),
        output: None,
        activity: None,
        last_v: tensor(state.v),
        last_s: tensor(Field::stack(state.s, 1)),
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
