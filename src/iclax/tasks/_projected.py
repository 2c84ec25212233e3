"""Tasks that depend on x only through its components in a subspace."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from .._arrays import Array
from .._errors import SettingError
from .._lazy import jnp
from ._base import TaskDistribution


@dataclass(frozen=True, eq=False)
class Projected(TaskDistribution):
    """f(x) = g(Uᵀx) with g ~ `tasks` on R^r and U = `basis`, shape (d, r).

    The low-dimensional version of any task distribution; a mixture over several bases
    is a union of subspaces.
    """

    tasks: TaskDistribution
    basis: Float[Array, "d r"] | Any

    def __post_init__(self):
        basis = np.asarray(self.basis, dtype=np.float64)
        if basis.ndim != 2 or basis.shape[1] != self.tasks.dim:
            raise SettingError(
                "tasks.basis", f"shape {basis.shape}", f"(d, {self.tasks.dim})"
            )
        if np.linalg.matrix_rank(basis) < basis.shape[1]:
            raise SettingError(
                "tasks.basis", "linearly dependent columns", "a basis of a subspace"
            )
        object.__setattr__(self, "basis", basis)

    @property
    def dim(self) -> int:
        return self.basis.shape[0]

    @property
    def binary(self) -> bool:
        return self.tasks.binary

    def sample(self, key: Any, xs: Float[Array, "m d"]) -> Float[Array, " m"]:
        return self.tasks.sample(key, xs @ jnp.asarray(self.basis))
