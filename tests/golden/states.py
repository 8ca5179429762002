"""Writes state dicts of snnTorch, Norse and SpikingJelly, and what their networks do, for `tests/graphs.rs`.

pip install snntorch==1.0.0 norse==1.1.0 spikingjelly==2.0.0 torch==2.15.0 safetensors==0.8.0 numpy==2.4.6
python tests/golden/states.py

`states.json` has, for each network, its input, the potentials after 40 steps without spikes (with a threshold that nothing
reaches), and the spikes and outputs of a run with its own threshold.
"""

import json
from pathlib import Path

import norse.torch as norse
import numpy as np
import snntorch as snn
import torch
from safetensors.torch import save_file
from spikingjelly.activation_based import functional, layer, neuron

HERE = Path(__file__).parent
STEPS = 400


class Snn(torch.nn.Module):
    def __init__(self, neurons, size):
        super().__init__()
        self.fc1 = torch.nn.Linear(3, 6)
        self.lif1 = neurons
        self.fc2 = torch.nn.Linear(6, 2)
        with torch.no_grad():
            self.fc1.weight.abs_().mul_(size)
            self.fc1.bias.copy_(size * torch.linspace(0.0, 0.05, 6))
            neurons.recurrent.weight.mul_(0.3 * size)
            neurons.recurrent.bias.mul_(0.1 * size)
            if isinstance(neurons, snn.RSynaptic):
                # A bias rises in the synapse here, and is there from the first step on in the project.
                self.fc1.bias.zero_()
                neurons.recurrent.bias.zero_()

    def forward(self, input):
        state = self.lif1.init_rsynaptic() if isinstance(self.lif1, snn.RSynaptic) else self.lif1.init_rleaky()
        spikes, outputs = 0.0, []
        for now in input:
            state = self.lif1(self.fc1(now[None]), *state)
            spikes = spikes + state[0][0]
            outputs.append(self.fc2(state[0])[0])
        return state[-1][0], spikes, torch.stack(outputs).sum(0)


class Norse(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = norse.LIFRecurrentCell(3, 6, dt=1e-3)
        self.fc2 = torch.nn.Linear(6, 2)
        with torch.no_grad():
            self.cell.input_weights.mul_(1.2).abs_()
            self.cell.recurrent_weights.mul_(0.5)

    def forward(self, input):
        state, total, outputs = None, 0.0, []
        for now in input:
            spikes, state = self.cell(now[None], state)
            total = total + spikes[0]
            outputs.append(self.fc2(spikes)[0])
        return state.v[0], total, torch.stack(outputs).sum(0)


class Jelly(torch.nn.Module):
    """A container with a linear module inside, or a node with learned tau; saved as a checkpoint of PyTorch."""

    def __init__(self, contained):
        super().__init__()
        if contained:
            inside = torch.nn.Sequential(torch.nn.Linear(4, 6), neuron.LIFNode(tau=12.0, decay_input=False, v_reset=-0.1))
            self.fc1, self.cell = torch.nn.Linear(3, 4), layer.LinearRecurrentContainer(inside, 4, 6)
            self.node = inside[1]
        else:
            self.node = neuron.ParametricLIFNode(init_tau=8.0, v_threshold=0.8, v_reset=None)
            self.fc1, self.cell = torch.nn.Linear(3, 6), self.node
        self.fc2 = torch.nn.Linear(6, 2)
        with torch.no_grad():
            self.fc1.weight.abs_().mul_(1.5 if contained else 3.0)
            if contained:
                inside[0].weight.abs_()
                self.cell.rc.weight[:, :4].abs_()
                self.cell.rc.weight[:, 4:].mul_(0.3)
                self.fc1.bias.abs_().mul_(0.1)
                self.cell.rc.bias.zero_()
                inside[0].bias.zero_()

    def forward(self, input):
        functional.reset_net(self)
        total, outputs = 0.0, []
        for now in input:
            spikes = self.cell(self.fc1(now[None]))
            total = total + spikes[0]
            outputs.append(self.fc2(spikes)[0])
        return self.node.v[0], total, torch.stack(outputs).sum(0)


def main():
    torch.manual_seed(1)
    random, found = np.random.default_rng(3), {}
    networks = {
        "rsynaptic": Snn(snn.RSynaptic(alpha=0.8, beta=0.93, linear_features=6, reset_mechanism="zero"), 0.1),
        "rleaky": Snn(snn.RLeaky(beta=0.9, linear_features=6, threshold=0.7), 0.6),
        "norse-cell": Norse(),
        "jelly-container": Jelly(True),
        "jelly-plif": Jelly(False),
    }
    for name, network in networks.items():
        if isinstance(network, Jelly):
            torch.save(network.state_dict(), HERE / f"{name}.pt")
        else:
            save_file(network.state_dict(), HERE / f"{name}.safetensors")
        input = (random.random((STEPS, 3)) < 0.15).astype(np.float32)
        with torch.no_grad():
            _, spikes, outputs = network(torch.from_numpy(input))
            if isinstance(network, Norse):
                network.cell.p = norse.LIFParameters(v_th=torch.tensor(1e6))
            elif isinstance(network, Jelly):
                network.node.v_threshold = 1e6
            else:
                network.lif1.threshold.fill_(1e6)
            potentials, none, _ = network(torch.from_numpy(input[:40]))
            assert none.sum() == 0
        steps, channels = np.nonzero(input)
        found[name] = {
            "events": np.stack([steps, channels], 1).tolist(),
            "potentials": potentials.tolist(),
            "spikes": [int(count) for count in spikes],
            "output": outputs.tolist(),
        }
        print(name, found[name]["spikes"], found[name]["potentials"])
    (HERE / "states.json").write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
