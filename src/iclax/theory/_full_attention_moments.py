"""What full linear self-attention sees of a prompt distribution."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float

from .._arrays import Array, namespace
from ..covariates import Covariates
from ..prompts import PromptDistribution
from .families import (
    Moments,
    TokenMoments,
    cross_moments,
    query_law,
    token_moments,
)


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

    def gram(self, a: Float[Array, "e e"]) -> Float[Array, "e e"]:
        r"""$E[\frac{G}{n} tr(A \frac{G}{n})]$ for a symmetric matrix `a`."""
        t, last = self.tokens, self._last(a)
        trace = namespace(a).sum(a * t.second)
        traced = t.traced(a) + self.noise * (a[-1, -1] * t.second + trace * last)
        traced = traced + self.noise**2 * a[-1, -1] * last
        fourth = t.fourth(a) + self._noise_fourth(a)
        return (1 - 1 / self.n) * traced + fourth / self.n

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
    own = Moments(tokens.signal, tokens.energy, tokens.power)
    cross, power = cross_moments(prompts, own)
    noise = prompts.noise_std**2
    n = prompts.context_length
    return AttentionMoments(tokens, noise, n, law, law.second_moment, cross, power)
