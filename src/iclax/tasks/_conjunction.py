"""Conjunctions and disjunctions of literals."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float

from .._arrays import Array
from .._errors import SettingError
from .._lazy import jnp, jr
from ._base import TaskDistribution


@dataclass(frozen=True, eq=False)
class Conjunction(TaskDistribution):
    """f(x) = 1 if every literal holds, else −1; x ∈ {±1}^d.

    Each coordinate is a literal with probability `literal_probability`, asking for
    x_j = +1 or x_j = −1 with equal chance: f(x) = sign(x·w − ‖w‖₁ + 1), w ∈ {0, ±1}^d.
    Without any literal f = 1.
    """

    input_dim: int
    literal_probability: float = 0.3

    def __post_init__(self):
        _check_probability(self.literal_probability)

    @property
    def dim(self) -> int:
        return self.input_dim

    @property
    def binary(self) -> bool:
        return True

    def sample(self, key: Any, xs: Float[Array, "m d"]) -> Float[Array, " m"]:
        literals = _literals(key, self.dim, self.literal_probability)
        return jnp.sign(xs @ literals - jnp.abs(literals).sum() + 1)


@dataclass(frozen=True, eq=False)
class Disjunction(TaskDistribution):
    """f(x) = 1 if some literal holds, else −1: f(x) = sign(x·w + ‖w‖₁ − 1).

    The literals are those of `Conjunction`; without any f = −1.
    """

    input_dim: int
    literal_probability: float = 0.3

    def __post_init__(self):
        _check_probability(self.literal_probability)

    @property
    def dim(self) -> int:
        return self.input_dim

    @property
    def binary(self) -> bool:
        return True

    def sample(self, key: Any, xs: Float[Array, "m d"]) -> Float[Array, " m"]:
        literals = _literals(key, self.dim, self.literal_probability)
        return jnp.sign(xs @ literals + jnp.abs(literals).sum() - 1)


def _literals(key: Any, dim: int, probability: float) -> Float[Array, " d"]:
    which, sign = jr.split(key)
    return jr.bernoulli(which, probability, (dim,)) * jr.rademacher(
        sign, (dim,), jnp.result_type(float)
    )


def _check_probability(value: float) -> None:
    if not 0 < value <= 1:
        raise SettingError(
            "tasks.literal_probability", f"{value}", "a number in (0, 1]"
        )
