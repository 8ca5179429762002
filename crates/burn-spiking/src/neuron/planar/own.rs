//! User-defined neurons with two variables: a model that implements [`PlanarModel`], and its
//! [`Plane`], runs wherever the built-in models run.
//!
//! [`Neuron::own_planar`](crate::Neuron::own_planar) makes a neuron for a layer from a model. The
//! step, with its sub-steps, crossings and slopes, is that of the built-in models
//! ([`planar`](super)). The CPU kernel is compiled with the model's equations inlined, in the crate
//! that calls `Neuron::own_planar`. GPU kernels and tensor operations run a record of the equations
//! (`neuron/expression.rs`).

use super::flow::{CONSTANTS, LearnableConstants, PlanarFlow, PlanarModel, Plane, SecondConstant};
use crate::error::ConfigError;
use crate::neuron::expression::Expression;
use crate::num::Number;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

/// A model with its type erased. The default methods serve a neuron of which only the name is
/// known.
trait Erased: Debug + Send + Sync {
    fn name(&self) -> String;
    fn as_any(&self) -> &dyn Any;
    /// Whether both are the same model with the same constants. A neuron that is known only by its
    /// name equals those of that name.
    fn equals(&self, other: &dyn Erased) -> bool {
        self.name() == other.name()
    }
    fn unknown(&self) -> ConfigError {
        ConfigError::Mismatch(format!(
            "the neuron \"{}\" is known by its name alone; give its model with `with_neuron(Neuron::own_planar(..))`",
            self.name()
        ))
    }
    fn check(&self) -> Result<(), ConfigError> {
        Err(self.unknown())
    }
    fn check_step(&self, _dt: f64) -> Result<(), ConfigError> {
        Ok(())
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
    fn jump(&self) -> f64 {
        0.0
    }
    fn recorded(&self, _dt: f64) -> PlanarFlow<RecordedPlane> {
        panic!("{}", self.unknown())
    }
}

impl<M: PlanarModel> Erased for M {
    fn name(&self) -> String {
        PlanarModel::name(self)
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
        PlanarModel::check(self)
    }
    fn check_step(&self, dt: f64) -> Result<(), ConfigError> {
        PlanarModel::check_step(self, dt)
    }
    fn resting_potential(&self) -> f64 {
        PlanarModel::resting_potential(self)
    }
    fn tau(&self) -> Option<f64> {
        PlanarModel::tau(self)
    }
    fn steady_current(&self, spikes: f64) -> f64 {
        PlanarModel::steady_current(self, spikes)
    }
    fn jump(&self) -> f64 {
        PlanarModel::jump(self)
    }
    fn recorded(&self, dt: f64) -> PlanarFlow<RecordedPlane> {
        let flow = self.over(dt);
        let length = flow.length();
        flow.along(|plane| RecordedPlane::of(&plane, length))
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

/// The equations of a model as a record, for numbers of single and of double precision.
#[derive(Debug, Clone)]
pub struct RecordedPlane([Arc<Record>; 2]);

#[derive(Debug)]
struct Record {
    advance: Expression<4, 2>,
    /// The same over a whole sub-step.
    whole: Expression<3, 2>,
    after_spike: Expression<1, 1>,
}

impl RecordedPlane {
    /// Records the equations, with sub-steps of `length` ms.
    fn of(plane: &impl Plane, length: f64) -> Self {
        Self([false, true].map(|double| {
            Arc::new(Record {
                advance: Expression::of(double, |[v, w, i, time]| plane.advance(v, w, i, time).into()),
                whole: Expression::of(double, |[v, w, i]| plane.advance_whole(v, w, i, length).into()),
                after_spike: Expression::of(double, |[w]| [plane.after_spike(w)]),
            })
        }))
    }

    fn record<X: Number>(&self, like: &X) -> &Record {
        &self.0[like.is_double() as usize]
    }
}

impl Plane for RecordedPlane {
    fn advance<X: Number>(&self, v: X, w: X, i: X, time: X) -> (X, X) {
        self.record(&v).advance.run([v, w, i, time]).into()
    }

    fn advance_whole<X: Number>(&self, v: X, w: X, i: X, _length: f64) -> (X, X) {
        self.record(&v).whole.run([v, w, i]).into()
    }

    fn after_spike<X: Number>(&self, w: X) -> X {
        let [after] = self.record(&w).after_spike.run([w]);
        after
    }
}

/// A user-defined neuron with two variables. Two are equal if their models are equal. A neuron that
/// was read from a file equals those of its name.
///
/// Serialisation writes the name alone. A configuration that is read back needs the model again,
/// from [`with_neuron`](crate::SpikingRnnConfig::with_neuron).
#[derive(Debug, Clone)]
pub struct OwnPlanarNeuron {
    model: Arc<dyn Erased>,
    /// A learned b that takes the place of the model's.
    jump: Option<f64>,
    /// The CPU kernel's rows that were compiled for this model; `()` if the model is unknown.
    #[cfg_attr(not(any(feature = "flex", feature = "ndarray")), allow(dead_code))]
    rows: Arc<dyn Any + Send + Sync>,
}

impl OwnPlanarNeuron {
    pub(crate) fn with_rows(model: impl PlanarModel, rows: Arc<dyn Any + Send + Sync>) -> Self {
        Self { model: Arc::new(model), jump: None, rows }
    }

    /// The rows of the CPU kernel.
    ///
    /// # Panics
    /// If the neuron was read from a file, which holds only its name.
    #[cfg(any(feature = "flex", feature = "ndarray"))]
    pub(crate) fn rows<R: 'static>(&self) -> &R {
        self.rows.downcast_ref().unwrap_or_else(|| panic!("{}", self.model.unknown()))
    }
}

impl PartialEq for OwnPlanarNeuron {
    fn eq(&self, other: &Self) -> bool {
        self.model.equals(&*other.model) && self.jump == other.jump
    }
}

impl PlanarModel for OwnPlanarNeuron {
    type Plane = RecordedPlane;

    fn over(&self, dt: f64) -> PlanarFlow<RecordedPlane> {
        self.model.recorded(dt)
    }
    fn jump(&self) -> f64 {
        self.jump.unwrap_or_else(|| self.model.jump())
    }
    fn name(&self) -> String {
        self.model.name()
    }
    fn check(&self) -> Result<(), ConfigError> {
        self.model.check()
    }
    fn check_step(&self, dt: f64) -> Result<(), ConfigError> {
        self.model.check_step(dt)
    }
    fn resting_potential(&self) -> f64 {
        self.model.resting_potential()
    }
    fn tau(&self) -> Option<f64> {
        self.model.tau()
    }
    fn steady_current(&self, spikes: f64) -> f64 {
        self.model.steady_current(spikes)
    }
}

/// Of a user-defined model, b can be learned.
impl LearnableConstants for OwnPlanarNeuron {
    type Given<X: Number> = RecordedPlane;

    #[inline(always)]
    fn over_with<X: Number>(&self, dt: f64, _constants: [X; CONSTANTS]) -> PlanarFlow<RecordedPlane> {
        self.over(dt)
    }
    fn constants(&self) -> [Option<f64>; CONSTANTS] {
        [None, None]
    }
    fn second(&self) -> Option<SecondConstant> {
        None
    }
    fn with_constants(&self, _constants: [f64; CONSTANTS], jump: f64) -> Self {
        Self { jump: Some(jump), ..self.clone() }
    }
}

impl Serialize for OwnPlanarNeuron {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.model.name().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for OwnPlanarNeuron {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self { model: Arc::new(Named(String::deserialize(deserializer)?)), jump: None, rows: Arc::new(()) })
    }
}
