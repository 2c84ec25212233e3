"""The risk of one preconditioner as a function of the tasks it is tested on."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float

from .._arrays import Array, namespace
from ..prompts import PromptDistribution
from ._inputs import as_preconditioner
from .families import query_law


@dataclass(frozen=True, eq=False)
class TaskRisk:
    r"""Risk of one Γ on linear tasks, $R(w) = w^T D w + c$, exact.

    `matrix` is D, symmetric and d × d; `offset` is c, the price of label noise.
    """

    matrix: Float[Array, "d d"]
    offset: Float[Array, ""]

    def mean(self, second_moment: Float[Array, "d d"]) -> Float[Array, ""]:
        """The risk c + tr(DW) on tasks with W = E[w wᵀ] = `second_moment`."""
        xp = namespace(self.matrix, second_moment)
        return self.offset + xp.sum(self.matrix * second_moment)

    def worst(self) -> Float[Array, ""]:
        """The largest risk of any unit task vector: c plus the top eigenvalue of D."""
        return self.offset + namespace(self.matrix).linalg.eigvalsh(self.matrix)[-1]


def task_risk(
    gamma: Float[Array, "d d"] | Any, prompts: PromptDistribution
) -> TaskRisk:
    r"""The risk of $\hat y = x_q^T \Gamma b$ on linear tasks w under this prompt law.

    With $M = \Gamma^T \Lambda_q \Gamma$ and $F(M) = E[x x^T M x x^T]$,

    $$D = (1 - \tfrac1n) \Lambda M \Lambda + \tfrac1n F(M)
    - \Lambda_q \Gamma \Lambda - \Lambda \Gamma^T \Lambda_q + \Lambda_q,
    \qquad c = \tfrac{\sigma^2}{n} tr(M \Lambda).$$

    `gamma` is Γ (1/n convention). Covariates, n, σ and query law are those of
    `prompts`; its tasks are not looked at. Derived in docs/theory/subspaces.md. Raises
    `SettingError` for Γ of a wrong shape.
    """
    gamma = as_preconditioner(gamma, prompts.dim)
    n, own = prompts.context_length, prompts.covariates
    second = own.second_moment
    query = query_law(prompts).second_moment
    xp = namespace(gamma, second, query)
    m = gamma.T @ query @ gamma
    cross = query @ gamma @ second
    quadratic = (1 - 1 / n) * second @ m @ second + own.fourth_moment(m) / n
    offset = prompts.noise_std**2 / n * xp.sum(m * second)
    return TaskRisk(quadratic - cross - cross.T + query, offset)
