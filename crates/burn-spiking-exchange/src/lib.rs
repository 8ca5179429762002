//! Spiking networks to and from the formats of other tools.
//!
//! [`nir`] reads and writes NIR graphs, and converts them to and from networks of `burn-spiking`.
//! [`state_dict`] reads the weights of snnTorch and Norse. [`weights`] writes and reads networks as
//! SafeTensors, with every constant.
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
pub mod nir;
pub mod state_dict;
pub mod weights;

pub use error::ExchangeError;
