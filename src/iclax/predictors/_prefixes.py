"""Predictions at every point of a prompt from the examples before it."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Float

from .._arrays import Array
from ..prompts import Prompt


def points(prompt: Prompt) -> Float[Array, "m d"]:
    """The n inputs of the context and the query: the m = n + 1 points of a prompt.

    Whole numbers become floating-point ones.
    """
    at = jnp.concatenate([prompt.xs, prompt.query[None]])
    return at.astype(jnp.result_type(at, float))


def prefixes(predictor: Any, prompt: Prompt) -> Float[Array, " m"]:
    """Entry i is the prediction at point i from the i examples before it, i = 0..n.

    The last entry is the prediction at the query. Predictors with a `prefixes` method
    do it in one pass; any other is asked n times, and predicts 0 from no example.
    """
    if hasattr(predictor, "prefixes"):
        return predictor.prefixes(prompt)
    at = points(prompt)
    asked = [
        predictor(prompt._replace(xs=prompt.xs[:i], ys=prompt.ys[:i], query=at[i]))
        for i in range(1, at.shape[0])
    ]
    return jnp.stack([jnp.zeros((), at.dtype), *asked])
