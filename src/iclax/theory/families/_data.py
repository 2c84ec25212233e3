"""Averages of a kernel over the rows of a data matrix, in blocks."""

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float

from ..._arrays import Array
from ...covariates import Data
from ._moments import Moments

_BLOCK = 512  # rows of the kernel matrix that are held at a time

Kernel = Callable[[Array, Array], Array]


def kernel_moments(kernel: Kernel, data: Data) -> Moments:
    """U, V and P under empirical covariates: averages over rows and pairs of rows."""
    rows, signal = data.rows, 0.0
    for start, block in _blocks(kernel, rows, rows):
        signal = signal + rows[start : start + len(block)].T @ (block @ rows)
    power = diagonal(kernel, rows)
    return Moments(
        signal / len(rows) ** 2,
        (rows.T * power) @ rows / len(rows),
        np.mean(power),
    )


def kernel_cross(kernel: Kernel, data: Data, query: Data) -> Float[Array, "d d"]:
    r"""$E[k(x, x_q) x x_q^T]$ for two sets of points: an average over all pairs."""
    total = 0.0
    for start, block in _blocks(kernel, data.rows, query.rows):
        held = data.rows[start : start + len(block)]
        total = total + held.T @ (block @ query.rows)
    return total / (len(data.rows) * len(query.rows))


def kernel_squares(kernel: Kernel, data: Data) -> tuple[float, float]:
    r"""$E k(x, x')^2$ and $E k(x, x)^2$ over the rows."""
    total = sum(np.sum(b**2) for _, b in _blocks(kernel, data.rows, data.rows))
    return total / len(data.rows) ** 2, np.mean(diagonal(kernel, data.rows) ** 2)


def kernel_mean_power(mean: Callable[[Array], Array], data: Data) -> Float[Array, ""]:
    """$E m(x)^2$ over the rows for m(x) = `mean`(x)."""
    return np.mean(np.asarray(mean(data.rows)) ** 2)


def diagonal(kernel: Kernel, rows: Float[Array, "m d"]) -> Float[Array, " m"]:
    """k(x, x) at each row."""
    parts = [rows[i : i + _BLOCK] for i in range(0, len(rows), _BLOCK)]
    return np.concatenate([np.diagonal(kernel(x, x)) for x in parts])


def _blocks(
    kernel: Kernel, xs: np.ndarray, zs: np.ndarray
) -> Iterator[tuple[int, np.ndarray]]:
    """The kernel matrix, some rows at a time, with the number of the first."""
    for start in range(0, len(xs), _BLOCK):
        yield start, kernel(xs[start : start + _BLOCK], zs)
