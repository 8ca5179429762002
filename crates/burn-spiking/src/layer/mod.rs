//! The layer as a module of Burn: configuration, module, state, trajectory and record; networks and stacks of it.

pub mod config;
pub mod constants;
mod files;
mod forward;
mod init;
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
