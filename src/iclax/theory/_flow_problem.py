"""The exact risk in the coordinates in which it is separable, for the dynamics."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from .._arrays import Array, namespace
from .._errors import AssumptionError, SettingError
from .._psd import zero_share
from ..prompts import PromptDistribution
from ..tasks import LowRank, Mixture, TaskDistribution
from ._one_layer import PromptMoments, prompt_moments

_NO_DROP = 1e-18  # drops below this share of the largest are round-off


@dataclass(frozen=True, eq=False)
class SeparableRisk:
    r"""$R = \sum_{ij} h_{ij} G_{ij}^2 - 2 \sum_{ij} k_{ij} G_{ij} + P$.

    G = `left`ᵀ Γ `right` with orthogonal `left` and `right` that diagonalize Λ_q and B;
    `decay` is $h_{ij} = \lambda_i \beta_j$, `drive` is k = `left`ᵀ Cᵀ `right`, and
    `least` is the least risk of any Γ.
    Gradient flow is the same in these coordinates. Where Λ_q, B and C commute, left =
    right and k is diagonal.
    """

    decay: Float[Array, "d d"]
    drive: Float[Array, "d d"]
    power: Float[Array, ""]
    left: Float[Array, "d d"]
    right: Float[Array, "d d"]
    least: Float[Array, ""]

    def risk(self, g: Float[Array, "d d"]) -> Float[Array, ""]:
        xp = namespace(g)
        return xp.sum((self.decay * g - 2 * self.drive) * g) + self.power

    def residual(self, g: Float[Array, "d d"]) -> Float[Array, "d d"]:
        """S = −½ ∂R/∂G."""
        return self.drive - self.decay * g

    def optimum(self) -> Float[Array, "d d"]:
        """The minimizer of least norm, in these coordinates."""
        used = self.decay > 0
        return np.where(used, self.drive / np.where(used, self.decay, 1.0), 0.0)

    def whitened_optimum(self) -> tuple[Array, Array, Array]:
        r"""SVD of $\sqrt h \circ G^*$: R = R* + |√h∘(G − G*)|², so the squared singular
        values are what the loss can drop along each direction.
        """
        return np.linalg.svd(np.sqrt(self.decay) * self.optimum())

    def minimum(self, rank: int) -> float:
        """The least risk of any Γ of rank at most `rank`."""
        strengths = self.whitened_optimum()[1]
        return float(self.least + np.sum(strengths[rank:] ** 2))

    @property
    def covered(self) -> Bool[Array, " d"]:
        """Of a diagonal problem, along which directions the risk can drop."""
        drives, decays = np.diag(self.drive), np.diag(self.decay)
        drops = drives**2 / np.where(decays > 0, decays, np.inf)
        return (drives > 0) & (drops > _NO_DROP * np.max(drops, initial=0.0))

    @property
    def is_diagonal(self) -> bool:
        """Whether Λ_q, B and C have common eigenvectors."""
        return not np.any(self.drive - np.diag(np.diag(self.drive)))


def separable_risk(moments: PromptMoments) -> SeparableRisk:
    """The risk with these moments in separable coordinates; float64 NumPy."""
    query, gradient, cross = (
        np.asarray(a, np.float64)
        for a in (moments.query, moments.gradient, moments.cross)
    )
    joint = _common_eigenvectors(query, gradient, cross)
    left, right = joint or (np.linalg.eigh(query)[1], np.linalg.eigh(gradient)[1])
    turn = lambda matrix, a, b: a.T @ matrix @ b
    decay = np.outer(
        _eigenvalues(query, turn(query, left, left)),
        _eigenvalues(gradient, turn(gradient, right, right)),
    )
    drive = turn(cross.T, left, right)
    if joint:
        drive = np.diag(np.diag(drive))
    power, least = np.float64(moments.power), np.float64(moments.least_risk())
    return SeparableRisk(decay, drive, power, left, right, least)


def _eigenvalues(matrix: np.ndarray, turned: np.ndarray) -> np.ndarray:
    """The diagonal of `turned`, where round-off of 0 is 0; as it is if `matrix` is."""
    values = np.clip(np.diag(turned), 0, None)
    if not np.any(matrix - np.diag(np.diag(matrix))):
        return values
    return np.where(values > zero_share(matrix) * values.max(), values, 0.0)


def _common_eigenvectors(*matrices: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Eigenvectors of a generic combination, if they diagonalize every matrix."""
    scales = [max(float(np.max(np.abs(m))), 1e-300) for m in matrices]
    if any(
        np.max(np.abs(m - m.T)) > 1e-12 * s
        for m, s in zip(matrices, scales, strict=True)
    ):
        return None
    combination = sum(
        c / s * m
        for c, m, s in zip((1.0, 2**0.5, 3**0.5), matrices, scales, strict=True)
    )
    if not np.any(combination - np.diag(np.diag(combination))):
        vectors = np.eye(len(combination))
    else:
        vectors = np.linalg.eigh(combination)[1]
    for matrix, scale in zip(matrices, scales, strict=True):
        turned = vectors.T @ matrix @ vectors
        if np.max(np.abs(turned - np.diag(np.diag(turned)))) > 1e-11 * scale:
            return None
    return vectors, vectors


def components_of(tasks: TaskDistribution) -> tuple[TaskDistribution, ...]:
    """The parts of a mixture; a law that is no mixture is its own only part."""
    if isinstance(tasks, LowRank):
        return tuple(tasks.as_mixture().components)
    return tuple(tasks.components) if isinstance(tasks, Mixture) else (tasks,)


def objective_moments(
    prompts: PromptDistribution | PromptMoments, objective: str
) -> PromptMoments:
    r"""The moments whose risk is the training objective.

    "mean" is the risk under `prompts`; "sum" is $\sum_k R_k$ over the components of the
    tasks, each counted once whatever its weight.
    """
    if objective not in ("mean", "sum"):
        raise SettingError("objective", repr(objective), '"mean" or "sum"')
    if isinstance(prompts, PromptMoments):
        if objective == "mean":
            return prompts
        raise AssumptionError(
            "the sum over components", "a prompt distribution", "give the prompts"
        )
    if objective == "mean":
        return prompt_moments(prompts)
    parts = [
        prompt_moments(prompts.replace(tasks=t)) for t in components_of(prompts.tasks)
    ]
    return sum(parts[1:], parts[0])
