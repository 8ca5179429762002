"""Writes a file of three samples in the layout of SHD and SSC, by h5py, as the data set's authors did.

pip install h5py==3.16.0 numpy==2.4.6
python tests/golden/heidelberg.py
"""

from pathlib import Path

import h5py
import numpy as np

FILE = Path(__file__).parents[2] / "crates/burn-spiking-tasks/data/heidelberg-layout.h5"

times = [np.array(times, dtype=np.float16) for times in ([0.0625, 0.5, 1.369140625], [], [0.0])]
units = [np.array(units, dtype=np.uint16) for units in ([0, 699, 350], [], [12])]

with h5py.File(FILE, "w") as file:
    spikes = file.create_group("spikes")
    for name, lists, number in (("times", times, np.float16), ("units", units, np.uint16)):
        data = spikes.create_dataset(name, (len(lists),), dtype=h5py.vlen_dtype(number))
        for at, numbers in enumerate(lists):
            data[at] = numbers
    file.create_dataset("labels", data=np.array([4, 17, 0], dtype=np.uint16))
    extra = file.create_group("extra")
    extra.create_dataset("speaker", data=np.array([1, 1, 2], dtype=np.uint16))
