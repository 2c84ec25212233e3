"""Curricula: how many dimensions and points a prompt has, step by step."""

from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from .._errors import SettingError


class Stage(NamedTuple):
    """What a curriculum hands to the loss: counts as traced integers."""

    dims: Int[Array, ""]
    points: Int[Array, ""]


@dataclass(frozen=True)
class Ramp:
    """`start`, plus `by` after every `every` steps, up to `end`."""

    start: int
    end: int
    by: int = 1
    every: int = 2000

    def __post_init__(self):
        if not 1 <= self.start <= self.end:
            raise SettingError("ramp.start", f"{self.start}", f"from 1 to {self.end}")
        if self.by < 1 or self.every < 1:
            found = f"by = {self.by}, every = {self.every}"
            raise SettingError("ramp", found, "whole numbers of at least 1")

    def __call__(self, step: int | Int[Array, ""]) -> Int[Array, ""]:
        """The value in force at update `step` (from 1)."""
        risen = self.start + self.by * ((jnp.asarray(step) - 1) // self.every)
        return jnp.minimum(risen, self.end)


@dataclass(frozen=True)
class Curriculum:
    """Dimensions and points that grow: pass it to `train(curriculum=...)`.

    The loss then takes a parameter `stage`, a `Stage`. Shapes stay those of the end:
    `first_dims` zeroes the coordinates of x beyond the stage's and
    `mean_over_positions` leaves its later points out of the loss.
    """

    dims: Ramp
    points: Ramp

    def __call__(self, step: int | Int[Array, ""]) -> Stage:
        """The stage of update `step` (from 1)."""
        return Stage(self.dims(step), self.points(step))


def garg_curriculum(dim: int = 20, points: int = 41, slow: bool = False) -> Curriculum:
    """The curriculum of Garg et al. 2022: dimensions 5 to `dim`, +1 every 2000 steps.

    Points grow from 11 to `points` by 2; with `slow` (their networks and trees, 101
    points) from 26 by 5.
    """
    first, by = (26, 5) if slow else (11, 2)
    return Curriculum(Ramp(min(5, dim), dim), Ramp(min(first, points), points, by))


def first_dims(
    xs: Float[Array, "*b d"], dims: int | Int[Array, ""]
) -> Float[Array, "*b d"]:
    """The covariates with all but their first `dims` coordinates set to 0."""
    kept = jnp.broadcast_to(jnp.arange(xs.shape[-1]) < dims, xs.shape)
    return jnp.where(kept, xs, 0.0)
