"""Gaussian and elliptical covariates."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float

from .._arrays import Array, as_covariance, namespace, square_root
from .._errors import AssumptionError, SettingError
from .._lazy import jnp, jr
from ._base import Covariates


def isserlis(cov: Float[Array, "d d"], a: Float[Array, "d d"]) -> Float[Array, "d d"]:
    r"""$E[x x^T A x x^T] = 2 \Lambda A \Lambda + tr(A \Lambda) \Lambda$, Gaussian x."""
    xp = namespace(cov, a)
    return 2 * cov @ a @ cov + xp.trace(a @ cov) * cov


@dataclass(frozen=True, eq=False)
class Gaussian(Covariates):
    """x ~ N(0, `cov`); `cov` is a diagonal or a full positive semi-definite matrix."""

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
        return isserlis(self.cov, a)

    def sample(self, key: Any, num: int) -> Float[Array, "m d"]:
        root = jnp.asarray(square_root(self.cov))
        return jr.normal(key, (num, self.dim)) @ root


@dataclass(frozen=True, eq=False)
class StudentT(Covariates):
    """Multivariate Student t with covariance `cov` and `degrees` of freedom above 4.

    An elliptical law: x = sqrt((ν − 2)/χ²_ν) z with z ~ N(0, `cov`), so that
    E[x xᵀ A x xᵀ] is the Gaussian one times (ν − 2)/(ν − 4).
    """

    cov: Float[Array, "d d"] | Any
    degrees: float

    def __post_init__(self):
        object.__setattr__(self, "cov", as_covariance(self.cov, "covariates.cov"))
        if not self.degrees > 2:
            raise SettingError(
                "covariates.degrees", f"{self.degrees}", "a number above 2"
            )

    @property
    def dim(self) -> int:
        return self.cov.shape[0]

    @property
    def second_moment(self) -> Float[Array, "d d"]:
        return self.cov

    def fourth_moment(self, a: Float[Array, "d d"]) -> Float[Array, "d d"]:
        if not self.degrees > 4:
            raise AssumptionError(
                f"the fourth moment of Student t covariates (degrees = {self.degrees})",
                "more than 4 degrees of freedom (it is infinite otherwise)",
                "set covariates.degrees above 4",
            )
        return (self.degrees - 2) / (self.degrees - 4) * isserlis(self.cov, a)

    def sample(self, key: Any, num: int) -> Float[Array, "m d"]:
        normal_key, chi_key = jr.split(key)
        root = jnp.asarray(square_root(self.cov))
        z = jr.normal(normal_key, (num, self.dim)) @ root
        chi = 2 * jr.gamma(chi_key, self.degrees / 2, (num, 1))
        return z * jnp.sqrt((self.degrees - 2) / chi)
