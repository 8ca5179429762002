"""Runs of networks with delays of any length, and their gradients by central differences.

The equations are written out one neuron and one connection at a time: a current is read from the
history of the sender's trace, between two steps, so none of the library's lags or kernels is
involved. Needs Python alone. Writes delays.json beside itself.
"""

import json
import math
import random
from pathlib import Path

NEURONS, STEPS, DT, TAU, WIDTH, LONGEST = 4, 60, 0.5, 4.0, 0.6, 6.0


def gate(v):
    u = min(max((v - (1 - WIDTH)) / WIDTH, 0.0), 1.0)
    return u**3 * (10 - 15 * u + 6 * u * u)


def run(weights, delays, drive, start):
    """Non-leaky neurons; the cost weighs each trace after each step. `weights[pre][post]`."""
    alpha = math.exp(-DT / TAU)
    v, history, cost = list(start), [[0.0] * NEURONS], 0.0

    def trace(neuron, t):
        """The trace of a sender at step t, which may lie between two steps."""
        before = math.floor(t)
        at = lambda t: history[t][neuron] if t >= 0 else 0.0
        share = t - before
        return (1 - share) * at(before) + (share * at(before + 1) if share else 0.0)

    for t in range(STEPS):
        after = []
        for post in range(NEURONS):
            current = drive[post] * (1 + math.sin(0.31 * t + post))
            for pre in range(NEURONS):
                current += weights[pre][post] * trace(pre, t - delays[pre][post] / DT)
            unwrapped = v[post] + DT * current / TAU
            spikes = max(math.floor(unwrapped), 0)
            potential = unwrapped - spikes
            charge = spikes + gate(potential) - gate(v[post])
            v[post] = potential
            after.append(alpha * history[-1][post] + charge)
            cost += math.sin(1 + 0.7 * t + 1.3 * post) * after[-1]
        history.append(after)
    return cost, v, history[-1]


def gradient(change, shape, of):
    """Central differences with steps h, h/2 and an extrapolation to 0."""

    def slope(at, h):
        return (of(change(at, h)) - of(change(at, -h))) / (2 * h)

    h = 1e-4
    return [(4 * slope(at, h / 2) - slope(at, h)) / 3 for at in shape]


def case(sharing, seed):
    draw = random.Random(seed)
    weights = [[draw.gauss(0, 1.2) for _ in range(NEURONS)] for _ in range(NEURONS)]
    count = {"type": 1, "sender": NEURONS, "connection": NEURONS**2}[sharing]
    given = [draw.uniform(0.2, LONGEST - 0.2) for _ in range(count)]
    drive = [draw.uniform(0.3, 0.9) for _ in range(NEURONS)]
    start = [draw.uniform(0.1, 0.9) for _ in range(NEURONS)]

    def spread(given):
        of = {"type": lambda pre, post: 0, "sender": lambda pre, post: pre, "connection": lambda pre, post: pre * NEURONS + post}
        return [[given[of[sharing](pre, post)] for post in range(NEURONS)] for pre in range(NEURONS)]

    def other_delays(at, h):
        return weights, spread([x + h * (n == at) for n, x in enumerate(given)])

    def other_weights(at, h):
        moved = [[x + h * (pre * NEURONS + post == at) for post, x in enumerate(row)] for pre, row in enumerate(weights)]
        return moved, spread(given)

    def cost_of(changed):
        return run(*changed, drive, start)[0]

    cost, v, s = run(weights, spread(given), drive, start)
    return {
        "sharing": sharing,
        "weights": sum(weights, []),
        "delays": given,
        "drive": drive,
        "start": start,
        "cost": cost,
        "v": v,
        "s": s,
        "by_weights": gradient(other_weights, range(NEURONS**2), cost_of),
        "by_delays": gradient(other_delays, range(count), cost_of),
    }


cases = [case(sharing, seed) for seed, sharing in enumerate(["type", "sender", "connection"])]
Path(__file__).with_name("delays.json").write_text(json.dumps(cases, indent=1) + "\n")
