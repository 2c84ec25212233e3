"""One layer of full linear self-attention: its exact risk, gradient and curvature."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from jaxtyping import Float

from .._arrays import Array, as_array, namespace
from .._errors import SettingError
from ..covariates import Covariates
from ..prompts import PromptDistribution
from ._moments_query import cross_moments, query_law
from ._moments_token import TokenMoments, token_moments


class Attention(NamedTuple):
    r"""The weights of one linear attention layer with h heads.

    $\hat y = \frac1n \sum_h a_h^T G Q_h x_q$ with `readout` a, shape (h, d + 1), and
    `key_query` Q, shape (h, d + 1, d); $G = \sum_i e_i e_i^T$, $e_i = (x_i; y_i)$.
    """

    readout: Float[Array, "h e"]
    key_query: Float[Array, "h e d"]


def as_attention(a: Any, q: Any) -> Attention:
    """Weights with a head axis, from one head (d + 1,), (d + 1, d) or several."""
    a, q = as_array(a), as_array(q)
    if a.ndim == 1:
        a, q = a[None], q[None]
    heads, tokens = a.shape if a.ndim == 2 else (0, 0)
    if q.shape != (heads, tokens, tokens - 1):
        raise SettingError(
            "attention weights",
            f"a of shape {a.shape} with Q of shape {q.shape}",
            "(d + 1,) with (d + 1, d), or (h, d + 1) with (h, d + 1, d)",
        )
    return Attention(a, q)


def gd_attention(gamma: Float[Array, "d d"]) -> Attention:
    r"""The head that computes $x_q^T \Gamma b$: a = (0; 1), Q = (Γᵀ; 0)."""
    gamma = as_array(gamma)
    xp, dim = namespace(gamma), gamma.shape[0]
    readout = xp.concatenate([xp.zeros((1, dim)), xp.ones((1, 1))], axis=1)
    key_query = xp.concatenate([gamma.T, xp.zeros((1, dim))], axis=0)
    return Attention(readout, key_query[None])


def effective_preconditioner(a: Any, q: Any) -> Float[Array, "d d"]:
    r"""The Γ of the part of ŷ that is linear in the labels, $x_q^T \Gamma b$.

    $$\Gamma = \sum_h a_{h,y} Q_{h,x}^T + Q_{h,y} a_{h,x}^T$$

    where $a_h = (a_{h,x}; a_{h,y})$ and $Q_h = (Q_{h,x}; Q_{h,y}^T)$. Where tasks f
    and −f are equal in law this part is all that an optimal layer uses.
    """
    a, q = as_attention(a, q)
    xp = namespace(a, q)
    direct = xp.tensordot(a[:, -1], xp.swapaxes(q[:, :-1], 1, 2), 1)
    return direct + q[:, -1].T @ a[:, :-1]


@dataclass(frozen=True, eq=False)
class AttentionMoments:
    r"""What the full-layer risk sees of a prompt distribution.

    `tokens` are the noiseless token moments, `noise` is σ² and `n` the context length;
    `query` is $\Lambda_q$, `query_law` its covariates, `cross`
    $E[u_f u_{q,f}^T]$ with $u_{q,f} = E[x_q f(x_q)]$, and `power` $E f(x_q)^2$.
    """

    tokens: TokenMoments
    noise: Float[Array, ""] | float
    n: Any
    query_law: Covariates
    query: Float[Array, "d d"]
    cross: Float[Array, "d d"]
    power: Float[Array, ""]

    @property
    def mean(self) -> Float[Array, "e e"]:
        """$E[e e^T]$ with label noise: the mean of G/n."""
        return self._noisy(self.tokens.second)

    def spread(self, a: Float[Array, "e e"]) -> Float[Array, "e e"]:
        r"""$E[\frac{G}{n} A \frac{G}{n}]$.

        $(1 - \frac1n) E[S_f A S_f] + \frac1n E[e e^T A e e^T]$, σ² included: given f,
        different tokens are independent. A is symmetrized in the second term only.
        """
        product = self.tokens.product(a) + self._noise_product(a)
        fourth = self.tokens.fourth(a) + self._noise_fourth((a + a.T) / 2)
        return (1 - 1 / self.n) * product + fourth / self.n

    def target(self, a: Float[Array, " e"]) -> Float[Array, "e d"]:
        r"""$E[\frac{G}{n} a\, y_q x_q^T]$ for a vector `a` of size d + 1."""
        t, xp = self.tokens, namespace(a, self.cross)
        second = t.covariates.second_moment
        mean, skew = self.query @ t.mean, self.query @ t.skew
        top = xp.outer(second @ a[:-1], mean) + a[-1] * self.cross
        low = self.cross.T @ a[:-1] + a[-1] * (skew + self.noise * mean)
        return xp.concatenate([top, low[None, :]], axis=0)

    def target_adjoint(self, q: Float[Array, "e d"]) -> Float[Array, " e"]:
        """The vector g with $g^T a = tr(Q^T target(a))$."""
        t, xp = self.tokens, namespace(q, self.cross)
        second = t.covariates.second_moment
        mean, skew = self.query @ t.mean, self.query @ t.skew
        top = second @ (q[:-1] @ mean) + self.cross @ q[-1]
        low = xp.sum(q[:-1] * self.cross) + q[-1] @ (skew + self.noise * mean)
        return xp.concatenate([top, xp.reshape(low, (1,))])

    def _noisy(self, second: Float[Array, "e e"]) -> Float[Array, "e e"]:
        return second + self.noise * self._last(second)

    def _last(self, like: Float[Array, "e e"]) -> Float[Array, "e e"]:
        """The matrix E with a one in the last corner and zeros elsewhere."""
        xp = namespace(like)
        last = xp.eye(like.shape[0])[-1]
        return xp.outer(last, last)

    def _noise_product(self, a: Float[Array, "e e"]) -> Float[Array, "e e"]:
        """What S → S + σ²E adds to E[S A S]."""
        last, second = self._last(a), self.tokens.second
        first = second @ a @ last + last @ a @ second
        return self.noise * first + self.noise**2 * a[-1, -1] * last

    def _noise_fourth(self, a: Float[Array, "e e"]) -> Float[Array, "e e"]:
        """What Gaussian noise in the label adds to E[e eᵀ A e eᵀ], A symmetric."""
        last, second = self._last(a), self.tokens.second
        half = second @ a @ last
        xp = namespace(a)
        once = xp.sum(a * second) * last + 2 * (half + half.T) + a[-1, -1] * second
        return self.noise * once + 3 * self.noise**2 * a[-1, -1] * last


def attention_moments(prompts: PromptDistribution) -> AttentionMoments:
    """The exact moments of `prompts` that every full-layer formula needs.

    Raises `AssumptionError` where the task distribution has no closed form.
    """
    tokens = token_moments(prompts.tasks, prompts.covariates)
    law = query_law(prompts)
    cross, power = cross_moments(prompts)
    noise = prompts.noise_std**2
    n = prompts.context_length
    return AttentionMoments(tokens, noise, n, law, law.second_moment, cross, power)


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
    return value + _query_token_risk(weights, m) if include_query else value


def _query_token_risk(weights: Attention, m: AttentionMoments) -> Float[Array, ""]:
    r"""What the query token adds: $\frac2n E[t(\hat y - y_q)] + \frac1{n^2} E t^2$,
    $t = \sum_h (a_{h,x} x_q)(x_q^T Q_{h,x} x_q)$.
    """
    a, q = weights
    xp = namespace(a, q, m.cross)
    forms = (q[:, :-1] + xp.swapaxes(q[:, :-1], 1, 2)) / 2
    # The mean of ŷ given x_q, less the part of y_q that is odd in x_q.
    gap = sum(q[h].T @ (m.mean @ a[h]) for h in range(len(a))) - m.tokens.mean
    value = xp.zeros(())
    for h in range(len(a)):
        first = gap @ m.query_law.fourth_moment(forms[h]) @ a[h, :-1]
        value = value + 2 / m.n * first
        for k in range(len(a)):
            sixth = m.query_law.sixth_moment(forms[h], forms[k])
            value = value + a[h, :-1] @ sixth @ a[k, :-1] / m.n**2
    return value


def scaled(weights: Attention, prompts: PromptDistribution, divisor: Any) -> Attention:
    """The weights that with 1/n do what `weights` do with 1/`divisor`."""
    if divisor is None:
        return weights
    return Attention(
        weights.readout * (prompts.context_length / divisor), weights.key_query
    )
