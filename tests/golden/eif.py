"""Three steps of an EIF neuron with 50 digits, from the equations in its documentation.

The crossing is found by bisection and the derivatives by differences with 50 digits, so neither
Newton's method nor dual numbers are involved. Needs mpmath (1.3). Prints the numbers of
`eif_by_hand` in tests/tests/golden.rs.
"""

from mpmath import diff, exp, findroot, mp, mpf

mp.dps = 50
TAU, DELTA, ONSET, DT = mpf(20), mpf("0.2"), mpf("0.5"), mpf(2)


def f(v, i):
    return (-v + DELTA * exp((min(v, mpf(1)) - ONSET) / DELTA)) / TAU + i


def r(v, i, t):
    """One step of the classical Runge-Kutta method."""
    k1 = f(v, i)
    k2 = f(v + t / 2 * k1, i)
    k3 = f(v + t / 2 * k2, i)
    k4 = f(v + t * k3, i)
    return v + t / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


def step(v, i):
    """The potential after a step, and its spikes."""
    end = r(v, i, DT)
    if end < 1:
        return end, 0
    crossing = findroot(lambda t: r(v, i, t) - 1, (mpf(0), DT), solver="anderson", tol=mpf(10) ** -90)
    return r(mpf(0), i, DT - crossing), 1


def last(v, *currents):
    for i in currents:
        v, _ = step(v, i)
    return v


start, current = mpf("0.75"), mpf("0.05")
v = start
for t in range(3):
    v, spikes = step(v, current)
    print(f"v_{t + 1} = {mp.nstr(v, 17)}, spikes {spikes}")
at = (start, current, current, current)
for which in range(4):
    order = tuple(int(which == k) for k in range(4))
    print("of", ["v_0", "I_0", "I_1", "I_2"][which], mp.nstr(diff(last, at, order), 15))
