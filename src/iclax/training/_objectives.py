"""What a training minimizes, as functions of predictions and labels.

Each takes the predictions and labels of a batch and returns its loss. Predictions of
the query alone have shape (b,); at every position, shape (b, n).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from .._errors import SettingError

Pointwise: TypeAlias = Callable[[Array, Array], Array]


def squared_error(
    prediction: Float[Array, "*s"], label: Float[Array, "*s"]
) -> Float[Array, "*s"]:
    r"""$(\hat y - y)^2$, no ½."""
    return (prediction - label) ** 2


def logistic_loss(
    prediction: Float[Array, "*s"], label: Float[Array, "*s"]
) -> Float[Array, "*s"]:
    r"""$\log(1 + e^{-y \hat y})$ for labels y = ±1: cross-entropy with logit ŷ."""
    return jax.nn.softplus(-label * prediction)


def mean_over_positions(
    errors: Float[Array, "*b n"], points: Int[Array, ""] | int | None = None
) -> Float[Array, "*b"]:
    """The mean of the errors at the first `points` positions (all by default).

    `points` may be traced, as a curriculum needs it; the shapes do not change.
    """
    if points is None:
        return jnp.mean(errors, axis=-1)
    seen = jnp.arange(errors.shape[-1]) < points
    seen = jnp.broadcast_to(seen, errors.shape)
    # A product with 0 or 1 would let an infinite error through; `where` does not.
    return jnp.sum(jnp.where(seen, errors, 0.0), axis=-1) / points


@dataclass(frozen=True)
class Objective:
    r"""The loss of a batch, as one number.

    `pointwise` is `squared_error` or `logistic_loss`. `positions` is "last" (the query,
    or the last of the positions given) or "all" (their mean). Divided by `scale`, the
    loss of the best prediction that ignores the context where it is to start at 1.
    """

    pointwise: Pointwise = squared_error
    positions: str = "last"
    scale: float = 1.0

    def __post_init__(self):
        if self.positions not in ("last", "all"):
            allowed = "'last' or 'all'"
            raise SettingError("objective.positions", repr(self.positions), allowed)
        if not self.scale > 0:
            raise SettingError("objective.scale", f"{self.scale}", "a number above 0")

    def __call__(
        self,
        predictions: Float[Array, "*b n"] | Float[Array, " b"],
        labels: Float[Array, "*b n"] | Float[Array, " b"],
        points: Int[Array, ""] | int | None = None,
    ) -> Float[Array, ""]:
        """The mean over the batch; of predictions (b,), or (b, n) at n positions."""
        errors = self.pointwise(predictions, labels)
        if errors.ndim > 1:
            last = self.positions == "last"
            errors = errors[..., -1] if last else mean_over_positions(errors, points)
        return jnp.mean(errors) / self.scale


def mean_of_components(losses: Sequence[Float[Array, ""]]) -> Float[Array, ""]:
    """The mean of the losses of the components of a mixture, equally weighted."""
    return jnp.mean(jnp.stack(list(losses)))


def sum_of_components(
    losses: Sequence[Float[Array, ""]], no_context: Sequence[float]
) -> Float[Array, ""]:
    r"""$\sum_m L_m / L^0_m$: every component's plateau lies at height 1.

    `losses` are the mean losses L_m of the components and `no_context` the losses L⁰_m
    of the best predictions that ignore the context (Kim et al. 2025, section 3).
    """
    if len(losses) != len(no_context):
        found = f"{len(no_context)} numbers"
        raise SettingError("no_context", found, f"one per component: {len(losses)}")
    if not all(value > 0 for value in no_context):
        raise SettingError("no_context", f"{list(no_context)}", "numbers above 0")
    return jnp.sum(jnp.stack(list(losses)) / jnp.asarray(no_context, float))
