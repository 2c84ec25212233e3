"""Several parts of a recipe at a time, in threads that one Ctrl-C stops."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from threading import Event
from typing import Any


class _Stoppable:
    """A progress callback that raises in its thread once `stop` is set."""

    def __init__(self, inner: Any, stop: Event):
        self._inner, self._stop = inner, stop

    def __call__(self, step: int, total: int, metrics: Mapping[str, Any]) -> None:
        if self._stop.is_set():
            raise KeyboardInterrupt
        if self._inner is not None:
            self._inner(step, total, metrics)

    def close(self) -> None:
        """Close the callback that it wraps."""
        if hasattr(self._inner, "close"):
            self._inner.close()


def run_parts(
    compute: Callable[[Any, Callable[..., Any]], dict[str, Any]],
    parts: Sequence[Any],
    workers: int,
    progress: Callable[..., Any],
) -> dict[str, dict[str, Any]]:
    """Results by part name, `workers` at a time; in this thread if that is one.

    The first failure, or Ctrl-C, stops the other trainings at their next record and is
    raised; what finished before is saved by `compute`.
    """
    if workers == 1 or len(parts) < 2:
        return {part.name: compute(part, progress) for part in parts}
    stop = Event()

    def stoppable(*args: Any, **known: Any) -> _Stoppable:
        return _Stoppable(progress(*args, **known), stop)

    with ThreadPoolExecutor(workers) as pool:
        futures = {p.name: pool.submit(compute, p, stoppable) for p in parts}
        try:
            wait(futures.values(), return_when=FIRST_EXCEPTION)
            return {name: future.result() for name, future in futures.items()}
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
