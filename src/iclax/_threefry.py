"""JAX's random numbers, bit for bit, from code that CPUs run several times faster.

XLA's CPU backend keeps JAX's Threefry as a loop over rounds that passes whole arrays
through memory. Written out, all rounds of a number stay in registers.
"""

from collections.abc import Callable
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax
from jaxtyping import Float, UInt32

from ._arrays import Array
from ._compile import on_cpu, written

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA
_BLOCK = 2**14  # numbers at a time: they stay in a core's cache


def bits(key: Any, count: int) -> UInt32[Array, " {count}"]:
    """Equal to `jax.random.bits(key, (count,))`.

    Threefry-2x32 with 20 rounds (Salmon et al. 2011) of the counters 0, 1, …; a number
    is the exclusive or of the two words of its block. Keys of another generator, and
    JAX's older numbering of counters, are left to JAX.
    """
    if not _is_ours(key, count):
        return jr.bits(key, (count,), jnp.uint32)
    counters = lax.iota(jnp.uint32, count)
    return _words(jr.key_data(_typed(key)), counters)


def uniform(key: Any, count: int, first: int = 0) -> Float[Array, " _"]:
    """Equal to `jax.random.uniform(key, (count,), minval=low)[first:]` inside jit.

    `low` is the number after −1, where the inverse of the error function is finite. The
    numbers are there when this returns: XLA does not compute them again for every use.
    """
    return drawn(key, count, first, lambda u: u)


def fold_in(key: Any, number: Any) -> Any:
    """Equal to `jax.random.fold_in(key, number)`, without its loop over rounds."""
    if not _is_ours(key, 2) or not jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        return jr.fold_in(key, number)
    words, data = jr.key_data(key), jnp.asarray(number).astype(jnp.uint32)
    mixed = _threefry(words[0], words[1], jnp.zeros_like(data), data)
    return jr.wrap_key_data(jnp.stack(mixed), impl=jr.key_impl(key))


def standard_normal(key: Any, count: int, first: int = 0) -> Float[Array, " _"]:
    """Equal to `jax.random.normal(key, (count,))[first:]`, and there as `uniform`."""
    return written(_normal)(uniform(key, count, first))


def normals(key: Any, *shapes: tuple[int, ...]) -> list[Float[Array, "..."]]:
    """Independent standard normals of the given shapes.

    One flat draw: on CPUs XLA generates that several times faster than the shapes and
    for the consumers that fusion would choose, and compiles it faster.
    """
    return cut(standard_normal(key, sum(map(prod, shapes))), shapes)


def cut(flat: Float[Array, " p"], shapes: Any) -> list[Float[Array, "..."]]:
    """The pieces of these shapes, one after the other."""
    parts, start = [], 0
    for shape in shapes:
        size = prod(shape)
        parts.append(flat[start : start + size].reshape(shape))
        start += size
    return parts


def drawn(
    key: Any, count: int, first: int, finish: Callable[[Array], Array]
) -> Float[Array, " _"]:
    """`finish` of each of the numbers of `uniform`, computed once.

    XLA's CPU backend writes nothing down that it thinks cheap to compute, and it thinks
    so of 20 rounds of Threefry. Where a loop ends, it has to.
    """
    if not (_is_ours(key, count) and on_cpu() and jnp.zeros(()).dtype == jnp.float32):
        return lax.optimization_barrier(finish(_uniform(key, count)[first:]))
    words, (number, size) = jr.key_data(_typed(key)), _blocks(count - first)
    offsets = lax.iota(jnp.uint32, size)

    def write(i: Any, flat: Array) -> Array:
        start = i.astype(jnp.uint32) * size
        block = finish(_fractions(_words(words, jnp.uint32(first) + start + offsets)))
        return lax.dynamic_update_slice(flat, block, (i * size,))

    # One axis, also where many keys are mapped over: nothing to transpose.
    flat = lax.fori_loop(0, number, write, jnp.zeros(number * size))
    return flat[: count - first]


def _blocks(count: int) -> tuple[int, int]:
    """How many blocks of which size: if possible of exactly `count` numbers.

    What does not need to be cut is read where it lies.
    """
    least = max(2, -(-count // _BLOCK))
    number = next((n for n in range(least, 2 * least) if count % n == 0), least)
    return number, -(-count // number)


def _normal(u: Float[Array, " p"]) -> Float[Array, " p"]:
    return jnp.asarray(2**0.5, u.dtype) * lax.erf_inv(u)


def _uniform(key: Any, count: int) -> Float[Array, " {count}"]:
    dtype = jnp.zeros(()).dtype
    if dtype == jnp.float32:
        return _fractions(bits(key, count))
    low = np.nextafter(np.array(-1.0, dtype), np.array(0.0, dtype))
    return jr.uniform(key, (count,), minval=low)


def _fractions(words: UInt32[Array, " p"]) -> Float[Array, " p"]:
    """Uniform numbers from 23 bits, as the fraction of a number in [1, 2)."""
    one = jnp.uint32(np.float32(1).view(np.uint32))
    ones = lax.bitcast_convert_type((words >> jnp.uint32(9)) | one, jnp.float32)
    low = jnp.asarray(np.nextafter(np.float32(-1), np.float32(0)))
    return jnp.maximum(low, (ones - 1) * (1 - low) + low)


def _is_ours(key: Any, count: int) -> bool:
    threefry = str(jr.key_impl(_typed(key))) == "threefry2x32"
    return threefry and jax.config.jax_threefry_partitionable and count < 2**32


def _typed(key: Any) -> Any:
    """The key, also from an array of its words as older code has them."""
    if jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        return key
    return jr.wrap_key_data(key)


def _words(key: UInt32[Array, "2"], counters: UInt32[Array, " p"]) -> Array:
    one, two = _threefry(key[0], key[1], jnp.zeros_like(counters), counters)
    return one ^ two


@jax.jit  # traced once
def _threefry(
    first: Array, second: Array, one: Array, two: Array
) -> tuple[Array, Array]:
    keys = (first, second, first ^ second ^ jnp.uint32(_PARITY))
    one, two = one + keys[0], two + keys[1]
    for group in range(5):
        for rotation in _ROTATIONS[group % 2]:
            one = one + two
            two = (two << jnp.uint32(rotation)) | (two >> jnp.uint32(32 - rotation))
            two = two ^ one
        one = one + keys[(group + 1) % 3]
        two = two + keys[(group + 2) % 3] + jnp.uint32(group + 1)
    return one, two
