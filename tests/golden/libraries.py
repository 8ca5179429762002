"""Runs graphs in Norse and snnTorch themselves, for the tests of `tests/graphs.rs`.

pip install nir==1.0.8 nirtorch==2.6 norse==1.1.0 snntorch==1.0.0 torch==2.15.0 numpy==2.4.6
cargo test -p burn-spiking-tests --test graphs -- --ignored    # writes own.nir
python tests/golden/libraries.py

Norse reads `own.nir`, which the project wrote. snnTorch writes `snntorch.nir` from a network of its own. `libraries.json` has, for
both, the input and the spikes of each neuron. A step is 0.1 ms.
"""

import json
from pathlib import Path

import nir
import norse.torch as norse
import numpy as np
import snntorch as snn
import torch
from snntorch.export_nir import _extract_snntorch_module

HERE = Path(__file__).parent
STEPS = 3000


def drawn(random, channels, rate):
    return (random.random((STEPS, channels)) < rate).astype(np.float32)


def described(input, counts):
    steps, channels = np.nonzero(input)
    return {"events": np.stack([steps, channels], 1).tolist(), "spikes": [int(count) for count in counts]}


def of_norse(random):
    network = norse.from_nir(nir.read(HERE / "own.nir"), dt=1e-4)
    input, state, counts = drawn(random, 4, 0.03), None, 0.0
    with torch.no_grad():
        for now in torch.from_numpy(input):
            spikes, state = network(now[None], state)
            counts = counts + spikes[0]
    return described(input, counts)


def of_snntorch(random):
    torch.manual_seed(2)
    first = torch.nn.Linear(3, 8, bias=False)
    neurons = snn.RSynaptic(alpha=0.985, beta=0.992, linear_features=8, reset_mechanism="zero")
    with torch.no_grad():
        first.weight.copy_(0.003 * (torch.randn(8, 3) + 0.7))
        neurons.recurrent.weight.copy_(0.005 * torch.randn(8, 8))
        neurons.recurrent.bias.zero_()
    # The tracing of `export_to_nir` wants hidden states, which are not needed here, so its parts are called.
    nodes = {
        "input": nir.Input({"input": np.array([3])}),
        "0": _extract_snntorch_module(first),
        "1": _extract_snntorch_module(neurons),
        "output": nir.Output({"output": np.array([8])}),
    }
    nir.write(HERE / "snntorch.nir", nir.NIRGraph(nodes, [("input", "0"), ("0", "1"), ("1", "output")]))
    input, counts = drawn(random, 3, 0.03), 0.0
    spikes, current, potential = neurons.init_rsynaptic()
    with torch.no_grad():
        for now in torch.from_numpy(input):
            spikes, current, potential = neurons(first(now[None]), spikes, current, potential)
            counts = counts + spikes[0]
    return described(input, counts)


def main():
    random = np.random.default_rng(5)
    found = {"norse": of_norse(random), "snntorch": of_snntorch(random)}
    for name, one in found.items():
        print(name, one["spikes"])
    (HERE / "libraries.json").write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
