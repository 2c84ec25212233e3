"""The global minimum of a polynomial in one variable that is known by its values."""

from collections.abc import Callable

import numpy as np

Curve = Callable[[float], float]

_GROWTHS = 300  # of an edge, at most
_ROUNDS = 30  # of narrowing an interval, at most
_NOISE = 1e-12  # what a fit may miss, relative to the largest value on its interval


def least_point(curve: Curve, degree: int, low: float, high: float) -> float:
    """Where a polynomial of degree `degree` is least in an interval."""
    for _ in range(_ROUNDS):
        grid = np.linspace(low, high, 2 * degree + 1)
        points = np.union1d(grid, turning_points(curve, degree, low, high))
        values = np.array([curve(x) for x in points])
        # Fits are only as good as their largest value: keep what may be the least.
        kept = np.flatnonzero(values <= 2 * values.min() + _NOISE * values.max())
        left, right = max(kept[0] - 1, 0), min(kept[-1] + 1, len(points) - 1)
        if points[right] - points[left] > 0.9 * (high - low):
            break
        low, high = float(points[left]), float(points[right])
    return min([low, high, *turning_points(curve, degree, low, high)], key=curve)


def turning_points(curve: Curve, degree: int, low: float, high: float) -> np.ndarray:
    """Where the slope vanishes in an interval; nearly real roots count as well."""
    roots = _fit(curve, degree, low, high).deriv().roots()
    near = np.abs(roots.imag) <= 1e-3 * (high - low)
    return roots.real[near & (roots.real >= low) & (roots.real <= high)]


def turning_edge(curve: Curve, degree: int, start: float) -> float:
    """`start` · 2^j, from where on a polynomial of low degree turns no more."""

    def is_last(edge: float) -> bool:
        roots = _fit(curve, degree, 0.0, edge).deriv().roots()
        return not np.any((roots.real > edge) & (abs(roots.imag) < 0.1 * roots.real))

    return _grown(is_last, start, 2.0)


def convex_edge(curve: Curve, start: float) -> float:
    """A point from where on a convex curve that first falls is above its value at 0.

    Just beyond the first one, where a high power has not grown much: fits up to there
    are accurate.
    """
    level = curve(0.0)
    return _grown(lambda x: curve(x) >= level, start, 1.25)


def _grown(accept: Callable[[float], bool], edge: float, factor: float) -> float:
    for _ in range(_GROWTHS):
        if accept(edge):
            break
        edge *= factor
    return edge


def _fit(curve: Curve, degree: int, low: float, high: float) -> np.polynomial.Chebyshev:
    """The polynomial itself, from its values at Chebyshev points."""
    values = lambda xs: np.array([curve(x) for x in xs])
    return np.polynomial.Chebyshev.interpolate(values, degree, domain=[low, high])
