"""What every peer does around its gradient: reads the network, times it, writes what it found."""

import argparse
import json
import statistics
import time

from safetensors.numpy import load_file, save_file


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--network", required=True, help="SafeTensors file with parameters, input, target, v0")
    parser.add_argument("--constants", required=True, help="JSON file with the system's constants")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--gradients", help="write cost and gradients to this SafeTensors file instead of timing")
    parser.add_argument("--compile", action="store_true", help="torch: compile the step")
    return parser.parse_args()


def on_cuda(args):
    """Whether to run on a GPU; known before JAX is imported."""
    with open(args.constants) as file:
        return json.load(file)["cuda"]


def network(args):
    tensors = load_file(args.network)
    data = {name: tensors.pop(name) for name in ("input", "target", "v0")}
    return tensors, data


def memory(line):
    """A line of /proc/self/status in MB."""
    with open("/proc/self/status") as status:
        for text in status:
            if text.startswith(line):
                return int(text.split()[1]) / 1024
    return 0.0


def forget_peak():
    """Lets the largest resident memory count from now on."""
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def report(args, gradient):
    """Times `gradient`, which must wait for its result. Everything has been compiled before."""
    forget_peak()
    base = memory("VmRSS:")
    gradient()
    times = []
    for _ in range(args.repeat):
        started = time.perf_counter()
        gradient()
        times.append(1e3 * (time.perf_counter() - started))
    print(
        json.dumps(
            {
                "ms": statistics.median(times),
                "ms_min": min(times),
                "ms_max": max(times),
                "runs": args.repeat,
                "peak_mb": memory("VmHWM:") - base,
            }
        )
    )


def write(args, cost, gradients):
    """Writes cost and gradients, numpy arrays, for the comparison."""
    save_file({"cost": cost.reshape(1), **gradients}, args.gradients)
