"""Finite pools of linear tasks."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from .._arrays import Array, as_array, is_concrete
from .._errors import SettingError
from .._lazy import jnp, jr
from ._base import LinearTasks
from ._mixture import normalized_weights


@dataclass(frozen=True, eq=False)
class LinearPool(LinearTasks):
    """f(x) = w·x with w one of the rows of `vectors` (Raventós et al., 2023).

    Row k has probability `weights[k]` (equal where left out).
    """

    vectors: Float[Array, "k d"] | Any
    weights: Float[Array, " k"] | Any = None

    def __post_init__(self):
        vectors = as_array(self.vectors)
        if vectors.ndim != 2 or 0 in vectors.shape:
            raise SettingError(
                "tasks.vectors", f"shape {vectors.shape}", "a matrix, one row a task"
            )
        if is_concrete(vectors) and not np.all(np.isfinite(vectors)):
            raise SettingError(
                "tasks.vectors", "an entry that is NaN or infinite", "finite numbers"
            )
        object.__setattr__(self, "vectors", vectors)
        weights = normalized_weights(self.weights, len(vectors))
        object.__setattr__(self, "weights", weights)

    @classmethod
    def random(cls, dim: int, num_tasks: int, seed: int = 0) -> "LinearPool":
        """`num_tasks` task vectors drawn once from N(0, I)."""
        return cls(np.random.default_rng(seed).standard_normal((num_tasks, dim)))

    @property
    def dim(self) -> int:
        return self.vectors.shape[1]

    @property
    def weight_second_moment(self) -> Float[Array, "d d"]:
        """$W = E[w w^T]$: the weighted average of $w_k w_k^T$."""
        return (self.vectors.T * self.weights[None, :]) @ self.vectors

    @property
    def weight_mean(self) -> Float[Array, " d"]:
        """E[w]."""
        return self.weights @ self.vectors

    def sample_weights(self, key: Any) -> Float[Array, " d"]:
        """One draw of w."""
        k = jr.categorical(key, jnp.log(jnp.asarray(self.weights)))
        return jnp.asarray(self.vectors)[k]
