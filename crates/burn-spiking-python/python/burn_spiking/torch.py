"""The scan in PyTorch's graph, and a recurrent layer made of it. CPU tensors of float32 or float64."""

from typing import NamedTuple, Optional

import torch

from burn_spiking import Plan


class Trajectory(NamedTuple):
    """The rows after each step, [batch, steps, neurons] each; `traces` has one for each synapse type that is read."""

    traces: tuple
    v: Optional[torch.Tensor]
    charge: Optional[torch.Tensor]
    w: Optional[torch.Tensor]


class State(NamedTuple):
    """The state between two calls: potentials [batch, neurons], and the other rows [batch, rows, neurons]."""

    v: torch.Tensor
    s: torch.Tensor


def _array(name, tensor):
    if tensor is None:
        return None
    if tensor.device.type != "cpu":
        raise ValueError(f"{name} is on {tensor.device}, but the scan runs on the CPU; move it with .cpu()")
    if tensor.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"{name} is {tensor.dtype}, but the scan runs in float32 or float64; convert it")
    return tensor.detach().contiguous().numpy()


def _tensor(array):
    return None if array is None else torch.from_numpy(array)


NAMES = ("input", "projection", "bias", "weights", "self_weights", "v0", "s0")


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx, plan, *tensors):
        # Saved for its check alone: PyTorch refuses a backward pass if one of them was written to meanwhile.
        ctx.save_for_backward(*(tensor for tensor in tensors if tensor is not None))
        ctx.set_materialize_grads(False)
        keep = any(ctx.needs_input_grad[1:])
        arrays = [_array(name, tensor) for name, tensor in zip(NAMES, tensors)]
        *outputs, ctx.tape = plan.forward(*arrays, keep)
        ctx.plan = plan
        return tuple(_tensor(array) for array in outputs)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, *gradients):
        _ = ctx.saved_tensors
        names = ("traces", "v", "charge", "last_v", "last_s")
        arrays = [_array(f"the gradient of {name}", gradient) for name, gradient in zip(names, gradients)]
        drive, projection, bias, weights, self_weights, _v0, s0 = ctx.needs_input_grad[1:]
        found = ctx.plan.adjoint(ctx.tape, *arrays, [drive, projection, bias, weights, self_weights, s0])
        needed = zip(found, ctx.needs_input_grad[1:])
        return None, *(_tensor(array) if wanted else None for array, wanted in needed)


def scan(plan, input, projection=None, bias=None, weights=None, self_weights=None, state=None):
    """Runs all time steps; the gradients of all tensors are exact.

    input: the drive [batch, steps, neurons] in 1/ms, or, with a projection [channels, neurons], an input [batch, steps, channels].
    bias: [neurons], with a projection. weights: [planes, neurons, neurons], one plane [pre, post] for each recurrent synapse type.
    self_weights: [rows, neurons]. state: a `State`, or None for neurons at rest. Returns a `Trajectory` and the last `State`.
    """
    neurons = input.shape[-1] if projection is None else projection.shape[-1]
    v0, s0 = rest(plan, input.shape[0], neurons, input.dtype) if state is None else state
    traces, v, charge, last_v, last_s = _Scan.apply(plan, input, projection, bias, weights, self_weights, v0, s0)
    planes = () if traces is None else traces.unbind(0)
    own = planes[: plan.traces]
    w = planes[plan.traces] if len(planes) > plan.traces else None
    return Trajectory(tuple(own), v, charge, w), State(last_v, last_s)


def rest(plan, batch, neurons, dtype=None):
    """The state of neurons at rest."""
    return State(
        torch.full((batch, neurons), plan.resting_potential, dtype=dtype),
        torch.zeros(batch, plan.state_rows, neurons, dtype=dtype),
    )


class SpikingRnn(torch.nn.Module):
    """A recurrent layer of spiking neurons: `layer(input, state) -> (Trajectory, State)`.

    Parameters are in units of 1/tau_mem (of the first synapse's tau for neurons without one), as in the library's layers.
    """

    def __init__(self, d_input, d_hidden, plan: Plan, bias=True, autapses=False):
        super().__init__()
        self.plan, self.autapses = plan, autapses
        input, recurrent, tonic = plan.initial
        self.input_weight = torch.nn.Parameter(torch.randn(d_input, d_hidden) * input / d_input**0.5)
        self.bias = torch.nn.Parameter(torch.full((d_hidden,), tonic)) if bias else None
        shape = (plan.weight_planes, d_hidden, d_hidden)
        self.recurrent_weights = torch.nn.Parameter(torch.randn(shape) * recurrent / d_hidden**0.5)
        self.self_weights = torch.nn.Parameter(torch.zeros(plan.self_weight_rows, d_hidden))

    def forward(self, input, state=None):
        unit = 1.0 / self.plan.time_unit
        weights = self.recurrent_weights * unit
        if not self.autapses:
            weights = weights * (1.0 - torch.eye(weights.shape[-1], dtype=weights.dtype))
        bias = None if self.bias is None else self.bias * unit
        weights = weights if len(weights) else None
        self_weights = self.self_weights * unit if len(self.self_weights) else None
        return scan(self.plan, input, self.input_weight * unit, bias, weights, self_weights, state)

    def extra_repr(self):
        return repr(self.plan)
