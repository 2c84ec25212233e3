"""One layer in GD form: the exact risk, its minimizer and the best plain step."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float

from .._arrays import Array, namespace
from ..prompts import PromptDistribution
from ._inputs import as_preconditioner
from ._linear_algebra import psd_solve
from .families import Moments, cross_moments, moments, query_law


@dataclass(frozen=True, eq=False)
class PromptMoments:
    r"""What the GD-form risk sees of a prompt distribution.

    `query` is $\Lambda_q = E[x_q x_q^T]$, `cross` is $C = E[b\, y_q x_q^T]$ (U where
    the query has the law of the covariates), `gradient` is
    $B = E[b b^T] = (1 - 1/n) U + (1/n)(V + \sigma^2 \Lambda)$ with
    $b = \frac1n \sum_i y_i x_i$, and `power` is $P = E f(x_q)^2$, the risk of
    predicting 0.
    """

    query: Float[Array, "d d"]
    cross: Float[Array, "d d"]
    gradient: Float[Array, "d d"]
    power: Float[Array, ""]


def prompt_moments(
    prompts: PromptDistribution, own: Moments | None = None
) -> PromptMoments:
    """The moments of `prompts` that every GD-form formula needs; exact.

    `own` replaces the exact moments of the tasks, for instance by simulated ones for
    tasks without a closed form; what follows is then no more exact than they are.
    Raises `AssumptionError` where the task distribution has no closed form.
    """
    n, covariates = prompts.context_length, prompts.covariates
    own = moments(prompts.tasks, covariates) if own is None else own
    energy = own.energy + prompts.noise_std**2 * covariates.second_moment
    gradient = (1 - 1 / n) * own.signal + energy / n
    cross, power = cross_moments(prompts, own)
    query = query_law(prompts).second_moment
    return PromptMoments(query, cross, gradient, power)


def preconditioner_risk(
    gamma: Float[Array, "d d"] | Any, prompts: PromptDistribution
) -> Float[Array, ""]:
    r"""Exact risk of $\hat y = x_q^T \Gamma b$ against the noiseless target.

    $$R(\Gamma) = tr(\Lambda_q \Gamma B \Gamma^T) - 2 tr(\Gamma C) + P$$

    `gamma` is Γ in the 1/n convention, d × d or its diagonal. With the moments of a law
    other than the one Γ was optimized for, this is its exact risk under shift. Raises
    `SettingError` for another shape, as does every function of a Γ.
    """
    return risk_from_moments(gamma, prompt_moments(prompts))


def risk_from_moments(
    gamma: Float[Array, "d d"] | Any, m: PromptMoments
) -> Float[Array, ""]:
    """`preconditioner_risk` from moments that are already at hand."""
    gamma = as_preconditioner(gamma, m.gradient.shape[0])
    xp = namespace(gamma, m.gradient)
    quadratic = xp.sum((m.query @ gamma) * (gamma @ m.gradient))
    return quadratic - 2 * xp.sum(gamma * m.cross.T) + m.power


def preconditioner_gradient(
    gamma: Float[Array, "d d"] | Any, prompts: PromptDistribution
) -> Float[Array, "d d"]:
    r"""The exact gradient $2 \Lambda_q \Gamma B - 2 C^T$ of `preconditioner_risk`."""
    m = prompt_moments(prompts)
    gamma = as_preconditioner(gamma, prompts.dim)
    return 2 * (m.query @ gamma @ m.gradient - m.cross.T)


def preconditioner_curvature(
    direction: Float[Array, "d d"] | Any, prompts: PromptDistribution
) -> Float[Array, "d d"]:
    r"""The Hessian of `preconditioner_risk` applied to D: $2 \Lambda_q D B$."""
    m = prompt_moments(prompts)
    direction = as_preconditioner(direction, prompts.dim, "direction")
    return 2 * m.query @ direction @ m.gradient


def preconditioner_curvatures(prompts: PromptDistribution) -> Float[Array, "d d"]:
    r"""All d² eigenvalues $2 \lambda_i(\Lambda_q) \mu_j(B)$ of that Hessian, ascending.

    Row i belongs to $\Lambda_q$, column j to B; the ratio of the last to the first
    entry is the condition number of the problem.
    """
    m = prompt_moments(prompts)
    xp = namespace(m.query, m.gradient)
    return 2 * xp.outer(xp.linalg.eigvalsh(m.query), xp.linalg.eigvalsh(m.gradient))


def optimal_preconditioner(prompts: PromptDistribution) -> Float[Array, "d d"]:
    r"""The minimizer $\Gamma^* = \Lambda_q^{+} C^T B^{+}$ of the exact risk (1/n
    convention).

    Pseudo-inverses where Λ_q or B is singular: among all minimizers, the one of least
    norm. O(d³); JAX arrays always take the pseudo-inverse.
    """
    return optimum_from_moments(prompt_moments(prompts))


def optimum_from_moments(m: PromptMoments) -> Float[Array, "d d"]:
    """`optimal_preconditioner` from moments that are already at hand."""
    return psd_solve(m.query, psd_solve(m.gradient, m.cross).T)


def optimal_risk(prompts: PromptDistribution) -> Float[Array, ""]:
    r"""The least risk of any GD-form layer, $P - tr(\Gamma^* C)$."""
    m = prompt_moments(prompts)
    gamma = optimum_from_moments(m)
    return m.power - namespace(gamma, m.cross).sum(gamma * m.cross.T)


def zero_risk(prompts: PromptDistribution) -> Float[Array, ""]:
    """The risk P of always predicting 0."""
    return prompt_moments(prompts).power


@dataclass(frozen=True)
class PlainStep:
    """The best Γ = `step` · I (1/n convention) and its exact `risk`."""

    step: Float[Array, ""]
    risk: Float[Array, ""]

    def without_mean(self, context_length: int) -> Float[Array, ""]:
        """The step without 1/n, ŷ = η Σ y_i x_i·x_q (Mahankali et al.)."""
        return self.step / context_length


def best_plain_step(prompts: PromptDistribution) -> PlainStep:
    r"""The best plain GD step: $\eta = tr(C) / tr(\Lambda_q B)$ (1/n convention)."""
    m = prompt_moments(prompts)
    xp = namespace(m.query, m.gradient)
    signal = xp.trace(m.cross)
    step = signal / xp.sum(m.query * m.gradient)
    return PlainStep(step, m.power - step * signal)
