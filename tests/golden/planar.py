"""Spike times of the neurons with two variables, by SciPy's DOP853 at a tolerance of 1e-10.

The equations are the published ones, in their own units, with events at the threshold, so none of
the library's conversions, flows or crossings is involved. Needs scipy (1.11 or newer). Writes
planar.json beside itself.
"""

import json
import math
from pathlib import Path

from scipy.integrate import solve_ivp


def spikes(field, threshold, reset, start, time):
    """Spike times up to `time` ms, and the state there. `field(v, w)` is (dv/dt, dw/dt)."""

    def crossing(_, x):
        return threshold(x) - x[0]

    crossing.terminal, crossing.direction = True, -1
    now, state, times = 0.0, list(start), []
    while now < time:
        run = solve_ivp(
            lambda _, x: field(*x), (now, time), state, "DOP853", events=crossing, rtol=1e-10, atol=1e-12, max_step=0.5
        )
        assert run.success, run.message
        state, now = [float(x) for x in run.y[:, -1]], float(run.t[-1])
        if run.status == 1:
            times.append(now)
            state = list(reset(*state))
    return times, state


def adex(name, tau, a, tau_w, b, reset, pa, time):
    resistance, rest, onset, delta, peak = 0.5, -70.0, -50.0, 2.0, -30.0  # GΩ, mV

    def field(v, w):
        upswing = delta * math.exp((min(v, peak + 1) - onset) / delta)
        return (-(v - rest) + upswing - resistance * w + resistance * pa) / tau, (a * (v - rest) - w) / tau_w

    times, (v, w) = spikes(field, lambda _: peak, lambda _, w: (reset, w + b), (rest, 0.0), time)
    return {"name": name, "current": pa, "time": time, "spikes": times, "v": v, "w": w}


def izhikevich(name, a, b, c, d, current, time):
    slope = 5 - b
    rest = (-slope - math.sqrt(max(slope * slope - 22.4, 0.0))) / 0.08

    def field(v, u):
        return 0.04 * v * v + 5 * v + 140 - u + current, a * (b * v - u)

    times, (v, u) = spikes(field, lambda _: 30.0, lambda _, u: (c, u + d), (rest, b * rest), time)
    return {"name": name, "current": current, "time": time, "spikes": times, "v": v, "w": u}


def alif(name, tau, tau_w, b, current, time):
    """V counts from 0, and the threshold is 1 + w; the reset takes V to the w after the jump."""

    def field(v, w):
        return -v / tau + current, -w / tau_w

    times, (v, w) = spikes(field, lambda x: 1 + x[1], lambda v, w: (v - 1 + b, w + b), (0.0, 0.0), time)
    return {"name": name, "current": current, "time": time, "spikes": times, "v": v, "w": w}


def resonate(name, tau, hertz, current, time):
    omega = 2e-3 * math.pi * hertz

    def field(v, w):
        return -v / tau - omega * w + current, omega * v - w / tau

    times, (v, w) = spikes(field, lambda _: 1.0, lambda v, w: (v - 1, w), (0.0, 0.0), time)
    return {"name": name, "current": current, "time": time, "spikes": times, "v": v, "w": w}


cases = [
    adex("AdEx tonic", 20.0, 0.0, 30.0, 60.0, -55.0, 65.0, 350.0),
    adex("AdEx adapting", 20.0, 0.0, 100.0, 5.0, -55.0, 65.0, 350.0),
    adex("AdEx initial burst", 5.0, 0.5, 100.0, 7.0, -51.0, 65.0, 350.0),
    adex("AdEx bursting", 5.0, -0.5, 100.0, 7.0, -46.0, 65.0, 120.0),
    adex("AdEx transient", 10.0, 1.0, 100.0, 10.0, -60.0, 65.0, 350.0),
    adex("AdEx delayed", 5.0, -1.0, 100.0, 10.0, -60.0, 25.0, 350.0),
    izhikevich("Izhikevich regular spiking", 0.02, 0.2, -65.0, 8.0, 10.0, 300.0),
    izhikevich("Izhikevich intrinsically bursting", 0.02, 0.2, -55.0, 4.0, 10.0, 300.0),
    izhikevich("Izhikevich chattering", 0.02, 0.2, -50.0, 2.0, 10.0, 150.0),
    izhikevich("Izhikevich fast spiking", 0.1, 0.2, -65.0, 2.0, 10.0, 200.0),
    izhikevich("Izhikevich low-threshold spiking", 0.02, 0.25, -65.0, 2.0, 10.0, 200.0),
    alif("ALIF", 20.0, 150.0, 0.15, 0.15, 300.0),
    resonate("resonate-and-fire", 40.0, 20.0, 0.3, 300.0),
]
Path(__file__).with_name("planar.json").write_text(json.dumps(cases, indent=1) + "\n")
for case in cases:
    print(case["name"], len(case["spikes"]), [round(t, 2) for t in case["spikes"]][:14])
