"""What a compiled training program depends on, apart from its data."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import optax

from ._average import Average
from ._optimizers import replaceable
from ._target import Target


@dataclass(frozen=True)
class Plan:
    """The functions and sizes that one compiled program is made from.

    Hashable, so that a second training with the same functions reuses the program.
    """

    init: Callable[..., Any]
    loss: Callable[..., Any]
    optimizer: Any
    steps: int
    record_every: int
    watch: Callable[..., Any] | None = None
    curriculum: Callable[..., Any] | None = None
    trainable: Callable[[Any], Any] | None = None
    target: Target | None = None
    average: Average | None = None
    accumulate: int = 1
    diverged_above: float = float("inf")
    matmul_precision: str | None = None

    def transformation(
        self, hyper: dict[str, Any]
    ) -> optax.GradientTransformationExtraArgs:
        """The optax transformation of a run with these hyper-parameters."""
        optimizer = self.optimizer
        if hasattr(optimizer, "build"):
            optimizer = optimizer.build(self.steps, hyper)
        elif not isinstance(optimizer, optax.GradientTransformation):
            optimizer = optimizer(hyper)
        return optax.with_extra_args_support(optimizer)

    def rate(self, step: int, hyper: dict[str, Any]) -> float | None:
        """The learning rate of update `step` (from 1), where the optimizer tells."""
        if not hasattr(self.optimizer, "rate"):
            return None
        return float(self.optimizer.rate(step - 1, self.steps, hyper))

    def hyper_names(self) -> frozenset[str] | None:
        """The names of `hyper` that something reads; None where any may be read."""
        readers = [f for f in (self.init, self.loss, self.watch) if f is not None]
        if any("hyper" in names(function) for function in readers):
            return None
        if isinstance(self.optimizer, optax.GradientTransformation):
            return frozenset()
        return replaceable(self.optimizer)


def names(function: Callable[..., Any]) -> frozenset[str]:
    """The parameters of a function."""
    try:
        return _names(function)
    except TypeError:  # a callable that cannot be hashed
        return _names.__wrapped__(function)


@cache
def _names(function: Callable[..., Any]) -> frozenset[str]:
    return frozenset(inspect.signature(function).parameters)


def call(function: Callable[..., Any], *args: Any, **offered: Any) -> Any:
    """Call with those of the offered keywords that the function names as parameters."""
    wanted = names(function)
    return function(*args, **{k: v for k, v in offered.items() if k in wanted})
