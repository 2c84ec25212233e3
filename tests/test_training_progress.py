"""The bar, the event files, and when they are called and closed."""

import io
import os
import signal

import numpy as np
import pytest
from test_training import init, loss

from iclax.training import (
    SGD,
    Bar,
    Diverged,
    Interrupted,
    Progress,
    Several,
    TensorBoard,
    train,
)


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Closing:
    def __init__(self, action=None):
        self.calls, self.closed, self.action = [], 0, action

    def __call__(self, step, total, metrics):
        self.calls.append((step, total, metrics))
        if self.action:
            self.action()

    def close(self):
        self.closed += 1


def test_the_bar_shows_speed_loss_against_floor_and_time_left(monkeypatch):
    screen = Terminal()
    bar = Bar("layer", prompts_per_step=64, floor=0.5, file=screen)
    assert isinstance(bar, Progress)
    clock = iter(np.arange(1000.0))
    monkeypatch.setattr("tqdm.std.time", lambda: next(clock))
    for step in range(100, 600, 100):
        bar(step, 1000, {"loss": np.array([0.5, 1.0]), "risk": np.array([0.1, 0.3])})
    bar.close()
    last = screen.getvalue().split("\r")[-1]
    assert "layer" in last and "500/1000" in last and "step/s" in last
    assert "loss=0.75 (1.5× floor)" in last and "risk=0.2" in last
    assert "prompts/s=" in last and "<" in last  # elapsed<left


def test_the_bar_counts_only_steps_of_this_process(monkeypatch):
    screen = Terminal()
    bar = Bar(file=screen)
    bar(900_000, 10**6, {})
    assert bar._bar.format_dict["initial"] == 900_000
    bar.close()


def test_the_bar_is_silent_where_nobody_watches():
    file = io.StringIO()
    bar = Bar(file=file)
    train(init, loss, steps=3, optimizer=SGD(0.1), progress=bar)
    bar.close()
    assert file.getvalue() == ""


def test_every_record_is_reported_in_order_and_the_report_closed():
    report = Closing()
    result = train(
        init,
        loss,
        steps=20,
        seeds=[0, 1],
        optimizer=SGD(0.1),
        record_every=6,
        progress=Several(report),
    )
    recorded = [(step, metrics["loss"]) for step, _, metrics in report.calls if metrics]
    assert [step for step, _ in recorded] == list(result.steps) == [6, 12, 18, 20]
    for (_, values), column in zip(recorded, result.history["loss"].T, strict=True):
        assert np.array_equal(values, column)
    steps = [step for step, _, _ in report.calls]
    assert steps == sorted(steps) and {total for _, total, _ in report.calls} == {20}
    assert report.closed == 1


def test_the_report_is_closed_however_the_training_ends():
    interrupting = Closing(lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(Interrupted):
        train(init, loss, steps=20, optimizer=SGD(0.1), progress=interrupting)
    diverging = Closing()
    with pytest.raises(Diverged):
        train(init, loss, steps=200, optimizer=SGD(1e9), progress=diverging)
    assert interrupting.closed == diverging.closed == 1


def test_event_files_hold_every_record(tmp_path):
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event

    result = train(
        init,
        loss,
        steps=20,
        seeds=[0, 1],
        optimizer=SGD(0.1),
        record_every=6,
        progress=TensorBoard(tmp_path),
    )
    found = {}
    (path,) = tmp_path.glob("events*")
    content = path.read_bytes()
    while content:  # length (8), its checksum (4), the event, its checksum (4)
        size = int.from_bytes(content[:8], "little")
        event = Event.FromString(content[12 : 12 + size])
        for value in event.summary.value:
            found[value.tag, event.step] = value.simple_value
        content = content[16 + size :]
    for run in range(2):
        for j, step in enumerate(result.steps):
            expected = np.float32(result.history["loss"][run, j])
            assert found[f"loss/run_{run}", step] == expected
