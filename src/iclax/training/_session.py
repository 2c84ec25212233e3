"""One training from its start, or from where it stopped, to its end."""

import signal
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import PyTree

from ._errors import Diverged, Interrupted
from ._history import History, Row
from ._identity import identity
from ._pace import Pace
from ._plan import Plan
from ._program import CAPACITY
from ._progress import Progress, closing
from ._result import TrainResult
from ._runs import Ensemble
from ._signals import StopRequest
from ._store import Progressed, Store


@dataclass
class Session:
    """A plan, its runs and where they report to."""

    plan: Plan
    runs: Ensemble
    seeds: Sequence[int]
    hyper: dict[str, Any]
    data: PyTree
    progress: Progress | None
    folder: Path | None
    checkpoint_every: float
    keep_going: bool

    def train(self) -> TrainResult:
        """Train to the end, or raise what ended it."""
        with self._store() as store, closing(self.progress):
            at = self._begin(store)
            stop = self._go_on(at, store)
            result = self._result(at)
            if store is not None and not self._unfinished(at):
                store.finish(result.model, result.averaged)
        if self._must_raise(result.diverged):
            raise self._divergence(result)
        if stop:
            raise Interrupted(at.done, store is not None, result)
        return result

    def _store(self) -> Any:
        if self.folder is None:
            return nullcontext()
        example = self.runs.shapes(self._seeds(), self.hyper)
        text = self.runs.text(example, self.data)
        init = self.runs.start_text(self._seeds(), self.hyper)
        own = identity(self.plan, self.seeds, self.hyper, self.data, text, init)
        return Store(self.folder, self.checkpoint_every, own)

    def _begin(self, store: Store | None) -> Progressed:
        history = History(self.plan.record_every, self.plan.steps)
        if store is not None:
            shapes = self.runs.shapes(self._seeds(), self.hyper)
            found = store.load(shapes, history)
            if found is not None:
                found.states = self.runs.place(found.states)
                return found
        return Progressed(self.runs.start(self._seeds(), self.hyper), history)

    def _go_on(self, at: Progressed, store: Store | None) -> bool:
        began, before = time.perf_counter(), at.seconds
        pace, first = Pace(CAPACITY), at.done
        signals = [signal.SIGINT] + [signal.SIGTERM] * (store is not None)
        with StopRequest(*signals) as request:
            while self._unfinished(at) and not request.asked:
                rows = self._advance(at, pace)
                at.seconds = before + time.perf_counter() - began
                try:
                    self._report(rows, at.done)
                except BaseException:  # no fault of somebody's display costs steps
                    if store is not None:
                        store.save(at)
                    raise
                if store is not None and self._unfinished(at):
                    store.offer(at)
            if store is not None and at.done > first:
                store.save(at)
        # Also one that came during the last steps: whoever asked wants no more of this.
        return request.asked

    def _unfinished(self, at: Progressed) -> bool:
        if self._must_raise(np.asarray(at.states.diverged)):
            return False
        return at.done < self.plan.steps and bool(np.asarray(at.states.active).any())

    def _advance(self, at: Progressed, pace: Pace) -> list[Row]:
        plan, start = self.plan, at.done
        end = pace.next_end(start, plan.steps, plan.record_every)
        states, records = self.runs.advance(
            at.states, self.data, np.int32(start), np.int32(end)
        )
        rows = at.history.extend(records, start, end)
        at.states, at.done = states, end
        pace.finished(end - start)
        if np.asarray(states.active).any():
            return rows
        last = int(np.max(states.ended))
        at.history.cut(last)
        return [row for row in rows if row[0] <= last]

    def _report(self, rows: list[Row], done: int) -> None:
        if self.progress is None:
            return
        for step, metrics in rows:
            self.progress(step, self.plan.steps, metrics)
        if not rows or rows[-1][0] < done:
            self.progress(done, self.plan.steps, {})

    def _seeds(self) -> np.ndarray:
        return np.asarray(self.seeds, np.uint32)

    def _must_raise(self, diverged: np.ndarray) -> bool:
        return bool(diverged.any()) and not self.keep_going

    def _result(self, at: Progressed) -> TrainResult:
        states, models = at.states, self.runs.models
        return TrainResult(
            models(states, states.weights),
            at.history.steps(),
            at.history.columns(),
            np.asarray(self.seeds, np.int64),
            np.minimum(states.ended, at.done),
            np.asarray(states.diverged),
            at.seconds,
            None if states.average is None else models(states, states.average.total),
        )

    def _divergence(self, result: TrainResult) -> Diverged:
        steps = np.where(result.diverged, result.ended, self.plan.steps + 1)
        run = int(np.argmin(steps))
        step = int(result.ended[run])
        own = {name: values[run] for name, values in self.hyper.items()}
        rate = self.plan.rate(step, own)
        return Diverged(step, int(result.seeds[run]), rate, result)
