//! Quadratic integrate-and-fire neuron in its phase form (theta neuron).
//!
//! ```text
//! dv/dt = f(v, I) = (1 + cos 2πv)/τ_mem + (1 − cos 2πv) I        spike at v = 1 ≡ reset 0
//! ```
//!
//! For I < 0 the neuron rests at v < ½. For I > 0 it fires every π/ω ms, with ω = 2π √(I/τ_mem). At
//! the spike, dv/dt = 2/τ_mem for every I. So the potential never grazes the threshold: a small
//! change moves a spike in time, but does not remove it. The flow is smooth everywhere.
//!
//! **Flow.** In the variable tan(π(v − ½)) the flow over a step is a linear-fractional map. So a
//! constant I turns the half-phase π(v − ½) by an angle that has a closed form. With z = (ω dt)²,
//! γ = cos √z, σ = sin √z / √z and f_v = ∂f/∂v:
//!
//! ```text
//! a = π dt σ f(v, I)        φ     = v + k + atan2(a, b)/π
//! b = γ − dt σ f_v/2        ∂φ/∂v = 1/(a² + b²)     ∂φ/∂I = (a′ b − b′ a)/(π (a² + b²)),  ′ = ∂/∂I
//! ```
//!
//! where f/2 = sin² x/τ_mem + cos² x I and −f_v/4π = sin x cos x (I − 1/τ_mem) in the half-phase
//! x = π(v − ½). The derivatives use γ′ = −z′ σ/2, σ′ = z′ (γ − σ)/2z and z′ = 4π² dt²/τ_mem. For
//! |z| ≤ 1, γ and σ are short series in z. For z > 1, k = ⌊√z/π⌋ whole half turns are taken out
//! first, which leaves a ≥ 0. For z < −1, with κ = √−z, all terms are multiplied by e^−κ to avoid
//! overflow: γ = (1 + e^−2κ)/2, σ = (1 − e^−2κ)/2κ, ∂φ/∂v = e^−2κ/(a² + b²).
//!
//! With u = tan(π(v − ½)), du/dt = 2π (u²/τ_mem + I), so the time from v to the threshold, where u
//! is infinite, is τ_mem S/2π with
//!
//! ```text
//! S = atan2(r, u)/r                    r = √(τ_mem I)           for I > 0
//! S = ln(1 + 2κ/(u − κ))/2κ            κ = √(−τ_mem I) < u      for I < 0
//! S = (1/u) Σ_n (−q)ⁿ/(2n + 1)         q = τ_mem I/u²           for small |q| and u > 0
//! ```
//!
//! and ∂S/∂(τ_mem I) = (u/(u² + τ_mem I) − S)/(2 τ_mem I).
//!
//! If the gate is narrow, the CPU kernel runs the same neuron in its voltage form, tan π(v − ½):
//! `qif/voltage.rs`.
//!
//! Source: Ermentrout & Kopell 1986; Huh & Sejnowski 2017, second task.

#[cfg(any(feature = "flex", feature = "ndarray"))]
pub(crate) mod voltage;

use super::flow::{FlowOn, NeuronModel, TimeToThreshold};
use super::rate::RateCurve;
use super::rows::{SmallCurrentRows, WithSmallCurrent, flow_with_small_current};
use crate::error::{ConfigError, positive};
use crate::num::series::{is_small_angle, small_angle_atan2_pi};
use crate::num::{Constant, Float, Number};
use std::f64::consts::PI;
use std::mem::MaybeUninit;

/// Quadratic integrate-and-fire neuron, v_th = 1 ≡ v_reset = 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Qif {
    /// Membrane time constant τ_mem, ms.
    pub tau_mem: f64,
}

impl NeuronModel for Qif {
    type Flow = QifFlow;

    fn name(&self) -> String {
        format!("QIF, tau_mem {} ms", self.tau_mem)
    }

    fn check(&self) -> Result<(), ConfigError> {
        positive("tau_mem", self.tau_mem, "give the membrane time constant in ms")
    }

    fn resting_potential(&self) -> f64 {
        0.5
    }

    fn tau(&self) -> Option<f64> {
        Some(self.tau_mem)
    }

    fn steady_current(&self, spikes: f64) -> f64 {
        // A neuron spikes √(4 I/τ_mem) times per ms.
        (0.5 * spikes).powi(2)
    }

    fn rate_curve(&self) -> Option<RateCurve> {
        Some(RateCurve::quadratic(self.tau_mem))
    }

    fn time_to_threshold(&self, v: f64, i: f64) -> Option<TimeToThreshold> {
        if v < 0.0 {
            // A phase below the reset has a turn more to go.
            let (turn, rest) = (self.time_to_threshold(0.0, i)?, self.time_to_threshold(v + 1.0, i)?);
            return Some(TimeToThreshold { time: turn.time + rest.time, by_i: turn.by_i + rest.by_i, ..rest });
        }
        let tau = self.tau_mem;
        let (u, square) = ((PI * (v - 0.5)).tan(), i * tau);
        let speed = (PI * v).cos().powi(2) * 2.0 / tau + (PI * v).sin().powi(2) * 2.0 * i;
        // S and ∂S/∂(τ_mem I).
        let (sum, slope) = if square.abs() < 0.05 * u * u && u > 0.0 {
            let q = square / (u * u);
            let sum = (0..24).map(|n| (-q).powi(n) / (2 * n + 1) as f64).sum::<f64>();
            let slopes = (1..24).map(|n| -(n as f64) * (-q).powi(n - 1) / (2 * n + 1) as f64);
            (sum / u, slopes.sum::<f64>() / (u * u * u))
        } else if square > 0.0 {
            let root = square.sqrt();
            let time = root.atan2(u) / root;
            (time, (u / (u * u + square) - time) / (2.0 * square))
        } else if square < 0.0 && u * u > -square && u > 0.0 {
            let root = (-square).sqrt();
            let time = (2.0 * root / (u - root)).ln_1p() / (2.0 * root);
            (time, (u / (u * u + square) - time) / (2.0 * square))
        } else {
            return None;
        };
        let unit = 0.5 * tau / PI;
        Some(TimeToThreshold { time: unit * sum, by_v: -1.0 / speed, by_i: unit * tau * slope })
    }

    fn over(&self, dt: f64) -> QifFlow {
        QifFlow::of(1.0 / self.tau_mem, dt)
    }
}

/// [`Qif`] over one step, for any current. Its constant is a number for all neurons, or a number
/// per neuron.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QifFlow<C = f64> {
    small: QifSmallFlow<C>,
}

/// [`Qif`] over one step, for |z| ≤ 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QifSmallFlow<C = f64> {
    /// 1/τ_mem.
    rate: C,
    dt: f64,
}

impl<C> QifFlow<C> {
    /// The flow with the constant 1/τ_mem, in 1/ms, over a step of `dt` ms.
    pub(crate) fn of(rate: C, dt: f64) -> Self {
        Self { small: QifSmallFlow { rate, dt } }
    }
}

/// Coefficients of γ = Σ (−z)ⁿ/(2n)! (`first` 0) and σ = Σ (−z)ⁿ/(2n + 1)! (`first` 1).
const fn root_series(first: usize) -> [f64; 10] {
    let mut series = [0.0; 10];
    let mut term = 1.0;
    let mut n = 0;
    while n < 10 {
        series[n] = term;
        term /= -(((2 * n + 1 + first) * (2 * n + 2 + first)) as f64);
        n += 1;
    }
    series
}

/// Coefficients of the derivative of a series, such as dσ/dz.
const fn derivative(series: [f64; 10]) -> [f64; 9] {
    let mut slope = [0.0; 9];
    let mut n = 0;
    while n < 9 {
        slope[n] = (n + 1) as f64 * series[n + 1];
        n += 1;
    }
    slope
}

const GAMMA: [f64; 10] = root_series(0);
const SIGMA: [f64; 10] = root_series(1);
const SIGMA_SLOPE: [f64; 9] = derivative(SIGMA);

/// Coefficients of γ, σ and dσ/dz in single precision, for |z| ≤ 1: Chebyshev fits with errors of
/// 2e-8, 2e-9 and 2e-8.
const GAMMA_SINGLE: [f64; 5] = [
    1.000_000_000_130_484_3,
    -0.499_999_913_878_563_2,
    0.041_666_664_970_371_35,
    -0.001_389_233_370_162_921_5,
    2.480_524_083_389_101_5e-5,
];
const SIGMA_SINGLE: [f64; 5] = [
    1.000_000_000_010_035_8,
    -0.166_666_658_837_558_9,
    0.008_333_333_202_851_36,
    -0.000_198_444_014_538_131_7,
    2.756_012_960_941_757_4e-6,
];
const SIGMA_SLOPE_SINGLE: [f64; 4] =
    [-0.166_666_651_008_326_8, 0.016_666_666_184_880_868, -0.000_595_363_360_669_965_9, 1.102_437_303_922_091_6e-5];

/// γ and σ of the module's equations, times e^−κ if z < −1.
struct Rotation<X> {
    gamma: X,
    sigma: X,
}

/// The functions of the half-phase x = π(v − ½) in the flow: sin² x, cos² x and sin x cos x. Each
/// has a period of half a turn.
struct Phase<X> {
    sin_sin: X,
    cos_cos: X,
    sin_cos: X,
}

/// γ and σ for |z| ≤ 1.
#[inline(always)]
fn small_current_rotation<X: Number>(z: X) -> Rotation<X> {
    match z.is_double() {
        true => Rotation { gamma: z.clone().polynomial(&GAMMA), sigma: z.polynomial(&SIGMA) },
        false => Rotation { gamma: z.clone().polynomial(&GAMMA_SINGLE), sigma: z.polynomial(&SIGMA_SINGLE) },
    }
}

/// dσ/dz for |z| ≤ 1.
#[inline(always)]
fn small_current_sigma_slope<X: Number>(z: X) -> X {
    if z.is_double() { z.polynomial(&SIGMA_SLOPE) } else { z.polynomial(&SIGMA_SLOPE_SINGLE) }
}

#[inline(always)]
fn phase_of<X: Number>(v: X) -> Phase<X> {
    let (sin, cos) = v.plus(-0.5).half_turn_sin_cos_pi();
    Phase { sin_sin: sin.clone() * sin.clone(), cos_cos: cos.clone() * cos.clone(), sin_cos: sin * cos }
}

impl<C> QifSmallFlow<C> {
    /// z.
    #[inline(always)]
    fn z<X: Number>(&self, i: X) -> X
    where
        C: Constant<X>,
    {
        self.z_slope().multiply(i)
    }

    /// dz/dI.
    #[inline(always)]
    fn z_slope<X: Number>(&self) -> C
    where
        C: Constant<X>,
    {
        self.rate.scaled(4.0 * PI * PI * self.dt * self.dt)
    }

    /// (f/2, −f_v/4π).
    #[inline(always)]
    fn drift<X: Number>(&self, phase: &Phase<X>, i: X) -> (X, X)
    where
        C: Constant<X>,
    {
        let half = phase.cos_cos.clone().times_add(i.clone(), self.rate.multiply(phase.sin_sin.clone()));
        (half, phase.sin_cos.clone() * self.rate.scaled(-1.0).add_to(i))
    }

    /// (a, b), with h = 2π dt σ: a = h f/2, b = γ + h (−f_v/4π).
    #[inline(always)]
    fn turn<X: Number>(&self, rotation: &Rotation<X>, drift: &(X, X)) -> (X, X) {
        let h = rotation.sigma.clone().times(2.0 * PI * self.dt);
        (h.clone() * drift.0.clone(), h.times_add(drift.1.clone(), rotation.gamma.clone()))
    }

    /// (a, b) at a potential and a current.
    #[inline(always)]
    fn turn_at<X: Number>(&self, v: X, i: X) -> (X, X)
    where
        C: Constant<X>,
    {
        self.turn(&small_current_rotation(self.z(i.clone())), &self.drift(&phase_of(v), i))
    }

    /// (1/(a² + b²), ∂φ/∂I) from the rotation and dσ/dz.
    #[inline(always)]
    fn turn_slopes<X: Number>(&self, rotation: Rotation<X>, sigma_slope: X, phase: Phase<X>, i: X) -> (X, X)
    where
        C: Constant<X>,
    {
        let drift = self.drift(&phase, i);
        let (a, b) = self.turn(&rotation, &drift);
        let h = rotation.sigma.clone().times(2.0 * PI * self.dt);
        let z_slope = self.z_slope();
        let dh = z_slope.scaled(2.0 * PI * self.dt).multiply(sigma_slope);
        let da = dh.clone().times_add(drift.0, h.clone() * phase.cos_cos);
        let dgamma = z_slope.scaled(-0.5).multiply(rotation.sigma);
        let db = dh.times_add(drift.1, h.times_add(phase.sin_cos, dgamma));
        let norm = a.clone().times_add(a.clone(), b.clone() * b.clone());
        let inverse = norm.one() / norm;
        let di = da.times_add(b, -(db * a)).times(1.0 / PI) * inverse.clone();
        (inverse, di)
    }
}

impl<X: Number, C: Constant<X>> FlowOn<X> for QifSmallFlow<C> {
    #[inline(always)]
    fn phi_on(&self, v: X, i: X) -> X {
        let (a, b) = self.turn_at(v.clone(), i);
        v + a.atan2_pi(b)
    }

    #[inline(always)]
    fn slopes_on(&self, v: X, i: X) -> (X, X) {
        let z = self.z(i.clone());
        self.turn_slopes(small_current_rotation(z.clone()), small_current_sigma_slope(z), phase_of(v), i)
    }
}

impl<X: Float, C: Constant<X>> SmallCurrentRows<X> for QifSmallFlow<C> {
    #[inline(always)]
    fn phi_row_of(flow_at: impl Fn(usize) -> Self, (v, i): (&[X], &[X]), vpre: &mut [X]) {
        assert!(v.len() == i.len() && v.len() == vpre.len(), "rows of equal length");
        let mut first = 0;
        for ((v, i), vpre) in v.chunks(CHUNK).zip(i.chunks(CHUNK)).zip(vpre.chunks_mut(CHUNK)) {
            let mut turns = [const { MaybeUninit::uninit() }; CHUNK];
            for (n, ((&v, &i), turn)) in v.iter().zip(i).zip(&mut turns).enumerate() {
                turn.write(flow_at(first + n).turn_at(v, i));
            }
            // SAFETY: the loop has written the first `v.len()` turns.
            turned(v, unsafe { turns[..v.len()].assume_init_ref() }, vpre);
            first += CHUNK;
        }
    }

    #[inline(always)]
    fn phi_and_slopes_row_of(
        flow_at: impl Fn(usize) -> Self,
        (v, i): (&[X], &[X]),
        vpre: &mut [X],
        (dv, di): (&mut [X], &mut [X]),
    ) {
        let lengths = [i.len(), vpre.len(), dv.len(), di.len()];
        assert_eq!(lengths, [v.len(); 4], "rows of equal length");
        let mut first = 0;
        let rows = v.chunks(CHUNK).zip(i.chunks(CHUNK)).zip(vpre.chunks_mut(CHUNK));
        for (((v, i), vpre), (dv, di)) in rows.zip(dv.chunks_mut(CHUNK).zip(di.chunks_mut(CHUNK))) {
            let mut turns = [const { MaybeUninit::uninit() }; CHUNK];
            let slopes = dv.iter_mut().zip(di);
            for (n, (((&v, &i), turn), (dv, di))) in v.iter().zip(i).zip(&mut turns).zip(slopes).enumerate() {
                let flow = flow_at(first + n);
                let z = flow.z(i);
                let (rotation, phase) = (small_current_rotation(z), phase_of(v));
                turn.write(flow.turn(&rotation, &flow.drift(&phase, i)));
                (*dv, *di) = flow.turn_slopes(rotation, small_current_sigma_slope(z), phase, i);
            }
            // SAFETY: the loop has written the first `v.len()` turns.
            turned(v, unsafe { turns[..v.len()].assume_init_ref() }, vpre);
            first += CHUNK;
        }
    }
}

/// The neurons of a row that pass through one stage of the flow before the next stage starts. They
/// are few enough for the nearest cache.
const CHUNK: usize = 16;

/// vpre = v + atan2(a, b)/π. In a short step the half-phase turns by a small angle, and one series
/// gives the arctangent.
#[inline(always)]
fn turned<X: Float>(v: &[X], turns: &[(X, X)], vpre: &mut [X]) {
    let mut slight = is_small_angle(turns[0].0, turns[0].1);
    for &(a, b) in &turns[1..] {
        slight = X::both(&slight, &is_small_angle(a, b));
    }
    // These are loops because the body of `for_each` would be compiled separately, without the
    // vector instructions of the processor.
    if X::all(&slight) {
        for ((&v, &(a, b)), vpre) in v.iter().zip(turns).zip(vpre) {
            *vpre = v + small_angle_atan2_pi(a, b);
        }
    } else {
        for ((&v, &(a, b)), vpre) in v.iter().zip(turns).zip(vpre) {
            *vpre = v + a.atan2_pi(b);
        }
    }
}

/// The largest |z| that is used. Beyond it, √z has no digits left for a sine in single precision.
const LARGEST_Z: f64 = 1e12;

/// The rotation for any z, the half turns k that are taken out of it, and e^−2κ (1 if z ≥ −1).
struct FarRotation<X> {
    rotation: Rotation<X>,
    turns: X,
    scale: X,
}

#[inline(always)]
fn far_rotation<X: Number>(z: X) -> FarRotation<X> {
    let (shunted, near) = (z.below(-1.0), z.below(1.0));
    let series = small_current_rotation(z.clone().within(-1.0, 1.0));

    let root = z.clone().within(1.0, LARGEST_Z).sqrt();
    let angle = root.clone().times(1.0 / PI);
    let turns = angle.clone().floor();
    let (sin, cos) = (angle - turns.clone()).sin_cos_pi();

    let kappa = (-z).within(1.0, LARGEST_Z).sqrt();
    let decay = kappa.clone().times(-2.0).exp();
    let sinh = (-decay.clone()).plus(1.0).times(0.5) / kappa;
    let cosh = decay.clone().plus(1.0).times(0.5);

    let pick = |shunted_value: X, near_value: X, far_value: X| {
        X::select(&shunted, shunted_value, X::select(&near, near_value, far_value))
    };
    let one = series.gamma.one();
    let zero = one.clone().times(0.0);
    FarRotation {
        rotation: Rotation { gamma: pick(cosh, series.gamma, cos), sigma: pick(sinh, series.sigma, sin / root) },
        turns: X::select(&near, zero, turns),
        scale: X::select(&shunted, decay, one),
    }
}

impl<X: Number, C: Constant<X>> FlowOn<X> for QifFlow<C> {
    #[inline(always)]
    fn phi_on(&self, v: X, i: X) -> X {
        let far = far_rotation(self.small.z(i.clone()));
        let drift = self.small.drift(&phase_of(v.clone()), i);
        let (a, b) = self.small.turn(&far.rotation, &drift);
        // In this order the sum equals that of the flow for small currents, to the last bit.
        far.turns + (v + a.atan2_pi(b))
    }

    #[inline(always)]
    fn slopes_on(&self, v: X, i: X) -> (X, X) {
        let z = self.small.z(i.clone());
        let FarRotation { rotation, scale, .. } = far_rotation(z.clone());
        let series = small_current_sigma_slope(z.clone().within(-1.0, 1.0));
        let far = z.clone().below(-1.0);
        let near = z.below(1.0);
        let away = X::select(&far, z.clone().within(-LARGEST_Z, -1.0), z.within(1.0, LARGEST_Z));
        let closed = (rotation.gamma.clone() - rotation.sigma.clone()) / away.times(2.0);
        let sigma_slope = X::select(&far, closed.clone(), X::select(&near, series, closed));
        let (inverse, di) = self.small.turn_slopes(rotation, sigma_slope, phase_of(v), i);
        (scale * inverse, di)
    }

    #[inline(always)]
    fn dvdt_on(&self, v: X, i: X) -> X {
        let (half, _) = self.small.drift(&phase_of(v), i);
        half.times(2.0)
    }
}

impl<X: Float, C: Constant<X>> WithSmallCurrent<X> for QifFlow<C> {
    type Small = QifSmallFlow<C>;

    #[inline(always)]
    fn small_current_on(self) -> QifSmallFlow<C> {
        self.small
    }

    #[inline(always)]
    fn current_share(&self, i: X) -> X {
        self.small.z(i)
    }
}

// With this margin, both flows use the series for a small current.
flow_with_small_current!(QifFlow, QifSmallFlow);

#[cfg(test)]
mod tests;
