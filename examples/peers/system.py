"""The system that every peer runs, once for jax.numpy and torch.

    I_t       = x_t + sum_k W_k s^k_t              x = U i + I_o
    vpre_t    = phi(v_t, I_t)                      the neuron's exact flow, unwrapped
    n_t       = max(floor(vpre_t), 0)              spikes in this step
    v_{t+1}   = vpre_t - n_t
    dQ_t      = n_t + G(v_{t+1}) - G(v_t)          charge sent in this step
    s^k_{t+1} = alpha_k s^k_t + dQ_t               o_t = O s_{t+1}
    C         = mean over batch and time of sum over outputs (o - o_d)^2 / 2

Parameters are the layer's: U, I_o and W count in units of 1/time_unit, and self-connections as 0.
The QIF flow is the series for |z| <= 1, z = 4 pi^2 dt^2 I / tau_mem, the LIF flow that with at most one spike in a step. Both hold for
all currents that these networks reach; `check` makes sure of it after a run.
"""

import json
import math
from dataclasses import dataclass


@dataclass
class System:
    """Constants, times in ms; `xp` is jax.numpy or torch, `stop` cuts a value from the graph."""

    xp: object
    stop: object
    neuron: str
    tau_mem: float
    time_unit: float
    width: float
    dt: float
    decays: list
    recurrent: bool
    double: bool
    cuda: bool

    @classmethod
    def read(cls, xp, stop, path):
        with open(path) as file:
            return cls(xp, stop, **json.load(file))

    def series(self, z, first):
        """sum (-z)^n / (2n + first)!, the even (0) or odd (1) series of the rotation."""
        terms = 10 if self.double else 6
        coefficients = [(-1) ** n / math.factorial(2 * n + first) for n in range(terms)]
        total = coefficients[-1] * z
        for c in coefficients[-2:0:-1]:
            total = (total + c) * z
        return total + coefficients[0]

    def phi(self, v, i):
        if self.neuron == "nif":
            return v + self.dt * i
        xp = self.xp
        if self.neuron == "lif":
            left, target = math.exp(-self.dt / self.tau_mem), self.tau_mem * i
            quiet = left * v - math.expm1(-self.dt / self.tau_mem) * target
            excess = xp.clip(target - 1, 1e-12, None)
            return xp.where(quiet < 1, quiet, 1 + target * (quiet - 1) / excess)
        angle = math.pi * (v - 0.5)
        sin, cos = xp.sin(angle), xp.cos(angle)
        z = i * (4 * math.pi**2 * self.dt**2 / self.tau_mem)
        h = 2 * math.pi * self.dt * self.series(z, 1)
        a = h * (sin * sin / self.tau_mem + cos * cos * i)
        b = self.series(z, 0) + h * (sin * cos) * (i - 1 / self.tau_mem)
        return v + xp.arctan2(a, b) / math.pi

    def charge(self, v):
        u = self.xp.clip((v - (1 - self.width)) / self.width, 0.0, 1.0)
        return u * u * u * (10 + u * (6 * u - 15))

    def start(self, v0):
        """v, G(v) and all traces."""
        return v0, self.charge(v0), [self.xp.zeros_like(v0) for _ in self.decays]

    def step(self, state, x, weights):
        """The next state and the current."""
        v, sent, traces = state
        i = x
        for w, s in zip(weights, traces):
            i = i + s @ w
        vpre = self.phi(v, i)
        n = self.stop(self.xp.clip(self.xp.floor(vpre), 0.0, None))
        v = vpre - n
        now = self.charge(v)
        charge = n + (now - sent)
        traces = [decay * s + charge for decay, s in zip(self.decays, traces)]
        return (v, now, traces), i

    def scaled(self, p, off_diagonal):
        """U, I_o and W_k in 1/ms."""
        planes = len(self.decays) if self.recurrent else 0
        weights = [p[f"W{k}"] * off_diagonal / self.time_unit for k in range(planes)]
        return p["U"] / self.time_unit, p["I_o"] / self.time_unit, weights

    def check(self, largest_current):
        limits = {
            "nif": math.inf,
            "lif": -1 / (self.tau_mem * math.expm1(-self.dt / self.tau_mem)),
            "qif": self.tau_mem / (4 * math.pi**2 * self.dt**2),
        }
        limit = limits[self.neuron]
        if not largest_current <= limit:
            raise SystemExit(f"a current of {largest_current} 1/ms is beyond the {limit} up to which this flow holds")
