//! The mean-field model, implemented separately for Burn's automatic differentiation. It has the
//! values of the spiking run and the derivatives of the rate model.
//!
//! Each quantity is (the value of the spiking network) + (the value of the rate model − the same
//! value, detached). So it has the value of the spiking network and the derivative of the rate
//! model.

use crate::{Draw, Values, drive_at};
use burn::tensor::{DType, Device, Tensor, TensorData};
use burn_spiking::Neuron;
use burn_spiking::scan::{Adjoint, Arguments, Run, ScanPlan, scan};
use std::sync::Arc;

/// Returns `value` with the derivative of `model`.
fn valued<const D: usize>(value: Tensor<D>, model: Tensor<D>) -> Tensor<D> {
    value.detach() + (model.clone() - model.detach())
}

/// The rates f(I), `[B, N]`, from the neuron's textbook formula if it has one.
fn rate(plan: &ScanPlan, i: Tensor<2>, softness: f64) -> Tensor<2> {
    // Multiplies by reciprocals, because Burn computes the gradient of a division by a number in
    // single precision.
    let soft = |excess: Tensor<2>| {
        // Burn's softplus loses precision far below 0.
        let u = excess * (1.0 / softness);
        // Both sides have the right derivative at 0, where Burn's clamp has 1.
        let above = u.clone().greater_elem(0.0);
        let low = u.clone().mask_fill(above.clone(), 0.0).exp().log1p();
        let high = u.clone() + (-u.mask_fill(above.clone().bool_not(), 0.0)).exp().log1p();
        low.mask_where(above, high) * softness
    };
    match plan.neuron {
        Neuron::Nif => soft(i),
        Neuron::Lif { tau_mem } => {
            // The interval between spikes is τ_mem ln(V/(V − 1)), with V = τ_mem I = 1 + τ_mem y.
            let excess = i - 1.0 / tau_mem;
            let y = soft(excess.clone());
            let foot = ((-excess * (1.0 / softness)).exp() + 1.0).recip();
            foot * ((y * tau_mem).recip().log1p() * tau_mem).recip()
        }
        Neuron::Qif { tau_mem } => (soft(i) * (1.0 / tau_mem)).sqrt() * 2.0,
        _ => {
            // A measured curve has no formula. Its own tests check its slopes.
            let curve = plan.rates.as_ref().expect("a mean-field plan");
            let slopes: Vec<f64> = i.to_data().iter::<f64>().map(|i| curve.slope(i, softness)).collect();
            let slopes = TensorData::new(slopes, i.dims());
            i.clone() * Tensor::<2>::from_data(slopes, (&i.device(), i.dtype()))
        }
    }
}

impl Draw {
    /// Makes the draw suitable for the mean-field adjoint: removes delays, learned constants and
    /// constants per neuron, and sets the mean-field adjoint with blocks of `every` steps.
    pub fn by_rates(mut self, every: usize) -> Self {
        let rows = self.plan.state_rows() * self.neurons;
        let traces = self.plan.synapses.len() * self.neurons;
        let s0 = self.inputs.s0.chunks_exact(rows).flat_map(|rows| rows[..traces].to_vec());
        self.inputs.s0 = s0.collect();
        self.inputs.constants.clear();
        self.plan.synapses.iter_mut().for_each(|synapse| synapse.delay = 0);
        (self.plan.constants, self.plan.per_neuron) = (false, None);
        let (step_ms, softness) = (every as f64 * self.plan.dt, 0.05 / self.plan.dt);
        self.plan = self.plan.with_adjoint(Adjoint::MeanField { step_ms, softness }).expect("it has a curve");
        self
    }

    /// Returns the gradients by automatic differentiation of the rate model along the run of the
    /// spiking network, in blocks of `every` steps.
    pub fn by_rate_model(&self, device: &Device, every: usize) -> Values {
        let Adjoint::MeanField { softness, .. } = self.plan.adjoint else { panic!("a mean-field plan") };
        let mut recording = ScanPlan { record_v: true, record_charge: true, ..self.plan.clone() };
        recording.synapses.iter_mut().for_each(|synapse| synapse.readout = true);
        let spikes = scan(self.arguments(device, DType::F64), &Arc::new(recording));
        self.differentiate(device, DType::F64, |arguments| self.rate_model(arguments, &spikes, every, softness))
    }

    fn rate_model(&self, arguments: Arguments, spikes: &Run, every: usize, softness: f64) -> Run {
        let Self { plan, steps, batch, .. } = self;
        let Arguments { drive, weights, self_weights, v0, s0, readout, activity_weight, .. } = arguments;
        let outer = v0.device();
        let lifted = |x: Tensor<3>| Tensor::<3>::from_data(x.into_data(), (&outer, DType::F64));
        let actual: Vec<Tensor<3>> = spikes.traces.iter().cloned().map(lifted).collect();
        let actual_charge = lifted(spikes.charge.clone().expect("asked for"));
        let mut s: Vec<Tensor<2>> =
            (0..plan.synapses.len()).map(|k| s0.clone().narrow(1, k, 1).squeeze_dim(1)).collect();
        let (mut traces, mut charges, mut outputs) = (vec![Vec::new(); s.len()], Vec::new(), Vec::new());
        let mut activity = Tensor::<1>::zeros([*batch], (&outer, DType::F64));
        for first in (0..*steps).step_by(every) {
            let block = first..(first + every).min(*steps);
            let length = block.len();
            let mean_drive = block.clone().map(|t| drive_at(&drive, t)).reduce(|a, b| a + b).unwrap();
            let mean_drive = mean_drive * (1.0 / length as f64);
            let mut current = mean_drive;
            for (synapse, s) in plan.synapses.iter().zip(&s) {
                if let Some(plane) = synapse.plane() {
                    let weights: Tensor<2> = weights.as_ref().unwrap().clone().narrow(0, plane, 1).squeeze_dim(0);
                    current = current + s.clone().matmul(weights);
                }
                if let Some(row) = synapse.self_row() {
                    current = current + s.clone() * self_weights.as_ref().unwrap().clone().narrow(0, row, 1);
                }
            }
            let rate = rate(plan, current, softness);
            for (k, synapse) in plan.synapses.iter().enumerate() {
                // Each step sends the charge dt f.
                let mut model = s[k].clone();
                for _ in block.clone() {
                    model = model * synapse.decay + rate.clone() * (synapse.amplitude * plan.dt);
                }
                let mean: Tensor<2> = actual[k].clone().narrow(1, first, length).mean_dim(1).squeeze_dim(1);
                s[k] = valued(mean, model);
            }
            for t in block {
                let at = |x: &Tensor<3>| -> Tensor<2> { x.clone().narrow(1, t, 1).squeeze_dim(1) };
                for (k, trace) in traces.iter_mut().enumerate() {
                    trace.push(valued(at(&actual[k]), s[k].clone()));
                }
                charges.push(valued(at(&actual_charge), rate.clone() * plan.dt));
                if let (Some(k), Some(readout)) = (plan.readout, &readout) {
                    let output = at(&actual[k]).matmul(readout.clone());
                    outputs.push(valued(output, s[k].clone().matmul(readout.clone())));
                    let square = |x: Tensor<2>| x.square().sum_dim(1).squeeze_dim::<1>(1);
                    let weight: Option<Tensor<1>> =
                        activity_weight.as_ref().map(|m| m.clone().narrow(1, t, 1).squeeze_dim(1));
                    let here = valued(square(at(&actual[k])), square(s[k].clone()));
                    activity = activity + weight.map_or(here.clone(), |weight| here * weight);
                }
            }
        }
        let joined = |steps: Vec<Tensor<2>>| Tensor::stack::<3>(steps, 1);
        let read = plan.synapses.iter().zip(traces).filter(|(synapse, _)| synapse.readout);
        let last = |x: &Tensor<3>| -> Tensor<2> { x.clone().narrow(1, steps - 1, 1).squeeze_dim(1) };
        let last_s = s.into_iter().zip(&actual).map(|(s, actual)| valued(last(actual), s)).collect();
        let recorded = |wanted: bool, x: &Option<Tensor<3>>| x.clone().filter(|_| wanted).map(lifted);
        Run {
            traces: read.map(|(_, trace)| joined(trace)).collect(),
            v: recorded(plan.record_v, &spikes.v),
            charge: plan.record_charge.then(|| joined(charges)),
            w: None,
            output: (!outputs.is_empty()).then(|| joined(outputs)),
            activity: plan.readout.map(|_| activity),
            last_v: Tensor::<2>::from_data(spikes.last_v.to_data(), (&outer, DType::F64)),
            last_s: Tensor::stack(last_s, 1),
        }
    }
}
