"""The saddles that separate keys and queries pass on their way down."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from .._arrays import Array
from .._errors import AssumptionError
from ..prompts import PromptDistribution
from ._flow_problem import objective_moments, separable_risk
from ._one_layer import PromptMoments


@dataclass(frozen=True, eq=False)
class Saddles:
    r"""The staircase of separate heads, in the order in which directions are learned.

    Column m of `directions` is learned m-th; it is driven by `drives[m]` = c and held
    by `decays[m]` = b. `losses[m]` is the risk after m directions,
    $P - \sum_{i \le m} c_i^2 / b_i$; the first is the plateau at the start and the last
    the minimum.
    """

    directions: Float[Array, "d p"]
    drives: Float[Array, " p"]
    decays: Float[Array, " p"]
    losses: Float[Array, " p1"]

    @property
    def head_limits(self) -> Float[Array, " p"]:
        """Where an aligned balanced head ends: v = |k| = |q| = (c/b)^{1/3}."""
        return (self.drives / self.decays) ** (1 / 3)

    def plateaus(self, rank: int) -> Float[Array, " m"]:
        """The losses at which heads of rank R rest: after 0, R, 2R, … directions."""
        marks = [*range(0, len(self.drives), rank), len(self.drives)]
        return self.losses[marks]

    def escape_times(self, init: float) -> Float[Array, " p"]:
        """About when an aligned head leaves `init`: 1/(c w₀), by v̇ = c v² near 0."""
        return 1 / (self.drives * init)


def saddles(
    prompts: PromptDistribution | PromptMoments, objective: str = "mean"
) -> Saddles:
    r"""The saddles visited by separate rank-one heads from a small start.

    Every subset of the p covered directions is a point at rest (2^p of them); from a
    small start one direction after another is learned, the strongest drive first. For
    W = I, σ = 0: $c = \lambda^2$, $b = \lambda^3 (1 + (1 + tr \Lambda/\lambda)/n)$
    (Zhang, Singh, Latham & Saxe 2025); for Λ = I: c = μ and
    $b = (1 + \frac1n) \mu + \frac1n (tr W + \sigma^2)$ with μ the eigenvalues of W.
    Derived in docs/theory/flow.md.

    Raises `AssumptionError` unless Λ_q, B and C have common eigenvectors.
    """
    problem = separable_risk(objective_moments(prompts, objective))
    if not problem.is_diagonal:
        raise AssumptionError(
            "the staircase of saddles",
            "covariates and tasks with common eigenvectors",
            "follow it numerically: iclax.theory.flow(prompts, 'separate')",
        )
    drives, decays = np.diag(problem.drive), np.diag(problem.decay)
    order = np.argsort(-drives, kind="stable")
    order = order[problem.covered[order]]
    drops = drives[order] ** 2 / decays[order]
    left = np.concatenate([[0.0], np.cumsum(drops[::-1])])[::-1]
    losses = problem.least + left
    return Saddles(problem.left[:, order], drives[order], decays[order], losses)
