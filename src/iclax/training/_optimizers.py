"""Optimizers as data: a rule, a learning rate, a schedule and clipping."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol, runtime_checkable

import optax

from ._schedules import Constant, Scalar, Schedule


@runtime_checkable
class Optimizer(Protocol):
    """A rule that knows its learning rate. Values of `hyper` replace fields by name."""

    def build(
        self, steps: int, hyper: Mapping[str, Any]
    ) -> optax.GradientTransformation: ...

    def rate(self, count: Any, steps: int, hyper: Mapping[str, Any]) -> Any: ...


@dataclass(frozen=True)
class Adam:
    """Adam; with `weight_decay` decoupled from the gradient, AdamW (Loshchilov and
    Hutter 2019).

    `clip` bounds the global norm of the gradient before the rule sees it.
    """

    learning_rate: Scalar = 1e-3
    schedule: Schedule = Constant()
    b1: Scalar = 0.9
    b2: Scalar = 0.999
    eps: Scalar = 1e-8
    weight_decay: Scalar = 0.0
    clip: Scalar | None = None

    def build(
        self, steps: int, hyper: Mapping[str, Any]
    ) -> optax.GradientTransformation:
        """The optax transformation for a run of `steps` with these hyper-parameters."""
        own = _with(self, hyper)
        rules = [optax.scale_by_adam(own.b1, own.b2, own.eps)]
        if "weight_decay" in hyper or own.weight_decay:
            rules.append(optax.add_decayed_weights(own.weight_decay))
        return _chain(own, steps, rules)

    def rate(self, count: Any, steps: int, hyper: Mapping[str, Any]) -> Any:
        """The learning rate of update `count` (from 0)."""
        return _rate(_with(self, hyper), count, steps)


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent, with momentum or Nesterov's where asked for.

    `weight_decay` is added to the gradient; `clip` bounds its global norm before that.
    """

    learning_rate: Scalar = 1e-2
    schedule: Schedule = Constant()
    momentum: Scalar = 0.0
    nesterov: bool = False
    weight_decay: Scalar = 0.0
    clip: Scalar | None = None

    def build(
        self, steps: int, hyper: Mapping[str, Any]
    ) -> optax.GradientTransformation:
        """The optax transformation for a run of `steps` with these hyper-parameters."""
        own, rules = _with(self, hyper), []
        if "weight_decay" in hyper or own.weight_decay:
            rules.append(optax.add_decayed_weights(own.weight_decay))
        if "momentum" in hyper or own.momentum:
            rules.append(optax.trace(own.momentum, own.nesterov))
        return _chain(own, steps, rules)

    def rate(self, count: Any, steps: int, hyper: Mapping[str, Any]) -> Any:
        """The learning rate of update `count` (from 0)."""
        return _rate(_with(self, hyper), count, steps)


@dataclass(frozen=True)
class LBFGS:
    """L-BFGS with a zoom line search, for objectives without randomness.

    `memory` past steps shape the metric; a step tries at most `line_search` lengths.
    """

    memory: int = 10
    line_search: int = 20

    def build(
        self, steps: int, hyper: Mapping[str, Any]
    ) -> optax.GradientTransformation:
        """The optax transformation."""
        search = optax.scale_by_zoom_linesearch(
            self.line_search, initial_guess_strategy="one"
        )
        return optax.lbfgs(memory_size=self.memory, linesearch=search)

    def rate(self, count: Any, steps: int, hyper: Mapping[str, Any]) -> float:
        """The first length the line search tries."""
        return 1.0


def replaceable(optimizer: Any) -> frozenset[str] | None:
    """The fields that `hyper` may replace; None for an optimizer not from here."""
    if isinstance(optimizer, LBFGS):
        return frozenset()
    if isinstance(optimizer, (Adam, SGD)):
        return frozenset(f.name for f in fields(optimizer)) - {"schedule", "nesterov"}
    return None


def _with(optimizer: Any, hyper: Mapping[str, Any]) -> Any:
    own = replaceable(optimizer) or frozenset()
    return replace(optimizer, **{k: v for k, v in hyper.items() if k in own})


def _rate(own: Any, count: Any, steps: int) -> Any:
    return own.learning_rate * own.schedule.factor(count, steps)


def _chain(own: Any, steps: int, rules: list) -> optax.GradientTransformation:
    if own.clip is not None:
        rules = [optax.clip_by_global_norm(own.clip), *rules]
    return optax.chain(*rules, optax.scale_by_schedule(lambda t: -_rate(own, t, steps)))
