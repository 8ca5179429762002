"""The system in PyTorch, with all time steps in the operation of `burn_spiking` (crates/burn-spiking-python).

`compare --peers` leaves the network and the constants in the folder `peers` of its report.
"""

import torch
from measure import arguments, network, report, write

import burn_spiking as bs
from burn_spiking.torch import State, rest, scan
from system import System

args = arguments()
system = System.read(torch, torch.Tensor.detach, args.constants)
parameters, data = network(args)
parameters = {name: torch.from_numpy(value).requires_grad_() for name, value in parameters.items()}
series, target, v0 = (torch.from_numpy(data[name]) for name in ("input", "target", "v0"))
off_diagonal = 1 - torch.eye(v0.shape[1], dtype=v0.dtype)

neuron = bs.nif() if system.neuron == "nif" else getattr(bs, system.neuron)(system.tau_mem)
taus = [-system.dt / torch.tensor(decay, dtype=torch.float64).log().item() for decay in system.decays]
# The readout reads the first trace.
kinds = [bs.synapse(tau, "recurrent" if system.recurrent else None, readout=k == 0) for k, tau in enumerate(taus)]
plan = bs.Plan(neuron, bs.quintic(system.width), kinds, system.dt)
state = State(v0, rest(plan, *v0.shape, v0.dtype).s)


def gradient():
    for parameter in parameters.values():
        parameter.grad = None
    projection, bias, weights = system.scaled(parameters, off_diagonal)
    weights = torch.stack(weights) if weights else None
    trajectory, _ = scan(plan, series, projection, bias, weights, state=state)
    error = trajectory.traces[0] @ parameters["O"] - target
    cost = 0.5 * (error * error).sum(-1).mean()
    cost.backward()
    return cost


if args.gradients:
    cost = gradient()
    write(args, cost.detach().numpy(), {name: p.grad.numpy() for name, p in parameters.items()})
else:
    report(args, gradient)
