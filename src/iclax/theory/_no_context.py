"""What can be predicted without using the context: the height of the plateau."""

from functools import singledispatch
from math import comb, pi

import numpy as np
from jaxtyping import Float

from .._arrays import Array, namespace
from .._errors import AssumptionError
from ..covariates import Covariates, Data, Gaussian, Rademacher
from ..tasks import (
    Conjunction,
    DecisionTree,
    Disjunction,
    GaussianProcess,
    Linear,
    Parity,
    Polynomial,
    Projected,
    Quadratic,
    ReluNeuron,
    Retrieval,
    SparseLinear,
    SparseParity,
    TaskDistribution,
    TwoLayerRelu,
)
from ._family_moments import inner_covariates
from ._inputs import check_dimensions
from ._moments import moments


def no_context_loss(
    tasks: TaskDistribution, covariates: Covariates
) -> Float[Array, ""]:
    r"""The least loss of a function of the query alone, $\min_g E\,\ell(g(x), f(x))$.

    $\ell$ is the squared error, $E\,Var(f(x) | x)$, or for binary tasks the logistic
    loss in nats, $E_x H(P(f(x) = 1 | x))$. Kim et al. (2024) divide each task's
    training loss by it. Raises `AssumptionError` where no closed form or finite
    enumeration is known, and `SettingError` where dimensions differ.
    """
    check_dimensions(tasks, covariates)
    return closed_loss(tasks, covariates)


@singledispatch
def closed_loss(tasks: TaskDistribution, covariates: Covariates) -> Float[Array, ""]:
    """The closed forms behind `no_context_loss`, one for each task distribution."""
    raise AssumptionError(
        f"the exact no-context loss of {type(tasks).__name__} tasks",
        "a closed form for E Var(f(x) | x)",
        "simulate it",
    )


@closed_loss.register
def _(tasks: Linear, covariates: Covariates) -> Float[Array, ""]:
    second = covariates.second_moment
    return namespace(second, tasks.cov).trace(tasks.cov @ second)


@closed_loss.register
def _(tasks: SparseLinear, covariates: Covariates) -> Float[Array, ""]:
    """tr(WΛ) less the power of the mean weight (k m / d) 1."""
    second = covariates.second_moment
    mean = tasks.nonzeros * tasks.mean / tasks.dim
    return np.sum(tasks.weight_second_moment * second) - mean**2 * second.sum()


@closed_loss.register(GaussianProcess)
@closed_loss.register(Polynomial)
@closed_loss.register(TwoLayerRelu)
def _(tasks: TaskDistribution, covariates: Covariates) -> Float[Array, ""]:
    """f and −f have one law: nothing is known without context."""
    return moments(tasks, covariates).power


@closed_loss.register
def _(tasks: Quadratic, covariates: Covariates) -> Float[Array, ""]:
    return no_context_loss(Polynomial(tasks.dim, {2: 1 / tasks.dim}), covariates)


@closed_loss.register
def _(tasks: ReluNeuron, covariates: Covariates) -> Float[Array, ""]:
    r"""$E[f|x] = (1 - a) \sqrt{x^T C x / 2\pi}$; no mean under a random sign."""
    trace = np.sum(tasks.cov * covariates.second_moment)
    known = 0.0 if tasks.random_sign else (1 - tasks.slope) ** 2 / (2 * pi)
    return ((1 + tasks.slope**2) / 2 - known) * trace


@closed_loss.register
def _(tasks: DecisionTree, covariates: Covariates) -> Float[Array, ""]:
    """Whatever the leaf, its value has the same law."""
    return np.float64(tasks.leaf_std**2)


@closed_loss.register
def _(tasks: Projected, covariates: Covariates) -> Float[Array, ""]:
    if not isinstance(covariates, Gaussian):
        raise AssumptionError(
            "the no-context loss of Projected tasks", "Gaussian covariates", "simulate"
        )
    return no_context_loss(tasks.tasks, inner_covariates(tasks, covariates.cov))


@closed_loss.register
def _(tasks: Retrieval, covariates: Covariates) -> Float[Array, ""]:
    """The variance of a key's values, averaged over the keys."""
    if not (
        isinstance(covariates, Data) and np.array_equal(covariates.rows, tasks.keys)
    ):
        raise AssumptionError(
            "the no-context loss of Retrieval tasks",
            "covariates drawn from the keys",
            "take covariates.Data(tasks.keys)",
        )
    return tasks.values.var(axis=1).mean()


@closed_loss.register
def _(tasks: SparseParity, covariates: Covariates) -> Float[Array, ""]:
    """Given m coordinates at +1, the number of them in A is hypergeometric."""
    _check_cube(tasks, covariates)
    d, k = tasks.dim, tasks.size
    loss = 0.0
    for m in range(d + 1):
        odd = sum(comb(m, j) * comb(d - m, k - j) for j in range(1, k + 1, 2))
        loss += comb(d, m) / 2**d * _entropy(odd / comb(d, k))
    return np.float64(loss)


@closed_loss.register
def _(tasks: Parity, covariates: Covariates) -> Float[Array, ""]:
    """A fair coin, save at x = (−1, …, −1), where every parity is −1."""
    _check_cube(tasks, covariates)
    return (1 - 0.5**tasks.dim) * np.log(2)


@closed_loss.register(Conjunction)
@closed_loss.register(Disjunction)
def _(tasks: Conjunction | Disjunction, covariates: Covariates) -> Float[Array, ""]:
    """All coordinates must pass, each with probability 1 − q/2, at every x."""
    _check_cube(tasks, covariates)
    return _entropy((1 - tasks.literal_probability / 2) ** tasks.dim)


def label_frequency_loss(
    tasks: Conjunction | Disjunction, num_points: int
) -> Float[Array, ""]:
    r"""The least logistic loss of a predictor that sees earlier labels, not their x.

    A conjunction of m literals holds at a random x with probability 2^{-m}, so its
    labels alone tell how many literals it has; with $m \sim Bin(d, q)$ this returns
    $-\frac1n E \log P(y_1, \dots, y_n)$ over `num_points` n positions. Below
    `no_context_loss`: a transformer reaches it before it learns to use the inputs.
    Derived in docs/diversity.md.
    """
    d, q, n = tasks.dim, tasks.literal_probability, num_points
    literals, held = np.arange(d + 1), np.arange(n + 1)
    with np.errstate(divide="ignore"):
        prior = np.log([comb(d, m) * q**m * (1 - q) ** (d - m) for m in literals])
        miss = np.log1p(-(0.5**literals))  # −inf at m = 0: a miss is impossible
    failures = (n - held)[:, None]
    missed = np.where(failures == 0, 0.0, failures * np.where(failures, miss, 0.0))
    from scipy.special import gammaln, logsumexp  # a quarter of a second

    log_p = logsumexp(prior - np.log(2) * held[:, None] * literals + missed, axis=1)
    count = gammaln(n + 1) - gammaln(held + 1) - gammaln(n - held + 1)
    return -np.sum(np.exp(count + log_p) * log_p) / n


def _entropy(p: float) -> Float[Array, ""]:
    """The entropy of a coin in nats."""
    from scipy.special import entr

    return entr(p) + entr(1 - p)


def _check_cube(tasks: TaskDistribution, covariates: Covariates) -> None:
    cube = isinstance(covariates, Rademacher) and np.array_equal(
        covariates.cov, np.eye(tasks.dim)
    )
    if not cube:
        raise AssumptionError(
            f"the exact no-context loss of {type(tasks).__name__} tasks",
            "covariates uniform on {±1}^d",
            "take covariates.Rademacher with the identity, or simulate",
        )
