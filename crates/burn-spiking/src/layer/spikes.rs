//! Spikes, computed from charges.

use crate::gate::Gate;

/// Returns the spikes of one trial: (step, neuron) of each reset, in order. A neuron that is reset
/// twice in a step appears twice.
///
/// The charge of a step with n resets is ΔQ = n + G(v after) − G(v before), which gives n.
///
/// - `gate`: the gate of each neuron.
/// - `v0`: the initial membrane potentials, `[N]`.
/// - `v`, `charge`: the membrane potentials after each step, and the charges of each step,
///   `[T, N]`.
pub(crate) fn spikes(gate: impl Fn(usize) -> Gate, v0: &[f64], v: &[f64], charge: &[f64]) -> Vec<(usize, usize)> {
    let n = v0.len();
    let mut spikes = Vec::new();
    let before = v0.iter().chain(v);
    for (at, ((&before, &after), &charge)) in before.zip(v).zip(charge).enumerate() {
        let gate = gate(at % n);
        let resets = charge - gate.charge(after) + gate.charge(before);
        for _ in 0..resets.round() as usize {
            spikes.push((at / n, at % n));
        }
    }
    spikes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spikes_are_resets() {
        let gate = Gate::Quintic { width: 0.5 };
        let charge = |resets: f64, before: f64, after: f64| resets + gate.charge(after) - gate.charge(before);
        // Neuron 0 is reset in step 1, neuron 1 twice in step 2. Neuron 2 enters and leaves the
        // gate's zone without a reset.
        let v0 = [0.8, 0.2, 0.3];
        let v = [0.9, 0.6, 0.7, 0.1, 0.6, 0.9, 0.2, 0.7, 0.4];
        let resets = [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 2.0, 0.0];
        let before = v0.iter().chain(&v);
        let charges: Vec<f64> = before.zip(&v).zip(resets).map(|((&b, &a), n)| charge(n, b, a)).collect();
        assert_eq!(spikes(|_| gate, &v0, &v, &charges), [(1, 0), (2, 1), (2, 1)]);
    }
}
