"""Means over the last steps of a curve, whose records may be unevenly spaced."""

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped


def full_windows(
    steps: Shaped[np.ndarray, " records"], window: float
) -> Bool[np.ndarray, " records"]:
    """At which records `window` steps have passed, the first record's own included.

    The first record stands for as many steps as lie between it and the second.
    """
    steps = np.asarray(steps, dtype=np.float64)
    passed = steps - steps[0] + np.ptp(steps[:2])
    return passed >= _shortened(window)


def trailing_means(
    steps: Shaped[np.ndarray, " records"],
    values: Float[np.ndarray, "runs records"],
    window: float,
) -> Float[np.ndarray, "runs records"]:
    """Means of the records of the last `window` steps, at least of the record itself;
    infinite before the window is full."""
    first = _first_records(steps, window)
    ends = np.arange(1, len(first) + 1)
    total = np.cumsum(np.pad(values, ((0, 0), (1, 0))), axis=1)
    means = (total[:, ends] - total[:, first]) / (ends - first)[None]
    return np.where(full_windows(steps, window)[None], means, np.inf)


def start_less_end(
    steps: Shaped[np.ndarray, " records"], window: float
) -> Float[np.ndarray, " records"]:
    """The weights of the records in the first full window's mean less the last's."""
    first = _first_records(steps, window)
    start = int(np.argmax(full_windows(steps, window)))
    weights = np.zeros(len(first))
    for at, sign in ((start, 1.0), (len(first) - 1, -1.0)):
        weights[first[at] : at + 1] += sign / (at + 1 - first[at])
    return weights


def _first_records(
    steps: Shaped[np.ndarray, " records"], window: float
) -> Int[np.ndarray, " records"]:
    """The first record of the window that ends at each record."""
    steps = np.asarray(steps, dtype=np.float64)
    first = np.searchsorted(steps, steps - _shortened(window), side="right")
    return np.minimum(first, np.arange(len(steps)))


def _shortened(window: float) -> float:
    """A record a whole window ago is out, whichever way the steps are rounded."""
    return window * (1 - 1e-9)
