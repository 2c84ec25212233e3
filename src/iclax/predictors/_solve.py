"""Linear systems of many small matrices at once, in plain array operations.

XLA's CPU backend calls LAPACK once a matrix, and a program in which two such batches
depend on nothing of each other can wait forever on a machine of two cores (JAX 0.10).
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from .._arrays import Array


def solve(matrix: Float[Array, "m m"], right: Float[Array, " m"]) -> Array:
    """`matrix`⁻¹ `right`."""
    return solve_and_log_det(matrix, right)[0]


def solve_and_log_det(
    matrix: Float[Array, "m m"], right: Float[Array, " m"]
) -> tuple[Float[Array, " m"], Float[Array, ""]]:
    """`matrix`⁻¹ `right` and log |det `matrix`|: Gauss-Jordan, partial pivoting."""
    m = len(right)
    if m == 0:
        return right, jnp.zeros((), matrix.dtype)
    rows = jnp.concatenate([matrix, right[:, None]], axis=1)
    each = jnp.arange(m)

    def eliminate(k, state):
        rows, place, log_det = state
        column = rows[:, k]
        # Rows stay where they are; `place` tells for which unknown each was used.
        pivot = jnp.argmax(jnp.where(place < 0, jnp.abs(column), -1.0))
        chosen = each == pivot
        row = rows[pivot] / column[pivot]
        others = rows - jnp.where(chosen, 0.0, column)[:, None] * row[None]
        return (
            jnp.where(chosen[:, None], row[None], others),
            jnp.where(chosen, k, place),
            log_det + jnp.log(jnp.abs(column[pivot])),
        )

    start = (rows, jnp.full(m, -1), jnp.zeros((), rows.dtype))
    rows, place, log_det = jax.lax.fori_loop(0, m, eliminate, start)
    order = each[:, None] == place[None]
    return jnp.sum(jnp.where(order, rows[None, :, -1], 0.0), axis=1), log_det


def psd_root(
    matrix: Float[Array, "m m"], columns: int, least: Any = -np.inf
) -> Float[Array, "m m"]:
    """The lower Cholesky factor of `matrix`, its first `columns`; the others are 0.

    Only as many leading rows and columns need to be positive definite. A column whose
    pivot is at most `least` is 0 too.
    """
    each = jnp.arange(len(matrix))

    def downdate(k, state):
        rest, root = state
        used = rest[k, k] > least
        scale = jnp.sqrt(jnp.where(used, rest[k, k], 1.0))
        column = jnp.where(used & (each >= k), rest[:, k], 0.0) / scale
        root = jnp.where((each == k)[None], column[:, None], root)
        return rest - column[:, None] * column[None], root

    start = (matrix, jnp.zeros_like(matrix))
    return jax.lax.fori_loop(0, columns, downdate, start)[1]


def semidefinite_root(matrix: Float[Array, "m m"]) -> Float[Array, "m m"]:
    """A lower triangular L with L Lᵀ = `matrix`, which may be singular."""
    m = len(matrix)
    rounding = m * jnp.finfo(matrix.dtype).eps * jnp.max(jnp.diagonal(matrix))
    return psd_root(matrix, m, rounding)
