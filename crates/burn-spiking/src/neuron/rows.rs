//! Rows of neurons, each with a flow of its own or all with one: the cheaper flow is taken where all their currents allow it.

use super::flow::FlowOn;
use crate::num::Float;

/// The largest [`WithNear::reach`] at which rows take the cheaper flow.
pub(crate) const A_LITTLE_INSIDE: f64 = 0.999;

/// A flow that has a cheaper form for small currents, the same there to the last bit.
pub(crate) trait WithNear<X: Float>: FlowOn<X> {
    /// The cheaper form.
    type Near: NearRows<X>;

    /// The cheaper form.
    fn near_on(self) -> Self::Near;

    /// A current as a share of the largest that the cheaper form holds for.
    fn reach(&self, i: X) -> X;
}

/// Rows of a flow's cheaper form.
pub(crate) trait NearRows<X: Float>: FlowOn<X> {
    /// φ of a row.
    #[inline(always)]
    fn phi_row_of(flow_at: impl Fn(usize) -> Self, (v, i): (&[X], &[X]), vpre: &mut [X]) {
        for (n, ((&v, &i), vpre)) in v.iter().zip(i).zip(vpre).enumerate() {
            *vpre = flow_at(n).phi_on(v, i);
        }
    }

    /// φ, ∂φ/∂v and ∂φ/∂I of a row.
    #[inline(always)]
    fn phi_and_slopes_row_of(
        flow_at: impl Fn(usize) -> Self,
        (v, i): (&[X], &[X]),
        vpre: &mut [X],
        (dv, di): (&mut [X], &mut [X]),
    ) {
        for (n, (((&v, &i), vpre), (dv, di))) in v.iter().zip(i).zip(vpre).zip(dv.iter_mut().zip(di)).enumerate() {
            let flow = flow_at(n);
            *vpre = flow.phi_on(v, i);
            (*dv, *di) = flow.slopes_on(v, i);
        }
    }
}

/// Whether every current of a row is within its flow's reach.
#[inline(always)]
fn all_near<X: Float, F: WithNear<X>>(flow_at: &impl Fn(usize) -> F, i: &[X]) -> bool {
    let mut all = flow_at(0).reach(i[0]).magnitude().below(A_LITTLE_INSIDE);
    for (n, &i) in i.iter().enumerate().skip(1) {
        all = X::both(&all, &flow_at(n).reach(i).magnitude().below(A_LITTLE_INSIDE));
    }
    X::all(&all)
}

/// φ of a row.
#[inline(always)]
pub(crate) fn phi_row_by_currents<X: Float, F: WithNear<X>>(
    flow_at: impl Fn(usize) -> F,
    (v, i): (&[X], &[X]),
    vpre: &mut [X],
) {
    if all_near(&flow_at, i) {
        return F::Near::phi_row_of(|n| flow_at(n).near_on(), (v, i), vpre);
    }
    for (n, ((&v, &i), vpre)) in v.iter().zip(i).zip(vpre).enumerate() {
        *vpre = flow_at(n).phi_on(v, i);
    }
}

/// φ, ∂φ/∂v and ∂φ/∂I of a row.
#[inline(always)]
pub(crate) fn phi_and_slopes_row_by_currents<X: Float, F: WithNear<X>>(
    flow_at: impl Fn(usize) -> F,
    (v, i): (&[X], &[X]),
    vpre: &mut [X],
    (dv, di): (&mut [X], &mut [X]),
) {
    if all_near(&flow_at, i) {
        return F::Near::phi_and_slopes_row_of(|n| flow_at(n).near_on(), (v, i), vpre, (dv, di));
    }
    for (n, (((&v, &i), vpre), (dv, di))) in v.iter().zip(i).zip(vpre).zip(dv.iter_mut().zip(di)).enumerate() {
        let flow = flow_at(n);
        *vpre = flow.phi_on(v, i);
        (*dv, *di) = flow.slopes_on(v, i);
    }
}
