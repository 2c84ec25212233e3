"""Closed moments of tasks on signs: parities, conjunctions and decision trees."""

from math import comb, pi

import numpy as np
from jaxtyping import Float

from .._errors import AssumptionError
from ..covariates import Covariates, Gaussian, Rademacher, Uniform
from ..tasks import (
    Conjunction,
    DecisionTree,
    Disjunction,
    Parity,
    SparseParity,
    TaskDistribution,
)
from ._moments_closed import Moments, closed_moments


@closed_moments.register
def _(tasks: SparseParity, covariates: Covariates) -> Moments:
    """Only a single coordinate correlates with x: U = I/d for size 1, else 0."""
    return _boolean(tasks, covariates, 1 / tasks.dim if tasks.size == 1 else 0.0)


@closed_moments.register
def _(tasks: Parity, covariates: Covariates) -> Moments:
    """One of the 2^d subsets is {i}: U = 2^{-d} I."""
    return _boolean(tasks, covariates, 0.5**tasks.dim)


@closed_moments.register(Conjunction)
@closed_moments.register(Disjunction)
def _(tasks: Conjunction | Disjunction, covariates: Covariates) -> Moments:
    r"""With s literals $E[f x_i] = \pm 2^{1-s}$ on each of them, so that
    $U_{ii} = E[4^{1-s} 1(i \text{ is a literal})] = p (1 - 3p/4)^{d-1}$.
    """
    p = tasks.literal_probability
    return _boolean(tasks, covariates, p * (1 - 3 * p / 4) ** (tasks.dim - 1))


@closed_moments.register
def _(tasks: DecisionTree, covariates: Covariates) -> Moments:
    r"""x and x' share a leaf with probability $(A/d)^D$, A of their signs being equal.

    $U_{jj} = \frac{s^2}{2} (E|x_j|)^2 E[(\frac{1+A'}{d})^D - (\frac{A'}{d})^D]$ with
    A' ~ Binomial(d − 1, 1/2) the agreements elsewhere; s² is the leaf variance.
    """
    spread = _mean_absolute(tasks, covariates) ** 2
    d, depth, others = tasks.dim, tasks.depth, np.arange(tasks.dim)
    chances = np.array([comb(d - 1, int(a)) for a in others]) / 2.0 ** (d - 1)
    gain = chances @ (((1 + others) / d) ** depth - (others / d) ** depth)
    power = np.float64(tasks.leaf_mean**2 + tasks.leaf_std**2)
    signal = tasks.leaf_std**2 / 2 * gain * np.diag(spread)
    return Moments(signal, power * covariates.second_moment, power)


def _boolean(tasks: TaskDistribution, covariates: Covariates, signal: float) -> Moments:
    """f = ±1, so that V = Λ and P = 1, under x uniform on {±1}^d."""
    eye = np.eye(tasks.dim)
    if not (isinstance(covariates, Rademacher) and np.array_equal(covariates.cov, eye)):
        raise AssumptionError(
            f"exact theory for {type(tasks).__name__} tasks",
            f"covariates uniform on {{±1}}^d (found {covariates})",
            "take Rademacher covariates with identity covariance, or data of ±1",
        )
    return Moments(signal * eye, eye, np.float64(1.0))


def _mean_absolute(
    tasks: DecisionTree, covariates: Covariates
) -> Float[np.ndarray, " d"]:
    """E|x_j| of laws whose coordinates are independent."""
    shares = {Gaussian: (2 / pi) ** 0.5, Uniform: 3**0.5 / 2, Rademacher: 1.0}
    cov = covariates.second_moment
    if type(covariates) not in shares or np.any(cov != np.diag(np.diag(cov))):
        raise AssumptionError(
            f"exact theory for {type(tasks).__name__} tasks",
            f"independent coordinates (found {covariates})",
            "take covariates with a diagonal covariance, or data",
        )
    return shares[type(covariates)] * np.sqrt(np.diag(cov))
