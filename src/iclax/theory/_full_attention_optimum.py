"""The best single head of full linear self-attention."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from .._arrays import Array
from .._psd import psd_solve
from ..prompts import PromptDistribution
from ._full_attention import (
    gradient_from_attention_moments,
    risk_from_attention_moments,
)
from ._full_attention_moments import AttentionMoments, attention_moments
from ._full_attention_query import query_token_system
from ._full_attention_weights import Attention, effective_preconditioner
from ._linear_algebra import conjugate_gradient
from ._units import Units

_RESTARTS = 10
_NO_GAIN = 1e-13  # of the power


@dataclass(frozen=True, eq=False)
class AttentionOptimum:
    r"""The best single head found: `readout` a, `key_query` Q, and the exact `risk`.

    `gamma` is the Γ of its part that is linear in the labels, `gradient_norm` the norm
    of the exact gradient at unit |a|, and `risks` what each start ended at.
    """

    readout: Float[Array, " e"]
    key_query: Float[Array, "e d"]
    risk: Float[Array, ""]
    gamma: Float[Array, "d d"]
    gradient_norm: Float[Array, ""]
    risks: Float[Array, " k"]


def optimal_attention(
    prompts: PromptDistribution,
    *,
    include_query: bool = False,
    starts: int = 8,
    seed: int = 0,
) -> AttentionOptimum:
    r"""The minimizer of `attention_risk` over one head, in the 1/n convention.

    The risk is quadratic in Q, so the best Q(a) is one linear solve, and what is left
    is a smooth function of the direction of a in R^{d+1}, minimized by BFGS from the
    GD form a = (0; 1) and `starts` random directions: exact values and gradients, but
    the search over a is local (`certify` adds a proof where there is one), in units in
    which every coordinate and the label have size 1. NumPy only. The result is scaled
    to |a| = 1 with a_y ≥ 0; O(d³) for each step.

    Raises `AssumptionError` where the task distribution has no closed form.
    """
    plain = attention_moments(prompts)
    units = Units.of(plain)
    m = units.moments(plain)
    size = m.tokens.mean.shape[0] + 1
    rng = np.random.default_rng(seed)
    directions = [np.eye(size)[-1], *rng.standard_normal((starts, size))]
    found = [descend(a, m, include_query) for a in directions]
    risks = np.array([risk_from_attention_moments(w, m, include_query) for w in found])
    # Ties within round-off go to the GD form, which comes first.
    best = int(np.argmax(risks <= risks.min() + 1e-12 * m.power))
    weights = unit_readout(units.weights_out(found[best]))
    return _optimum(weights, units.label**2 * risks, best, plain, include_query)


def descend(
    start: Float[Array, " e"], m: AttentionMoments, include_query: bool = False
) -> Attention:
    """The local minimizer (a, Q) that BFGS over a reaches from `start`."""
    from scipy.optimize import minimize

    def reduced(a: np.ndarray) -> tuple[float, np.ndarray]:
        length = np.linalg.norm(a)
        weights, risk = best_key_query(a / length, m, include_query)
        slope = gradient_from_attention_moments(weights, m, include_query).readout[0]
        # The risk does not change along a, so this is the gradient in a / |a|.
        return float(risk / m.power), slope / (length * m.power)

    a = np.asarray(start, dtype=np.float64)
    least = np.inf
    for _ in range(_RESTARTS):
        a = a / np.linalg.norm(a)
        found = minimize(reduced, a, jac=True, method="BFGS", options={"gtol": 1e-11})
        a, gained, least = found.x, least - found.fun, found.fun
        # Again after a failed line search, or an |a| grown so large that its gradient
        # looks small; not where nothing is left to gain.
        if np.linalg.norm(found.jac) * np.linalg.norm(a) < 1e-6 or gained < _NO_GAIN:
            break
    a = a / np.linalg.norm(a)
    return best_key_query(a if a[-1] >= 0 else -a, m, include_query)[0]


def best_key_query(
    a: Float[Array, " e"], m: AttentionMoments, include_query: bool = False
) -> tuple[Attention, Float[Array, ""]]:
    r"""The head (a, Q) whose Q minimizes the risk, and that risk.

    $Q = F(a a^T)^{+} C(a) \Lambda_q^{+}$, and conjugate gradients from there with the
    query token. The risk is quadratic in Q, so it is $P - tr(Q^T \cdot right)$.
    """
    spread, right = m.spread(np.outer(a, a)), m.target(a)

    def solve(residual: np.ndarray) -> np.ndarray:
        return psd_solve(m.query, psd_solve(spread, residual, False).T).T

    q = solve(right)
    if include_query and np.any(a[:-1]):
        extra, constant = query_token_system(a, m)
        right = right + constant

        def apply(q: np.ndarray) -> np.ndarray:
            return spread @ q @ m.query + extra(q)

        q = conjugate_gradient(apply, right, solve, q)
    return Attention(a[None], q[None]), m.power - np.sum(q * right)


def unit_readout(weights: Attention) -> Attention:
    """The same head with |a| = 1."""
    length = np.linalg.norm(weights.readout)
    return Attention(weights.readout / length, weights.key_query * length)


def _optimum(
    weights: Attention,
    risks: np.ndarray,
    best: int,
    m: AttentionMoments,
    include_query: bool,
) -> AttentionOptimum:
    slope = gradient_from_attention_moments(weights, m, include_query)
    return AttentionOptimum(
        weights.readout[0],
        weights.key_query[0],
        risks[best],
        effective_preconditioner(*weights),
        norm(slope),
        risks,
    )


def norm(arrays: Iterable[np.ndarray]) -> np.float64:
    """The Euclidean norm of several arrays together."""
    return np.sqrt(sum(np.sum(array**2) for array in arrays))
