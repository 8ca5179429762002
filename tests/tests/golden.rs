//! Comparisons with numbers from outside this code: short runs calculated by hand, and networks run
//! and differentiated by JAX (`tests/golden/golden.py` wrote the files in its folder).

use burn::module::Param;
use burn::tensor::{DType, Tensor, TensorData};
use burn_spiking::neuron::Eif;
use burn_spiking::{Adjoint, Gate, Neuron, SpikingRnn, SpikingRnnConfig, SpikingState, Surrogate, Synapse};
use burn_spiking_tests::{devices, numbers};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The largest difference, relative to the largest expected number.
fn distance(found: &[f64], wanted: &[f64]) -> f64 {
    assert_eq!(found.len(), wanted.len());
    let largest = wanted.iter().fold(0.0_f64, |largest, x| largest.max(x.abs()));
    found.iter().zip(wanted).fold(0.0_f64, |worst, (x, y)| worst.max((x - y).abs())) / largest
}

fn assert_close(name: &str, found: &[f64], wanted: &[f64]) {
    let distance = distance(found, wanted);
    assert!(distance <= 1e-12, "{name}: {found:?}, but {wanted:?} by hand; they differ by {distance:e}");
}

/// The results of one neuron over three steps under a constant current, from v0. The neuron has no
/// synapse onto itself. Its input is its current in 1/ms.
struct ByHand {
    v: Vec<f64>,
    charge: Vec<f64>,
    trace: Vec<f64>,
    /// ∂s_3/∂v_0, and ∂s_3/∂I_t for the three steps.
    of_trace: Vec<f64>,
    /// ∂v_3/∂v_0, and ∂v_3/∂I_t for the three steps.
    of_v: Vec<f64>,
}

fn three_steps(neuron: Neuron, dt: f64, tau_syn: f64, width: f64, v0: f64, current: f64) -> Vec<ByHand> {
    let run = |device: burn::tensor::Device| {
        let device = device.autodiff();
        let config = SpikingRnnConfig::new(1, 1)
            .with_neuron(neuron.clone())
            .with_gate(Gate::Quintic { width })
            .with_synapses(vec![Synapse::new(tau_syn)])
            .with_dt(dt)
            .with_bias(false)
            .with_record_v(true)
            .with_record_charge(true);
        let options = (&device, DType::F64);
        let mut layer = config.init(options).unwrap();
        layer.input_weight = Param::from_tensor(Tensor::full([1, 1], config.time_unit_ms(), options));
        // A graph can be differentiated only once.
        let differentiated = |of_v: bool| {
            let input = Tensor::<3>::full([1, 3, 1], current, options).require_grad();
            let start = Tensor::<2>::full([1, 1], v0, options).require_grad();
            let (run, last) = layer.forward(input.clone(), Some(layer.state_from_potential(start.clone())));
            let cost = if of_v { last.v.sum() } else { run.traces[0].clone().narrow(1, 2, 1).sum() };
            let gradients = cost.backward();
            (run, [numbers(start.grad(&gradients).unwrap()), numbers(input.grad(&gradients).unwrap())].concat())
        };
        let (run, of_trace) = differentiated(false);
        let (_, of_v) = differentiated(true);
        ByHand {
            v: numbers(run.v.clone().unwrap()),
            charge: numbers(run.charge.clone().unwrap()),
            trace: numbers(run.traces[0].clone()),
            of_trace,
            of_v,
        }
    };
    devices().into_iter().map(run).collect()
}

/// NIF, dt 1 ms, I = 0.4/ms, gate of width 1/2, τ 10 ms, v_0 = 0.5. The potential rises by 0.4 per
/// step.
///
/// ```text
/// v         0.5      0.9              1.3 -> 0.3      0.7
/// u         0        0.8              0               0.4          (v − 1/2)/(1/2), at least 0
/// G         0        0.512 · 1.84     0               0.064 · 4.96     u³ (10 − 15 u + 6 u²)
///           0        0.94208          0               0.31744
/// ΔQ                 0.94208          1 − 0.94208     0.31744
/// g         0        1.536            0               3.456            30 u² (1 − u)²/(1/2)
///
/// s_3 = a² (G_1 − G_0) + a (1 + G_2 − G_1) + G_3 − G_2,  a = e^(−1/10)
/// ∂s_3/∂v_0 = g_1 (a² − a) + g_3, since ∂v_t/∂v_0 = 1
/// ∂s_3/∂I_0 is the same, since ∂v_t/∂I_0 = 1 ms; ∂s_3/∂I_1 = ∂s_3/∂I_2 = g_3
/// ```
#[test]
fn nif_by_hand() {
    let a = 0.904_837_418_035_959_6; // e^(−1/10)
    let s = [0.94208, a * 0.94208 + 0.05792, a * a * 0.94208 + a * 0.05792 + 0.31744];
    let first = 1.536 * (a * a - a) + 3.456;
    for found in three_steps(Neuron::Nif, 1.0, 10.0, 0.5, 0.5, 0.4) {
        assert_close("v", &found.v, &[0.9, 0.3, 0.7]);
        assert_close("charge", &found.charge, &[0.94208, 0.05792, 0.31744]);
        assert_close("trace", &found.trace, &s);
        assert_close("of the trace", &found.of_trace, &[first, first, 3.456, 3.456]);
        assert_close("of v", &found.of_v, &[1.0, 1.0, 1.0, 1.0]);
    }
}

/// LIF, τ_mem 10 ms, dt 2 ms, τ_mem I = 2, v_0 = 1/2. Without a threshold, v = 2 − 1.5 e^(−t/10):
/// 0.772 after 2 ms, 0.9945 after 4 ms. The potential reaches the threshold at t* = 10 ln 1.5 =
/// 4.055 ms. After that, v = 2 − 2 e^(−(t − t*)/10) = 2 − 2 · 1.5 e^(−t/10).
///
/// ```text
/// v_3 = 2 − 3 e^(−0.6)
/// e^(t*/10) = 2 − v_0, so v_3 = 2 − 2 (2 − v_0) e^(−0.6)
///     and ∂v_3/∂v_0 = 2 e^(−0.6): twice the value without a reset
/// if the current of step 3 alone is I + δ: with y = 2 + 10 δ and v_2 = 2 − 1.5 e^(−0.4)
///     v_3 = y − y e^(−(2 − t)/10), e^(t/10) = (y − v_2)/(y − 1),
///     so v_3 = y − y e^(−0.2) (y − v_2)/(y − 1)
///     ∂v_3/∂y at y = 2: 1 − e^(−0.2) ((2 − v_2) + 2 − 2 (2 − v_2)) = 1 − e^(−0.2) (2 − (2 − v_2))
/// the currents of steps 1 and 2: ∂v_1/∂I = 10 (1 − e^(−0.2)), then a factor e^(−0.2) per step,
///     and 2 e^(−0.2) in step 3
/// ```
#[test]
fn lif_by_hand() {
    let e = |x: f64| x.exp();
    let rest = 1.5 * e(-0.4);
    let of_first = 10.0 * (1.0 - e(-0.2)) * e(-0.2) * 2.0 * e(-0.2);
    let of_second = 10.0 * (1.0 - e(-0.2)) * 2.0 * e(-0.2);
    let of_third = 10.0 * (1.0 - e(-0.2) * (2.0 - rest));
    for found in three_steps(Neuron::Lif { tau_mem: 10.0 }, 2.0, 10.0, 0.5, 0.5, 0.2) {
        assert_close("v", &found.v, &[2.0 - 1.5 * e(-0.2), 2.0 - 1.5 * e(-0.4), 2.0 - 3.0 * e(-0.6)]);
        assert_close("of v", &found.of_v, &[2.0 * e(-0.6), of_first, of_second, of_third]);
        // The charges of the spike sum to 1, including the part that the gate sent before the
        // spike.
        assert!((found.charge.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{:?}", found.charge);
    }
}

/// QIF, τ_mem 25 ms, dt 5 ms, I = 1/τ_mem, v_0 = 0.3. Then (1 + cos 2πv)/τ_mem + (1 − cos 2πv) I =
/// 2/τ_mem: the potential rises by 0.4 per step.
///
/// ```text
/// v        0.3      0.7        1.1 -> 0.1     0.5
/// G        0        0.31744    0              0           gate of width 1/2
/// ΔQ                0.31744    0.68256        0
/// ∂φ/∂v = 1, since f is constant along the path
/// ∂φ/∂I = ∫ (1 − cos 2πv) dt = 5 − (25/4π) (sin 2π(v + 0.4) − sin 2πv)
/// ```
#[test]
fn qif_by_hand() {
    use std::f64::consts::PI;
    let of = |v: f64| 5.0 - 25.0 / (4.0 * PI) * ((2.0 * PI * (v + 0.4)).sin() - (2.0 * PI * v).sin());
    for found in three_steps(Neuron::Qif { tau_mem: 25.0 }, 5.0, 20.0, 0.5, 0.3, 0.04) {
        assert_close("v", &found.v, &[0.7, 0.1, 0.5]);
        assert_close("charge", &found.charge, &[0.31744, 0.68256, 0.0]);
        assert_close("of v", &found.of_v, &[1.0, of(0.3), of(0.7), of(0.1)]);
    }
}

/// EIF, τ_mem 20 ms, Δ 0.2, v_T 0.5, dt 2 ms, I = 0.05/ms, v_0 = 0.75. The neuron spikes in the
/// second step. `tests/golden/eif.py` computes the numbers with 50 digits: the crossing by a
/// bracketing search, the derivatives by differences.
#[test]
fn eif_by_hand() {
    let neuron = Neuron::Eif(Eif { tau_mem: 20.0, delta: 0.2, onset: 0.5, substeps: 1 });
    for found in three_steps(neuron, 2.0, 10.0, 0.5, 0.75, 0.05) {
        assert_close("v", &found.v, &[0.861_703_852_659_319, 0.022_301_970_557_990_12, 0.117_596_404_125_991_2]);
        assert_close("of v", &found.of_v, &[0.961916780668097, 1.65046824581005, 1.22354608102485, 1.91523034133119]);
        // One spike, without the half of its charge that the gate at 0.75 had sent before the run.
        assert!((found.charge.iter().sum::<f64>() - 0.5).abs() < 1e-12, "{:?}", found.charge);
    }
}

/// The quintic gate at its middle, where its density is largest: u = 1/2 gives G = 1/2 and g =
/// 15/(8 w).
#[test]
fn the_gate_is_the_quintic_one() {
    for width in [0.2, 0.5, 1.0] {
        let (gate, middle) = (Gate::Quintic { width }, 1.0 - 0.5 * width);
        assert!((gate.charge(middle) - 0.5_f64).abs() < 1e-15);
        assert!((gate.density(middle) - 1.875 / width).abs() < 1e-12);
        // u = 1/4 gives G = 1/64 (10 − 15/4 + 6/16) = 0.103515625 and g w = 30/16 · 9/16 =
        // 1.0546875.
        let quarter = 1.0 - 0.75 * width;
        assert!((gate.charge(quarter) - 0.103_515_625_f64).abs() < 1e-15);
        assert!((gate.density(quarter) - 1.054_687_5 / width).abs() < 1e-12);
    }
}

#[derive(Deserialize)]
struct Shaped {
    shape: Vec<usize>,
    values: Vec<f64>,
}

#[derive(Deserialize)]
struct Case {
    neuron: String,
    tau_mem: f64,
    time_unit: f64,
    width: f64,
    dt: f64,
    taus: Vec<f64>,
    /// The slope of the surrogate, if spikes have one.
    slope: Option<f64>,
}

#[derive(Deserialize)]
struct Frozen {
    case: Case,
    parameters: BTreeMap<String, Shaped>,
    data: BTreeMap<String, Shaped>,
    cost: f64,
    v: Shaped,
    trace: Shaped,
    last_s: Shaped,
    gradients: BTreeMap<String, Shaped>,
}

/// Runs a frozen network and returns the name of each result with its distance from JAX's result.
fn against_jax(text: &str, change: impl Fn(SpikingRnnConfig) -> SpikingRnnConfig) -> Vec<(String, f64)> {
    let frozen: Frozen = serde_json::from_str(text).unwrap();
    let case = &frozen.case;
    let device = devices()[0].clone().autodiff();
    let options = (&device, DType::F64);
    fn tensor<const D: usize>(from: &Shaped, options: (&burn::tensor::Device, DType)) -> Tensor<D> {
        Tensor::from_data(TensorData::new(from.values.clone(), from.shape.clone()), options)
    }
    let parameter = |name: &str| &frozen.parameters[name];
    let data = |name: &str| &frozen.data[name];
    let neuron = match case.neuron.as_str() {
        "nif" => Neuron::Nif,
        "lif" => Neuron::Lif { tau_mem: case.tau_mem },
        _ => Neuron::Qif { tau_mem: case.tau_mem },
    };
    let shape = &parameter("U").shape;
    let config = SpikingRnnConfig::new(shape[0], shape[1])
        .with_time_unit((neuron == Neuron::Nif).then_some(case.time_unit))
        .with_neuron(neuron)
        .with_gate(match case.slope {
            Some(_) => Gate::Threshold { at: 1.0 },
            None => Gate::Quintic { width: case.width },
        })
        .with_adjoint(case.slope.map_or(Adjoint::Exact, |slope| Adjoint::Surrogate(Surrogate::FastSigmoid { slope })))
        .with_synapses(case.taus.iter().map(|&tau| Synapse::new(tau)).collect())
        .with_dt(case.dt)
        .with_record_v(true);
    let mut layer: SpikingRnn = change(config).init(options).unwrap();
    layer.input_weight = Param::from_tensor(tensor(parameter("U"), options));
    layer.bias = Some(Param::from_tensor(tensor(parameter("I_o"), options)));
    let planes = 0..case.taus.len();
    layer.recurrent_weights =
        planes.map(|k| Param::from_tensor(tensor(parameter(&format!("W{k}")), options))).collect();

    let readout = tensor::<2>(parameter("O"), options).require_grad();
    let input = tensor::<3>(data("input"), options).require_grad();
    let v0 = tensor::<2>(data("v0"), options).require_grad();
    let start: SpikingState = layer.state_from_potential(v0.clone());
    let (run, last) = layer.forward(input.clone(), Some(start));
    let trace = run.traces[0].clone();
    let error = trace.clone().matmul(readout.clone().unsqueeze::<3>()) - tensor::<3>(data("target"), options);
    let [batch, steps, _] = error.dims();
    let cost = error.square().sum() * (0.5 / (batch * steps) as f64);
    let gradients = cost.backward();

    let mut found = vec![
        ("cost".to_string(), vec![cost.into_scalar::<f64>()], vec![frozen.cost]),
        ("v".into(), numbers(run.v.unwrap()), frozen.v.values),
        ("trace".into(), numbers(trace), frozen.trace.values),
        ("last_s".into(), numbers(last.s), frozen.last_s.values),
    ];
    for (name, wanted) in frozen.gradients {
        let gradient = match name.as_str() {
            "U" => numbers(layer.input_weight.grad(&gradients).unwrap()),
            "I_o" => numbers(layer.bias.as_ref().unwrap().grad(&gradients).unwrap()),
            "O" => numbers(readout.grad(&gradients).unwrap()),
            "v0" => numbers(v0.grad(&gradients).unwrap()),
            "input" => numbers(input.grad(&gradients).unwrap()),
            plane => {
                let k: usize = plane.trim_start_matches('W').parse().unwrap();
                numbers(layer.recurrent_weights[k].grad(&gradients).unwrap())
            }
        };
        found.push((format!("gradient of {name}"), gradient, wanted.values));
    }
    found.into_iter().map(|(name, found, wanted)| (name, distance(&found, &wanted))).collect()
}

const FROZEN: [(&str, &str); 6] = [
    ("nif", include_str!("../golden/nif.json")),
    ("lif", include_str!("../golden/lif.json")),
    ("lif-surrogate", include_str!("../golden/lif-surrogate.json")),
    ("qif", include_str!("../golden/qif.json")),
    ("qif-narrow", include_str!("../golden/qif-narrow.json")),
    ("qif-two-types", include_str!("../golden/qif-two-types.json")),
];

#[test]
fn runs_and_gradients_are_those_of_jax() {
    for (case, text) in FROZEN {
        for (name, distance) in against_jax(text, |config| config) {
            assert!(distance <= 1e-10, "{case}: {name} differs by {distance:e} of the largest");
        }
    }
}

/// Planted error: the comparison must detect synaptic time constants that are off by a millionth,
/// in every network.
#[test]
fn a_slightly_wrong_constant_is_found() {
    for (case, text) in FROZEN {
        let off = |config: SpikingRnnConfig| {
            let taus: Vec<_> = config.synapses.iter().map(|synapse| Synapse::new(synapse.tau * (1.0 + 1e-6))).collect();
            config.with_synapses(taus)
        };
        let worst = against_jax(text, off).into_iter().map(|(_, distance)| distance).fold(0.0, f64::max);
        assert!(worst > 1e-8, "{case}: {worst:e}");
    }
}
