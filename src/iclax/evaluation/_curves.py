"""Loss curves from files: tables and TensorBoard event files."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from .._errors import SettingError
from ._columns import curve_columns, loss_columns, run_column, step_column
from ._event_files import read_event_file
from ._tables import Table, read_table

_LARGEST = float(np.finfo(np.float64).max)
_WHOLE = 2.0**53  # above it two seeds can be the same number


@dataclass(frozen=True, eq=False)
class Curves:
    """The curves of some runs at common `steps`: `values` has one row a run.

    `left_out` names the columns or tags that were taken for no losses.
    """

    steps: Float[np.ndarray, " records"]
    values: Float[np.ndarray, "runs records"]
    names: tuple[str, ...]
    left_out: tuple[str, ...] = ()


def load_curves(path: Path, column: str | None = None) -> Curves:
    """The loss curves in a CSV file, an event file or a folder of event files.

    A table has a column of steps (the first, or one named step, iteration, epoch or
    time) and one column a run, or in long form a column named seed or run and one of
    losses. A single column named loss, value or train_loss is the only curve. No runs
    are times, learning rates and what else is logged beside losses, columns without a
    number, and what is derived from another column, as `loss__MIN` or `loss_std` from
    `loss`. `column` picks any column, or the tag of an event file. An empty cell is a
    step that the run did not record; runs are cut to the steps that all have. Raises
    `SettingError` naming the cell that is not a number, a repeated column name or step,
    a number that is not finite, or a file that cannot be read or is not text.
    """
    path = Path(path)
    if not path.exists():
        raise SettingError(str(path), "no such file", "a CSV or a TensorBoard file")
    try:
        if path.is_dir():
            return _events(path, sorted(path.rglob("*tfevents*")), column)
        if "tfevents" in path.name:
            return _events(path.parent, [path], column)
        return _columns(read_table(path), column)
    except OSError as error:
        found = error.strerror or str(error)
        raise SettingError(str(path), found, "a file that can be read") from None


def _events(folder: Path, files: list[Path], tag: str | None) -> Curves:
    if not files:
        allowed = "*tfevents* files in it, or the path of a CSV file"
        raise SettingError(str(folder), "no event files", allowed)
    curves, left_out = {}, set()
    for file in files:
        scalars = read_event_file(file)
        read = _tag(file, list(scalars), tag)
        _check_numbers(file, f"tag {read}", scalars[read][:, 1], _LARGEST)
        curves[str(file.relative_to(folder))] = scalars[read]
        left_out |= set(scalars) - {read}
    return _common(curves, () if tag is not None else tuple(sorted(left_out)))


def _tag(path: Path, tags: list[str], tag: str | None) -> str:
    if not tags:
        raise SettingError(str(path), "no scalars", "an event file with losses")
    if tag is None:
        losses = [name for name in tags if "loss" in name.lower()]
        candidates = losses if len(losses) == 1 else tags
        tag = candidates[0] if len(candidates) == 1 else None
    if tag is None or tag not in tags:
        found = f"no {tag}" if tag else "more than one tag"
        named = ", ".join(sorted(tags))
        raise SettingError("column", f"{found} in {path}", f"one of {named}")
    return tag


def _columns(table: Table, column: str | None) -> Curves:
    names = table.names
    at, run = step_column(names), run_column(names)
    others = ", ".join(name for i, name in enumerate(names) if i not in (at, run))
    every = np.ones(len(table.rows), bool)
    steps = table.numbers(at, every)
    _check_numbers(table.path, f"column {names[at]}", steps, _LARGEST)
    if column is not None:
        if column not in names or column == names[at]:
            raise SettingError("column", column, f"one of {others}")
        chosen = [names.index(column)]
    elif run is not None:
        chosen = loss_columns(names)
    else:
        chosen = [i for i in curve_columns(names, at) if table.has_numbers(i)]
    if not chosen or (run is not None and len(chosen) > 1):
        found = "no single column of losses" if chosen else "no column of losses"
        raise SettingError("column", found, f"one of {others}")
    if run is None:
        curves = {names[i]: _curve(table, steps, i, every) for i in chosen}
    else:
        seeds = table.numbers(run, every)
        _check_numbers(table.path, f"column {names[run]}", seeds, _WHOLE)
        curves = {
            _run_name(seed): _curve(table, steps, chosen[0], seeds == seed)
            for seed in np.unique(seeds)
        }
    left_out = [n for i, n in enumerate(names) if i not in (at, run, *chosen)]
    return _common(curves, () if column is not None else tuple(left_out))


def _curve(
    table: Table,
    steps: Float[np.ndarray, " rows"],
    column: int,
    rows: Bool[np.ndarray, " rows"],
) -> Float[np.ndarray, "points 2"]:
    """Steps and values of those rows that have a value."""
    kept = rows & table.filled(column)
    values = table.numbers(column, kept)
    _check_numbers(table.path, f"column {table.names[column]}", values, _LARGEST)
    return np.stack([steps[kept], values], axis=1)


def _run_name(number: float) -> str:
    """All its digits: two runs never share a name."""
    return str(int(number)) if number.is_integer() else repr(float(number))


def _check_numbers(
    path: Path, where: str, values: Float[np.ndarray, " points"], most: float
) -> None:
    bad = np.flatnonzero(~(np.abs(values) <= most))
    if len(bad):
        allowed = "finite numbers" if most == _LARGEST else f"numbers up to {most:.0f}"
        raise SettingError(str(path), f"{values[bad[0]]} in {where}", allowed)


def _common(
    curves: dict[str, Float[np.ndarray, "_ 2"]], left_out: tuple[str, ...]
) -> Curves:
    """The runs at the steps that all of them have."""
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
    return Curves(steps, values, tuple(curves), left_out)
