//! Shared parts of the programs: the models that they train, runs that can be stopped and resumed,
//! progress, and devices by name.

pub mod angle;
pub mod autoencoder;
pub mod benchmark;
pub mod checkpoint;
pub mod classifier;
pub mod classify;
pub mod delayed_xor;
pub mod device;
pub mod export;
pub mod figures;
pub mod generate;
pub mod gradient;
pub mod history;
pub mod learned;
pub mod measured;
pub mod network;
pub mod output;
pub mod peers;
pub mod progress;
pub mod run;
pub mod seeds;
pub mod summary;
pub mod training;

/// Compiles and runs the code of `docs/guide`.
#[cfg(all(doctest, feature = "flex"))]
mod guide {
    #[doc = include_str!("../../docs/guide/1-first-spike.md")]
    struct FirstSpike;
    #[doc = include_str!("../../docs/guide/2-the-gate.md")]
    struct TheGate;
    #[doc = include_str!("../../docs/guide/3-a-layer-in-a-model.md")]
    struct ALayerInAModel;
    #[doc = include_str!("../../docs/guide/4-your-own-task.md")]
    struct YourOwnTask;
    #[doc = include_str!("../../docs/guide/5-your-own-neuron.md")]
    struct YourOwnNeuron;
    #[doc = include_str!("../../docs/guide/7-from-pytorch.md")]
    struct FromPytorch;
}
