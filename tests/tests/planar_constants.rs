//! Learned constants of neurons with two variables: τ_mem, τ_w or the frequency, and b, against
//! gradients that an independent program computed (`tests/golden/constants.py`), and in use.
//!
//! The randomised checks are those of `gradients.rs` and `networks.rs`.

use burn::module::Param;
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{DType, Distribution, Tensor, TensorData};
use burn_spiking::neuron::{AdEx, Alif, Izhikevich, ResonateAndFire};
use burn_spiking::{
    Gate, Implementation, InitialWeights, Learn, Learned, Neuron, SpikingRnn, SpikingRnnConfig, SpikingState, Synapse,
};
use burn_spiking_tests::{devices, numbers};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

/// A network of three neurons with constants of their own, and the gradients of its cost.
#[derive(Deserialize)]
struct Golden {
    name: String,
    weights: [[f64; 3]; 3],
    drive: [f64; 3],
    start: [f64; 3],
    cost: f64,
    tau_mem: [f64; 3],
    second: [f64; 3],
    b: [f64; 3],
    d_tau_mem: [f64; 3],
    d_second: [f64; 3],
    d_b: [f64; 3],
}

const STEPS: usize = 60;
const DT: f64 = 0.5;

fn golden() -> Vec<Golden> {
    serde_json::from_str(include_str!("../golden/constants.json")).unwrap()
}

/// All constants of the neurons, each neuron's own.
fn of_each(frequency: bool) -> Learned {
    let (tau_w, frequency) = if frequency { (Learn::No, Learn::PerNeuron) } else { (Learn::PerNeuron, Learn::No) };
    Learned { tau_mem: Learn::PerNeuron, tau_w, frequency, jump: Learn::PerNeuron, ..Learned::default() }
}

impl Golden {
    fn tensor<const D: usize>(numbers: &[f64], shape: [usize; D]) -> Tensor<D> {
        Tensor::from_data(TensorData::new(numbers.to_vec(), shape), (&devices()[0].clone().autodiff(), DType::F64))
    }

    fn layer(&self) -> SpikingRnn {
        let neuron = match self.name.as_str() {
            "ALIF" => Neuron::Alif(Alif::new(12.0, 60.0, 0.3)),
            "resonate-and-fire" => Neuron::ResonateAndFire(ResonateAndFire::new(20.0, 25.0)),
            "AdEx" => Neuron::AdEx(AdEx {
                tau_mem: 12.0,
                delta: 0.15,
                onset: 0.7,
                rest: -0.1,
                tau_w: 50.0,
                a: 0.2,
                b: 0.25,
                substeps: 1,
            }),
            other => panic!("no neuron is called {other}"),
        };
        let oscillates = matches!(neuron, Neuron::ResonateAndFire(_));
        let config = SpikingRnnConfig::new(3, 3)
            .with_neuron(neuron)
            .with_gate(Gate::Quintic { width: 0.7 })
            .with_synapses(vec![Synapse::new(6.0)])
            .with_dt(DT)
            .with_autapses(true)
            .with_bias(false)
            .with_learned(of_each(oscillates));
        let mut layer = config.init((&devices()[0].clone().autodiff(), DType::F64)).unwrap();
        let eye: Vec<f64> = (0..9).map(|at| (at % 4 == 0) as usize as f64).collect();
        layer.input_weight = Param::from_tensor(Self::tensor(&eye, [3, 3]));
        layer.recurrent_weights = vec![Param::from_tensor(Self::tensor(self.weights.as_flattened(), [3, 3]))];
        let layer = layer.with_tau_mem(&self.tau_mem).unwrap().with_jumps(&self.b).unwrap();
        if oscillates { layer.with_frequencies(&self.second) } else { layer.with_tau_w(&self.second) }.unwrap()
    }

    fn input(&self) -> Tensor<3> {
        let at = |t: usize, j: usize| self.drive[j] * (1.0 + 0.5 * (0.31 * t as f64 + j as f64).sin());
        let input: Vec<f64> = (0..STEPS).flat_map(|t| (0..3).map(move |j| at(t, j))).collect();
        Self::tensor(&input, [1, STEPS, 3])
    }

    /// The cost, and its gradients with respect to τ_mem, the second constant and b.
    fn by_layer(&self, layer: &SpikingRnn) -> (f64, [Vec<f64>; 3]) {
        let weigh = |t: usize, j: usize| (1.0 + 0.7 * t as f64 + 1.3 * j as f64).sin();
        let weights: Vec<f64> = (0..STEPS).flat_map(|t| (0..3).map(move |j| weigh(t, j))).collect();
        let state: SpikingState = layer.state_from_potential(Self::tensor(&self.start, [1, 3]));
        let trace = layer.forward(self.input(), Some(state)).0.trace();
        let cost = (trace * Self::tensor(&weights, [1, STEPS, 3])).sum();
        let gradients = cost.backward();
        let constants = layer.constants.as_ref().unwrap();
        // ∂C/∂x from ∂C/∂ln x.
        let of_log = |param: Option<&Param<Tensor<1>>>| {
            let param = param.expect("learned");
            numbers(param.grad(&gradients).expect("tracked") / param.val().exp().inner())
        };
        let second = constants.log_tau_w.as_ref().or(constants.log_frequency.as_ref());
        let jump = constants.jump.as_ref().expect("learned");
        let found =
            [of_log(constants.log_tau_mem.as_ref()), of_log(second), numbers(jump.grad(&gradients).expect("tracked"))];
        (numbers(cost)[0], found)
    }

    /// The largest difference of the layer's gradients from the golden ones, relative to the
    /// largest gradient of each kind.
    fn difference(&self, layer: &SpikingRnn) -> f64 {
        let (cost, found) = self.by_layer(layer);
        assert!((cost - self.cost).abs() < 1e-9, "{}: cost {cost}, not {}", self.name, self.cost);
        let wanted = [&self.d_tau_mem, &self.d_second, &self.d_b];
        let worst = found.iter().zip(wanted).map(|(found, wanted)| {
            let largest = wanted.iter().map(|x| x.abs()).fold(0.0, f64::max);
            found.iter().zip(wanted).map(|(a, b)| (a - b).abs() / largest).fold(0.0, f64::max)
        });
        worst.fold(0.0, f64::max)
    }
}

#[test]
fn gradients_are_those_of_an_independent_program() {
    for golden in golden() {
        let layer = golden.layer();
        for implementation in [Implementation::Fused, Implementation::TensorOps, Implementation::Autodiff] {
            let difference = golden.difference(&layer.clone().with_implementation(implementation));
            assert!(difference < 1e-7, "{}, {implementation:?}: {difference:e}", golden.name);
        }
    }
}

/// A gradient that leaves out what passes through one crossing is far beyond the tolerance.
#[test]
fn a_wrong_gradient_would_be_noticed() {
    for mut golden in golden() {
        let layer = golden.layer();
        golden.d_b[1] *= 1.0 + 1e-4;
        assert!(golden.difference(&layer) > 1e-6, "{}", golden.name);
    }
}

/// A neuron with constants of its own is the neuron that has them alone.
#[test]
fn neurons_with_constants_of_their_own_are_what_they_are_alone() {
    let (taus, slow, rises) =
        ([8.0, 12.0, 20.0, 30.0, 45.0], [30.0, 60.0, 90.0, 150.0, 400.0], [0.1, 0.2, 0.3, 0.0, -0.1]);
    let none = InitialWeights { input: 3.0, recurrent: 0.0, bias: 2.5 };
    for device in devices() {
        let options = (&device, DType::F64);
        let input = Tensor::<3>::random([2, 80, 2], Distribution::Uniform(0.0, 1.0), options);
        for substeps in [1, 3] {
            let config = |neuron| {
                SpikingRnnConfig::new(2, 5)
                    .with_neuron(Neuron::Alif(Alif { substeps, ..neuron }))
                    .with_initial(Some(none))
            };
            let together = config(Alif::new(20.0, 100.0, 0.2)).with_learned(of_each(false)).init(options).unwrap();
            let together = together.with_tau_mem(&taus).unwrap().with_tau_w(&slow).unwrap().with_jumps(&rises).unwrap();
            let found = numbers(together.forward(input.clone(), None).0.trace());
            for j in 0..5 {
                let mut alone = config(Alif::new(taus[j], slow[j], rises[j])).init(options).unwrap();
                (alone.input_weight, alone.bias) = (together.input_weight.clone(), together.bias.clone());
                let wanted = numbers(alone.forward(input.clone(), None).0.trace());
                for (at, (a, b)) in found.iter().zip(&wanted).enumerate().filter(|(at, _)| at % 5 == j) {
                    assert!((a - b).abs() < 1e-9, "neuron {j} at {at}: {a}, not {b}");
                }
            }
        }
    }
}

#[test]
fn constants_are_learned_from_a_teacher() {
    let device = devices()[0].clone().autodiff();
    let with = |neuron: Alif| {
        let none = InitialWeights { input: 3.0, recurrent: 0.0, bias: 2.0 };
        SpikingRnnConfig::new(2, 6)
            .with_initial(Some(none))
            .with_neuron(Neuron::Alif(neuron))
            .with_gate(Gate::Quintic { width: 1.0 })
            .with_synapses(vec![Synapse::readout_only(20.0)])
    };
    let mut teacher = with(Alif::new(15.0, 30.0, 0.4)).init((&device, DType::F64)).unwrap();
    let weights = [1.5, -0.5, 2.0, 0.5, 1.0, 2.5, 0.5, 2.0, -1.0, 1.5, 1.0, -0.5];
    teacher.input_weight = Param::from_tensor(Golden::tensor(&weights, [2, 6]));
    let learned = Learned { tau_mem: Learn::Shared, tau_w: Learn::Shared, jump: Learn::Shared, ..Learned::default() };
    let mut student = with(Alif::new(12.0, 45.0, 0.2)).with_learned(learned).init((&device, DType::F64)).unwrap();
    student.input_weight = teacher.input_weight.clone().set_require_grad(false);
    student.bias = teacher.bias.clone().map(|bias| bias.set_require_grad(false));
    let mut optimizer = AdamConfig::new().init();
    let mut random = ChaCha8Rng::seed_from_u64(5);
    for iteration in 0..200 {
        // The input changes every 20 steps, so that thresholds rise and fall.
        let wave: Vec<f64> = (0..8 * 6 * 2).map(|_| random.random_range(-1.0..1.5)).collect();
        let wave = Tensor::<3>::from_data(TensorData::new(wave, [8, 6, 2]), (&device, DType::F64));
        let input = wave.repeat_dim(2, 20).reshape([8, 120, 2]);
        let wanted = teacher.forward(input.clone(), None).0.trace().detach();
        let cost = (student.forward(input, None).0.trace() - wanted).square().mean();
        let gradients = GradientsParams::from_grads(cost.backward(), &student);
        student = optimizer.step(0.12 * (1.0 - iteration as f64 / 200.0), student, gradients);
    }
    let constants = student.constants.as_ref().unwrap();
    let only = |param: &Option<Param<Tensor<1>>>| numbers(param.as_ref().expect("learned").val())[0];
    let found = [only(&constants.log_tau_mem).exp(), only(&constants.log_tau_w).exp(), only(&constants.jump)];
    for (found, wanted) in found.into_iter().zip([15.0, 30.0, 0.4]) {
        println!("{found}, {wanted} of the teacher");
        assert!((found / wanted - 1.0).abs() < 0.05, "{found}, not {wanted}");
    }
}

#[test]
fn constants_are_recorded() {
    let device = &devices()[0];
    let config = SpikingRnnConfig::new(2, 4)
        .with_neuron(Neuron::Izhikevich(Izhikevich::regular_spiking(4)))
        .with_learned(Learned { tau_w: Learn::PerNeuron, jump: Learn::Shared, ..Learned::default() });
    let layer = config.init((device, DType::F64)).unwrap().with_tau_w(&[20.0, 40.0, 60.0, 80.0]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("layer");
    layer.save(&path).unwrap();
    let again = config.init((device, DType::F64)).unwrap().load(&path).unwrap();
    let input = Tensor::<3>::random([2, 40, 2], Distribution::Uniform(0.0, 20.0), (device, DType::F64));
    let run = |layer: &SpikingRnn| numbers(layer.forward(input.clone(), None).0.trace());
    assert_eq!(run(&layer), run(&again));
    let other = config.with_learned(Learned { tau_w: Learn::PerNeuron, ..Learned::default() });
    let message = other.init((device, DType::F64)).unwrap().load(&path).unwrap_err().to_string();
    assert!(message.contains("tau_w of each neuron, jump"), "{message}");
}
