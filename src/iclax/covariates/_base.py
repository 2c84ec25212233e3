"""What a distribution of the covariates must answer."""

from abc import ABC, abstractmethod
from typing import Any

from jaxtyping import Float

from .._arrays import Array
from .._errors import AssumptionError


class Covariates(ABC):
    """The distribution of one covariate vector x ∈ R^d; a prompt's rows are i.i.d.

    A subclass says its `dim` and how it is drawn, and whatever else is known of it: a
    moment that it leaves out raises `AssumptionError` in the theory that needs it.
    """

    @property
    @abstractmethod
    def dim(self) -> int:
        """The dimension d of x."""

    @property
    def symmetric(self) -> bool | None:
        """Whether x and −x have one distribution; None where that is not known."""
        return None

    @property
    def rotation_invariant(self) -> bool | None:
        """Whether x and R x have one distribution for every orthogonal R, if known."""
        return None

    @property
    def second_moment(self) -> Float[Array, "d d"]:
        """Λ = E[x xᵀ], not centered (the covariance where x has mean zero)."""
        raise self._unknown("second moment")

    def fourth_moment(self, a: Float[Array, "d d"]) -> Float[Array, "d d"]:
        """$E[x x^T A x x^T]$ for a symmetric matrix `a`."""
        raise self._unknown("fourth moment")

    def fourth_scatter(self, a: Float[Array, "d d"]) -> Float[Array, "d d"]:
        r"""$E[(x x^T - \Lambda) A (x x^T - \Lambda)] = E[x x^T A x x^T] - \Lambda A
        \Lambda$ for a PSD matrix `a`.

        Override it where the difference cancels: it is the price of finite contexts.
        """
        second = self.second_moment
        return self.fourth_moment(a) - second @ a @ second

    def sixth_moment(
        self, a: Float[Array, "d d"], b: Float[Array, "d d"]
    ) -> Float[Array, "d d"]:
        """$E[x x^T (x^T A x)(x^T B x)]$ for symmetric matrices `a` and `b`."""
        raise self._unknown("sixth moment")

    def _unknown(self, what: str) -> AssumptionError:
        name = type(self).__name__
        return AssumptionError(
            f"exact theory with {name} covariates",
            f"their {what} in closed form",
            f"give {name} a method for it, or simulate",
        )

    @abstractmethod
    def sample(self, key: Any, num: int) -> Float[Array, "m d"]:
        """`num` independent draws of x, one a row, as a JAX array."""

    def sample_query(self, key: Any, xs: Float[Array, "n d"]) -> Float[Array, " d"]:
        """One query, given the context's rows `xs`: here a fresh draw of x."""
        return self.sample(key, 1)[0]


class Symmetric(Covariates):
    """Covariates with one distribution for x and −x, and covariance `cov`."""

    cov: Float[Array, "d d"] | Any

    @property
    def dim(self) -> int:
        return self.cov.shape[0]

    @property
    def symmetric(self) -> bool | None:
        return True

    @property
    def second_moment(self) -> Float[Array, "d d"]:
        return self.cov
