//! QIF in its voltage form, for rows of neurons of which few are in the active zone of the gate.
//!
//! ```text
//! u = tan π(v − ½)        du/dt = 2π (u²/τ_mem + I)        spike at u = ∞ ≡ reset −∞
//! ```
//!
//! **Flow.** u is the ratio of two numbers that follow linear equations. With γ, σ and z of the
//! [phase form](super), |z| ≤ 1, and h = 2π dt σ:
//!
//! ```text
//! φ = n/d        n = γ u + h I          ∂φ/∂v = (1 + u²)/(n² + d²)
//! spike: d < 0   d = γ − (h/τ_mem) u    ∂φ/∂I = 2 ∫ d² dt/(n² + d²) = (A + B u + D u²)/(n² + d²)
//!
//! A = dt (2 − z ρ)    B = −(4π dt²/τ_mem) σ²    D = (2π/τ_mem)² dt³ ρ    ρ = (1 − sin 2√z/2√z)/z
//! ```
//!
//! n/d is u after the step. ∂φ/∂v and ∂φ/∂I are the derivatives of the flow in v, as in the phase
//! form. A step needs neither a sine nor an arctangent. v is computed only for neurons whose gate
//! is open: v > 1 − w ⇔ u > tan π(½ − w).

use super::{QifFlow, QifSmallFlow, Rotation, small_current_rotation};
use crate::neuron::rows::MARGIN;
use crate::num::Float;
use std::f64::consts::PI;

/// Coefficients of ρ = Σ 4ⁿ⁺¹ (−z)ⁿ/(2n + 3)!.
const RHO: [f64; 12] = {
    let mut series = [0.0; 12];
    let mut term = 4.0 / 6.0;
    let mut n = 0;
    while n < 12 {
        series[n] = term;
        term *= -4.0 / ((2 * n + 4) * (2 * n + 5)) as f64;
        n += 1;
    }
    series
};

/// Coefficients of ρ in single precision: a Chebyshev fit with an error of 4e-8.
const RHO_SINGLE: [f64; 5] = [
    0.666_666_667_058_319_5,
    -0.133_333_127_696_952_44,
    0.012_698_405_648_902_119,
    -0.000_706_289_837_035_152,
    2.567_215_642_637_954_4e-5,
];

/// The largest |u|. It is nearer to the spike than v can resolve, and its square is finite.
#[inline(always)]
fn largest<X: Float>(u: X) -> f64 {
    if u.is_double() { 2e15 } else { 4e6 }
}

#[inline(always)]
fn bounded<X: Float>(u: X) -> X {
    let largest = largest(u);
    u.within(-largest, largest)
}

/// u = tan π(v − ½) of a potential in [0, 1).
#[inline(always)]
pub(crate) fn voltage_of<X: Float>(v: X) -> X {
    let (sin, cos) = v.plus(-0.5).half_turn_sin_cos_pi();
    // At a reset the cosine is 0. Rounding must not make it negative, which would move u to the
    // other side of the spike.
    bounded(sin / cos.within(if v.is_double() { 1e-17 } else { 1e-10 }, 1.0))
}

/// v = ½ + atan(u)/π.
#[inline(always)]
pub(crate) fn potential_of<X: Float>(u: X) -> X {
    u.atan2_pi(u.one()).plus(0.5)
}

/// [`Qif`](super::Qif) over one step in its voltage form, for |z| ≤ 1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QifVoltageFlow {
    small: QifSmallFlow,
}

/// A step of one neuron, or of a vector of neurons: z, σ, the numerator n and the denominator d.
pub(crate) struct Turned<X> {
    z: X,
    sigma: X,
    above: X,
    below: X,
}

impl QifVoltageFlow {
    pub(crate) fn of(flow: &QifFlow) -> Self {
        Self { small: flow.small }
    }

    #[inline(always)]
    pub(crate) fn turn<X: Float>(&self, u: X, i: X) -> Turned<X> {
        let QifSmallFlow { rate, dt } = self.small;
        let z = self.small.z(i);
        let Rotation { gamma, sigma } = small_current_rotation(z);
        let above = gamma.times_add(u, sigma.times(2.0 * PI * dt) * i);
        let below = sigma.times(-2.0 * PI * dt * rate).times_add(u, gamma);
        Turned { z, sigma, above, below }
    }

    /// (∂φ/∂v, ∂φ/∂I).
    #[inline(always)]
    pub(crate) fn slopes<X: Float>(&self, u: X, turned: &Turned<X>) -> (X, X) {
        let QifSmallFlow { rate, dt } = self.small;
        let &Turned { z, sigma, above, below } = turned;
        let rho = if z.is_double() { z.polynomial(&RHO) } else { z.polynomial(&RHO_SINGLE) };
        let inverse = u.one() / above.times_add(above, below * below);
        let one = u.one();
        let constant = (z * rho).times_add(one.times(-dt), one.times(2.0 * dt));
        let square = rho.times((2.0 * PI * rate).powi(2) * dt.powi(3));
        let linear = (sigma * sigma).times(-4.0 * PI * dt * dt * rate);
        let integral = square.times_add(u, linear).times_add(u, constant);
        (u.times_add(u, one) * inverse, integral * inverse)
    }
}

impl<X: Float> Turned<X> {
    /// Whether |z| is small enough for the equations.
    #[inline(always)]
    pub(crate) fn is_small(&self) -> X::Mask {
        self.z.magnitude().below(MARGIN)
    }

    /// u after the step.
    #[inline(always)]
    pub(crate) fn after(&self) -> X {
        bounded(self.above / self.below)
    }

    /// Whether the neuron spiked. It spikes at most once.
    #[inline(always)]
    pub(crate) fn spiked(&self) -> X::Mask {
        self.below.below(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{NeuronModel, Qif};
    use super::*;
    use crate::neuron::flow::{Flow, SmallCurrent};
    use crate::num::Real;

    const POTENTIALS: [f64; 9] = [0.0, 1e-7, 0.013, 0.25, 0.5, 0.77, 0.95, 0.999, 1.0 - 1e-7];

    /// Checks the voltage form in `T` against the phase form in double precision: φ to `allowed`,
    /// slopes to `allowed` of their size.
    fn check<T: Real>(allowed: f64) {
        for dt in [0.1, 1.0, 5.0] {
            let flow = Qif { tau_mem: 25.0 }.over(dt);
            let limit = flow.small_current().0;
            for share in [-1.0, -0.4, -1e-4, 0.0, 1e-6, 0.03, 0.5, 1.0] {
                for v in POTENTIALS {
                    let (v, i) = (T::of(v), T::of(share * limit));
                    let (u, voltage) = (voltage_of(v), QifVoltageFlow::of(&flow));
                    let turned = voltage.turn(u, i);
                    let at = format!("v {v:?} I {i:?} dt {dt}");
                    let after = potential_of(turned.after()).to_f64();
                    assert!((0.0..1.0).contains(&after), "{at}: {after}");
                    assert!(turned.is_small() || share.abs() == 1.0);
                    let found = after + if turned.spiked() { 1.0 } else { 0.0 };
                    // The phase form starts from the potential of u, because no voltage is as near
                    // to the spike as a potential may be.
                    let (from, i) = (potential_of(u.to_f64()), i.to_f64());
                    let want = flow.phi(from, i);
                    assert!((found - want).abs() < allowed, "{at}: {found}, not {want}");
                    let (want, found) = (flow.slopes(from, i), voltage.slopes(u, &turned));
                    for (want, found) in [(want.0, found.0.to_f64()), (want.1, found.1.to_f64())] {
                        // ∂φ/∂I is almost 0 near a reset.
                        let scale = want.abs() + 0.1 * dt;
                        assert!((found - want).abs() < allowed * scale, "{at}: slope {found}, not {want}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_voltage_form_is_the_phase_form() {
        check::<f64>(1e-13);
        check::<f32>(2e-6);
    }

    #[test]
    fn potentials_come_back_from_voltages() {
        for v in POTENTIALS {
            assert!((potential_of(voltage_of(v)) - v).abs() < 4e-16, "{v}");
            let single = v as f32;
            assert!((potential_of(voltage_of(single)) - single).abs() < 2e-7, "{single}");
        }
        assert!(potential_of(voltage_of(f64::NAN)).is_nan());
        for u in [f32::MAX, f32::INFINITY] {
            assert!((0.0..1.0).contains(&potential_of(bounded(u))) && (0.0..1.0).contains(&potential_of(bounded(-u))));
        }
    }
}
