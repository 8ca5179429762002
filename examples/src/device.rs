//! Devices and their command-line names.

// Burn 0.22 deprecates its NdArray backend, but users may still ask for it.
#![cfg_attr(feature = "ndarray", allow(deprecated))]

use burn::tensor::{DType, Device};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// The device that a program computes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceName {
    /// Burn's CPU backend.
    Flex,
    /// Burn's former CPU backend; needs the feature `ndarray`.
    Ndarray,
    /// A GPU by Vulkan, Metal or DirectX; needs the feature `wgpu`.
    Wgpu,
    /// An NVIDIA GPU by CUDA; needs the feature `cuda`.
    Cuda,
}

impl DeviceName {
    /// Returns whether the device is a GPU. The memory of a process does not include that of a GPU.
    pub fn is_gpu(self) -> bool {
        matches!(self, Self::Wgpu | Self::Cuda)
    }

    /// Returns the precision for comparisons of gradients: double precision, except on wgpu, whose
    /// devices do not have all functions in double precision.
    pub fn exact(self) -> DType {
        if self == Self::Wgpu { DType::F32 } else { DType::F64 }
    }

    /// Returns the device.
    ///
    /// # Errors
    /// If the program was built without the device, or the machine does not have it.
    pub fn device(self) -> Result<Device, String> {
        match self {
            #[cfg(feature = "flex")]
            Self::Flex => Ok(Device::flex()),
            #[cfg(feature = "ndarray")]
            Self::Ndarray => Ok(Device::ndarray()),
            #[cfg(feature = "wgpu")]
            Self::Wgpu => found(
                || Device::wgpu(Default::default()),
                "no adapter for wgpu was found: install a driver for Vulkan, Metal or DirectX 12 (a software one is \
                 mesa-vulkan-drivers on Debian), or use --device flex",
            ),
            #[cfg(feature = "cuda")]
            Self::Cuda => found(
                || Device::cuda(0),
                "no CUDA device was found: install NVIDIA's driver and the CUDA toolkit 12 or newer, or use --device flex",
            ),
            #[allow(unreachable_patterns)]
            other => {
                let name = other.to_possible_value().expect("no device is hidden").get_name().to_string();
                Err(format!("this program was built without the device {name}; build it with `--features {name}`"))
            }
        }
    }
}

/// Returns the device if it works, otherwise the message `missing`. Burn panics if it finds no
/// device, but only at the first use. So the function uses it once.
#[cfg(any(feature = "wgpu", feature = "cuda"))]
fn found(device: impl Fn() -> Device + std::panic::UnwindSafe, missing: &str) -> Result<Device, String> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let works = std::panic::catch_unwind(move || {
        let device = device();
        let one = burn::tensor::Tensor::<1>::ones([1], &device).into_scalar::<f32>();
        (one == 1.0).then_some(device)
    });
    std::panic::set_hook(hook);
    works.ok().flatten().ok_or_else(|| missing.to_string())
}
