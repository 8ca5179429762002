//! Classification of input spikes: the tasks, and the recipe that trains each of them.
//!
//! ```text
//! input spikes → U → spiking neurons (⟲ W) → readout → logits of the classes
//! ```

mod options;
mod program;
mod recipe;
mod recorded;
mod task;

pub use options::Options;
pub use program::{COLUMNS, run};
pub use recipe::{NeuronName, Recipe};
pub use task::{Data, Task, TaskName};
