"""Query laws that depend on the context."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float

from .._arrays import Array
from .._errors import AssumptionError
from .._lazy import jr


@dataclass(frozen=True)
class RepeatedPoint:
    """The query is one of the n context points, each with equal probability."""

    @property
    def second_moment(self) -> Float[Array, "d d"]:
        raise AssumptionError(
            "exact theory of this prompt",
            "a query that is independent of the context (it repeats a context point)",
            "simulate the risk",
        )

    def sample_query(self, key: Any, xs: Float[Array, "n d"]) -> Float[Array, " d"]:
        """A uniformly chosen row of the context."""
        return xs[jr.randint(key, (), 0, len(xs))]
