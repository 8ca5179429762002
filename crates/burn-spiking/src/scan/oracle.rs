//! The same system in plain tensor operations, differentiated by Burn. It is the oracle of the
//! tests, and the scan's speed is compared with it.
//!
//! It is as fast as tensor operations allow. An input is projected step by step
//! ([`Drive::Projected`](super::Drive)), because the input usually needs no gradient, and slicing a
//! tracked `[B, T, N]` tensor costs O(T²) in the backward pass. The currents come from one product
//! W s per step. A flow uses its cheaper form if every current of the step allows it.
//!
//! This module also runs [`Integrator::Heun`].

use super::arguments::{Arguments, Run};
use super::plan::{Integrator, ScanPlan};
use super::tensor_number::TensorNumber;
use super::tensor_ops::{Connection, Recorder, Recording, State, dynamics_by, dynamics_of};
use crate::neuron::flow::{Flow, SmallCurrent};
use crate::neuron::{NeuronModel, with_model};
use burn::backend::Dispatch;
use burn::tensor::Tensor;

/// Runs a network step by step.
pub fn run(arguments: Arguments, plan: &ScanPlan, integrator: Integrator) -> Run {
    let Arguments { drive, weights, self_weights, v0, s0, readout, activity_weight, constants } = arguments;
    let [_, steps, _] = drive.series().dims();
    let asked = plan;
    let mut plan = plan.clone();
    // The readout is computed from the recorded trace below, so its trace is always recorded.
    plan.synapses.iter_mut().enumerate().for_each(|(k, synapse)| synapse.readout |= asked.readout == Some(k));
    let plan = &plan;
    let weights = weights.map(|weights| TensorNumber(weights.into_dispatch()));
    let self_weights = self_weights.map(|weights| TensorNumber(weights.into_dispatch()));
    let connections = Connection::of(plan, weights.as_ref(), self_weights.as_ref());
    let v0 = TensorNumber(v0.into_dispatch());
    let dynamics = match &constants {
        Some(constants) => dynamics_by(plan, &TensorNumber(constants.clone().into_dispatch())),
        None => dynamics_of(plan, &v0),
    };
    let shared = constants.is_none() && plan.per_neuron.is_none();
    let mut state = State::new(v0, &TensorNumber(s0.into_dispatch()), plan, &dynamics);
    let mut recorder = Recorder::<Dispatch>::new(plan);
    for t in 0..steps {
        let x = TensorNumber(drive.at(t).into_dispatch());
        let flow = |v, i| match shared {
            true => {
                with_model!(
                    &plan.neuron,
                    |model| phi(model.over(plan.dt), v, i),
                    |_own| plan.neuron.phi(v, i, plan.dt),
                    |_planar| plan.neuron.phi(v, i, plan.dt)
                )
            }
            false => dynamics.phi(v, i),
        };
        let step = match integrator {
            Integrator::Flow => state.advance(x, &connections, (plan, &dynamics), flow),
            Integrator::Heun => state.advance_by_heun(x, &connections, (plan, &dynamics), flow),
        };
        recorder.record(&state, &step.charge, plan);
    }
    let Recording { traces, v, charge, w } = recorder.finish();
    let mut traces: Vec<Tensor<3>> = traces.into_iter().map(tensor).collect();
    let (mut output, mut activity) = (None, None);
    if let (Some(k), Some(readout)) = (asked.readout, readout) {
        let at = plan.synapses[..k].iter().filter(|synapse| synapse.readout).count();
        let trace = if asked.synapses[k].readout { traces[at].clone() } else { traces.remove(at) };
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
        w: w.map(tensor),
        output,
        activity,
        last_v: tensor(state.v.clone()),
        last_s: tensor(state.rows()),
    }
}

fn tensor<const D: usize>(number: TensorNumber<Dispatch>) -> Tensor<D> {
    Tensor::from_dispatch(number.0)
}

fn phi<F: SmallCurrent>(flow: F, v: TensorNumber<Dispatch>, i: TensorNumber<Dispatch>) -> TensorNumber<Dispatch> {
    let (limit, small) = flow.small_current();
    if limit.is_infinite() {
        return flow.phi(v, i);
    }
    let largest = tensor::<2>(i.clone()).detach().abs().max().into_scalar::<f64>();
    if largest <= limit { small.phi(v, i) } else { flow.phi(v, i) }
}
