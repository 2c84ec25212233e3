"""Gaussian processes with any kernel."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float

from .._arrays import Array
from .._errors import SettingError
from .._lazy import jnp, jr
from ._base import TaskDistribution


@dataclass(frozen=True, eq=False)
class KernelProcess(TaskDistribution):
    """f ~ GP(0, k) for any kernel k, given as a function of two sets of points.

    `kernel(xs, zs)` takes arrays (m, d) and (p, d), NumPy or JAX, and returns the
    (m, p) matrix of k. Its theory is exact under `Data` covariates.
    """

    input_dim: int
    kernel: Callable[[Array, Array], Array]

    def __post_init__(self):
        if self.input_dim < 1:
            raise SettingError(
                "tasks.input_dim", f"{self.input_dim}", "a whole number of at least 1"
            )

    @property
    def dim(self) -> int:
        return self.input_dim

    def sample(self, key: Any, xs: Float[Array, "m d"]) -> Float[Array, " m"]:
        gram = self.kernel(xs, xs)
        # Repeated points make the Gram matrix singular.
        jitter = 1e-5 * jnp.max(jnp.diagonal(gram)) * jnp.eye(len(xs))
        return jnp.linalg.cholesky(gram + jitter) @ jr.normal(key, (len(xs),))
