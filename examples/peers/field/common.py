"""What every peer does around its network: reads the samples, trains, judges, and reports.

The samples are the tables that `classify --tables DIR` writes, so that all programs learn from the same spikes.
"""

import argparse
import json
import resource
import time

import numpy as np
import torch
from events import Table


def arguments():
    parser = argparse.ArgumentParser()
    samples = parser.add_mutually_exclusive_group(required=True)
    samples.add_argument("--tables", help="folder with train.csv, valid.csv and test.csv")
    samples.add_argument("--drawn", type=float, metavar="HZ", help="random spikes instead, at this rate, with --time-only")
    parser.add_argument("--dt", type=float, default=1.0, help="length of a time step, ms")
    parser.add_argument("--steps", type=int, required=True, help="number of time steps")
    parser.add_argument("--neurons", type=int, required=True)
    parser.add_argument("--classes", type=int, required=True)
    parser.add_argument("--units", type=int, required=True, help="number of input units")
    parser.add_argument("--recurrent", action="store_true")
    parser.add_argument("--tau-mem", type=float, default=20.0, help="ms")
    parser.add_argument("--tau-syn", type=float, default=5.0, help="ms")
    parser.add_argument("--tau-out", type=float, default=10.0, help="ms, of the readout")
    parser.add_argument("--slope", type=float, default=25.0, help="of the surrogate")
    parser.add_argument("--input", type=float, default=4.0, help="deviation of the input weights, times the root of the units")
    parser.add_argument("--rate", type=float, default=0.005, help="learning rate")
    parser.add_argument("--decay", type=float, default=0.0, help="weight decay, in units of the learning rate")
    parser.add_argument("--jitter", type=float, default=0.0, help="deviation of the moves of input spikes in training, ms")
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--time-only", type=int, metavar="N", help="time N iterations instead of training")
    parser.add_argument("--report", help="JSON file to write")
    args = parser.parse_args()
    if args.drawn is not None and not args.time_only:
        parser.error("--drawn is for timing; give --time-only, too")
    return args


class Samples(Table):
    """The events of a table, as counts in time steps."""

    def batch(self, chosen, args, random=None):
        """The counts of spikes, [steps, batch, units], and the classes."""
        spikes = np.zeros((args.steps, len(chosen), args.units), dtype=np.float32)
        for at, sample in enumerate(chosen):
            events = slice(self.first[sample], self.first[sample + 1])
            moved = self.time[events]
            if random is not None and args.jitter > 0:
                moved = np.maximum(moved + random.normal(0.0, args.jitter, len(moved)), 0.0)
            step = (moved / args.dt).astype(np.int64)
            inside = step < args.steps
            np.add.at(spikes, (step[inside], at, self.unit[events][inside]), 1.0)
        return torch.from_numpy(spikes), torch.from_numpy(self.classes[chosen])


class Drawn:
    """One batch of random spikes, for timing."""

    def __init__(self, args, random):
        spikes = random.random((args.steps, args.batch, args.units)) < args.drawn * args.dt / 1000.0
        self.spikes = torch.from_numpy(spikes.astype(np.float32))
        self.classes = torch.from_numpy(random.integers(0, args.classes, args.batch))

    def __len__(self):
        return len(self.classes)

    def batch(self, chosen, args, random=None):
        return self.spikes, self.classes


def accuracy(network, samples, args):
    right = 0
    with torch.no_grad():
        for first in range(0, len(samples), args.batch):
            spikes, classes = samples.batch(np.arange(first, min(first + args.batch, len(samples))), args)
            right += int((network(spikes).argmax(1) == classes).sum())
    return right / len(samples)


def run(name, build):
    """Trains the network that `build(args)` returns: spikes, [steps, batch, units], to logits, [batch, classes]."""
    args = arguments()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    random = np.random.default_rng(args.seed)
    network = build(args)
    if args.drawn is not None:
        train = Drawn(args, random)
    else:
        train, valid, test = (Samples(f"{args.tables}/{part}.csv") for part in ("train", "valid", "test"))
    iterations = args.epochs * -(-len(train) // args.batch)
    optimizer = torch.optim.AdamW(network.parameters(), lr=args.rate, weight_decay=args.decay, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, iterations, args.rate / 50)

    def step(chosen):
        spikes, classes = train.batch(chosen, args, random)
        optimizer.zero_grad()
        cost = torch.nn.functional.cross_entropy(network(spikes), classes)
        cost.backward()
        optimizer.step()
        schedule.step()
        return float(cost.detach())

    if args.time_only:
        chosen = np.arange(min(args.batch, len(train)))
        seconds = []
        for _ in range(args.time_only):
            started = time.perf_counter()
            step(chosen)
            seconds.append(time.perf_counter() - started)
        found = {"peer": name, "seconds_per_iteration": float(np.median(seconds))}
    else:
        started, best, state = time.perf_counter(), -1.0, None
        for epoch in range(args.epochs):
            order = random.permutation(len(train))
            costs = [step(order[first : first + args.batch]) for first in range(0, len(train), args.batch)]
            valid_accuracy = accuracy(network, valid, args)
            if valid_accuracy > best:
                best, best_epoch = valid_accuracy, epoch + 1
                state = {key: value.clone() for key, value in network.state_dict().items()}
            print(f"epoch {epoch + 1}/{args.epochs}  cost {np.mean(costs):.4f}  valid {valid_accuracy:.4f}", flush=True)
        seconds = time.perf_counter() - started
        network.load_state_dict(state)
        found = {
            "peer": name,
            "seed": args.seed,
            "accuracy": accuracy(network, test, args),
            "best_epoch": best_epoch,
            "epochs": args.epochs,
            "train_seconds": seconds,
        }
    found["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found["options"] = vars(args)
    print(json.dumps(found))
    if args.report:
        with open(args.report, "w") as file:
            json.dump(found, file, indent=2)
