"""What a law of the covariates must answer."""

from abc import ABC, abstractmethod
from typing import Any

from jaxtyping import Float

from .._arrays import Array


class Covariates(ABC):
    """The law of one covariate vector x ∈ R^d; a prompt's rows are i.i.d. draws."""

    @property
    @abstractmethod
    def dim(self) -> int:
        """The dimension d of x."""

    @property
    def symmetric(self) -> bool:
        """Whether x and −x are equal in law."""
        return True

    @property
    @abstractmethod
    def second_moment(self) -> Float[Array, "d d"]:
        """Λ = E[x xᵀ], not centered (the covariance where x has mean zero)."""

    @abstractmethod
    def fourth_moment(self, a: Float[Array, "d d"]) -> Float[Array, "d d"]:
        """$E[x x^T A x x^T]$ for a symmetric matrix `a`."""

    @abstractmethod
    def sixth_moment(
        self, a: Float[Array, "d d"], b: Float[Array, "d d"]
    ) -> Float[Array, "d d"]:
        """$E[x x^T (x^T A x)(x^T B x)]$ for symmetric matrices `a` and `b`."""

    @abstractmethod
    def sample(self, key: Any, num: int) -> Float[Array, "m d"]:
        """`num` independent draws of x, one a row, as a JAX array."""

    def sample_query(self, key: Any, xs: Float[Array, "n d"]) -> Float[Array, " d"]:
        """One query, given the context's rows `xs`: here a fresh draw of x."""
        return self.sample(key, 1)[0]
