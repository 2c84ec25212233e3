"""Predictions at every point of many prompts, on all cores."""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
from jaxtyping import Float, PyTree

from .._arrays import Array, is_array, is_traced
from .._compile import compiler_options
from .._errors import SettingError
from ..prompts import Prompt
from ._discrete import DiscreteMMSE
from ._prefixes import prefixes

_AXIS = "devices"


def batch_prefixes(
    predictor: Any,
    prompts: Prompt,
    *,
    batch_size: int = 64,
    devices: Sequence[Any] | None = None,
) -> Float[Array, "b m"]:
    """`prefixes` of each prompt of a batch: entry (b, i) from i examples of prompt b.

    `batch_size` prompts are computed at a time, so that memory stays bounded, and an
    equal share of them on each of `devices`. Two CPU devices on two cores take half of
    the time of one with two threads; see docs/training.md. Raises `SettingError` for no
    prompts, one that is no batch, a `batch_size` below 1 and no devices.
    """
    if np.ndim(prompts.ys) != 2:
        found = f"labels of shape {np.shape(prompts.ys)}"
        allowed = "a batch, with labels (b, n); `prefixes` takes one prompt"
        raise SettingError("prompts", found, allowed)
    count, own = prompts.ys.shape[0], None if devices is None else tuple(devices)
    for name, size in (
        ("prompts", count),
        ("batch_size", batch_size),
        ("devices", 1 if own is None else len(own)),
    ):
        if size < 1:
            raise SettingError(name, f"{size}", "at least 1")
    if is_traced(*jax.tree.leaves((predictor, prompts))):
        return _shared(partial(_by_blocks, predictor, batch_size), own)(prompts)
    arrays, rest = eqx.partition(predictor, is_array)
    if own is not None:
        arrays, prompts = jax.device_put(
            (arrays, prompts), NamedSharding(_mesh(own), P())
        )
    # The dimensions of a task are short loops, the tasks of a pool long ones.
    run = _program(isinstance(predictor, DiscreteMMSE))
    return run(arrays, prompts, rest, batch_size, own)


@lru_cache
def _program(wide: bool) -> Callable[..., Array]:
    options = compiler_options(wide=wide)

    def run(
        arrays: PyTree, prompts: Prompt, rest: PyTree, size: int, devices: tuple | None
    ) -> Float[Array, "b m"]:
        predictor = eqx.combine(arrays, rest)
        return _shared(partial(_by_blocks, predictor, size), devices)(prompts)

    return jax.jit(run, static_argnums=(2, 3, 4), compiler_options=options)


def _mesh(devices: tuple) -> Mesh:
    return Mesh(np.array(devices), (_AXIS,))


def _by_blocks(predictor: Any, size: int, prompts: Prompt) -> Float[Array, "b m"]:
    one = lambda prompt: prefixes(predictor, prompt)
    return jax.lax.map(one, prompts, batch_size=size)


def _shared(
    function: Callable[[Prompt], Array], devices: tuple | None
) -> Callable[[Prompt], Array]:
    """`function` of a batch, on equal parts of it on each device."""
    if devices is None:
        return function
    spec, k = P(_AXIS), len(devices)
    part = jax.shard_map(
        function, mesh=_mesh(devices), in_specs=spec, out_specs=spec, check_vma=False
    )

    def whole(prompts: Prompt) -> Float[Array, "b m"]:
        count = prompts.ys.shape[0]
        if count % k == 0:
            return part(prompts)
        # The last prompt is computed again until the devices divide their number.
        rows = np.minimum(np.arange(-(-count // k) * k), count - 1)
        return part(jax.tree.map(lambda leaf: jnp.asarray(leaf)[rows], prompts))[:count]

    return whole
