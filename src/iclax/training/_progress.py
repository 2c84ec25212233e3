"""Watching a training: a bar on a terminal, and event files for TensorBoard."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from .._errors import SettingError


@runtime_checkable
class Progress(Protocol):
    """Called with the step, the last step, and what was recorded there (or nothing).

    A metric is an array with one value per run. If it has a `close`, that is called
    when the training ends, however it ends.
    """

    def __call__(
        self, step: int, total: int, metrics: Mapping[str, np.ndarray]
    ) -> None: ...


class Bar:
    """A bar with steps/s, prompts/s, the loss against its `floor` and the time left.

    `prompts_per_step` counts those of one run (all runs are added up); `floor` is the
    least loss there can be, to which the mean over runs is compared. Silent where the
    error stream is not a terminal.
    """

    def __init__(
        self,
        title: str = "training",
        *,
        prompts_per_step: int | None = None,
        floor: float | None = None,
        file: Any = None,
    ):
        self._title, self._prompts, self._floor = title, prompts_per_step, floor
        self._file = sys.stderr if file is None else file
        self._bar: Any = None
        self._notes: dict[str, str] = {}
        self._runs = 1

    def __call__(
        self, step: int, total: int, metrics: Mapping[str, np.ndarray]
    ) -> None:
        """See `Progress`."""
        if not self._file.isatty():
            return
        if self._bar is None:
            self._bar = self._open(step, total)
        for name, values in metrics.items():
            self._runs = len(values)
            self._notes[name] = self._describe(name, float(np.mean(values)))
        rate = self._bar.format_dict["rate"]
        if self._prompts and rate:
            self._notes["prompts/s"] = f"{rate * self._prompts * self._runs:.3g}"
        self._bar.set_postfix(self._notes, refresh=False)
        self._bar.update(step - self._bar.n)

    def close(self) -> None:
        """Leave the bar as it is and end its line."""
        if self._bar is not None:
            self._bar.close()

    def _open(self, step: int, total: int) -> Any:
        from tqdm import tqdm

        # Steps done before this call, by the program's first call or an earlier
        # process, say nothing of the speed.
        return tqdm(
            total=total, initial=step, desc=self._title, unit="step", file=self._file
        )

    def _describe(self, name: str, mean: float) -> str:
        if name != "loss" or not self._floor:
            return f"{mean:.4g}"
        return f"{mean:.4g} ({mean / self._floor:.3g}× floor)"


class TensorBoard:
    """Writes every record to TensorBoard event files in `folder`, a curve per run.

    Raises `SettingError` where tensorboardX is not installed (`iclax[tensorboard]`).
    """

    def __init__(self, folder: str | Path):
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise SettingError(
                "tensorboard",
                "no package tensorboardX",
                "pip install iclax[tensorboard]",
            ) from error
        self._writer = SummaryWriter(str(folder))

    def __call__(
        self, step: int, total: int, metrics: Mapping[str, np.ndarray]
    ) -> None:
        """See `Progress`."""
        for name, values in metrics.items():
            for run, value in enumerate(values):
                self._writer.add_scalar(f"{name}/run_{run}", float(value), step)

    def close(self) -> None:
        """Finish the files."""
        self._writer.close()


class Several:
    """Passes everything on to each of several progress reports."""

    def __init__(self, *reports: Progress):
        self._reports = reports

    def __call__(
        self, step: int, total: int, metrics: Mapping[str, np.ndarray]
    ) -> None:
        """See `Progress`."""
        for report in self._reports:
            report(step, total, metrics)

    def close(self) -> None:
        """Close those that can be closed."""
        for report in self._reports:
            _close(report)


def _close(report: Progress | None) -> None:
    close = getattr(report, "close", None)
    if close is not None:
        close()


@contextmanager
def closing(report: Progress | None) -> Iterator[None]:
    """Close a progress report at the end, if it has something to close."""
    try:
        yield
    finally:
        _close(report)
