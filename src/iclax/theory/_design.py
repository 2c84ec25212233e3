"""The inverse problem: the mixture to train on for the least worst-case risk."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
from jaxtyping import Float

from .._arrays import Array
from .._errors import AssumptionError
from .._lazy import jax, jnp
from ..prompts import PromptDistribution
from ..tasks import LowRank, Mixture, TaskDistribution
from ._flow_problem import components_of
from ._one_layer import optimal_preconditioner, prompt_moments, risk_from_moments


@dataclass(frozen=True, eq=False)
class WeightDesign:
    """Mixture `weights`, the `risks` on each test law there and the largest of them.

    `equal_worst_risk` is the largest with equal weights, `slopes[j, k]` the derivative
    of risk j in weight k.
    """

    weights: Float[Array, " k"]
    risks: Float[Array, " m"]
    worst_risk: float
    equal_worst_risk: float
    slopes: Float[Array, "m k"]


def design_weights(
    prompts: PromptDistribution, tests: Sequence[PromptDistribution] | None = None
) -> WeightDesign:
    r"""The mixture weights that minimize the worst-case risk of the training optimum.

    $$\min_p \max_j R_j(\Gamma^*(p)), \qquad p \ge 0, \; \sum_k p_k = 1$$

    `prompts` has the components (`LowRank` or `Mixture` tasks; their own weights are
    not used), `tests` the laws whose worst case counts: each component by itself where
    left out. Exact risks and gradients (JAX, float64), sequential quadratic
    programming from equal weights: a local minimum. Raises `AssumptionError` for tasks
    with one component. Derived in docs/theory/design.md.
    """
    parts = components_of(prompts.tasks)
    if len(parts) < 2:
        raise AssumptionError(
            "the design of mixture weights",
            "a mixture of at least two components",
            'state the tasks with kind = "mixture" or "low_rank"',
        )
    laws = tests or [prompts.replace(tasks=part) for part in parts]
    targets = [prompt_moments(law) for law in laws]

    def risks(weights: Any) -> Any:
        gamma = optimal_preconditioner(
            prompts.replace(tasks=reweighted(prompts.tasks, weights))
        )
        return jnp.stack([risk_from_moments(gamma, m) for m in targets])

    with jax.enable_x64(True):
        both = jax.jit(lambda w: (risks(w), jax.jacrev(risks)(w)))
        evaluate = lambda w: tuple(map(np.asarray, both(jnp.asarray(w))))
        return _minimax(evaluate, len(parts))


def reweighted(
    tasks: TaskDistribution, weights: Float[Array, " k"]
) -> TaskDistribution:
    """The same components with other `weights` (normalized; they may be traced)."""
    if isinstance(tasks, LowRank):
        return LowRank(tasks.bases, weights, tasks.floor)
    if isinstance(tasks, Mixture):
        return Mixture(tasks.components, weights)
    raise AssumptionError("new weights", "a mixture", "use Mixture or LowRank tasks")


def _minimax(evaluate: Any, count: int) -> WeightDesign:
    equal = np.full(count, 1 / count)
    start = float(np.max(evaluate(equal)[0]))
    # In units of the first worst risk, so that tolerances are relative.
    found = scipy.optimize.minimize(
        lambda z: z[-1],
        np.append(equal, 1.0),
        jac=lambda z: np.append(np.zeros(count), 1.0),
        bounds=[(1e-12, 1.0)] * count + [(0.0, None)],
        constraints=[
            {
                "type": "ineq",
                "fun": lambda z: z[-1] - evaluate(z[:-1])[0] / start,
                "jac": lambda z: _with_bound(evaluate(z[:-1])[1] / start),
            },
            {
                "type": "eq",
                "fun": lambda z: z[:-1].sum() - 1,
                "jac": lambda z: np.append(np.ones(count), 0.0),
            },
        ],
        method="SLSQP",
        options={"ftol": 1e-13, "maxiter": 500},
    )
    weights = np.clip(found.x[:-1], 0, None)
    weights = weights / weights.sum()
    risks, slopes = evaluate(weights)
    if np.max(risks) > start:  # no progress: equal weights are the best point seen
        weights, (risks, slopes) = equal, evaluate(equal)
    return WeightDesign(weights, risks, float(np.max(risks)), start, slopes)


def _with_bound(slopes: Float[Array, "m k"]) -> Float[Array, "m k1"]:
    return np.column_stack([-slopes, np.ones(len(slopes))])
