//! Statistics of firing from recorded charges: rates, silent neurons and activity.
//!
//! ```text
//! rate   = Σ charge / (neurons · time)       a spike's charges add up to 1
//! silent = neurons that sent less than one spike's charge
//! active = (neuron, step) pairs with charge ≠ 0, which are those that cost work
//! ```

use crate::layer::trajectory::Trajectory;

/// Sums of charge, activity and time over trials.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Firing {
    /// The charge that each neuron has sent, `[N]`.
    charge: Vec<f64>,
    /// Number of (neuron, step) pairs with charge.
    active: f64,
    /// Number of time steps of all trials together.
    steps: f64,
    /// Time of all trials together, in ms.
    time: f64,
}

impl Firing {
    /// Measures the firing of one run, over each sample's own steps. Waits for the device.
    ///
    /// # Panics
    /// If the trajectory has no charges.
    pub fn of(trajectory: &Trajectory) -> Self {
        let charge = trajectory.charges("firing");
        let (dt, steps) = (trajectory.timing().dt, trajectory.timing().steps_of_all(charge) as f64);
        let active = charge.clone().not_equal_elem(0.0).int().sum().into_data();
        Self {
            charge: trajectory.spike_counts().sum_dim(0).into_data().iter::<f64>().collect(),
            active: active.iter::<f64>().sum(),
            steps,
            time: steps * dt,
        }
    }

    /// Adds other trials of the same network.
    ///
    /// # Panics
    /// If the numbers of neurons differ.
    pub fn merge(&mut self, other: &Self) {
        if self.charge.is_empty() {
            self.charge.resize(other.charge.len(), 0.0);
        }
        assert!(other.charge.is_empty() || self.charge.len() == other.charge.len(), "firing of as many neurons");
        self.charge.iter_mut().zip(&other.charge).for_each(|(own, other)| *own += other);
        self.active += other.active;
        self.steps += other.steps;
        self.time += other.time;
    }

    /// Number of neurons.
    pub fn neurons(&self) -> usize {
        self.charge.len()
    }

    /// Mean firing rate, Hz.
    pub fn rate_hz(&self) -> f64 {
        1000.0 * self.charge.iter().sum::<f64>() / (self.time * self.neurons() as f64)
    }

    /// Number of neurons that sent less than one spike's charge in all trials.
    pub fn silent(&self) -> usize {
        self.charge.iter().filter(|&&charge| charge < 1.0).count()
    }

    /// The share of all neurons that are [`silent`](Self::silent).
    pub fn silent_share(&self) -> f64 {
        self.silent() as f64 / self.neurons() as f64
    }

    /// Share of the (neuron, step) pairs with charge.
    pub fn active_share(&self) -> f64 {
        self.active / (self.steps * self.neurons() as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Tensor};

    #[test]
    fn counts_spikes_silence_and_activity() {
        // Two trials of three steps of 2 ms, with three neurons. Neuron 0 sends one spike in two
        // parts and then two whole spikes. Neuron 1 is silent. The potential of neuron 2 rises and
        // falls back.
        let charge = Tensor::<3>::from_data(
            [
                [[0.25, 0.0, 0.5], [0.75, 0.0, -0.5], [0.0, 0.0, 0.0]],
                [[1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]],
            ],
            &Device::default(),
        );
        let firing = Firing::of(&Trajectory::of_charge(charge.clone(), 2.0));
        assert_eq!((firing.neurons(), firing.silent()), (3, 2));
        assert!((firing.rate_hz() - 1000.0 * 3.0 / (12.0 * 3.0)).abs() < 1e-9);
        assert!((firing.active_share() - 6.0 / 18.0).abs() < 1e-12);
        let mut twice = Firing::default();
        twice.merge(&firing);
        twice.merge(&Firing::of(&Trajectory::of_charge(charge * 0.0, 2.0)));
        assert!((twice.rate_hz() - firing.rate_hz() / 2.0).abs() < 1e-9);
        assert!((twice.silent_share() - 2.0 / 3.0).abs() < 1e-12);
    }
}
