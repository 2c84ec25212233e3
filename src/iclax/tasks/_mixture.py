"""Mixtures of task distributions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from .._arrays import Array, as_array, is_concrete
from .._errors import SettingError
from .._lazy import jax, jnp, jr
from ._base import TaskDistribution


@dataclass(frozen=True, eq=False)
class Mixture(TaskDistribution):
    """f comes from component k with probability `weights[k]` (normalized)."""

    components: Sequence[TaskDistribution]
    weights: Float[Array, " k"] | Any = None

    def __post_init__(self):
        components = tuple(self.components)
        if not components:
            raise SettingError("tasks.components", "none", "at least one component")
        dims = {component.dim for component in components}
        if len(dims) != 1:
            raise SettingError(
                "tasks.components", f"dimensions {sorted(dims)}", "one dimension"
            )
        object.__setattr__(self, "components", components)
        object.__setattr__(
            self, "weights", normalized_weights(self.weights, len(components))
        )

    @property
    def dim(self) -> int:
        return self.components[0].dim

    @property
    def binary(self) -> bool:
        return all(component.binary for component in self.components)

    def sample(self, key: Any, xs: Float[Array, "m d"]) -> Float[Array, " m"]:
        which_key, task_key = jr.split(key)
        logits = jnp.log(jnp.asarray(self.weights))
        branches = [component.sample for component in self.components]
        return jax.lax.switch(jr.categorical(which_key, logits), branches, task_key, xs)


def normalized_weights(weights: Any, count: int) -> Float[Array, " k"]:
    """`weights` scaled to sum 1; equal where None. Raises `SettingError`."""
    if weights is None:
        return np.full(count, 1 / count)
    weights = as_array(weights)
    if weights.shape != (count,):
        raise SettingError(
            "tasks.weights", f"shape {weights.shape}", f"{count} numbers"
        )
    if is_concrete(weights) and not (np.all(weights >= 0) and weights.sum() > 0):
        raise SettingError(
            "tasks.weights", f"{weights.tolist()}", "non-negative numbers, not all 0"
        )
    return weights / weights.sum()
