"""The events of the tables that `classify --tables DIR` writes; for peers with and without PyTorch."""

import numpy as np


class Table:
    """The events of a table: sample after sample, and the class of each."""

    def __init__(self, path):
        with open(path) as file:
            names = file.readline().strip().split(",")
        columns = dict(zip(names, np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2).T))
        # Numbers without a sample are samples without events, which a table leaves out.
        numbers, self.sample = np.unique(columns["sample"].astype(np.int64), return_inverse=True)
        self.time = columns["time"]
        self.unit = columns["unit"].astype(np.int64)
        count = len(numbers)
        self.classes = np.zeros(count, dtype=np.int64)
        self.classes[self.sample] = columns["class"].astype(np.int64)
        order = np.argsort(self.sample, kind="stable")
        self.sample, self.time, self.unit = self.sample[order], self.time[order], self.unit[order]
        self.first = np.searchsorted(self.sample, np.arange(count + 1))

    def __len__(self):
        return len(self.classes)
