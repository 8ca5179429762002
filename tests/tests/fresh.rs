//! Tests of the initial weights of fresh layers: they have the requested spread at every size,
//! wiring and sign.

use burn::tensor::Device;
use burn_spiking::{InitialWeights, SpikingRnnConfig, Synapse, Wiring};
use burn_spiking_tests::{devices, numbers};

const GAIN: f64 = 0.4;

/// Returns the weights of the existing connections in `layers` fresh layers: one list for each
/// neuron that has incoming connections.
fn weights(config: &SpikingRnnConfig, layers: usize, device: &Device) -> Vec<Vec<f64>> {
    let n = config.d_hidden;
    let connected = config.wiring.connected(n, 0, config.autapses);
    let mut incoming = Vec::new();
    for _ in 0..layers {
        let w = numbers(config.init(device).unwrap().effective_weights(0).unwrap());
        incoming.extend((0..n).filter_map(|post| {
            let found: Vec<f64> = (0..n).filter(|pre| connected[pre * n + post]).map(|pre| w[pre * n + post]).collect();
            (!found.is_empty()).then_some(found)
        }));
    }
    incoming
}

fn spread(incoming: &[Vec<f64>]) -> f64 {
    let all: Vec<f64> = incoming.iter().flatten().copied().collect();
    (all.iter().map(|w| w * w).sum::<f64>() / all.len() as f64).sqrt()
}

#[test]
fn recurrent_weights_have_the_spread_that_is_asked_for() {
    let device = &devices()[0];
    device.seed(7);
    let base = |n: usize| {
        SpikingRnnConfig::new(1, n).with_synapses(vec![Synapse::new(20.0)]).with_initial(Some(InitialWeights {
            input: 1.0,
            recurrent: GAIN,
            bias: 0.0,
        }))
    };
    let wirings = [
        ("1 with itself", base(1).with_autapses(true)),
        ("2", base(2)),
        ("2 with themselves", base(2).with_autapses(true)),
        ("3", base(3)),
        ("4", base(4)),
        ("10", base(10)),
        ("100", base(100)),
        ("1000", base(1000)),
        ("a chain of 1 and 5", base(6).with_wiring(Wiring::chain([1, 5]))),
        ("a chain of 2 and 5", base(7).with_wiring(Wiring::chain([2, 5]))),
        ("a chain of 20, 5, 3", base(28).with_wiring(Wiring::chain([20, 5, 3]))),
        ("sparse", base(200).with_wiring(Wiring::Sparse { share: 0.1, seed: 2 })),
        ("very sparse", base(60).with_wiring(Wiring::Sparse { share: 0.03, seed: 2 })),
    ];
    for (name, config) in wirings {
        let n = config.d_hidden;
        let connections = config.wiring.connected(n, 0, true).iter().filter(|&&there| there).count();
        let wanted = GAIN / (connections as f64 / n as f64).sqrt();
        let incoming = weights(&config, 20_000 / (n * n).min(10_000) + 1, device);
        let found = spread(&incoming);
        let count = incoming.iter().flatten().count() as f64;
        // The tolerance is five standard errors.
        assert!(
            (found / wanted - 1.0).abs() < 5.0 / (2.0 * count).sqrt(),
            "{name}: {found}, not {wanted} ({count} weights)"
        );
        for senders in incoming {
            let [mean, size] = [senders.iter().sum::<f64>() / senders.len() as f64, wanted];
            match senders[..] {
                // The incoming weights sum to 0: if all neurons fire alike, they have no net effect
                // on each other.
                [_, _, _, ..] => assert!(mean.abs() < 1e-5 * size, "{name}: {senders:?}"),
                [a, b] => assert!(a != -b && a != 0.0, "{name}: {senders:?}"),
                _ => assert!(senders[0] != 0.0, "{name}: {senders:?}"),
            }
        }
    }
}

#[test]
fn excitation_and_inhibition_cancel_in_the_mean_under_dales_law() {
    let device = &devices()[0];
    device.seed(8);
    for (n, excitatory) in [(2, 0.5), (10, 0.8), (100, 0.8), (1000, 0.5)] {
        let config = SpikingRnnConfig::new(1, n)
            .with_dale(Some(excitatory))
            .with_autapses(true)
            .with_initial(Some(InitialWeights { input: 1.0, recurrent: GAIN, bias: 0.0 }));
        let all: Vec<f64> = weights(&config, 40_000 / (n * n).min(20_000) + 1, device).concat();
        let sum = |sign: f64| all.iter().map(|w| (sign * w).max(0.0)).sum::<f64>();
        let (excitation, inhibition) = (sum(1.0), sum(-1.0));
        assert!((excitation / inhibition - 1.0).abs() < 0.1, "{n}: {excitation} against {inhibition}");
    }
}

#[test]
fn input_weights_have_the_spread_that_is_asked_for() {
    let device = &devices()[0];
    device.seed(9);
    for (channels, n) in [(1, 1), (1, 1000), (100, 10), (700, 3)] {
        let config = SpikingRnnConfig::new(channels, n).with_initial(Some(InitialWeights {
            input: 0.7,
            recurrent: 0.1,
            bias: 0.0,
        }));
        let all: Vec<f64> = (0..20_000 / (channels * n).min(10_000) + 1)
            .flat_map(|_| numbers(config.init(device).unwrap().input_weight.val()))
            .collect();
        let found = (all.iter().map(|w| w * w).sum::<f64>() / all.len() as f64).sqrt() * (channels as f64).sqrt();
        assert!((found / 0.7 - 1.0).abs() < 5.0 / (2.0 * all.len() as f64).sqrt(), "{channels} to {n}: {found}");
    }
}
