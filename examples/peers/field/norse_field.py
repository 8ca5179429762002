"""Norse: leaky neurons with exponential synapses (`LIFCell`, `LIFRecurrentCell`) and a leaky readout.

The surrogate is `triangle` or `tanh` by `--method`: in Norse 1.1.0, `super` does not use its slope (it is always 1).
"""

import math

import norse.torch as norse
import torch
from common import run


class Network(torch.nn.Module):
    def __init__(self, args):
        super().__init__()
        rates = {"tau_mem_inv": torch.tensor(1000.0 / args.tau_mem), "tau_syn_inv": torch.tensor(1000.0 / args.tau_syn)}
        constants = norse.LIFParameters(**rates, method=args.method, alpha=torch.tensor(args.slope))
        dt = args.dt / 1000.0
        self.input = torch.nn.Linear(args.units, args.neurons)
        torch.nn.init.normal_(self.input.weight, 0.0, args.input / math.sqrt(args.units))
        torch.nn.init.zeros_(self.input.bias)
        if args.recurrent:
            self.neurons = norse.LIFRecurrentCell(args.neurons, args.neurons, p=constants, dt=dt)
        else:
            self.neurons = norse.LIFCell(p=constants, dt=dt)
        self.readout = torch.nn.Linear(args.neurons, args.classes)
        out = torch.tensor(1000.0 / args.tau_out)
        self.spike = args.tau_out / args.dt
        self.out = norse.LICell(p=norse.LIParameters(tau_mem_inv=out, tau_syn_inv=torch.tensor(1000.0 / 2.0)), dt=dt)

    def forward(self, spikes):
        state = readout_state = None
        total = 0.0
        for now in self.input(spikes):
            sent, state = self.neurons(now, state)
            output, readout_state = self.out(self.readout(sent), readout_state)
            total = total + output
        # So that a spike adds its weight, as in the other programs.
        return total / len(spikes) * self.spike


if __name__ == "__main__":
    run("norse", Network)
