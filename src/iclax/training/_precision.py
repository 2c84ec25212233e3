"""Lower precision where it pays: matrix products, or the whole model."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from .._errors import SettingError

# What jax.default_matmul_precision takes. bfloat16 inputs with float32 sums is what
# tensor cores do; XLA:CPU keeps float32 whatever is asked.
_PRODUCTS = {
    None: None,
    "float32": "float32",
    "tensorfloat32": "tensorfloat32",
    "bfloat16": "BF16_BF16_F32",
}


def product_precision(name: str | None) -> str | None:
    """JAX's name of a precision of matrix products; raises `SettingError`."""
    if name not in _PRODUCTS:
        allowed = ", ".join(repr(key) for key in _PRODUCTS)
        raise SettingError("matmul_precision", repr(name), allowed)
    return _PRODUCTS[name]


def cast_floats(tree: PyTree, dtype: Any) -> PyTree:
    """The same tree with its floating-point arrays as `dtype`."""

    def cast(leaf: Any) -> Any:
        return leaf.astype(dtype) if eqx.is_inexact_array(leaf) else leaf

    return jax.tree.map(cast, tree)


def mixed_precision(
    loss: Callable[..., Any], dtype: Any = jnp.bfloat16
) -> Callable[..., Any]:
    """`loss` computed on a copy of the model in `dtype`; weights and optimizer stay.

    The model then computes in `dtype` as far as it follows its weights' type. The
    value comes back as float32, and gradients in the type of the weights.
    """

    @wraps(loss)
    def in_dtype(model: PyTree, *args: Any, **kwargs: Any) -> Any:
        return jnp.float32(loss(cast_floats(model, dtype), *args, **kwargs))

    return in_dtype
