"""Run folders: who may write them, what they say, and what reading needs."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from iclax._errors import RunError
from iclax._tensors import write_tensors
from iclax.runs import (
    list_runs,
    open_run,
    read_metrics,
    read_run,
    read_weights,
    run_id,
    versions,
)

SETTING = {"task": {"kind": "linear", "dim": 5}, "context_length": 10, "noise": 0.1}
SRC = str(Path(__file__).parent.parent / "src")


class Scalar:
    """What JAX's arrays are to code that does not import JAX."""

    def __init__(self, value):
        self.value = value

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.value, dtype)


def test_a_finished_run_says_what_was_asked_and_what_came_out(tmp_path):
    with open_run(tmp_path / "a", SETTING, seeds=[1, 2]) as run:
        run.save_result({"risk": Scalar(0.25), "steps": np.array([1, 2])})
        run.save_arrays("curve", {"risk": np.arange(3.0)})
        assert read_run(tmp_path / "a").status == "running"
    record = read_run(tmp_path / "a")
    assert record.status == "finished" and record.setting == SETTING
    assert record.details["seeds"] == [1, 2] and record.id == run_id(SETTING)
    assert record.details["versions"].items() <= versions().items()
    assert record.details["begun"] <= record.details["ended"]
    with open_run(tmp_path / "a", SETTING) as run:
        assert run.result() == {"risk": 0.25, "steps": [1, 2]}
        assert np.array_equal(run.arrays("curve")["risk"], np.arange(3.0))


@pytest.mark.parametrize(
    "error, status",
    [(ValueError("too cold"), "failed"), (KeyboardInterrupt(), "interrupted")],
)
def test_a_run_that_raises_says_why_until_it_is_run_again(tmp_path, error, status):
    with pytest.raises(type(error)):
        with open_run(tmp_path, SETTING):
            raise error
    record = read_run(tmp_path)
    assert record.status == status
    assert record.details["reason"] == (str(error) or type(error).__name__)
    with open_run(tmp_path, SETTING):
        pass
    record = read_run(tmp_path)
    assert record.status == "finished" and "reason" not in record.details


def test_another_setting_is_refused_by_key(tmp_path):
    with open_run(tmp_path, SETTING):
        pass
    task = {"kind": "linear", "dim": 6}
    other = SETTING | {"task": task, "heads": 2}
    with pytest.raises(RunError) as caught:
        with open_run(tmp_path, other):
            pass
    assert "task.dim = 5 there, 6 here" in str(caught.value)
    assert "heads absent there, 2 here" in str(caught.value)
    assert read_run(tmp_path).setting == SETTING


def test_tuples_and_the_order_of_keys_do_not_make_another_run(tmp_path):
    one, two = {"a": (1, 2), "b": 0.1}, {"b": 0.1, "a": [1, 2]}
    assert run_id(one) == run_id(two) != run_id({"a": [1, 2], "b": 0.2})
    with open_run(tmp_path, one):
        pass
    with open_run(tmp_path, two):
        pass


KILLED = """
import json, sys, time
from iclax.runs import open_run
with open_run(sys.argv[1], json.loads(sys.argv[2])):
    print("open", flush=True)
    time.sleep(60)
"""


def test_a_killed_run_is_seen_as_stopped_and_can_be_opened_again(tmp_path):
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path / "r"), json.dumps(SETTING)],
        env=os.environ | {"PYTHONPATH": SRC},
        stdout=subprocess.PIPE,
    )
    assert child.stdout.readline() == b"open\n"
    assert read_run(tmp_path / "r").status == "running"
    with pytest.raises(RunError, match=f"pid {child.pid}"):
        with open_run(tmp_path / "r", SETTING):
            pass
    assert read_run(tmp_path / "r").status == "running"
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert read_run(tmp_path / "r").status == "stopped"
    with open_run(tmp_path / "r", SETTING):
        pass
    assert read_run(tmp_path / "r").status == "finished"


def test_runs_are_listed_by_name_and_other_folders_are_not(tmp_path):
    assert list_runs(tmp_path / "absent") == []
    for name in ("b", "a"):
        with open_run(tmp_path / name, SETTING):
            pass
    (tmp_path / "notes").mkdir()
    (tmp_path / "file").write_text("")
    assert [record.path.name for record in list_runs(tmp_path)] == ["a", "b"]
    (tmp_path / "a" / "run.json").write_text("[]")
    damaged, whole = list_runs(tmp_path)
    assert (damaged.status, whole.status) == ("damaged", "finished")
    assert "run.json cannot be read" in damaged.details["reason"]


def test_damage_is_said(tmp_path):
    with open_run(tmp_path, SETTING) as run:
        with pytest.raises(RunError, match="curve.safetensors cannot be read"):
            run.arrays("curve")
        assert run.result() is None
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(RunError, match="run.json cannot be read"):
        read_run(tmp_path)


def test_metrics_and_weights_of_a_training(tmp_path):
    columns = {"step": np.array([5, 10]), "loss": np.array([[2.0, 1.0]])}
    write_tensors(tmp_path / "metrics.safetensors", columns)
    write_tensors(tmp_path / "weights.safetensors", {"w": np.ones((1, 3))})
    metrics = read_metrics(tmp_path)
    assert list(metrics.steps) == [5, 10] and metrics.columns.keys() == {"loss"}
    assert np.array_equal(metrics.columns["loss"], [[2.0, 1.0]])
    assert np.array_equal(read_weights(tmp_path)["w"], np.ones((1, 3)))
    write_tensors(tmp_path / "metrics.safetensors", {"w": np.ones(1)})
    with pytest.raises(RunError, match="no metrics"):
        read_metrics(tmp_path)


def test_reading_runs_needs_no_jax():
    code = "import sys, iclax.runs; assert 'jax' not in sys.modules"
    subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": SRC}, check=True
    )
