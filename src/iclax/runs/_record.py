"""Reading runs, finished or not, without disturbing who writes them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from .._errors import RunError
from .._files import is_locked
from .._tensors import read_tensors
from ._folder import read_json, run_id


@dataclass(frozen=True)
class RunRecord:
    """What a run folder says of itself.

    `status` is "running", "finished", "failed", "interrupted", or "stopped" for a run
    whose process was killed; `details` has seeds, versions, times and, for a run that
    ended early, the reason. `list_runs` calls one "damaged" that cannot be read, and
    gives that reason.
    """

    path: Path
    id: str
    setting: dict[str, Any]
    status: str
    details: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Metrics:
    """The records of a training: `columns[name]` has shape (runs, records)."""

    steps: Int[np.ndarray, " records"]
    columns: dict[str, Float[np.ndarray, "runs records"]]


def read_run(path: str | Path) -> RunRecord:
    """The record of one run folder. Raises `RunError` if it is none or damaged."""
    folder = Path(path)
    setting = read_json(folder / "setting.json")
    details = read_json(folder / "run.json")
    status = details.pop("status", "stopped")
    if status == "running" and not is_locked(folder):
        status = "stopped"
    return RunRecord(folder, run_id(setting), setting, status, details)


def list_runs(root: str | Path) -> list[RunRecord]:
    """The run folders directly under `root`, by name; folders of other kinds are not
    listed."""
    return list(_runs(Path(root)))


def read_metrics(path: str | Path) -> Metrics:
    """The metrics of a training folder, also while the training goes on."""
    columns = read_tensors(Path(path) / "metrics.safetensors")
    if "step" not in columns:
        raise RunError(f"{path} holds no metrics of a training.")
    return Metrics(columns.pop("step"), columns)


def read_weights(path: str | Path) -> dict[str, np.ndarray]:
    """The final weights of a training folder, each with a leading axis of runs."""
    return read_tensors(Path(path) / "weights.safetensors")


def _runs(root: Path) -> Iterator[RunRecord]:
    for path in sorted(root.iterdir()) if root.is_dir() else []:
        if (path / "run.json").exists():
            try:
                yield read_run(path)
            except RunError as error:
                yield RunRecord(path, "", {}, "damaged", {"reason": str(error)})
