"""How long a loss stays on its plateau: four definitions, on any loss curves."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped

from .._errors import SettingError
from ._bootstrap import Interval, bootstrap
from ._change_points import coarsen, segments
from ._windows import full_windows, trailing_means


@dataclass(frozen=True, eq=False)
class PlateauTimes:
    """Steps at which each run left its plateau; NaN where it had not by `last_step`.

    `escape` and `completion` follow Kim et al. (2024), `half_drop` is the first time
    the loss has made half of its total drop, and `change_point` the end of the flat
    segment before the drop, from a piecewise-linear fit; NaN also for a loss that falls
    in one straight line.
    """

    escape: Float[np.ndarray, " runs"]
    completion: Float[np.ndarray, " runs"]
    half_drop: Float[np.ndarray, " runs"]
    change_point: Float[np.ndarray, " runs"]
    last_step: float

    def interval(self, name: str, level: float = 0.95) -> Interval:
        """The mean over runs of one of the times, by its name, with its interval."""
        return censored_interval(getattr(self, name), self.last_step, level)


def plateau_times(
    steps: Shaped[np.ndarray, " records"],
    losses: Float[np.ndarray, "..."],
    *,
    final: Float[np.ndarray, "..."] | None = None,
    accuracy: Float[np.ndarray, "..."] | None = None,
    normalizer: float = 1.0,
    window: float = 100.0,
    escape_below: float = 0.8,
    complete_below: float = 0.1,
    complete_accuracy: float = 0.95,
) -> PlateauTimes:
    """All plateau times of some runs' loss curves.

    Curves are (runs, records), or (records,) for one run. `losses` are divided by
    `normalizer`, the height of the plateau (the no-context loss of Kim et al.). `final`
    is the loss of the last point of the prompts, from which completion is read
    (default: `losses`; Kim et al. take `complete_below` 0.2 for quadratics); with
    `accuracy` completion is its rise above `complete_accuracy`. `window` is in steps.
    Raises `SettingError` for steps that do not increase and for curves of different
    shapes.
    """
    steps, losses = _checked(steps, losses)
    _check_positive(
        normalizer=normalizer,
        window=window,
        escape_below=escape_below,
        complete_below=complete_below,
    )
    losses = losses / normalizer
    if accuracy is not None:
        risen = _like("accuracy", accuracy, losses)
        completion = first_below(steps, -risen, -complete_accuracy, window)
    else:
        last = losses if final is None else _like("final", final, losses) / normalizer
        completion = first_below(steps, last, complete_below, window)
    return PlateauTimes(
        first_below(steps, losses, escape_below, window),
        completion,
        np.array([half_drop(steps, curve, window) for curve in losses]),
        np.array([change_point(steps, curve) for curve in losses]),
        float(steps[-1]),
    )


def first_below(
    steps: Shaped[np.ndarray, " records"],
    values: Float[np.ndarray, "runs records"],
    threshold: float,
    window: float = 100.0,
) -> Float[np.ndarray, " runs"]:
    """The first recorded step at which the mean of the values recorded in the last
    `window` steps is below `threshold`; NaN where that never happens.

    As if the window were filled with infinity before the first record: no time is
    found before the window is full.
    """
    means = trailing_means(steps, np.asarray(values, dtype=np.float64), window)
    below = means < threshold
    found = np.asarray(steps, dtype=np.float64)[np.argmax(below, axis=1)]
    return np.where(below.any(axis=1), found, np.nan)


def half_drop(
    steps: Shaped[np.ndarray, " records"],
    curve: Float[np.ndarray, " records"],
    window: float = 0.0,
) -> float:
    """The first time the curve, averaged over `window` steps, has made half of its
    total drop; interpolated between records. NaN for a curve that never drops."""
    full = full_windows(steps, window)
    smooth = trailing_means(steps, curve[None], window)[0, full]
    times = np.asarray(steps, dtype=np.float64)[full]
    if not full.any() or not smooth[-1] < smooth[0]:
        return float("nan")
    start, end = smooth[0], smooth[-1]
    level = (start + end) / 2
    after = int(np.argmax(smooth <= level))
    before = max(after - 1, 0)
    rise = smooth[before] - smooth[after]
    share = (smooth[before] - level) / rise if rise > 0 else 1.0
    return float(times[before] + share * (times[after] - times[before]))


def change_point(
    steps: Shaped[np.ndarray, " records"], curve: Float[np.ndarray, " records"]
) -> float:
    """The end of the plateau: where the last nearly flat segment ends before the curve
    has made half of its drop.

    Segments come from `segments`, over the records; one is nearly flat if it falls at
    less than a quarter of the mean rate. The first step where the curve has no plateau;
    NaN where it does not drop or is one straight line, which has no change point.
    """
    values, size = coarsen(np.asarray(curve, dtype=np.float64))
    times = np.asarray(steps, dtype=np.float64)[size - 1 :: size][: len(values)]
    starts = segments(values)
    bounds = np.append(starts, len(values))
    levels = np.array(
        [values[a:b].mean() for a, b in zip(bounds, bounds[1:], strict=False)]
    )
    if len(starts) == 1 or not levels[-1] < levels[0]:
        return float("nan")
    middle = (levels[0] + levels[-1]) / 2
    mean_rate = (levels[0] - levels[-1]) / len(values)
    end = float(steps[0])
    for a, b in zip(bounds, bounds[1:], strict=False):
        if values[a:b].mean() < middle:
            break
        slope = np.polyfit(np.arange(b - a), values[a:b], 1)[0]
        if -slope < 0.25 * mean_rate:
            end = float(times[b - 1])
    return end


def censored_interval(
    times: Float[np.ndarray, " runs"], last_step: float, level: float = 0.95
) -> Interval:
    """The mean of the `times` over runs; NaN (not yet) counts as `last_step`."""
    missing = np.isnan(times)
    found = bootstrap(np.where(missing, last_step, times), level=level)
    return Interval(found.value, found.low, found.high, found.count, int(missing.sum()))


def _checked(steps, losses) -> tuple[np.ndarray, np.ndarray]:
    steps, losses = np.asarray(steps), np.atleast_2d(np.asarray(losses, np.float64))
    if len(steps) < 2 or np.any(np.diff(steps) <= 0):
        raise SettingError("steps", f"{steps[:5]} …", "at least two, increasing")
    if losses.shape[1] != len(steps):
        raise SettingError("losses", f"shape {losses.shape}", f"(runs, {len(steps)})")
    return steps, losses


def _check_positive(**numbers: float) -> None:
    for name, value in numbers.items():
        if not 0 < value < np.inf:
            raise SettingError(name, f"{value}", "a finite number above 0")


def _like(name: str, curves: np.ndarray, losses: np.ndarray) -> np.ndarray:
    curves = np.atleast_2d(np.asarray(curves, np.float64))
    if curves.shape != losses.shape:
        allowed = f"{losses.shape}, as of the losses"
        raise SettingError(name, f"shape {curves.shape}", allowed)
    return curves
