//! The parts of the program `burn-spiking-exchange`.

pub mod convert;
pub mod files;
pub mod inspect;
pub mod reading;
pub mod run;
