"""Sums over simulated terms: float32 within a batch, float64 over batches."""

from dataclasses import dataclass
from math import isqrt
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from .._arrays import Array

BLOCKS = 32
_LARGEST = 64


class BatchSums(NamedTuple):
    """Sums over one batch, of u = (v − `center`) / `scale` with |u| ≤ 1.

    `blocks` are sums of u over every k-th term, `powers` those of u², u³ and u⁴ over
    all; `largest` are the largest |v − `center`|, descending (none where v has axes).
    """

    center: Float[Array, "..."]
    scale: Float[Array, "..."]
    blocks: Float[Array, "k ..."]
    powers: Float[Array, "3 ..."]
    largest: Float[Array, " t"]


@dataclass(frozen=True, eq=False)
class Sums:
    r"""What is kept of `count` independent terms v, which may have axes of their own.

    `powers` are $\sum d^2, \sum d^3, \sum d^4$ with d = v − `mean`; `blocks` are means
    over `sizes` terms each; `largest` the largest |d|, descending, up to a shift.
    """

    count: int
    mean: Float[np.ndarray, "..."]
    powers: Float[np.ndarray, "3 ..."]
    blocks: Float[np.ndarray, "k ..."]
    sizes: Float[np.ndarray, " k"]
    largest: Float[np.ndarray, " t"]

    @property
    def standard_error(self) -> Float[np.ndarray, "..."]:
        """Of the mean; NaN for one term."""
        if self.count < 2:
            return np.full(np.shape(self.mean), np.nan)
        return np.asarray(np.sqrt(self.powers[0] / (self.count * (self.count - 1.0))))


def batch_sums(values: Float[Array, "b ..."]) -> BatchSums:
    """The sums over a batch of terms; to be called inside jit."""
    values = values.astype(jnp.promote_types(values.dtype, jnp.float32))
    sizes = _along(block_sizes(len(values)), values).astype(values.dtype)
    means = _by_block(values) / sizes
    # The median of block means: one huge term would move the mean, and with it the
    # deviations of all others of its batch.
    ordered = jax.lax.top_k(jnp.moveaxis(means, 0, -1), len(means) // 2 + 1)[0]
    center = ordered[..., -1]
    deviations = values - center[None]
    lengths = jnp.abs(deviations)
    scale = jnp.max(lengths, axis=0)
    # Of scaled deviations the fourth powers neither overflow nor vanish.
    scale = jnp.where((scale > 0) & jnp.isfinite(scale), scale, 1)
    units = deviations / scale[None]
    squares = units**2
    powers = [jnp.sum(p, axis=0) for p in (squares, squares * units, squares**2)]
    kept = min(max(_LARGEST, isqrt(len(values))), len(values))
    largest = jax.lax.top_k(lengths, kept)[0] if values.ndim == 1 else jnp.zeros(0)
    return BatchSums(center, scale, _by_block(units), jnp.stack(powers), largest)


def combined(batches: BatchSums, size: int) -> Sums:
    r"""The sums over all batches of `size` terms, which are stacked on a first axis.

    With s_p sums of (v − c)^p over a batch and h = c − mean, $\sum d^2 = \sum_{batches}
    s_2 + 2 h s_1 + n h^2$ and so on: what the pairwise formulas for central moments
    (Chan, Golub & LeVeque, 1983; Pébay, 2008) amount to, for all batches at once.
    """
    center, scale, blocks, powers, largest = (
        np.asarray(part, dtype=np.float64) for part in batches
    )
    sizes = block_sizes(size) * float(len(center))
    count = size * len(center)
    with np.errstate(all="ignore"):  # terms that are not finite give NaN
        deviations = scale[:, None] * blocks
        counts = _along(block_sizes(size), deviations[0])
        sums = np.sum(counts * center[:, None] + deviations, axis=0)
        mean = np.asarray(np.sum(sums, axis=0) / count)
        h, s1 = center - mean, np.sum(deviations, axis=1)
        s2, s3, s4 = (scale**p * powers[:, p - 2] for p in (2, 3, 4))
        central = (
            s2 + 2 * h * s1 + size * h**2,
            s3 + 3 * h * s2 + 3 * h**2 * s1 + size * h**3,
            s4 + 4 * h * s3 + 6 * h**2 * s2 + 4 * h**3 * s1 + size * h**4,
        )
    return Sums(
        count,
        mean,
        np.stack([np.sum(p, axis=0) for p in central]),
        sums / _along(sizes, sums),
        sizes,
        _pooled(largest, complete=largest.shape[-1] == size),
    )


def block_sizes(size: int) -> Float[np.ndarray, " k"]:
    """How many of `size` terms each block has."""
    count = min(BLOCKS, size)
    return size // count + (np.arange(count) < size % count).astype(np.float64)


def _by_block(values: Float[Array, "b ..."]) -> Float[Array, "k ..."]:
    """Sums over every k-th term."""
    size, count = len(values), min(BLOCKS, len(values))
    filled = jnp.pad(values, [(0, -size % count)] + [(0, 0)] * (values.ndim - 1))
    return jnp.sum(filled.reshape(-1, count, *values.shape[1:]), axis=0)


def _along(numbers: np.ndarray, like: Any) -> np.ndarray:
    """`numbers` on the first axis of `like`."""
    return numbers.reshape(-1, *[1] * (like.ndim - 1))


def _pooled(largest: Float[np.ndarray, "m t"], complete: bool) -> np.ndarray:
    """The largest of all batches, without those below which a batch kept none."""
    every = np.sort(largest.ravel())[::-1]
    if complete or not largest.size:
        return every
    return every[every >= np.max(largest[:, -1])]
