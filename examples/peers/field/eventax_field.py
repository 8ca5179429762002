"""Eventax: spikes at exact times and exact gradients, by an ODE solver with events; first spikes of the readout decide.

The input is events, so the options of time steps and surrogates of the other peers do not apply. Eventax handles one
spike after the other, of the input and of the neurons: the cost grows with their number, and `--events` bounds it.
"""

import argparse
import json
import os
import resource
import time

# One core, as the other programs. XLA reads these before it starts.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("NPROC", "1")
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false " + os.environ.get("XLA_FLAGS", "")

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optimistix
from eventax.adjoint import EventPropAdjoint
from eventax.evnn import FFEvNN
from eventax.neuron_models import LIF
from events import Table


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tables", required=True, help="folder with train.csv, valid.csv and test.csv")
    parser.add_argument("--neurons", type=int, required=True)
    parser.add_argument("--classes", type=int, required=True)
    parser.add_argument("--units", type=int, required=True, help="number of input units")
    parser.add_argument("--tau-mem", type=float, default=20.0, help="ms")
    parser.add_argument("--tau-syn", type=float, default=5.0, help="ms")
    parser.add_argument("--tau-out", type=float, default=20.0, help="ms, of the membranes of the readout")
    parser.add_argument("--end", type=float, default=60.0, help="end of a sample, ms: later input does not count")
    parser.add_argument("--step", type=float, default=0.1, help="of the solver, ms")
    parser.add_argument(
        "--events", type=int, default=256, help="most spikes of a sample, of input and neurons: with more, Eventax ends"
    )
    parser.add_argument(
        "--input", type=float, default=4.0, help="deviation of the input weights, times the root of the units"
    )
    parser.add_argument("--input-mean", type=float, default=7.5, help="mean of the input weights, times the units")
    parser.add_argument("--output-mean", type=float, default=100.0, help="mean of the readout's, times the neurons")
    parser.add_argument("--sharpness", type=float, default=0.5, help="ms: times over this are the negative logits")
    parser.add_argument("--early", type=float, default=0.003, help="cost of late spikes of the right class")
    parser.add_argument("--rate", type=float, default=0.015, help="learning rate")
    parser.add_argument("--decay", type=float, default=0.0, help="weight decay, in units of the learning rate")
    parser.add_argument("--jitter", type=float, default=0.0, help="deviation of the moves of input spikes, ms")
    parser.add_argument("--batch", type=int, default=50)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--time-only", type=int, metavar="N", help="time N iterations instead of training")
    parser.add_argument("--report", help="JSON file to write")
    return parser.parse_args()


class Samples(Table):
    """The events of a table, as times for each unit: [units, most events of a unit], infinite where there is none."""

    def __init__(self, path, units):
        super().__init__(path)
        self.units = units
        # The place of an event among those of the same sample and unit.
        order = np.lexsort((self.time, self.unit, self.sample))
        self.time, self.unit, self.sample = self.time[order], self.unit[order], self.sample[order]
        slot = self.sample * units + self.unit
        self.place = np.arange(len(slot)) - np.searchsorted(slot, slot)
        self.most = int(self.place.max()) + 1

    def batch(self, chosen, size, most, jitter=0.0, random=None):
        """Times, [size, units, most], classes, and which of them count: a short batch is filled up, as XLA compiles
        for one size."""
        times = np.full((size, self.units, most), np.inf, dtype=np.float32)
        for at, sample in enumerate(chosen):
            events = slice(self.first[sample], self.first[sample + 1])
            moved = self.time[events]
            if random is not None and jitter > 0:
                moved = np.maximum(moved + random.normal(0.0, jitter, len(moved)), 0.0)
            times[at, self.unit[events], self.place[events]] = moved
        classes = np.zeros(size, dtype=np.int32)
        classes[: len(chosen)] = self.classes[chosen]
        return times, classes, np.arange(size) < len(chosen)


def network(args, random):
    neurons, outputs = args.neurons, args.classes
    weights = np.zeros((neurons + outputs + args.units, neurons + outputs), dtype=np.float32)
    # A positive mean, as in the Yin-Yang example of EventProp: neurons that never fire have no gradient.
    weights[neurons + outputs :, :neurons] = random.normal(
        args.input_mean / args.units, args.input / np.sqrt(args.units), (args.units, neurons)
    )
    mean = args.output_mean / neurons
    weights[:neurons, neurons:] = random.normal(mean, 0.1 * mean, (neurons, outputs))
    membrane = jnp.array([args.tau_mem] * neurons + [args.tau_out] * outputs)
    return FFEvNN(
        layers=[neurons, outputs],
        in_size=args.units,
        neuron_model=LIF,
        max_solver_time=args.end,
        key=jax.random.PRNGKey(args.seed),
        # Solvers of higher order interpolate by cubics, on which the root finder fails now and then, and Eventax
        # then ends the program. Euler's method interpolates by lines.
        solver=diffrax.Euler(),
        solver_stepsize=args.step,
        root_finder=optimistix.Newton(1e-3, 1e-3, optimistix.rms_norm),
        # Three times faster than differentiating the solver's steps, for nearly the same gradient.
        adjoint=EventPropAdjoint(),
        max_event_steps=args.events,
        tmem=membrane,
        tsyn=args.tau_syn,
        init_weights=weights,
        init_bias=0.0,
        thresh=1.0,
    )


def first_spikes(model, times, end):
    found = jax.vmap(lambda sample: model.ttfs(sample))(times)
    # An infinite time would give gradients that are not numbers.
    return jnp.where(jnp.isinf(found), end, found)


def cost(model, times, classes, counts, args):
    """The cross entropy of the first spikes, and a little for a late spike of the right class, as in EventProp."""
    found = first_spikes(model, times, args.end)
    right = jnp.arange(len(classes)), classes
    each = -jax.nn.log_softmax(-found / args.sharpness)[right]
    each = each + args.early * (jnp.exp(found[right] / 6.4) - 1.0)
    return jnp.sum(jnp.where(counts, each, 0.0)) / jnp.sum(counts)


def adam(model, gradient, state, rate, decay):
    """AdamW, with the constants of the other peers."""
    step, mean, square = state
    step = step + 1
    mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, mean, gradient)
    square = jax.tree.map(lambda s, g: 0.99 * s + 0.01 * g * g, square, gradient)

    def change(p, m, s):
        return -rate * (m / (1 - 0.9**step) / (jnp.sqrt(s / (1 - 0.99**step)) + 1e-8) + decay * p)

    changes = jax.tree.map(change, eqx.filter(model, eqx.is_inexact_array), mean, square)
    return eqx.apply_updates(model, changes), (step, mean, square)


def main():
    args = arguments()
    random = np.random.default_rng(args.seed)
    train, valid, test = (Samples(f"{args.tables}/{part}.csv", args.units) for part in ("train", "valid", "test"))
    most = max(part.most for part in (train, valid, test))
    model = network(args, random)
    zeros = jax.tree.map(jnp.zeros_like, eqx.filter(model, eqx.is_inexact_array))
    state = (jnp.array(0.0), zeros, zeros)
    iterations = args.epochs * -(-len(train) // args.batch)

    @eqx.filter_jit
    def step(model, state, times, classes, counts, rate):
        value, gradient = eqx.filter_value_and_grad(cost)(model, times, classes, counts, args)
        # One spike at a grazing threshold may give a gradient that is not a number; the others stay.
        lost = sum(jnp.sum(~jnp.isfinite(leaf)) for leaf in jax.tree.leaves(gradient))
        gradient = jax.tree.map(lambda leaf: jnp.where(jnp.isfinite(leaf), leaf, 0.0), gradient)
        return *adam(model, gradient, state, rate, args.decay), value, lost

    @eqx.filter_jit
    def predict(model, times):
        return first_spikes(model, times, args.end).argmin(1)

    def learn(model, state, chosen, iteration):
        # The cosine of the other peers.
        rate = args.rate / 50 + (args.rate - args.rate / 50) * (1 + np.cos(np.pi * iteration / iterations)) / 2
        batch = train.batch(chosen, args.batch, most, args.jitter, random)
        model, state, value, lost = step(model, state, *batch, jnp.float32(rate))
        return model, state, float(value), int(lost)

    def accuracy(model, samples):
        right = 0
        for first in range(0, len(samples), args.batch):
            chosen = np.arange(first, min(first + args.batch, len(samples)))
            times, classes, counts = samples.batch(chosen, args.batch, most)
            right += int(((np.asarray(predict(model, times)) == classes) & counts).sum())
        return right / len(samples)

    started = time.perf_counter()
    chosen = np.arange(min(args.batch, len(train)))
    learn(model, state, chosen, 0)
    compile_seconds = time.perf_counter() - started
    if args.time_only:
        seconds = []
        for _ in range(args.time_only):
            started = time.perf_counter()
            model, state, *_ = learn(model, state, chosen, 0)
            seconds.append(time.perf_counter() - started)
        found = {
            "peer": "eventax",
            "seconds_per_iteration": float(np.median(seconds)),
            "compile_seconds": compile_seconds - float(np.median(seconds)),
        }
    else:
        started = time.perf_counter()
        predict(model, valid.batch(np.arange(0), args.batch, most)[0])
        compile_seconds += time.perf_counter() - started
        started, best, iteration = time.perf_counter(), -1.0, 0
        for epoch in range(args.epochs):
            order = random.permutation(len(train))
            costs, lost = [], 0
            for first in range(0, len(train), args.batch):
                model, state, value, gone = learn(model, state, order[first : first + args.batch], iteration)
                costs.append(value)
                lost += gone
                iteration += 1
            valid_accuracy = accuracy(model, valid)
            if valid_accuracy > best:
                best, best_epoch, kept = valid_accuracy, epoch + 1, model
            note = f"  {lost} gradients not finite" if lost else ""
            print(
                f"epoch {epoch + 1}/{args.epochs}  cost {np.mean(costs):.4f}  valid {valid_accuracy:.4f}"
                f"  {time.perf_counter() - started:.0f} s{note}",
                flush=True,
            )
        seconds = time.perf_counter() - started
        found = {
            "peer": "eventax",
            "seed": args.seed,
            "accuracy": accuracy(kept, test),
            "best_epoch": best_epoch,
            "epochs": args.epochs,
            "train_seconds": seconds,
            "compile_seconds": compile_seconds,
        }
    found["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found["options"] = vars(args)
    print(json.dumps(found))
    if args.report:
        with open(args.report, "w") as file:
            json.dump(found, file, indent=2)


if __name__ == "__main__":
    main()
