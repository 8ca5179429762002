//! Wiring: which neurons are connected, and the signs of their weights.
//!
//! ```text
//! W_k = σ_pre |w_k|  where neurons are connected, 0 elsewhere        with Dale's law, σ = ±1
//! W_k = w_k          where neurons are connected, 0 elsewhere        without
//! ```
//!
//! w_k is the trained parameter. If two neurons are not connected, their weight has no effect and
//! no gradient. A weight under Dale's law keeps its sign through any training, and its gradient
//! with respect to w_k is exact. Masked weights are stored as zeros, so a sparse network takes as
//! much memory as a full one, and about as much time.
//!
//! Source of the form σ|w|, with one sign for each sending neuron: Song, Yang & Wang, "Training
//! Excitatory-Inhibitory Recurrent Neural Networks for Cognitive Tasks", PLoS Comput. Biol. 2016.

use crate::error::{ConfigError, at_least_one, positive_at_most};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// The pairs of connected neurons. [`autapses`](crate::SpikingRnnConfig::autapses) decides whether
/// a neuron may be connected to itself.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Wiring {
    /// All-to-all connections.
    #[default]
    Full,
    /// Each connection exists with probability `share`. Each synapse type has its own draw from
    /// `seed`.
    Sparse {
        /// The probability of a connection, in (0, 1].
        share: f64,
        /// The seed of the draw.
        seed: u64,
    },
    /// Groups of neurons, in the order of the neurons' indices. All neurons of a group have the
    /// same partners.
    Groups {
        /// The number of neurons in each group. Their sum is the number of neurons in the layer.
        sizes: Vec<usize>,
        /// The connections (a, b): group a sends to group b. Groups are counted from 0.
        connections: Vec<(usize, usize)>,
        /// The groups that receive the input.
        inputs: Vec<usize>,
    },
}

impl Wiring {
    /// A feed-forward network as one layer. The first group receives the input, and each group
    /// sends to the next. W is triangular. A spike takes one time step from group to group.
    pub fn chain(sizes: impl Into<Vec<usize>>) -> Self {
        let sizes = sizes.into();
        let connections = (1..sizes.len()).map(|group| (group - 1, group)).collect();
        Wiring::Groups { sizes, connections, inputs: vec![0] }
    }

    /// Refuses a wiring that does not fit a layer of `neurons` neurons.
    pub(crate) fn check(&self, neurons: usize) -> Result<(), ConfigError> {
        match self {
            Wiring::Full => Ok(()),
            Wiring::Sparse { share, .. } => {
                positive_at_most("share of connections", *share, 1.0, "for no connections use Synapse::readout_only")
            }
            Wiring::Groups { sizes, connections, inputs } => {
                sizes.iter().try_for_each(|&size| at_least_one("size of a group", size, "leave empty groups out"))?;
                let total: usize = sizes.iter().sum();
                if total != neurons {
                    return Err(ConfigError::Mismatch(format!(
                        "the groups have {total} neurons together, but the layer has {neurons}; make sizes add up to d_hidden"
                    )));
                }
                let named = connections.iter().flat_map(|&(a, b)| [a, b]).chain(inputs.iter().copied());
                match named.into_iter().find(|&group| group >= sizes.len()) {
                    None => Ok(()),
                    Some(group) => Err(ConfigError::Mismatch(format!(
                        "the wiring names group {group}, but there are {} groups, counted from 0",
                        sizes.len()
                    ))),
                }
            }
        }
    }

    /// The group of each neuron.
    fn groups(sizes: &[usize]) -> Vec<usize> {
        sizes.iter().enumerate().flat_map(|(group, &size)| std::iter::repeat_n(group, size)).collect()
    }

    /// Whether each connection of synapse type `synapse` exists, `[pre, post]`.
    pub fn connected(&self, neurons: usize, synapse: usize, autapses: bool) -> Vec<bool> {
        let mut connected = match self {
            Wiring::Full => vec![true; neurons * neurons],
            Wiring::Sparse { share, seed } => {
                let mut random = ChaCha8Rng::seed_from_u64(*seed);
                random.set_stream(synapse as u64);
                (0..neurons * neurons).map(|_| random.random::<f64>() < *share).collect()
            }
            Wiring::Groups { sizes, connections, .. } => {
                let group = Self::groups(sizes);
                let mut partners = vec![false; sizes.len() * sizes.len()];
                connections.iter().for_each(|&(a, b)| partners[a * sizes.len() + b] = true);
                let pairs = group.iter().flat_map(|&a| group.iter().map(move |&b| (a, b)));
                pairs.map(|(a, b)| partners[a * sizes.len() + b]).collect()
            }
        };
        if !autapses {
            (0..neurons).for_each(|j| connected[j * neurons + j] = false);
        }
        connected
    }

    /// Whether each neuron receives the input; `None` if all do.
    pub fn reached(&self) -> Option<Vec<bool>> {
        match self {
            Wiring::Groups { sizes, inputs, .. } => {
                Some(Self::groups(sizes).iter().map(|group| inputs.contains(group)).collect())
            }
            _ => None,
        }
    }
}

impl std::fmt::Display for Wiring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Wiring::Full => write!(f, "full"),
            Wiring::Sparse { share, seed } => write!(f, "sparse, share {share}, seed {seed}"),
            Wiring::Groups { sizes, connections, inputs } => {
                write!(f, "groups of {sizes:?}, connections {connections:?}, inputs to {inputs:?}")
            }
        }
    }
}

/// The sign of each sending neuron under Dale's law. The first neurons, a share `excitatory` of
/// all, are excitatory; the rest are inhibitory.
pub(crate) fn signs(neurons: usize, excitatory: f64) -> Vec<f64> {
    let exciting = (excitatory * neurons as f64).round() as usize;
    (0..neurons).map(|j| if j < exciting { 1.0 } else { -1.0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_lacks_only_autapses() {
        assert_eq!(Wiring::Full.connected(3, 0, true), [true; 9]);
        let without = Wiring::Full.connected(3, 0, false);
        assert_eq!(without.iter().filter(|&&there| !there).count(), 3);
        assert!((0..3).all(|j| !without[4 * j]));
    }

    #[test]
    fn a_sparse_share_is_kept_and_differs_between_synapse_types() {
        let wiring = Wiring::Sparse { share: 0.3, seed: 5 };
        let [a, b] = [0, 1].map(|k| wiring.connected(100, k, true));
        assert_eq!(a, wiring.connected(100, 0, true));
        assert_ne!(a, b);
        let share = a.iter().filter(|&&there| there).count() as f64 / 1e4;
        assert!((share - 0.3).abs() < 0.02, "{share}");
    }

    #[test]
    fn a_chain_is_triangular() {
        let wiring = Wiring::chain([2, 1, 2]);
        let connected = wiring.connected(5, 0, false);
        let expected = [
            [false, false, true, false, false],
            [false, false, true, false, false],
            [false, false, false, true, true],
            [false; 5],
            [false; 5],
        ];
        assert_eq!(connected, expected.concat());
        assert_eq!(wiring.reached().unwrap(), [true, true, false, false, false]);
    }

    #[test]
    fn signs_are_the_first_share() {
        assert_eq!(signs(5, 0.8), [1.0, 1.0, 1.0, 1.0, -1.0]);
        assert_eq!(signs(2, 0.0), [-1.0; 2]);
    }
}
