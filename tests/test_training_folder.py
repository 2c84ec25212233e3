"""Trainings with a folder: resumed, refused, interrupted, and read while they run."""

import errno
import os
import signal

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from test_training import init, loss, watch

import iclax.training._pace as pace
from iclax._errors import RunError
from iclax._files import Lock
from iclax._tensors import read_tensors
from iclax.training import (
    SGD,
    Adam,
    Average,
    Diverged,
    Interrupted,
    Target,
    train,
)
from iclax.training._checkpoint import newest
from iclax.training._identity import identity
from iclax.training._tree import from_arrays, to_arrays

OPTIONS = dict(
    steps=40, seeds=[0, 1], optimizer=Adam(0.05), watch=watch, record_every=7
)


@pytest.fixture(autouse=True)
def small_calls(monkeypatch):
    monkeypatch.setattr(pace, "GROWTH", 2)


def assert_same(result, other):
    assert np.array_equal(result.model["w"], other.model["w"])
    assert np.array_equal(result.steps, other.steps)
    assert result.history.keys() == other.history.keys()
    for name, values in result.history.items():
        assert np.array_equal(values, other.history[name], equal_nan=True), name
    assert np.array_equal(result.ended, other.ended)


class At:
    """A progress that does something once, at the first report from a step on."""

    def __init__(self, step, action):
        self.step, self.action, self.done = step, action, False

    def __call__(self, step, total, metrics):
        if step >= self.step and not self.done:
            self.done = True
            self.action()


@pytest.fixture(scope="module")
def whole():
    return train(init, loss, **OPTIONS)


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path, whole, which):
    before = signal.getsignal(which)
    interrupt = At(10, lambda: os.kill(os.getpid(), which))
    with pytest.raises(Interrupted, match="same command") as caught:
        train(init, loss, folder=tmp_path, progress=interrupt, **OPTIONS)
    assert signal.getsignal(which) is before
    assert 10 <= caught.value.step < 40
    assert np.array_equal(
        caught.value.result.steps, whole.steps[: len(caught.value.result.steps)]
    )
    seen = []
    resumed = train(
        init, loss, folder=tmp_path, progress=lambda t, n, m: seen.append(t), **OPTIONS
    )
    assert min(seen) > caught.value.step
    assert_same(resumed, whole)


def test_an_interrupt_during_the_last_steps_still_interrupts(tmp_path, whole):
    interrupt = At(40, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(Interrupted) as caught:
        train(init, loss, folder=tmp_path, progress=interrupt, **OPTIONS)
    assert caught.value.step == 40 and (tmp_path / "weights.safetensors").exists()
    assert_same(caught.value.result, whole)
    assert_same(train(init, loss, folder=tmp_path, **OPTIONS), whole)


def test_a_failing_display_loses_no_steps(tmp_path, whole):
    def fail():
        raise OSError("the display is gone")

    with pytest.raises(OSError, match="display"):
        train(init, loss, folder=tmp_path, progress=At(14, fail), **OPTIONS)
    seen = []
    watching = lambda step, total, metrics: seen.append(step)
    resumed = train(init, loss, folder=tmp_path, progress=watching, **OPTIONS)
    assert min(seen) > 14
    assert_same(resumed, whole)


def test_without_a_folder_an_interrupted_run_hands_back_what_it_has(whole):
    interrupt = At(14, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(Interrupted) as caught:
        train(init, loss, progress=interrupt, **OPTIONS)
    assert isinstance(caught.value, KeyboardInterrupt)
    assert np.array_equal(caught.value.result.steps, [7, 14])
    assert "same command" not in str(caught.value)


def test_a_finished_run_is_not_trained_again(tmp_path, whole):
    first = train(init, loss, folder=tmp_path, **OPTIONS)
    assert_same(first, whole)
    seen = []
    again = train(
        init, loss, folder=tmp_path, progress=lambda *a: seen.append(a), **OPTIONS
    )
    assert_same(again, whole)
    assert not seen and again.seconds == first.seconds
    weights = read_tensors(tmp_path / "weights.safetensors")
    assert np.array_equal(weights["w"], whole.model["w"])


@pytest.mark.parametrize(
    "change, said",
    [
        (dict(steps=41), "steps 40 there, 41 here"),
        (dict(seeds=[0, 2]), "other seeds"),
        (dict(optimizer=Adam(0.06)), "optimizer Adam.learning_rate=0.05.* there"),
        (dict(average=Average()), "average None there, Average"),
        (dict(watch=None), "another loss, model, watch, seed_batch or devices"),
        (dict(seed_batch=1), "another loss, model, watch, seed_batch or devices"),
        (dict(data=jnp.ones(2)), "other data"),
        (dict(hyper={"learning_rate": [0.05, 0.05]}), "other hyper"),
    ],
)
def test_another_command_is_refused(finished, change, said):
    with pytest.raises(RunError, match=said):
        train(init, loss, folder=finished, **(OPTIONS | change))


def test_another_init_is_refused_and_named(finished):
    other = lambda key: jax.tree.map(lambda w: w + 1, init(key))
    with pytest.raises(RunError, match="training: another init. Choose"):
        train(other, loss, folder=finished, **OPTIONS)
    with pytest.raises(RunError, match="training: another loss, model"):
        train(other, loss, folder=finished, **(OPTIONS | dict(watch=None)))
    with pytest.raises(RunError, match="training: steps 40 there, 41 here. Choose"):
        train(other, loss, folder=finished, **(OPTIONS | dict(steps=41)))


def test_a_folder_from_before_init_was_compared_goes_on(tmp_path, whole, monkeypatch):
    with monkeypatch.context() as old:
        of_before = lambda *known: {
            name: value for name, value in identity(*known).items() if name != "init"
        }
        old.setattr("iclax.training._session.identity", of_before)
        train(init, loss, folder=tmp_path, **OPTIONS)
    assert_same(train(init, loss, folder=tmp_path, **OPTIONS), whole)


def test_a_checkpoint_notes_the_versions_of_all_that_trained_it(tmp_path, monkeypatch):
    def noted():
        return [
            v["sources"] for v in newest(tmp_path / "checkpoints").notes["versions"]
        ]

    def go_on(sources, *until):
        monkeypatch.setattr("iclax.runs._versions.sources", lambda: sources)
        stop = [lambda: os.kill(os.getpid(), signal.SIGINT)] * len(until)
        progress = At(*until, *stop) if until else None
        try:
            train(init, loss, folder=tmp_path, progress=progress, **OPTIONS)
        except Interrupted:
            assert until

    go_on("first", 7)
    go_on("first", 14)
    assert noted() == ["first"]
    go_on("second", 28)
    assert noted() == ["first", "second"]
    go_on("third")
    go_on("fourth")  # only reads
    assert noted() == ["first", "second", "third"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    train(init, loss, folder=folder, **OPTIONS)
    return folder


def test_another_version_of_jax_goes_on_with_a_warning(tmp_path, whole, monkeypatch):
    interrupt = At(10, lambda: os.kill(os.getpid(), signal.SIGINT))
    monkeypatch.setattr("jax.__version__", "0.0.1")
    with pytest.raises(Interrupted):
        train(init, loss, folder=tmp_path, progress=interrupt, **OPTIONS)
    monkeypatch.undo()
    with pytest.warns(UserWarning, match="jax 0.0.1 there"):
        resumed = train(init, loss, folder=tmp_path, **OPTIONS)
    np.testing.assert_allclose(resumed.model["w"], whole.model["w"])


def test_a_damaged_checkpoint_costs_time_and_nothing_else(tmp_path, whole):
    interrupt = At(20, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(Interrupted):
        train(
            init,
            loss,
            folder=tmp_path,
            progress=interrupt,
            checkpoint_every=0.0,
            **OPTIONS,
        )
    newest = sorted(tmp_path.glob("checkpoints/*.safetensors"))[-1]
    newest.write_bytes(newest.read_bytes()[:-1] + b"\x7f")
    assert_same(train(init, loss, folder=tmp_path, **OPTIONS), whole)


def test_two_trainings_cannot_share_a_folder(tmp_path, whole):
    (tmp_path / "checkpoints").mkdir()
    with Lock(tmp_path / "checkpoints"):
        with pytest.raises(RunError, match=f"pid {os.getpid()}"):
            train(init, loss, folder=tmp_path, **OPTIONS)
    assert_same(train(init, loss, folder=tmp_path, **OPTIONS), whole)


def test_a_disk_that_fills_up_ends_the_run_and_keeps_what_was_saved(
    tmp_path, whole, monkeypatch
):
    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    fill = At(20, lambda: monkeypatch.setattr(os, "fsync", full))
    with pytest.raises(RunError, match="no room to write"):
        train(
            init, loss, folder=tmp_path, progress=fill, checkpoint_every=0.0, **OPTIONS
        )
    monkeypatch.undo()
    assert len(list(tmp_path.glob("checkpoints/*.json"))) == 2
    assert_same(train(init, loss, folder=tmp_path, **OPTIONS), whole)


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        train(init, loss, folder=tmp_path / "file" / "run", **OPTIONS)


def test_a_diverged_run_says_so_again_and_keeps_its_last_good_weights(tmp_path):
    options = dict(steps=60, seeds=[0], optimizer=SGD(1e3), record_every=10)
    caught = []
    for _ in range(2):
        with pytest.raises(Diverged) as error:
            train(init, loss, folder=tmp_path, **options)
        caught.append(error.value)
    assert str(caught[0]) == str(caught[1]) and "learning rate 1e+03" in str(caught[0])
    weights = read_tensors(tmp_path / "weights.safetensors")["w"]
    assert np.all(np.isfinite(weights))
    assert np.array_equal(weights, caught[1].result.model["w"])


def test_early_stops_survive_a_resume(tmp_path):
    options = OPTIONS | dict(steps=400, target=Target("risk", 0.1), record_every=1)
    straight = train(init, loss, **options)
    interrupt = At(5, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(Interrupted):
        train(init, loss, folder=tmp_path, progress=interrupt, **options)
    assert max(straight.ended) < 400
    assert_same(train(init, loss, folder=tmp_path, **options), straight)


def test_metrics_can_be_read_while_the_run_goes_on(tmp_path, whole, monkeypatch):
    monkeypatch.setattr("iclax.training._store.METRICS_SECONDS", 0.0)
    found = []

    def read(step, total, metrics):
        path = tmp_path / "metrics.safetensors"
        if path.exists():
            found.append(read_tensors(path))

    train(init, loss, folder=tmp_path, progress=read, **OPTIONS)
    lengths = [len(columns["step"]) for columns in found]
    assert len(set(lengths)) > 2 and lengths == sorted(lengths)
    for columns in found:
        n = len(columns["step"])
        assert np.array_equal(columns["step"], whole.steps[:n])
        if n:
            assert np.array_equal(columns["risk"], whole.history["risk"][:, :n])


def test_keys_of_any_generator_come_back():
    tree = {"a": jr.key(3, impl="rbg"), "b": jr.split(jr.key(4), 3), "w": jnp.ones(2)}
    back = from_arrays(to_arrays(tree), jax.eval_shape(lambda: tree))
    for name in ("a", "b"):
        assert back[name].dtype == tree[name].dtype
        np.testing.assert_array_equal(jr.key_data(back[name]), jr.key_data(tree[name]))
