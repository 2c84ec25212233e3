"""Means over the last steps of a curve, whose records may be unevenly spaced."""

import numpy as np
from jaxtyping import Bool, Float, Shaped


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
    steps = np.asarray(steps, dtype=np.float64)
    first = np.searchsorted(steps, steps - _shortened(window), side="right")
    ends = np.arange(1, len(steps) + 1)
    first = np.minimum(first, ends - 1)
    total = np.cumsum(np.pad(values, ((0, 0), (1, 0))), axis=1)
    means = (total[:, ends] - total[:, first]) / (ends - first)[None]
    return np.where(full_windows(steps, window)[None], means, np.inf)


def _shortened(window: float) -> float:
    """A record a whole window ago is out, whichever way the steps are rounded."""
    return window * (1 - 1e-9)
