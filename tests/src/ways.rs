//! The ways to compute the gradients of a [`Draw`].

use crate::{Draw, Values, normal, numbers, relative_distance};
use burn::backend::Dispatch;
use burn::tensor::{DType, Device, Tensor, TensorData};
use burn_spiking::scan::{
    AdjointRequest, Arguments, Drive, GradientMask, InputGradients, OptionalTensor, OutputGradients, Run, ScanInputs,
    ScanPlan, SpikingBackend, scan,
};
use burn_spiking::{Checkpointing, Implementation};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;

/// Returns the same tensors, tracked for gradients.
fn tracked(arguments: Arguments) -> Arguments {
    let Arguments { drive, weights, self_weights, v0, s0, readout, activity_weight, constants } = arguments;
    Arguments {
        activity_weight,
        drive: match drive {
            Drive::Whole(drive) => Drive::Whole(drive.require_grad()),
            Drive::Projected { input, projection, bias } => Drive::Projected {
                input: input.require_grad(),
                projection: projection.require_grad(),
                bias: bias.map(Tensor::require_grad),
            },
        },
        weights: weights.map(Tensor::require_grad),
        self_weights: self_weights.map(Tensor::require_grad),
        v0: v0.require_grad(),
        s0: s0.require_grad(),
        readout: readout.map(Tensor::require_grad),
        constants: constants.map(Tensor::require_grad),
    }
}

/// Returns `steps` steps of a drive, from step `first`.
fn narrowed(drive: Drive, first: usize, steps: usize) -> Drive {
    match drive {
        Drive::Whole(drive) => Drive::Whole(drive.narrow(1, first, steps)),
        Drive::Projected { input, projection, bias } => {
            Drive::Projected { input: input.narrow(1, first, steps), projection, bias }
        }
    }
}

impl Draw {
    pub(crate) fn arguments(&self, device: &Device, dtype: DType) -> Arguments {
        let Self { batch, steps, neurons, outputs, .. } = *self;
        let Values { drive, projection, bias, weights, self_weights, v0, s0, readout, constants } = &self.inputs;
        fn tensor<const D: usize>(values: &[f64], shape: [usize; D], options: (&Device, DType)) -> Tensor<D> {
            Tensor::from_data(TensorData::new(values.to_vec(), shape), options)
        }
        let options = (device, dtype);
        let (planes, rows) = (self.plan.weight_planes(), self.plan.self_weight_rows());
        Arguments {
            drive: match self.channels {
                None => Drive::Whole(tensor(drive, [batch, steps, neurons], options)),
                Some(channels) => Drive::Projected {
                    input: tensor(drive, [batch, steps, channels], options),
                    projection: tensor(projection, [channels, neurons], options),
                    bias: (!bias.is_empty()).then(|| tensor(bias, [neurons], options)),
                },
            },
            weights: (planes > 0).then(|| tensor(weights, [planes, neurons, neurons], options)),
            self_weights: (rows > 0).then(|| tensor(self_weights, [rows, neurons], options)),
            v0: tensor(v0, [batch, neurons], options),
            s0: tensor(s0, [batch, self.plan.state_rows(), neurons], options),
            readout: self.plan.readout.map(|_| tensor(readout, [neurons, outputs], options)),
            activity_weight: self.activity_weight().map(|weight| tensor(&weight, [batch, steps], options)),
            constants: self.plan.constants.then(|| tensor(constants, [constants.len()], options)),
        }
    }

    /// The weights of the steps in the activity, `[B, T]`. Every second network with a readout has
    /// such weights.
    pub(crate) fn activity_weight(&self) -> Option<Vec<f64>> {
        let given = self.plan.readout.is_some() && self.seed.is_multiple_of(2);
        let mut random = ChaCha8Rng::seed_from_u64(self.seed ^ 0xac71);
        given.then(|| (0..self.batch * self.steps).map(|_| random.random_range(0.0..2.0)).collect())
    }

    pub(crate) fn cost(&self, run: &Run) -> Tensor<1> {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed ^ 0x5eed);
        let mut outputs: Vec<Tensor<1>> = run.traces.iter().map(|trace| trace.clone().flatten(0, 2)).collect();
        outputs
            .extend(run.v.iter().chain(&run.charge).chain(&run.w).chain(&run.output).map(|x| x.clone().flatten(0, 2)));
        outputs.extend(run.activity.clone());
        outputs.push(run.last_v.clone().flatten(0, 1));
        outputs.push(run.last_s.clone().flatten(0, 2));
        let costs = outputs.into_iter().map(|y| {
            let c: Vec<f64> = (0..y.dims()[0]).map(|_| normal(&mut random)).collect();
            let c = Tensor::<1>::from_data(TensorData::from(c.as_slice()), (&y.device(), y.dtype()));
            ((c + y.clone() * 0.3) * y).sum()
        });
        costs.reduce(|a, b| a + b).expect("a run has a final state")
    }

    /// Runs the op in f64 and records potentials and charges.
    pub fn run(&self, device: &Device) -> Run {
        let plan = ScanPlan { record_v: true, record_charge: true, ..self.plan.clone() };
        scan(self.arguments(device, DType::F64), &Arc::new(plan))
    }

    pub(crate) fn differentiate(&self, device: &Device, dtype: DType, run: impl FnOnce(Arguments) -> Run) -> Values {
        let arguments = tracked(self.arguments(&device.clone().autodiff(), dtype));
        let gradients = self.cost(&run(arguments.clone())).backward();
        // An input without effect on any output has no gradient in the graph. Its gradient is 0.
        fn found<const D: usize>(of: Option<&Tensor<D>>, gradients: &burn::tensor::Gradients) -> Vec<f64> {
            of.map_or(Vec::new(), |of| numbers(of.grad(gradients).unwrap_or_else(|| of.clone().inner().zeros_like())))
        }
        let (drive, projection, bias) = match &arguments.drive {
            Drive::Whole(drive) => (drive, None, None),
            Drive::Projected { input, projection, bias } => (input, Some(projection), bias.as_ref()),
        };
        Values {
            drive: found(Some(drive), &gradients),
            projection: found(projection, &gradients),
            bias: found(bias, &gradients),
            weights: found(arguments.weights.as_ref(), &gradients),
            self_weights: found(arguments.self_weights.as_ref(), &gradients),
            v0: found(Some(&arguments.v0), &gradients),
            s0: found(Some(&arguments.s0), &gradients),
            readout: found(arguments.readout.as_ref(), &gradients),
            constants: found(arguments.constants.as_ref(), &gradients),
        }
    }

    /// Returns the gradients of the op, run by `implementation`.
    pub fn by_op(&self, device: &Device, dtype: DType, implementation: Implementation) -> Values {
        let plan = Arc::new(ScanPlan { implementation, ..self.plan.clone() });
        self.differentiate(device, dtype, |arguments| scan(arguments, &plan))
    }

    /// Returns the gradients of the op, run with `checkpointing`.
    pub fn by_op_keeping(&self, device: &Device, checkpointing: Checkpointing) -> Values {
        let plan = ScanPlan { checkpointing, ..self.plan.clone() };
        Self { plan, ..self.clone() }.by_op(device, DType::F64, Implementation::Fused)
    }

    /// Returns the gradients by Burn's automatic differentiation of the oracle.
    pub fn by_oracle(&self, device: &Device, dtype: DType) -> Values {
        self.by_op(device, dtype, Implementation::Autodiff)
    }

    /// Returns the gradients of the op in two calls. The second call continues from the final state
    /// of the first. Needs at least two steps.
    pub fn by_two_calls(&self, device: &Device) -> Values {
        let plan = Arc::new(self.plan.clone());
        let first = self.steps / 2;
        self.differentiate(device, DType::F64, |arguments| {
            let drive = arguments.drive.clone();
            let weight =
                |first: usize, steps: usize| arguments.activity_weight.clone().map(|m| m.narrow(1, first, steps));
            let (drive_early, activity_weight) = (narrowed(drive.clone(), 0, first), weight(0, first));
            let early = Arguments { drive: drive_early, activity_weight, ..arguments.clone() };
            let one = scan(early, &plan);
            let drive = narrowed(drive, first, self.steps - first);
            let activity_weight = weight(first, self.steps - first);
            let two = scan(Arguments { drive, v0: one.last_v, s0: one.last_s, activity_weight, ..arguments }, &plan);
            let join = |(a, b): (Tensor<3>, Tensor<3>)| Tensor::cat(vec![a, b], 1);
            Run {
                traces: one.traces.into_iter().zip(two.traces).map(join).collect(),
                v: one.v.zip(two.v).map(join),
                charge: one.charge.zip(two.charge).map(join),
                w: one.w.zip(two.w).map(join),
                output: one.output.zip(two.output).map(join),
                activity: one.activity.zip(two.activity).map(|(a, b)| a + b),
                last_v: two.last_v,
                last_s: two.last_s,
            }
        })
    }

    /// Returns the gradients by a direct call of the op's adjoint, without Burn's graph. The plan
    /// of the adjoint may differ from the plan of the forward run.
    pub fn by_adjoint_of(&self, device: &Device, adjoint_plan: &ScanPlan) -> Values {
        let inputs: ScanInputs<Dispatch> = self.arguments(device, DType::F64).into();
        let out = Dispatch::spiking_scan(inputs.clone(), Arc::new(self.plan.clone()), true);
        let outer = device.clone().autodiff();
        // The outputs become leaves of a separate graph, which ends in the cost.
        let leaf = |data: TensorData| {
            let values: Vec<f64> = data.iter::<f64>().collect();
            Tensor::<1>::from_data(TensorData::from(values.as_slice()), (&outer, DType::F64)).require_grad()
        };
        let many = |slot: OptionalTensor<Dispatch>| {
            slot.into_option().map(|x| leaf(Tensor::<3>::from_dispatch(x).into_data()))
        };
        let read = self.plan.recorded_planes();
        let packed = out.traces.into_option().map(|x| leaf(Tensor::<4>::from_dispatch(x).into_data()));
        let (v, charge, output) = (many(out.v), many(out.charge), many(out.readout));
        let activity = out.activity.into_option().map(|x| leaf(Tensor::<1>::from_dispatch(x).into_data()));
        let last_v = leaf(Tensor::<2>::from_dispatch(out.last_v).into_data());
        let last_s = leaf(Tensor::<3>::from_dispatch(out.last_s).into_data());
        let dims @ [batch, steps, neurons] = [self.batch, self.steps, self.neurons];
        let rows = self.plan.state_rows();
        let shaped = |x: &Tensor<1>| x.clone().reshape(dims);
        let mut traces: Vec<_> =
            packed.iter().flat_map(|x| x.clone().chunk(read, 0)).map(|x| x.reshape(dims)).collect();
        let w = if self.plan.record_w { traces.pop() } else { None };
        let run = Run {
            traces,
            w,
            v: v.as_ref().map(shaped),
            charge: charge.as_ref().map(shaped),
            output: output.as_ref().map(|x| x.clone().reshape([batch, steps, self.outputs])),
            activity: activity.clone(),
            last_v: last_v.clone().reshape([batch, neurons]),
            last_s: last_s.clone().reshape([batch, rows, neurons]),
        };
        let gradients = self.cost(&run).backward();
        fn found<const D: usize>(
            leaf: Option<Tensor<1>>,
            gradients: &burn::tensor::Gradients,
            shape: [usize; D],
        ) -> OptionalTensor<Dispatch> {
            leaf.and_then(|leaf| leaf.grad(gradients)).map(|g| g.reshape(shape).into_dispatch()).into()
        }
        let output_gradients = OutputGradients {
            traces: found(packed, &gradients, [read, batch, steps, neurons]),
            v: found(v, &gradients, dims),
            charge: found(charge, &gradients, dims),
            readout: found(output, &gradients, [batch, steps, self.outputs]),
            activity: found(activity, &gradients, [batch]),
            last_v: found(Some(last_v), &gradients, [batch, neurons]),
            last_s: found(Some(last_s), &gradients, [batch, rows, neurons]),
        };
        let present = |slot: &OptionalTensor<Dispatch>| slot.as_option().is_some();
        let wanted = GradientMask {
            drive: true,
            projection: present(&inputs.projection),
            bias: present(&inputs.bias),
            weights: present(&inputs.weights),
            self_weights: present(&inputs.self_weights),
            s0: true,
            readout: present(&inputs.readout),
            constants: present(&inputs.constants),
        };
        let plan = Arc::new(adjoint_plan.clone());
        let found: InputGradients<Dispatch> = Dispatch::spiking_scan_adjoint(
            AdjointRequest { inputs, tape: out.tape, gradients: output_gradients },
            plan,
            wanted,
        );
        fn list<const D: usize>(slot: OptionalTensor<Dispatch>) -> Vec<f64> {
            slot.into_option().map_or(Vec::new(), |x| numbers(Tensor::<D>::from_dispatch(x)))
        }
        Values {
            drive: list::<3>(found.drive),
            projection: list::<2>(found.projection),
            bias: list::<1>(found.bias),
            weights: list::<3>(found.weights),
            self_weights: list::<2>(found.self_weights),
            v0: list::<2>(OptionalTensor::Present(found.v0)),
            s0: list::<3>(found.s0),
            readout: list::<2>(found.readout),
            constants: list::<1>(found.constants),
        }
    }

    /// Returns the draw with one sample of the batch.
    pub fn alone(&self, sample: usize) -> Self {
        let mut alone = Self { batch: 1, ..self.clone() };
        for values in [&mut alone.inputs.drive, &mut alone.inputs.v0, &mut alone.inputs.s0] {
            let length = values.len() / self.batch;
            *values = values[sample * length..(sample + 1) * length].to_vec();
        }
        alone
    }

    /// Returns the same draw with a random relative error of about `share` in every input.
    pub fn jittered(&self, share: f64, seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut draw = self.clone();
        for x in draw.inputs.all_mut().into_iter().flatten() {
            *x *= 1.0 + share * normal(&mut random);
        }
        draw
    }

    /// Returns the gradients by central differences of the op's forward run, at h and h/2,
    /// extrapolated to 0 (error of order h⁴). Returns `None` if the differences have no meaning: a
    /// change by h moves a spike to another step, or the differences at h and h/2 differ by more
    /// than 1e-4 because the network magnifies h too much.
    pub fn by_differences(&self, device: &Device, h: f64) -> Option<Values> {
        let base = self.run(device);
        let spikes = |run: &Run| -> Vec<f64> { run.v.clone().expect("asked for").into_data().iter::<f64>().collect() };
        let potentials = spikes(&base);
        let cost = |draw: &Draw| -> Option<f64> {
            let plan = Arc::new(ScanPlan { record_v: true, ..draw.plan.clone() });
            let mut run = scan(draw.arguments(device, DType::F64), &plan);
            // A spike that moves to another step changes v by 1. Otherwise, h changes v by much
            // less.
            if spikes(&run).iter().zip(&potentials).any(|(a, b)| (a - b).abs() > 0.5) {
                return None;
            }
            if !self.plan.record_v {
                run.v = None;
            }
            Some(self.cost(&run).into_scalar::<f64>())
        };
        let mut draw = self.clone();
        let mut slopes = |input: usize| -> Option<Vec<f64>> {
            let pairs: Option<Vec<[f64; 2]>> = (0..draw.inputs.all()[input].len())
                .map(|at| {
                    let x = draw.inputs.all()[input][at];
                    let mut slope = |h: f64| {
                        let mut cost_at = |x: f64| {
                            draw.inputs.all_mut()[input][at] = x;
                            cost(&draw)
                        };
                        let difference = cost_at(x + h)? - cost_at(x - h)?;
                        draw.inputs.all_mut()[input][at] = x;
                        Some(difference / (2.0 * h))
                    };
                    Some([slope(h)?, slope(0.5 * h)?])
                })
                .collect();
            let (coarse, fine): (Vec<f64>, Vec<f64>) = pairs?.into_iter().map(|[a, b]| (a, b)).unzip();
            if relative_distance(&coarse, &fine) > 1e-4 {
                return None;
            }
            Some(fine.iter().zip(coarse).map(|(fine, coarse)| (4.0 * fine - coarse) / 3.0).collect())
        };
        let mut differences = Values::default();
        for (input, found) in differences.all_mut().into_iter().enumerate() {
            *found = slopes(input)?;
        }
        Some(differences)
    }
}
