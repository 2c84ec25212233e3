"""Discrete training on the exact risk: gradient descent, momentum, Adam."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

from .._arrays import Array
from .._errors import SettingError
from .._lazy import LazyModule, jax, jnp
from ..prompts import PromptDistribution
from ._flow import ESCAPE, LossCurve, starting_weights
from ._flow_problem import objective_moments, separable_risk
from ._one_layer import PromptMoments, prompt_moments, risk_from_moments
from ._parametrizations import Parametrization, Weights, make_parametrization

optax: Any = LazyModule("optax")


@dataclass(frozen=True, eq=False)
class DescentResult:
    """Steps of an optimizer on the exact risk. `losses[t]` is the objective after t.

    `half_drop_step` and `escape_step` are the first steps at which half of the drop to
    `minimum` is made, and at which the loss is below 0.8 of `zero_loss`; nan if never.
    `final_risk` is the risk (not the objective) of the last `gamma`; `watched` curves
    count their drop to their last value, their times in steps.
    """

    losses: Float[Array, " t"]
    half_drop_step: float
    escape_step: float
    final_risk: float
    minimum: float
    zero_loss: float
    gamma: Float[Array, "d d"]
    start: str
    watched: Mapping[str, LossCurve] = field(default_factory=dict)


def descend(
    prompts: PromptDistribution | PromptMoments,
    parametrization: str | Parametrization = "merged",
    *,
    optimizer: str | Any = "gd",
    learning_rate: float = 1e-2,
    steps: int = 10_000,
    init: float = 1e-4,
    objective: str = "mean",
    heads: int = 1,
    rank: int | None = None,
    start: str | Weights | None = None,
    seed: int = 0,
    watch: Mapping[str, PromptDistribution] | None = None,
) -> DescentResult:
    """Full-batch training on the exact risk R: no sampling, no noise.

    `optimizer` is "gd", "momentum" (0.9), "adam" or an Optax transformation; it sees
    the gradient ∂R, so that one step of "gd" is 2 · `learning_rate` of the time of
    `flow` (whose other arguments these are). Adam acts on coordinates: unlike the
    others it is not the same in a rotated basis. One compiled loop in float64, whatever
    JAX's switch says.
    """
    moments = objective_moments(prompts, objective)
    dim = moments.query.shape[0]
    kind = make_parametrization(parametrization, dim, heads, rank)
    weights, stated = starting_weights(kind, dim, init, start, seed)
    laws = {name: prompt_moments(law) for name, law in (watch or {}).items()}

    def losses(weights: Weights) -> dict[str, Array]:
        gamma = kind.gamma(weights)
        return {name: risk_from_moments(gamma, m) for name, m in laws.items()}

    risk = lambda weights: risk_from_moments(kind.gamma(weights), moments)
    chosen = as_optimizer(optimizer, learning_rate)
    curve, watched, last = run_optimizer(risk, weights, chosen, steps, losses)
    minimum = separable_risk(moments).minimum(kind.max_rank(dim))
    zero = float(moments.power)
    gamma = np.asarray(kind.gamma(last))
    own = moments if isinstance(prompts, PromptMoments) else prompt_moments(prompts)
    whole = step_curve(curve, zero, minimum)
    return DescentResult(
        curve,
        whole.half_drop_time,
        whole.escape_time,
        float(risk_from_moments(gamma, own)),
        minimum,
        zero,
        gamma,
        stated,
        {n: step_curve(watched[n], float(laws[n].power)) for n in laws},
    )


def as_optimizer(optimizer: str | Any, learning_rate: float) -> Any:
    """The Optax transformation of that name; one that is given stays as it is."""
    if not isinstance(optimizer, str):
        return optimizer
    named: dict[str, Callable[[], Any]] = {
        "gd": lambda: optax.sgd(learning_rate),
        "momentum": lambda: optax.sgd(learning_rate, momentum=0.9),
        "adam": lambda: optax.adam(learning_rate),
    }
    if optimizer not in named:
        raise SettingError("optimizer", repr(optimizer), ", ".join(named))
    return named[optimizer]()


def run_optimizer(
    risk: Callable[[Any], Any],
    start: Any,
    optimizer: Any,
    steps: int,
    watch: Callable[[Any], dict[str, Any]] = lambda weights: {},
) -> tuple[Float[Array, " t"], dict[str, Float[Array, " t"]], Any]:
    """Losses before, between and after `steps` steps, watched values, last weights."""
    if steps < 1:
        raise SettingError("steps", f"{steps}", "a whole number of at least 1")
    with jax.enable_x64(True):
        weights = jax.tree.map(lambda part: jnp.asarray(np.asarray(part)), start)

        def step(carry: tuple[Any, Any], _: Any) -> tuple[Any, Any]:
            weights, state = carry
            loss, gradient = jax.value_and_grad(risk)(weights)
            updates, state = optimizer.update(gradient, state, weights)
            moved = jax.tree.map(jnp.add, weights, updates)
            return (moved, state), (loss, watch(weights))

        @jax.jit
        def run(weights: Any) -> Any:
            carry = (weights, optimizer.init(weights))
            (last, _), seen = jax.lax.scan(step, carry, None, length=steps)
            ends = risk(last), watch(last)
            return last, jax.tree.map(lambda a, b: jnp.append(a, b), seen, ends)

        last, (losses, watched) = jax.tree.map(np.asarray, run(weights))
    return losses, watched, last


def step_curve(
    losses: Float[Array, " t"], zero_loss: float, final: float | None = None
) -> LossCurve:
    """The curve with its half-drop (towards `final`, or its end) and escape steps."""
    final = float(losses[-1]) if final is None else final
    half = (losses[0] + final) / 2
    drops = losses[0] - final > 1e-9 * abs(zero_loss)
    escape = _first_below(losses, ESCAPE * zero_loss)
    return LossCurve(losses, _first_below(losses, half) if drops else np.nan, escape)


def _first_below(losses: Float[Array, " t"], level: float) -> float:
    below = np.flatnonzero(losses < level)
    return float(below[0]) if len(below) else np.nan
