"""Gaussian processes with a squared-exponential kernel, drawn through their values."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float

from .._arrays import Array, as_array, namespace
from .._errors import SettingError
from .._lazy import jax, jnp, jr
from .._psd import as_covariance
from ._base import TaskDistribution


@dataclass(frozen=True, eq=False)
class GaussianProcess(TaskDistribution):
    r"""f ~ GP(0, k), $k(x, x') = v \exp(-\frac12 (x-x')^T A (x-x'))$.

    v is `variance` and A = `metric`; one length scale ℓ in all directions is A = I/ℓ².
    """

    metric: Float[Array, "d d"] | Any
    variance: float = 1.0

    def __post_init__(self):
        object.__setattr__(self, "metric", as_covariance(self.metric, "tasks.metric"))
        if not self.variance > 0:
            raise SettingError(
                "tasks.variance", f"{self.variance}", "a positive number"
            )

    @classmethod
    def rbf(
        cls, dim: int, length_scale: float, variance: float = 1.0
    ) -> "GaussianProcess":
        """The isotropic kernel with one length scale ℓ."""
        if not length_scale > 0:
            raise SettingError(
                "tasks.length_scale", f"{length_scale}", "a positive number"
            )
        return cls(as_covariance(length_scale**-2, "tasks.length_scale", dim), variance)

    @property
    def dim(self) -> int:
        return self.metric.shape[0]

    def kernel(
        self, x: Float[Array, "m d"], z: Float[Array, "p d"]
    ) -> Float[Array, "m p"]:
        """k at every pair of a row of `x` and a row of `z`."""
        xp = namespace(x, z)
        squares = _squared_distances(x, z, as_array(self.metric))
        return self.variance * xp.exp(-0.5 * squares)

    def sample(self, key: Any, xs: Float[Array, "m d"]) -> Float[Array, " m"]:
        return self.sample_batch(key, xs[None])[0]

    def sample_batch(self, key: Any, xs: Float[Array, "b m d"]) -> Float[Array, "b m"]:
        gram = jax.vmap(lambda block: self.kernel(block, block))(xs)
        jitter = 1e-5 * self.variance * jnp.eye(xs.shape[1])
        return _correlated(gram + jitter[None], jr.normal(key, xs.shape[:2]))


def _squared_distances(
    x: Float[Array, "m d"], z: Float[Array, "p d"], metric: Float[Array, "d d"]
) -> Float[Array, "m p"]:
    """$(x-z)^T A (x-z)$ at every pair of rows, also in float32 to rounding.

    A sum of products of differences about a common center. Expanded squares cancel:
    far from 0, or on a short length scale, their Gram matrix is indefinite.
    """
    center = namespace(x, z).mean(x, axis=0, keepdims=True)
    x, z = x - center, z - center
    a, b = x @ metric, z @ metric
    return sum(
        (x[:, i, None] - z[None, :, i]) * (a[:, i, None] - b[None, :, i])
        for i in range(x.shape[1])
    )


def _correlated(
    gram: Float[Array, "b m m"], z: Float[Array, "b m"]
) -> Float[Array, "b m"]:
    """L z for the Cholesky factor L of each Gram matrix, all blocks at once.

    Column by column (right-looking), which on a CPU is many times faster than one
    LAPACK call for each small block.
    """

    def column(j: Any, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        rest, values = carry
        left = rest[:, :, j] / jnp.sqrt(rest[:, j, j])[:, None]
        values = values + left * z[:, j][:, None]
        return rest - left[:, :, None] * left[:, None, :], values

    return jax.lax.fori_loop(0, z.shape[1], column, (gram, jnp.zeros_like(z)))[1]
