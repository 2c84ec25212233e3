"""One layer in GD form: the exact risk, its minimizer and the best plain step."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float

from .._arrays import Array, is_concrete, namespace
from .._psd import Roots, condition_number, num_directions, psd_roots, psd_solve
from ..prompts import PromptDistribution
from ._inputs import as_preconditioner
from .families import Moments, cross_moments, moments, query_law
from .families._moments import plus


@dataclass(frozen=True)
class PlainStep:
    """The best Γ = `step` · I (1/n convention) and its exact `risk`."""

    step: Float[Array, ""]
    risk: Float[Array, ""]

    def without_mean(self, context_length: int) -> Float[Array, ""]:
        """The step without 1/n, ŷ = η Σ y_i x_i (Mahankali et al.)."""
        return self.step / context_length


@dataclass(frozen=True, eq=False)
class PromptMoments:
    r"""What the GD-form risk sees of a prompt distribution.

    `query` is $\Lambda_q = E[x_q x_q^T]$, `cross` is $C = E[b\, y_q x_q^T]$ (U where
    the query is distributed like the covariates), `gradient` is $B = E[b b^T] = U + M$
    with $b = \frac1n \sum_i y_i x_i$, and `power` is $P = E f(x_q)^2$, the risk of
    predicting 0.

    Where they are known: `signal` U and `scatter` $M = \frac1n (V - U + \sigma^2
    \Lambda)$, the two parts of B; `lift` K with $C = U K$; and `residual` $P -
    tr(\Lambda_q^{+} K^T U K)$, the risk of the best layer as n → ∞. Risks are then sums
    of squares, in which nothing cancels.
    """

    query: Float[Array, "d d"]
    cross: Float[Array, "d d"]
    gradient: Float[Array, "d d"]
    power: Float[Array, ""]
    signal: Float[Array, "d d"] | None = None
    scatter: Float[Array, "d d"] | None = None
    lift: Float[Array, "d d"] | None = None
    residual: Float[Array, ""] | float | None = None

    def optimum(self) -> Float[Array, "d d"]:
        r"""$\Gamma^* = \Lambda_q^{+} C^T B^{+}$, which minimizes `risk`."""
        return self._optimum

    def least_risk(self) -> Float[Array, ""]:
        r"""$R^* = P - tr(\Gamma^* C)$, as a sum of squares where the parts are known:

        $R^* = r + tr\,\Lambda_q^{+} K^T [M B^{+} U B^{+} M + U B^{+} M B^{+} U] K$.
        """
        if self.residual is None or self.lift is None or not self._is_known:
            gamma = self.optimum()
            return self.power - namespace(gamma, self.cross).sum(gamma * self.cross.T)
        near = psd_solve(self.gradient, self.signal)
        far = psd_solve(self.gradient, self.scatter)
        lost = far.T @ self.signal @ far + near.T @ self.scatter @ near
        lost = self.lift.T @ lost @ self.lift
        return self.residual + psd_solve(self.query, lost).trace()

    def risk(self, gamma: Float[Array, "d d"] | Any) -> Float[Array, ""]:
        r"""$R(\Gamma) = tr(\Lambda_q \Gamma B \Gamma^T) - 2 tr(\Gamma C) + P$.

        Of NumPy arrays $R^* + |\Lambda_q^{1/2} (\Gamma - \Gamma^*) B^{1/2}|_F^2$.
        """
        gamma = as_preconditioner(gamma, self.gradient.shape[0])
        if self._is_known and is_concrete(gamma):
            return self._least_risk + self.distance(gamma) ** 2
        xp = namespace(gamma, self.gradient)
        quadratic = xp.sum((self.query @ gamma) * (gamma @ self.gradient))
        return quadratic - 2 * xp.sum(gamma * self.cross.T) + self.power

    def distance(
        self,
        gamma: Float[Array, "d d"] | Any,
        other: Float[Array, "d d"] | Any = None,
    ) -> Float[Array, ""]:
        r"""$\sqrt{E(\hat y - \hat y')^2}$ of two preconditioners: their distance in the
        metric of the risk, from Γ* where `other` is left out. NumPy arrays only.
        """
        other = self._optimum if other is None else other
        dim = self.gradient.shape[0]
        gap = as_preconditioner(gamma, dim) - as_preconditioner(other, dim)
        left, right = self._roots
        return np.linalg.norm(left.root.T @ gap @ right.root)

    def slope(self, gamma: Float[Array, "d d"] | Any) -> Float[Array, "d d"]:
        r"""The gradient $2 \Lambda_q \Gamma B - 2 C^T$ of `risk`."""
        gamma = as_preconditioner(gamma, self.gradient.shape[0])
        return 2 * (self.query @ gamma @ self.gradient - self.cross.T)

    def best_plain_step(self) -> PlainStep:
        r"""The best Γ = ηI: $\eta = tr(C) / tr(\Lambda_q B)$, 0 where both are 0."""
        xp = namespace(self.query, self.gradient)
        signal, size = xp.trace(self.cross), xp.sum(self.query * self.gradient)
        step = xp.where(size > 0, signal / xp.where(size > 0, size, 1.0), 0.0)
        if self._is_known:
            eye = np.eye(self.gradient.shape[0])
            return PlainStep(np.float64(step), self.risk(step * eye))
        return PlainStep(step, self.power - step * signal)

    @property
    def dropped_directions(self) -> tuple[int, int]:
        """How many directions of Λ_q and of B are exactly 0, and so left out."""
        dim = self.gradient.shape[0]
        found = (num_directions(matrix) for matrix in (self.query, self.gradient))
        return tuple(dim - count for count in found)

    @property
    def condition_number(self) -> float:
        """The larger one of Λ_q and B, scaled to unit diagonal: exact results lose
        about its logarithm in digits.
        """
        return max(map(condition_number, (self.query, self.gradient)))

    def scaled(self, factor: Any) -> "PromptMoments":
        """The moments of the tasks (and noise) whose kernel is `factor` times this."""
        parts = (self.cross, self.gradient, self.power, self.signal, self.scatter)
        cross, gradient, power, signal, scatter = (
            None if part is None else factor * part for part in parts
        )
        residual = None if self.residual is None else factor * self.residual
        return PromptMoments(
            self.query, cross, gradient, power, signal, scatter, self.lift, residual
        )

    def __add__(self, other: "PromptMoments") -> "PromptMoments":
        """The moments of the sum of two risks under one covariate distribution."""
        return PromptMoments(
            self.query,
            self.cross + other.cross,
            self.gradient + other.gradient,
            self.power + other.power,
            plus(self.signal, other.signal),
            plus(self.scatter, other.scatter),
            self.lift,
            plus(self.residual, other.residual),
        )

    @property
    def _is_known(self) -> bool:
        """Whether all numbers are there, rather than traced by JAX."""
        parts = (self.query, self.cross, self.gradient, self.power)
        return all(map(is_concrete, parts))

    @cached_property
    def _optimum(self) -> Float[Array, "d d"]:
        return psd_solve(self.query, psd_solve(self.gradient, self.cross).T)

    @cached_property
    def _least_risk(self) -> Float[Array, ""]:
        return self.least_risk()

    @cached_property
    def _roots(self) -> tuple[Roots, Roots]:
        return psd_roots(self.query), psd_roots(self.gradient)


def prompt_moments(
    prompts: PromptDistribution, own: Moments | None = None
) -> PromptMoments:
    """The moments of `prompts` that every GD-form formula needs; exact.

    `own` replaces the exact moments of the tasks, for instance by simulated ones for
    tasks without a closed form; what follows is then no more exact than they are.
    Raises `AssumptionError` where the task distribution has no closed form.
    """
    query = query_law(prompts).second_moment
    n, second = prompts.context_length, prompts.covariates.second_moment
    own = moments(prompts.tasks, prompts.covariates) if own is None else own
    scatter = (own.scatter + prompts.noise_std**2 * second) / n
    cross, power = cross_moments(prompts, own)
    lift, residual = _infinite_context(prompts, own, power)
    return PromptMoments(
        query, cross, own.signal + scatter, power, own.signal, scatter, lift, residual
    )


def _infinite_context(
    prompts: PromptDistribution, own: Moments, power: Any
) -> tuple[Any, Any]:
    """K with C = U K and the risk left as n → ∞; None where they are not known.

    With a query distribution of its own: for linear tasks K = Λ⁻¹ Λ_q, and nothing is
    left.
    """
    second = prompts.covariates.second_moment
    if not all(map(is_concrete, (second, own.signal, power))):
        return None, None
    if prompts.query_covariates is None:
        residual = own.residual
        if residual is None:
            explained = psd_solve(second, own.signal).trace()
            residual = max(power - explained, 0.0)
        return np.eye(prompts.dim), residual
    linear = own.residual is not None and not np.any(own.residual)
    if linear and num_directions(second) == prompts.dim:
        return psd_solve(second, prompts.query_covariates.second_moment), 0.0
    return None, None


def preconditioner_risk(
    gamma: Float[Array, "d d"] | Any, prompts: PromptDistribution
) -> Float[Array, ""]:
    r"""Exact risk of $\hat y = x_q^T \Gamma b$ against the noiseless target.

    $$R(\Gamma) = tr(\Lambda_q \Gamma B \Gamma^T) - 2 tr(\Gamma C) + P$$

    `gamma` is Γ in the 1/n convention, d × d or its diagonal. With the moments of a
    distribution other than the one Γ was optimized for, this is its exact risk under
    shift. Raises `SettingError` for another shape, as does every function of a Γ.
    """
    return prompt_moments(prompts).risk(gamma)


def risk_from_moments(
    gamma: Float[Array, "d d"] | Any, m: PromptMoments
) -> Float[Array, ""]:
    """`preconditioner_risk` from moments that are already at hand."""
    return m.risk(gamma)


def preconditioner_gradient(
    gamma: Float[Array, "d d"] | Any, prompts: PromptDistribution
) -> Float[Array, "d d"]:
    r"""The exact gradient $2 \Lambda_q \Gamma B - 2 C^T$ of `preconditioner_risk`."""
    return prompt_moments(prompts).slope(gamma)


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

    Where Λ_q or B is singular, the minimizer of least norm in units in which they have
    unit diagonals. O(d³); JAX arrays always take pseudo-inverses. Raises
    `AssumptionError` where round-off decides whether they are singular.
    """
    return prompt_moments(prompts).optimum()


def optimum_from_moments(m: PromptMoments) -> Float[Array, "d d"]:
    """`optimal_preconditioner` from moments that are already at hand."""
    return m.optimum()


def optimal_risk(prompts: PromptDistribution) -> Float[Array, ""]:
    r"""The least risk of any GD-form layer, $P - tr(\Gamma^* C)$."""
    return prompt_moments(prompts).least_risk()


def zero_risk(prompts: PromptDistribution) -> Float[Array, ""]:
    """The risk P of always predicting 0."""
    return prompt_moments(prompts).power


def best_plain_step(prompts: PromptDistribution) -> PlainStep:
    r"""The best plain GD step: $\eta = tr(C) / tr(\Lambda_q B)$ (1/n convention)."""
    return prompt_moments(prompts).best_plain_step()
