"""The array interface that NumPy and JAX share, and checks on concrete arrays."""

from typing import Any, TypeAlias

import numpy as np

from ._lazy import jax

# A NumPy or a JAX array. `Any` lets shape annotations such as Float[Array, "d d"] be
# checked in tests without importing JAX here.
Array: TypeAlias = Any


def namespace(*values: Any) -> Any:
    """`jax.numpy` if any value is a JAX array, else NumPy."""
    for value in values:
        if not isinstance(value, np.ndarray) and hasattr(value, "__array_namespace__"):
            found = value.__array_namespace__()
            if found is not np:
                return found
    return np


def is_concrete(value: Any) -> bool:
    """Whether the entries can be inspected (a NumPy array or a plain number)."""
    return isinstance(value, (np.ndarray, np.generic, float, int))


def is_array(value: Any) -> bool:
    """Whether a value is a JAX or a NumPy array."""
    return isinstance(value, (np.ndarray, jax.Array))


def is_traced(*values: Any) -> bool:
    """Whether any value is known only while a program is being compiled."""
    return any(
        hasattr(value, "__array_namespace__") and isinstance(value, jax.core.Tracer)
        for value in values
        if not isinstance(value, (np.ndarray, np.generic))
    )


def as_array(value: Any) -> Array:
    """Numbers and lists become float64 NumPy arrays; JAX arrays stay as they are."""
    if hasattr(value, "__array_namespace__") and not isinstance(
        value, (np.ndarray, np.generic)
    ):
        return value
    return np.asarray(value, dtype=np.float64)


def is_zero(value: Any) -> bool | None:
    """Whether all entries are 0; None where they are not known yet."""
    return not np.any(value) if is_concrete(value) else None


def is_isotropic(matrix: Any) -> bool | None:
    """Whether a matrix is a multiple of I, up to round-off; None where not known."""
    if not is_concrete(matrix):
        return None
    rest = np.abs(matrix - matrix[0, 0] * np.eye(len(matrix)))
    return bool(np.max(rest) <= 1e-12 * abs(matrix[0, 0]))


def same_rows(
    first: np.ndarray,
    second: np.ndarray,
    weights: np.ndarray | None = None,
) -> bool:
    """Whether two matrices have the same rows, in any order, with the same `weights`.

    Row i weighs `weights[i]` in both (1 where left out); equal rows add up.
    """
    weights = np.ones(len(first)) if weights is None else weights
    both = np.concatenate([first, second]) + 0.0  # −0 and 0 are one number
    rows, place = np.unique(both, axis=0, return_inverse=True)
    total = np.bincount(place.ravel(), np.concatenate([weights, -weights]), len(rows))
    return bool(np.max(np.abs(total)) <= 1e-12 * np.sum(weights))
