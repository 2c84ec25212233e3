"""Coordinates, query and labels in units of their own size, for the full layer.

Attention compares x with y and different coordinates with each other, so that its
optimum has to be looked for where all of them are of size 1.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from .._arrays import Array
from ..covariates import Covariates
from ._full_attention_moments import AttentionMoments
from ._full_attention_weights import Attention
from .families import TokenMoments


@dataclass(frozen=True, eq=False)
class Units:
    """The sizes of the coordinates of x and of x_q, and of y; 1 where they are 0."""

    points: Float[np.ndarray, " d"]
    query: Float[np.ndarray, " d"]
    label: float

    @classmethod
    def of(cls, m: AttentionMoments) -> "Units":
        """Root mean squares under the distribution with the moments `m`."""
        sizes = [np.sqrt(np.diagonal(a)) for a in (m.mean[:-1, :-1], m.query)]
        label = float(np.sqrt(m.mean[-1, -1]))
        return cls(*(np.where(s > 0, s, 1.0) for s in sizes), label or 1.0)

    def moments(self, m: AttentionMoments) -> AttentionMoments:
        """The same distribution, x, x_q and y measured in these units."""
        x, q, y = 1 / self.points, 1 / self.query, 1 / self.label
        t, x_q = m.tokens, np.outer(x, q)
        tokens = TokenMoments(
            _Rescaled(t.covariates, self.points),
            t.mean / x * y,
            t.skew / x * y**3,
            t.signal * np.outer(x, x) * y**2,
            t.energy * np.outer(x, x) * y**2,
            t.power * y**2,
            t.power_square * y**4,
            t.cubic * x * y**3,
            t.quartic * y**4,
        )
        return AttentionMoments(
            tokens,
            m.noise * y**2,
            m.n,
            _Rescaled(m.query_law, self.query),
            m.query * np.outer(q, q),
            m.cross * x_q * y**2,
            m.power * y**2,
        )

    @property
    def tokens(self) -> Float[np.ndarray, " e"]:
        """The units of (x; y)."""
        return np.append(self.points, self.label)

    def weights_in(self, weights: Attention) -> Attention:
        """The weights that do in these units what `weights` do in the plain ones."""
        a, q = weights
        query = self.query[None, None, :]
        return Attention(
            a * self.tokens[None] / self.label, q * self.tokens[None, :, None] * query
        )

    def weights_out(self, weights: Attention) -> Attention:
        """The inverse of `weights_in`."""
        a, q = weights
        query = self.query[None, None, :]
        return Attention(
            a / self.tokens[None] * self.label, q / self.tokens[None, :, None] / query
        )


@dataclass(frozen=True, eq=False)
class _Rescaled(Covariates):
    """x / `units` for x ~ `base`."""

    base: Covariates
    units: Float[np.ndarray, " d"]

    @property
    def dim(self) -> int:
        return self.base.dim

    @property
    def second_moment(self) -> Float[Array, "d d"]:
        return self._outer(self.base.second_moment)

    def fourth_moment(self, a: Float[Array, "d d"]) -> Float[Array, "d d"]:
        return self._outer(self.base.fourth_moment(self._outer(a)))

    def sixth_moment(
        self, a: Float[Array, "d d"], b: Float[Array, "d d"]
    ) -> Float[Array, "d d"]:
        return self._outer(self.base.sixth_moment(self._outer(a), self._outer(b)))

    def sample(self, key: Any, num: int) -> Float[Array, "m d"]:
        return self.base.sample(key, num) / self.units

    def _outer(self, matrix: Float[Array, "d d"]) -> Float[Array, "d d"]:
        return matrix / self.units[:, None] / self.units[None, :]
