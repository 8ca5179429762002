"""Reads what a recording writes with NumPy, Neo and PyNWB, and writes the inputs that NumPy gives, for `tests/recording.rs`.

pip install numpy==2.4.6 neo==0.14.6 pynwb==4.2.0
cargo test -p burn-spiking-tests --test recording -- --ignored     # writes spikes.npz and spikes.csv
python tests/golden/spikes.py
"""

import csv
import datetime
import tempfile
from pathlib import Path

import neo
import numpy as np
import pynwb
import quantities as pq

HERE = Path(__file__).parent


def check_numpy():
    file = np.load(HERE / "spikes.npz")
    spikes = list(zip(file["samples"].tolist(), file["times"].tolist(), file["units"].tolist()))
    with open(HERE / "spikes.csv") as lines:
        rows = [(int(row["sample"]), float(row["time"]), int(row["unit"])) for row in csv.DictReader(lines)]
    assert spikes == rows and len(spikes) > 20
    batch, steps, neurons = file["v"].shape
    assert (batch, neurons) == (len(file["durations"]), int(file["neurons"]))
    assert np.allclose(file["durations"], steps * file["dt"])
    # Neurons without recurrence are reset in the step after which their potential is lower than before.
    v = file["v"]
    for sample, time, unit in spikes:
        step = int(time / file["dt"])
        assert step == 0 or v[sample, step, unit] < v[sample, step - 1, unit], (sample, time, unit)
    print(len(spikes), "spikes,", {name: file[name].shape for name in file.files})
    return file


def check_neo(file):
    """As spike trains of Neo; through a NWB file of PyNWB and back."""
    of = (file["samples"] == 1) & (file["units"] == 2)
    train = neo.SpikeTrain(file["times"][of] * pq.ms, t_stop=file["durations"][1] * pq.ms)
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
    nwb = pynwb.NWBFile(session_description="a run", identifier="run", session_start_time=start)
    for unit in range(int(file["neurons"])):
        times = file["times"][(file["samples"] == 1) & (file["units"] == unit)]
        nwb.add_unit(spike_times=times / 1000, obs_intervals=[[0.0, file["durations"][1] / 1000]])
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/run.nwb"
        with pynwb.NWBHDF5IO(path, "w") as out:
            out.write(nwb)
        trains = neo.NWBIO(path, "r").read_all_blocks()[0].segments[0].spiketrains
    assert len(trains) == int(file["neurons"])
    assert np.allclose(trains[2].times.rescale("ms").magnitude, train.times.rescale("ms").magnitude)
    print("unit 2 of sample 1 in Neo:", train)


def write_inputs():
    input = np.linspace(0.0, 1.0, 2 * 5 * 3).reshape(2, 5, 3)
    np.save(HERE / "input.npy", input)
    np.savez_compressed(HERE / "input.npz", input=input.astype(np.float32), other=np.arange(3))


if __name__ == "__main__":
    write_inputs()
    check_neo(check_numpy())
