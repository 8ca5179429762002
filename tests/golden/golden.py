"""Golden numbers: small networks in JAX, in double precision, frozen to JSON files beside this script.

    python tests/golden/golden.py        # needs jax, as in examples/peers/requirements.txt

The system is `examples/peers/system.py`, which shares no line with the Rust code. Gradients are JAX's automatic ones.
Inputs and parameters are sines of their indices, so no random numbers are needed; they are in the files, too.
"""

import json
import math
import os
import sys
from pathlib import Path

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["JAX_ENABLE_X64"] = "1"
os.environ["JAX_DEFAULT_MATMUL_PRECISION"] = "highest"

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "examples" / "peers"))
from system import System

BATCH, STEPS, NEURONS, CHANNELS, OUTPUTS = 2, 40, 5, 3, 2

CASES = {
    "nif": dict(neuron="nif", tau_mem=1.0, time_unit=10.0, width=0.5, dt=0.5, taus=[10.0], bias=1.3, weights=0.8),
    "lif": dict(neuron="lif", tau_mem=15.0, time_unit=15.0, width=0.4, dt=0.5, taus=[8.0], bias=2.1, weights=0.9),
    "qif": dict(neuron="qif", tau_mem=25.0, time_unit=25.0, width=1.0, dt=1.0, taus=[20.0], bias=1.1, weights=0.7),
    "qif-narrow": dict(neuron="qif", tau_mem=20.0, time_unit=20.0, width=0.2, dt=0.5, taus=[12.0], bias=1.6, weights=0.9),
    "qif-two-types": dict(neuron="qif", tau_mem=20.0, time_unit=20.0, width=0.7, dt=1.0, taus=[10.0, 30.0], bias=1.4, weights=0.5),
}


# The spikes of this one have the derivative of a fast sigmoid, and its reset has none.
SURROGATES = {
    "lif-surrogate": dict(neuron="lif", tau_mem=15.0, time_unit=15.0, width=0.4, dt=0.5, taus=[8.0], bias=2.1, weights=0.9, slope=7.0),
}


@jax.custom_jvp
def spikes_beyond(x, slope):
    return jnp.clip(jnp.floor(x + 1), 0.0, None)


@spikes_beyond.defjvp
def _(primals, tangents):
    (x, slope), (dx, _) = primals, tangents
    return spikes_beyond(x, slope), dx / (1 + slope * jnp.abs(x)) ** 2


class SurrogateSystem(System):
    """LIF neurons with a threshold instead of the gate, and a surrogate derivative."""

    slope = 1.0

    def charge(self, v):
        return jnp.zeros_like(v)

    def step(self, state, x, weights):
        v, sent, traces = state
        i = x + sum(s @ w for w, s in zip(weights, traces))
        left = math.exp(-self.dt / self.tau_mem)
        linear = left * v + (1 - left) * self.tau_mem * i
        vpre = linear + self.stop(self.phi(v, i) - linear)
        n = spikes_beyond(vpre - 1, self.slope)
        traces = [decay * s + n for decay, s in zip(self.decays, traces)]
        return (vpre - self.stop(n), sent, traces), i


def wave(shape, frequency, size):
    """Numbers without a pattern that matters: size sin(frequency (1 + index)^1.3)."""
    index = np.arange(math.prod(shape), dtype=np.float64)
    return (size * np.sin(frequency * (1 + index) ** 1.3)).reshape(shape)


def run(name, case):
    decays = [math.exp(-case["dt"] / tau) for tau in case["taus"]]
    constants = {key: case[key] for key in ["neuron", "tau_mem", "time_unit", "width", "dt"]}
    kind = SurrogateSystem if "slope" in case else System
    system = kind(jnp, lax.stop_gradient, decays=decays, recurrent=True, double=True, cuda=False, **constants)
    system.slope = case.get("slope")
    p = {
        "U": wave((CHANNELS, NEURONS), 0.7, 0.6),
        "I_o": case["bias"] + wave((NEURONS,), 1.9, 0.3),
        "O": wave((NEURONS, OUTPUTS), 2.3, 0.5),
    }
    for k in range(len(decays)):
        p[f"W{k}"] = wave((NEURONS, NEURONS), 1.1 + k, case["weights"])
    data = {
        "input": wave((BATCH, STEPS, CHANNELS), 0.37, 1.0),
        "target": wave((BATCH, STEPS, OUTPUTS), 0.11, 0.4),
        "v0": 0.5 + wave((BATCH, NEURONS), 0.9, 0.45),
    }
    off_diagonal = 1 - np.eye(NEURONS)

    def cost(p, v0, series):
        projection, bias, weights = system.scaled(p, off_diagonal)
        drive = jnp.swapaxes(series, 0, 1) @ projection + bias

        def step(state, x):
            state, i = system.step(state, x, weights)
            return state, (state[0], state[2][0], jnp.max(jnp.abs(lax.stop_gradient(i))))

        last, (v, trace, largest) = lax.scan(step, system.start(v0), drive)
        error = jnp.swapaxes(trace @ p["O"], 0, 1) - data["target"]
        value = 0.5 * jnp.mean(jnp.sum(error * error, -1))
        return value, (jnp.swapaxes(v, 0, 1), jnp.swapaxes(trace, 0, 1), jnp.stack(last[2], 1), jnp.max(largest))

    arguments = ({key: jnp.asarray(x) for key, x in p.items()}, jnp.asarray(data["v0"]), jnp.asarray(data["input"]))
    (value, (v, trace, last_s, largest)), gradients = jax.value_and_grad(cost, (0, 1, 2), has_aux=True)(*arguments)
    system.check(float(largest))
    spikes = int((np.diff(np.concatenate([data["v0"][:, None], np.asarray(v)], 1), axis=1) < -0.5).sum())
    assert spikes >= 10, f"{name}: {spikes} spikes"
    shaped = lambda x: {"shape": list(np.shape(x)), "values": np.asarray(x, dtype=np.float64).ravel().tolist()}
    return {
        "case": case,
        "parameters": {key: shaped(x) for key, x in p.items()},
        "data": {key: shaped(x) for key, x in data.items()},
        "cost": float(value),
        "v": shaped(v),
        "trace": shaped(trace),
        "last_s": shaped(last_s),
        "gradients": {key: shaped(x) for key, x in (gradients[0] | {"v0": gradients[1], "input": gradients[2]}).items()},
        "spikes": spikes,
    }


for name, case in (CASES | SURROGATES).items():
    frozen = run(name, case)
    with open(HERE / f"{name}.json", "w") as file:
        json.dump(frozen, file)
        file.write("\n")
    largest = {key: max(map(abs, x["values"])) for key, x in frozen["gradients"].items()}
    print(name, "cost", frozen["cost"], "spikes", frozen["spikes"], {key: f"{x:.2g}" for key, x in largest.items()})
