//! The adjoints of the neurons' variables over one step, on rows of neurons. The equations are in
//! [`scan`](crate::scan).

use super::rows::{add_product, lanes, lanes_mut};
use crate::num::{Number, Real};
use macerator::Simd;

/// Computes λpre = λ + g(vpre) μ, q = ∂φ/∂I λpre and λ = ∂φ/∂v λpre − g(v) μ. The densities are
/// (g(vpre), g(v)), the slopes (∂φ/∂v, ∂φ/∂I).
#[inline(always)]
pub(super) fn costate<S: Simd, T: Real>(
    lambda: &mut [T],
    q: &mut [T],
    mu: &[T],
    (density_after, density): (&[T], &[T]),
    (dv, di): (&[T], &[T]),
) {
    let gates = lanes::<S, T>(density_after).iter().zip(lanes(density));
    let slopes = lanes(dv).iter().zip(lanes(di));
    let rows = lanes_mut(lambda).iter_mut().zip(lanes_mut(q)).zip(lanes(mu)).zip(gates.zip(slopes));
    for (((lambda, q), &mu), ((&after, &before), (&dv, &di))) in rows {
        let pre = after.times_add(mu, *lambda);
        *q = di * pre;
        *lambda = dv.times_add(pre, -(before * mu));
    }
}

/// Does the same as [`costate`] for neurons with two variables. The first argument is (λ, κ). The
/// slopes are ∂v/∂v, ∂v/∂I and those of [`SECOND_SLOPES`](super::dynamics::SECOND_SLOPES): q =
/// ∂v/∂I λpre + ∂ψ/∂I κ, λ = ∂v/∂v λpre + ∂ψ/∂v κ − g(v) μ, κ = ∂v/∂w λpre + ∂ψ/∂w κ.
#[inline(always)]
pub(super) fn planar_costate<S: Simd, T: Real>(
    (lambda, kappa): (&mut [T], &mut [T]),
    q: &mut [T],
    mu: &[T],
    (density_after, density): (&[T], &[T]),
    (by_v, by_i, [by_w, w_by_v, w_by_w, w_by_i]): (&[T], &[T], [&[T]; 4]),
) {
    let (kappa, q) = (lanes_mut::<S, T>(kappa), lanes_mut::<S, T>(q));
    let (mu, density_after, density) = (lanes::<S, T>(mu), lanes::<S, T>(density_after), lanes::<S, T>(density));
    let (by_v, by_i, by_w) = (lanes::<S, T>(by_v), lanes::<S, T>(by_i), lanes::<S, T>(by_w));
    let (w_by_v, w_by_w, w_by_i) = (lanes::<S, T>(w_by_v), lanes::<S, T>(w_by_w), lanes::<S, T>(w_by_i));
    for (n, lambda) in lanes_mut::<S, T>(lambda).iter_mut().enumerate() {
        let (pre, after) = (density_after[n].times_add(mu[n], *lambda), kappa[n]);
        q[n] = by_i[n].times_add(pre, w_by_i[n] * after);
        *lambda = by_v[n].times_add(pre, w_by_v[n].times_add(after, -(density[n] * mu[n])));
        kappa[n] = by_w[n].times_add(pre, w_by_w[n] * after);
    }
}

/// Adds (λ + g(vpre) μ) slope to `out`.
#[inline(always)]
pub(super) fn add_through_costate<S: Simd, T: Real>(
    out: &mut [T],
    lambda: &[T],
    (density_after, mu): (&[T], &[T]),
    slope: &[T],
) {
    let errors = lanes::<S, T>(density_after).iter().zip(lanes(mu));
    for ((out, &lambda), ((&after, &mu), &slope)) in
        lanes_mut::<S, T>(out).iter_mut().zip(lanes(lambda)).zip(errors.zip(lanes(slope)))
    {
        *out = after.times_add(mu, lambda).times_add(slope, *out);
    }
}

/// Adds (λ + g(vpre) μ) ∂v/∂c + κ ∂ψ/∂c to `out`, for a constant c of neurons with two variables.
#[inline(always)]
pub(super) fn add_through_planar<S: Simd, T: Real>(
    out: &mut [T],
    [lambda, density_after, mu, kappa]: [&[T]; 4],
    (of_v, of_w): (&[T], &[T]),
) {
    add_through_costate::<S, T>(out, lambda, (density_after, mu), of_v);
    add_product::<S, T>(out, kappa, of_w);
}
