"""The scan in PyTorch's graph, and a recurrent layer made of it. CPU tensors of float32 or float64."""

import json
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
        # The configuration of the file from which the layer was read.
        self.saved = None
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


def load(path):
    """The layer of a file that `burn_spiking_exchange::weights` wrote, or (layer, readout) of a network. Needs safetensors.

    Train it further, and `save` it for the Rust library. Raises ValueError if the layer has parts that are not here.
    """
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        text = (file.metadata() or {}).get("burn_spiking")
        if text is None:
            raise ValueError(f"{path} has no configuration of burn-spiking in its metadata")
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    described = json.loads(text)
    kind = described["kind"]
    if described["format"] != 1 or kind not in ("layer", "network"):
        raise ValueError(f"{path} has a {kind} in format {described['format']}, but a layer or network in format 1 is wanted")
    config = described["config"]["layer"] if kind == "network" else described["config"]
    prefix = "layer." if kind == "network" else ""
    plan = Plan(config["neuron"], config["gate"], config["synapses"], config["dt"])
    layer = SpikingRnn(config["d_input"], config["d_hidden"], plan, config["bias"], config["autapses"])
    layer.saved = text
    missing = [name for name, usual in _USUAL.items() if config.get(name, usual) not in (usual, False)]
    missing += [name for name, learned in config["learned"].items() if learned not in ("No", False)]
    missing += [name for name in tensors if ".connections_" in name]
    if missing:
        raise ValueError(f"{path} has {', '.join(missing)}, which the PyTorch layer does not have")
    count = {"recurrent_weights": plan.weight_planes, "self_weights": plan.self_weight_rows}
    values = {name: [tensors[f"{prefix}{name}.{k}"] for k in range(planes)] for name, planes in count.items()}
    layer.to(tensors[prefix + "input_weight"].dtype)
    with torch.no_grad():
        layer.input_weight.copy_(tensors[prefix + "input_weight"])
        if layer.bias is not None:
            layer.bias.copy_(tensors[prefix + "bias"])
        for name, rows in values.items():
            for to, row in zip(getattr(layer, name), rows):
                to.copy_(row)
    if kind == "layer":
        return layer
    weight = tensors["readout.weight"].T.contiguous()
    readout = torch.nn.Linear(weight.shape[1], weight.shape[0], bias="readout.bias" in tensors, dtype=weight.dtype)
    with torch.no_grad():
        readout.weight.copy_(weight)
        if readout.bias is not None:
            readout.bias.copy_(tensors["readout.bias"])
    return layer, readout


_USUAL = {"wiring": "Full", "dale": None, "learned_start": False, "integrator": "Flow", "input_tau": None}


def save(path, layer, readout=None):
    """Writes a layer, or a network, that `load` read, with its parameters of now, for the Rust library."""
    from safetensors.torch import save_file

    text = layer.saved
    if text is None:
        raise ValueError("only a layer that `load` read can be saved: the file takes over its configuration")
    prefix = "" if readout is None else "layer."
    if (json.loads(text)["kind"] == "network") != (readout is not None):
        raise ValueError("a network has a readout, and a layer has none; give what `load` returned")
    tensors = {prefix + "input_weight": layer.input_weight}
    if layer.bias is not None:
        tensors[prefix + "bias"] = layer.bias
    for name in ("recurrent_weights", "self_weights"):
        tensors |= {f"{prefix}{name}.{k}": rows for k, rows in enumerate(getattr(layer, name))}
    if readout is not None:
        tensors["readout.weight"] = readout.weight.T
        if readout.bias is not None:
            tensors["readout.bias"] = readout.bias
    written = {name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}
    save_file(written, path, {"burn_spiking": text})
