"""Gaussian and elliptical covariates."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float

from .._arrays import Array, is_isotropic, namespace
from .._errors import AssumptionError, SettingError
from .._lazy import jnp, jr
from .._psd import as_covariance, covariance_root
from ._base import Symmetric


def isserlis(cov: Float[Array, "d d"], a: Float[Array, "d d"]) -> Float[Array, "d d"]:
    r"""$E[x x^T A x x^T] = 2 \Lambda A \Lambda + tr(A \Lambda) \Lambda$, Gaussian x."""
    return 2 * cov @ a @ cov + _trace(a, cov) * cov


def _trace(a: Float[Array, "d d"], cov: Float[Array, "d d"]) -> Float[Array, ""]:
    return namespace(a, cov).sum(a * cov)


def isserlis_sixth(
    cov: Float[Array, "d d"], a: Float[Array, "d d"], b: Float[Array, "d d"]
) -> Float[Array, "d d"]:
    r"""$E[x x^T (x^T A x)(x^T B x)]$ for x ~ N(0, Λ): the fifteen pairings of x."""
    xp = namespace(cov, a, b)
    left, right = cov @ a, cov @ b
    first, second = xp.trace(left), xp.trace(right)
    both = left @ right @ cov
    return (
        (first * second + 2 * xp.sum(left * right.T)) * cov
        + 2 * first * right @ cov
        + 2 * second * left @ cov
        + 4 * (both + both.T)
    )


@dataclass(frozen=True, eq=False)
class Gaussian(Symmetric):
    """x ~ N(0, `cov`); `cov` is a diagonal or a full positive semi-definite matrix."""

    cov: Float[Array, "d d"] | Any

    def __post_init__(self):
        object.__setattr__(self, "cov", as_covariance(self.cov, "covariates.cov"))

    @property
    def rotation_invariant(self) -> bool | None:
        return is_isotropic(self.cov)

    def fourth_moment(self, a: Float[Array, "d d"]) -> Float[Array, "d d"]:
        return isserlis(self.cov, a)

    def fourth_scatter(self, a: Float[Array, "d d"]) -> Float[Array, "d d"]:
        return self.cov @ a @ self.cov + _trace(a, self.cov) * self.cov

    def sixth_moment(
        self, a: Float[Array, "d d"], b: Float[Array, "d d"]
    ) -> Float[Array, "d d"]:
        return isserlis_sixth(self.cov, a, b)

    def sample(self, key: Any, num: int) -> Float[Array, "m d"]:
        root = jnp.asarray(covariance_root(self.cov))
        return jr.normal(key, (num, self.dim)) @ root.T


@dataclass(frozen=True, eq=False)
class StudentT(Symmetric):
    """Multivariate Student t with covariance `cov` and `degrees` of freedom above 4.

    An elliptical law: x = sqrt((ν − 2)/χ²_ν) z with z ~ N(0, `cov`), so that
    E[x xᵀ A x xᵀ] is the Gaussian one times (ν − 2)/(ν − 4), and the sixth moment times
    (ν − 2)²/((ν − 4)(ν − 6)).
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
    def rotation_invariant(self) -> bool | None:
        return is_isotropic(self.cov)

    def fourth_moment(self, a: Float[Array, "d d"]) -> Float[Array, "d d"]:
        return self._fourth_factor() * isserlis(self.cov, a)

    def fourth_scatter(self, a: Float[Array, "d d"]) -> Float[Array, "d d"]:
        factor = self._fourth_factor()
        both = (2 * factor - 1) * self.cov @ a @ self.cov
        return both + factor * _trace(a, self.cov) * self.cov

    def _fourth_factor(self) -> float:
        """What a fourth moment is, over that of the Gaussian."""
        self._check_degrees(4, "fourth")
        return (self.degrees - 2) / (self.degrees - 4)

    def sixth_moment(
        self, a: Float[Array, "d d"], b: Float[Array, "d d"]
    ) -> Float[Array, "d d"]:
        self._check_degrees(6, "sixth")
        nu = self.degrees
        factor = (nu - 2) ** 2 / ((nu - 4) * (nu - 6))
        return factor * isserlis_sixth(self.cov, a, b)

    def _check_degrees(self, least: int, moment: str) -> None:
        if not self.degrees > least:
            raise AssumptionError(
                f"the {moment} moment of Student t covariates "
                f"(degrees = {self.degrees})",
                f"more than {least} degrees of freedom (it is infinite otherwise)",
                f"set covariates.degrees above {least}",
            )

    def sample(self, key: Any, num: int) -> Float[Array, "m d"]:
        normal_key, chi_key = jr.split(key)
        root = jnp.asarray(covariance_root(self.cov))
        z = jr.normal(normal_key, (num, self.dim)) @ root.T
        chi = 2 * jr.gamma(chi_key, self.degrees / 2, (num, 1))
        return z * jnp.sqrt((self.degrees - 2) / chi)
