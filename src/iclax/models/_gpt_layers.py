"""The layers of a decoder: plain, and with slopes that CPUs compute in less time.

The stream of a batch is flat, (batch · tokens, width): XLA's CPU backend runs products
of (batch, tokens, width) 1.2 to 1.5 times slower.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Bool, Float

from .._arrays import Array
from .._compile import on_cpu


class Layers(NamedTuple):
    """The functions below, or others that return the same."""

    dense: Callable[..., Array]
    norm: Callable[..., Array]
    attend: Callable[..., Array]


def dense(
    x: Float[Array, "bt i"], weight: Float[Array, "i o"], bias: Array | None
) -> Float[Array, "bt o"]:
    """$x W + b$; no b where `bias` is None."""
    product = x @ weight
    return product if bias is None else product + bias[None]


def layer_norm(
    stream: Float[Array, "bt w"], scale_shift: Float[Array, "2 w"]
) -> Float[Array, "bt w"]:
    """Rows of mean 0 and variance 1 (with 1e-5 added), scaled and shifted."""
    return _layer_norm(stream, scale_shift)[0]


def attend(
    q: Float[Array, "b a w"],
    k: Float[Array, "b t w"],
    v: Float[Array, "b t w"],
    seen: Bool[Array, "a t"],
    heads: int,
    kind: str,
) -> Float[Array, "b a w"]:
    """What each of a tokens reads from those of t tokens that it has `seen`.

    Head by head, on equal parts of the width w. `kind` is "softmax" or "relu" (ReLU of
    the scores over the number of tokens seen).
    """
    queries, keys, values = (_apart(part, heads) for part in (q, k, v))
    scores = queries @ _turned(keys) / queries.shape[3] ** 0.5  # b h a t
    seen = seen[None, None]
    if kind == "softmax":
        lowest = jnp.finfo(scores.dtype).min
        weights = jax.nn.softmax(jnp.where(seen, scores, lowest), axis=3)
    else:
        counts = jnp.sum(seen, 3, keepdims=True, dtype=scores.dtype)
        weights = jnp.where(seen, jax.nn.relu(scores), 0.0) / counts
    return _together(weights @ values)


PLAIN = Layers(dense, layer_norm, attend)


def quick() -> Layers:
    """Layers for training: reverse-mode derivatives only on CPUs, and faster there."""
    return Layers(_quick_dense, _quick_norm, _quick_attend) if on_cpu() else PLAIN


_quick_dense = jax.custom_vjp(dense)


def _dense_forward(x: Array, weight: Array, bias: Array | None) -> tuple:
    return dense(x, weight, bias), (x, weight, bias is not None)


def _dense_slopes(saved: tuple, slope: Float[Array, "bt o"]) -> tuple:
    x, weight, biased = saved
    of_bias = jnp.sum(slope, 0) if biased else None
    return slope @ weight.T, _sum_of_products(x, slope), of_bias


_quick_dense.defvjp(_dense_forward, _dense_slopes)


def _sum_of_products(
    x: Float[Array, "bt i"], y: Float[Array, "bt o"]
) -> Float[Array, "i o"]:
    """$x^T y$.

    XLA:CPU has a fast product of rows by columns, and one of columns by columns that
    takes up to 1.9 times as long: more than it costs to turn x first.
    """
    return lax.optimization_barrier(x.T) @ y


def _layer_norm(stream: Array, scale_shift: Array) -> tuple[Array, tuple]:
    mean = jnp.mean(stream, 1, keepdims=True)
    centered = stream - mean
    variance = jnp.mean(centered**2, 1, keepdims=True)
    inverse = lax.rsqrt(variance + 1e-5)
    normed = centered * inverse * scale_shift[0][None] + scale_shift[1][None]
    return normed, (stream, mean, inverse, scale_shift[0])


_quick_norm = jax.custom_vjp(layer_norm)


def _norm_slopes(saved: tuple, slope: Float[Array, "bt w"]) -> tuple:
    stream, mean, inverse, scale = saved
    unit = (stream - mean) * inverse
    inner = slope * scale[None]
    level = jnp.mean(inner, 1, keepdims=True)
    along = jnp.mean(inner * unit, 1, keepdims=True)
    of_scale_shift = jnp.stack([jnp.sum(slope * unit, 0), jnp.sum(slope, 0)])
    return inverse * (inner - level - unit * along), of_scale_shift


_quick_norm.defvjp(_layer_norm, _norm_slopes)


def _quick_attend(
    q: Array, k: Array, v: Array, seen: Array, heads: int, kind: str
) -> Array:
    if kind == "softmax":
        return _softmax_attend(q, k, v, seen, heads)
    return attend(q, k, v, seen, heads, kind)


@partial(jax.custom_vjp, nondiff_argnums=(4,))
def _softmax_attend(q: Array, k: Array, v: Array, seen: Array, heads: int) -> Array:
    return _softmax_forward(q, k, v, seen, heads)[0]


def _softmax_forward(
    q: Array, k: Array, v: Array, seen: Array, heads: int
) -> tuple[Array, tuple]:
    """Weights stay without their sum, which divides what is read instead."""
    queries, keys, values = (_apart(part, heads) for part in (q, k, v))
    queries = queries / queries.shape[3] ** 0.5
    scores = queries @ _turned(keys)
    scores = jnp.where(seen[None, None], scores, jnp.finfo(scores.dtype).min)
    weights = jnp.exp(scores - jnp.max(scores, 3, keepdims=True))  # b h a t
    inverse = 1 / jnp.sum(weights, 3, keepdims=True)
    read = (weights @ values) * inverse
    return _together(read), (queries, keys, values, weights, inverse, read)


def _softmax_slopes(heads: int, saved: tuple, slope: Float[Array, "b a w"]) -> tuple:
    queries, keys, values, weights, inverse, read = saved
    of_read = _apart(slope, heads) * inverse
    level = jnp.sum(of_read * read, 3, keepdims=True)
    of_scores = weights * (of_read @ _turned(values) - level)
    of_queries = of_scores @ keys / keys.shape[3] ** 0.5
    # With the tokens last, so that rows meet columns: see `_sum_of_products`.
    turned = lambda part: lax.optimization_barrier(_turned(part))
    of_keys = turned(queries) @ of_scores
    of_values = turned(of_read) @ weights
    back = lambda part: _together(_turned(part))
    return _together(of_queries), back(of_keys), back(of_values), None


_softmax_attend.defvjp(_softmax_forward, _softmax_slopes)


def _apart(part: Float[Array, "b t w"], heads: int) -> Float[Array, "b h t s"]:
    b, t, _ = part.shape
    return part.reshape(b, t, heads, -1).transpose(0, 2, 1, 3)


def _together(parts: Float[Array, "b h t s"]) -> Float[Array, "b t w"]:
    b, _, t, _ = parts.shape
    return parts.transpose(0, 2, 1, 3).reshape(b, t, -1)


def _turned(parts: Float[Array, "b h t s"]) -> Float[Array, "b h s t"]:
    return parts.transpose(0, 1, 3, 2)
