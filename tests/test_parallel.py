"""Parts in processes: same results, relayed progress, errors and ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import part_jobs
import pytest

from iclax._errors import AssumptionError
from iclax.experiments._parallel import run_in_processes


class Bar:
    def __init__(self, events, *arguments, **known):
        self.events = events
        events.append(("open", arguments, known))

    def __call__(self, step, total, metrics):
        self.events.append((step, total, {k: v.tolist() for k, v in metrics.items()}))

    def close(self):
        self.events.append("close")


def test_every_part_is_computed_elsewhere_and_shown_here():
    said, events = [], []

    def bar(*arguments, **known):
        return Bar(events, *arguments, **known)

    found = run_in_processes(part_jobs.square, ["1", "2", "3"], 2, bar, said.append)
    assert {name: part["square"] for name, part in found.items()} == {
        "1": 1,
        "2": 4,
        "3": 9,
    }
    assert os.getpid() not in {part["process"] for part in found.values()}
    assert sorted(said) == ["1 begins", "2 begins", "3 begins"]
    assert events.count(("open", ("title", 2), {"floor": 0.5})) == 3
    assert (1, 2, {"loss": [2.0]}) in events
    assert events.count("close") == 3


def test_a_failure_stops_the_others_and_keeps_its_type():
    began = time.monotonic()
    with pytest.raises(AssumptionError, match="this needs that. Instead: another."):
        run_in_processes(
            part_jobs.fail_on_two,
            ["1", "2", "3"],
            2,
            lambda *arguments, **known: None,
            lambda text: None,
        )
    assert time.monotonic() - began < 8


def test_workers_end_with_a_killed_parent():
    code = (
        "import part_jobs, os\n"
        "from iclax.experiments._parallel import run_in_processes\n"
        "if __name__ == '__main__':\n"
        "    say = lambda text: print(text, flush=True)\n"
        "    run_in_processes(part_jobs.sleep_long, ['1'], 1, None, say)\n"
    )
    tests = Path(__file__).parent
    path = os.pathsep.join([str(tests), str(tests.parent / "src")])
    parent = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert parent.stdout.readline() == "asleep\n"
    children = _children(parent.pid)
    assert children
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    deadline = time.monotonic() + 10
    while any(map(_lives, children)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(_lives, children))


def _children(process):
    found = Path(f"/proc/{process}/task/{process}/children")
    if not found.exists():
        pytest.skip("needs /proc")
    return [int(child) for child in found.read_text().split()]


def _lives(process):
    status = Path(f"/proc/{process}/stat")
    return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] != "Z"
