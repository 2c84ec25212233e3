"""Standard random numbers in one flat draw."""

from math import prod
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Float

from .._arrays import Array
from ._threefry import standard_normal, uniform


def normals(key: Any, *shapes: tuple[int, ...]) -> list[Float[Array, "..."]]:
    """Independent standard normals of the given shapes.

    On CPUs XLA generates several times faster into one flat array that it must finish
    (the barrier) than into the shapes and consumers that fusion would choose.
    """
    flat = jax.lax.optimization_barrier(standard_normal(key, sum(map(prod, shapes))))
    return _cut(flat, shapes)


def with_first(
    key: Any, kind: str, first: tuple[int, ...], *shapes: tuple[int, ...]
) -> list[Float[Array, "..."]]:
    """As `normals`, but the first array is of a `kind` with mean 0 and variance 1.

    "normal", "uniform" on [−√3, √3] or "sign" (±1 with equal probability).
    """
    if kind == "normal":
        return normals(key, first, *shapes)
    size, rest = prod(first), sum(map(prod, shapes))
    flat = jax.lax.optimization_barrier(uniform(key, size + rest))
    head = flat[:size].reshape(first)
    head = 3**0.5 * head if kind == "uniform" else jnp.sign(head)
    tail = jax.lax.optimization_barrier(2**0.5 * jax.lax.erf_inv(flat[size:]))
    return [head, *_cut(tail, shapes)]


def _cut(flat: Float[Array, " p"], shapes: Any) -> list[Float[Array, "..."]]:
    parts, start = [], 0
    for shape in shapes:
        size = prod(shape)
        parts.append(flat[start : start + size].reshape(shape))
        start += size
    return parts
