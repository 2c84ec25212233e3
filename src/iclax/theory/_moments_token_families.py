"""Token moments of each task distribution, in closed form."""

from itertools import combinations
from math import comb, pi

import numpy as np
from jaxtyping import Float

from .._arrays import Array, namespace
from .._errors import AssumptionError
from ..covariates import Covariates, Data, Gaussian
from ..tasks import (
    FourierFeatures,
    GaussianProcess,
    KernelProcess,
    Linear,
    LinearPool,
    LowRank,
    Mixture,
    Polynomial,
    Projected,
    ReluNeuron,
    SparseLinear,
    TaskDistribution,
    TwoLayerRelu,
    weight_law,
)
from ._moments import moments
from ._moments_closed import check_symmetric, quadratic_form_moments
from ._moments_kernel import kernel_squares
from ._moments_token import (
    TokenMoments,
    average,
    closed_token_moments,
    symmetric_token_moments,
    token_moments,
)

_MOST_SUPPORTS = 2000  # sparse tasks with a mean: supports that are enumerated


@closed_token_moments.register
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


@closed_token_moments.register
def _(tasks: Mixture, covariates: Covariates) -> TokenMoments:
    parts = [token_moments(part, covariates) for part in tasks.components]
    return average(parts, tasks.weights)


@closed_token_moments.register
def _(tasks: LowRank, covariates: Covariates) -> TokenMoments:
    return token_moments(tasks.as_mixture(), covariates)


@closed_token_moments.register
def _(tasks: Projected, covariates: Covariates) -> TokenMoments:
    """Linear inner tasks are linear in x too; others have no closed form here."""
    law = weight_law(tasks)
    if law is None:
        raise AssumptionError(
            "exact theory of full linear attention for projected tasks",
            f"linear tasks inside (found {type(tasks.tasks).__name__})",
            "take the GD form (preconditioner_risk), or simulate the risk",
        )
    parts = [
        token_moments(Linear(factor @ factor.T, mean), covariates)
        for mean, factor in zip(law.means, law.factors, strict=True)
    ]
    return average(parts, law.weights)


@closed_token_moments.register
def _(tasks: LinearPool, covariates: Covariates) -> TokenMoments:
    r"""Averages over the pool of forms in $w_k$, with $q_k = E(w_k x)^3 x$."""
    own, ws = moments(tasks, covariates), tasks.vectors
    second, shares = covariates.second_moment, tasks.weights
    xp = namespace(ws, second)
    powers = xp.sum((ws @ second) * ws, axis=1)
    cubes = _cubes(ws, covariates)
    return TokenMoments(
        covariates,
        shares @ ws,
        (shares * powers) @ ws,
        own.signal,
        own.energy,
        own.power,
        shares @ powers**2,
        shares @ cubes,
        shares @ xp.sum(cubes * ws, axis=1),
    )


@closed_token_moments.register
def _(tasks: SparseLinear, covariates: Covariates) -> TokenMoments:
    r"""Without a mean: $E w_i^2 w_j^2$ is $c = k(k-1)/(d(d-1))$, and 3k/d for i = j."""
    d, k = tasks.dim, tasks.nonzeros
    if tasks.mean:
        return token_moments(_supports(tasks), covariates)
    pair, second = k * (k - 1) / (d * max(d - 1, 1)), covariates.second_moment
    same = 3 * k / d - 3 * pair
    xp, eye = namespace(second), np.eye(d)
    of_eye = covariates.fourth_moment(eye)
    fourths = sum(covariates.fourth_moment(np.diag(e))[i, i] for i, e in enumerate(eye))
    return symmetric_token_moments(
        tasks,
        covariates,
        pair * (xp.trace(second) ** 2 + 2 * xp.sum(second**2))
        + same * xp.sum(xp.diagonal(second) ** 2),
        3 * pair * xp.trace(of_eye) + same * fourths,
    )


@closed_token_moments.register
def _(tasks: ReluNeuron, covariates: Covariates) -> TokenMoments:
    r"""A symmetric law of w kills the odd moments: $u_f = \frac{1+a}{2} \Lambda w$ and
    $p_f = \frac{1+a^2}{2} w^T \Lambda w$ are odd and even in w.
    """
    check_symmetric(tasks, covariates)
    square, slope = _power_square(tasks.cov, covariates), tasks.slope
    of_cov = covariates.fourth_moment(tasks.cov)
    return symmetric_token_moments(
        tasks,
        covariates,
        ((1 + slope**2) / 2) ** 2 * square,
        3 * (1 + slope**4) / 2 * namespace(of_cov).sum(tasks.cov * of_cov),
    )


@closed_token_moments.register
def _(tasks: TwoLayerRelu, covariates: Covariates) -> TokenMoments:
    r"""$p_f = \frac1m \sum_{jk} v_j v_k K_{jk}$, the arc-cosine kernel of $w_j, w_k$.

    Exact where Λ^{1/2} C Λ^{1/2} has equal non-zero eigenvalues, so that the angle of
    two hidden weights is that of two isotropic vectors: one quadrature.
    """
    check_symmetric(tasks, covariates)
    trace, angles = _isotropic_angles(tasks, covariates)
    m, four = tasks.width, tasks.scale**4
    of_cov = covariates.fourth_moment(tasks.cov)
    own = _power_square(tasks.cov, covariates) / 4
    others = (trace / 2) ** 2 + 2 * (trace / (2 * pi)) ** 2 * angles
    quartic = 9 / 2 / m + 3 / 4 * (1 - 1 / m)
    return symmetric_token_moments(
        tasks,
        covariates,
        four * (3 * own / m + (1 - 1 / m) * others),
        four * quartic * np.sum(tasks.cov * of_cov),
    )


@closed_token_moments.register
def _(tasks: GaussianProcess, covariates: Covariates) -> TokenMoments:
    r"""$E k(x, x')^2 = v^2 |I + 4 A \Lambda|^{-1/2}$: twice the metric."""
    if isinstance(covariates, Data):
        return process_token_moments(
            tasks, covariates, *kernel_squares(tasks, covariates)
        )
    cov = _gaussian(tasks, covariates)
    xp = namespace(cov, tasks.metric)
    spread = xp.eye(tasks.dim) + 4 * tasks.metric @ cov
    square = tasks.variance**2 / xp.sqrt(xp.linalg.det(spread))
    return process_token_moments(
        tasks, covariates, square, tasks.variance**2 * xp.ones(())
    )


@closed_token_moments.register
def _(tasks: Polynomial, covariates: Covariates) -> TokenMoments:
    r"""$E (x^T x')^{p} = (p-1)!!\, E (x^T \Lambda x)^{p/2}$ for even p, by Stein."""
    if isinstance(covariates, Data):
        return process_token_moments(
            tasks, covariates, *kernel_squares(tasks, covariates)
        )
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


@closed_token_moments.register
def _(tasks: FourierFeatures, covariates: Covariates) -> TokenMoments:
    r"""$E \cos(\omega\delta) \cos(\omega'\delta)$ for δ = x − x' ~ N(0, 2Λ)."""
    if isinstance(covariates, Data):
        return process_token_moments(
            tasks, covariates, *kernel_squares(tasks, covariates)
        )
    cov, waves = _gaussian(tasks, covariates), tasks.frequencies
    xp = namespace(cov, waves)
    inner = waves @ cov @ waves.T
    sizes = xp.diagonal(inner)
    both = sizes[:, None] + sizes[None, :]
    damped = (xp.exp(2 * inner - both) + xp.exp(-2 * inner - both)) / 2
    square = tasks.variance**2 * xp.mean(damped)
    return process_token_moments(
        tasks, covariates, square, tasks.variance**2 * xp.ones(())
    )


@closed_token_moments.register
def _(tasks: KernelProcess, covariates: Covariates) -> TokenMoments:
    if not isinstance(covariates, Data):
        raise AssumptionError(
            "exact theory of a process with a kernel of your own",
            f"data as covariates (found {type(covariates).__name__})",
            "take Data covariates, or simulate the risk",
        )
    return process_token_moments(tasks, covariates, *kernel_squares(tasks, covariates))


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


def _supports(tasks: SparseLinear) -> Mixture:
    """The same law as a mixture over every support."""
    d, k = tasks.dim, tasks.nonzeros
    if comb(d, k) > _MOST_SUPPORTS:
        raise AssumptionError(
            "exact theory of full linear attention for sparse tasks with a mean",
            f"at most {_MOST_SUPPORTS} supports (found {comb(d, k)})",
            "set the mean to 0, or simulate the risk",
        )
    rows = [np.isin(np.arange(d), kept) * 1.0 for kept in combinations(range(d), k)]
    return Mixture([Linear(np.diag(row), tasks.mean * row) for row in rows])


def _cubes(ws: Float[Array, "k d"], covariates: Covariates) -> Float[Array, "k d"]:
    """$E[(w x)^3 x]$ at each row w."""
    xp = namespace(ws, covariates.second_moment)
    if isinstance(covariates, Gaussian):
        moved = ws @ covariates.cov
        return 3 * xp.sum(moved * ws, axis=1)[:, None] * moved
    return xp.stack([covariates.fourth_moment(xp.outer(w, w)) @ w for w in ws])


def _power_square(c: Float[Array, "d d"], covariates: Covariates) -> Float[Array, ""]:
    r"""$E(w^T \Lambda w)^2$ for w ~ N(0, C)."""
    spread = c @ covariates.second_moment
    xp = namespace(spread)
    return xp.trace(spread) ** 2 + 2 * xp.sum(spread * spread.T)


def _isotropic_angles(
    tasks: TwoLayerRelu, covariates: Covariates
) -> tuple[np.float64, np.float64]:
    r"""$E|u|^2$ and $E J(\theta)^2$, $J = \sin\theta + (\pi - \theta) \cos\theta$, for
    the angle θ of two draws of u = Λ^{1/2} w.
    """
    product = np.asarray(tasks.cov) @ np.asarray(covariates.second_moment)
    values = np.sort(np.linalg.eigvals(product).real)
    values = values[values > 1e-10 * values[-1]]
    if values[-1] - values[0] > 1e-8 * values[-1]:
        raise AssumptionError(
            "exact theory of full linear attention for two-layer networks",
            "equal non-zero eigenvalues of ΛC (covariates times hidden weights)",
            "take isotropic laws or the GD form, or simulate the risk",
        )
    rank = len(values)
    if rank == 1:
        return values.sum(), np.float64(pi**2 / 2)
    nodes, weights = np.polynomial.legendre.leggauss(400)
    theta = (nodes + 1) * pi / 2
    weights = weights * np.sin(theta) ** (rank - 2)
    curve = np.sin(theta) + (pi - theta) * np.cos(theta)
    return values.sum(), weights @ curve**2 / weights.sum()


def _odd_factorial(half: int) -> int:
    """$(2k - 1)!!$ for k = `half`."""
    return int(np.prod(range(1, 2 * half, 2), dtype=object))


def _gaussian(tasks: TaskDistribution, covariates: Covariates) -> Float[Array, "d d"]:
    if isinstance(covariates, Gaussian):
        return covariates.cov
    raise AssumptionError(
        f"exact theory of full linear attention for {type(tasks).__name__} tasks",
        f"Gaussian covariates (found {type(covariates).__name__})",
        "take Gaussian covariates, or linear tasks",
    )
