"""One layer of full linear self-attention: its exact risk, gradient and curvature."""

from typing import Any

from jaxtyping import Float

from .._arrays import Array, as_array, is_concrete, namespace
from ..prompts import PromptDistribution
from ._full_attention_moments import AttentionMoments, attention_moments
from ._full_attention_query import query_token_gradient, query_token_risk
from ._full_attention_weights import Attention, as_attention


def attention_risk(
    a: Any,
    q: Any,
    prompts: PromptDistribution,
    *,
    include_query: bool = False,
    divisor: Any = None,
) -> Float[Array, ""]:
    r"""Exact risk of full linear self-attention against the noiseless target.

    $$\hat y = \frac1n \sum_h a_h^T G Q_h x_q, \quad G = \sum_{i \le n} e_i e_i^T$$

    `a` is (d + 1,) or (h, d + 1), `q` is (d + 1, d) or (h, d + 1, d). With
    `include_query` G also holds the query token $e_q = (x_q; 0)$; `divisor` replaces
    the n that the sum is divided by (1 for no division). O(h² d³) time, O(d²) memory
    besides the weights. Derived in docs/theory/full-attention.md; at the weights of
    `gd_attention` it is `preconditioner_risk`.

    Raises `AssumptionError` where the task distribution has no closed form.
    """
    weights = scaled(as_attention(a, q), prompts, divisor)
    return risk_from_attention_moments(
        weights, attention_moments(prompts), include_query
    )


def risk_from_attention_moments(
    weights: Attention, m: AttentionMoments, include_query: bool = False
) -> Float[Array, ""]:
    """`attention_risk` from moments that are already at hand."""
    a, q = weights
    xp = namespace(a, q, m.cross)
    value = m.power
    for h in range(a.shape[0]):
        value = value - 2 * xp.sum(q[h] * m.target(a[h]))
        for k in range(a.shape[0]):
            inner = m.spread(xp.outer(a[h], a[k]))
            value = value + xp.sum((q[h] @ m.query) * (inner @ q[k]))
    if include_query:
        value = value + query_token_risk(weights, m)
    # Terms of the size of the power cancel: below their round-off the risk is 0.
    return max(value, 0 * value) if is_concrete(value) else value


def attention_gradient(
    a: Any,
    q: Any,
    prompts: PromptDistribution,
    *,
    include_query: bool = False,
    divisor: Any = None,
) -> Attention:
    r"""The exact gradient of `attention_risk` in the weights, shaped like them.

    $\partial_{Q_h} R = 2 \sum_k F(a_h a_k^T) Q_k \Lambda_q - 2 C(a_h)$ and
    $\partial_{a_h} R = 2 \sum_k F(Q_h \Lambda_q Q_k^T) a_k - 2 C^*(Q_h)$ with
    $F(A) = E[\frac{G}{n} A \frac{G}{n}]$ and $C(a) = E[\frac{G}{n} a\, y_q x_q^T]$.
    """
    shape, weights = as_array(a).shape, as_attention(a, q)
    factor = 1 if divisor is None else prompts.context_length / divisor
    found = gradient_from_attention_moments(
        Attention(factor * weights.readout, weights.key_query),
        attention_moments(prompts),
        include_query,
    )
    xp = namespace(*found)
    return Attention(
        xp.reshape(factor * found.readout, shape),
        xp.reshape(found.key_query, as_array(q).shape),
    )


def gradient_from_attention_moments(
    weights: Attention, m: AttentionMoments, include_query: bool = False
) -> Attention:
    """`attention_gradient` from moments that are already at hand."""
    a, q = weights
    xp, heads = namespace(a, q, m.cross), range(len(a))
    in_a, in_q = [], []
    for h in heads:
        pull = sum(m.spread(xp.outer(a[h], a[k])) @ q[k] for k in heads)
        push = sum(m.spread(q[h] @ m.query @ q[k].T) @ a[k] for k in heads)
        in_q.append(2 * (pull @ m.query - m.target(a[h])))
        in_a.append(2 * (push - m.target_adjoint(q[h])))
    found = Attention(xp.stack(in_a), xp.stack(in_q))
    if not include_query:
        return found
    extra = query_token_gradient(weights, m)
    return Attention(*(one + two for one, two in zip(found, extra, strict=True)))


def attention_curvature(
    a: Any,
    q: Any,
    direction: tuple[Any, Any],
    prompts: PromptDistribution,
    *,
    include_query: bool = False,
    divisor: Any = None,
) -> Attention:
    """The Hessian of `attention_risk` applied to a `direction` (δa, δQ); exact.

    The risk is a polynomial of degree four in the weights, so the five-point difference
    of its gradient has no truncation error, whatever its step.
    """
    da, dq = direction

    def slope(step: int) -> Attention:
        return attention_gradient(
            as_array(a) + step * as_array(da),
            as_array(q) + step * as_array(dq),
            prompts,
            include_query=include_query,
            divisor=divisor,
        )

    return five_point(slope)


def five_point(slope: Any) -> Attention:
    """The derivative at 0 of a cubic t ↦ `slope`(t), exactly."""
    ends = [slope(t) for t in (1, -1, 2, -2)]
    return Attention(
        *((8 * (p - m) - (p2 - m2)) / 12 for p, m, p2, m2 in zip(*ends, strict=True))
    )


def scaled(weights: Attention, prompts: PromptDistribution, divisor: Any) -> Attention:
    """The weights that with 1/n do what `weights` do with 1/`divisor`."""
    if divisor is None:
        return weights
    return Attention(
        weights.readout * (prompts.context_length / divisor), weights.key_query
    )
