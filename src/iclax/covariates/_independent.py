"""Covariates with independent coordinates of known kurtosis."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float

from .._arrays import Array, as_covariance, namespace, square_root
from .._lazy import jnp, jr
from ._base import Covariates


def independent_fourth_moment(
    root: Float[Array, "d d"], kurtosis: float, a: Float[Array, "d d"]
) -> Float[Array, "d d"]:
    r"""$E[x x^T A x x^T]$ for $x = S z$, z with independent unit-variance coordinates.

    With $B = S^T A S$ symmetric and $\kappa = E z_i^4$,
    $E[z z^T B z z^T] = 2B + tr(B) I + (\kappa - 3) diag(B)$.
    """
    xp = namespace(root, a)
    b = root.T @ a @ root
    eye = xp.eye(b.shape[0])
    inner = 2 * b + xp.trace(b) * eye + (kurtosis - 3) * (b * eye)
    return root @ inner @ root.T


@dataclass(frozen=True, eq=False)
class Uniform(Covariates):
    """x = S z with z_i uniform on [−√3, √3] and S the square root of `cov`."""

    cov: Float[Array, "d d"] | Any

    def __post_init__(self):
        object.__setattr__(self, "cov", as_covariance(self.cov, "covariates.cov"))

    @property
    def dim(self) -> int:
        return self.cov.shape[0]

    @property
    def second_moment(self) -> Float[Array, "d d"]:
        return self.cov

    def fourth_moment(self, a: Float[Array, "d d"]) -> Float[Array, "d d"]:
        return independent_fourth_moment(square_root(self.cov), 9 / 5, a)

    def sample(self, key: Any, num: int) -> Float[Array, "m d"]:
        root = jnp.asarray(square_root(self.cov))
        edge = 3**0.5
        return jr.uniform(key, (num, self.dim), minval=-edge, maxval=edge) @ root


@dataclass(frozen=True, eq=False)
class Rademacher(Covariates):
    """x = S z with z_i = ±1 with equal probability and S the square root of `cov`."""

    cov: Float[Array, "d d"] | Any

    def __post_init__(self):
        object.__setattr__(self, "cov", as_covariance(self.cov, "covariates.cov"))

    @property
    def dim(self) -> int:
        return self.cov.shape[0]

    @property
    def second_moment(self) -> Float[Array, "d d"]:
        return self.cov

    def fourth_moment(self, a: Float[Array, "d d"]) -> Float[Array, "d d"]:
        return independent_fourth_moment(square_root(self.cov), 1.0, a)

    def sample(self, key: Any, num: int) -> Float[Array, "m d"]:
        root = jnp.asarray(square_root(self.cov))
        return jr.rademacher(key, (num, self.dim), root.dtype) @ root
