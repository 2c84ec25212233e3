"""Retrieval: a random value for each key of a fixed dictionary."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from .._arrays import Array
from .._errors import SettingError
from .._lazy import jnp, jr
from ._base import TaskDistribution


@dataclass(frozen=True, eq=False)
class Retrieval(TaskDistribution):
    """f(key j) is one of the v values `values[j]`, each with equal probability,
    independently over the keys.

    `keys` (k, d) and `values` (k, v) are fixed for all prompts. Draw covariates from
    `Data(keys)` and let the query repeat a context point (`prompts.RepeatedPoint`);
    elsewhere f takes the value at the nearest key. Kim et al. (2024).
    """

    keys: Float[Array, "k d"] | Any
    values: Float[Array, "k v"] | Any

    def __post_init__(self):
        keys, values = np.asarray(self.keys, float), np.asarray(self.values, float)
        if keys.ndim != 2 or values.ndim != 2 or len(keys) != len(values):
            raise SettingError(
                "tasks.values",
                f"keys {keys.shape}, values {values.shape}",
                "a (k, d) and a (k, v) matrix",
            )
        object.__setattr__(self, "keys", keys)
        object.__setattr__(self, "values", values)

    @classmethod
    def random(
        cls,
        dim: int,
        num_keys: int = 1024,
        num_values: int = 4,
        value_std: float = 3.0,
        *,
        boolean: bool = False,
        seed: int = 0,
    ) -> "Retrieval":
        """A dictionary of N(0, I) keys (uniform on {±1}^d if `boolean`) and
        N(0, `value_std`²) values."""
        generator = np.random.default_rng(seed)
        keys = generator.standard_normal((num_keys, dim))
        keys = np.sign(keys) if boolean else keys
        return cls(keys, value_std * generator.standard_normal((num_keys, num_values)))

    @property
    def dim(self) -> int:
        return self.keys.shape[1]

    def sample(self, key: Any, xs: Float[Array, "m d"]) -> Float[Array, " m"]:
        keys, values = jnp.asarray(self.keys), jnp.asarray(self.values)
        choice = jr.randint(key, (len(keys), 1), 0, values.shape[1])
        held = jnp.take_along_axis(values, choice, axis=1)[:, 0]
        scores = xs @ keys.T - 0.5 * jnp.sum(keys**2, axis=1)[None, :]
        return held[jnp.argmax(scores, axis=1)]
