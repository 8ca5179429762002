//! Tests of samples that end at different steps: counts, rates, spikes and costs equal those of
//! each sample alone, in both layouts.

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use burn_spiking::{
    ClassificationLoss, Firing, Gate, InitialWeights, Learn, Learned, Neuron, PotentialFloor, RateBoundsConfig,
    RestCost, Scores, SpikingNetwork, SpikingRnn, SpikingRnnConfig, SpikingStackConfig, Synapse, TrackingLossConfig,
    Trajectory,
};
use burn_spiking_tests::{devices, numbers, relative_distance};

const LENGTHS: [usize; 3] = [30, 11, 19];

fn device() -> Device {
    devices()[0].clone()
}

/// Fixed numbers with a variance of about 1.
fn noise<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    let count = shape.iter().product();
    let data: Vec<f64> = (0..count).map(|at| 1.4 * (0.71 * at as f64 + (0.13 * at as f64).sin()).sin()).collect();
    Tensor::from_data(TensorData::new(data, shape), (&device(), DType::F64))
}

/// A layer whose neurons fire often.
fn config() -> SpikingRnnConfig {
    let initial = InitialWeights { input: 3.0, recurrent: 0.5, bias: 2.0 };
    SpikingRnnConfig::new(2, 7).with_initial(Some(initial))
}

fn init(config: &SpikingRnnConfig) -> SpikingRnn {
    config.init((&device(), DType::F64)).unwrap()
}

/// The first `length` steps of one sample.
fn alone<const D: usize>(series: &Tensor<D>, sample: usize, length: usize) -> Tensor<D> {
    series.clone().narrow(0, sample, 1).narrow(1, 0, length)
}

/// The same layer with time first.
fn turned(layer: &SpikingRnn) -> SpikingRnn {
    let config = layer.config().clone().with_batch_first(false);
    let mut turned = init(&config);
    (turned.input_weight, turned.recurrent_weights, turned.bias) =
        (layer.input_weight.clone(), layer.recurrent_weights.clone(), layer.bias.clone());
    turned
}

/// Runs all samples together in both layouts, and each sample alone.
fn runs(layer: &SpikingRnn) -> ([Trajectory; 2], Vec<Trajectory>) {
    let input = noise([3, 30, 2]);
    let (together, _) = layer.forward_lengths_recording(input.clone(), &LENGTHS, None);
    let (of_turned, _) = turned(layer).forward_lengths_recording(input.clone().swap_dims(0, 1), &LENGTHS, None);
    let alone = |(b, &length): (usize, &usize)| layer.forward_recording(alone(&input, b, length), None).0;
    ([together, of_turned], LENGTHS.iter().enumerate().map(alone).collect())
}

#[test]
fn counts_rates_and_spikes_are_those_of_each_sample_alone() {
    let layer = init(&config());
    let (together, alone) = runs(&layer);
    let of = |part: &dyn Fn(&Trajectory) -> Tensor<2>| numbers(Tensor::cat(alone.iter().map(part).collect(), 0));
    let mut firing = Firing::default();
    alone.iter().for_each(|run| firing.merge(&Firing::of(run)));
    assert!(firing.rate_hz() > 20.0, "{firing:?}");
    for run in &together {
        assert!(relative_distance(&numbers(run.spike_counts()), &of(&Trajectory::spike_counts)) < 1e-12);
        assert!(relative_distance(&numbers(run.rates_hz()), &of(&Trajectory::rates_hz)) < 1e-12);
        let found = Firing::of(run);
        assert!((found.rate_hz() - firing.rate_hz()).abs() < 1e-9);
        assert_eq!((found.silent(), found.active_share()), (firing.silent(), firing.active_share()));
        for (b, alone) in alone.iter().enumerate() {
            assert_eq!(run.spikes(b), alone.spikes(0));
        }
    }
    assert!(alone.iter().map(|run| run.spikes(0).len()).sum::<usize>() > 5);
}

#[test]
fn a_spike_in_half_of_the_padded_time_is_twice_the_rate() {
    // One spike in 50 of 100 steps of 1 ms is a rate of 20 Hz. A lower bound of 18 Hz must cost
    // nothing.
    let config = SpikingRnnConfig::new(1, 1).with_neuron(Neuron::Nif).with_bias(false);
    let mut layer = init(&config);
    let tau = config.time_unit_ms();
    layer.input_weight = Param::from_tensor(Tensor::full([1, 1], tau, (&device(), DType::F64)));
    let input = Tensor::full([2, 100, 1], 1.0 / 49.5, (&device(), DType::F64));
    let (run, _) = layer.forward_lengths_recording(input, &[50, 100], None);
    assert_eq!((run.spikes(0).len(), run.spikes(1).len()), (1, 2));
    let rates = numbers(run.rates_hz());
    assert!((rates[0] - 20.0).abs() < 0.5 && (rates[1] - 20.0).abs() < 0.5, "{rates:?}");
    let bounds = RateBoundsConfig::new().with_lower_hz(18.0).init().unwrap();
    assert_eq!(bounds.forward(&run).into_scalar::<f64>(), 0.0);
}

#[test]
fn no_spike_is_found_in_the_padding() {
    // The first sample ends at v = 0.9. A step from there to the padding's 0 would look like a
    // reset.
    let config = SpikingRnnConfig::new(1, 1).with_neuron(Neuron::Nif).with_bias(false);
    let mut layer = init(&config);
    layer.input_weight = Param::from_tensor(Tensor::full([1, 1], config.time_unit_ms(), (&device(), DType::F64)));
    let start = layer.state_from_potential(Tensor::full([2, 1], 0.5, (&device(), DType::F64)));
    let input = Tensor::full([2, 2, 1], 0.4, (&device(), DType::F64));
    let (run, _) = layer.forward_lengths_recording(input, &[1, 2], Some(start));
    assert_eq!(run.spikes(0), []);
    assert_eq!(run.spikes(1), [(1, 0)]);
}

#[test]
fn spikes_are_counted_with_the_widths_that_were_learned() {
    let learned = Learned { width: Learn::PerNeuron, ..Learned::default() };
    let wide = config().with_gate(Gate::Quintic { width: 0.9 }).with_learned(learned);
    let widths = [0.05, 0.9, 0.3, 0.6, 0.1, 0.2, 0.7];
    let layer = init(&wide).with_widths(&widths).unwrap();
    // The input is weak, because a strong input can lower a potential in one step by half the
    // distance to the threshold.
    let (run, _) = layer.forward_recording(noise([2, 200, 2]) * 0.2, None);
    let v = numbers(run.v.clone().unwrap());
    for b in 0..2 {
        // The phase of a QIF neuron falls by more than 0.5 only at a reset, where it wraps from
        // near 1 to near 0.
        let at = |t: usize, j: usize| v[(b * 200 + t) * 7 + j];
        let wrapped = |&(t, j): &(usize, usize)| at(t, j) < at(t - 1, j) - 0.5;
        let wanted: Vec<_> = (1..200).flat_map(|t| (0..7).map(move |j| (t, j))).filter(wrapped).collect();
        let found: Vec<_> = run.spikes(b).into_iter().filter(|&(t, _)| t > 0).collect();
        assert_eq!(found, wanted, "sample {b}");
        assert!(found.len() > 20);
    }
}

#[test]
fn costs_are_means_over_the_steps_that_samples_have() {
    let layer = init(&config());
    let (together, alone_runs) = runs(&layer);
    let total: usize = LENGTHS.iter().sum();
    let (rest, weight, target) = (noise([3, 30]).abs(), noise([3, 30]).square(), noise([3, 30, 7]));
    let floor = PotentialFloor { floor: 0.4, weight: 0.3 };
    let quiet = RestCost { weight: 0.2 };
    let tracking = TrackingLossConfig::new().with_lambda(0.1).init().unwrap();
    // Outputs like those of a readout with a bias, which are not 0 in the padding.
    let output = |run: &Trajectory| run.traces[0].clone() + 0.5;
    let mean = |of: &dyn Fn(usize, &Trajectory) -> f64| -> f64 {
        let parts = alone_runs.iter().enumerate().map(|(b, run)| of(b, run) * LENGTHS[b] as f64);
        parts.sum::<f64>() / total as f64
    };
    let scalar = |cost: Tensor<1>| cost.into_scalar::<f64>();
    for (at, run) in together.iter().enumerate() {
        let turned = |x: &Tensor<3>| if at == 0 { x.clone() } else { x.clone().swap_dims(0, 1) };
        let turned_rows = |x: &Tensor<2>| if at == 0 { x.clone() } else { x.clone().swap_dims(0, 1) };
        let cases = [
            ("floor", scalar(floor.forward(run)), mean(&|_, run| scalar(floor.forward(run)))),
            (
                "rest",
                scalar(quiet.forward(run, turned_rows(&rest))),
                mean(&|b, run| scalar(quiet.forward(run, alone(&rest, b, LENGTHS[b])))),
            ),
            (
                "tracking",
                scalar(tracking.forward_layer(output(run), turned(&target), Some(turned_rows(&weight)), run)),
                mean(&|b, run| {
                    let weight = Some(alone(&weight, b, LENGTHS[b]));
                    scalar(tracking.forward_layer(output(run), alone(&target, b, LENGTHS[b]), weight, run))
                }),
            ),
        ];
        for (name, found, wanted) in cases {
            assert!((found - wanted).abs() < 1e-12 * wanted.abs() && wanted > 0.0, "{name}: {found} and {wanted}");
        }
    }
}

#[test]
fn a_network_with_lengths_gives_its_trajectory_scores_and_cost() {
    let layer = init(&config().with_synapses(vec![Synapse::new(15.0), Synapse::recurrent_only(4.0)]));
    let bias = Some(Param::from_tensor(noise([3]) + 0.3));
    let readout = Linear { weight: Param::from_tensor(noise([7, 3])), bias };
    let input = noise([3, 30, 2]);
    let network = SpikingNetwork::new(layer.clone(), readout.clone()).unwrap();
    let time_first = SpikingNetwork::new(turned(&layer), readout).unwrap();
    let (run, state) = network.forward_lengths_recording(input.clone(), &LENGTHS, None);
    let trajectory = run.trajectory();
    let (of_layer, last) = layer.forward_lengths_recording(input.clone(), &LENGTHS, None);
    assert_eq!(trajectory.timing(), of_layer.timing());
    for (found, wanted) in [
        (trajectory.v.clone().unwrap(), of_layer.v.clone().unwrap()),
        (trajectory.charge.clone().unwrap(), of_layer.charge.clone().unwrap()),
        (trajectory.trace(), of_layer.trace()),
        (state.s, last.s),
    ] {
        assert!(relative_distance(&numbers(found), &numbers(wanted)) < 1e-12);
    }

    let (of_turned, _) = time_first.forward_lengths(input.swap_dims(0, 1), &LENGTHS, None);
    let targets = Tensor::<1, Int>::from_data([2, 0, 1], &device());
    for scores in [Scores::Mean, Scores::Last, Scores::Max, Scores::MeanProbability] {
        let wanted = numbers(scores.forward_lengths(run.output.clone(), &LENGTHS));
        for run in [&run, &of_turned] {
            assert!(relative_distance(&numbers(scores.forward_network(run)), &wanted) < 1e-12, "{scores:?}");
        }
        let loss = ClassificationLoss::new(scores);
        let (wanted, _) = loss.forward_lengths(run.output.clone(), &LENGTHS, targets.clone());
        let (found, _) = loss.forward_network(&of_turned, targets.clone());
        assert!((found.into_scalar::<f64>() - wanted.into_scalar::<f64>()).abs() < 1e-12);
    }

    let loss = TrackingLossConfig::new().with_lambda(0.1).init().unwrap();
    let target = noise([3, 30, 3]);
    let by_layer =
        loss.forward_layer(network.readout.forward(of_layer.clone().trace()), target.clone(), None, &of_layer);
    let wanted = by_layer.into_scalar::<f64>();
    let turned_target = target.clone().swap_dims(0, 1);
    for (run, target) in [(run, target), (of_turned, turned_target)] {
        let found = loss.forward_network(run, target, None).into_scalar::<f64>();
        assert!((found - wanted).abs() < 1e-12 * wanted, "{found} and {wanted}");
    }
}

#[test]
fn a_stack_takes_lengths_steps_and_records() {
    let layers = vec![config(), SpikingRnnConfig { d_input: 7, ..config() }.with_neuron(Neuron::Lif { tau_mem: 15.0 })];
    let stack = SpikingStackConfig::new(layers).init((&device(), DType::F64)).unwrap();
    let input = noise([3, 30, 2]);
    let (together, last) = stack.forward_lengths_recording(input.clone(), &LENGTHS, None);
    let (plain, _) = stack.forward_lengths(input.clone(), &LENGTHS, None);
    for (b, &length) in LENGTHS.iter().enumerate() {
        let (alone_runs, states) = stack.forward_recording(alone(&input, b, length), None);
        for k in 0..2 {
            for (found, wanted) in [
                (alone(&together[k].traces[0], b, length), alone_runs[k].traces[0].clone()),
                (alone(&plain[k].traces[0], b, length), alone_runs[k].traces[0].clone()),
                (alone(together[k].charge.as_ref().unwrap(), b, length), alone_runs[k].charge.clone().unwrap()),
            ] {
                assert!(relative_distance(&numbers(found), &numbers(wanted)) < 1e-12, "layer {k} of sample {b}");
            }
            assert_eq!(together[k].spikes(b), alone_runs[k].spikes(0));
            let v = last[k].v.clone().narrow(0, b, 1);
            assert!(relative_distance(&numbers(v), &numbers(states[k].v.clone())) < 1e-12);
        }
    }
    let (whole, last) = stack.forward(input.clone(), None);
    let mut states = None;
    for t in 0..30 {
        let (steps, now) = stack.step(input.clone().narrow(1, t, 1).squeeze_dim(1), states);
        let wanted = numbers(whole[1].traces[0].clone().narrow(1, t, 1));
        assert!(relative_distance(&numbers(steps[1].clone().trace()), &wanted) < 1e-10, "step {t}");
        states = Some(now);
    }
    let found = numbers(states.unwrap()[1].s.clone());
    assert!(relative_distance(&found, &numbers(last[1].s.clone())) < 1e-10);
}

#[test]
#[should_panic(expected = "spike counts need recorded charges, but this trajectory has none; use `forward_recording`")]
fn counts_of_what_was_not_recorded_are_refused() {
    let layer = init(&config()).valid();
    layer.forward(noise([1, 3, 2]), None).0.spike_counts();
}
