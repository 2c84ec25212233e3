"""A run folder: what was asked for, with which software, and what came out."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from .._errors import RunError
from .._files import Lock, make_folder, remove_leftovers
from .._tensors import read_tensors, write_tensors
from ._files import write_json
from ._identity import check_same, digest
from ._versions import versions


@dataclass(frozen=True)
class RunFolder:
    """A run folder that this process may write in, while `open_run` lasts.

    `setting.json` holds the resolved setting, `run.json` seeds, versions, times and
    status, `result.json` the numbers that came out; arrays are `<name>.safetensors`.
    Every file is replaced whole. Versions are those that began the run; others that
    opened it again are listed under "again".
    """

    path: Path

    def save_result(self, values: Mapping[str, Any]) -> None:
        """Write what came out: numbers, arrays, text, lists and mappings."""
        write_json(self.path / "result.json", values)

    def result(self) -> dict[str, Any] | None:
        """What `save_result` wrote; None if nothing yet."""
        path = self.path / "result.json"
        return read_json(path) if path.exists() else None

    def save_arrays(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Write named arrays to `<name>.safetensors`."""
        write_tensors(self.path / f"{name}.safetensors", arrays)

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """What `save_arrays` wrote. Raises `RunError` if it is missing or damaged."""
        return read_tensors(self.path / f"{name}.safetensors")


@contextmanager
def open_run(
    path: str | Path, setting: Mapping[str, Any], *, seeds: Sequence[int] = ()
) -> Iterator[RunFolder]:
    """The run folder `path` for `setting`, made or opened again, and locked meanwhile.

    Records the status: "finished" when the block ends, "interrupted" or "failed" with
    the reason when it raises. Raises `RunError` where another process has the folder,
    it cannot be written, or it was made with another setting (and says which keys
    differ).
    """
    folder = make_folder(Path(path))
    with Lock(folder):
        remove_leftovers(folder)
        _claim(folder, setting)
        with recording(folder, seeds):
            yield RunFolder(folder)


@contextmanager
def recording(folder: Path, seeds: Sequence[int] = ()) -> Iterator[None]:
    """Keep `run.json` of a locked folder: status, seeds, versions, times and reason."""
    record, first = _begin(folder, seeds)
    began = time.monotonic() - record.get("seconds", 0.0)
    try:
        yield
    except BaseException as error:
        stopped = isinstance(error, KeyboardInterrupt)
        record["status"] = "interrupted" if stopped else "failed"
        record["reason"] = str(error) or type(error).__name__
        raise
    else:
        record["status"] = "finished"
    finally:
        record["seconds"] = time.monotonic() - began
        record["ended"] = now()
        _note_versions(record, first)  # JAX may have come into use meanwhile
        write_json(folder / "run.json", record)


def run_id(setting: Mapping[str, Any]) -> str:
    """Twelve hexadecimal digits that name a setting: equal settings, equal names."""
    return digest(setting)[:12]


def _claim(folder: Path, setting: Mapping[str, Any]) -> None:
    path = folder / "setting.json"
    if path.exists():
        check_same(folder, read_json(path), setting)
    else:
        write_json(path, setting)


def _begin(folder: Path, seeds: Sequence[int]) -> tuple[dict[str, Any], bool]:
    """The record of a run that begins or goes on, and whether it begins."""
    path = folder / "run.json"
    first = not path.exists()
    record: dict[str, Any] = {"begun": now()} if first else read_json(path)
    record.pop("reason", None)
    record["status"] = "running"
    if seeds or first:
        record["seeds"] = [int(seed) for seed in seeds]
    _note_versions(record, first)
    write_json(path, record)
    return record, first


def _note_versions(record: dict[str, Any], first: bool) -> None:
    """Note today's versions, but never in the place of those that began the run."""
    own = versions()
    if first:
        record["versions"] = own
        return
    again = record.get("again", [])
    told = [record.get("versions", {}), *(entry["versions"] for entry in again)]
    if not any(own.items() <= known.items() for known in told):
        record["again"] = [*again, {"opened": now(), "versions": own}]


def now() -> str:
    """The time in UTC, to the second, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises `RunError` if it is missing or damaged."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read ({error}).") from error
    if not isinstance(found, dict):
        raise RunError(f"{path} cannot be read (it holds no JSON object).")
    return found
