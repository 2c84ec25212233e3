"""Positive semi-definite matrices of any scale: one solve, one root, one cut-off.

Coordinates in different units (an income and a rate) make a matrix whose small entries
are as real as its large ones. So every matrix M is first brought to unit diagonal,
M = D S D with D = diag(M)^{1/2}, and only S is asked which directions it lacks.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from ._arrays import Array, as_array, is_concrete, namespace
from ._errors import AssumptionError, SettingError

_ZERO = 50  # d ε: an eigenvalue of S up to here is round-off of an exact 0
_CLEAR = 1000  # d ε: from here on it is real; in between nobody can tell
_INVALID = 1e-10  # what a matrix may lack to be symmetric and PSD, at unit diagonal
# Up to here NumPy solves in one thread; SciPy's `cho_solve` wakes all, which stalls for
# many milliseconds wherever other processes want the cores too.
_SMALL = 64


class Roots(NamedTuple):
    r"""`root` F with $F F^T = M$, and `whitener` $F^+$ with $F^+ M F^{+T} = I$."""

    root: Float[Array, "d r"]
    whitener: Float[Array, "r d"]


def as_covariance(value: Any, name: str, dim: int | None = None) -> Array:
    """A symmetric positive semi-definite matrix from a number, a diagonal or a full
    matrix.

    A number needs `dim`. Raises `SettingError` naming `name` for a wrong shape, an
    entry that is not finite, or a matrix that is not symmetric or not positive
    semi-definite.
    """
    matrix = _as_matrix(as_array(value), name, dim)
    if is_concrete(matrix):
        _check_covariance(matrix, name)
    return matrix


def _as_matrix(value: Array, name: str, dim: int | None) -> Array:
    xp = namespace(value)
    if value.ndim == 0:
        if dim is None:
            raise SettingError(
                name, "a single number", "a list or a matrix, which fix the dimension"
            )
        return value * xp.eye(dim)
    if value.ndim == 1:
        value = xp.eye(value.shape[0]) * value[None, :]
    if value.ndim != 2 or value.shape[0] != value.shape[1] or value.size == 0:
        raise SettingError(
            name, f"an array of shape {value.shape}", "a number, d numbers or d × d"
        )
    if dim is not None and value.shape[0] != dim:
        raise SettingError(name, f"dimension {value.shape[0]}", f"dimension {dim}")
    return value


def _check_covariance(matrix: np.ndarray, name: str) -> None:
    """Symmetric and PSD, each entry on the scale of its own two coordinates."""
    if not np.all(np.isfinite(matrix)):
        raise SettingError(name, "an entry that is NaN or infinite", "finite numbers")
    sizes = np.sqrt(np.abs(np.diagonal(matrix)))
    allowed = _INVALID * sizes[:, None] * sizes[None, :]
    if np.any(np.abs(matrix - matrix.T) > allowed):
        raise SettingError(name, "a matrix that is not symmetric", "a symmetric matrix")
    scale, unit = _unit(matrix)
    smallest = float(np.linalg.eigvalsh(unit)[0])
    outside = np.abs(matrix) * (scale[:, None] * scale[None, :] == 0)
    if np.any(outside) or smallest < -_INVALID:
        worst = min(float(np.linalg.eigvalsh(matrix)[0]), smallest)
        raise SettingError(
            name,
            f"a matrix with the negative eigenvalue {worst:.6g}",
            "a positive semi-definite matrix",
        )


def psd_solve(
    matrix: Float[Array, "d d"], right: Float[Array, "d m"], strict: bool = True
) -> Array:
    r"""A solution X of M X = `right`, whose columns lie in the range of M.

    The one of least norm in units in which M has a unit diagonal: $X = D^{-1} S^+
    D^{-1} R$. Directions in which M is 0 get 0. Raises `AssumptionError` for numbers so
    close to singular that round-off decides; if not `strict`, as in a search, they are
    left out.
    """
    scale, unit = _unit(matrix)
    scaled = right * _rows(scale, right)
    if is_concrete(unit) and is_concrete(scaled):
        used = scale > 0
        if np.all(used) and _is_regular(unit):
            return _solve(unit, scaled) * _rows(scale, right)
        values, vectors = _spectrum(unit, strict)
        inner = (vectors / values) @ (vectors.T @ scaled)
        return inner * _rows(scale, right)
    xp = namespace(unit)
    inverse = xp.linalg.pinv(unit, rtol=zero_share(unit), hermitian=True)
    return (inverse @ scaled) * _rows(scale, right)


def psd_inverse(matrix: Float[Array, "d d"]) -> Float[Array, "d d"]:
    """The symmetric solution X of M X M = M of `psd_solve`: M⁻¹ where there is one."""
    inverse = psd_solve(matrix, namespace(matrix).eye(matrix.shape[0]))
    return (inverse + inverse.T) / 2


def psd_roots(matrix: Float[Array, "d d"]) -> Roots:
    """F and F⁺, r columns for the r directions that M has (d of JAX arrays)."""
    scale, unit = _unit(matrix)
    forward = _inverse(scale)
    if is_concrete(unit):
        if not np.any(unit - np.diag(np.diagonal(unit))):
            used = np.diagonal(unit) > 0
            return Roots(np.diag(forward)[:, used], np.diag(scale)[used])
        values, vectors = _spectrum(unit)
        root = np.sqrt(values)
        return Roots(
            forward[:, None] * vectors * root, (vectors / root).T * scale[None, :]
        )
    xp = namespace(unit)
    values, vectors = xp.linalg.eigh(unit)
    used = values > zero_share(unit) * values[-1]
    root = xp.where(used, xp.sqrt(xp.where(used, values, 1.0)), 0.0)
    inverse = xp.where(used, 1 / xp.where(used, root, 1.0), 0.0)
    return Roots(
        forward[:, None] * vectors * root[None, :],
        (vectors * inverse[None, :]).T * scale[None, :],
    )


def psd_root(matrix: Float[Array, "d d"]) -> Float[np.ndarray, "d r"]:
    """F with F Fᵀ = M and as many columns as M has directions; diagonal where M is."""
    return psd_roots(np.asarray(matrix, dtype=np.float64)).root


def num_directions(matrix: Float[Array, "d d"]) -> int:
    """How many directions M has: its rank, found at unit diagonal."""
    scale, unit = _unit(np.asarray(matrix, dtype=np.float64))
    return len(_spectrum(unit)[0]) if np.any(scale > 0) else 0


def condition_number(matrix: Float[Array, "d d"]) -> float:
    """The ratio of the eigenvalues of M at unit diagonal, directions of 0 left out."""
    scale, unit = _unit(np.asarray(matrix, dtype=np.float64))
    if not np.any(scale > 0):
        return 1.0
    values = _spectrum(unit)[0]
    return float(values[-1] / values[0])


def covariance_root(matrix: Float[Array, "d d"]) -> Float[np.ndarray, "d d"]:
    """F = D S^{1/2} with F Fᵀ = M: what Gaussian covariates are drawn with."""
    scale, unit = _unit(np.asarray(matrix, dtype=np.float64))
    return _inverse(scale)[:, None] * symmetric_root(unit)


def symmetric_root(matrix: Float[Array, "d d"]) -> Float[np.ndarray, "d d"]:
    """The symmetric square root, which `Uniform` and `Rademacher` are defined by."""
    matrix = np.asarray(matrix, dtype=np.float64)
    diagonal = np.diagonal(matrix)
    if not np.any(matrix - np.diag(diagonal)):
        return np.diag(np.sqrt(np.clip(diagonal, 0.0, None)))
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.clip(values, 0.0, None))) @ vectors.T


def zero_share(matrix: Float[Array, "*b d d"]) -> float:
    """The share of the largest eigenvalue up to which others are round-off of 0."""
    xp = namespace(matrix)
    spacing = xp.finfo(xp.result_type(matrix, 1.0)).eps
    return _ZERO * matrix.shape[-1] * float(spacing)


def _unit(matrix: Any) -> tuple[Array, Array]:
    """1/D (0 where M_ii is), and S = D⁻¹ M D⁻¹."""
    xp = namespace(matrix)
    diagonal = xp.diagonal(matrix)
    used = diagonal > 0
    scale = xp.where(used, 1 / xp.sqrt(xp.where(used, diagonal, 1.0)), 0.0)
    # Scaled one side at a time: a product of two scales may leave the range of floats.
    return scale, scale[:, None] * matrix * scale[None, :]


def _inverse(scale: Array) -> Array:
    xp = namespace(scale)
    return xp.where(scale > 0, 1 / xp.where(scale > 0, scale, 1.0), 0.0)


def _rows(scale: Array, right: Array) -> Array:
    """`scale` along the first axis of `right`, a vector or a matrix."""
    return scale if right.ndim == 1 else scale[:, None]


def _is_regular(unit: np.ndarray) -> bool:
    """Whether no direction is lost, without eigenvalues: from the Cholesky pivots."""
    try:
        pivots = np.diag(np.linalg.cholesky(unit)) ** 2
    except np.linalg.LinAlgError:
        return False
    # The smallest eigenvalue can be d times below the smallest pivot and more.
    return bool(pivots.min() > 1e-6)


def _solve(unit: np.ndarray, right: np.ndarray) -> np.ndarray:
    if len(unit) <= _SMALL:
        return np.linalg.solve(unit, right)
    from scipy.linalg import solve

    return solve(unit, right, assume_a="pos", check_finite=False)


def _spectrum(unit: np.ndarray, strict: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """The eigenvalues of S that are not 0, ascending, and their eigenvectors."""
    values, vectors = np.linalg.eigh(unit)
    spacing = len(unit) * float(np.finfo(unit.dtype).eps) * values[-1]
    doubtful = (values > _ZERO * spacing) & (values < _CLEAR * spacing)
    if strict and np.any(doubtful):
        raise AssumptionError(
            "exact theory in " + str(unit.dtype),
            "coordinates that round-off can tell apart (after scaling, an eigenvalue "
            f"{values[doubtful][0] / values[-1]:.1e} of the largest may be 0 or not)",
            "leave out a coordinate that the others determine, or give more digits",
        )
    kept = values > (_ZERO if strict else _CLEAR) * spacing
    return values[kept], vectors[:, kept]
