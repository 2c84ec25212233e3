"""Low-rank updates of a trained layer: the rank a new task law needs."""

from typing import Any

import numpy as np
from jaxtyping import Float

from .._arrays import Array, namespace
from .._psd import Roots, psd_roots
from ..prompts import PromptDistribution
from ..tasks import principal_angles
from ._inputs import as_preconditioner
from ._one_layer import optimal_risk, prompt_moments


def adapter_rank(
    first: Float[Array, "d r"], second: Float[Array, "d r"], tolerance: float = 1e-6
) -> int:
    r"""The rank of the update from training on one subspace to training on another.

    ΔΓ = c(VVᵀ − UUᵀ) has rank 2 · #{θ_j ≠ 0} (θ_j the principal angles between the
    orthonormal bases `first` and `second`; zero means below `tolerance` degrees), so a
    rank-2r adapter is always enough; Λ ∝ I. Derived in docs/theory/subspaces.md.
    """
    return 2 * int(np.sum(principal_angles(first, second) > tolerance))


def adapter_risks(
    gamma: Float[Array, "d d"] | Any, prompts: PromptDistribution
) -> Float[Array, " m"]:
    r"""The least risk under `prompts` of Γ + ΔΓ with rank(ΔΓ) ≤ q, q = 0 … d.

    $$R_q = R^* + \sum_{i > q} s_i^2, \qquad
    s = \text{singular values of } \Lambda_q^{1/2} (\Gamma^* - \Gamma) B^{1/2}$$

    with Γ* and R* the optimum for `prompts` and `gamma` the weights to adapt. A reduced
    rank regression, exact for any law; derived in docs/theory/subspaces.md. Raises
    `SettingError` for Γ of a wrong shape.
    """
    tail = _shortfall(gamma, prompts) ** 2
    xp = namespace(tail)
    lost = xp.concatenate([xp.cumsum(tail[::-1])[::-1], xp.zeros(1)])
    return optimal_risk(prompts) + lost


def adapter_update(
    gamma: Float[Array, "d d"] | Any, prompts: PromptDistribution, rank: int
) -> Float[Array, "d d"]:
    """The ΔΓ of rank at most q = `rank` with the risk R_q of `adapter_risks`."""
    left, right, whitened = _whitened(gamma, prompts)
    u, s, vh = namespace(whitened).linalg.svd(whitened, full_matrices=False)
    best = (u[:, :rank] * s[None, :rank]) @ vh[:rank]
    return left.whitener.T @ best @ right.whitener


def _shortfall(
    gamma: Float[Array, "d d"] | Any, prompts: PromptDistribution
) -> Float[Array, " r"]:
    _, _, whitened = _whitened(gamma, prompts)
    return namespace(whitened).linalg.svd(whitened, compute_uv=False)


def _whitened(
    gamma: Float[Array, "d d"] | Any, prompts: PromptDistribution
) -> tuple[Roots, Roots, Array]:
    m = prompt_moments(prompts)
    left, right = psd_roots(m.query), psd_roots(m.gradient)
    gap = m.optimum() - as_preconditioner(gamma, prompts.dim)
    return left, right, left.root.T @ gap @ right.root
