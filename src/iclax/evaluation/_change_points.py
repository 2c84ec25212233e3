"""Where a curve changes its slope: optimal piecewise-linear segmentation."""

import numpy as np
from jaxtyping import Float, Int

# More points than this are averaged in groups first: the program is quadratic.
MAX_POINTS = 400


def segments(
    values: Float[np.ndarray, " m"], *, penalty: float = 3.0, shortest: int = 3
) -> Int[np.ndarray, " s"]:
    r"""The first indices of the segments of the best piecewise-linear fit.

    Minimizes $\sum SSE_j + 3 p\, \hat\sigma^2 \log m$ per segment (a slope, a level and
    a change point each), p = `penalty` and $\hat\sigma$ the noise level estimated from
    second differences, exactly, by dynamic programming (optimal partitioning, Jackson
    et al., 2005). Segments have at least `shortest` points.
    """
    m = len(values)
    cost = 3 * penalty * max(_noise(values) ** 2, 1e-12) * np.log(max(m, 2))
    best, previous = np.full(m + 1, np.inf), np.zeros(m + 1, int)
    best[0] = -cost
    sums = _prefix_sums(values)
    for end in range(min(shortest, m), m + 1):
        starts = np.arange(0, max(end - shortest, 0) + 1)
        total = best[starts] + _squares(sums, starts, end) + cost
        previous[end] = starts[np.argmin(total)]
        best[end] = np.min(total)
    found, end = [], m
    while end > 0:
        end = previous[end]
        found.append(int(end))
    return np.array(found[::-1])


def coarsen(
    values: Float[np.ndarray, " m"], limit: int = MAX_POINTS
) -> tuple[Float[np.ndarray, " c"], int]:
    """Means of groups of equal size, at most `limit` of them, and that size."""
    size = -(-len(values) // limit)
    kept = len(values) // size * size
    return values[:kept].reshape(-1, size).mean(axis=1), size


def _noise(values: Float[np.ndarray, " m"]) -> float:
    """Standard deviation of the noise: second differences cancel any local line."""
    if len(values) < 3:
        return 0.0
    second = np.abs(np.diff(values, 2))
    return float(np.median(second) / (0.6745 * np.sqrt(6)))


def _prefix_sums(y: Float[np.ndarray, " m"]) -> Float[np.ndarray, "5 p"]:
    t = np.arange(len(y), dtype=np.float64)
    rows = np.stack([t, t * t, y, y * y, t * y])
    return np.concatenate([np.zeros((5, 1)), np.cumsum(rows, axis=1)], axis=1)


def _squares(
    sums: Float[np.ndarray, "5 p"], starts: Int[np.ndarray, " s"], end: int
) -> Float[np.ndarray, " s"]:
    """Squared residuals of the least-squares line through each [start, end)."""
    t, tt, y, yy, ty = sums[:, end : end + 1] - sums[:, starts]
    n = end - starts
    var_t, var_y = tt - t * t / n, yy - y * y / n
    cov = ty - t * y / n
    explained = np.where(var_t > 0, cov**2 / np.maximum(var_t, 1e-300), 0.0)
    return np.maximum(var_y - explained, 0.0)
