"""The system in PyTorch: a loop over time, its step compiled if asked for."""

import torch
from measure import arguments, network, on_cuda, report, write
from system import System

args = arguments()
system = System.read(torch, torch.Tensor.detach, args.constants)
device = "cuda" if on_cuda(args) else "cpu"
parameters, data = network(args)
parameters = {name: torch.from_numpy(value).to(device).requires_grad_() for name, value in parameters.items()}
series, target = (torch.from_numpy(data[name]).to(device).transpose(0, 1).contiguous() for name in ("input", "target"))
v0 = torch.from_numpy(data["v0"]).to(device)
off_diagonal = 1 - torch.eye(v0.shape[1], dtype=v0.dtype, device=device)


def step(v, sent, traces, series, projection, bias, weights):
    (v, sent, traces), i = system.step((v, sent, traces), series @ projection + bias, weights)
    return v, sent, traces, i.detach().abs().max()


if args.compile:
    step = torch.compile(step, fullgraph=True, dynamic=False)


def run():
    projection, bias, weights = system.scaled(parameters, off_diagonal)
    v, sent, traces = system.start(v0)
    trace, largest = [], []
    for now in series:
        v, sent, traces, current = step(v, sent, traces, now, projection, bias, weights)
        trace.append(traces[0])
        largest.append(current)
    error = torch.stack(trace) @ parameters["O"] - target
    return 0.5 * (error * error).sum(-1).mean(), torch.stack(largest).max()


def gradient():
    for parameter in parameters.values():
        parameter.grad = None
    cost, largest = run()
    cost.backward()
    if device == "cuda":
        torch.cuda.synchronize()
    return cost, largest


if args.gradients:
    cost, largest = gradient()
    system.check(float(largest))
    write(args, cost.detach().cpu().numpy(), {name: p.grad.cpu().numpy() for name, p in parameters.items()})
else:
    if args.compile:
        # Compiles both directions before anything is measured; a few steps will do.
        whole, series = series, series[:3]
        whole_target, target = target, target[:3]
        gradient()
        series, target = whole, whole_target
    report(args, gradient)
    _, largest = gradient()
    system.check(float(largest))
