"""Sums of very many numbers of few digits (Kahan 1965)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import PyTree


class Compensated(NamedTuple):
    """A pytree of running sums, and how much of what was added they do not show yet."""

    total: PyTree
    missing: PyTree

    @classmethod
    def of(cls, start: PyTree) -> "Compensated":
        """The sums before anything is added to `start`."""
        return cls(start, jax.tree.map(jnp.zeros_like, start))

    def plus(self, terms: PyTree) -> "Compensated":
        """With `terms` added: an error of about one rounding, however many there are.

        Without it, float32 loses terms below 6e-8 of the sum altogether.
        """

        def add(total: Any, missing: Any, term: Any) -> tuple[Any, Any]:
            due = missing + term.astype(total.dtype)
            new = total + due
            return new, due - (new - total)

        pairs = jax.tree.map(add, self.total, self.missing, terms)
        two = jax.tree.structure((0, 0))
        sums = jax.tree.transpose(jax.tree.structure(self.total), two, pairs)
        return Compensated(*sums)
