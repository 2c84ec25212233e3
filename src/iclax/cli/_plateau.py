"""`iclax plateau`: how long a loss stayed on its plateau."""

import warnings
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import tyro

from .._errors import SettingError

if TYPE_CHECKING:
    from ..evaluation import PlateauTimes

CurvePath = Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE")]

_ROWS = {
    "escape": "mean of the last window below the escape level",
    "completion": "mean of the last window below the completion level",
    "half_drop": "half of the total drop is made, if that is beyond the noise",
    "change_point": "end of the flat part, piecewise-linear fit",
}


def plateau(
    file: CurvePath,
    /,
    column: str | None = None,
    normalizer: float = 1.0,
    window: float = 100.0,
    escape_below: float = 0.8,
    complete_below: float = 0.1,
    json: tyro.conf.FlagCreatePairsOff[bool] = False,
) -> None:
    """Plateau times of the loss curves in a file, with 95 % intervals over the runs.

    A mean over runs that were not all there by the end is a lower bound (≥): the others
    count with the last step, and the interval has no upper end (null in JSON).

    Args:
        file: A CSV table, a TensorBoard event file, or a folder of event files.
        column: The only column or tag to read.
        normalizer: The loss at the height of the plateau; curves are divided by it.
        window: How many steps the averages are over.
        escape_below: Level of the normalized loss that counts as escape.
        complete_below: Level that counts as completion.
        json: Print one JSON object at full precision.
    """
    from ..evaluation import load_curves, plateau_times
    from ._output import print_json, print_table

    curves = load_curves(file, column)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        times = plateau_times(
            curves.steps,
            curves.values,
            normalizer=normalizer,
            window=window,
            escape_below=escape_below,
            complete_below=complete_below,
        )
    if np.isnan(times.start).any():
        found = f"{window:g} steps, more than the curves have"
        raise SettingError("window", found, "fewer, or curves with more records")
    notes = [str(warning.message) for warning in caught]
    if json:
        result = {name: asdict(times.interval(name)) for name in _ROWS}
        per_run = {name: getattr(times, name) for name in (*_ROWS, "dropped", "start")}
        about = {"runs": curves.names, "left_out": curves.left_out, "warnings": notes}
        print_json(result | about | {"per_run": per_run})
        return
    runs = "1 run" if len(curves.names) == 1 else f"{len(curves.names)} runs"
    print(f"{file}: {runs} ({_some(curves.names)}), {len(curves.steps)} records")
    if curves.left_out:
        print(f"  left out: {_some(curves.left_out)} (--column reads one of them)")
    print_table([(name, f"{_text(times, name)}   {_ROWS[name]}") for name in _ROWS])
    for note in notes:
        print(f"  warning: {note}")


def _text(times: "PlateauTimes", name: str) -> str:
    """The interval, or that no run got there, and how many did not."""
    found = times.interval(name)
    runs, without = len(times.escape), len(times.escape) - found.count
    of = lambda number: f" in {number} of {runs} runs" if runs > 1 else ""
    notes = []
    if without:
        notes.append(f"no plateau seen before the drop{of(without)}")
    if found.censored:
        notes.append(f"not by step {times.last_step:g}{of(found.censored)}")
    missing = ", ".join(notes)
    if found.censored == found.count:
        return missing
    return f"{found} ({missing})" if notes else f"{found}"


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:8]) + ", …" * (len(names) > 8)
