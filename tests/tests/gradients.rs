//! Tests of the op's gradient against central differences, against automatic differentiation, and
//! against other ways to run the op.
//!
//! `GRADIENT_DRAWS=n` changes the number of random networks of each test.

use burn::tensor::{DType, Distribution, Tensor};
use burn_spiking::gradcheck::gradcheck;
use burn_spiking::neuron::Flow;
use burn_spiking::number::Number;
use burn_spiking::scan::fallbacks;
use burn_spiking::{Adjoint, Checkpointing, Gate, Implementation, Neuron, NeuronModel, SpikingRnnConfig};
use burn_spiking_tests::{
    Draw, NEAR_ROUNDING, OwnQif, OwnQifFlow, crowds, devices, devices_with_kernel, sample, sample_of, sparse_crowds,
};

#[test]
fn draws_reach_every_case() {
    let device = &devices()[0];
    let (mut back, mut first, mut last, mut several, mut wide) = (0, 0, 0, 0, 0);
    let (mut projected, mut whole, mut read_out) = (0, 0, 0);
    for draw in sample(300) {
        let run = draw.run(device);
        let charge: Vec<f64> = run.charge.expect("asked for").into_data().iter::<f64>().collect();
        let step = |at: usize| (at / draw.neurons) % draw.steps;
        back += charge.iter().any(|q| *q < -1e-3) as usize;
        first += charge.iter().enumerate().any(|(at, q)| step(at) == 0 && *q > 0.5) as usize;
        last += charge.iter().enumerate().any(|(at, q)| step(at) + 1 == draw.steps && *q > 0.5) as usize;
        several += charge.iter().any(|q| *q > 1.5) as usize;
        wide += (draw.plan.gate.width() > 0.9) as usize;
        projected += draw.channels.is_some() as usize;
        whole += draw.channels.is_none() as usize;
        read_out += draw.plan.readout.is_some() as usize;
    }
    for (name, count) in [
        ("falling back", back),
        ("first", first),
        ("last", last),
        ("several spikes", several),
        ("wide", wide),
        ("projected", projected),
        ("whole drive", whole),
        ("readout", read_out),
    ] {
        assert!(count >= 10, "{name}: {count} draws of 300");
    }
}

#[test]
fn op_agrees_with_automatic_differentiation() {
    for device in devices() {
        for (at, draw) in sample(300).enumerate() {
            let distance =
                draw.by_op(&device, DType::F64, Implementation::Fused).distance(&draw.by_oracle(&device, DType::F64));
            assert!(distance <= NEAR_ROUNDING, "draw {at}: {distance:e} for {:?}", draw.plan);
        }
    }
}

#[test]
fn samples_side_by_side_are_what_they_are_alone() {
    let device = &devices()[0];
    let (mut crowded, mut several) = (0, 0);
    for (at, draw) in sample_of(crowds(), 40).enumerate() {
        let distance =
            draw.by_op(device, DType::F64, Implementation::Fused).distance(&draw.by_oracle(device, DType::F64));
        assert!(distance <= NEAR_ROUNDING, "draw {at}: {distance:e} for {:?}", draw.plan);
        let numbers = |draw: &Draw| -> [Vec<f64>; 2] {
            let run = draw.run(device);
            [run.v, run.charge].map(|x| x.expect("asked for").into_data().iter::<f64>().collect())
        };
        let [v, charge] = numbers(&draw);
        let length = draw.steps * draw.neurons;
        for b in 0..draw.batch {
            let here = b * length..(b + 1) * length;
            assert_eq!(numbers(&draw.alone(b)), [&v[here.clone()], &charge[here]], "draw {at}, sample {b}");
        }
        let active = charge.iter().filter(|&&q| q != 0.0).count();
        crowded += (draw.plan.weight_planes() > 0 && 2 * active > charge.len()) as usize;
        several += (draw.plan.weight_planes() > 1) as usize;
    }
    assert!(crowded >= 10 && several >= 5, "{crowded}, {several} draws of 40");
}

/// With narrow gates, the kernel runs QIF neurons in their voltage form.
#[test]
fn charges_of_a_few_neurons_are_what_they_are_among_all() {
    let device = &devices()[0];
    let (mut few, mut two_lists, mut many) = (0, 0, 0);
    for (at, draw) in sample_of(sparse_crowds(), 30).enumerate() {
        let distance =
            draw.by_op(device, DType::F64, Implementation::Fused).distance(&draw.by_oracle(device, DType::F64));
        assert!(distance <= NEAR_ROUNDING, "draw {at}: {distance:e} for {:?}", draw.plan);
        let charge: Vec<f64> = draw.run(device).charge.expect("asked for").into_data().iter::<f64>().collect();
        let senders = charge.chunks(draw.neurons).map(|step| step.iter().filter(|&&q| q != 0.0).count());
        for senders in senders {
            few += (1..=16).contains(&senders) as usize;
            two_lists += (17..=draw.neurons / 4).contains(&senders) as usize;
            many += (senders > draw.neurons / 4) as usize;
        }
    }
    assert!(few >= 10 && two_lists >= 5 && many >= 20, "steps: {few}, {two_lists}, {many}");
}

/// Initial potentials below the reset, which have no voltage of their own, and at the threshold,
/// where the neuron spikes at once.
#[test]
fn neurons_may_start_anywhere() {
    let device = &devices()[0];
    let narrow = |draw: &Draw| matches!(draw.plan.neuron, Neuron::Qif { .. }) && draw.plan.gate.width() < 0.5;
    let mut found = 0;
    for (at, mut draw) in sample(300).filter(narrow).enumerate() {
        for (n, v0) in draw.inputs.v0.iter_mut().enumerate() {
            *v0 = [*v0, 0.0, -0.3, 1.0][(at + n) % 4];
        }
        let distance =
            draw.by_op(device, DType::F64, Implementation::Fused).distance(&draw.by_oracle(device, DType::F64));
        assert!(distance <= NEAR_ROUNDING, "draw {at}: {distance:e} for {:?}", draw.plan);
        // At the reset itself, the voltage is infinite.
        draw.inputs.v0.fill(0.0);
        let distance =
            draw.by_op(device, DType::F64, Implementation::Fused).distance(&draw.by_oracle(device, DType::F64));
        assert!(distance <= NEAR_ROUNDING, "draw {at}, from the reset: {distance:e} for {:?}", draw.plan);
        found += 1;
    }
    assert!(found >= 10, "{found} draws of 300");
}

#[test]
fn op_agrees_with_central_differences() {
    let device = &devices()[0];
    let (mut checked, mut skipped) = (0, 0);
    for (at, draw) in sample(120).enumerate().filter(|(_, draw)| draw.neurons <= 5) {
        let Some(differences) = draw.by_differences(device, 1e-5) else {
            skipped += 1;
            continue;
        };
        checked += 1;
        let distance = draw.by_op(device, DType::F64, Implementation::Fused).distance(&differences);
        assert!(distance <= 1e-6, "draw {at}: {distance:e} for {:?}", draw.plan);
    }
    println!("{checked} draws checked, {skipped} skipped: a spike changed its step, or h was magnified too much");
    assert!(skipped * 10 <= checked, "{skipped} of {} draws skipped", checked + skipped);
}

#[test]
fn kernel_and_tensor_operations_agree() {
    let (mut known, mut all) = (0, 0);
    for device in devices_with_kernel() {
        for (at, draw) in sample(150).enumerate() {
            let kernel = draw.by_op(&device, DType::F64, Implementation::Fused);
            let distance = kernel.distance(&draw.by_op(&device, DType::F64, Implementation::TensorOps));
            assert!(distance <= NEAR_ROUNDING, "draw {at}: {distance:e} for {:?}", draw.plan);
            (known, all) = (known + draw.has_kernel() as usize, all + 1);
        }
    }
    // Otherwise, most draws would compare tensor operations with themselves.
    assert!(2 * known > all, "the kernel knows {known} of {all} draws");
    let without: Vec<_> =
        fallbacks().into_iter().filter(|reason| !reason.contains("a gate width of each neuron")).collect();
    assert_eq!(without, Vec::<String>::new());
}

#[test]
fn a_run_without_its_kernel_is_told_once() {
    let draws: Vec<Draw> = sample(300).filter(|draw| !draw.has_kernel()).collect();
    let [first, second, ..] = &draws[..] else { panic!("{} such draws; GRADIENT_DRAWS wants more", draws.len()) };
    for draw in [first, second, first] {
        draw.run(&devices()[0]);
    }
    let of_widths = |reason: &String| reason.contains("a gate width of each neuron");
    let reasons: Vec<_> = fallbacks().into_iter().filter(of_widths).collect();
    let names: Vec<_> = reasons.iter().filter(|reason| reason.contains(&first.plan.neuron.to_string())).collect();
    assert_eq!(names.len(), 1, "{reasons:?}");
}

#[test]
fn gradients_do_not_depend_on_what_is_kept() {
    let device = &devices()[0];
    for (at, draw) in sample(150).enumerate() {
        // A second run of a segment starts from the stored currents, so these gradients must not
        // differ at all.
        let kept = draw.by_op_keeping(device, Checkpointing::Currents);
        let ways = [Checkpointing::Auto, Checkpointing::States, Checkpointing::Every(2), Checkpointing::Every(1000)];
        for checkpoint in ways {
            let again = draw.by_op_keeping(device, checkpoint);
            assert_eq!(kept.drive, again.drive, "draw {at}, {checkpoint:?}");
            assert_eq!(kept.v0, again.v0, "draw {at}, {checkpoint:?}");
            // The sums over steps are divided at other steps, so they differ by rounding.
            assert!(kept.distance(&again) <= NEAR_ROUNDING, "draw {at}, {checkpoint:?}");
        }
    }
}

#[cfg(all(feature = "flex", feature = "ndarray"))]
#[test]
fn backends_agree_to_the_last_bit() {
    for draw in sample(100).filter(Draw::has_kernel) {
        let found: Vec<_> =
            devices().iter().map(|device| draw.by_op(device, DType::F64, Implementation::Fused)).collect();
        let [flex, ndarray] = found.as_slice() else { panic!("two devices") };
        assert_eq!(flex.drive, ndarray.drive);
        assert_eq!(flex.v0, ndarray.v0);
        // For the gradients of W and s_0, each backend computes products and sums of the cost
        // itself, so they may differ by rounding.
        assert!(flex.distance(ndarray) <= 1e-14);
    }
}

#[test]
fn single_precision_agrees_with_double_and_with_automatic_differentiation() {
    for device in devices() {
        for (at, draw) in sample(150).enumerate() {
            let double = draw.by_op(&device, DType::F64, Implementation::Fused);
            let single = draw.by_op(&device, DType::F32, Implementation::Fused);
            let distance = single.distance(&double).max(single.distance(&draw.by_oracle(&device, DType::F32)));
            // A network magnifies rounding errors by its own sensitivity, which is measured here in
            // double precision.
            let off_by_rounding = (0..16)
                .map(|seed| draw.jittered(f32::EPSILON as f64, seed).by_op(&device, DType::F64, Implementation::Fused))
                .map(|jittered| jittered.distance(&double))
                .fold(0.0, f64::max);
            let allowed = 1e-6 + 20.0 * off_by_rounding;
            assert!(distance <= allowed, "draw {at}: {distance:e}, allowed {allowed:e}, for {:?}", draw.plan);
        }
    }
}

#[test]
fn two_calls_are_one() {
    for device in devices() {
        for (at, draw) in sample(150).enumerate().filter(|(_, draw)| draw.steps >= 2) {
            let one = draw.by_op(&device, DType::F64, Implementation::Fused);
            let distance = one.distance(&draw.by_two_calls(&device));
            assert!(distance <= NEAR_ROUNDING, "draw {at}: {distance:e} for {:?}", draw.plan);
        }
    }
}

/// A restrained adjoint is not the exact gradient, so the test compares the kernel only with tensor
/// operations. It also checks that limits without effect leave the gradient exact, and that a limit
/// bounds the gradient of every sample.
#[test]
fn restrained_adjoints_agree_with_tensor_operations() {
    let device = &devices()[0];
    let mut limited = 0;
    for (at, draw) in sample(150).enumerate() {
        let by = |limit: Option<f64>, keep: f64, implementation: Implementation| {
            let adjoint = Adjoint::Limited { limit, keep };
            let plan = burn_spiking::scan::ScanPlan { adjoint, ..draw.plan.clone() };
            Draw { plan, ..draw.clone() }.by_op(device, DType::F64, implementation)
        };
        let exact = draw.by_op(device, DType::F64, Implementation::Fused);
        assert_eq!(exact, by(None, 1.0, Implementation::Fused), "draw {at}");
        assert_eq!(exact, by(Some(1e300), 1.0, Implementation::Fused), "draw {at}");
        let limit = 0.5 * (draw.batch * draw.steps) as f64;
        let kernel = by(Some(limit), 0.9, Implementation::Fused);
        let distance = kernel.distance(&by(Some(limit), 0.9, Implementation::TensorOps));
        assert!(distance <= NEAR_ROUNDING, "draw {at}: {distance:e} for {:?}", draw.plan);
        for v0 in kernel.v0.chunks(draw.neurons) {
            let norm = v0.iter().map(|x| x * x).sum::<f64>().sqrt();
            assert!(norm <= 0.45 * (1.0 + 1e-12), "draw {at}: {norm}");
        }
        limited += (kernel.distance(&exact) > 0.1) as usize;
    }
    assert!(limited >= 100, "{limited} draws of 150");
}

/// User-defined flows run in the same programs as built-in flows: in the kernel, which is compiled
/// with the flow, and in tensor operations, which run a recording of the flow. So the draws must
/// contain user-defined neurons.
#[test]
fn own_neurons_run_on_every_program() {
    let neurons: Vec<String> = sample(60).map(|draw| draw.plan.neuron.to_string()).collect();
    assert!(neurons.iter().filter(|name| name.starts_with("theta neuron")).count() >= 5, "{neurons:?}");
}

/// A neuron whose slope ∂φ/∂I is wrong by a thousandth.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Wrong(OwnQif);

#[derive(Debug, Clone, Copy)]
struct WrongFlow(OwnQifFlow);

impl NeuronModel for Wrong {
    type Flow = WrongFlow;

    fn over(&self, dt: f64) -> WrongFlow {
        WrongFlow(self.0.over(dt))
    }
}

impl Flow for WrongFlow {
    fn phi<X: Number>(&self, v: X, i: X) -> X {
        self.0.phi(v, i)
    }

    fn slopes<X: Number>(&self, v: X, i: X) -> (X, X) {
        let (dv, di) = self.0.slopes(v, i);
        (dv, di.times(1.001))
    }
}

#[test]
fn gradient_check_passes_what_is_right_and_names_what_is_wrong() {
    let options = (&devices()[0], DType::F64);
    let input = Tensor::<3>::random([2, 8, 2], Distribution::Normal(0.0, 2.0), options);
    let layer = |neuron| SpikingRnnConfig::new(2, 4).with_neuron(neuron).init(options).unwrap();
    let right = gradcheck(&layer(Neuron::own(OwnQif { tau_mem: 20.0 })), input.clone(), None, 3);
    right.check(1e-9, 1e-6).unwrap();
    assert!(right.differences.len() == 6 && right.worst().1.is_some(), "{right:?}");
    let wrong = gradcheck(&layer(Neuron::own(Wrong(OwnQif { tau_mem: 20.0 }))), input, None, 3);
    let message = wrong.check(1e-9, 1e-6).unwrap_err().to_string();
    assert!(message.contains("gradient of input_weight") && message.contains("automatic differentiation"), "{message}");
    let central = wrong.differences.iter().filter_map(|found| found.central).fold(0.0, f64::max);
    assert!(central > 1e-4, "{central:e}");
}

/// Tests the comparison itself: it must detect the adjoint of a slightly different system.
#[test]
fn planted_errors_are_caught() {
    let device = &devices()[0];
    let (mut wrong_gate, mut wrong_decay, mut wrong_step, mut draws) = (0, 0, 0, 0);
    // Whether a network sends fractional charges, not only whole spikes, so that its gate matters.
    let felt = |draw: &Draw| {
        let charge: Vec<f64> = draw.run(device).charge.expect("asked for").into_data().iter::<f64>().collect();
        charge.iter().any(|q| q.fract() != 0.0)
    };
    for draw in sample(60).filter(|draw| draw.steps >= 4 && draw.plan.weight_planes() > 0 && felt(draw)) {
        let truth = draw.by_oracle(device, DType::F64);
        let right = draw.by_adjoint_of(device, &draw.plan);
        assert!(right.distance(&truth) <= NEAR_ROUNDING);
        let misses = |change: &dyn Fn(&mut burn_spiking::scan::ScanPlan)| {
            let mut plan = draw.plan.clone();
            change(&mut plan);
            (draw.by_adjoint_of(device, &plan).distance(&truth) > 1e3 * NEAR_ROUNDING) as usize
        };
        draws += 1;
        wrong_gate += misses(&|plan| {
            plan.gate = match plan.gate {
                Gate::Quintic { width } => Gate::RaisedCosine { width },
                _ => Gate::Quintic { width: plan.gate.width() },
            }
        });
        // Changes all types, because a type that is neither read out nor connected affects only the
        // last state.
        wrong_decay += misses(&|plan| plan.synapses.iter_mut().for_each(|synapse| synapse.decay *= 0.9999));
        wrong_step += misses(&|plan| plan.dt *= 1.0001);
    }
    assert!(draws >= 20, "{draws}");
    assert_eq!([wrong_gate, wrong_decay, wrong_step], [draws; 3]);
}
