"""Spiking neural networks that learn by exact gradient descent, for NumPy and PyTorch.

A smooth gate replaces the all-or-none synapse (Huh & Sejnowski, "Gradient Descent for Spiking Neural
Networks", 2017), so that a network of spiking neurons is differentiable. All time steps run in one
operation, written in Rust, whose backward pass is the exact adjoint.

- `Plan`: neuron, gate, synapse types and time step; `Plan.forward` and `Plan.adjoint` on NumPy arrays.
- `burn_spiking.torch`: the operation in PyTorch's graph (`scan`), and a layer (`SpikingRnn`).
- `lif`, `qif`, `nif`, `alif`, ...: neurons. `quintic`, `raised_cosine`, `threshold`: gates. `synapse`: a synapse type.

Times are in ms, currents of the operation in 1/ms, and potentials go from the reset, 0, to the threshold, 1.
"""

import json

from burn_spiking._op import Plan as _Plan
from burn_spiking._op import Tape

__all__ = [
    "Plan", "Tape", "nif", "lif", "qif", "eif", "alif", "refractory_lif", "resonate_and_fire", "adex", "izhikevich",
    "quintic", "raised_cosine", "threshold", "synapse",
]  # fmt: skip


def nif():
    """Non-leaky integrate-and-fire."""
    return "Nif"


def lif(tau_mem):
    """Leaky integrate-and-fire, tau_mem in ms."""
    return {"Lif": {"tau_mem": float(tau_mem)}}


def qif(tau_mem):
    """Quadratic integrate-and-fire in its phase form, tau_mem in ms."""
    return {"Qif": {"tau_mem": float(tau_mem)}}


def eif(tau_mem, delta=0.15, onset=0.7, substeps=1):
    """Exponential integrate-and-fire, tau_mem in ms."""
    return {"Eif": {"tau_mem": float(tau_mem), "delta": delta, "onset": onset, "substeps": substeps}}


def alif(tau_mem, tau_w, b, substeps=1):
    """Leaky with a threshold that rises by b at a spike and decays with tau_w; times in ms."""
    return {"Alif": {"tau_mem": float(tau_mem), "tau_w": float(tau_w), "b": float(b), "substeps": substeps}}


def refractory_lif(tau_mem, period, substeps=1):
    """Leaky with a refractory period; times in ms."""
    return {"RefractoryLif": {"tau_mem": float(tau_mem), "period": float(period), "substeps": substeps}}


def resonate_and_fire(tau_mem, frequency, b=0.0, substeps=1):
    """A damped oscillation, tau_mem in ms and frequency in Hz."""
    constants = {"tau_mem": float(tau_mem), "frequency": float(frequency), "b": float(b), "substeps": substeps}
    return {"ResonateAndFire": constants}


def adex(tau_mem, delta, onset, rest, tau_w, a, b, substeps=4):
    """Exponential with adaptation; times in ms, potentials from reset (0) to peak (1)."""
    constants = {"tau_mem": tau_mem, "delta": delta, "onset": onset, "rest": rest, "tau_w": tau_w, "a": a, "b": b}
    return {"AdEx": {**{name: float(value) for name, value in constants.items()}, "substeps": substeps}}


def izhikevich(a, b, c, d, substeps=4):
    """Quadratic with recovery, with its constants as published."""
    return {"Izhikevich": {"a": float(a), "b": float(b), "c": float(c), "d": float(d), "substeps": substeps}}


def quintic(width):
    """A gate that opens over the last `width` below the threshold, by a polynomial of degree five."""
    return {"Quintic": {"width": float(width)}}


def raised_cosine(width):
    """A gate that opens over the last `width` below the threshold, by a cosine."""
    return {"RaisedCosine": {"width": float(width)}}


def threshold(at=1.0):
    """The all-or-none synapse; it has no gradient."""
    return {"Threshold": {"at": float(at)}}


def synapse(tau, connections="recurrent", readout=True, delay=0.0):
    """A synapse type with time constant `tau` and a fixed `delay`, in ms.

    `connections` is "recurrent", "self" (each neuron to itself alone) or None; `readout` tells whether the trajectory has its trace.
    """
    kinds = {"recurrent": "Recurrent", "self": {"SelfOnly": {"weight": 0.0, "learned": True}}, None: "None"}
    if connections not in kinds:
        raise ValueError(f"connections are {connections!r}, but must be 'recurrent', 'self' or None")
    return {
        "tau": float(tau),
        "connections": kinds[connections],
        "readout": bool(readout),
        "delay": float(delay),
        "learned_delays": None,
    }


class Plan:
    """Everything about a network except its tensors.

    neuron, gate: such as `qif(25)`, `quintic(0.1)`. synapses: a list of `synapse(...)`. dt: the time step in ms. The flags tell
    what the trajectory has besides traces: potentials, with w of neurons of two variables, and charges.
    """

    def __init__(self, neuron, gate, synapses, dt=1.0, record_v=False, record_charge=False):
        written = (json.dumps(neuron), json.dumps(gate), json.dumps(synapses))
        self._plan = _Plan(*written, dt, record_v, record_charge)
        self.description = {"neuron": neuron, "gate": gate, "synapses": synapses, "dt": dt}

    def __getattr__(self, name):
        if name == "_plan":
            raise AttributeError(name)
        return getattr(self._plan, name)

    def __repr__(self):
        return f"Plan({self.description})"
