"""Certificates: is a claimed minimizer of full linear self-attention one?"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from .._arrays import Array
from .._errors import SettingError
from ..prompts import PromptDistribution
from ._full_attention import (
    five_point,
    gradient_from_attention_moments,
    risk_from_attention_moments,
)
from ._full_attention_heads import heads_gradient, lift
from ._full_attention_moments import AttentionMoments, attention_moments
from ._full_attention_optimum import descend, norm, unit_readout
from ._full_attention_weights import Attention, as_attention, gd_attention
from ._inputs import as_preconditioner
from ._units import Units

_DENSE = 1200  # weights up to which the Hessian is built whole


@dataclass(frozen=True, eq=False)
class Certificate:
    r"""What `certify` found out about a claimed minimizer.

    `risk` is the claim's exact risk, `gradient_norm` the norm of its exact gradient in
    (a, Q) and `smallest_hessian_eigenvalue` that of its exact Hessian (0 up to
    round-off at a minimum: a → c a, Q → Q/c changes nothing). `best_risk` is the lowest
    risk that `starts` random starts reached, `margin` is `best_risk` − `risk`, and
    `counterexample` the weights of `best_risk` where they beat the claim.

    `heads_gradient_norm` is the gradient in the convex problem over any number of
    heads: where it is 0 up to round-off, `proven` is True and no layer, of however
    many heads, does better.
    """

    risk: Float[Array, ""]
    gradient_norm: Float[Array, ""]
    smallest_hessian_eigenvalue: Float[Array, ""]
    heads_gradient_norm: Float[Array, ""]
    best_risk: Float[Array, ""]
    starts: int
    counterexample: Attention | None
    proven: bool
    stationary: bool

    @property
    def lower_risk_found(self) -> bool:
        """Whether some start ended below the claim by more than round-off."""
        return self.counterexample is not None

    @property
    def margin(self) -> Float[Array, ""]:
        """`best_risk` − `risk`: negative where the claim is beaten."""
        return self.best_risk - self.risk

    @property
    def holds(self) -> bool:
        """Whether nothing speaks against the claim; `proven` says more."""
        return self.stationary and not self.lower_risk_found


def certify(
    claim: Any,
    prompts: PromptDistribution,
    *,
    include_query: bool = False,
    starts: int = 20,
    seed: int = 0,
    tolerance: float = 1e-9,
) -> Certificate:
    """Test that `claim` minimizes the exact risk of one head of full attention.

    `claim` is Γ (d, d) for the GD form, or a pair (a, Q), in the 1/n convention. The
    search runs BFGS over the read-out a from `starts` random directions, with the best
    Q for each a, on exact values and gradients. `tolerance` is relative: to the power
    for risks, to the size of the terms that cancel for gradients; `proven` and
    `stationary` are decided in units in which coordinates and label have size 1.

    Raises `AssumptionError` where the task distribution has no closed form.
    """
    weights, m = _one_head(claim, prompts.dim), attention_moments(prompts)
    slope = gradient_from_attention_moments(weights, m, include_query)
    curvature = _smallest_eigenvalue(weights, m, include_query)
    heads = np.sqrt(np.sum(heads_gradient(lift(weights), m, include_query) ** 2))
    risk = risk_from_attention_moments(weights, m, include_query)
    units = Units.of(m)
    own, scaled = units.moments(m), units.weights_in(weights)
    best, best_risk = _search(own, include_query, starts, seed)
    best_risk = units.label**2 * best_risk
    beaten = best_risk < risk - tolerance * m.power
    return Certificate(
        risk,
        norm(slope),
        curvature,
        heads,
        best_risk,
        starts,
        unit_readout(units.weights_out(best)) if beaten else None,
        no_heads_do_better(scaled, own, include_query, tolerance),
        _is_stationary(scaled, own, include_query, tolerance),
    )


def no_heads_do_better(
    weights: Attention, m: AttentionMoments, include_query: bool, tolerance: float
) -> bool:
    """Whether the gradient over any number of heads is 0, in units of size 1."""
    slope = heads_gradient(lift(weights), m, include_query)
    features = 2 * norm(m.target(unit) for unit in np.eye(len(m.mean)))
    return bool(norm((slope,)) <= tolerance * features)


def _is_stationary(
    weights: Attention, m: AttentionMoments, include_query: bool, tolerance: float
) -> bool:
    """Whether the gradient in (a, Q) is 0 against the terms that cancel in it."""
    slope = gradient_from_attention_moments(weights, m, include_query)
    pull = 2 * norm((m.target(weights.readout[0]),))
    push = 2 * norm((m.target_adjoint(weights.key_query[0]),))
    return bool(norm(slope) <= tolerance * (pull + push))


def _one_head(claim: Any, dim: int) -> Attention:
    if isinstance(claim, tuple):
        weights = as_attention(*claim)
    else:
        weights = gd_attention(as_preconditioner(claim, dim))
    if len(weights.readout) != 1:
        raise SettingError("claim", f"{len(weights.readout)} heads", "one head")
    return Attention(*(np.asarray(w, dtype=np.float64) for w in weights))


def _search(
    m: AttentionMoments, include_query: bool, starts: int, seed: int
) -> tuple[Attention, np.float64]:
    """The best of the local minima that BFGS reaches from random read-outs."""
    directions = np.random.default_rng(seed).standard_normal((starts, len(m.mean)))
    found = [descend(a, m, include_query) for a in directions]
    risks = [risk_from_attention_moments(w, m, include_query) for w in found]
    best = int(np.argmin(risks))
    return found[best], risks[best]


def _smallest_eigenvalue(
    weights: Attention, m: AttentionMoments, include_query: bool
) -> np.float64:
    """Of the exact Hessian: whole where it is small, by Lanczos where it is not."""
    size = weights.readout.size + weights.key_query.size

    def apply(direction: np.ndarray) -> np.ndarray:
        da = direction[: weights.readout.size].reshape(weights.readout.shape)
        dq = direction[weights.readout.size :].reshape(weights.key_query.shape)

        def slope(step: int) -> Attention:
            moved = Attention(
                weights.readout + step * da, weights.key_query + step * dq
            )
            return gradient_from_attention_moments(moved, m, include_query)

        return np.concatenate([part.ravel() for part in five_point(slope)])

    if size <= _DENSE:
        hessian = np.stack([apply(unit) for unit in np.eye(size)])
        return np.linalg.eigvalsh((hessian + hessian.T) / 2)[0]
    from scipy.sparse.linalg import LinearOperator, eigsh

    operator = LinearOperator((size, size), matvec=apply, dtype=np.float64)
    start = np.random.default_rng(0).standard_normal(size)
    return eigsh(operator, 1, which="SA", v0=start, return_eigenvectors=False)[0]
