"""Averages of the weights over the steps."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from .._errors import SettingError
from ._compensated import Compensated


@dataclass(frozen=True)
class Average:
    """Which average of the weights to keep beside the weights themselves.

    With `decay` β an exponential one, m ← βm + (1−β)θ with β replaced by
    min(β, (1+t)/(10+t)) so that the start is forgotten; without it the plain mean over
    the `last` fraction of the steps (Polyak and Juditsky 1992).
    """

    last: float = 0.5
    decay: float | None = None

    def __post_init__(self):
        if not 0 < self.last <= 1:
            raise SettingError("average.last", f"{self.last}", "a fraction in (0, 1]")
        if self.decay is not None and not 0 <= self.decay < 1:
            raise SettingError("average.decay", f"{self.decay}", "a number in [0, 1)")

    def update(
        self, mean: Compensated, weights: PyTree, step: Int[Array, ""], steps: int
    ) -> Compensated:
        """The average after update number `step` (from 1) of `steps`."""
        rate = self._rate(jnp.asarray(step, float), steps)
        return mean.plus(jax.tree.map(lambda m, w: rate * (w - m), mean.total, weights))

    def _rate(self, step: Float[Array, ""], steps: int) -> Array:
        if self.decay is not None:
            return 1 - jnp.minimum(self.decay, (1 + step) / (10 + step))
        first = steps - int(self.last * steps)
        # Until the window opens the average is the weights, so that the rate is 1.
        return 1 / jnp.maximum(step - first, 1)
