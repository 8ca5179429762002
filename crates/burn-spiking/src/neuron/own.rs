//! User-defined neurons: a model that implements [`NeuronModel`], and its [`Flow`](super::Flow),
//! runs wherever the built-in models run.
//!
//! [`Neuron::own`](super::Neuron::own) makes a neuron for a layer from a model. The CPU kernel is
//! then compiled with the model's flow inlined, in the crate that calls `Neuron::own`. GPU kernels
//! and tensor operations run a record of the flow (`neuron/expression.rs`). Mark the
//! methods of a flow with `#[inline(always)]`, so that the CPU kernel can use vector instructions
//! in them. Compile your crate at the optimisation level that the kernel needs.

use super::expression::{Expression, phi_of, slopes_of};
use super::flow::{NeuronModel, TimeToThreshold};
use super::rate::RateCurve;
use crate::error::ConfigError;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

/// A model with its type erased. The default methods serve a neuron of which only the name is
/// known.
pub(crate) trait Erased: Debug + Send + Sync {
    fn name(&self) -> String;
    fn as_any(&self) -> &dyn Any;
    /// Whether both are the same model with the same constants. A neuron that is known only by its
    /// name equals those of that name.
    fn equals(&self, other: &dyn Erased) -> bool {
        self.name() == other.name()
    }
    fn unknown(&self) -> ConfigError {
        ConfigError::Mismatch(format!(
            "the neuron \"{}\" is known by its name alone; give its model with `with_neuron(Neuron::own(..))`",
            self.name()
        ))
    }
    fn check(&self) -> Result<(), ConfigError> {
        Err(self.unknown())
    }
    fn resting_potential(&self) -> f64 {
        0.0
    }
    fn tau(&self) -> Option<f64> {
        None
    }
    fn steady_current(&self, spikes: f64) -> f64 {
        spikes
    }
    fn rate_curve(&self) -> Option<RateCurve> {
        None
    }
    fn time_to_threshold(&self, _v: f64, _i: f64) -> Option<TimeToThreshold> {
        None
    }
    fn phi(&self, _dt: f64, _double: bool) -> Expression<2, 1> {
        panic!("{}", self.unknown())
    }
    fn slopes(&self, _dt: f64, _double: bool) -> Expression<2, 2> {
        panic!("{}", self.unknown())
    }
}

impl<M: NeuronModel> Erased for M {
    fn name(&self) -> String {
        NeuronModel::name(self)
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn equals(&self, other: &dyn Erased) -> bool {
        match other.as_any().downcast_ref::<M>() {
            Some(other) => self == other,
            None => other.as_any().is::<Named>() && Erased::name(self) == other.name(),
        }
    }
    fn check(&self) -> Result<(), ConfigError> {
        NeuronModel::check(self)
    }
    fn resting_potential(&self) -> f64 {
        NeuronModel::resting_potential(self)
    }
    fn tau(&self) -> Option<f64> {
        NeuronModel::tau(self)
    }
    fn steady_current(&self, spikes: f64) -> f64 {
        NeuronModel::steady_current(self, spikes)
    }
    fn rate_curve(&self) -> Option<RateCurve> {
        NeuronModel::rate_curve(self)
    }
    fn time_to_threshold(&self, v: f64, i: f64) -> Option<TimeToThreshold> {
        NeuronModel::time_to_threshold(self, v, i)
    }
    fn phi(&self, dt: f64, double: bool) -> Expression<2, 1> {
        phi_of(&self.over(dt), double)
    }
    fn slopes(&self, dt: f64, double: bool) -> Expression<2, 2> {
        slopes_of(&self.over(dt), double)
    }
}

/// A neuron that was read from a file. The file holds the name of the model, but not the model.
#[derive(Debug)]
struct Named(String);

impl Erased for Named {
    fn name(&self) -> String {
        self.0.clone()
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A user-defined neuron. Two are equal if their models are equal. A neuron that was read from a
/// file equals those of its name.
///
/// Serialisation writes the name alone. A configuration that is read back needs the model again,
/// from [`with_neuron`](crate::SpikingRnnConfig::with_neuron).
#[derive(Debug, Clone)]
pub struct OwnNeuron {
    model: Arc<dyn Erased>,
    /// The CPU kernel that was compiled for this model; `()` if the model is unknown.
    #[cfg_attr(not(any(feature = "flex", feature = "ndarray")), allow(dead_code))]
    kernels: Arc<dyn Any + Send + Sync>,
}

impl OwnNeuron {
    pub(crate) fn with_kernels(model: impl NeuronModel, kernels: Arc<dyn Any + Send + Sync>) -> Self {
        Self { model: Arc::new(model), kernels }
    }

    pub(crate) fn model(&self) -> &dyn Erased {
        &*self.model
    }

    #[cfg(any(feature = "flex", feature = "ndarray"))]
    pub(crate) fn kernels(&self) -> &(dyn Any + Send + Sync) {
        &*self.kernels
    }
}

impl PartialEq for OwnNeuron {
    fn eq(&self, other: &Self) -> bool {
        self.model.equals(other.model())
    }
}

impl Serialize for OwnNeuron {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.model.name().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for OwnNeuron {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self { model: Arc::new(Named(String::deserialize(deserializer)?)), kernels: Arc::new(()) })
    }
}
