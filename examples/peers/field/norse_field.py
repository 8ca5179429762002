"""Norse: leaky neurons with exponential synapses (`LIFCell`, `LIFRecurrentCell`) and a leaky readout.

The surrogate is `tanh`, with `--slope` as its alpha: in Norse 1.1.0, `super` does not use its alpha.
"""

import math

import norse.torch as norse
import torch
from common import run


class Network(torch.nn.Module):
    def __init__(self, args):
        super().__init__()
        rates = {"tau_mem_inv": torch.tensor(1000.0 / args.tau_mem), "tau_syn_inv": torch.tensor(1000.0 / args.tau_syn)}
        constants = norse.LIFParameters(**rates, method="tanh", alpha=torch.tensor(args.slope))
        dt = args.dt / 1000.0
        self.input = torch.nn.Linear(args.units, args.neurons)
        torch.nn.init.normal_(self.input.weight, 0.0, args.input / math.sqrt(args.units))
        torch.nn.init.zeros_(self.input.bias)
        if args.recurrent:
            # The recurrent weights begin at 0, and the cell's own input weights pass the input on as it is.
            weights = torch.nn.Parameter(torch.zeros(args.neurons, args.neurons))
            passed_on = torch.eye(args.neurons)
            self.neurons = norse.LIFRecurrentCell(
                args.neurons, args.neurons, p=constants, dt=dt, input_weights=passed_on, recurrent_weights=weights
            )
        else:
            self.neurons = norse.LIFCell(p=constants, dt=dt)
        self.readout = torch.nn.Linear(args.neurons, args.classes)
        out = torch.tensor(1000.0 / args.tau_out)
        # A leaky integrator of Norse adds dt/tau of its input.
        self.scale = args.tau_out / args.dt
        # The readout's current lasts one step, so that a spike adds its weight.
        self.out = norse.LICell(p=norse.LIParameters(tau_mem_inv=out, tau_syn_inv=torch.tensor(1.0 / dt)), dt=dt)

    def forward(self, spikes):
        state = readout_state = None
        total = 0.0
        for now in self.input(spikes):
            sent, state = self.neurons(now, state)
            output, readout_state = self.out(self.readout(sent), readout_state)
            total = total + output
        return total / len(spikes) * self.scale


if __name__ == "__main__":
    run("norse", Network)
