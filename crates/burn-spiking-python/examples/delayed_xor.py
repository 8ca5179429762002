"""Delayed-memory exclusive or, trained in PyTorch: did two pulses, half a second apart, have different signs?

The recipe is that of `delayed-xor --rounds 1`: the exact gradient of 80 QIF neurons, each parameter's scaled to norm 1. The running mean of
the parameters is judged on validation trials every 50 iterations, and the best one is tested.
"""

import argparse
import math
import time

import torch

import burn_spiking as bs
from burn_spiking.torch import SpikingRnn, State, rest

parser = argparse.ArgumentParser()
parser.add_argument("--max-gap", type=float, default=300.0, help="longest gap, ms")
parser.add_argument("--iterations", type=int, default=1200)
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()
torch.manual_seed(args.seed)
NEURONS, TAU_MEM, TAU, PULSE = 80, 25.0, 20.0, 50


def trials(batch, longest):
    """Pulses of 50 ms, a gap before the second pulse and one before the go cue; the answer from 20 to 100 ms after the cue."""
    steps = 50 + 2 * (PULSE + int(longest)) + 200
    input, target, within = torch.zeros(batch, steps, 2), torch.zeros(batch, steps), torch.zeros(batch, steps, dtype=bool)
    decoded, answers = torch.zeros(batch, steps), torch.zeros(batch)
    gaps = (30 + (longest - 30) * torch.rand(batch, 2)).long()
    for b, kind in enumerate(torch.rand(batch).tolist()):
        signs = torch.randint(0, 2, (2,)) * 2.0 - 1.0
        if kind > 2 / 3:  # one pulse, or none
            signs *= torch.randperm(2) if kind < 11 / 12 else 0
        second = 50 + PULSE + int(gaps[b, 0])
        cue = second + PULSE + int(gaps[b, 1])
        answers[b] = -signs.prod()
        for sign, at, channel in ((signs[0], 50, 0), (signs[1], second, 0), (1.0, cue, 1)):
            input[b, at : at + PULSE, channel] = sign
        target[b, cue + 20 : cue + 100], within[b, cue + 20 : cue + 100] = answers[b], True
        decoded[b, cue + 40 : cue + 100] = 1 / 60
    # Half of the cost's weight lies outside the answer windows.
    weight = torch.where(within, 0.5 / 80, 0.5 / (steps - 80)) / batch
    state = State(torch.rand(batch, NEURONS), rest(plan, batch, NEURONS).s)
    return input, target, weight, decoded, answers, state


def answer(output, decoded):
    mean = (output * decoded).sum(1)
    return torch.where(mean.abs() > 0.5, mean.sign(), 0.0)


@torch.no_grad()
def judge(values, judged):
    """Which answers of these trials are right with these parameters; those in training stay as they are."""
    input, _, _, decoded, answers, state = judged
    kept = [parameter.clone() for parameter in parameters]
    put(values)
    right = answer(readout(layer(input, state)[0].traces[0])[..., 0], decoded) == answers
    put(kept)
    return right


@torch.no_grad()
def put(values):
    for parameter, value in zip(parameters, values):
        parameter.copy_(value)


plan = bs.Plan(bs.qif(TAU_MEM), bs.quintic(1.0), [bs.synapse(TAU)])
layer, readout = SpikingRnn(2, NEURONS, plan, autapses=True), torch.nn.Linear(NEURONS, 1, bias=False)
with torch.no_grad():  # Each neuron keeps on resting or firing: a memory that the initial potentials set.
    ratio = TAU_MEM / TAU
    layer.input_weight.normal_(0.0, 0.1 * TAU_MEM)
    layer.bias.fill_(-0.04 * TAU_MEM)
    layer.recurrent_weights.normal_(0.0, 0.1 * ratio / NEURONS**0.5).add_(1.6 * ratio * torch.eye(NEURONS))
    readout.weight.normal_(0.0, 0.3 / TAU)
used = {layer.input_weight: 0.05 * TAU_MEM, layer.recurrent_weights: 0.05 * ratio, layer.bias: 0.005 * TAU_MEM}
groups = [{"params": [parameter], "lr": 0.0015 * rate} for parameter, rate in {**used, readout.weight: 3 / TAU}.items()]
parameters = [group["params"][0] for group in groups]
optimizer = torch.optim.Adam(groups, betas=(0.9, 0.99))
falling = lambda at: max(at / args.iterations - 0.3, 0) / 0.7
schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda at: 0.51 + 0.49 * math.cos(math.pi * falling(at)))
mean, gap, scores, grown = [p.detach().clone() for p in parameters], 30.0, [], 0
validation, best, started = trials(480, args.max_gap), (-1.0, mean), time.time()
for iteration in range(args.iterations):
    input, target, weight, decoded, answers, state = trials(48, gap)
    trace = layer(input, state)[0].traces[0]
    output = readout(trace)[..., 0]
    cost = 0.5 * (weight * (output - target).square()).sum() + 0.5 * 0.001 / TAU**2 * trace.square().sum(-1).mean()
    optimizer.zero_grad()
    cost.backward()
    for parameter in parameters:
        parameter.grad /= parameter.grad.norm() + 1e-12
    optimizer.step()
    schedule.step()
    mean = [0.99 * old + 0.01 * p.detach() for old, p in zip(mean, parameters)]
    scores.append(float((answer(output, decoded) == answers).float().mean()))
    if len(scores) >= grown + 8 and sum(scores[-8:]) / 8 >= 0.92 and gap < args.max_gap:  # Gaps grow with the score.
        gap, grown = min(1.2 * gap, args.max_gap), len(scores)
    if (iteration + 1) % 50 == 0:
        score = float(judge(mean, validation).float().mean())
        best = max(best, (score, mean), key=lambda scored: scored[0])
        recent = sum(scores[-50:]) / 50
        print(f"{iteration + 1}: accuracy {recent:.3f} with gaps to {gap:.0f} ms, {score:.3f} on validation trials", flush=True)
seconds = time.time() - started
test = trials(2000, args.max_gap)
right, answers = judge(best[1], test), test[4]
for name, value in (("+", 1.0), ("-", -1.0), ("none", 0.0)):
    print(f"answer {name}: {float(right[answers == value].float().mean()):.4f}")
print(f"accuracy {float(right.float().mean()):.4f} on 2000 fresh trials with gaps to {args.max_gap:.0f} ms, {seconds:.0f} s of training")
