"""Closed forms of the moments of task distributions."""

from dataclasses import dataclass
from functools import singledispatch
from math import prod

from jaxtyping import Float

from .._arrays import Array, namespace
from .._errors import AssumptionError
from ..covariates import Covariates, Gaussian
from ..tasks import (
    FourierFeatures,
    GaussianProcess,
    Linear,
    LinearPool,
    LowRank,
    Polynomial,
    ReluNeuron,
    SparseLinear,
    TaskDistribution,
    TwoLayerRelu,
)

_Linear = Linear | LowRank | LinearPool | SparseLinear


@dataclass(frozen=True, eq=False)
class Moments:
    r"""Signal, energy and power of a task distribution under a covariate law.

    With the kernel $k(x, x') = E_f[f(x) f(x')]$ and x, x' independent,
    $U = E[k(x, x') x x'^T]$ (`signal`), $V = E[k(x, x) x x^T]$ (`energy`, without label
    noise) and $P = E[k(x, x)]$ (`power`). Derived in docs/theory/one-layer.md.
    """

    signal: Float[Array, "d d"]
    energy: Float[Array, "d d"]
    power: Float[Array, ""]

    def scaled(self, factor: Float[Array, ""] | float) -> "Moments":
        """The moments of the tasks whose kernel is `factor` times this one."""
        return Moments(factor * self.signal, factor * self.energy, factor * self.power)

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(
            self.signal + other.signal,
            self.energy + other.energy,
            self.power + other.power,
        )


@singledispatch
def closed_moments(tasks: TaskDistribution, covariates: Covariates) -> Moments:
    """The closed forms behind `moments`, one for each task distribution."""
    raise AssumptionError(
        f"exact theory for {type(tasks).__name__} tasks",
        "a closed form for the moments of this task distribution",
        "estimate them with standard errors: iclax.evaluation.simulate_moments",
    )


@closed_moments.register(Linear)
@closed_moments.register(LowRank)
@closed_moments.register(LinearPool)
@closed_moments.register(SparseLinear)
def _(
    tasks: Linear | LowRank | LinearPool | SparseLinear, covariates: Covariates
) -> Moments:
    second = covariates.second_moment
    w = tasks.weight_second_moment
    xp = namespace(second, w)
    return Moments(second @ w @ second, covariates.fourth_moment(w), xp.sum(w * second))


@closed_moments.register
def _(tasks: ReluNeuron, covariates: Covariates) -> Moments:
    check_symmetric(tasks, covariates)
    return _relu_moments(tasks.cov, covariates, tasks.slope)


@closed_moments.register
def _(tasks: TwoLayerRelu, covariates: Covariates) -> Moments:
    check_symmetric(tasks, covariates)
    return _relu_moments(tasks.cov, covariates, 0.0).scaled(tasks.scale**2)


@closed_moments.register
def _(tasks: GaussianProcess, covariates: Covariates) -> Moments:
    r"""$U = v |I + 2 \Lambda A|^{-1/2} \Lambda A \Lambda (I + 2 A \Lambda)^{-1}$."""
    cov, a = _gaussian_covariance(tasks, covariates), tasks.metric
    xp = namespace(cov, a)
    spread = xp.eye(tasks.dim) + 2 * a @ cov
    signal = cov @ a @ xp.linalg.solve(spread.T, cov).T
    signal = (signal + signal.T) / 2
    return Moments(
        tasks.variance * signal / xp.sqrt(xp.linalg.det(spread)),
        tasks.variance * cov,
        tasks.variance * xp.ones(()),
    )


@closed_moments.register
def _(tasks: FourierFeatures, covariates: Covariates) -> Moments:
    r"""$U = \frac{v}{m} \sum_j e^{-\omega_j^T \Lambda \omega_j} \Lambda \omega_j
    \omega_j^T \Lambda$: only the sines correlate with x, by Stein's lemma.
    """
    cov, waves = _gaussian_covariance(tasks, covariates), tasks.frequencies
    xp = namespace(cov, waves)
    moved = waves @ cov
    shares = tasks.variance / len(waves) * xp.exp(-xp.sum(moved * waves, axis=1))
    signal = (moved.T * shares[None, :]) @ moved
    return Moments(signal, tasks.variance * cov, tasks.variance * xp.ones(()))


@closed_moments.register
def _(tasks: Polynomial, covariates: Covariates) -> Moments:
    cov = _gaussian_covariance(tasks, covariates)
    parts = [_monomial_moments(p, cov).scaled(c) for p, c in tasks.coefficients.items()]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _gaussian_covariance(
    tasks: TaskDistribution, covariates: Covariates
) -> Float[Array, "d d"]:
    if isinstance(covariates, Gaussian):
        return covariates.cov
    raise AssumptionError(
        f"exact theory for {type(tasks).__name__} tasks",
        f"Gaussian covariates (found {type(covariates).__name__})",
        "take Gaussian covariates, linear tasks, or simulated moments",
    )


def check_symmetric(tasks: TaskDistribution, covariates: Covariates) -> None:
    """Refuse covariates for which x and −x differ in law."""
    if not covariates.symmetric:
        raise AssumptionError(
            f"exact theory for {type(tasks).__name__} tasks",
            f"covariates symmetric in law (found {type(covariates).__name__})",
            "take a symmetric law of the covariates, or linear tasks",
        )


def _relu_moments(
    c: Float[Array, "d d"], covariates: Covariates, slope: float
) -> Moments:
    r"""Leaky ReLU neuron with w ~ N(0, `c`) and any symmetric law of x.

    Only the odd part of φ correlates with x, so $U = \frac{(1+a)^2}{4} \Lambda C
    \Lambda$; given x, w·x is symmetric, so $V = \frac{1+a^2}{2} E[x x^T C x x^T]$ and
    $P = \frac{1+a^2}{2} tr(C \Lambda)$.
    """
    second = covariates.second_moment
    xp = namespace(c, second)
    odd, even = (1 + slope) ** 2 / 4, (1 + slope**2) / 2
    return Moments(
        odd * second @ c @ second,
        even * covariates.fourth_moment(c),
        even * xp.sum(c * second),
    )


def _monomial_moments(degree: int, cov: Float[Array, "d d"]) -> Moments:
    r"""Kernel $(x^T x')^p$ under x ~ N(0, Λ): V and P through $S_k = E[(x^T x)^k x
    x^T]$.

    For odd p, $U = p!! \Lambda E[(x^T \Lambda x)^{(p-1)/2} x x^T]$; it is 0 for even p.
    """
    xp = namespace(cov)
    power, energy = quadratic_form_moments(xp.eye(cov.shape[0]), cov, degree)
    if degree % 2 == 0:
        return Moments(0 * cov, energy, power)
    double_factorial = prod(range(degree, 0, -2))
    _, inner = quadratic_form_moments(cov, cov, (degree - 1) // 2)
    return Moments(double_factorial * cov @ inner, energy, power)


def quadratic_form_moments(
    a: Float[Array, "d d"], cov: Float[Array, "d d"], order: int
) -> tuple[Float[Array, ""], Float[Array, "d d"]]:
    r"""$E[q^k]$ and $E[q^k x x^T]$ for $q = x^T A x$, x ~ N(0, Λ), k = `order`.

    By Stein's lemma $S_k = m_k \Lambda + 2k \Lambda A S_{k-1}$ with $m_k = tr(A
    S_{k-1})$.
    """
    xp = namespace(a, cov)
    mean, matrix = xp.ones(()), cov
    for k in range(1, order + 1):
        mean = xp.trace(a @ matrix)
        matrix = mean * cov + 2 * k * cov @ a @ matrix
    return mean, matrix
