"""Retrieval: independent random values at the keys of a dictionary."""

import numpy as np
from jaxtyping import Float

from ..._arrays import Array, same_rows
from ...tasks import Retrieval
from ._facts import Facts, register_facts


@register_facts(Retrieval)
class RetrievalFacts(Facts):
    """f(key j) is one of the v values of key j; elsewhere that of the nearest key."""

    @property
    def sign_symmetric(self) -> bool | None:
        return all(same_rows(v[:, None], -v[:, None]) for v in self.tasks.values)

    def kernel(self, xs: Array, zs: Array) -> Float[Array, "m p"]:
        """The product of two keys' mean values; E v² where x and z share a key."""
        values, first, second = self.tasks.values, self._nearest(xs), self._nearest(zs)
        means, squares = values.mean(axis=1), (values**2).mean(axis=1)
        product = np.outer(means[first], means[second])
        return np.where(
            first[:, None] == second[None], squares[first][:, None], product
        )

    def mean(self, xs: Array) -> Float[Array, " m"]:
        return self.tasks.values.mean(axis=1)[self._nearest(xs)]

    def _nearest(self, xs: Array) -> np.ndarray:
        keys = self.tasks.keys
        scores = np.asarray(xs) @ keys.T - 0.5 * np.sum(keys**2, axis=1)[None]
        return np.argmax(scores, axis=1)
