"""Parities of subsets of ±1 coordinates."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Bool, Float

from .._arrays import Array
from .._errors import SettingError
from .._lazy import jnp, jr
from ._base import TaskDistribution


@dataclass(frozen=True, eq=False)
class SparseParity(TaskDistribution):
    r"""f(x) = 1 if an odd number of the x_i, i ∈ A, are +1, else −1; |A| = `size`.

    A is uniform among the subsets of that size and x ∈ {±1}^d, so that
    $f(x) = (-1)^{|A|+1} \prod_{i \in A} x_i$ (the sign of Kim et al.'s code; their text
    has the bare product).
    """

    input_dim: int
    size: int

    def __post_init__(self):
        if not 1 <= self.size <= self.input_dim:
            raise SettingError(
                "tasks.size", f"{self.size}", f"a whole number in 1..{self.input_dim}"
            )

    @property
    def dim(self) -> int:
        return self.input_dim

    @property
    def binary(self) -> bool:
        return True

    def sample(self, key: Any, xs: Float[Array, "m d"]) -> Float[Array, " m"]:
        chosen = jnp.argsort(jr.uniform(key, (self.dim,))) < self.size
        return odd_count(xs, chosen)


@dataclass(frozen=True, eq=False)
class Parity(TaskDistribution):
    """The same function with A uniform among all 2^d subsets, the empty one included
    (f = −1)."""

    input_dim: int

    @property
    def dim(self) -> int:
        return self.input_dim

    @property
    def binary(self) -> bool:
        return True

    def sample(self, key: Any, xs: Float[Array, "m d"]) -> Float[Array, " m"]:
        return odd_count(xs, jr.bernoulli(key, 0.5, (self.dim,)))


def odd_count(xs: Float[Array, "m d"], chosen: Bool[Array, " d"]) -> Float[Array, " m"]:
    """+1 at the rows with an odd number of +1 among the `chosen` coordinates."""
    return -jnp.prod(jnp.where(chosen[None, :], -xs, 1.0), axis=1)
