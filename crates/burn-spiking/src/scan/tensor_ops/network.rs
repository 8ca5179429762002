//! One step of the network in tensor operations: its state, and the integrators.

use super::connection::Connection;
use crate::num::Number;
use crate::scan::dynamics::DynamicsOn;
use crate::scan::surrogate::slopes_without_spike;
use crate::scan::tensor_number::TensorNumber;
use crate::scan::{ScanPlan, ScanSynapse};
use burn::backend::Backend;
use std::collections::VecDeque;

/// The result of one step.
pub(crate) struct Step<B: Backend> {
    /// I_t.
    pub(crate) current: TensorNumber<B>,
    /// vpre_t; `None` for neurons of two variables.
    pub(crate) vpre: Option<TensorNumber<B>>,
    /// ΔQ_t.
    pub(crate) charge: TensorNumber<B>,
}

/// The state between two steps.
#[derive(Clone)]
pub(crate) struct State<B: Backend> {
    /// v_t, `[B, N]`.
    pub(crate) v: TensorNumber<B>,
    /// w_t of neurons with two variables, `[B, N]`.
    pub(crate) w: Option<TensorNumber<B>>,
    /// G(v_t), `[B, N]`.
    pub(crate) sent: TensorNumber<B>,
    /// sᵏ_t, `[B, N]` each.
    pub(crate) s: Vec<TensorNumber<B>>,
    /// The currents of each type in transit, in the order of their arrival.
    on_the_way: Vec<VecDeque<TensorNumber<B>>>,
}

impl<B: Backend> State<B> {
    pub(crate) fn new(
        v0: TensorNumber<B>,
        s0: &TensorNumber<B>,
        plan: &ScanPlan,
        dynamics: &DynamicsOn<TensorNumber<B>>,
    ) -> Self {
        let types = 0..plan.synapses.len();
        let s = types.clone().map(|k| s0.index(1, k)).collect();
        let on_the_way = types.map(|k| plan.rows_on_the_way(k).map(|row| s0.index(1, row)).collect());
        let w = plan.second_variable_row().map(|row| s0.index(1, row));
        Self { sent: dynamics.charge(v0.clone()), v: v0, w, s, on_the_way: on_the_way.collect() }
    }

    /// All rows except v, in the order of [`scan`](crate::scan).
    pub(crate) fn rows(self) -> TensorNumber<B> {
        let rows = self.s.into_iter().chain(self.on_the_way.into_iter().flatten()).chain(self.w);
        TensorNumber::stack(rows.collect(), 1)
    }

    /// Advances by one step under the drive x, `[B, N]`, with `phi` as the flow of neurons with one
    /// variable.
    pub(crate) fn advance(
        &mut self,
        x: TensorNumber<B>,
        connections: &[Option<Connection<B>>],
        (plan, dynamics): (&ScanPlan, &DynamicsOn<TensorNumber<B>>),
        phi: impl FnOnce(TensorNumber<B>, TensorNumber<B>) -> TensorNumber<B>,
    ) -> Step<B> {
        let mut current = x;
        for ((connection, s), on_the_way) in connections.iter().zip(&self.s).zip(&mut self.on_the_way) {
            if let Some(connection) = connection {
                on_the_way.push_back(connection.current(s.clone()));
                current = current + on_the_way.pop_front().expect("one was just sent on its way");
            }
        }
        let (v, n, vpre) = match self.w.take() {
            Some(w) => {
                let moved = dynamics.planar_step(self.v.clone(), w, current.clone());
                self.w = Some(moved.w);
                (moved.v, moved.spikes, None)
            }
            None => {
                let vpre = phi(self.v.clone(), current.clone());
                let (vpre, n) = match plan.surrogate() {
                    Some(surrogate) => {
                        let spikes = vpre.spikes();
                        let (by_v, by_i) = slopes_without_spike(&plan.neuron, plan.dt).expect("the plan was checked");
                        let quiet = self.v.clone().times(by_v) + current.clone().times(by_i);
                        let vpre = vpre.with_gradient(quiet);
                        let sent = surrogate.integral(vpre.clone().plus(-1.0));
                        (vpre, spikes.with_gradient(sent))
                    }
                    None => (vpre.clone(), vpre.spikes()),
                };
                (vpre.clone() - n.clone().detached(), n, Some(vpre))
            }
        };
        self.v = v;
        let sent = dynamics.charge(self.v.clone());
        let charge = n + (sent.clone() - self.sent.clone());
        self.sent = sent;
        if let (Some(w), Some(jump)) = (&mut self.w, dynamics.jump(charge.clone())) {
            *w = w.clone() + jump;
        }
        for (k, (synapse, s)) in plan.synapses.iter().zip(&mut self.s).enumerate() {
            let amplitude =
                if synapse.amplitude == 1.0 { charge.clone() } else { charge.clone().times(synapse.amplitude) };
            *s = decayed(dynamics.decay(k), synapse, s.clone()) + amplitude;
        }
        Step { current, vpre, charge }
    }

    /// Advances by one step of [`Integrator::Heun`](crate::scan::Integrator::Heun).
    pub(crate) fn advance_by_heun(
        &mut self,
        x: TensorNumber<B>,
        connections: &[Option<Connection<B>>],
        (plan, dynamics): (&ScanPlan, &DynamicsOn<TensorNumber<B>>),
        phi: impl Fn(TensorNumber<B>, TensorNumber<B>) -> TensorNumber<B>,
    ) -> Step<B> {
        let recurrent = |s: &[TensorNumber<B>]| {
            let connected = connections.iter().zip(s).filter_map(|(connection, s)| Some((connection.as_ref()?, s)));
            connected.map(|(connection, s)| connection.current(s.clone())).reduce(|a, b| a + b)
        };
        let traces = |charge: &TensorNumber<B>| -> Vec<TensorNumber<B>> {
            let after = |(k, (synapse, s)): (usize, (&ScanSynapse, &TensorNumber<B>))| {
                let amplitude = charge.clone().times(synapse.amplitude);
                let amplitude = match dynamics.decay(k) {
                    Some(decay) => amplitude * decay.sqrt(),
                    None => amplitude.times(synapse.decay.sqrt()),
                };
                decayed(dynamics.decay(k), synapse, s.clone()) + amplitude
            };
            plan.synapses.iter().zip(&self.s).enumerate().map(after).collect()
        };
        let settled = |current: TensorNumber<B>| {
            let vpre = phi(self.v.clone(), current);
            let n = vpre.spikes();
            let v = vpre.clone() - n.clone();
            let sent = dynamics.charge(v.clone());
            let charge = n + (sent.clone() - self.sent.clone());
            (vpre, v, sent, charge)
        };
        let Some(before) = recurrent(&self.s) else {
            let (vpre, v, sent, charge) = settled(x.clone());
            self.s = traces(&charge);
            (self.v, self.sent) = (v, sent);
            return Step { current: x, vpre: Some(vpre), charge };
        };
        let (_, _, _, predicted) = settled(x.clone() + before.clone());
        let after = recurrent(&traces(&predicted)).expect("there are weights");
        let current = x + (before + after).times(0.5);
        let (vpre, v, sent, charge) = settled(current.clone());
        self.s = traces(&charge);
        (self.v, self.sent) = (v, sent);
        Step { current, vpre: Some(vpre), charge }
    }
}

/// α_k s, the trace after the decay of one step.
fn decayed<B: Backend>(decay: Option<TensorNumber<B>>, synapse: &ScanSynapse, s: TensorNumber<B>) -> TensorNumber<B> {
    match decay {
        Some(decay) => s * decay,
        None => s.times(synapse.decay),
    }
}
