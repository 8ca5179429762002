//! What the programs share: devices by name, progress, reports and the models that they train.

pub mod autoencoder;
pub mod device;
pub mod output;
pub mod progress;
