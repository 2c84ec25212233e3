"""The law of the weights of linear tasks, for drawing many at once."""

from dataclasses import dataclass
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Float
from scipy.special import ndtri

from .._arrays import Array, is_concrete
from ..covariates import Covariates, Gaussian
from ..tasks import Linear, LowRank, Mixture, Projected, TaskDistribution


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    """w = `means[k]` + `factors[k]` ξ with probability `weights[k]`, ξ ~ N(0, I_r)."""

    weights: Float[np.ndarray, " k"]
    means: Float[np.ndarray, "k d"]
    factors: Float[np.ndarray, "k d r"]

    @property
    def rank(self) -> int:
        """The number r of normals behind one draw of ξ."""
        return self.factors.shape[2]

    @property
    def num_normals(self) -> int:
        """The number of normals that `draw` takes a prompt: one more to choose k."""
        return self.rank + (len(self.weights) > 1)

    def draw(self, z: Float[Array, "b m"]) -> Float[Array, "b d"]:
        """Weights from `num_normals` standard normals each."""
        dtype = z.dtype
        if len(self.weights) == 1:
            w = times(z, self.factors[0].T)
            return w + jnp.asarray(self.means, dtype) if self.means.any() else w
        # The last normal exceeds the quantile of p₁ + … + p_k unless the index is ≤ k.
        quantiles = ndtri(np.clip(np.cumsum(self.weights)[:-1], 0, 1))
        k = jnp.searchsorted(jnp.asarray(quantiles, dtype), z[:, -1])
        w = jnp.einsum("bdr,br->bd", jnp.asarray(self.factors, dtype)[k], z[:, :-1])
        return w + jnp.asarray(self.means, dtype)[k] if self.means.any() else w


def gaussian_mixture(tasks: TaskDistribution) -> GaussianMixture | None:
    """The law of w where f(x) = w·x with w a mixture of Gaussians; else `None`."""
    if isinstance(tasks, Linear) and is_concrete(tasks.mean):
        return _mixture([1.0], [tasks.mean], [_factor(tasks.cov)])
    if isinstance(tasks, LowRank) and is_concrete(tasks.weights):
        return gaussian_mixture(tasks.as_mixture())
    if isinstance(tasks, Mixture) and is_concrete(tasks.weights):
        laws = [gaussian_mixture(component) for component in tasks.components]
        found = [law for law in laws if law is not None]
        return _merge(tasks.weights, found) if len(found) == len(laws) else None
    if isinstance(tasks, Projected):
        inner = gaussian_mixture(tasks.tasks)
        if inner is not None:
            u = tasks.basis
            return GaussianMixture(inner.weights, inner.means @ u.T, u @ inner.factors)
    return None


def can_draw_weights(tasks: TaskDistribution) -> bool:
    """Whether f(x) = w·x with a w that can be drawn by itself."""
    return gaussian_mixture(tasks) is not None or hasattr(tasks, "sample_weights")


def draw_weights(tasks: Any, key: Any, batch_size: int) -> Float[Array, "b d"]:
    """One w a prompt, for linear tasks of any law."""
    return jax.vmap(tasks.sample_weights)(jr.split(key, batch_size))


def gaussian_root(covariates: Covariates) -> Float[np.ndarray, "d d"] | None:
    """S with x = S z, z ~ N(0, I), where the covariates are Gaussian; else `None`."""
    if not isinstance(covariates, Gaussian) or not is_concrete(covariates.cov):
        return None
    return _factor(covariates.cov, square=True)


def times(
    rows: Float[Array, "*b r"], matrix: Float[np.ndarray, "r d"]
) -> Float[Array, "*b d"]:
    """`rows` @ `matrix` for a known matrix: nothing for I, a scaling if diagonal."""
    size = matrix.shape[0]
    if matrix.shape[0] == matrix.shape[1] and not np.any(matrix * (1 - np.eye(size))):
        scale = np.diagonal(matrix)
        if np.all(scale == 1):
            return rows
        return rows * jnp.asarray(scale, rows.dtype).reshape(
            (1,) * (rows.ndim - 1) + (-1,)
        )
    *batch, _ = rows.shape
    flat = rows.reshape(prod(batch), size) @ jnp.asarray(matrix, rows.dtype)
    return flat.reshape(*batch, matrix.shape[1])


def _factor(cov: Any, square: bool = False) -> np.ndarray:
    """F with F Fᵀ = cov: diagonal where cov is, else of least width or symmetric."""
    cov = np.asarray(cov, dtype=np.float64)
    values = np.diagonal(cov)
    if not np.any(cov - np.diag(values)):
        root = np.diag(np.sqrt(np.clip(values, 0.0, None)))
        return root if square else root[:, values > 0]
    values, vectors = np.linalg.eigh(cov)
    values = np.clip(values, 0.0, None)
    if square:
        return (vectors * np.sqrt(values)) @ vectors.T
    keep = values > 1e-12 * values[-1]
    return vectors[:, keep] * np.sqrt(values[keep])


def _mixture(weights: Any, means: Any, factors: list) -> GaussianMixture:
    """Components with factors of different widths, padded with zero columns."""
    width = max(factor.shape[1] for factor in factors)
    padded = [np.pad(f, ((0, 0), (0, width - f.shape[1]))) for f in factors]
    return GaussianMixture(
        np.asarray(weights, dtype=np.float64),
        np.asarray(means, dtype=np.float64),
        np.stack(padded),
    )


def _merge(weights: Any, laws: list[GaussianMixture]) -> GaussianMixture:
    shares = [p * law.weights for p, law in zip(weights, laws, strict=True)]
    means = np.concatenate([law.means for law in laws])
    factors = [factor for law in laws for factor in law.factors]
    return _mixture(np.concatenate(shares), means, factors)
