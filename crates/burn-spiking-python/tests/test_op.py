"""The operation against PyTorch's own checks, NumPy, and what users get wrong."""

import numpy as np
import pytest
import torch

import burn_spiking as bs
from burn_spiking.torch import SpikingRnn, State, scan

NEURONS = [
    bs.nif(),
    bs.lif(20),
    bs.qif(20),
    bs.alif(20, 60, 0.3),
    bs.resonate_and_fire(20, 15, b=0.1),
    bs.adex(20, 0.15, 0.7, 0.0, 60, 0.2, 0.2, substeps=2),
]


def tensors(plan, neurons=4, channels=2, steps=8, dtype=torch.float64):
    draw = lambda *shape: torch.randn(*shape, dtype=dtype)
    explicit = "AdEx" in plan.description["neuron"]
    size = 0.1 if explicit else 0.4
    return {
        "input": draw(2, steps, channels),
        "projection": size * draw(channels, neurons),
        "bias": size * draw(neurons).abs() + size,
        "weights": 0.1 * draw(plan.weight_planes, neurons, neurons) if plan.weight_planes else None,
        "self_weights": 0.1 * draw(plan.self_weight_rows, neurons) if plan.self_weight_rows else None,
        "v0": 0.2 + 0.6 * torch.rand(2, neurons, dtype=dtype),
        "s0": 0.1 * torch.rand(2, plan.state_rows, neurons, dtype=dtype),
    }


@pytest.mark.parametrize("neuron", NEURONS, ids=lambda neuron: neuron if isinstance(neuron, str) else next(iter(neuron)))
def test_gradients_pass_pytorchs_check(neuron):
    torch.manual_seed(3)
    planar = isinstance(neuron, dict) and next(iter(neuron)) in ("Alif", "ResonateAndFire", "AdEx")
    synapses = [bs.synapse(10), bs.synapse(5, readout=False, delay=2.0), bs.synapse(30, connections="self")]
    plan = bs.Plan(neuron, bs.quintic(0.8), synapses, 1.0, record_v=True, record_charge=True)
    given = {name: tensor.requires_grad_() for name, tensor in tensors(plan).items()}

    def run(*values):
        named = dict(zip(given, values))
        state = State(named.pop("v0"), named.pop("s0"))
        trajectory, last = scan(plan, **named, state=state)
        outputs = [*trajectory.traces, trajectory.v, trajectory.charge, *last]
        return tuple(outputs + ([trajectory.w] if planar else []))

    assert torch.autograd.gradcheck(run, tuple(given.values()), eps=1e-6, atol=1e-5)


def test_a_whole_drive_has_a_gradient():
    plan = bs.Plan(bs.qif(20), bs.quintic(1.0), [bs.synapse(10, connections=None)])
    torch.manual_seed(1)
    drive = (0.1 * torch.randn(2, 9, 3, dtype=torch.float64) + 0.1).requires_grad_()
    assert torch.autograd.gradcheck(lambda drive: scan(plan, drive)[0].traces[0], (drive,), eps=1e-6, atol=1e-5)


def test_two_calls_are_one():
    plan = bs.Plan(bs.alif(20, 60, 0.3), bs.quintic(0.5), [bs.synapse(10, delay=3.0)], record_v=True)
    torch.manual_seed(2)
    layer = SpikingRnn(2, 5, plan).double()
    input = torch.randn(3, 20, 2, dtype=torch.float64)
    whole, last = layer(input)
    first, state = layer(input[:, :8])
    second, end = layer(input[:, 8:], state)
    assert torch.allclose(whole.traces[0], torch.cat([first.traces[0], second.traces[0]], 1), atol=1e-12)
    assert torch.allclose(whole.w, torch.cat([first.w, second.w], 1), atol=1e-12)
    assert torch.allclose(last.s, end.s, atol=1e-12)


def test_numpy_runs_without_pytorch_and_without_copies():
    plan = bs.Plan(bs.lif(20), bs.quintic(0.5), [bs.synapse(10, connections=None)], record_charge=True)
    drive = np.full((1, 200, 3), 0.1, dtype=np.float32)
    before = drive.copy()
    rows = np.zeros((1, plan.state_rows, 3), np.float32)
    traces, v, charge, last_v, last_s, tape = plan.forward(drive, None, None, None, None, rows[:, 0].copy(), rows, True)
    assert traces.shape == (1, 1, 200, 3) and traces.dtype == np.float32 and v is None
    # tau (1 - e^(-T/tau)) = 1 at T = 13.9 ms.
    assert 13 < charge.sum() / 3 < 15
    gradients = plan.adjoint(tape, np.ones_like(traces), None, None, None, None, [True] * 6)
    assert gradients[0].shape == drive.shape and gradients[1] is None and np.isfinite(gradients[0]).all()
    assert (drive == before).all()


def test_single_precision_trains():
    torch.manual_seed(0)
    plan = bs.Plan(bs.qif(25), bs.quintic(0.5), [bs.synapse(20)])
    layer, readout = SpikingRnn(1, 20, plan), torch.nn.Linear(20, 1)
    optimizer = torch.optim.Adam([*layer.parameters(), *readout.parameters()], 0.01)
    time = torch.linspace(0, 6.28, 150)
    input, target = torch.sin(time)[None, :, None], torch.cos(time)[None, :, None]
    costs = []
    for _ in range(150):
        optimizer.zero_grad()
        cost = (readout(layer(input)[0].traces[0]) - target).square().mean()
        cost.backward()
        optimizer.step()
        costs.append(cost.item())
    assert costs[-1] < 0.2 * costs[0], costs


def test_a_tensor_that_was_written_to_is_refused():
    plan = bs.Plan(bs.qif(20), bs.quintic(1.0), [bs.synapse(10, connections=None)])
    drive = torch.full((1, 5, 2), 0.1).requires_grad_()
    moved = drive * 1.0
    trace = scan(plan, moved)[0].traces[0]
    with torch.no_grad():
        moved.mul_(2.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        trace.sum().backward()


def mistakes():
    plan = bs.Plan(bs.qif(20), bs.quintic(0.5), [bs.synapse(10)])
    ok = torch.zeros(1, 5, 3)
    return [
        ("dt is 0", lambda: bs.Plan(bs.qif(20), bs.quintic(0.5), [bs.synapse(10)], dt=0.0)),
        ("gate width is 2", lambda: bs.Plan(bs.qif(20), bs.quintic(2), [bs.synapse(10)])),
        ("cannot be read", lambda: bs.Plan("Quartic", bs.quintic(0.5), [bs.synapse(10)])),
        ("delay", lambda: bs.Plan(bs.qif(20), bs.quintic(0.5), [bs.synapse(10, delay=0.5)])),
        ("connections are 'all'", lambda: bs.synapse(10, connections="all")),
        ("weights are missing", lambda: scan(plan, ok)),
        (r"weights is \[1, 2, 2\], but must be \[1, 3, 3\]", lambda: scan(plan, ok, weights=torch.zeros(1, 2, 2))),
        ("torch.int64", lambda: scan(plan, torch.zeros(1, 5, 3, dtype=torch.int64), weights=torch.zeros(1, 3, 3))),
        ("one precision", lambda: scan(plan, ok, weights=torch.zeros(1, 3, 3, dtype=torch.float64))),
        ("0 samples|at least 1", lambda: scan(plan, torch.zeros(0, 5, 3), weights=torch.zeros(1, 3, 3))),
        ("NaN|not finite", lambda: scan(plan, ok * float("nan"), weights=torch.zeros(1, 3, 3))),
        ("float32 or float64", lambda: plan.forward([1.0], None, None, None, None, None, None, False)),
    ]


@pytest.mark.parametrize("at", range(len(mistakes())))
def test_mistakes_name_what_is_wrong(at):
    message, mistake = mistakes()[at]
    with pytest.raises(ValueError, match=message):
        mistake()
