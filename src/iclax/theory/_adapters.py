"""Low-rank updates of a trained layer: the rank a new task law needs."""

from typing import Any

import numpy as np
from jaxtyping import Float

from .._arrays import Array, namespace
from ..prompts import PromptDistribution
from ..tasks import principal_angles
from ._inputs import as_preconditioner
from ._one_layer import optimal_preconditioner, optimal_risk, prompt_moments


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
    xp = namespace(whitened)
    u, s, vh = xp.linalg.svd(whitened)
    best = (u[:, :rank] * s[None, :rank]) @ vh[:rank]
    inverse = lambda root: xp.linalg.pinv(root, rtol=1e-7, hermitian=True)
    return inverse(left) @ best @ inverse(right)


def _shortfall(
    gamma: Float[Array, "d d"] | Any, prompts: PromptDistribution
) -> Float[Array, " d"]:
    _, _, whitened = _whitened(gamma, prompts)
    return namespace(whitened).linalg.svd(whitened, compute_uv=False)


def _whitened(
    gamma: Float[Array, "d d"] | Any, prompts: PromptDistribution
) -> tuple[Array, Array, Array]:
    m = prompt_moments(prompts)
    left, right = _root(m.query), _root(m.gradient)
    gap = optimal_preconditioner(prompts) - as_preconditioner(gamma, prompts.dim)
    return left, right, left @ gap @ right


def _root(matrix: Float[Array, "d d"]) -> Float[Array, "d d"]:
    xp = namespace(matrix)
    values, vectors = xp.linalg.eigh(matrix)
    return (vectors * xp.sqrt(xp.clip(values, 0.0, None))[None, :]) @ vectors.T
