"""Random quadratic forms."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float

from .._arrays import Array
from .._errors import SettingError
from .._lazy import jr
from ._base import TaskDistribution


@dataclass(frozen=True, eq=False)
class Quadratic(TaskDistribution):
    r"""$f(x) = x^T W x$ with $W_{ij} \sim N(m, 1)/\sqrt d$ i.i.d., m = `mean`.

    W is not symmetrized (Kim et al., 2024). With `mean` 0 this is
    `Polynomial(d, {2: 1/d})`.
    """

    input_dim: int
    mean: float = 0.0

    def __post_init__(self):
        if self.input_dim < 1:
            raise SettingError(
                "tasks.input_dim", f"{self.input_dim}", "a whole number of at least 1"
            )

    @property
    def dim(self) -> int:
        return self.input_dim

    def sample(self, key: Any, xs: Float[Array, "m d"]) -> Float[Array, " m"]:
        matrix = self.mean + jr.normal(key, (self.dim, self.dim))
        return ((xs @ matrix) * xs).sum(axis=1) / self.dim**0.5
