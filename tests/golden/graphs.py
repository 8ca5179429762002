"""Writes NIR graphs by NIR's own library, and integrates their equations in small steps.

pip install nir==1.0.8 numpy==2.4.6
python tests/golden/graphs.py

Each graph gets spikes at its input, as impulses. The file `graphs.json` has, for each graph, the spikes of each neuron and the output
at the end. The integration knows nothing of this project: it takes the equations of NIR's documentation, in steps of 0.5 us.
With --check FILE it reads a graph that the project wrote, and prints its nodes.
"""

import json
import sys
from pathlib import Path

import nir
import numpy as np

HERE = Path(__file__).parent
STEP = 5e-7
DURATION = 0.12


def graphs(random):
    def normal(*shape):
        return random.normal(size=shape).astype(np.float32)

    def between(low, high, count):
        return random.uniform(low, high, count)

    same = np.ones
    # One time constant for all, and all else different from neuron to neuron.
    yield "cuba", nir.NIRGraph(
        {
            "input": nir.Input({"input": np.array([3])}),
            "first": nir.Linear(weight=2.0 * normal(5, 3)),
            "neurons": nir.CubaLIF(
                tau_mem=same(5) * 0.02,
                tau_syn=same(5) * 0.008,
                r=between(0.5, 1.5, 5),
                v_leak=between(0.2, 1.1, 5),
                v_threshold=between(1.0, 1.6, 5),
                v_reset=between(-0.4, 0.1, 5),
                w_in=between(0.006, 0.01, 5),
            ),
            "back": nir.Linear(weight=0.5 * normal(5, 5)),
            "trace": nir.LI(tau=same(5) * 0.03, r=same(5) * 0.02, v_leak=np.zeros(5)),
            "last": nir.Affine(weight=normal(2, 5), bias=normal(2)),
            "output": nir.Output({"output": np.array([2])}),
        },
        [
            ("input", "first"),
            ("first", "neurons"),
            ("neurons", "back"),
            ("back", "neurons"),
            ("neurons", "trace"),
            ("trace", "last"),
            ("last", "output"),
        ],
    )
    yield "lif", nir.NIRGraph(
        {
            "input": nir.Input({"input": np.array([4])}),
            "filter": nir.LI(tau=same(4) * 0.005, r=same(4) * 0.004, v_leak=np.zeros(4)),
            "first": nir.Affine(weight=1.5 * normal(6, 4), bias=between(0.9, 1.6, 6).astype(np.float32)),
            "neurons": nir.LIF(
                tau=same(6) * 0.025, r=between(0.8, 1.2, 6), v_leak=same(6) * 0.1, v_threshold=same(6) * 1.2
            ),
            "fast": nir.LI(tau=same(6) * 0.004, r=same(6) * 0.004, v_leak=np.zeros(6)),
            "delay": nir.Delay(delay=same(6) * 0.006),
            "fast back": nir.Linear(weight=0.4 * normal(6, 6)),
            "slow": nir.LI(tau=same(6) * 0.05, r=same(6) * 0.05, v_leak=np.zeros(6)),
            "slow back": nir.Scale(scale=np.full(6, -0.05)),
            "last": nir.Linear(weight=normal(2, 6)),
            "output": nir.Output({"output": np.array([2])}),
        },
        [
            ("input", "filter"),
            ("filter", "first"),
            ("first", "neurons"),
            ("neurons", "fast"),
            ("fast", "delay"),
            ("delay", "fast back"),
            ("fast back", "neurons"),
            ("neurons", "slow"),
            ("slow", "slow back"),
            ("slow back", "neurons"),
            ("slow", "last"),
            ("last", "output"),
        ],
    )
    # The neurons in a graph of their own, as snnTorch writes recurrent layers.
    inner = nir.NIRGraph(
        {
            "input": nir.Input(input_type=[4]),
            "lif": nir.CubaLIF(
                tau_mem=same(4) * 0.03,
                tau_syn=same(4) * 0.01,
                r=same(4),
                v_leak=np.array([1.6, 1.9, 2.2, 1.4]),
                v_threshold=same(4),
                w_in=same(4) * 0.01,
            ),
            "w_rec": nir.Linear(weight=0.3 * normal(4, 4)),
            "output": nir.Output(output_type=[4]),
        },
        [("input", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")],
    )
    yield "nested", nir.NIRGraph(
        {
            "input": nir.Input({"input": np.array([2])}),
            "0": nir.Linear(weight=0.3 * normal(4, 2)),
            "1": inner,
            "2": nir.LI(tau=same(4) * 0.01, r=same(4) * 0.01, v_leak=np.zeros(4)),
            "3": nir.Linear(weight=normal(3, 4)),
            "output": nir.Output({"output": np.array([3])}),
        },
        [("input", "0"), ("0", "1"), ("1", "2"), ("2", "3"), ("3", "output")],
    )
    yield "if", nir.NIRGraph(
        {
            "input": nir.Input({"input": np.array([2])}),
            "filter": nir.LI(tau=same(2) * 0.01, r=same(2) * 0.01, v_leak=np.zeros(2)),
            "first": nir.Affine(weight=normal(3, 2), bias=between(0.8, 1.4, 3).astype(np.float32)),
            "neurons": nir.IF(r=between(20.0, 60.0, 3), v_threshold=between(0.8, 1.2, 3)),
            "trace": nir.LI(tau=same(3) * 0.02, r=same(3) * 0.02, v_leak=np.zeros(3)),
            "back": nir.Linear(weight=0.2 * normal(3, 3)),
            "last": nir.Linear(weight=normal(1, 3)),
            "output": nir.Output({"output": np.array([1])}),
        },
        [
            ("input", "filter"),
            ("filter", "first"),
            ("first", "neurons"),
            ("neurons", "trace"),
            ("trace", "back"),
            ("back", "neurons"),
            ("trace", "last"),
            ("last", "output"),
        ],
    )


def flat(graph, prefix=""):
    """The nodes and edges, with graphs inside in their place."""
    nodes, edges = {}, []
    for name, node in graph.nodes.items():
        if isinstance(node, nir.NIRGraph):
            inner_nodes, inner_edges = flat(node, f"{prefix}{name}.")
            nodes.update(inner_nodes)
            edges += inner_edges
        else:
            nodes[prefix + name] = node
    for a, b in graph.edges:
        a = f"{a}.output" if isinstance(graph.nodes[a], nir.NIRGraph) else a
        b = f"{b}.input" if isinstance(graph.nodes[b], nir.NIRGraph) else b
        edges.append((prefix + a, prefix + b))
    return nodes, edges


def integrate(graph, events):
    """Spikes of each neuron, and the output at the end. `events` are (step, channel)."""
    nodes, edges = flat(graph)
    before = {name: [a for a, b in edges if b == name] for name in nodes}
    state, current, late = {}, {}, {}
    for name, node in nodes.items():
        if isinstance(node, (nir.LIF, nir.CubaLIF, nir.IF)):
            # Potentials begin at the reset.
            state[name] = np.array(node.v_reset, dtype=float)
        if isinstance(node, nir.LI):
            state[name] = np.zeros(len(node.tau))
        if isinstance(node, nir.CubaLIF):
            current[name] = np.zeros(len(node.tau_mem))
        if isinstance(node, nir.Delay):
            late[name] = [np.zeros(len(node.delay))] * round(float(node.delay[0]) / STEP)
    spiking = next(name for name, node in nodes.items() if isinstance(node, (nir.LIF, nir.CubaLIF, nir.IF)))
    counts = np.zeros(len(state[spiking]), dtype=int)
    fired = np.zeros(len(counts))
    arriving = {}
    for step, channel in events:
        arriving.setdefault(step, []).append(channel)
    channels = next(node.input_type["input"][0] for node in nodes.values() if isinstance(node, nir.Input))

    for step in range(round(DURATION / STEP)):
        impulses = np.zeros(channels)
        for channel in arriving.get(step, []):
            impulses[channel] += 1.0 / STEP
        values = {}

        def value(name):
            if name in values:
                return values[name]
            node = nodes[name]
            if name == spiking:
                found = fired / STEP
            elif isinstance(node, nir.LI):
                found = state[name]
            elif isinstance(node, nir.Delay):
                found = late[name][0]
            else:
                total = sum(value(other) for other in before[name])
                if isinstance(node, nir.Input):
                    found = impulses if not before[name] else total
                elif isinstance(node, nir.Affine):
                    found = node.weight @ total + node.bias
                elif isinstance(node, nir.Linear):
                    found = node.weight @ total
                elif isinstance(node, nir.Scale):
                    found = node.scale * total
                else:
                    found = total
            values[name] = found
            return found

        incoming = {name: sum(value(other) for other in before[name]) for name in state}
        delayed = {name: sum(value(other) for other in before[name]) for name in late}
        for name, node in nodes.items():
            if isinstance(node, nir.LI):
                state[name] = state[name] + STEP / node.tau * (node.v_leak - state[name] + node.r * incoming[name])
            if isinstance(node, nir.CubaLIF):
                current[name] = current[name] + STEP / node.tau_syn * (-current[name] + node.w_in * incoming[name])
                drive = node.r * current[name]
                state[name] = state[name] + STEP / node.tau_mem * (node.v_leak - state[name] + drive)
            if isinstance(node, nir.LIF):
                state[name] = state[name] + STEP / node.tau * (node.v_leak - state[name] + node.r * incoming[name])
            if isinstance(node, nir.IF):
                state[name] = state[name] + STEP * node.r * incoming[name]
        for name in late:
            late[name] = late[name][1:] + [delayed[name]]
        node = nodes[spiking]
        above = state[spiking] > node.v_threshold
        fired = above.astype(float)
        counts += above
        state[spiking] = np.where(above, node.v_reset, state[spiking])
    end = next(name for name, node in nodes.items() if isinstance(node, nir.Output) and "." not in name)
    return counts, output_of(nodes, before, state, end)


def output_of(nodes, before, state, end):
    def value(name):
        node = nodes[name]
        if isinstance(node, nir.LI):
            return state[name]
        total = sum(value(other) for other in before[name])
        if isinstance(node, nir.Affine):
            return node.weight @ total + node.bias
        return node.weight @ total if isinstance(node, nir.Linear) else total

    return value(end)


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "--check":
        graph = nir.read(sys.argv[2])
        print({name: type(node).__name__ for name, node in graph.nodes.items()}, graph.edges)
        return
    random = np.random.default_rng(7)
    found = {}
    for name, graph in graphs(random):
        nir.write(HERE / f"{name}.nir", graph)
        channels = int(graph.nodes["input"].input_type["input"][0])
        # One event in each third millisecond, on the millisecond.
        steps = [(round(ms * 1e-3 / STEP), int(random.integers(channels))) for ms in range(2, 118, 3)]
        counts, output = integrate(graph, steps)
        found[name] = {
            "duration_ms": 1e3 * DURATION,
            "events": [[1e3 * STEP * step, channel] for step, channel in steps],
            "spikes": counts.tolist(),
            "output": np.asarray(output).tolist(),
        }
        print(name, counts, output)
    (HERE / "graphs.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
