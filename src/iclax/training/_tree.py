"""Pytrees of JAX arrays as named NumPy arrays, and back."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import PyTree

from .._errors import RunError


def to_arrays(tree: PyTree, prefix: str = "") -> dict[str, np.ndarray]:
    """Each array leaf under the path to it; random keys as their integers."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {prefix + _name(path): np.asarray(_raw(leaf)) for path, leaf in leaves}


def from_arrays(
    arrays: Mapping[str, np.ndarray], like: PyTree, prefix: str = ""
) -> PyTree:
    """The tree shaped as `like` (arrays or their shapes) with the values in `arrays`.

    Raises `RunError` where a name is missing or a shape or type differs.
    """

    def take(path: Any, leaf: Any) -> Any:
        name = prefix + _name(path)
        if name not in arrays:
            raise RunError(f"the checkpoint has no array {name}: another model's?")
        return _like(name, arrays[name], leaf)

    return jax.tree_util.tree_map_with_path(take, like)


def _like(name: str, values: np.ndarray, leaf: Any) -> Any:
    if _is_key(leaf):
        return jr.wrap_key_data(jnp.array(values), impl=_implementation(leaf))
    if values.shape != leaf.shape or values.dtype != leaf.dtype:
        raise RunError(
            f"the checkpoint's {name} is {values.dtype}{list(values.shape)}, this "
            f"training's {leaf.dtype}{list(leaf.shape)}: another model's?"
        )
    return jnp.array(values)


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _implementation(leaf: Any) -> Any:
    """The generator of keys of which there may be no more than the shape."""
    found: list[Any] = []
    jax.eval_shape(lambda key: found.append(jr.key_impl(key)), leaf)
    return found[0]


def _raw(leaf: Any) -> Any:
    return jr.key_data(leaf) if _is_key(leaf) else leaf
