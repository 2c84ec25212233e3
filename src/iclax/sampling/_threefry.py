"""JAX's random numbers, bit for bit, from code that CPUs run several times faster.

XLA's CPU backend keeps JAX's Threefry as a loop over rounds that passes whole arrays
through memory. Written out, all rounds of a number stay in registers.
"""

from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax
from jaxtyping import Float, UInt32

from .._arrays import Array

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA


def bits(key: Any, count: int) -> UInt32[Array, " {count}"]:
    """Equal to `jax.random.bits(key, (count,))`.

    Threefry-2x32 with 20 rounds (Salmon et al. 2011) of the counters 0, 1, …; a number
    is the exclusive or of the two words of its block. Keys of another generator, and
    JAX's older numbering of counters, are left to JAX.
    """
    if not jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        key = jr.wrap_key_data(key)
    threefry = str(jr.key_impl(key)) == "threefry2x32"
    if not threefry or not jax.config.jax_threefry_partitionable or count >= 2**32:
        return jr.bits(key, (count,), jnp.uint32)
    first, second = jr.key_data(key)
    counters = lax.iota(jnp.uint32, count)
    words = _threefry(first, second, jnp.zeros_like(counters), counters)
    return words[0] ^ words[1]


def uniform(key: Any, count: int) -> Float[Array, " {count}"]:
    """Equal to `jax.random.uniform(key, (count,), minval=low)` inside jit.

    `low` is the number after −1, where the inverse of the error function is finite.
    """
    dtype = jnp.zeros(()).dtype
    low = np.nextafter(np.array(-1.0, dtype), np.array(0.0, dtype))
    if dtype != jnp.float32:
        return jr.uniform(key, (count,), minval=low)
    # 23 random bits as the fraction of a number in [1, 2).
    one = jnp.uint32(np.float32(1).view(np.uint32))
    ones = lax.bitcast_convert_type((bits(key, count) >> jnp.uint32(9)) | one, dtype)
    low = jnp.asarray(low)
    return jnp.maximum(low, (ones - 1) * (1 - low) + low)


def standard_normal(key: Any, count: int) -> Float[Array, " {count}"]:
    """Equal to `jax.random.normal(key, (count,))`."""
    dtype = jnp.zeros(()).dtype
    return jnp.asarray(2**0.5, dtype) * lax.erf_inv(uniform(key, count))


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
