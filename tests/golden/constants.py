"""Gradients with respect to the constants of neurons with two variables, by central differences.

The equations are written out one neuron at a time in their published form: ALIF with a threshold
that moves, resonate-and-fire as one complex number, and the crossing of the threshold by bisection,
so none of the library's variables, flows, searches or derivatives is involved. AdEx neurons take
one Runge-Kutta step, as in the library, because its map is what is differentiated. Needs Python
alone. Writes constants.json beside itself.
"""

import cmath
import json
import math
import random
from pathlib import Path

NEURONS, STEPS, DT, TAU, WIDTH = 3, 60, 0.5, 6.0, 0.7
DELTA, ONSET, REST, A = 0.15, 0.7, -0.1, 0.2


def gate(v):
    u = min(max((v - (1 - WIDTH)) / WIDTH, 0.0), 1.0)
    return u**3 * (10 - 15 * u + 6 * u * u)


class Alif:
    """V and the threshold 1 + w; a reset takes V to w."""

    def start(self, v):
        return (v, 0.0)

    def advance(self, state, current, time, tau, tau_w):
        v, w = state
        v = tau * current + (v - tau * current) * math.exp(-time / tau)
        return v, w * math.exp(-time / tau_w)

    def distance(self, state):
        return state[0] - state[1]

    def reset(self, state):
        return (state[1], state[1])

    def jump(self, state, rise):
        return (state[0] + rise, state[1] + rise)


class Resonate:
    def start(self, v):
        return complex(v, 0.0)

    def advance(self, z, current, time, tau, hertz):
        pole = complex(-1 / tau, 2e-3 * math.pi * hertz)
        goal = -current / pole
        return goal + (z - goal) * cmath.exp(pole * time)

    def distance(self, z):
        return z.real

    def reset(self, z):
        return z - 1

    def jump(self, z, rise):
        return z + 1j * rise


class AdEx:
    def start(self, v):
        return (v, 0.0)

    def advance(self, state, current, time, tau, tau_w):
        def rates(v, w):
            upswing = DELTA * math.exp((min(v, 1.0) - ONSET) / DELTA)
            return (-(v - REST) + upswing - w) / tau + current, (A * (v - REST) - w) / tau_w

        def moved(rates, time):
            return state[0] + time * rates[0], state[1] + time * rates[1]

        k1 = rates(*state)
        k2 = rates(*moved(k1, time / 2))
        k3 = rates(*moved(k2, time / 2))
        k4 = rates(*moved(k3, time))
        return moved([(a + 2 * b + 2 * c + d) / 6 for a, b, c, d in zip(k1, k2, k3, k4)], time)

    def distance(self, state):
        return state[0]

    def reset(self, state):
        return (0.0, state[1])

    def jump(self, state, rise):
        return (state[0], state[1] + rise)


def step(model, state, current, constants):
    """The state after a step, and whether it had a spike."""
    after = model.advance(state, current, DT, *constants)
    if model.distance(after) < 1:
        return after, 0
    low, high = 0.0, DT
    for _ in range(80):
        middle = (low + high) / 2
        if model.distance(model.advance(state, current, middle, *constants)) < 1:
            low = middle
        else:
            high = middle
    crossed = model.reset(model.advance(state, current, high, *constants))
    return model.advance(crossed, current, DT - high, *constants), 1


def run(model, weights, drive, start, constants):
    """The cost weighs each trace after each step. Weights and drive are in units of 1/tau_mem."""
    alpha = math.exp(-DT / TAU)
    states, traces, cost, count = [model.start(v) for v in start], [0.0] * NEURONS, 0.0, 0
    for t in range(STEPS):
        before = list(traces)
        for j in range(NEURONS):
            tau, second, b = constants[j]
            current = drive[j] * (1 + 0.5 * math.sin(0.31 * t + j))
            current += sum(weights[i][j] * before[i] for i in range(NEURONS))
            sent = gate(model.distance(states[j]))
            state, spikes = step(model, states[j], current / tau, (tau, second))
            charge = spikes + gate(model.distance(state)) - sent
            states[j] = model.jump(state, b * charge)
            traces[j] = alpha * before[j] + charge
            cost += math.sin(1 + 0.7 * t + 1.3 * j) * traces[j]
            count += spikes
    return cost, count


def case(name, model, middle, seed):
    numbers = random.Random(seed)
    weights = [[numbers.gauss(0, 0.6) for _ in range(NEURONS)] for _ in range(NEURONS)]
    drive = [numbers.uniform(1.5, 2.5) * middle["drive"] for _ in range(NEURONS)]
    start = [numbers.uniform(0.1, 0.6) for _ in range(NEURONS)]
    around = lambda value: value * numbers.uniform(0.8, 1.25)
    constants = [[around(middle["tau_mem"]), around(middle["second"]), around(middle["b"])] for _ in range(NEURONS)]
    cost, count = run(model, weights, drive, start, constants)
    gradient = []
    for which in range(3):
        for j in range(NEURONS):

            def slope(h):
                costs = []
                for side in (1, -1):
                    changed = [list(own) for own in constants]
                    changed[j][which] *= 1 + side * h
                    found, spikes = run(model, weights, drive, start, changed)
                    assert spikes == count
                    costs.append(found)
                return (costs[0] - costs[1]) / (2 * h * constants[j][which])

            h = 1e-5
            gradient.append((4 * slope(h / 2) - slope(h)) / 3)
    names = ["tau_mem", "second", "b"]
    return {
        "name": name, "weights": weights, "drive": drive, "start": start, "cost": cost, "spikes": count,
        **{name: [own[at] for own in constants] for at, name in enumerate(names)},
        **{"d_" + name: gradient[at * NEURONS:(at + 1) * NEURONS] for at, name in enumerate(names)},
    }  # fmt: skip


cases = [
    case("ALIF", Alif(), {"tau_mem": 12.0, "second": 60.0, "b": 0.3, "drive": 1.0}, 1),
    case("resonate-and-fire", Resonate(), {"tau_mem": 20.0, "second": 25.0, "b": 0.2, "drive": 3.0}, 2),
    case("AdEx", AdEx(), {"tau_mem": 12.0, "second": 50.0, "b": 0.25, "drive": 0.8}, 3),
]
Path(__file__).with_name("constants.json").write_text(json.dumps(cases, indent=1) + "\n")
for found in cases:
    print(found["name"], found["spikes"], "spikes", found["cost"], found["d_tau_mem"], found["d_second"], found["d_b"])
