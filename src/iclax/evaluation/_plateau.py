"""How long a loss stays on its plateau: four definitions, on any loss curves."""

import warnings
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Shaped

from .._errors import SettingError
from ._bootstrap import Interval, bootstrap
from ._change_points import coarsen, segments
from ._drops import is_drop
from ._windows import full_windows, start_less_end, trailing_means

TIMES = ("escape", "completion", "half_drop", "change_point")
# A curve that starts so many times above its normalizer is far from it.
_FAR = 2.0


class NormalizerWarning(UserWarning):
    """Curves start far from their normalizer, of which escape and completion are parts:
    above twice of it, or below the level of escape from the first."""


@dataclass(frozen=True, eq=False)
class PlateauTimes:
    """Steps at which each run left its plateau, and the level it started from.

    `escape` and `completion` follow Kim et al. (2024), `half_drop` is the first time
    the loss has made half of its total drop, and `change_point` the end of the flat
    segment before the drop, from a piecewise-linear fit. NaN means "not by
    `last_step`", for `half_drop` "no drop above the noise by `last_step`", with one
    exception: the `change_point` of a run that `dropped` is NaN if the fit shows no
    plateau before, as the loss fell at once or in one straight line or noise hides it.
    `start` is the mean of the first window over the normalizer; NaN for runs shorter
    than the window.
    """

    escape: Float[np.ndarray, " runs"]
    completion: Float[np.ndarray, " runs"]
    half_drop: Float[np.ndarray, " runs"]
    change_point: Float[np.ndarray, " runs"]
    start: Float[np.ndarray, " runs"]
    last_step: float

    @property
    def dropped(self) -> Bool[np.ndarray, " runs"]:
        """Whether the loss of each run dropped by more than its noise."""
        return ~np.isnan(self.half_drop)

    def interval(self, name: str, level: float = 0.95) -> Interval:
        """The mean over runs of one of the times, by its name, with its interval.

        Runs that dropped without a plateau have no `change_point` and are left out:
        `count` is 0 and the rest NaN where none is left. Raises `SettingError` for
        another name.
        """
        if name not in TIMES:
            raise SettingError("name", repr(name), ", ".join(TIMES))
        times = getattr(self, name)
        if name == "change_point":
            times = times[~(self.dropped & np.isnan(times))]
        return censored_interval(times, self.last_step, level)


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
    Warns (`NormalizerWarning`) where the first window's mean and that of its first
    tenth are above 2 or below `escape_below`: the levels then say little. Raises
    `SettingError` for steps that do not increase, curves that are not finite and
    curves of different shapes.
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
    halves = np.array([half_drop(steps, curve, window) for curve in losses])
    ends = np.array([change_point(steps, curve) for curve in losses])
    start = _starts(steps, losses, window)
    early = _starts(steps, losses, window / 10)
    _warn_if_far(start, early, normalizer, escape_below, complete_below)
    return PlateauTimes(
        first_below(steps, losses, escape_below, window),
        completion,
        halves,
        np.where(np.isnan(halves), np.nan, ends),
        start,
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
    total drop; interpolated between records. NaN for a curve that has not dropped from
    its first to its last window by more than the noise of these means (`is_drop`)."""
    curve = np.asarray(curve, dtype=np.float64)
    full = full_windows(steps, window)
    if not full.any() or not is_drop(curve, start_less_end(steps, window)):
        return float("nan")
    smooth = trailing_means(steps, curve[None], window)[0, full]
    times = np.asarray(steps, dtype=np.float64)[full]
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
    less than a quarter of the mean rate. NaN where the last segment is not below the
    first by more than their noise (`is_drop`), and where no flat segment shows before
    the drop, as in a curve that falls at once or in one straight line.
    """
    values, size = coarsen(np.asarray(curve, dtype=np.float64))
    times = np.asarray(steps, dtype=np.float64)[size - 1 :: size][: len(values)]
    bounds = np.append(segments(values), len(values))
    pieces = [slice(a, b) for a, b in zip(bounds, bounds[1:], strict=False)]
    weights = np.zeros(len(values))
    for piece, sign in ((pieces[0], 1.0), (pieces[-1], -1.0)):
        weights[piece] += sign / (piece.stop - piece.start)
    if len(pieces) == 1 or not is_drop(values, weights):
        return float("nan")
    first, last = values[pieces[0]].mean(), values[pieces[-1]].mean()
    end = np.nan
    for piece in pieces:
        part = values[piece]
        if part.mean() < (first + last) / 2:
            break
        rate = -np.polyfit(np.arange(len(part)), part, 1)[0]
        if rate < 0.25 * (first - last) / len(values):
            end = times[piece.stop - 1]
    return float(end)


def censored_interval(
    times: Float[np.ndarray, " runs"], last_step: float, level: float = 0.95
) -> Interval:
    """The mean of the `times` over runs; NaN (not yet) counts as `last_step`.

    With such runs `value` and `low` are lower bounds, and `high` is infinite.
    """
    missing = np.isnan(times)
    if not len(times):
        return Interval(np.nan, np.nan, np.nan, 0)
    found = bootstrap(np.where(missing, last_step, times), level=level)
    high = np.inf if missing.any() else found.high
    return Interval(found.value, found.low, high, found.count, int(missing.sum()))


def _checked(steps, losses) -> tuple[np.ndarray, np.ndarray]:
    steps, losses = np.asarray(steps), np.atleast_2d(np.asarray(losses, np.float64))
    if len(steps) < 2 or np.any(np.diff(steps) <= 0):
        raise SettingError("steps", f"{steps[:5]} …", "at least two, increasing")
    if losses.shape[1] != len(steps):
        raise SettingError("losses", f"shape {losses.shape}", f"(runs, {len(steps)})")
    _check_finite("losses", losses)
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
    _check_finite(name, curves)
    return curves


def _check_finite(name: str, curves: np.ndarray) -> None:
    bad = np.argwhere(~np.isfinite(curves))
    if len(bad):
        run, record = bad[0]
        found = f"{curves[run, record]} in record {record} of run {run}"
        raise SettingError(name, found, "finite numbers")


def _starts(steps: np.ndarray, losses: np.ndarray, window: float) -> np.ndarray:
    """The means of the first full window."""
    full = full_windows(steps, window)
    if not full.any():
        return np.full(len(losses), np.nan)
    return trailing_means(steps, losses, window)[:, np.argmax(full)]


def _warn_if_far(
    start: np.ndarray, early: np.ndarray, normalizer: float, *levels: float
) -> None:
    sides = (
        (np.minimum(start, early) > _FAR, f"above {_FAR:g} times", ""),
        (
            np.maximum(start, early) < levels[0],
            f"below {levels[0]:g} of",
            ", or a shorter window",
        ),
    )
    for far, side, advice in sides:
        if far.any():
            low, high = f"{start[far].min():.3g}", f"{start[far].max():.3g}"
            at = low if low == high else f"{low} to {high}"
            runs = f" in {far.sum()} of {len(start)} runs" if len(start) > 1 else ""
            warnings.warn(
                f"the loss starts {side} the normalizer {normalizer:g}{runs}, at {at}: "
                f"escape and completion, at {levels[0]:g} and {levels[1]:g}, say "
                f"little. Give the loss of the plateau as normalizer{advice}.",
                NormalizerWarning,
                stacklevel=3,
            )
