"""Several parts of a recipe at a time, each in its own process.

Not in threads: XLA:CPU can lock up for good when two threads of one process compile
while the other's results are read.
"""

import multiprocessing
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, wait
from multiprocessing.connection import wait as wait_for
from threading import Thread
from typing import Any

import numpy as np

from .._errors import RunError

# What a worker process was given at its start.
_worker: dict[str, Any] = {}


class RelayedProgress:
    """A progress callback in a worker, heard by the process that shows it."""

    def __init__(self, name: str, arguments: tuple[Any, ...], known: dict[str, Any]):
        self._name = name
        _send("open", name, arguments, known)

    def __call__(self, step: int, total: int, metrics: Mapping[str, Any]) -> None:
        if _worker["stop"].is_set():
            raise KeyboardInterrupt
        found = {key: np.asarray(value) for key, value in metrics.items()}
        _send("step", self._name, step, total, found)

    def close(self) -> None:
        """Close the callback that is shown."""
        _send("close", self._name)


def run_in_processes(
    compute: Callable[[str, Callable[..., Any], Callable[[str], None]], dict[str, Any]],
    names: Sequence[str],
    workers: int,
    progress: Callable[..., Any],
    announce: Callable[[str], None],
) -> dict[str, dict[str, Any]]:
    """`compute(name, progress, announce)` of every name, `workers` at a time.

    `compute` is pickled. The first failure, or Ctrl-C, stops the other trainings at
    their next record and is raised; what finished before is saved by `compute`.
    """
    context = multiprocessing.get_context("spawn")
    channel, stop = context.SimpleQueue(), context.Event()
    listener = Thread(target=_listen, args=(channel, progress, announce), daemon=True)
    listener.start()
    pool = ProcessPoolExecutor(
        workers, mp_context=context, initializer=_begin, initargs=(channel, stop)
    )
    with pool:
        futures = {name: pool.submit(_work, compute, name) for name in names}
        try:
            wait(futures.values(), return_when=FIRST_EXCEPTION)
            _raise_first(futures.values())
            return {name: future.result() for name, future in futures.items()}
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            channel.put(("end",))
            listener.join()


def _raise_first(futures: Any) -> None:
    """Raise what stopped the pool rather than a cancellation that followed from it."""
    done: list[Future[Any]] = [f for f in futures if f.done() and not f.cancelled()]
    errors = [error for f in done if (error := f.exception()) is not None]
    for error in sorted(errors, key=lambda e: isinstance(e, KeyboardInterrupt)):
        raise error


def _listen(channel: Any, progress: Callable[..., Any], announce: Any) -> None:
    """Show what the workers send, until told to end."""
    shown: dict[str, Any] = {}
    while (message := channel.get())[0] != "end":
        match message:
            case "say", text:
                announce(text)
            case "open", name, arguments, known:
                shown[name] = progress(*arguments, **known)
            case "step", name, step, total, metrics if shown[name] is not None:
                shown[name](step, total, metrics)
            case "close", name if hasattr(shown[name], "close"):
                shown[name].close()


def _begin(channel: Any, stop: Any) -> None:
    _worker.update(channel=channel, stop=stop)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A killed parent must not leave workers that hold its run folder."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for([parent.sentinel])
        os._exit(1)


def _send(*message: Any) -> None:
    _worker["channel"].put(message)


def _work(compute: Any, name: str) -> dict[str, Any]:
    def progress(*arguments: Any, **known: Any) -> RelayedProgress:
        return RelayedProgress(name, arguments, known)

    if _worker["stop"].is_set():
        raise KeyboardInterrupt
    try:
        return compute(name, progress, lambda text: _send("say", text))
    except RunError as error:  # without the trained weights that it may hold
        raise RunError(str(error)) from None
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(*map(str, error.args)) from None
