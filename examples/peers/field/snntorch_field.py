"""snnTorch: leaky neurons with exponential synapses (`Synaptic`), the surrogate of a fast sigmoid, and a leaky readout."""

import math

import snntorch as snn
import torch
from common import run
from snntorch import surrogate


class Network(torch.nn.Module):
    def __init__(self, args):
        super().__init__()
        alpha, beta, out = (math.exp(-args.dt / tau) for tau in (args.tau_syn, args.tau_mem, args.tau_out))
        gradient = surrogate.fast_sigmoid(slope=args.slope)
        self.input = torch.nn.Linear(args.units, args.neurons)
        # A spike raises the potential by its weight times dt/tau_mem in a step, as in the other programs.
        torch.nn.init.normal_(self.input.weight, 0.0, args.input / math.sqrt(args.units) * args.dt / args.tau_mem)
        torch.nn.init.zeros_(self.input.bias)
        if args.recurrent:
            self.neurons = snn.RSynaptic(alpha, beta, linear_features=args.neurons, spike_grad=gradient)
            torch.nn.init.zeros_(self.neurons.recurrent.weight)
            torch.nn.init.zeros_(self.neurons.recurrent.bias)
        else:
            self.neurons = snn.Synaptic(alpha, beta, spike_grad=gradient)
        self.recurrent = args.recurrent
        self.readout = torch.nn.Linear(args.neurons, args.classes)
        self.out = snn.Leaky(out, reset_mechanism="none")

    def forward(self, spikes):
        sent = None
        if self.recurrent:
            sent, current, potential = self.neurons.init_rsynaptic()
        else:
            current, potential = self.neurons.init_synaptic()
        output = self.out.init_leaky()
        total = 0.0
        for now in self.input(spikes):
            if self.recurrent:
                sent, current, potential = self.neurons(now, sent, current, potential)
            else:
                sent, current, potential = self.neurons(now, current, potential)
            _, output = self.out(self.readout(sent), output)
            total = total + output
        return total / len(spikes)


if __name__ == "__main__":
    run("snntorch", Network)
