"""The posterior mean over a finite pool of linear tasks."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Float

from .._arrays import Array, as_array, is_concrete
from .._compile import written
from .._errors import SettingError
from ..prompts import Prompt
from ._prefixes import points

_BLOCK = 1024  # tasks at a time: a few rows of them stay in a core's cache
_FOLDS = 8  # parts of a block that are added up first
_SHORT = 8  # up to this dimension x·w is written out, and computed twice


class DiscreteMMSE(eqx.Module):
    r"""E[f(x_q) | context] where w is one of K task vectors, equally likely (dMMSE).

    $$\hat y = \sum_k p_k\, x_q^T w_k, \qquad
    p \propto \exp\Big(-\frac{1}{2\sigma^2} \sum_i (y_i - x_i^T w_k)^2\Big)$$

    `pool` holds w_k in its rows, `noise_std` is σ > 0 (Raventós et al. 2023). Tasks are
    visited in blocks, so that memory does not grow with K.
    """

    pool: Float[Array, "k d"]
    noise_std: Any

    def __init__(self, pool: Any, noise_std: Any):
        if is_concrete(noise_std) and not noise_std > 0:
            raise SettingError("noise_std", f"{noise_std}", "a positive number")
        self.pool, self.noise_std = as_array(pool), noise_std
        if self.pool.ndim != 2 or not len(self.pool):
            found = f"an array of shape {self.pool.shape}"
            raise SettingError("pool", found, "one row per task, at least one")

    def __call__(self, prompt: Prompt) -> Float[Array, ""]:
        """The prediction at the query."""
        return self.prefixes(prompt)[-1]

    def prefixes(self, prompt: Prompt) -> Float[Array, " m"]:
        """See `prefixes`: the log-likelihoods accumulate over the examples.

        Blocks are joined by their maxima and sums, as in a streaming softmax.
        """
        scale = 1 / (2**0.5 * self.noise_std)
        at = points(prompt) * scale
        ys = jnp.append(prompt.ys * scale, 0.0)
        blocks, masks = _in_blocks(jnp.asarray(self.pool, at.dtype))

        def join(state: _Sums, block: tuple[Array, Array]) -> tuple[_Sums, None]:
            return _joined(state, _block_sums(at, ys, *block)), None

        m = len(at)
        start = (jnp.full(m, -jnp.inf, at.dtype), *[jnp.zeros(m, at.dtype)] * 2)
        (_, total, weighted), _ = jax.lax.scan(join, start, (blocks, masks))
        return weighted / total / scale


_Sums = tuple[Array, Array, Array]  # maximum, Σ e^(ℓ − max), Σ e^(ℓ − max) x·w


def _block_sums(
    at: Float[Array, "m d"],
    ys: Float[Array, " m"],
    block: Float[Array, "d b"],
    start: Float[Array, " b"],
) -> _Sums:
    """The sums over one block of tasks at each of the m points.

    In a low dimension the values x·w are never in memory: to compute them twice takes
    less than to write them down and read them again.
    """
    update, weigh, fold, fold_values = map(
        written, (_update, _weigh, _fold, _fold_values)
    )

    def step(
        log_likelihood: Array, example: tuple[Array, Array]
    ) -> tuple[Array, _Sums]:
        x, y = example
        top = jnp.max(log_likelihood)
        # A block may be all padding, or all infinitely unlikely.
        top = jnp.where(top > -jnp.inf, top, 0.0)
        e = weigh(log_likelihood, top)
        factors = (x, block) if len(x) <= _SHORT else (x @ block,)
        sums = (top, jnp.sum(fold(e)), jnp.sum(fold_values(e, *factors)))
        return update(log_likelihood, y, *factors), sums

    return jax.lax.scan(step, start, (at, ys), unroll=min(len(ys), 32))[1]


def _update(log_likelihood: Array, y: Array, *factors: Array) -> Array:
    return log_likelihood - (y - _values(*factors)) ** 2


def _weigh(log_likelihood: Array, top: Array) -> Array:
    return jnp.exp(log_likelihood - top)


def _fold(e: Float[Array, " b"]) -> Float[Array, " c"]:
    """Sums over every c-th task: XLA's CPU backend vectorizes these."""
    return sum(jnp.unstack(e.reshape(_FOLDS, -1)))


def _fold_values(e: Array, *factors: Array) -> Float[Array, " c"]:
    return _fold(e * _values(*factors))


def _values(x: Array, block: Float[Array, "d b"] | None = None) -> Float[Array, " b"]:
    """x·w of each task; or `x` where it holds them already."""
    if block is None:
        return x
    return sum(on_x * on_w for on_x, on_w in zip(x, block, strict=True))


def _joined(one: _Sums, other: _Sums) -> _Sums:
    top = jnp.maximum(one[0], other[0])
    a, b = jnp.exp(one[0] - top), jnp.exp(other[0] - top)
    return top, a * one[1] + b * other[1], a * one[2] + b * other[2]


def _in_blocks(
    pool: Float[Array, "k d"],
) -> tuple[Float[Array, "s d b"], Float[Array, "s b"]]:
    """The pool as (blocks, d, block size), and log prior 0, or −∞ for padding."""
    k, d = pool.shape
    size = min(_BLOCK, -(-k // _FOLDS) * _FOLDS)
    count = -(-k // size)
    padded = jnp.pad(pool, ((0, count * size - k), (0, 0)))
    real = jnp.arange(count * size) < k
    prior = jnp.where(real, 0.0, -jnp.inf).astype(pool.dtype)
    blocks = padded.reshape(count, size, d).transpose(0, 2, 1)
    return blocks, prior.reshape(count, size)
