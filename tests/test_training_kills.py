"""A killed training, started again, ends bit for bit as if it had never stopped."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from iclax._tensors import read_tensors


class Victims:
    """A server of processes that train and can be killed."""

    def __init__(self, root):
        tests = Path(__file__).parent
        environment = os.environ | {
            "PYTHONPATH": f"{tests.parent / 'src'}:{tests}",
            "JAX_PLATFORMS": "cpu",
            "OPENBLAS_NUM_THREADS": "1",
        }
        self.root = root
        self._server = subprocess.Popen(
            [sys.executable, str(tests / "training_victim.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )

    def run(self, case, folder, kill_after=60.0, moment="launch"):
        """Train; returns the exit status, −9 for a killed one, and the seconds."""
        began = time.monotonic()
        self._server.stdin.write(f"{case} {folder} {kill_after} {moment}\n")
        self._server.stdin.flush()
        return int(self._server.stdout.readline()), time.monotonic() - began

    def close(self):
        self._server.stdin.close()
        assert self._server.wait(20) == 0
        self._server.stdout.close()


@pytest.fixture(scope="module")
def victims(tmp_path_factory):
    server = Victims(tmp_path_factory.mktemp("victims"))
    yield server
    server.close()


def final(folder):
    newest = sorted(folder.glob("checkpoints/*.safetensors"))[-1]
    weights = read_tensors(folder / "weights.safetensors")
    return newest.name, read_tensors(newest) | weights


def assert_same(folder, other):
    (name, arrays), (other_name, others) = final(folder), final(other)
    assert name == other_name and arrays.keys() == others.keys()
    for key in arrays:
        assert np.array_equal(arrays[key], others[key]), key


def kill_many(victims, case, kills):
    """Kill runs of a case `kills` times; returns the steps they were found at."""
    whole, calm = victims.root / f"{case}-whole", victims.root / f"{case}-calm"
    assert victims.run(case, whole)[0] == 0  # it also fills the compilation cache
    status, seconds = victims.run(case, calm)
    assert status == 0
    assert_same(calm, whole)
    rng, done, folders, found = random.Random(case), 0, 0, set()
    while done < kills:
        folder, status, folders = victims.root / f"{case}-{folders}", 0, folders + 1
        while done < kills:
            moment, longest = rng.choice([("launch", seconds), ("training", 0.4)])
            status, _ = victims.run(case, folder, rng.uniform(0, longest), moment)
            if status == 0:  # the run was quicker
                break
            assert status == -signal.SIGKILL
            done += 1
            found |= {path.stem for path in folder.glob("checkpoints/*.json")}
        if status:
            assert victims.run(case, folder)[0] == 0
        assert_same(folder, whole)
    return found


@pytest.mark.parametrize(
    "case, kills, steps",
    [
        ("adam", 3, 1),
        pytest.param("adam", 9, 3, marks=pytest.mark.ci),
        pytest.param("momentum", 8, 3, marks=pytest.mark.ci),
        pytest.param("stages", 8, 3, marks=pytest.mark.ci),
    ],
)
def test_killed_runs_end_bit_identical(victims, case, kills, steps):
    found = kill_many(victims, case, kills)
    # Most kills fell between the first and the last step.
    assert len(found) >= steps


@pytest.mark.slow
@pytest.mark.parametrize(
    "case, kills", [("adam", 70), ("momentum", 65), ("stages", 65)]
)
def test_many_kills(victims, case, kills):
    assert len(kill_many(victims, case, kills)) >= 20
