"""Nearest neighbors."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Float

from .._arrays import Array
from .._errors import SettingError
from ..prompts import Prompt


class KNearest(eqx.Module):
    """The mean label of the `k` examples nearest to the query (all, if fewer).

    Raises `SettingError` for k < 1.
    """

    k: int = eqx.field(static=True, default=3)

    def __check_init__(self):
        if self.k < 1:
            raise SettingError("k", f"{self.k}", "a whole number of at least 1")

    def __call__(self, prompt: Prompt) -> Float[Array, ""]:
        away = jnp.sum((prompt.xs - prompt.query[None]) ** 2, 1)
        _, nearest = jax.lax.top_k(-away, min(self.k, len(away)))
        return jnp.mean(prompt.ys[nearest])
