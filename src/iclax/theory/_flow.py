"""Gradient flow on the exact risk: loss curves, plateaus and what is learned when."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

from .._arrays import Array
from .._errors import SettingError
from ..prompts import PromptDistribution
from ._flow_problem import SeparableRisk, objective_moments, separable_risk
from ._flow_solver import Trajectory, exact_linear, integrate
from ._flow_systems import flow_system
from ._one_layer import PromptMoments, prompt_moments, risk_from_moments
from ._parametrizations import (
    LinearGamma,
    Parametrization,
    Weights,
    make_parametrization,
)

ESCAPE = 0.8  # a plateau is left when the loss is below this share of the zero loss


@dataclass(frozen=True, eq=False)
class LossCurve:
    """A loss along the flow. Times are nan where the loss never gets there.

    `half_drop_time`: half of the drop from the first to the last value is made;
    `escape_time`: the loss is first below 0.8 of the loss of predicting 0.
    """

    losses: Float[Array, " m"]
    half_drop_time: float
    escape_time: float


@dataclass(frozen=True, eq=False)
class FlowResult:
    r"""Gradient flow $\dot\theta = -\frac12 \partial R$ and what it went through.

    `losses[i]` is the training objective at `times[i]`; the drop counts to
    `minimum`, the least value that the parametrization can express. `progress[i, j]`
    is the learned share of direction j, whose part of the drop is `strengths[j]`.
    `final_risk` is the risk (not the objective) of the last `gamma`.
    """

    times: Float[Array, " m"]
    losses: Float[Array, " m"]
    half_drop_time: float
    escape_time: float
    final_risk: float
    minimum: float
    zero_loss: float
    converged: bool
    gamma: Float[Array, "d d"]
    strengths: Float[Array, " p"]
    progress: Float[Array, "m p"]
    start: str
    watched: Mapping[str, LossCurve] = field(default_factory=dict)


def flow(
    prompts: PromptDistribution | PromptMoments,
    parametrization: str | Parametrization = "merged",
    *,
    init: float = 1e-4,
    objective: str = "mean",
    heads: int = 1,
    rank: int | None = None,
    start: str | Weights | None = None,
    seed: int = 0,
    times: Float[Array, " m"] | Any = None,
    end_time: float = np.inf,
    tolerance: float = 1e-8,
    watch: Mapping[str, PromptDistribution] | None = None,
) -> FlowResult:
    r"""Gradient flow of the exact risk, to convergence.

    $$\dot\theta = -\tfrac12 \partial R(\Gamma(\theta)) / \partial \theta$$

    `parametrization`: "linear" (Γ, from 0, solved in closed form), "merged"
    ($\sum_h v_h A_h^T$) or "separate" ($\sum_h v_h Q_h K_h^T$ of `rank`, d where left
    out). With w₀ = `init`, every block starts with Frobenius norm w₀ (balanced):
    `start` = "identity" is v = w₀, A = w₀ I/√d (or Q = K = w₀ I/√R), "random" draws
    Gaussian matrices from `seed`, and a tuple of arrays is taken as it is. The default
    is "identity", and "random" for several heads or rank < d.

    `objective`: "mean", or "sum" over the components of a mixture. `times`: where to
    report (the solver's own steps where left out); the flow ends at the last of them,
    at `end_time`, or where all but `tolerance` of the drop is made. `watch`: other
    prompt laws whose risk is followed. Derived in docs/theory/flow.md.
    """
    moments = objective_moments(prompts, objective)
    problem, dim = separable_risk(moments), len(moments.query)
    kind = make_parametrization(parametrization, dim, heads, rank)
    weights, stated = starting_weights(kind, dim, init, start, seed)
    minimum = problem.minimum(kind.max_rank(dim))
    grid = None if times is None else _checked_times(times)
    if isinstance(kind, LinearGamma) and not np.any(weights[0]):
        path = exact_linear(problem, tolerance, end_time, grid)
    else:
        turned = kind.rotated(weights, problem.left, problem.right)
        system = flow_system(problem, kind, turned)
        path = integrate(problem, system, minimum, tolerance, end_time, grid)
    curve = _loss_curve(path, problem.risk, problem.power, minimum)
    strengths, progress = _progress(problem, path)
    gamma = problem.left @ path.gamma(-1) @ problem.right.T
    risk = moments if isinstance(prompts, PromptMoments) else prompt_moments(prompts)
    return FlowResult(
        path.times[path.reported],
        curve.losses,
        curve.half_drop_time,
        curve.escape_time,
        float(risk_from_moments(gamma, risk)),
        minimum,
        problem.power,
        path.converged,
        gamma,
        strengths,
        progress,
        stated,
        {name: _watch(problem, path, law) for name, law in (watch or {}).items()},
    )


def _loss_curve(
    path: Trajectory,
    risk: Callable[[Array], Any],
    zero_loss: float,
    final: float | None = None,
) -> LossCurve:
    """`risk` along the flow, its half-drop time (towards `final`) and escape time."""
    losses = np.array([float(risk(path.gamma(i))) for i in range(len(path.times))])
    final = losses[-1] if final is None else final
    half = (losses[0] + final) / 2
    dropped = losses[0] - final > 1e-9 * abs(zero_loss)
    return LossCurve(
        losses[path.reported],
        path.crossing(risk, losses, half) if dropped else np.nan,
        path.crossing(risk, losses, ESCAPE * zero_loss),
    )


def _watch(
    problem: SeparableRisk, path: Trajectory, law: PromptDistribution
) -> LossCurve:
    m = prompt_moments(law)
    left, right = problem.left, problem.right
    turned = PromptMoments(
        left.T @ m.query @ left,
        right.T @ m.cross @ left,
        right.T @ m.gradient @ right,
        m.power,
    )
    return _loss_curve(path, lambda g: risk_from_moments(g, turned), float(m.power))


def _progress(problem: SeparableRisk, path: Trajectory) -> tuple[Array, Array]:
    u, s, vh = problem.whitened_optimum()
    kept = s > 1e-9 * max(float(np.max(s, initial=0.0)), 1e-300)
    root = np.sqrt(problem.decay)
    rows = [
        np.sum(u[:, kept] * ((root * path.gamma(i)) @ vh[kept].T), axis=0)
        for i in path.reported
    ]
    return s[kept] ** 2, np.stack(rows) / s[kept]


def starting_weights(
    kind: Parametrization,
    dim: int,
    init: float,
    start: str | Weights | None,
    seed: int,
) -> tuple[Weights, str]:
    if start is not None and not isinstance(start, str):
        return tuple(np.asarray(part, np.float64) for part in start), "given weights"
    if not (0 < init < np.inf) and not isinstance(kind, LinearGamma):
        raise SettingError(
            "init", f"{init}", "a positive number (0 is a point the flow never leaves)"
        )
    chosen = start or kind.default_start(dim)
    if chosen not in ("identity", "random"):
        raise SettingError("start", repr(chosen), '"identity", "random" or weights')
    stated = kind.describe_start(chosen).format(init=f"{init:g}", seed=seed)
    return kind.start(dim, init, chosen, seed), stated


def _checked_times(times: Any) -> Float[Array, " m"]:
    grid = np.asarray(times, np.float64)
    increasing = grid.ndim == 1 and len(grid) > 0 and np.all(np.diff(grid) > 0)
    if not increasing or grid[0] < 0 or not np.isfinite(grid[-1]):
        raise SettingError("times", f"{times}", "increasing finite numbers ≥ 0")
    return grid
