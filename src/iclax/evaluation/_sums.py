"""Sums over simulated terms, batch by batch, in float64."""

from math import isqrt
from typing import Any

import numpy as np
from jaxtyping import Float

BLOCKS = 32


class Sums:
    r"""What is kept of `count` independent terms v, which may have axes of their own.

    Their `mean` with its `standard_error`, and `blocks`, the means of 32 blocks (every
    32nd term of each batch), over `sizes` terms each. Of scalars also `fourth` =
    $\sum d^4$, d = v − mean, and the 2√`total` + 1 `largest` |d|, descending.

    Everything is summed about one center, the median of the block means of the first
    batch, whatever huge term that has: it is within a few standard errors of the mean,
    so that nothing cancels. The `largest` are distances from it.
    """

    def __init__(self, first: Float[np.ndarray, "b ..."] | Any, total: int):
        first = np.asarray(first, dtype=np.float64)
        self._per_batch = _block_sizes(len(first))
        means = _by_block(first) / _along(self._per_batch, first)
        self._center = np.median(means, axis=0)
        self._firsts = np.zeros(means.shape)
        self._second = np.zeros(means.shape[1:])
        self._third = self._fourth = 0.0
        self._batches, self._kept = 0, 2 * isqrt(total) + 1
        self.largest = np.zeros(0)
        self.add(first)

    def add(self, values: Float[np.ndarray, "b ..."] | Any) -> None:
        """Count in one more batch of the size of the first."""
        self._batches += 1
        with np.errstate(invalid="ignore"):  # terms that are not finite give NaN
            d = np.asarray(values, dtype=np.float64) - self._center
            self._firsts += _by_block(d)
            if d.ndim > 1:
                self._second += np.einsum("b...,b...->...", d, d)
                return
            squares = d * d
            self._second += np.sum(squares)
            self._third += squares @ d
            self._fourth += squares @ squares
            self._keep(np.abs(d))

    def _keep(self, lengths: Float[np.ndarray, " b"]) -> None:
        least = self.largest[-1] if len(self.largest) == self._kept else -1.0
        larger = lengths[lengths > least]
        if len(larger):
            every = np.sort(np.concatenate([self.largest, larger]))[::-1]
            self.largest = every[: self._kept]

    @property
    def count(self) -> int:
        return round(np.sum(self.sizes))

    @property
    def sizes(self) -> Float[np.ndarray, " k"]:
        return self._per_batch * self._batches

    @property
    def blocks(self) -> Float[np.ndarray, "k ..."]:
        return self._center + self._firsts / _along(self.sizes, self._firsts)

    @property
    def mean(self) -> Float[np.ndarray, "..."]:
        return np.asarray(self._center + self._shift)

    @property
    def second(self) -> Float[np.ndarray, "..."]:
        """The sum of d²."""
        with np.errstate(invalid="ignore"):
            found = self._second - self.count * self._shift**2
        return np.asarray(np.maximum(found, 0.0))

    @property
    def fourth(self) -> float:
        """The sum of d⁴, of scalars."""
        n, h = self.count, self._shift
        with np.errstate(invalid="ignore"):
            shifted = -4 * h * self._third + 6 * h**2 * self._second - 3 * n * h**4
        return float(self._fourth + shifted)

    @property
    def standard_error(self) -> Float[np.ndarray, "..."]:
        """Of the mean; NaN for one term."""
        if self.count < 2:
            return np.full(self.mean.shape, np.nan)
        return np.asarray(np.sqrt(self.second / (self.count * (self.count - 1.0))))

    @property
    def _shift(self) -> Any:
        """The mean, from the center."""
        return np.sum(self._firsts, axis=0) / self.count


def _block_sizes(size: int) -> Float[np.ndarray, " k"]:
    """How many of the terms of a batch each block has."""
    count = min(BLOCKS, size)
    return size // count + (np.arange(count) < size % count).astype(np.float64)


def _by_block(values: Float[np.ndarray, "b ..."]) -> Float[np.ndarray, "k ..."]:
    """Sums over every k-th term."""
    count = min(BLOCKS, len(values))
    if missing := -len(values) % count:
        filling = np.zeros((missing, *values.shape[1:]))
        values = np.concatenate([values, filling])
    return np.sum(values.reshape(-1, count, *values.shape[1:]), axis=0)


def _along(numbers: Float[np.ndarray, " k"], like: np.ndarray) -> np.ndarray:
    """`numbers` on the first axis of `like`."""
    return numbers.reshape(-1, *[1] * (like.ndim - 1))
