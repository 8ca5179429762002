//! Random networks, and several ways to compute their gradients, for the tests of the whole system.
//!
//! A [`Draw`] is a network with its inputs. Its cost depends on every output: C = Σ (c + 0.3 y) y
//! over traces, potentials, charges, the readout and its activity, and the final state, with random
//! c. Each way returns the gradients with respect to all inputs.

// Burn 0.22 deprecates its NdArray backend, which users may still choose.
#![cfg_attr(feature = "ndarray", allow(deprecated))]

mod mean_field;

use burn::backend::Dispatch;
use burn::tensor::{DType, Device, Tensor, TensorData};
use burn_spiking::neuron::{Eif, Flow, RateCurve};
use burn_spiking::number::Number;
use burn_spiking::scan::scan;
use burn_spiking::scan::{
    Arguments, Drive, GradientMask, InputGradients, OptionalTensor, OutputGradients, PerNeuronConstants, Run,
    ScanInputs, ScanPlan, ScanSynapse, SpikingBackend,
};
use burn_spiking::{Adjoint, Checkpointing, Gate, Implementation, Neuron, NeuronModel};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;

/// A theta neuron, written like a user-defined neuron: only `phi`, without its own slopes or a
/// cheaper form. It takes one step of the midpoint rule in each time step.
#[derive(Debug, Clone, Copy)]
pub struct OwnQif {
    /// Membrane time constant, ms.
    pub tau_mem: f64,
}

/// [`OwnQif`] over one step.
#[derive(Debug, Clone, Copy)]
pub struct OwnQifFlow {
    tau_mem: f64,
    dt: f64,
}

impl NeuronModel for OwnQif {
    type Flow = OwnQifFlow;

    fn over(&self, dt: f64) -> OwnQifFlow {
        OwnQifFlow { tau_mem: self.tau_mem, dt }
    }

    fn name(&self) -> String {
        format!("theta neuron by midpoints, tau_mem {} ms", self.tau_mem)
    }

    fn tau(&self) -> Option<f64> {
        Some(self.tau_mem)
    }

    fn steady_current(&self, spikes: f64) -> f64 {
        (0.5 * spikes).powi(2)
    }

    fn rate_curve(&self) -> Option<RateCurve> {
        Some(RateCurve::quadratic(self.tau_mem))
    }
}

impl OwnQifFlow {
    #[inline(always)]
    fn drift<X: Number>(&self, v: X, i: X) -> X {
        let (_, cos) = v.times(2.0).sin_cos_pi();
        cos.clone().plus(1.0).times(1.0 / self.tau_mem) + (-cos).plus(1.0) * i
    }
}

impl Flow for OwnQifFlow {
    #[inline(always)]
    fn phi<X: Number>(&self, v: X, i: X) -> X {
        let middle = v.clone() + self.drift(v.clone(), i.clone()).times(0.5 * self.dt);
        v + self.drift(middle, i).times(self.dt)
    }
}

/// The devices that this build can test on.
pub fn devices() -> Vec<Device> {
    vec![
        #[cfg(feature = "flex")]
        Device::flex(),
        #[cfg(feature = "ndarray")]
        Device::ndarray(),
    ]
}

/// The GPU that this build can test on.
#[cfg(any(feature = "wgpu", feature = "cuda"))]
pub fn gpu() -> Device {
    #[cfg(feature = "cuda")]
    return Device::cuda(0);
    #[cfg(not(feature = "cuda"))]
    Device::wgpu(Default::default())
}

/// The inputs of a network, or the gradients of a cost with respect to them. A list is empty if the
/// network has no such input.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Values {
    /// x, `[B, T, N]`, or i, `[B, T, C]`.
    pub drive: Vec<f64>,
    /// U, `[C, N]`.
    pub projection: Vec<f64>,
    /// I_o, `[N]`.
    pub bias: Vec<f64>,
    /// W, `[M, N, N]`.
    pub weights: Vec<f64>,
    /// v_0, `[B, N]`.
    pub v0: Vec<f64>,
    /// s_0, `[B, K, N]`.
    pub s0: Vec<f64>,
    /// O, `[N, O]`.
    pub readout: Vec<f64>,
    /// τ_mem, w, α_1 … α_K, `[2 M + K]`. M is N if τ_mem and w are per neuron, otherwise 1.
    pub constants: Vec<f64>,
}

impl Values {
    /// All inputs, in the order of the fields.
    pub fn all(&self) -> [&Vec<f64>; 8] {
        let Self { drive, projection, bias, weights, v0, s0, readout, constants } = self;
        [drive, projection, bias, weights, v0, s0, readout, constants]
    }

    fn all_mut(&mut self) -> [&mut Vec<f64>; 8] {
        let Self { drive, projection, bias, weights, v0, s0, readout, constants } = self;
        [drive, projection, bias, weights, v0, s0, readout, constants]
    }

    /// The largest of the inputs' relative distances ([`relative_distance`]).
    pub fn distance(&self, other: &Self) -> f64 {
        self.all().into_iter().zip(other.all()).map(|(a, b)| relative_distance(a, b)).fold(0.0, f64::max)
    }
}

/// A network with its inputs, in double precision.
#[derive(Debug, Clone)]
pub struct Draw {
    /// Neuron, gate, synapses, readout and step.
    pub plan: ScanPlan,
    /// B.
    pub batch: usize,
    /// T.
    pub steps: usize,
    /// N.
    pub neurons: usize,
    /// C; `None` if the drive is given without a projection.
    pub channels: Option<usize>,
    /// O; 0 without a readout.
    pub outputs: usize,
    /// The inputs of the network.
    pub inputs: Values,
    /// Seed of the coefficients of the cost.
    pub seed: u64,
}

/// The relative distance |a − b|/max(|a|, |b|); infinite if a number is not finite.
pub fn relative_distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    // Infinity, because `f64::max` ignores NaN.
    if !a.iter().chain(b).all(|x| x.is_finite()) {
        return f64::INFINITY;
    }
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
    let scale = norm(&mut a.iter().copied()).max(norm(&mut b.iter().copied()));
    let distance = norm(&mut a.iter().zip(b).map(|(a, b)| a - b));
    if scale == 0.0 { 0.0 } else { distance / scale }
}

/// A bound for relative distances in double precision: rounding errors, magnified by a few steps of
/// a network.
pub const NEAR_ROUNDING: f64 = 1e-10;

/// Returns `count` random networks of every kind, the same in every run. `GRADIENT_DRAWS=n`
/// overrides `count`.
pub fn sample(count: usize) -> impl Iterator<Item = Draw> {
    sample_of(draws(), count)
}

/// Returns `count` networks from `draws`, like [`sample`].
pub fn sample_of(draws: impl Strategy<Value = Draw>, count: usize) -> impl Iterator<Item = Draw> {
    let count = std::env::var("GRADIENT_DRAWS").ok().and_then(|n| n.parse().ok()).unwrap_or(count);
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    (0..count).map(move |_| draws.new_tree(&mut runner).expect("draws reject nothing").current())
}

fn gates(narrowest: f64) -> impl Strategy<Value = Gate> {
    (narrowest..=1.0, any::<bool>())
        .prop_map(|(width, smooth)| if smooth { Gate::RaisedCosine { width } } else { Gate::Quintic { width } })
}

fn synapses(dt: f64) -> impl Strategy<Value = Vec<ScanSynapse>> {
    // Delays shorter and longer than the runs, in steps.
    let delay = prop_oneof![3 => Just(0_usize), 2 => 1_usize..=3, 1 => Just(14_usize)];
    prop::collection::vec((1.0_f64..40.0, any::<[bool; 3]>(), delay), 1..=3).prop_map(move |types| {
        let mut plane = 0..;
        types
            .into_iter()
            .map(|(tau, [recurrent, readout, natural], delay)| ScanSynapse {
                decay: (-dt / tau).exp(),
                amplitude: if natural { 1.0 } else { 1.0 / tau },
                weights: if recurrent { plane.next() } else { None },
                readout,
                delay: if recurrent { delay } else { 0 },
            })
            .collect()
    })
}

fn checkpoints() -> impl Strategy<Value = Checkpointing> {
    prop_oneof![
        Just(Checkpointing::Auto),
        Just(Checkpointing::Currents),
        Just(Checkpointing::States),
        (1_usize..=5).prop_map(Checkpointing::Every)
    ]
}

/// Networks of every kind that the library has, with short runs.
pub fn draws() -> impl Strategy<Value = Draw> {
    // Sizes below, at and above the number of the kernel's lanes, and size 1.
    let neurons = prop_oneof![4 => 1_usize..=5, 1 => Just(16_usize), 1 => Just(19_usize)];
    draws_of(gates(0.1), 1_usize..=3, 1_usize..=12, neurons)
}

/// Networks that the kernel runs with samples side by side: large networks with wide gates, in
/// large batches.
pub fn crowds() -> impl Strategy<Value = Draw> {
    draws_of(gates(0.6), 9_usize..=21, 1_usize..=5, 32_usize..=50)
}

/// QIF networks in which the kernel computes charges only for the neurons that send some: large
/// networks with narrow gates.
pub fn sparse_crowds() -> impl Strategy<Value = Draw> {
    let gates = gates(0.05).prop_map(|gate| gate.with_width(gate.width() * 0.3));
    draws_of(gates, 1_usize..=2, 2_usize..=8, 66_usize..=100).prop_filter("QIF neurons of one kind", |draw| {
        matches!(draw.plan.neuron, Neuron::Qif { .. }) && draw.plan.per_neuron.is_none()
    })
}

fn draws_of(
    gates: impl Strategy<Value = Gate>,
    batch: impl Strategy<Value = usize>,
    steps: impl Strategy<Value = usize>,
    neurons: impl Strategy<Value = usize>,
) -> impl Strategy<Value = Draw> {
    let options = (any::<[bool; 4]>(), checkpoints(), any::<Option<prop::sample::Index>>());
    let plan = (0_usize..5, 5.0_f64..40.0, gates, prop::sample::select(vec![0.1, 0.5, 1.0, 3.0]), options)
        .prop_flat_map(
            |(model, tau_mem, gate, dt, ([record_v, record_charge, constants, each], checkpointing, readout))| {
                let neuron = match model {
                    0 => Neuron::Nif,
                    1 => Neuron::Lif { tau_mem },
                    2 => Neuron::Qif { tau_mem },
                    3 => Neuron::Eif(Eif { tau_mem, delta: 0.15, onset: 0.7 }),
                    _ => Neuron::own(OwnQif { tau_mem }),
                };
                let plan = move |synapses: Vec<ScanSynapse>| ScanPlan {
                    neuron: neuron.clone(),
                    gate,
                    dt,
                    readout: readout.map(|at| at.index(synapses.len())),
                    synapses,
                    record_v,
                    record_charge,
                    check_finite: false,
                    panic_if_not_finite: true,
                    non_finite_gradient: Default::default(),
                    checkpointing,
                    adjoint: Adjoint::Exact,
                    rates: None,
                    // Filled in below, when the number of neurons is known.
                    per_neuron: each.then(|| Arc::new(PerNeuronConstants { tau_mem: Vec::new(), width: Vec::new() })),
                    constants,
                    implementation: Implementation::Fused,
                };
                synapses(dt).prop_map(plan)
            },
        );
    let ends = (prop::option::of(1_usize..=3), any::<bool>(), 1_usize..=3);
    (plan, batch, steps, neurons, ends, any::<u64>(), 0.0_f64..1.5).prop_map(
        |(mut plan, batch, steps, neurons, (channels, bias, outputs), seed, pull)| {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            if plan.per_neuron.is_some() {
                let mut around = |middle: f64| -> Vec<f64> {
                    (0..neurons).map(|_| middle * random.random_range(0.6..1.6)).collect()
                };
                let tau_mem = around(plan.neuron.tau().unwrap_or(1.0));
                let width = around(plan.gate.width()).into_iter().map(|width| width.min(1.0)).collect();
                let tau_mem = if plan.neuron.learns_tau() { tau_mem } else { Vec::new() };
                plan.per_neuron = Some(Arc::new(PerNeuronConstants { tau_mem, width }));
            }
            let planes = plan.weight_planes();
            let outputs = if plan.readout.is_some() { outputs } else { 0 };
            let mut normals = |count: usize, mean: f64, spread: f64| -> Vec<f64> {
                (0..count).map(|_| mean + spread * normal(&mut random)).collect()
            };
            // Explicit rules get weaker currents: if currents cause whole spikes in one step, an
            // explicit rule magnifies rounding errors by orders of magnitude per step.
            let calm = if matches!(plan.neuron, Neuron::Eif(_) | Neuron::Own(_)) { 0.2 } else { 1.0 };
            // A step sends a fraction of a spike on average, and sometimes several spikes.
            let coupling = calm * pull * 0.3 / (plan.dt * (neurons as f64).sqrt());
            let mut drive = normals(batch * steps * channels.unwrap_or(neurons), 0.15, 0.35);
            let projection =
                channels.map_or(Vec::new(), |c| normals(c * neurons, 0.5 * calm / plan.dt, 0.7 * calm / plan.dt));
            let bias = match channels {
                Some(_) if bias => normals(neurons, 0.1 / plan.dt, 0.1 / plan.dt),
                _ => Vec::new(),
            };
            let weights = normals(planes * neurons * neurons, 0.0, coupling);
            let readout = normals(neurons * outputs, 0.0, 0.5);
            for x in &mut drive {
                let burst = if random.random_bool(0.05) { 3.0 } else { 1.0 };
                // The kernel skips channels that are 0.
                let open = if channels.is_some() && random.random_bool(0.3) { 0.0 } else { 1.0 };
                *x *= burst * open * if channels.is_some() { 1.0 } else { calm / plan.dt };
            }
            let v0 = (0..batch * neurons).map(|_| random.random_range(0.0..0.999)).collect();
            let mut s0: Vec<f64> =
                (0..batch * plan.state_rows() * neurons).map(|_| 0.3 * random.random::<f64>()).collect();
            // Delayed currents in s_0 are about as large as the currents that a trace causes.
            let traces = plan.synapses.len() * neurons;
            s0.chunks_exact_mut(plan.state_rows() * neurons)
                .flat_map(|rows| &mut rows[traces..])
                .for_each(|current| *current *= coupling);
            let constants = if plan.constants {
                let each = plan.per_neuron.as_deref();
                let of = |own: Option<&Vec<f64>>, shared: f64| match own {
                    Some(own) if !own.is_empty() => own.clone(),
                    _ => vec![shared; each.map_or(1, |_| neurons)],
                };
                let tau_mem = of(each.map(|each| &each.tau_mem), plan.neuron.tau().unwrap_or(1.0));
                let width = of(each.map(|each| &each.width), plan.gate.width());
                let decays = plan.synapses.iter().map(|synapse| synapse.decay);
                tau_mem.into_iter().chain(width).chain(decays).collect()
            } else {
                Vec::new()
            };
            let inputs = Values { drive, projection, bias, weights, v0, s0, readout, constants };
            Draw { plan, batch, steps, neurons, channels, outputs, inputs, seed }
        },
    )
}

/// Draws a standard normal number.
pub fn normal(random: &mut impl Rng) -> f64 {
    let (a, b): (f64, f64) = (random.random(), random.random());
    (-2.0 * (1.0 - a).ln()).sqrt() * (2.0 * std::f64::consts::PI * b).cos()
}

/// Returns the same tensors, tracked for gradients.
fn tracked(arguments: Arguments) -> Arguments {
    let Arguments { drive, weights, v0, s0, readout, activity_weight, constants } = arguments;
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
        v0: v0.require_grad(),
        s0: s0.require_grad(),
        readout: readout.map(Tensor::require_grad),
        constants: constants.map(Tensor::require_grad),
    }
}

/// The drive of step t, `[B, N]`, in tensor operations.
pub(crate) fn drive_at(drive: &Drive, t: usize) -> Tensor<2> {
    let at = |series: &Tensor<3>| series.clone().narrow(1, t, 1).squeeze_dim(1);
    match drive {
        Drive::Whole(drive) => at(drive),
        Drive::Projected { input, projection, bias } => {
            let x: Tensor<2> = at(input).matmul(projection.clone());
            match bias {
                Some(bias) => x + bias.clone().unsqueeze(),
                None => x,
            }
        }
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

/// The output of a training step, if no metric reads it.
pub struct Nothing;

impl burn::train::ItemLazy for Nothing {
    fn sync(self) -> Result<Self, burn::backend::ExecutionError> {
        Ok(self)
    }
}

/// The numbers of a tensor, in order.
pub fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

impl Draw {
    pub(crate) fn arguments(&self, device: &Device, dtype: DType) -> Arguments {
        let Self { batch, steps, neurons, outputs, .. } = *self;
        let Values { drive, projection, bias, weights, v0, s0, readout, constants } = &self.inputs;
        fn tensor<const D: usize>(values: &[f64], shape: [usize; D], options: (&Device, DType)) -> Tensor<D> {
            Tensor::from_data(TensorData::new(values.to_vec(), shape), options)
        }
        let options = (device, dtype);
        let planes = self.plan.weight_planes();
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

    fn cost(&self, run: &Run) -> Tensor<1> {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed ^ 0x5eed);
        let mut outputs: Vec<Tensor<1>> = run.traces.iter().map(|trace| trace.clone().flatten(0, 2)).collect();
        outputs.extend(run.v.iter().chain(&run.charge).chain(&run.output).map(|x| x.clone().flatten(0, 2)));
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
        let read = self.plan.readout_traces();
        let packed = out.traces.into_option().map(|x| leaf(Tensor::<4>::from_dispatch(x).into_data()));
        let (v, charge, output) = (many(out.v), many(out.charge), many(out.readout));
        let activity = out.activity.into_option().map(|x| leaf(Tensor::<1>::from_dispatch(x).into_data()));
        let last_v = leaf(Tensor::<2>::from_dispatch(out.last_v).into_data());
        let last_s = leaf(Tensor::<3>::from_dispatch(out.last_s).into_data());
        let dims @ [batch, steps, neurons] = [self.batch, self.steps, self.neurons];
        let rows = self.plan.state_rows();
        let shaped = |x: &Tensor<1>| x.clone().reshape(dims);
        let run = Run {
            traces: packed.iter().flat_map(|x| x.clone().chunk(read, 0)).map(|x| x.reshape(dims)).collect(),
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
            s0: true,
            readout: present(&inputs.readout),
            constants: present(&inputs.constants),
        };
        let plan = Arc::new(adjoint_plan.clone());
        let found: InputGradients<Dispatch> =
            Dispatch::spiking_scan_adjoint(inputs, out.tape, output_gradients, plan, wanted);
        fn list<const D: usize>(slot: OptionalTensor<Dispatch>) -> Vec<f64> {
            slot.into_option().map_or(Vec::new(), |x| numbers(Tensor::<D>::from_dispatch(x)))
        }
        Values {
            drive: list::<3>(found.drive),
            projection: list::<2>(found.projection),
            bias: list::<1>(found.bias),
            weights: list::<3>(found.weights),
            v0: list::<2>(OptionalTensor::Present(found.v0)),
            s0: list::<3>(found.s0),
            readout: list::<2>(found.readout),
            constants: list::<1>(found.constants),
        }
    }

    /// Returns the plan, with the values of the constants from the inputs.
    fn plan_of_constants(&self) -> ScanPlan {
        let mut plan = self.plan.clone();
        if !plan.constants {
            return plan;
        }
        let constants = &self.inputs.constants;
        let (own, decays) = constants.split_at(constants.len() - plan.synapses.len());
        let (tau_mem, width) = own.split_at(own.len() / 2);
        plan.synapses.iter_mut().zip(decays).for_each(|(synapse, &decay)| synapse.decay = decay);
        if plan.per_neuron.is_some() {
            let tau_mem = if plan.neuron.learns_tau() { tau_mem.to_vec() } else { Vec::new() };
            plan.per_neuron = Some(Arc::new(PerNeuronConstants { tau_mem, width: width.to_vec() }));
            return plan;
        }
        plan.neuron = match plan.neuron {
            Neuron::Lif { .. } => Neuron::Lif { tau_mem: tau_mem[0] },
            Neuron::Qif { .. } => Neuron::Qif { tau_mem: tau_mem[0] },
            other => other,
        };
        plan.gate = plan.gate.with_width(width[0]);
        plan
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
            let plan = Arc::new(ScanPlan { record_v: true, ..draw.plan_of_constants() });
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
