//! Random networks and the ways to differentiate them, for the whole-system tests.
//!
//! A [`Draw`] is a network with its inputs. Its cost touches every output: C = Σ (c + 0.3 y) y over traces, potentials,
//! charges and the final state, with random c. Each way of differentiating it gives the same four [`Gradients`].

// Burn 0.22 deprecates its NdArray backend, which users may still ask for.
#![cfg_attr(feature = "ndarray", allow(deprecated))]

use burn::backend::Dispatch;
use burn::tensor::{DType, Device, Tensor, TensorData};
use burn_spiking::scan::{OutputGradients, Run, ScanPlan, ScanSynapse, ScanTape, Slot, SpikingBackend, Wanted};
use burn_spiking::scan::{reference, scan};
use burn_spiking::{Body, Gate, Neuron};
use proptest::prelude::*;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;

/// The devices that this build can test on.
pub fn devices() -> Vec<Device> {
    vec![
        #[cfg(feature = "flex")]
        Device::flex(),
        #[cfg(feature = "ndarray")]
        Device::ndarray(),
    ]
}

/// A network with its inputs, in double precision.
#[derive(Debug, Clone)]
pub struct Draw {
    /// Neuron, gate, synapses and step.
    pub plan: ScanPlan,
    /// B.
    pub batch: usize,
    /// T.
    pub steps: usize,
    /// N.
    pub neurons: usize,
    /// x, `[B, T, N]`.
    pub drive: Vec<f64>,
    /// W, `[M, N, N]`.
    pub weights: Vec<f64>,
    /// v_0, `[B, N]`.
    pub v0: Vec<f64>,
    /// s_0, `[B, K, N]`.
    pub s0: Vec<f64>,
    /// Seed of the cost's coefficients.
    pub seed: u64,
}

/// The gradients of a draw's cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Gradients {
    /// With respect to x.
    pub drive: Vec<f64>,
    /// With respect to W.
    pub weights: Vec<f64>,
    /// With respect to v_0.
    pub v0: Vec<f64>,
    /// With respect to s_0.
    pub s0: Vec<f64>,
}

impl Gradients {
    /// The largest relative distance of a parameter's gradients, in their norms.
    pub fn distance(&self, other: &Self) -> f64 {
        let pairs = [
            (&self.drive, &other.drive),
            (&self.weights, &other.weights),
            (&self.v0, &other.v0),
            (&self.s0, &other.s0),
        ];
        pairs.into_iter().map(|(a, b)| relative_distance(a, b)).fold(0.0, f64::max)
    }
}

/// |a − b|/max(|a|, |b|); NaN where a number is not finite.
pub fn relative_distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
    let scale = norm(&mut a.iter().copied()).max(norm(&mut b.iter().copied()));
    let distance = norm(&mut a.iter().zip(b).map(|(a, b)| a - b));
    if scale == 0.0 { 0.0 } else { distance / scale }
}

fn gates() -> impl Strategy<Value = Gate> {
    (0.1_f64..=1.0, any::<bool>())
        .prop_map(|(width, smooth)| if smooth { Gate::RaisedCosine { width } } else { Gate::Quintic { width } })
}

fn synapses(dt: f64) -> impl Strategy<Value = Vec<ScanSynapse>> {
    prop::collection::vec((1.0_f64..40.0, any::<bool>(), any::<bool>(), any::<bool>()), 1..=3).prop_map(move |types| {
        let mut plane = 0..;
        types
            .into_iter()
            .map(|(tau, recurrent, read, natural)| ScanSynapse {
                decay: (-dt / tau).exp(),
                jump: if natural { 1.0 } else { 1.0 / tau },
                weights: if recurrent { plane.next() } else { None },
                read,
            })
            .collect()
    })
}

/// Networks of every kind that the library has, on short runs.
pub fn draws() -> impl Strategy<Value = Draw> {
    let plan =
        (any::<bool>(), 5.0_f64..40.0, gates(), prop::sample::select(vec![0.1, 0.5, 1.0, 3.0]), any::<[bool; 2]>())
            .prop_flat_map(|(nif, tau_v, gate, dt, [record_v, record_charge])| {
                let neuron = if nif { Neuron::Nif } else { Neuron::Qif { tau_v } };
                let plan = move |synapses| ScanPlan {
                    neuron,
                    gate,
                    dt,
                    synapses,
                    record_v,
                    record_charge,
                    check_finite: false,
                    body: Body::Kernel,
                };
                synapses(dt).prop_map(plan)
            });
    // Sizes below, at and above the kernel's lanes, and ones.
    let neurons = prop_oneof![4 => 1_usize..=5, 1 => Just(16_usize), 1 => Just(19_usize)];
    (plan, 1_usize..=3, 1_usize..=12, neurons, any::<u64>(), 0.0_f64..1.5).prop_map(
        |(plan, batch, steps, neurons, seed, pull)| {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            let planes = plan.weight_planes();
            // Charge per step around a fraction of a spike; now and then several spikes in a step.
            let mut current = || {
                let burst = if random.random_bool(0.05) { 3.0 } else { 1.0 };
                burst * (0.15 + 0.35 * normal(&mut random)) / plan.dt
            };
            let drive = (0..batch * steps * neurons).map(|_| current()).collect();
            let coupling = pull * 0.3 / (plan.dt * (neurons as f64).sqrt());
            let weights = (0..planes * neurons * neurons).map(|_| coupling * normal(&mut random)).collect();
            let v0 = (0..batch * neurons).map(|_| random.random_range(0.0..0.999)).collect();
            let s0 = (0..batch * plan.synapses.len() * neurons).map(|_| 0.3 * random.random::<f64>()).collect();
            Draw { plan, batch, steps, neurons, drive, weights, v0, s0, seed }
        },
    )
}

/// A standard normal number.
pub fn normal(random: &mut impl Rng) -> f64 {
    let (a, b): (f64, f64) = (random.random(), random.random());
    (-2.0 * (1.0 - a).ln()).sqrt() * (2.0 * std::f64::consts::PI * b).cos()
}

struct Tensors {
    drive: Tensor<3>,
    weights: Option<Tensor<3>>,
    v0: Tensor<2>,
    s0: Tensor<3>,
}

impl Draw {
    fn tensors(&self, device: &Device, dtype: DType) -> Tensors {
        let Self { batch, steps, neurons, .. } = *self;
        let options = (device, dtype);
        let planes = self.plan.weight_planes();
        let data = |x: &[f64], shape: &[usize]| TensorData::new(x.to_vec(), shape.to_vec());
        Tensors {
            drive: Tensor::from_data(data(&self.drive, &[batch, steps, neurons]), options),
            weights: (planes > 0).then(|| Tensor::from_data(data(&self.weights, &[planes, neurons, neurons]), options)),
            v0: Tensor::from_data(data(&self.v0, &[batch, neurons]), options),
            s0: Tensor::from_data(data(&self.s0, &[batch, self.plan.synapses.len(), neurons]), options),
        }
    }

    fn cost(&self, run: &Run) -> Tensor<1> {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed ^ 0x5eed);
        let mut outputs: Vec<Tensor<1>> = run.traces.iter().map(|trace| trace.clone().flatten(0, 2)).collect();
        outputs.extend(run.v.iter().chain(&run.charge).map(|x| x.clone().flatten(0, 2)));
        outputs.push(run.last_v.clone().flatten(0, 1));
        outputs.push(run.last_s.clone().flatten(0, 2));
        let costs = outputs.into_iter().map(|y| {
            let c: Vec<f64> = (0..y.dims()[0]).map(|_| normal(&mut random)).collect();
            let c = Tensor::<1>::from_data(TensorData::from(c.as_slice()), (&y.device(), y.dtype()));
            ((c + y.clone() * 0.3) * y).sum()
        });
        costs.reduce(|a, b| a + b).expect("a run has a final state")
    }

    /// The op's run in f64, with potentials and charges.
    pub fn run(&self, device: &Device) -> Run {
        let Tensors { drive, weights, v0, s0 } = self.tensors(device, DType::F64);
        let plan = ScanPlan { record_v: true, record_charge: true, ..self.plan.clone() };
        scan(drive, weights, v0, s0, &Arc::new(plan))
    }

    fn differentiate(&self, device: &Device, dtype: DType, run: impl FnOnce(Tensors) -> Run) -> Gradients {
        let Tensors { drive, weights, v0, s0 } = self.tensors(&device.clone().autodiff(), dtype);
        let (drive, v0, s0) = (drive.require_grad(), v0.require_grad(), s0.require_grad());
        let weights = weights.map(Tensor::require_grad);
        let tensors = Tensors { drive: drive.clone(), weights: weights.clone(), v0: v0.clone(), s0: s0.clone() };
        let gradients = self.cost(&run(tensors)).backward();
        let found = |gradient: Option<TensorData>, length: usize| {
            gradient.map_or(vec![0.0; length], |data| data.iter::<f64>().collect())
        };
        Gradients {
            drive: found(drive.grad(&gradients).map(Tensor::into_data), self.drive.len()),
            weights: found(weights.and_then(|w| w.grad(&gradients)).map(Tensor::into_data), self.weights.len()),
            v0: found(v0.grad(&gradients).map(Tensor::into_data), self.v0.len()),
            s0: found(s0.grad(&gradients).map(Tensor::into_data), self.s0.len()),
        }
    }

    /// By the op, run by `body`.
    pub fn by_op(&self, device: &Device, dtype: DType, body: Body) -> Gradients {
        let plan = Arc::new(ScanPlan { body, ..self.plan.clone() });
        self.differentiate(device, dtype, |x| scan(x.drive, x.weights, x.v0, x.s0, &plan))
    }

    /// By Burn's automatic differentiation of the reference.
    pub fn by_reference(&self, device: &Device, dtype: DType) -> Gradients {
        self.differentiate(device, dtype, |x| {
            let drive = |t| x.drive.clone().narrow(1, t, 1).squeeze_dim(1);
            reference::run(self.steps, drive, x.weights, x.v0, x.s0, &self.plan)
        })
    }

    /// By the op in two calls, the second continuing from the first's final state. Needs two steps.
    pub fn by_two_calls(&self, device: &Device) -> Gradients {
        let plan = Arc::new(self.plan.clone());
        let first = self.steps / 2;
        self.differentiate(device, DType::F64, |x| {
            let (early, late) = (x.drive.clone().narrow(1, 0, first), x.drive.narrow(1, first, self.steps - first));
            let one = scan(early, x.weights.clone(), x.v0, x.s0, &plan);
            let two = scan(late, x.weights, one.last_v, one.last_s, &plan);
            let join = |(a, b): (Tensor<3>, Tensor<3>)| Tensor::cat(vec![a, b], 1);
            Run {
                traces: one.traces.into_iter().zip(two.traces).map(join).collect(),
                v: one.v.zip(two.v).map(join),
                charge: one.charge.zip(two.charge).map(join),
                last_v: two.last_v,
                last_s: two.last_s,
            }
        })
    }

    /// By the op's own adjoint, called without Burn's graph and with a plan that need not be the forward run's.
    pub fn by_adjoint_of(&self, device: &Device, adjoint_plan: &ScanPlan) -> Gradients {
        let Tensors { drive, weights, v0, s0 } = self.tensors(device, DType::F64);
        let slot = |tensor: Option<Tensor<3>>| Slot::from(tensor.map(Tensor::into_dispatch));
        let out = Dispatch::spiking_scan(
            drive.into_dispatch(),
            slot(weights.clone()),
            v0.clone().into_dispatch(),
            s0.clone().into_dispatch(),
            Arc::new(self.plan.clone()),
            true,
        );
        let outer = device.clone().autodiff();
        // The outputs become leaves of a graph of their own, which ends in the cost.
        let leaf = |data: TensorData| {
            let values: Vec<f64> = data.iter::<f64>().collect();
            Tensor::<1>::from_data(TensorData::from(values.as_slice()), (&outer, DType::F64)).require_grad()
        };
        let many = |slot: Slot<Dispatch>| slot.into_option().map(|x| leaf(Tensor::<3>::from_dispatch(x).into_data()));
        let read = self.plan.traces_read();
        let packed = out.traces.into_option().map(|x| leaf(Tensor::<4>::from_dispatch(x).into_data()));
        let (v, charge) = (many(out.v), many(out.charge));
        let last_v = leaf(Tensor::<2>::from_dispatch(out.last_v).into_data());
        let last_s = leaf(Tensor::<3>::from_dispatch(out.last_s).into_data());
        let dims = [self.batch, self.steps, self.neurons];
        let shaped = |x: &Tensor<1>| x.clone().reshape(dims);
        let run = Run {
            traces: packed.iter().flat_map(|x| x.clone().chunk(read, 0)).map(|x| x.reshape(dims)).collect(),
            v: v.as_ref().map(shaped),
            charge: charge.as_ref().map(shaped),
            last_v: last_v.clone().reshape([self.batch, self.neurons]),
            last_s: last_s.clone().reshape([self.batch, self.plan.synapses.len(), self.neurons]),
        };
        let gradients = self.cost(&run).backward();
        fn found<const D: usize>(
            leaf: Option<Tensor<1>>,
            gradients: &burn::tensor::Gradients,
            shape: [usize; D],
        ) -> Slot<Dispatch> {
            leaf.and_then(|leaf| leaf.grad(gradients)).map(|g| g.reshape(shape).into_dispatch()).into()
        }
        let [batch, steps, neurons] = dims;
        let synapses = self.plan.synapses.len();
        let inputs = Dispatch::spiking_scan_adjoint(
            ScanTape {
                steps: out.tape.into_option().expect("the tape was asked for"),
                weights: slot(weights),
                v0: v0.into_dispatch(),
                s0: s0.into_dispatch(),
            },
            OutputGradients {
                traces: found(packed, &gradients, [read, batch, steps, neurons]),
                v: found(v, &gradients, dims),
                charge: found(charge, &gradients, dims),
                last_v: found(Some(last_v), &gradients, [batch, neurons]),
                last_s: found(Some(last_s), &gradients, [batch, synapses, neurons]),
            },
            Arc::new(adjoint_plan.clone()),
            Wanted { weights: true, s0: true },
        );
        let list = |x: Tensor<3>| x.into_data().iter::<f64>().collect::<Vec<_>>();
        let slot_list = |x: Slot<Dispatch>| x.into_option().map_or(Vec::new(), |x| list(Tensor::from_dispatch(x)));
        Gradients {
            drive: list(Tensor::from_dispatch(inputs.drive)),
            weights: slot_list(inputs.weights),
            v0: Tensor::<2>::from_dispatch(inputs.v0).into_data().iter::<f64>().collect(),
            s0: slot_list(inputs.s0),
        }
    }

    /// The same draw with every input off by about `share` of itself.
    pub fn jittered(&self, share: f64, seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut draw = self.clone();
        let inputs = [&mut draw.drive, &mut draw.weights, &mut draw.v0, &mut draw.s0];
        for x in inputs.into_iter().flatten() {
            *x *= 1.0 + share * normal(&mut random);
        }
        draw
    }

    /// By central differences of the op's forward run, at h and h/2, extrapolated to 0 (error of order h⁴). `None` where they
    /// say nothing: a spike falls into another step at +h than at −h, or the two differ by more than 1e-4, because the network
    /// magnifies h too much.
    pub fn by_differences(&self, device: &Device, h: f64) -> Option<Gradients> {
        let base = self.run(device);
        let spikes = |run: &Run| -> Vec<f64> { run.v.clone().expect("asked for").into_data().iter::<f64>().collect() };
        let potentials = spikes(&base);
        let plan = Arc::new(ScanPlan { record_v: true, ..self.plan.clone() });
        let cost = |draw: &Draw| -> Option<f64> {
            let Tensors { drive, weights, v0, s0 } = draw.tensors(device, DType::F64);
            let mut run = scan(drive, weights, v0, s0, &plan);
            // A reset moves v by 1; nothing else does within h.
            if spikes(&run).iter().zip(&potentials).any(|(a, b)| (a - b).abs() > 0.5) {
                return None;
            }
            if !self.plan.record_v {
                run.v = None;
            }
            Some(self.cost(&run).into_scalar::<f64>())
        };
        let slopes = |pick: fn(&mut Draw) -> &mut Vec<f64>| -> Option<Vec<f64>> {
            let mut draw = self.clone();
            let pairs: Option<Vec<[f64; 2]>> = (0..pick(&mut draw).len())
                .map(|at| {
                    let x = pick(&mut draw)[at];
                    let mut slope = |h: f64| {
                        pick(&mut draw)[at] = x + h;
                        let up = cost(&draw)?;
                        pick(&mut draw)[at] = x - h;
                        let down = cost(&draw)?;
                        pick(&mut draw)[at] = x;
                        Some((up - down) / (2.0 * h))
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
        Some(Gradients {
            drive: slopes(|draw| &mut draw.drive)?,
            weights: slopes(|draw| &mut draw.weights)?,
            v0: slopes(|draw| &mut draw.v0)?,
            s0: slopes(|draw| &mut draw.s0)?,
        })
    }
}
