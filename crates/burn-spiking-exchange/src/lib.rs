//! Spiking networks to and from the formats of other tools.
//!
//! [`nir`] reads and writes NIR graphs, and converts them to and from networks of `burn-spiking`.
//! [`state_dict`] reads the weights of snnTorch, Norse and SpikingJelly. [`weights`] writes and
//! reads networks as SafeTensors, with every constant. [`recording`] writes the spikes and series
//! of a run, and [`input`] reads the input of one.
//!
//! ```no_run
//! use burn::tensor::Device;
//! use burn_spiking_exchange::nir::{Graph, ImportOptions, Spikes, export};
//!
//! # fn main() -> Result<(), burn_spiking_exchange::ExchangeError> {
//! let graph = Graph::read("network.nir")?;
//! // NIR does not say what a spike of the other tool is: here a pulse of 1 ms.
//! let options = ImportOptions::default().with_spikes(Spikes::Pulse { dt: 1.0 });
//! let imported = graph.import(&options, &Device::flex())?;
//! for note in &imported.notes {
//!     println!("{note}");
//! }
//! let network = imported.into_network()?;
//! export(&network, Spikes::Pulse { dt: 1.0 })?.write("again.nir")?;
//! # Ok(())
//! # }
//! ```

pub mod error;
pub mod input;
#[cfg(feature = "nir")]
pub mod nir;
pub mod recording;
#[cfg(feature = "state-dict")]
pub mod state_dict;
mod tensors;
pub mod weights;

pub use error::ExchangeError;
