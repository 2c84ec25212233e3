"""Learning-rate schedules, as factors on the learning rate."""

from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from .._errors import SettingError

# A number, or the traced value of a hyper-parameter.
Scalar: TypeAlias = float | int | Array
Count: TypeAlias = int | Int[Array, ""]


@runtime_checkable
class Schedule(Protocol):
    """The factor on the learning rate of update `count` = 0..`steps`−1."""

    def factor(self, count: Count, steps: int) -> Float[Array, ""]: ...


@dataclass(frozen=True)
class Constant:
    """Factor 1, after a linear warm-up from 0 over the first `warmup` steps."""

    warmup: int = 0

    def __post_init__(self):
        _check_warmup(self.warmup)

    def factor(self, count: Count, steps: int) -> Float[Array, ""]:
        """See `Schedule`."""
        return _warm(count, self.warmup)


@dataclass(frozen=True)
class Cosine:
    r"""$f + (1-f)(1+\cos \pi u)/2$ with u the fraction of steps after the warm-up.

    `end` is f, the last factor; `warmup` counts the steps of linear warm-up from 0.
    """

    end: float = 0.0
    warmup: int = 0

    def __post_init__(self):
        _check_warmup(self.warmup)

    def factor(self, count: Count, steps: int) -> Float[Array, ""]:
        """See `Schedule`."""
        rest = max(steps - self.warmup, 1)
        u = jnp.clip((_real(count) - self.warmup) / rest, 0.0, 1.0)
        decay = self.end + (1 - self.end) * (1 + jnp.cos(jnp.pi * u)) / 2
        return _warm(count, self.warmup) * decay


@dataclass(frozen=True)
class OneCycle:
    """Linear from 0 to 1 over the fraction `rise` of the steps, then linear to 0.

    The triangle of Raventós et al. 2023 at `rise` = 1/2.
    """

    rise: float = 0.5

    def __post_init__(self):
        if not 0 < self.rise < 1:
            raise SettingError("rise", f"{self.rise}", "a fraction between 0 and 1")

    def factor(self, count: Count, steps: int) -> Float[Array, ""]:
        """See `Schedule`."""
        u = _real(count) / steps
        return jnp.minimum(u / self.rise, (1 - u) / (1 - self.rise))


@dataclass(frozen=True)
class Exponential:
    """`rate` to the power count/`every`; by whole powers only with `staircase`."""

    rate: float = 0.5
    every: int = 1000
    staircase: bool = False
    warmup: int = 0

    def __post_init__(self):
        _check_warmup(self.warmup)
        if self.rate <= 0 or self.every < 1:
            found = f"rate = {self.rate}, every = {self.every}"
            raise SettingError("schedule", found, "rate above 0, every at least 1")

    def factor(self, count: Count, steps: int) -> Float[Array, ""]:
        """See `Schedule`."""
        power = _real(count) / self.every
        power = jnp.floor(power) if self.staircase else power
        return _warm(count, self.warmup) * self.rate**power


def _check_warmup(steps: int) -> None:
    if steps < 0:
        raise SettingError("warmup", f"{steps}", "a whole number of steps, 0 or more")


def _warm(count: Count, warmup: int) -> Float[Array, ""]:
    if not warmup:
        return jnp.ones(())
    return jnp.minimum(_real(count) / warmup, 1.0)


def _real(count: Count) -> Float[Array, ""]:
    # Dividing an int32 would give float32 even where float64 is on.
    return jnp.asarray(count, float)
