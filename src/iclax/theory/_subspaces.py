"""Risk on subspaces: against the angle, the context length, and outside the span."""

from typing import Any

import numpy as np
from jaxtyping import Float

from .._arrays import Array, as_array, namespace
from .._errors import AssumptionError
from .._psd import psd_inverse, psd_roots, zero_share
from ..prompts import PromptDistribution
from ..tasks import LowRank
from ._one_layer import optimal_preconditioner, prompt_moments
from ._task_risk import task_risk


def angle_risks(
    prompts: PromptDistribution, angles_degrees: Float[Array, " m"] | Any
) -> Float[Array, " m"]:
    r"""Exact risk of the training optimum on the test subspaces $V(\theta)$.

    The training law is `prompts`; the test tasks are $w = V\xi$, ξ ~ N(0, I_r), with V
    an orthonormal basis of the span of $\cos\theta\, U_1 + \sin\theta\, U_2$ (the first
    two components of the training tasks; with one component U_2 is an orthonormal basis
    of r directions orthogonal to U_1, see `orthogonal_basis`). Nothing else changes.
    Against the noiseless target; `angles_degrees` in degrees.

    Raises `AssumptionError` unless the tasks are `LowRank`, and where one subspace
    leaves no room for r orthogonal directions. Derived in docs/theory/subspaces.md.
    """
    first, second = _test_bases(prompts)
    risk = task_risk(optimal_preconditioner(prompts), prompts)
    angles = as_array(angles_degrees) * (np.pi / 180)
    xp = namespace(angles, risk.matrix, first)
    cos, sin = xp.cos(angles)[:, None, None], xp.sin(angles)[:, None, None]
    gram = _forms(first, second, xp.eye(prompts.dim), cos, sin)
    values = _forms(first, second, risk.matrix, cos, sin)
    # tr(D V (VᵀV)⁻¹ Vᵀ), with r × r matrices only: one angle costs O(r³).
    return risk.offset + xp.sum(_small_inverses(gram) * values, axis=(1, 2))


def context_length_risks(
    prompts: PromptDistribution,
    lengths: Float[Array, " m"] | Any,
    retrained: bool = False,
) -> Float[Array, " m"]:
    r"""Exact risk at the context lengths `lengths`.

    Of the optimum for `prompts`, tested at other lengths m:
    $R(m) = R_\infty + (R_1 - R_\infty)/m$; or, if `retrained`, of the optimum for each
    length. Both are exact for any tasks whose moments are known.
    """
    lengths = as_array(lengths)
    if retrained:
        return _optimal_risks(prompts, lengths)
    gamma = optimal_preconditioner(prompts)
    one, two = (prompt_moments(prompts.replace(context_length=n)) for n in (1, 2))
    xp = namespace(gamma, one.gradient, lengths)
    linear = one.power - 2 * xp.sum(gamma * one.cross.T)
    m = gamma.T @ one.query @ gamma
    at_one, at_two = xp.sum(m * one.gradient), xp.sum(m * two.gradient)
    at_infinity = 2 * at_two - at_one
    return linear + at_infinity + (at_one - at_infinity) / lengths


def off_span_risk(prompts: PromptDistribution) -> Float[Array, ""]:
    """Risk of the training optimum on tasks outside the span of the training tasks.

    The test tasks are isotropic on the orthogonal complement of the range of W and have
    the power E|w|² of the training tasks. Where Λ = I nothing is learned there, and the
    risk is at least that power.

    Raises `AssumptionError` for tasks that span everything or are not `LowRank`.
    """
    w = _low_rank(prompts, "the risk outside the span").weight_second_moment
    xp = namespace(w)
    inside = w @ psd_inverse(w)
    outside = xp.eye(prompts.dim) - inside
    room = xp.trace(outside)
    if not isinstance(room, np.generic) or room > 0.5:
        test = outside * (xp.trace(w) / room)
        return task_risk(optimal_preconditioner(prompts), prompts).mean(test)
    raise AssumptionError(
        "the risk outside the span",
        "training tasks that leave some direction uncovered",
        "lower tasks.components or tasks.rank, or take floor = 0",
    )


def single_subspace_risk(
    angles_degrees: Float[Array, " r"] | Any, context_length: int, noise_std: float
) -> Float[Array, ""]:
    r"""Trained on one r-dimensional subspace, tested on another; Λ = I.

    $$R = r - (2c - c^2 \tfrac{n+1}{n}) \sum_j \cos^2\theta_j
    + \tfrac{c^2}{n} r (r + \sigma^2), \quad c = \frac{n}{n + 1 + r + \sigma^2}$$

    `angles_degrees` are the r principal angles θ_j between the subspaces; the noiseless
    risk is at least Σ sin²θ_j however long the context. Derived in
    docs/theory/subspaces.md.
    """
    angles = as_array(angles_degrees) * (np.pi / 180)
    xp = namespace(angles)
    r, n, noise = angles.shape[0], context_length, noise_std**2
    c = n / (n + 1 + r + noise)
    overlap = xp.sum(xp.cos(angles) ** 2)
    return r - (2 * c - c**2 * (n + 1) / n) * overlap + c**2 / n * r * (r + noise)


def union_risk(
    components: int, rank: int, context_length: int, noise_std: float
) -> float:
    r"""Trained on K orthogonal r-dimensional subspaces, tested anywhere in their span.

    $$R = r \frac{1 + K(r + \sigma^2)}{n + 1 + K(r + \sigma^2)}$$

    Λ = I and equal weights; every r-dimensional subspace of the span has this risk, at
    any angle, training density zero or not. Derived in docs/theory/subspaces.md.
    """
    price = 1 + components * (rank + noise_std**2)
    return rank * price / (context_length + price)


def orthogonal_basis(basis: Float[Array, "d r"]) -> Float[Array, "d r"]:
    """r directions orthogonal to an orthonormal `basis`: the unit vectors e_0, e_1, …
    projected off it, orthonormalized in order, the first r that survive.

    Raises `AssumptionError` where 2r > d.
    """
    dim, rank = basis.shape
    if 2 * rank > dim:
        raise AssumptionError(
            "a second subspace orthogonal to the first",
            f"2 · rank ≤ dim (found rank {rank}, dim {dim})",
            "lower tasks.rank, or state two components",
        )
    found: list[np.ndarray] = []
    known = np.asarray(basis)
    for unit in np.eye(dim):
        vector = unit - known @ (known.T @ unit)
        vector -= known @ (known.T @ vector)  # a second pass for round-off
        length = np.linalg.norm(vector)
        if length > 1e-6:
            found.append(vector / length)
            known = np.column_stack([known, found[-1]])
        if len(found) == rank:
            break
    return np.stack(found, 1)


def _forms(
    first: Array, second: Array, matrix: Array, cos: Array, sin: Array
) -> Float[Array, "m r r"]:
    """V(θ)ᵀ `matrix` V(θ) for V(θ) = cos θ U_1 + sin θ U_2 at every angle."""
    cross = first.T @ matrix @ second
    return (
        cos**2 * (first.T @ matrix @ first)[None]
        + cos * sin * (cross + cross.T)[None]
        + sin**2 * (second.T @ matrix @ second)[None]
    )


def _low_rank(prompts: PromptDistribution, what: str) -> LowRank:
    if isinstance(prompts.tasks, LowRank):
        return prompts.tasks
    raise AssumptionError(
        what,
        f"low-rank tasks (found {type(prompts.tasks).__name__})",
        'state the tasks with kind = "low_rank"',
    )


def _test_bases(prompts: PromptDistribution) -> tuple[Array, Array]:
    bases = _low_rank(prompts, "the risk against the angle").bases
    if len(bases) > 1:
        return bases[0], bases[1]
    return bases[0], orthogonal_basis(bases[0])


def _small_inverses(matrices: Float[Array, "m r r"]) -> Float[Array, "m r r"]:
    """Of V(θ)ᵀV(θ) at every angle, singular where the bases overlap."""
    share = zero_share(matrices)
    return namespace(matrices).linalg.pinv(matrices, rtol=share, hermitian=True)


def _optimal_risks(
    prompts: PromptDistribution, lengths: Float[Array, " m"]
) -> Float[Array, " m"]:
    r"""The least risk at every n, from one joint diagonalization.

    B_n = U + M_1/n. In the basis where B_1 is I, U is diagonal with entries g and M_1
    with entries h, so that $P - \sum p/(g + h/n)$ or, where what is left for n → ∞ is
    known, $r + \sum (p/g) h/(n g + h)$, in which nothing cancels.
    """
    m = prompt_moments(prompts.replace(context_length=1))
    signal, scatter = m.signal, m.scatter
    xp = namespace(m.gradient, signal)
    whitener = psd_roots(m.gradient).whitener
    rotation = xp.linalg.eigh(whitener @ signal @ whitener.T)[1]
    basis = whitener.T @ rotation
    g, h = (xp.sum(basis * (part @ basis), axis=0) for part in (signal, scatter))
    right = basis.T @ m.cross
    power = xp.sum((right @ psd_inverse(m.query)) * right, axis=1)
    lengths = lengths[:, None]
    if m.residual is None:
        held = g[None] + h[None] / lengths
        gained = xp.where(held > 0, power[None] / xp.where(held > 0, held, 1.0), 0.0)
        return m.power - xp.sum(gained, axis=1)
    seen = g > zero_share(signal)
    share = xp.where(seen, power / xp.where(seen, g, 1.0), 0.0)
    lost = share[None] * h[None] / (lengths * g[None] + xp.where(seen, h, 1.0)[None])
    return m.residual + xp.sum(lost, axis=1)
