"""Solves with positive semi-definite matrices, singular ones included."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from .._arrays import Array, is_concrete, namespace

_SINGULAR = 1e-12  # eigenvalues below this times the largest count as zero
# Up to here NumPy solves in one thread; SciPy's `cho_solve` wakes all, which stalls for
# many milliseconds wherever other processes want the cores too.
_SMALL = 64


def psd_solve(matrix: Float[Array, "d d"], right: Float[Array, "d m"]) -> Array:
    """`matrix`⁺ `right` for a PSD `matrix`: Cholesky, or pseudo-inverse if singular.

    JAX arrays take the pseudo-inverse, whose derivative holds in both cases.
    """
    if not (is_concrete(matrix) and is_concrete(right)):
        return _pinv(matrix) @ right
    factor = _cholesky(matrix)
    if factor is None:
        return _pinv(matrix) @ right
    if len(matrix) <= _SMALL:
        return np.linalg.solve(matrix, right)
    from scipy.linalg import cho_solve

    return cho_solve((factor, True), right, check_finite=False)


def _cholesky(matrix: np.ndarray) -> np.ndarray | None:
    """The lower factor, or None where the matrix is singular to round-off."""
    try:
        factor = np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return None
    pivots = np.diag(factor) ** 2
    return factor if pivots.min() > zero_share(matrix) * pivots.max() else None


def _pinv(matrix: Float[Array, "d d"]) -> Float[Array, "d d"]:
    xp = namespace(matrix)
    return xp.linalg.pinv(matrix, rtol=zero_share(matrix), hermitian=True)


def zero_share(matrix: Float[Array, "*b d d"], least: float = _SINGULAR) -> float:
    """The share of the largest eigenvalue up to which others count as 0: `least`, or
    10 d times the spacing of the matrix's own numbers, where they are coarser.
    """
    xp = namespace(matrix)
    spacing = xp.finfo(xp.result_type(matrix, 1.0)).eps
    return max(least, 10 * matrix.shape[-1] * float(spacing))


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
