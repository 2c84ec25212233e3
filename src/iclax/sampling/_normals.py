"""Standard normals in one flat draw."""

from math import prod
from typing import Any

import jax
import jax.random as jr
from jaxtyping import Float

from .._arrays import Array


def normals(key: Any, *shapes: tuple[int, ...]) -> list[Float[Array, "..."]]:
    """Independent standard normals of the given shapes.

    On CPUs XLA generates several times faster into one flat array that it must finish
    (the barrier) than into the shapes and consumers that fusion would choose.
    """
    sizes = [prod(shape) for shape in shapes]
    flat = jax.lax.optimization_barrier(jr.normal(key, (sum(sizes),)))
    parts, start = [], 0
    for shape, size in zip(shapes, sizes, strict=True):
        parts.append(flat[start : start + size].reshape(shape))
        start += size
    return parts
