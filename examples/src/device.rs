//! Devices by name.

// Burn 0.22 deprecates its NdArray backend, which users may still ask for.
#![cfg_attr(feature = "ndarray", allow(deprecated))]

use burn::tensor::Device;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// Where a program computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceName {
    /// Burn's CPU backend.
    Flex,
    /// Burn's former CPU backend; needs the feature `ndarray`.
    Ndarray,
}

impl DeviceName {
    /// The device.
    ///
    /// # Errors
    /// If the program was built without it.
    pub fn device(self) -> Result<Device, String> {
        match self {
            #[cfg(feature = "flex")]
            Self::Flex => Ok(Device::flex()),
            #[cfg(feature = "ndarray")]
            Self::Ndarray => Ok(Device::ndarray()),
            #[allow(unreachable_patterns)]
            other => {
                let name = other.to_possible_value().expect("no device is hidden").get_name().to_string();
                Err(format!("this program was built without the device {name}; build it with `--features {name}`"))
            }
        }
    }
}
