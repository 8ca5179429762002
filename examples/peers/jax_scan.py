"""The system in JAX: one jitted value_and_grad of a lax.scan."""

import os

from measure import arguments, network, on_cuda, report, write

args = arguments()
os.environ["JAX_PLATFORMS"] = "cuda" if on_cuda(args) else "cpu"
# Products in the precision that was asked for, as everywhere else.
os.environ["JAX_DEFAULT_MATMUL_PRECISION"] = "highest"
os.environ["JAX_ENABLE_X64"] = "1"

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from system import System

system = System.read(jnp, lax.stop_gradient, args.constants)
parameters, data = network(args)
off_diagonal = 1 - np.eye(data["v0"].shape[1], dtype=data["v0"].dtype)


def cost(p, series, target, v0):
    projection, bias, weights = system.scaled(p, off_diagonal)
    drive = series @ projection + bias

    def step(state, x):
        state, i = system.step(state, x, weights)
        return state, (state[2][0], jnp.max(jnp.abs(lax.stop_gradient(i))))

    _, (trace, largest) = lax.scan(step, system.start(v0), drive)
    error = trace @ p["O"] - target
    return 0.5 * jnp.mean(jnp.sum(error * error, -1)), jnp.max(largest)


def time_first(x):
    return jnp.asarray(np.ascontiguousarray(x.swapaxes(0, 1)))


p = {name: jnp.asarray(value) for name, value in parameters.items()}
inputs = (p, time_first(data["input"]), time_first(data["target"]), jnp.asarray(data["v0"]))
gradient = jax.jit(jax.value_and_grad(cost, has_aux=True)).lower(*inputs).compile()

if args.gradients:
    (value, largest), gradients = gradient(*inputs)
    system.check(float(largest))
    write(args, np.asarray(value), {name: np.asarray(g) for name, g in gradients.items()})
else:
    report(args, lambda: jax.block_until_ready(gradient(*inputs)))
    (_, largest), _ = gradient(*inputs)
    system.check(float(largest))
