//! What the programs share: the models that they train, runs that can be stopped and resumed, progress, devices by name.

pub mod angle;
pub mod autoencoder;
pub mod benchmark;
pub mod checkpoint;
pub mod delayed_xor;
pub mod device;
pub mod figures;
pub mod history;
pub mod learned;
pub mod measured;
pub mod network;
pub mod output;
pub mod peers;
pub mod progress;
pub mod run;
pub mod seeds;
pub mod training;
