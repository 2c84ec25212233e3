"""`iclax plateau`: how long a loss stayed on its plateau."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import tyro

CurvePath = Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE")]

_ROWS = {
    "escape": "mean of the last window below the escape level",
    "completion": "mean of the last window below the completion level",
    "half_drop": "half of the total drop is made",
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

    Args:
        file: A CSV table, a TensorBoard event file, or a folder of event files.
        column: The column or tag to read, where there are several.
        normalizer: The loss at the height of the plateau; curves are divided by it.
        window: How many steps the averages are over.
        escape_below: Level of the normalized loss that counts as escape.
        complete_below: Level that counts as completion.
        json: Print one JSON object at full precision.
    """
    from ..evaluation import load_curves, plateau_times
    from ._output import print_json, print_table

    curves = load_curves(file, column)
    times = plateau_times(
        curves.steps,
        curves.values,
        normalizer=normalizer,
        window=window,
        escape_below=escape_below,
        complete_below=complete_below,
    )
    intervals = {name: times.interval(name) for name in _ROWS}
    if json:
        result = {name: asdict(found) for name, found in intervals.items()}
        per_run = {name: getattr(times, name) for name in _ROWS}
        print_json(result | {"runs": list(curves.names), "per_run": per_run})
        return
    names = ", ".join(curves.names[:8]) + ", …" * (len(curves.names) > 8)
    runs = "1 run" if len(curves.names) == 1 else f"{len(curves.names)} runs"
    print(f"{file}: {runs} ({names}), {len(curves.steps)} records")
    print_table(
        [
            (name, f"{found}   {_ROWS[name]}{_censored(found.censored, found.count)}")
            for name, found in intervals.items()
        ]
    )


def _censored(missing: int, count: int) -> str:
    return f" (not reached by {missing} of {count})" if missing else ""
