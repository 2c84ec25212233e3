"""Linear tasks with few non-zero weights."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from .._arrays import Array
from .._errors import SettingError
from .._lazy import jnp, jr
from ._base import LinearTasks


@dataclass(frozen=True, eq=False)
class SparseLinear(LinearTasks):
    """f(x) = w·x with exactly `nonzeros` non-zero weights in random places, each
    ~ N(`mean`, 1)."""

    input_dim: int
    nonzeros: int
    mean: float = 0.0

    def __post_init__(self):
        if not 1 <= self.nonzeros <= self.input_dim:
            raise SettingError(
                "tasks.nonzeros",
                f"{self.nonzeros}",
                f"a whole number in 1..{self.input_dim}",
            )

    @property
    def dim(self) -> int:
        return self.input_dim

    @property
    def weight_mean(self) -> Float[Array, " d"]:
        return np.full(self.dim, self.nonzeros * self.mean / self.dim)

    @property
    def weight_second_moment(self) -> Float[Array, "d d"]:
        """$W = E[w w^T]$: k/d · (1 + m²) on the diagonal, k(k−1)/(d(d−1)) · m² off."""
        d, k, square = self.input_dim, self.nonzeros, self.mean**2
        pair = k * (k - 1) / (d * max(d - 1, 1)) * square
        return np.full((d, d), pair) + (k / d * (1 + square) - pair) * np.eye(d)

    def sample_weights(self, key: Any) -> Float[Array, " d"]:
        """One draw of w."""
        place_key, weight_key = jr.split(key)
        kept = jnp.argsort(jr.uniform(place_key, (self.dim,))) < self.nonzeros
        return jnp.where(kept, self.mean + jr.normal(weight_key, (self.dim,)), 0.0)
