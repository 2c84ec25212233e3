"""Progress bars on a terminal, silence elsewhere."""

import sys
from collections.abc import Mapping
from typing import Any


def progress_factory() -> Any:
    """A function (title, steps) -> progress callback for `iclax.training.train`."""

    def factory(title: str, steps: int) -> Any:
        return _Bar(title, steps) if sys.stderr.isatty() else None

    return factory


class _Bar:
    """One bar a training: steps/s, time left, mean loss and exact risk over seeds."""

    def __init__(self, title: str, steps: int):
        from tqdm import tqdm

        self._bar = tqdm(total=steps, desc=title, unit="step", file=sys.stderr)

    def __call__(self, step: int, steps: int, metrics: Mapping[str, Any]) -> None:
        self._bar.update(step - self._bar.n)
        if metrics:
            means = {name: f"{float(v.mean()):.4g}" for name, v in metrics.items()}
            self._bar.set_postfix(means)
        if step >= steps:
            self._bar.close()
