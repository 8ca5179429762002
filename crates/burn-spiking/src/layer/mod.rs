//! The spiking layer as a Burn module: configuration, state, trajectory and record. Also networks
//! and stacks of layers.

pub mod config;
pub mod constants;
pub mod delays;
mod files;
pub mod first_spike;
mod forward;
mod init;
mod input;
mod mask;
pub mod network;
mod record;
mod record_text;
pub mod rnn;
pub mod sequence;
mod spikes;
pub mod stack;
pub mod state;
pub mod trajectory;
