"""Covariates with independent coordinates of known kurtosis."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float

from .._arrays import Array, is_zero, namespace
from .._lazy import jnp, jr
from .._psd import as_covariance, symmetric_root
from ._base import Symmetric
from ._gaussian import isserlis_sixth


def independent_fourth_scatter(
    root: Float[Array, "d d"], kurtosis: float, a: Float[Array, "d d"]
) -> Float[Array, "d d"]:
    r"""$E[x x^T A x x^T] - \Lambda A \Lambda$ for $x = S z$, z with independent
    unit-variance coordinates.

    With $B = S^T A S$ symmetric and $\kappa = E z_i^4$,
    $E[z z^T B z z^T] - B = B + tr(B) I + (\kappa - 3) diag(B)$.
    """
    xp = namespace(root, a)
    b = root.T @ a @ root
    eye = xp.eye(b.shape[0])
    off, own = b * (1 - eye), b * eye
    # On the diagonal B_ii (κ − 1) and the trace of the others: nothing cancels.
    others = xp.trace(b) * eye - own
    return root @ (off + others + (kurtosis - 1) * own) @ root.T


def independent_sixth_moment(
    root: Float[Array, "d d"],
    kurtosis: float,
    sixth: float,
    a: Float[Array, "d d"],
    b: Float[Array, "d d"],
) -> Float[Array, "d d"]:
    r"""$E[x x^T (x^T A x)(x^T B x)]$ for x = S z as above, $E z_i^6$ = `sixth`.

    The Gaussian value, plus (κ − 3) for each way to put four of the six factors on one
    coordinate, plus the sixth cumulant $E z^6 - 15 \kappa + 30$ for all six.
    """
    xp = namespace(root, a, b)
    a, b = root.T @ a @ root, root.T @ b @ root
    eye = xp.eye(a.shape[0])
    first, second = a * eye, b * eye
    crossed = 2 * (a @ second + b @ first)
    four = (
        xp.sum(first * second) * eye
        + xp.trace(a) * second
        + xp.trace(b) * first
        + crossed
        + crossed.T
        + 4 * (a @ b) * eye
    )
    inner = (
        isserlis_sixth(eye, a, b)
        + (kurtosis - 3) * four
        + (sixth - 15 * kurtosis + 30) * first * second
    )
    return root @ inner @ root.T


@dataclass(frozen=True, eq=False)
class Uniform(Symmetric):
    """x = S z with z_i uniform on [−√3, √3] and S the square root of `cov`."""

    cov: Float[Array, "d d"] | Any

    def __post_init__(self):
        object.__setattr__(self, "cov", as_covariance(self.cov, "covariates.cov"))

    @property
    def rotation_invariant(self) -> bool | None:
        return self.dim == 1 or is_zero(self.cov)

    def fourth_moment(self, a: Float[Array, "d d"]) -> Float[Array, "d d"]:
        return self.cov @ a @ self.cov + self.fourth_scatter(a)

    def fourth_scatter(self, a: Float[Array, "d d"]) -> Float[Array, "d d"]:
        return independent_fourth_scatter(symmetric_root(self.cov), 9 / 5, a)

    def sixth_moment(
        self, a: Float[Array, "d d"], b: Float[Array, "d d"]
    ) -> Float[Array, "d d"]:
        root = symmetric_root(self.cov)
        return independent_sixth_moment(root, 9 / 5, 27 / 7, a, b)

    def sample(self, key: Any, num: int) -> Float[Array, "m d"]:
        root = jnp.asarray(symmetric_root(self.cov))
        edge = 3**0.5
        return jr.uniform(key, (num, self.dim), minval=-edge, maxval=edge) @ root


@dataclass(frozen=True, eq=False)
class Rademacher(Symmetric):
    """x = S z with z_i = ±1 with equal probability and S the square root of `cov`."""

    cov: Float[Array, "d d"] | Any

    def __post_init__(self):
        object.__setattr__(self, "cov", as_covariance(self.cov, "covariates.cov"))

    @property
    def rotation_invariant(self) -> bool | None:
        return self.dim == 1 or is_zero(self.cov)

    def fourth_moment(self, a: Float[Array, "d d"]) -> Float[Array, "d d"]:
        return self.cov @ a @ self.cov + self.fourth_scatter(a)

    def fourth_scatter(self, a: Float[Array, "d d"]) -> Float[Array, "d d"]:
        return independent_fourth_scatter(symmetric_root(self.cov), 1.0, a)

    def sixth_moment(
        self, a: Float[Array, "d d"], b: Float[Array, "d d"]
    ) -> Float[Array, "d d"]:
        root = symmetric_root(self.cov)
        return independent_sixth_moment(root, 1.0, 1.0, a, b)

    def sample(self, key: Any, num: int) -> Float[Array, "m d"]:
        root = jnp.asarray(symmetric_root(self.cov))
        return jr.rademacher(key, (num, self.dim), root.dtype) @ root
