"""Standard random numbers in one flat draw."""

from math import prod
from typing import Any

import jax.numpy as jnp
from jaxtyping import Float

from .._arrays import Array
from .._threefry import cut, drawn, normals, standard_normal


def with_first(
    key: Any,
    kind: str,
    scale: float,
    first: tuple[int, ...],
    *shapes: tuple[int, ...],
) -> list[Float[Array, "..."]]:
    """As `normals`, but the first array is of a `kind` with mean 0 and variance scale².

    "normal", "uniform" on [−√3, √3] or "sign" (±1 with equal probability), times
    `scale`.
    """
    if kind == "normal":
        head, *rest = normals(key, first, *shapes)
        return [head if scale == 1 else scale * head, *rest]
    size, rest = prod(first), sum(map(prod, shapes))
    factor = 3**0.5 * scale
    of = (lambda u: factor * u) if kind == "uniform" else lambda u: scale * jnp.sign(u)
    head = drawn(key, size, 0, of).reshape(first)
    return [head, *cut(standard_normal(key, size + rest, first=size), shapes)]
