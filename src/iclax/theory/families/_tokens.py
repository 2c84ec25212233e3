"""What full linear attention sees of a task distribution: moments of one token."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float

from ..._arrays import Array, namespace
from ...covariates import Covariates
from ._moments import Moments


@dataclass(frozen=True, eq=False)
class TokenMoments:
    r"""Moments of the noiseless token $e = (x; f(x))$ up to fourth order.

    Given f, $S_f = E[e e^T | f]$ holds Λ, $u_f = E[x f(x)]$ and $p_f = E f(x)^2$. Kept
    are `mean` μ and `skew` t with $E u_f = \Lambda\mu$ and $E[u_f p_f] = \Lambda t$;
    `signal` $U = E[u_f u_f^T]$, `energy` $V = E[f^2 x x^T]$, `power` $P = E p_f$,
    `power_square` $E p_f^2$, `cubic` $E[f^3 x]$ and `quartic` $E f^4$.

    They determine the risk of every linear attention layer where the odd part of
    $E_f f(x)$ is μ·x, which every task distribution handled here satisfies. Derived in
    docs/theory/full-attention.md.
    """

    covariates: Covariates
    mean: Float[Array, " d"]
    skew: Float[Array, " d"]
    signal: Float[Array, "d d"]
    energy: Float[Array, "d d"]
    power: Float[Array, ""]
    power_square: Float[Array, ""]
    cubic: Float[Array, " d"]
    quartic: Float[Array, ""]

    @property
    def second(self) -> Float[Array, "e e"]:
        """$E[e e^T]$, of size d + 1."""
        second = self.covariates.second_moment
        edge = second @ self.mean
        return blocks(second, edge, edge, self.power)

    def product(self, a: Float[Array, "e e"]) -> Float[Array, "e e"]:
        """$E_f[S_f A S_f]$ for any matrix `a` of size d + 1."""
        top, right, left, corner = split(a)
        second, xp = self.covariates.second_moment, namespace(a, self.signal)
        u, up = second @ self.mean, second @ self.skew
        wide, ends = second @ right, left + right
        return blocks(
            second @ top @ second
            + xp.outer(wide, u)
            + xp.outer(u, second @ left)
            + corner * self.signal,
            second @ (top @ u) + self.power * wide + self.signal @ left + corner * up,
            second @ (top.T @ u)
            + self.signal @ right
            + self.power * second @ left
            + corner * up,
            xp.sum(top * self.signal) + ends @ up + corner * self.power_square,
        )

    def traced(self, a: Float[Array, "e e"]) -> Float[Array, "e e"]:
        """$E_f[tr(A S_f) S_f]$ for a symmetric matrix `a` of size d + 1."""
        top, right, _, corner = split(a)
        second, xp = self.covariates.second_moment, namespace(a, self.signal)
        u, up = second @ self.mean, second @ self.skew
        fixed = xp.sum(top * second)
        edge = fixed * u + 2 * self.signal @ right + corner * up
        mean_trace = fixed + 2 * right @ u + corner * self.power
        last = fixed * self.power + 2 * right @ up + corner * self.power_square
        return blocks(mean_trace * second, edge, edge, last)

    def fourth(self, a: Float[Array, "e e"]) -> Float[Array, "e e"]:
        """$E[e e^T A e e^T]$ for any matrix `a`; only its symmetric part counts."""
        top, right, _, corner = split((a + a.T) / 2)
        xp = namespace(a, self.energy)
        mixed = xp.outer(right, self.mean)
        edge = (
            self.covariates.fourth_moment(top) @ self.mean
            + 2 * self.energy @ right
            + corner * self.cubic
        )
        return blocks(
            self.covariates.fourth_moment(top + mixed + mixed.T) + corner * self.energy,
            edge,
            edge,
            xp.sum(top * self.energy) + 2 * right @ self.cubic + corner * self.quartic,
        )


def symmetric_tokens(
    own: Moments,
    covariates: Covariates,
    power_square: Float[Array, ""],
    quartic: Float[Array, ""],
) -> TokenMoments:
    """All odd moments vanish: two numbers besides (U, V, P) = `own` say everything."""
    none = namespace(own.signal).zeros(covariates.dim)
    return TokenMoments(
        covariates,
        none,
        none,
        own.signal,
        own.energy,
        own.power,
        power_square,
        none,
        quartic,
    )


def average_tokens(
    parts: Sequence[TokenMoments], weights: Iterable[Any]
) -> TokenMoments:
    """The token moments of a mixture: every one is an average over components."""
    names = [n for n in TokenMoments.__dataclass_fields__ if n != "covariates"]
    pairs = list(zip(weights, parts, strict=True))
    means = {n: sum(w * getattr(part, n) for w, part in pairs) for n in names}
    return TokenMoments(parts[0].covariates, **means)


def split(a: Float[Array, "e e"]) -> tuple[Array, Array, Array, Array]:
    """The d × d block, last column, last row and corner of a matrix of size d + 1."""
    return a[:-1, :-1], a[:-1, -1], a[-1, :-1], a[-1, -1]


def blocks(
    top: Float[Array, "d d"],
    right: Float[Array, " d"],
    left: Float[Array, " d"],
    corner: Float[Array, ""],
) -> Float[Array, "e e"]:
    """The inverse of `split`."""
    xp = namespace(top, right, left, corner)
    upper = xp.concatenate([top, right[:, None]], axis=1)
    lower = xp.concatenate([left, xp.reshape(corner, (1,))])
    return xp.concatenate([upper, lower[None, :]], axis=0)
