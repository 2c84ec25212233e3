"""Loss curves from files: tables and TensorBoard event files."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from .._errors import SettingError
from ._event_files import read_event_file

_STEP = ("step", "steps", "iteration", "iter", "epoch", "time", "t")
_RUN = ("seed", "run")
_LOSS = ("loss", "value", "train_loss")
_BESIDE = ("wall time", "wall_time", "time", "relative", "epoch", "lr", "learning_rate")
_LARGEST = float(np.finfo(np.float64).max)
_WHOLE = 2.0**53  # above it two seeds can be the same number


@dataclass(frozen=True, eq=False)
class Curves:
    """The curves of some runs at common `steps`: `values` has one row a run."""

    steps: Float[np.ndarray, " records"]
    values: Float[np.ndarray, "runs records"]
    names: tuple[str, ...]


def load_curves(path: Path, column: str | None = None) -> Curves:
    """The loss curves in a CSV file, an event file or a folder of event files.

    A table has a column of steps (the first, or one named step, iteration, epoch or
    time) and one column a run, or in long form a column named seed or run and one of
    losses. A single column named loss, value or train_loss is the only curve; times,
    epochs and learning rates are none. `column` picks a column, or the tag of an event
    file. Runs are cut to the steps that all have. Raises `SettingError` naming the cell
    that is not a number, a repeated column name or step, a number that is not finite,
    or a file that is not text.
    """
    path = Path(path)
    if not path.exists():
        raise SettingError(str(path), "no such file", "a CSV or a TensorBoard file")
    if path.is_dir():
        files = sorted(path.rglob("*tfevents*"))
        if not files:
            raise SettingError(str(path), "no event files", "*tfevents* files")
        return _common({str(f.relative_to(path)): _scalar(f, column) for f in files})
    if "tfevents" in path.name:
        return _common({path.name: _scalar(path, column)})
    return _common(_table(path, column))


def _scalar(path: Path, tag: str | None) -> Float[np.ndarray, "points 2"]:
    scalars = read_event_file(path)
    if tag is None:
        losses = [name for name in scalars if "loss" in name.lower()]
        candidates = losses if len(losses) == 1 else list(scalars)
        tag = candidates[0] if len(candidates) == 1 else None
    if tag not in scalars:
        named = ", ".join(sorted(scalars)) or "none"
        raise SettingError("column", f"{tag}", f"one of the tags of {path}: {named}")
    return scalars[tag]


def _table(path: Path, column: str | None) -> dict[str, Float[np.ndarray, "points 2"]]:
    header, numbers = _read_csv(path)
    lower = [name.lower() for name in header]
    at = next((lower.index(name) for name in _STEP if name in lower), 0)
    run = next((lower.index(name) for name in _RUN if name in lower), None)
    _check_column(path, header[at], numbers[:, at], _LARGEST)
    if column is not None and (column not in header or column == header[at]):
        others = ", ".join(name for name in header if name != header[at])
        raise SettingError("column", column, f"one of {others}")
    chosen = [header.index(column)] if column else None
    if run is None:
        chosen = chosen or _curve_columns(lower, at)
        for i in chosen:
            _check_column(path, header[i], numbers[:, i], _LARGEST)
        return {header[i]: numbers[:, [at, i]] for i in chosen}
    chosen = chosen or [i for i, name in enumerate(lower) if name in _LOSS]
    if len(chosen) != 1:
        raise SettingError("column", "no single loss column", ", ".join(header))
    _check_column(path, header[run], numbers[:, run], _WHOLE)
    _check_column(path, header[chosen[0]], numbers[:, chosen[0]], _LARGEST)
    groups = np.unique(numbers[:, run])
    rows = {_run_name(g): numbers[numbers[:, run] == g] for g in groups}
    return {name: part[:, [at, chosen[0]]] for name, part in rows.items()}


def _curve_columns(names: list[str], steps: int) -> list[int]:
    """The one column of losses, or every one that is not known to be another thing."""
    losses = [i for i, name in enumerate(names) if name in _LOSS]
    if len(losses) == 1:
        return losses
    return [i for i, name in enumerate(names) if i != steps and name not in _BESIDE]


def _run_name(number: float) -> str:
    """All its digits: two runs never share a name."""
    return str(int(number)) if number.is_integer() else repr(float(number))


def _check_column(
    path: Path, name: str, values: Float[np.ndarray, " points"], most: float
) -> None:
    bad = np.flatnonzero(~(np.abs(values) <= most))
    if len(bad):
        allowed = "finite numbers" if most == _LARGEST else f"numbers up to {most:.0f}"
        raise SettingError(str(path), f"{values[bad[0]]} in column {name}", allowed)


def _read_csv(path: Path) -> tuple[list[str], Float[np.ndarray, "points columns"]]:
    rows = _cells(path)
    if not all(_is_number(cell) for cell in rows[0]):
        header, rows, first = [cell.strip() for cell in rows[0]], rows[1:], 2
    else:
        header, first = [f"column {i}" for i in range(len(rows[0]))], 1
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice is not None:
        raise SettingError(str(path), f"two columns named {twice!r}", "distinct names")
    for i, row in enumerate(rows):
        if len(row) != len(header):
            found = f"{len(row)} cells in line {i + first}"
            raise SettingError(str(path), found, f"{len(header)} cells a line")
        bad = next((cell for cell in row if not _is_number(cell)), None)
        if bad is not None:
            raise SettingError(str(path), f"{bad!r} in line {i + first}", "a number")
    if len(header) < 2 or len(rows) < 2:
        raise SettingError(
            str(path),
            f"{len(rows)} rows of {len(header)} columns",
            "steps and at least one curve, at least two rows",
        )
    return header, np.array([[float(cell) for cell in row] for row in rows])


def _cells(path: Path) -> list[list[str]]:
    """The rows that are not empty, at least one."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file) if row]
    except (UnicodeDecodeError, csv.Error):
        found, allowed = "bytes that are not UTF-8 text", "a table saved as UTF-8"
        raise SettingError(str(path), found, allowed) from None
    if not rows:
        raise SettingError(str(path), "an empty file", "a table of numbers")
    return rows


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _common(curves: dict[str, Float[np.ndarray, "points 2"]]) -> Curves:
    """The runs at the steps that all of them have."""
    if not curves:
        raise SettingError("column", "no column of losses", "its name")
    for name, curve in curves.items():
        steps, counts = np.unique(curve[:, 0], return_counts=True)
        if np.any(counts > 1):
            found = f"step {steps[np.argmax(counts > 1)]:g} twice in {name}"
            raise SettingError("curves", found, "each step once")
    sets = [set(curve[:, 0]) for curve in curves.values()]
    steps = np.array(sorted(set.intersection(*sets)))
    if len(steps) < 2:
        raise SettingError("curves", "fewer than two common steps", "at least two")
    rows = [dict(map(tuple, curve)) for curve in curves.values()]
    values = np.array([[row[step] for step in steps] for row in rows])
    return Curves(steps, values, tuple(curves))
