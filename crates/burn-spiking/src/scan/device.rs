//! The devices that this build has a scan for.
//!
//! Burn's backends are features of Burn, and the scan of each is a feature of this crate. A user
//! may have the one without the other, and then Burn's dispatch would panic at the first run.

use crate::error::ConfigError;
use burn::backend::DispatchDevice;
use burn::tensor::Device;

/// Refuses a device for which this build has no scan.
///
/// # Errors
/// [`ConfigError::Mismatch`], which names the feature that the device wants.
pub(crate) fn check(device: &Device) -> Result<(), ConfigError> {
    match device.clone().inner().as_dispatch() {
        #[cfg(feature = "flex")]
        DispatchDevice::Flex(_) => Ok(()),
        #[cfg(feature = "ndarray")]
        DispatchDevice::NdArray(_) => Ok(()),
        #[cfg(feature = "cube")]
        DispatchDevice::Cube(_) => Ok(()),
        #[cfg(feature = "tch")]
        DispatchDevice::LibTorch(_) => Ok(()),
        #[allow(unreachable_patterns)]
        other => Err(missing(&format!("{other:?}"))),
    }
}

/// The error for a device without a scan, by the name of its backend.
fn missing(device: &str) -> ConfigError {
    let backend = device.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    let feature = match backend {
        "Flex" => Some("flex"),
        "NdArray" => Some("ndarray"),
        "Cube" => Some("wgpu\" or \"cuda"),
        "LibTorch" => Some("tch"),
        _ => None,
    };
    let remedy = match feature {
        Some(feature) => format!("build burn-spiking with its feature \"{feature}\", or use another device"),
        None => "no build has one; use another device, such as Device::flex()".into(),
    };
    ConfigError::Mismatch(format!("this build has no scan for the device {device}; {remedy}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_of_this_build_are_served() {
        check(&Device::default()).unwrap();
        check(&Device::default().autodiff()).unwrap();
    }

    #[test]
    fn others_are_told_their_feature() {
        let told = |device: &str| missing(device).to_string();
        assert!(told("LibTorch(Cpu)").contains("device LibTorch(Cpu); build burn-spiking with its feature \"tch\""));
        assert!(told("Cube(Wgpu)").contains("\"wgpu\" or \"cuda\""));
        assert!(told("Remote(ws://here)").contains("no build has one"));
    }
}
