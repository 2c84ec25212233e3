"""The folder of a training: checkpoints, metrics and weights."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from jaxtyping import PyTree

from .._files import Lock, make_folder, remove_leftovers
from .._tensors import write_tensors
from ..runs import versions
from ._checkpoint import Checkpoint, newest, save
from ._history import History
from ._identity import check_identity
from ._program import RunState
from ._tree import from_arrays, to_arrays

METRICS_SECONDS = 2.0
WEIGHTS, LAST_WEIGHTS = "weights.safetensors", "last_weights.safetensors"


@dataclass
class Progressed:
    """How far a training is: its states after `done` updates and its records."""

    states: RunState
    history: History
    done: int = 0
    seconds: float = 0.0


class Store:
    """What a training writes to its `folder`, and where it finds what it wrote.

    `checkpoints/` holds the two newest checkpoints, `metrics.safetensors` the records
    so far (rewritten while the training goes on), `weights.safetensors` the weights of
    the result: averaged ones where an average was asked for, with those of the last
    step in `last_weights.safetensors`. Within it, no other process can train in the
    folder. A checkpoint notes the versions of all that trained it, one after the other.
    """

    def __init__(self, folder: Path, every: float, identity: Mapping[str, Any]):
        self._folder, self._every, self._identity = folder, every, dict(identity)
        self._checkpoints = make_folder(folder / "checkpoints")
        self._lock = Lock(self._checkpoints)
        self._saved = self._shown = time.monotonic()
        self._versions = [versions()]

    def __enter__(self) -> "Store":
        self._lock.__enter__()
        remove_leftovers(self._checkpoints)
        remove_leftovers(self._folder)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.__exit__(kind, error, trace)

    def load(self, like: RunState, history: History) -> Progressed | None:
        """Where the training of this folder stopped; None if it never began."""
        found = newest(self._checkpoints)
        if found is None:
            return None
        check_identity(self._folder, found.notes["identity"], self._identity)
        before = found.notes.get("versions", [{}])  # {}: when none were noted
        self._versions = [*before, *(v for v in self._versions if v != before[-1])]
        history.restore(found.arrays)
        states = from_arrays(found.arrays, like, "state/")
        return Progressed(states, history, found.step, found.notes["seconds"])

    def offer(self, at: Progressed) -> None:
        """Save if it is time to."""
        now = time.monotonic()
        if now - self._saved >= self._every:
            self.save(at)
        elif now - self._shown >= METRICS_SECONDS:
            self._show(at.history)

    def save(self, at: Progressed) -> None:
        """Save a checkpoint and the metrics now."""
        arrays = to_arrays(at.states, "state/") | at.history.arrays()
        notes = {
            "identity": self._identity,
            "seconds": at.seconds,
            "versions": self._versions,
        }
        save(self._checkpoints, Checkpoint(at.done, arrays, notes))
        self._show(at.history)
        self._saved = time.monotonic()

    def finish(self, model: PyTree, averaged: PyTree | None) -> None:
        """Write the weights that a result stands for, and the last ones beside them."""
        last = to_arrays(model)
        if averaged is not None:
            write_tensors(self._folder / LAST_WEIGHTS, last)
            last |= to_arrays(averaged)
        write_tensors(self._folder / WEIGHTS, last)

    def _show(self, history: History) -> None:
        path = self._folder / "metrics.safetensors"
        write_tensors(path, history.arrays(), durable=False)
        self._shown = time.monotonic()
