//! The time at which a neuron crosses the threshold, if its flow has no closed solution for it.
//!
//! Newton's method finds the time t* at which v(t*) = 1, within brackets: v(low) < 1 ≤ v(high). It
//! starts where the chord crosses the threshold. An iteration is replaced by bisection if it leaves
//! the brackets, or if it does not at least halve the iteration before it. The second condition is
//! needed where v rises by an exponential: there, Newton's method alone creeps along, and gradients
//! at a time that is not t* are not those of the step.

use super::flow::SLOWEST;
use crate::num::{Dual, Number};

/// The potential of a neuron along time, without a threshold.
pub(crate) trait Path<X: Number> {
    /// v at a time in ms, counted from the beginning. Mark the method with `#[inline(always)]`, for
    /// the vectors of the CPU kernel.
    fn v_at(&self, time: Dual<X, 1>) -> Dual<X, 1>;
}

/// t* in ms and the speed dv/dt there, of the neurons that are not `below` the threshold at the
/// end. The values of the others have no effect. A neuron above the threshold from the beginning
/// crosses at time 0, even if its v falls.
///
/// - `v`, `end`: the potential at the beginning and at the end.
/// - `length`: the time from the beginning to the end, in ms.
#[inline(always)]
pub(crate) fn crossing<X: Number>(path: &impl Path<X>, ends: (X, X), length: f64, below: &X::Mask) -> (X, X) {
    crossing_within(X::SEARCH, path, ends, length, below)
}

/// [`crossing`] in at most `iterations`.
#[inline(always)]
fn crossing_within<X: Number>(
    iterations: usize,
    path: &impl Path<X>,
    (v, end): (X, X),
    length: f64,
    below: &X::Mask,
) -> (X, X) {
    let rise = X::select(below, end.one(), X::select(&v.below(1.0), end - v.clone(), v.one()));
    let way = X::select(below, rise.one(), (-v.clone()).plus(1.0).within(0.0, f32::MAX as f64));
    let mut time = (way / rise).within(0.0, 1.0).times(length);
    let (mut low, mut high) = (v.zero(), v.zero().plus(length));
    let mut speed = v.one();
    // The length of the iteration before.
    let mut last = high.clone();
    // 1 until the time is found, then 0.
    let mut open = v.one();
    // Rounding: v at t* has the first error, t* itself the second.
    let (resolution, tick) = if v.is_double() { (1e-14, 1e-15) } else { (5e-7, 3e-7) };
    for _ in 0..iterations {
        let Dual { value: reached, slopes: [rising] } = path.v_at(Dual { slopes: [time.one()], value: time.clone() });
        let rising = rising.within(SLOWEST, f32::MAX as f64);
        let early = reached.below(1.0);
        low = X::select(&early, time.clone(), low);
        high = X::select(&early, high, time.clone());
        // A neuron that does not cross has no time to find.
        let error = X::select(below, reached.zero(), reached.plus(-1.0));
        let change = (error.clone() / rising.clone()).within(-2.0 * length, 2.0 * length);
        let newton = time.clone() - change.clone();
        let middle = (low.clone() + high.clone()).times(0.5);
        let slack = 1e-5 * length;
        let next = X::select(&(newton.clone() - low.clone()).below(-slack), middle.clone(), newton.clone());
        let next = X::select(&(high.clone() - newton.clone()).below(-slack), middle.clone(), next);
        let slow = (last.clone() * last.times(0.25) - change.clone() * change.clone()).below(0.0);
        let next = X::select(&slow, middle, next);
        let at_v = (error.clone() * error).below(resolution * resolution);
        let at_time = (change.clone() * change).below((tick * length) * (tick * length));
        let closed = (high.clone() - low.clone()).below(tick * length);
        // A time that is found does not change again, so that it does not depend on the other
        // neurons of a vector or tensor.
        let found = open.below(0.5);
        let next = X::select(&at_v, newton.clone(), X::select(&at_time, newton, next));
        last = next.clone() - time.clone();
        time = X::select(&found, time, X::select(&closed, high.clone(), next));
        speed = X::select(&found, speed, rising);
        open = X::select(&at_v, open.zero(), X::select(&at_time, open.zero(), X::select(&closed, open.zero(), open)));
        if X::holds_everywhere(&open.below(0.5)) {
            break;
        }
    }
    (time, speed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// One step of the Runge-Kutta method along a potential that rises ever faster, up to the
    /// threshold: v' = Δ e^((v − v_T)/Δ)/τ + I.
    #[derive(Clone, Copy)]
    struct Upstroke<X> {
        delta: f64,
        onset: f64,
        tau: f64,
        v: X,
        i: X,
    }

    impl<X: Number> Upstroke<X> {
        fn after<Y: Number>(&self, v: Y, i: Y, time: Y) -> Y {
            let rate = |v: Y| {
                let upswing = v.within(-1e3, 1.0).plus(-self.onset).times(1.0 / self.delta).exp();
                upswing.times(self.delta / self.tau) + i.clone()
            };
            let half = time.clone().times(0.5);
            let first = rate(v.clone());
            let second = rate(v.clone() + half.clone() * first.clone());
            let third = rate(v.clone() + half * second.clone());
            let fourth = rate(v.clone() + time.clone() * third.clone());
            v + time.times(1.0 / 6.0) * (first + (second + third).times(2.0) + fourth)
        }
    }

    impl<X: Number> Path<X> for Upstroke<X> {
        fn v_at(&self, time: Dual<X, 1>) -> Dual<X, 1> {
            self.after(Dual::constant(self.v.clone()), Dual::constant(self.i.clone()), time)
        }
    }

    /// Paths that cross the threshold within a time, which they come with.
    fn paths() -> impl Iterator<Item = (Upstroke<f64>, f64)> {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let draws = std::iter::repeat_with(move || {
            let (delta, onset) = (random.random_range(0.02..0.3), random.random_range(0.0..0.9));
            let (tau, length) = (random.random_range(2.0..30.0), random.random_range(0.05..2.0));
            let (v, i) = (random.random_range(-0.2..1.0), random.random_range(0.0..0.5));
            (Upstroke { delta, onset, tau, v, i }, length)
        });
        // The published AdEx neurons reach 352 per ms at their peak.
        let peak = |path: &Upstroke<f64>| path.delta / path.tau * ((1.0 - path.onset) / path.delta).exp();
        let draws = draws.filter(move |(path, _)| peak(path) < 1e4);
        draws.filter(|(path, length)| path.after(path.v, path.i, *length) >= 1.0).take(20_000)
    }

    #[test]
    fn the_potential_is_at_the_threshold() {
        for (path, length) in paths() {
            let end = path.after(path.v, path.i, length);
            let (time, _) = crossing(&path, (path.v, end), length, &false);
            let away = |ticks: f64| path.after(path.v, path.i, time + ticks * 1e-15 * length) - 1.0;
            let miss = away(0.0).abs();
            let between = away(-2.0) < 0.0 && away(2.0) >= 0.0;
            assert!((0.0..=length).contains(&time) && (miss < 1e-13 || between), "v {} I {}: {miss:e}", path.v, path.i);
        }
    }

    #[test]
    fn a_gpu_needs_no_more_iterations_than_its_kernel_has() {
        for (path, length) in paths() {
            let Upstroke { delta, onset, tau, v, i } = path;
            let short = Upstroke { delta, onset, tau, v: v as f32, i: i as f32 };
            let end = short.after(short.v, short.i, length as f32);
            if end < 1.0 || short.v >= 1.0 {
                continue;
            }
            let times = [16, f32::SEARCH].map(|limit| crossing_within(limit, &short, (short.v, end), length, &false).0);
            assert_eq!(times[0], times[1], "v {v} I {i}");
        }
    }

    #[test]
    fn neurons_above_the_threshold_cross_at_once_and_others_need_no_time() {
        let path = Upstroke { delta: 0.1, onset: 0.7, tau: 20.0, v: 1.2, i: 0.1 };
        assert_eq!(crossing(&path, (1.2, 1.5), 1.0, &false).0, 0.0);
        let (time, speed): (f64, f64) = crossing(&Upstroke { v: 0.2, ..path }, (0.2, 0.3), 1.0, &true);
        assert!(time.is_finite() && speed.is_finite());
    }
}
