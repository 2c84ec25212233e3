"""Linear systems that are given as functions."""

from collections.abc import Callable

import numpy as np


def conjugate_gradient(
    apply: Callable[[np.ndarray], np.ndarray],
    right: np.ndarray,
    precondition: Callable[[np.ndarray], np.ndarray],
    start: np.ndarray,
    *,
    tolerance: float = 1e-14,
    max_steps: int = 500,
) -> np.ndarray:
    """Solve the PSD system `apply`(x) = `right` on arrays of any shape, from `start`.

    Stops once the residual is `tolerance` times the size of `right`, or grows again:
    what is left then is round-off.
    """
    x, residual = start, right - apply(start)
    direction, last, best = np.zeros_like(start), 1.0, np.inf
    for _ in range(max_steps):
        size = np.linalg.norm(residual)
        if size <= tolerance * np.linalg.norm(right) or size > 10 * best:
            break
        best = min(best, size)
        cleaned = precondition(residual)
        fall = np.sum(residual * cleaned)
        direction = cleaned + fall / last * direction
        pushed = apply(direction)
        step = fall / np.sum(direction * pushed)
        x, residual, last = x + step * direction, residual - step * pushed, fall
    return x
