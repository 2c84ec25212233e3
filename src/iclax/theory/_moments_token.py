"""What full linear attention sees of a task distribution: moments of one token."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch

from jaxtyping import Float

from .._arrays import Array, namespace
from .._errors import AssumptionError
from ..covariates import Covariates, Gaussian
from ..tasks import (
    GaussianProcess,
    Linear,
    LowRank,
    Mixture,
    Polynomial,
    ReluNeuron,
    TaskDistribution,
)
from ._moments import moments, quadratic_form_moments


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


@singledispatch
def token_moments(tasks: TaskDistribution, covariates: Covariates) -> TokenMoments:
    """Exact token moments of `tasks` under `covariates`.

    Raises `AssumptionError` where no closed form is known for the pair.
    """
    raise AssumptionError(
        f"exact theory of full linear attention for {type(tasks).__name__} tasks",
        "closed forms for the fourth moments of (x, f(x))",
        "take the GD form (preconditioner_risk), or simulate the risk",
    )


@token_moments.register
def _(tasks: Linear, covariates: Covariates) -> TokenMoments:
    r"""Given x, $f(x) \sim N(\mu x, x^T C x)$; given w, everything is a form in w."""
    second, mean, cov = covariates.second_moment, tasks.mean, tasks.cov
    xp = namespace(second, mean, cov)
    w, spread, shift = tasks.weight_second_moment, cov @ second, second @ mean
    power, energy = xp.sum(w * second), covariates.fourth_moment(w)
    of_cov = covariates.fourth_moment(cov)
    of_mean = covariates.fourth_moment(xp.outer(mean, mean))
    return TokenMoments(
        covariates,
        mean,
        power * mean + 2 * spread @ mean,
        second @ w @ second,
        energy,
        power,
        power**2 + 2 * xp.sum(spread * spread.T) + 4 * shift @ cov @ shift,
        (of_mean + 3 * of_cov) @ mean,
        mean @ (of_mean + 6 * of_cov) @ mean + 3 * xp.sum(cov * of_cov),
    )


@token_moments.register
def _(tasks: Mixture, covariates: Covariates) -> TokenMoments:
    parts = [token_moments(part, covariates) for part in tasks.components]
    return average(parts, tasks.weights)


@token_moments.register
def _(tasks: LowRank, covariates: Covariates) -> TokenMoments:
    return token_moments(tasks.as_mixture(), covariates)


@token_moments.register
def _(tasks: ReluNeuron, covariates: Covariates) -> TokenMoments:
    r"""A symmetric law of w kills the odd moments: $u_f = \frac{1+a}{2} \Lambda w$ and
    $p_f = \frac{1+a^2}{2} w^T \Lambda w$ are odd and even in w.
    """
    own = moments(tasks, covariates)
    second, slope = covariates.second_moment, tasks.slope
    xp = namespace(second, tasks.cov)
    spread = tasks.cov @ second
    linear = xp.trace(spread) ** 2 + 2 * xp.sum(spread * spread.T)
    of_cov = covariates.fourth_moment(tasks.cov)
    return symmetric_token_moments(
        tasks,
        covariates,
        ((1 + slope**2) / 2) ** 2 * linear,
        3 * (1 + slope**4) / 2 * xp.sum(tasks.cov * of_cov),
        own,
    )


@token_moments.register
def _(tasks: GaussianProcess, covariates: Covariates) -> TokenMoments:
    r"""$E k(x, x')^2 = v^2 |I + 4 A \Lambda|^{-1/2}$: twice the metric."""
    own = moments(tasks, covariates)
    cov = _gaussian(tasks, covariates)
    xp = namespace(cov, tasks.metric)
    spread = xp.eye(tasks.dim) + 4 * tasks.metric @ cov
    square = tasks.variance**2 / xp.sqrt(xp.linalg.det(spread))
    return process_token_moments(tasks, covariates, square, own.power**2)


@token_moments.register
def _(tasks: Polynomial, covariates: Covariates) -> TokenMoments:
    r"""$E (x^T x')^{p} = (p-1)!!\, E (x^T \Lambda x)^{p/2}$ for even p, by Stein."""
    cov = _gaussian(tasks, covariates)
    eye, xp = namespace(cov).eye(tasks.dim), namespace(cov)
    square, diagonal = xp.zeros(()), xp.zeros(())
    for p, first in tasks.coefficients.items():
        for q, second in tasks.coefficients.items():
            both = first * second
            diagonal = diagonal + both * quadratic_form_moments(eye, cov, p + q)[0]
            if (p + q) % 2 == 0:
                half = (p + q) // 2
                inner = quadratic_form_moments(cov, cov, half)[0]
                square = square + both * _odd_factorial(half) * inner
    return process_token_moments(tasks, covariates, square, diagonal)


def process_token_moments(
    tasks: TaskDistribution,
    covariates: Covariates,
    kernel_square: Float[Array, ""],
    variance_square: Float[Array, ""],
) -> TokenMoments:
    r"""A centered Gaussian process with $E k(x, x')^2$ and $E k(x, x)^2$ known.

    $E p_f^2 = P^2 + 2 E k(x, x')^2$ and $E f^4 = 3 E k(x, x)^2$ (Isserlis).
    """
    power = moments(tasks, covariates).power
    return symmetric_token_moments(
        tasks, covariates, power**2 + 2 * kernel_square, 3 * variance_square
    )


def symmetric_token_moments(
    tasks: TaskDistribution,
    covariates: Covariates,
    power_square: Float[Array, ""],
    quartic: Float[Array, ""],
    own=None,
) -> TokenMoments:
    """All odd moments vanish: two numbers besides (U, V, P) say everything."""
    own = moments(tasks, covariates) if own is None else own
    none = namespace(own.signal).zeros(tasks.dim)
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


def average(parts: Sequence[TokenMoments], weights: Float[Array, " k"]) -> TokenMoments:
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


def _odd_factorial(half: int) -> int:
    """$(2k - 1)!!$ for k = `half`."""
    value = 1
    for odd in range(1, 2 * half, 2):
        value *= odd
    return value


def _gaussian(tasks: TaskDistribution, covariates: Covariates) -> Float[Array, "d d"]:
    if isinstance(covariates, Gaussian):
        return covariates.cov
    raise AssumptionError(
        f"exact theory of full linear attention for {type(tasks).__name__} tasks",
        f"Gaussian covariates (found {type(covariates).__name__})",
        "take Gaussian covariates, or linear tasks",
    )
