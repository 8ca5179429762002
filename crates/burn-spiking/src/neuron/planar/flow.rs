//! The traits of planar models, and their step: sub-steps, crossings and slopes. See
//! [`planar`](super).

use crate::error::ConfigError;
use crate::neuron::crossing::{Path, crossing};
use crate::num::{Constant, Dual, Number, Own, apart};

/// The number of constants of a planar flow that can be learned.
pub const CONSTANTS: usize = 2;

/// The second constant of a planar flow that can be learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecondConstant {
    /// τ_w, the time constant of w, in ms.
    TauW,
    /// ω/2π, the neuron's own frequency, in Hz.
    Frequency,
}

/// A neuron model with two variables: its constants, and the flow that they and the length of a
/// step determine.
///
/// Two models are equal if all their constants are equal, which `#[derive(PartialEq)]` provides.
pub trait PlanarModel: Clone + std::fmt::Debug + PartialEq + Send + Sync + 'static {
    /// The flow.
    type Plane: Plane;

    /// The flow over `dt` ms.
    fn over(&self, dt: f64) -> PlanarFlow<Self::Plane>;

    /// b, the rise of w by one spike. The default is 0.
    fn jump(&self) -> f64 {
        0.0
    }

    /// The name of the model, with the value of every constant. Records and messages contain it.
    /// The default is the text of the derived `Debug`.
    fn name(&self) -> String {
        format!("{self:?}")
    }

    /// Refuses constants that are invalid for the model.
    ///
    /// # Errors
    /// [`ConfigError`] names the value, its limit and the remedy.
    fn check(&self) -> Result<(), ConfigError> {
        Ok(())
    }

    /// Refuses a step of `dt` ms that is too long for the model.
    ///
    /// # Errors
    /// [`ConfigError`] names the value, its limit and the remedy.
    fn check_step(&self, _dt: f64) -> Result<(), ConfigError> {
        Ok(())
    }

    /// The initial potential of a neuron if no state is given. The initial w is 0.
    fn resting_potential(&self) -> f64 {
        0.0
    }

    /// The membrane time constant τ_mem, in ms, which is the unit of the layer's parameters; `None`
    /// if there is none.
    fn tau(&self) -> Option<f64> {
        None
    }

    /// The approximate steady current, in units of 1/τ_u, under which a neuron spikes `spikes`
    /// times in τ_u. The initial bias current of a new layer is computed from it.
    fn steady_current(&self, spikes: f64) -> f64 {
        spikes
    }
}

/// A planar model with constants that can be learned.
pub trait LearnableConstants: PlanarModel {
    /// The flow with constants that are numbers of the same kind as v, w and I.
    type Given<X: Number>: PlaneOn<X>;

    /// The flow over `dt` ms with these constants in the place of [`constants`](Self::constants).
    /// A constant that the model does not have has no effect. Mark the method with
    /// `#[inline(always)]` and use no closures in it, for the vectors of the CPU kernel.
    fn over_with<X: Number>(&self, dt: f64, constants: [X; CONSTANTS]) -> PlanarFlow<Self::Given<X>>;

    /// The constants of the flow that can be learned: τ_mem, and the second constant, which
    /// [`second`](Self::second) names. `None` for a constant that the model does not have.
    fn constants(&self) -> [Option<f64>; CONSTANTS];

    /// The name of the second constant.
    fn second(&self) -> Option<SecondConstant>;

    /// The same model with other constants and another b. A constant that the model does not have
    /// has no effect.
    fn with_constants(&self, constants: [f64; CONSTANTS], jump: f64) -> Self;
}

/// The equations of a planar model. Mark the methods with `#[inline(always)]`, so that the CPU
/// kernel can use vector instructions in them. They use arithmetic and selects instead of branches.
pub trait Plane: Clone + Send + Sync + 'static {
    /// (v, w) after `time` ms under the current I (1/ms), without a threshold.
    fn advance<X: Number>(&self, v: X, w: X, i: X, time: X) -> (X, X);

    /// [`advance`](Self::advance) by a whole sub-step of `length` ms. A model with a closed form
    /// computes its exponentials for this length once, when the flow is made.
    #[inline(always)]
    fn advance_whole<X: Number>(&self, v: X, w: X, i: X, length: f64) -> (X, X) {
        let length = i.zero().plus(length);
        self.advance(v, w, i, length)
    }

    /// w just after a spike, at the time of the crossing. The default leaves it as it is: the
    /// charge carries the [jump](PlanarModel::jump) at the end of the step.
    #[inline(always)]
    fn after_spike<X: Number>(&self, w: X) -> X {
        w
    }
}

/// The equations of a planar model on numbers of one kind. Their constants may be numbers of that
/// kind, which gives each neuron its own constants, or makes a flow differentiable with respect to
/// them.
pub trait PlaneOn<X: Number>: Clone {
    /// The equations on numbers without the derivatives of X, but with one of time.
    type InTime: PlaneOn<Dual<X::Plain, 1>>;

    /// The same equations without the derivatives of their constants.
    fn in_time(&self) -> Self::InTime;

    /// See [`Plane::advance`].
    fn advance(&self, v: X, w: X, i: X, time: X) -> (X, X);

    /// See [`Plane::advance_whole`].
    #[inline(always)]
    fn advance_whole(&self, v: X, w: X, i: X, length: f64) -> (X, X) {
        let length = i.zero().plus(length);
        self.advance(v, w, i, length)
    }

    /// See [`Plane::after_spike`].
    #[inline(always)]
    fn after_spike(&self, w: X) -> X {
        w
    }
}

impl<P: Plane, X: Number> PlaneOn<X> for P {
    type InTime = P;

    #[inline(always)]
    fn in_time(&self) -> P {
        self.clone()
    }

    #[inline(always)]
    fn advance(&self, v: X, w: X, i: X, time: X) -> (X, X) {
        Plane::advance(self, v, w, i, time)
    }

    #[inline(always)]
    fn advance_whole(&self, v: X, w: X, i: X, length: f64) -> (X, X) {
        Plane::advance_whole(self, v, w, i, length)
    }

    #[inline(always)]
    fn after_spike(&self, w: X) -> X {
        Plane::after_spike(self, w)
    }
}

/// A constant of a flow without its derivatives, as a number with a derivative in time.
#[inline(always)]
pub(super) fn in_time<X: Number>(constant: &Own<X>) -> Own<Dual<X::Plain, 1>> {
    Own(Dual::constant(constant.0.plain()))
}

/// The state of a planar neuron after a step, before the jump of w.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moved<X> {
    /// v, after its resets.
    pub v: X,
    /// The spikes of the step.
    pub spikes: X,
    /// ψ.
    pub w: X,
}

/// The derivatives of v and w after a step with respect to D variables: v, w and I before it, and,
/// if D is [`WITH_CONSTANTS`], the constants of the flow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Jacobian<X, const D: usize = 3> {
    /// (∂v/∂v, ∂v/∂w, ∂v/∂I), and ∂v/∂c of each constant.
    pub v: [X; D],
    /// (∂ψ/∂v, ∂ψ/∂w, ∂ψ/∂I), and ∂ψ/∂c of each constant.
    pub w: [X; D],
}

/// The number of a step's variables, if its constants are among them.
pub const WITH_CONSTANTS: usize = 3 + CONSTANTS;

/// A planar model over one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlanarFlow<P> {
    plane: P,
    substeps: usize,
    /// The length of a sub-step, in ms.
    length: f64,
}

/// [`PlaneOn::advance`], compiled once for tensors and not in each place that calls it: in line,
/// their operations make functions of megabytes.
#[inline(always)]
fn advance<X: Number, P: PlaneOn<X>>(plane: &P, (v, w, i): (X, X, X), time: X) -> (X, X) {
    if const { X::OPERATIONS_ARE_CALLS } {
        apart(|(v, w, i, time)| plane.advance(v, w, i, time), (v, w, i, time))
    } else {
        plane.advance(v, w, i, time)
    }
}

/// [`PlaneOn::advance_whole`], as [`advance`].
#[inline(always)]
fn advance_whole<X: Number, P: PlaneOn<X>>(plane: &P, (v, w, i): (X, X, X), length: f64) -> (X, X) {
    if const { X::OPERATIONS_ARE_CALLS } {
        apart(|(v, w, i)| plane.advance_whole(v, w, i, length), (v, w, i))
    } else {
        plane.advance_whole(v, w, i, length)
    }
}

impl<P> PlanarFlow<P> {
    /// The flow over `dt` ms in this number of sub-steps.
    #[inline(always)]
    pub fn new(plane: P, dt: f64, substeps: usize) -> Self {
        Self { plane, substeps, length: dt / substeps as f64 }
    }

    /// [`step`](Self::step) and its derivatives.
    #[inline(always)]
    pub fn step_and_jacobian<X: Number>(&self, v: X, w: X, i: X) -> (Moved<X>, Jacobian<X>)
    where
        P: PlaneOn<Dual<X, 3>>,
    {
        type Of<X> = Dual<X, 3>;
        self.step(Of::variable(v, 0), Of::variable(w, 1), Of::variable(i, 2)).split()
    }

    /// The state after a step. If it is known that no neuron crosses the threshold, there is no
    /// search for the crossing.
    #[inline(always)]
    pub fn step<X: Number>(&self, v: X, w: X, i: X) -> Moved<X>
    where
        P: PlaneOn<X>,
    {
        let mut now = Moved { spikes: v.zero(), v, w };
        for _ in 0..self.substeps {
            let (v, w) = self.free(now.v.clone(), now.w.clone(), i.clone());
            let below = v.below(1.0);
            if X::holds_everywhere(&below) {
                (now.v, now.w) = (v, w);
                continue;
            }
            let (v_after, w_after) = self.crossed((now.v, now.w), i.clone(), v.clone());
            now = Moved {
                spikes: X::select(&below, now.spikes.clone(), now.spikes.clone().plus(1.0)),
                v: X::select(&below, v, v_after),
                w: X::select(&below, w, w_after),
            };
        }
        now
    }

    /// The flow of the same sub-steps along other equations.
    pub(crate) fn along<Q>(self, equations: impl FnOnce(P) -> Q) -> PlanarFlow<Q> {
        PlanarFlow { plane: equations(self.plane), substeps: self.substeps, length: self.length }
    }

    /// The length of a sub-step, in ms.
    pub(crate) fn length(&self) -> f64 {
        self.length
    }

    /// The number of sub-steps of a step.
    #[cfg(any(feature = "cube", feature = "flex", feature = "ndarray"))]
    pub(crate) fn substeps(&self) -> usize {
        self.substeps
    }

    /// (v, w) at the end of a sub-step without a threshold.
    #[inline(always)]
    pub(crate) fn free<X: Number>(&self, v: X, w: X, i: X) -> (X, X)
    where
        P: PlaneOn<X>,
    {
        advance_whole(&self.plane, (v, w, i), self.length)
    }

    /// (v, w) at the end of a sub-step in which the neuron crosses the threshold. `end` is v
    /// without a threshold. The values for a neuron whose `end` is below the threshold have no
    /// effect.
    #[inline(always)]
    pub(crate) fn crossed<X: Number>(&self, (v, w): (X, X), i: X, end: X) -> (X, X)
    where
        P: PlaneOn<X>,
    {
        let below = &end.below(1.0);
        let plane = &self.plane.in_time();
        let path = PlanePath { plane, v: v.plain(), w: w.plain(), i: i.plain() };
        let (time, speed) = crossing(&path, (v.plain(), end.plain()), self.length, below);
        // The time was found without derivatives. Those of t* follow from the derivatives of v
        // there. A neuron above the threshold from the start has t* = 0 without derivatives.
        let time = v.zero().with_value(time);
        let (reached, _) = advance(&self.plane, (v.clone(), w.clone(), i.clone()), time.clone());
        let change = reached.clone() - v.zero().with_value(reached.plain());
        let change = X::select(below, v.zero(), X::select(&v.below(1.0), change, v.zero()));
        let time = time - change / v.zero().with_value(speed);
        let (_, w) = advance(&self.plane, (v.clone(), w, i.clone()), time.clone());
        advance(&self.plane, (v.zero(), self.plane.after_spike(w), i), (-time).plus(self.length))
    }
}

/// The path of a planar neuron.
struct PlanePath<'a, X, Q> {
    plane: &'a Q,
    v: X,
    w: X,
    i: X,
}

impl<X: Number, Q: PlaneOn<Dual<X, 1>>> Path<X> for PlanePath<'_, X, Q> {
    #[inline(always)]
    fn v_at(&self, time: Dual<X, 1>) -> Dual<X, 1> {
        let (v, w, i) = (self.v.clone(), self.w.clone(), self.i.clone());
        let state = (Dual::constant(v), Dual::constant(w), Dual::constant(i));
        let (v, _) = advance(self.plane, state, time);
        v
    }
}

impl<X: Number, const D: usize> Moved<Dual<X, D>> {
    /// The state, and its derivatives.
    #[inline(always)]
    pub(crate) fn split(self) -> (Moved<X>, Jacobian<X, D>) {
        let Self { v, spikes, w } = self;
        (Moved { v: v.value, spikes: spikes.value, w: w.value }, Jacobian { v: v.slopes, w: w.slopes })
    }
}

/// The right-hand sides f and h of a model whose equations have no solution in closed form. Mark
/// the method with `#[inline(always)]`, so that the CPU kernel can use vector instructions in it.
pub trait Field: Copy + Send + Sync + 'static {
    /// (dv/dt, dw/dt), below the threshold and a little above it.
    fn rates<X: Number>(&self, v: X, w: X, i: X) -> (X, X);
}

/// The right-hand sides of a model on numbers of one kind, as [`PlaneOn`] is to [`Plane`].
pub trait FieldOn<X: Number>: Clone {
    /// The right-hand sides on numbers without the derivatives of X, but with one of time.
    type InTime: FieldOn<Dual<X::Plain, 1>>;

    /// The same right-hand sides without the derivatives of their constants.
    fn in_time(&self) -> Self::InTime;

    /// See [`Field::rates`].
    fn rates(&self, v: X, w: X, i: X) -> (X, X);
}

impl<F: Field, X: Number> FieldOn<X> for F {
    type InTime = F;

    #[inline(always)]
    fn in_time(&self) -> F {
        *self
    }

    #[inline(always)]
    fn rates(&self, v: X, w: X, i: X) -> (X, X) {
        Field::rates(self, v, w, i)
    }
}

/// The equations of a field, advanced by one step of the classical Runge-Kutta method of order 4.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RungeKutta<F>(pub F);

impl<F: Field> Plane for RungeKutta<F> {
    #[inline(always)]
    fn advance<X: Number>(&self, v: X, w: X, i: X, time: X) -> (X, X) {
        runge_kutta(&self.0, (v, w, i), Own(time))
    }

    #[inline(always)]
    fn advance_whole<X: Number>(&self, v: X, w: X, i: X, length: f64) -> (X, X) {
        runge_kutta(&self.0, (v, w, i), length)
    }
}

/// [`RungeKutta`] with a field whose constants are numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RungeKuttaOn<F>(pub F);

impl<X: Number, F: FieldOn<X>> PlaneOn<X> for RungeKuttaOn<F> {
    type InTime = RungeKuttaOn<F::InTime>;

    #[inline(always)]
    fn in_time(&self) -> Self::InTime {
        RungeKuttaOn(self.0.in_time())
    }

    #[inline(always)]
    fn advance(&self, v: X, w: X, i: X, time: X) -> (X, X) {
        runge_kutta(&self.0, (v, w, i), Own(time))
    }

    #[inline(always)]
    fn advance_whole(&self, v: X, w: X, i: X, length: f64) -> (X, X) {
        runge_kutta(&self.0, (v, w, i), length)
    }
}

/// (v, w) after a time, by one step of the method.
#[inline(always)]
fn runge_kutta<X: Number>(field: &impl FieldOn<X>, (v, w, i): (X, X, X), time: impl Constant<X>) -> (X, X) {
    let (half, sixth) = (time.scaled(0.5), time.scaled(1.0 / 6.0));
    // Without a closure, which the compiler may leave out of line, without vector instructions.
    let (v1, w1) = field.rates(v.clone(), w.clone(), i.clone());
    let (at_v, at_w) = (v.clone() + half.multiply(v1.clone()), w.clone() + half.multiply(w1.clone()));
    let (v2, w2) = field.rates(at_v, at_w, i.clone());
    let (at_v, at_w) = (v.clone() + half.multiply(v2.clone()), w.clone() + half.multiply(w2.clone()));
    let (v3, w3) = field.rates(at_v, at_w, i.clone());
    let (at_v, at_w) = (v.clone() + time.multiply(v3.clone()), w.clone() + time.multiply(w3.clone()));
    let (v4, w4) = field.rates(at_v, at_w, i);
    (v + sixth.multiply(v1 + (v2 + v3).times(2.0) + v4), w + sixth.multiply(w1 + (w2 + w3).times(2.0) + w4))
}
