"""Standard random numbers in one flat draw."""

from math import prod
from typing import Any

import jax.numpy as jnp
from jaxtyping import Float

from .._arrays import Array
from .._threefry import standard_normal, uniform


def normals(key: Any, *shapes: tuple[int, ...]) -> list[Float[Array, "..."]]:
    """Independent standard normals of the given shapes.

    One flat draw: on CPUs XLA generates that several times faster than the shapes and
    for the consumers that fusion would choose.
    """
    return _cut(standard_normal(key, sum(map(prod, shapes))), shapes)


def with_first(
    key: Any, kind: str, first: tuple[int, ...], *shapes: tuple[int, ...]
) -> list[Float[Array, "..."]]:
    """As `normals`, but the first array is of a `kind` with mean 0 and variance 1.

    "normal", "uniform" on [−√3, √3] or "sign" (±1 with equal probability).
    """
    if kind == "normal":
        return normals(key, first, *shapes)
    size, rest = prod(first), sum(map(prod, shapes))
    head = uniform(key, size).reshape(first)
    head = 3**0.5 * head if kind == "uniform" else jnp.sign(head)
    return [head, *_cut(standard_normal(key, size + rest, first=size), shapes)]


def _cut(flat: Float[Array, " p"], shapes: Any) -> list[Float[Array, "..."]]:
    parts, start = [], 0
    for shape in shapes:
        size = prod(shape)
        parts.append(flat[start : start + size].reshape(shape))
        start += size
    return parts
