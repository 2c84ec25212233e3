"""Random decision trees on the signs of coordinates."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float

from .._arrays import Array
from .._errors import SettingError
from .._lazy import jnp, jr
from ._base import TaskDistribution


@dataclass(frozen=True, eq=False)
class DecisionTree(TaskDistribution):
    """A full binary tree of depth `depth`: at a node with coordinate j go right where
    x_j > 0; the leaf holds f(x).

    Each node's j is uniform on the d coordinates, each leaf ~ N(`leaf_mean`,
    `leaf_std`²). Garg et al. (2022) center the leaves; the code of Kim et al. (2024)
    has `leaf_mean` 1.
    """

    input_dim: int
    depth: int = 4
    leaf_mean: float = 0.0
    leaf_std: float = 1.0

    def __post_init__(self):
        if self.input_dim < 1 or self.depth < 1:
            raise SettingError(
                "tasks.depth",
                f"depth {self.depth} on {self.input_dim} coordinates",
                "whole numbers of at least 1",
            )

    @property
    def dim(self) -> int:
        return self.input_dim

    def sample(self, key: Any, xs: Float[Array, "m d"]) -> Float[Array, " m"]:
        split_key, leaf_key = jr.split(key)
        num = 2**self.depth
        coordinates = jr.randint(split_key, (num - 1,), 0, self.dim)
        leaves = self.leaf_mean + self.leaf_std * jr.normal(leaf_key, (num,))
        node = jnp.zeros(len(xs), int)
        for _ in range(self.depth):
            # Heap order: the children of node i are 2i + 1 (left) and 2i + 2.
            split = jnp.take_along_axis(xs, coordinates[node][:, None], axis=1)[:, 0]
            node = 2 * node + 1 + (split > 0)
        return leaves[node - (num - 1)]
