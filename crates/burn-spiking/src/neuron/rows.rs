//! Rows of neurons that share one flow or have one flow per neuron. A row takes the cheaper flow if
//! all its currents are small enough.

use super::flow::FlowOn;
use crate::num::Float;

/// The limit of [`WithSmallCurrent::current_share`] below which rows take the cheaper flow.
pub(crate) const MARGIN: f64 = 0.999;

/// A flow with a cheaper form for small currents. Both forms agree there to the last bit.
pub(crate) trait WithSmallCurrent<X: Float>: FlowOn<X> {
    /// The type of the cheaper form.
    type Small: SmallCurrentRows<X>;

    /// Returns the cheaper form.
    fn small_current_on(self) -> Self::Small;

    /// A current, divided by the largest current for which the cheaper form is valid.
    fn current_share(&self, i: X) -> X;
}

/// The cheaper form of a flow, on rows of neurons.
pub(crate) trait SmallCurrentRows<X: Float>: FlowOn<X> {
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

/// Whether every current of a row is small enough for the cheaper form of its flow.
#[inline(always)]
fn all_small<X: Float, F: WithSmallCurrent<X>>(flow_at: &impl Fn(usize) -> F, i: &[X]) -> bool {
    let mut all = flow_at(0).current_share(i[0]).magnitude().below(MARGIN);
    for (n, &i) in i.iter().enumerate().skip(1) {
        all = X::both(&all, &flow_at(n).current_share(i).magnitude().below(MARGIN));
    }
    X::all(&all)
}

/// φ of a row, by the cheaper form if all currents allow it.
#[inline(always)]
pub(crate) fn phi_row_by_currents<X: Float, F: WithSmallCurrent<X>>(
    flow_at: impl Fn(usize) -> F,
    (v, i): (&[X], &[X]),
    vpre: &mut [X],
) {
    if all_small(&flow_at, i) {
        return F::Small::phi_row_of(|n| flow_at(n).small_current_on(), (v, i), vpre);
    }
    for (n, ((&v, &i), vpre)) in v.iter().zip(i).zip(vpre).enumerate() {
        *vpre = flow_at(n).phi_on(v, i);
    }
}

/// φ, ∂φ/∂v and ∂φ/∂I of a row, by the cheaper form if all currents allow it.
#[inline(always)]
pub(crate) fn phi_and_slopes_row_by_currents<X: Float, F: WithSmallCurrent<X>>(
    flow_at: impl Fn(usize) -> F,
    (v, i): (&[X], &[X]),
    vpre: &mut [X],
    (dv, di): (&mut [X], &mut [X]),
) {
    if all_small(&flow_at, i) {
        return F::Small::phi_and_slopes_row_of(|n| flow_at(n).small_current_on(), (v, i), vpre, (dv, di));
    }
    for (n, (((&v, &i), vpre), (dv, di))) in v.iter().zip(i).zip(vpre).zip(dv.iter_mut().zip(di)).enumerate() {
        let flow = flow_at(n);
        *vpre = flow.phi_on(v, i);
        (*dv, *di) = flow.slopes_on(v, i);
    }
}

/// Implements [`Flow`](super::flow::Flow) for a flow of uniform neurons and for its cheaper form
/// `$small`, and [`SmallCurrent`](super::flow::SmallCurrent) for the flow. The formulas are those
/// of [`FlowOn`] and [`WithSmallCurrent`], which also serve neurons with constants of their own.
macro_rules! flow_with_small_current {
    ($flow:ty, $small:ty) => {
        impl $crate::neuron::flow::SmallCurrent for $flow {
            type Small = $small;

            #[inline(always)]
            fn small_current(&self) -> (f64, $small) {
                ($crate::neuron::rows::MARGIN / self.current_share(1.0), self.small)
            }
        }

        impl $crate::neuron::flow::Flow for $small {
            #[inline(always)]
            fn phi<X: Number>(&self, v: X, i: X) -> X {
                self.phi_on(v, i)
            }

            #[inline(always)]
            fn slopes<X: Number>(&self, v: X, i: X) -> (X, X) {
                self.slopes_on(v, i)
            }
        }

        impl $crate::neuron::flow::Flow for $flow {
            #[inline(always)]
            fn dvdt<X: Number>(&self, v: X, i: X) -> Option<X> {
                Some(self.dvdt_on(v, i))
            }

            #[inline(always)]
            fn phi<X: Number>(&self, v: X, i: X) -> X {
                self.phi_on(v, i)
            }

            #[inline(always)]
            fn slopes<X: Number>(&self, v: X, i: X) -> (X, X) {
                self.slopes_on(v, i)
            }

            #[inline(always)]
            fn phi_row<X: Float>(&self, potentials_and_currents: (&[X], &[X]), vpre: &mut [X]) {
                let flow = *self;
                $crate::neuron::rows::phi_row_by_currents(|_| flow, potentials_and_currents, vpre);
            }

            #[inline(always)]
            fn phi_and_slopes_row<X: Float>(
                &self,
                potentials_and_currents: (&[X], &[X]),
                vpre: &mut [X],
                slopes: (&mut [X], &mut [X]),
            ) {
                let flow = *self;
                let at = potentials_and_currents;
                $crate::neuron::rows::phi_and_slopes_row_by_currents(|_| flow, at, vpre, slopes);
            }
        }
    };
}
pub(crate) use flow_with_small_current;
