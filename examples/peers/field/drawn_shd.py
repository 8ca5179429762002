"""Draws files in the layout of SHD, to try `classify --task shd --data DIR` without the recordings.

Each of the 20 classes is a set of 40 bumps of activity, each at a place among the 700 units and at a time within 1.2 s. A sample
has the spikes of its class's bumps, moved at random, and a tenth of noise: some 4000 spikes.

    python drawn_shd.py DIR [TRAINING_SAMPLES [TEST_SAMPLES]]
"""

import sys
from pathlib import Path

import h5py
import numpy as np

UNITS, CLASSES, BUMPS, SPIKES = 700, 20, 40, 4000


def sample(bumps, random):
    which = random.integers(0, BUMPS, SPIKES)
    shift = random.normal(0.0, [10.0, 0.02], (BUMPS, 2))
    unit, time = (bumps[which] + shift[which] + random.normal(0.0, [8.0, 0.015], (SPIKES, 2))).T
    noise = random.random(SPIKES) < 0.1
    unit[noise], time[noise] = random.uniform(0, UNITS, noise.sum()), random.uniform(0.0, 1.2, noise.sum())
    inside = (unit >= 0) & (unit < UNITS) & (time >= 0)
    order = np.argsort(time[inside])
    return time[inside][order].astype(np.float16), unit[inside][order].astype(np.uint16)


def write(path, count, bumps, random):
    labels = np.arange(count) % CLASSES
    random.shuffle(labels)
    samples = [sample(bumps[label], random) for label in labels]
    with h5py.File(path, "w") as file:
        spikes = file.create_group("spikes")
        for at, (name, number) in enumerate((("times", np.float16), ("units", np.uint16))):
            data = spikes.create_dataset(name, (count,), dtype=h5py.vlen_dtype(number))
            for k, one in enumerate(samples):
                data[k] = one[at]
        file.create_dataset("labels", data=labels.astype(np.uint16))


def main():
    folder = Path(sys.argv[1])
    counts = [int(count) for count in sys.argv[2:]] + [8156, 2264][len(sys.argv) - 2 :]
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    bumps = random.uniform([30.0, 0.05], [UNITS - 30.0, 1.15], (CLASSES, BUMPS, 2))
    for name, count in zip(("train", "test"), counts):
        write(folder / f"shd_{name}.h5", count, bumps, random)


if __name__ == "__main__":
    main()
