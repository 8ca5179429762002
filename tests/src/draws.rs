//! Random networks.

use crate::{Draw, OwnQif, Values};
use burn_spiking::neuron::{AdEx, Alif, Eif, Izhikevich, RefractoryLif, ResonateAndFire};
use burn_spiking::scan::{PerNeuronConstants, ScanConnections, ScanPlan, ScanSynapse};
use burn_spiking::{Adjoint, Checkpointing, Gate, Implementation, Neuron};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;

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
    // Three in seven connect the neurons, two each neuron to itself, two none.
    prop::collection::vec((1.0_f64..40.0, 0_usize..7, any::<[bool; 2]>(), delay), 1..=3).prop_map(move |types| {
        let (mut plane, mut self_row) = (0.., 0..);
        types
            .into_iter()
            .map(|(tau, connected, [readout, natural], delay)| {
                let connections = match connected {
                    0..3 => ScanConnections::Plane(plane.next().unwrap_or_default()),
                    3..5 => ScanConnections::SelfRow(self_row.next().unwrap_or_default()),
                    _ => ScanConnections::None,
                };
                ScanSynapse {
                    decay: (-dt / tau).exp(),
                    amplitude: if natural { 1.0 } else { 1.0 / tau },
                    connections,
                    readout,
                    delay: if connections == ScanConnections::None { 0 } else { delay },
                }
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
    // Neurons of two variables take most of the time, so they are fewer.
    let model = prop_oneof![7 => 0_usize..5, 1 => 5_usize..10];
    let plan = (model, 5.0_f64..40.0, gates, prop::sample::select(vec![0.1, 0.5, 1.0, 3.0]), options).prop_flat_map(
        |(model, tau_mem, gate, dt, ([record_v, record_charge, constants, each], checkpointing, readout))| {
            let neuron = match model {
                0 => Neuron::Nif,
                1 => Neuron::Lif { tau_mem },
                2 => Neuron::Qif { tau_mem },
                3 => Neuron::Eif(Eif { tau_mem, delta: 0.15, onset: 0.7, substeps: if dt > 0.5 { 3 } else { 1 } }),
                4 => Neuron::own(OwnQif { tau_mem }),
                planar => planar_neuron(planar - 5, tau_mem, dt),
            };
            let plan = move |synapses: Vec<ScanSynapse>| ScanPlan {
                neuron: neuron.clone(),
                gate,
                dt,
                readout: readout.map(|at| at.index(synapses.len())),
                synapses,
                record_v,
                record_charge,
                record_w: false,
                check_finite: false,
                panic_if_not_finite: true,
                non_finite_gradient: Default::default(),
                checkpointing,
                adjoint: Adjoint::Exact,
                rates: None,
                // Filled in below, when the number of neurons is known.
                per_neuron: each.then(Arc::default),
                constants,
                planar_constants: false,
                implementation: Implementation::Fused,
            };
            synapses(dt).prop_map(plan)
        },
    );
    let ends = (prop::option::of(1_usize..=3), any::<bool>(), 1_usize..=3);
    (plan, batch, steps, neurons, ends, any::<u64>(), 0.0_f64..1.5).prop_map(
        |(mut plan, batch, steps, neurons, (channels, bias, outputs), seed, pull)| {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            // Three in four networks of planar neurons have numbers as their constants.
            plan.planar_constants = plan.neuron.is_planar() && seed % 4 != 0;
            plan.record_w = plan.neuron.is_planar() && seed % 3 != 0;
            let (second, jump) = (plan.neuron.second_constant().map_or(1.0, |(_, value)| value), plan.neuron.jump());
            if plan.per_neuron.is_some() {
                let mut around = |middle: f64| -> Vec<f64> {
                    (0..neurons).map(|_| middle * random.random_range(0.6..1.6)).collect()
                };
                let tau_mem = around(plan.neuron.tau().unwrap_or(1.0));
                let width = around(plan.gate.width()).into_iter().map(|width| width.min(1.0)).collect();
                let planar = |numbers| if plan.planar_constants { numbers } else { Vec::new() };
                let (second, jump) = (planar(around(second)), planar(around(jump.unwrap_or(0.0))));
                let known = plan.planar_constants || (plan.neuron.learns_tau() && !plan.neuron.is_planar());
                let tau_mem = if known { tau_mem } else { Vec::new() };
                plan.per_neuron = Some(Arc::new(PerNeuronConstants { tau_mem, width, second, jump }));
            }
            let (planes, self_rows) = (plan.weight_planes(), plan.self_weight_rows());
            let outputs = if plan.readout.is_some() { outputs } else { 0 };
            let mut normals = |count: usize, mean: f64, spread: f64| -> Vec<f64> {
                (0..count).map(|_| mean + spread * normal(&mut random)).collect()
            };
            // Explicit rules get weaker currents: if currents cause whole spikes in one step, an
            // explicit rule magnifies rounding errors by orders of magnitude per step.
            let explicit = matches!(plan.neuron, Neuron::Eif(_) | Neuron::Own(_) | Neuron::AdEx(_));
            let calm = match plan.neuron {
                Neuron::Izhikevich(_) => 0.1,
                _ if explicit => 0.2,
                _ => 1.0,
            };
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
            let self_weights = normals(self_rows * neurons, 0.0, coupling * (neurons as f64).sqrt());
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
                let planar = plan.planar_constants.then(|| {
                    let second = of(each.map(|each| &each.second), second);
                    second.into_iter().chain(of(each.map(|each| &each.jump), jump.unwrap_or(0.0)))
                });
                let decays = plan.synapses.iter().map(|synapse| synapse.decay);
                tau_mem.into_iter().chain(width).chain(planar.into_iter().flatten()).chain(decays).collect()
            } else {
                Vec::new()
            };
            let inputs = Values { drive, projection, bias, weights, self_weights, v0, s0, readout, constants };
            Draw { plan, batch, steps, neurons, channels, outputs, inputs, seed }
        },
    )
}

/// Those networks whose neurons have one variable, and so kernels on a GPU and an f-I curve.
pub fn of_one_variable(networks: impl Strategy<Value = Draw>) -> impl Strategy<Value = Draw> {
    networks.prop_filter("neurons with one variable", |draw| !draw.plan.neuron.is_planar())
}

/// One of the five neurons with two variables. Explicit rules get so many sub-steps that each is at
/// most 1/2 ms.
pub fn planar_neuron(which: usize, tau_mem: f64, dt: f64) -> Neuron {
    let substeps = (2.0 * dt).ceil() as usize;
    match which {
        0 => Neuron::Alif(Alif { substeps: 2, ..Alif::new(tau_mem, 3.0 * tau_mem, 0.3) }),
        1 => Neuron::ResonateAndFire(ResonateAndFire { b: 0.1, ..ResonateAndFire::new(tau_mem, 12.0) }),
        2 => Neuron::RefractoryLif(RefractoryLif::new(tau_mem, 1.7 * dt)),
        3 => Neuron::AdEx(AdEx { tau_mem, delta: 0.15, onset: 0.7, rest: 0.0, tau_w: 40.0, a: 0.2, b: 0.2, substeps }),
        _ => Neuron::Izhikevich(Izhikevich::regular_spiking(substeps)),
    }
}

/// Draws a standard normal number.
pub fn normal(random: &mut impl Rng) -> f64 {
    let (a, b): (f64, f64) = (random.random(), random.random());
    (-2.0 * (1.0 - a).ln()).sqrt() * (2.0 * std::f64::consts::PI * b).cos()
}
