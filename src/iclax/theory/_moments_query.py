"""Moments across two covariate laws: that of the context and that of the query."""

from functools import singledispatch
from math import prod
from typing import NamedTuple

from jaxtyping import Float

from .._arrays import Array, namespace
from .._errors import AssumptionError
from ..covariates import Covariates, Data, Gaussian
from ..prompts import PromptDistribution
from ..tasks import (
    FourierFeatures,
    GaussianProcess,
    Mixture,
    Polynomial,
    ReluNeuron,
    TaskDistribution,
    TwoLayerRelu,
)
from ._inputs import check_dimensions
from ._moments import moments
from ._moments_closed import Moments, check_symmetric, quadratic_form_moments
from ._moments_kernel import kernel_cross


class QueryMoments(NamedTuple):
    r"""`cross` $C = E[k(x, x_q) x x_q^T]$ and `power` $P = E k(x_q, x_q)$."""

    cross: Float[Array, "d d"]
    power: Float[Array, ""]


def cross_moments(prompts: PromptDistribution, own: Moments) -> QueryMoments:
    """What ties the context of `prompts`, with moments `own`, to its query.

    C is U where the two have one law. Raises `AssumptionError` where the task
    distribution has no closed form.
    """
    if prompts.query_covariates is None:
        return QueryMoments(own.signal, own.power)
    return query_moments(prompts.tasks, prompts.covariates, query_law(prompts))


def query_law(prompts: PromptDistribution) -> Covariates:
    """The law of x_q; raises `AssumptionError` for one that depends on the context."""
    law = prompts.query_covariates or prompts.covariates
    if not isinstance(law, Covariates):
        raise AssumptionError(
            "exact theory of this prompt",
            f"a query that is independent of the context (found {law})",
            "simulate the risk",
        )
    return law


def query_moments(
    tasks: TaskDistribution, covariates: Covariates, query: Covariates
) -> QueryMoments:
    """Exact `QueryMoments` of `tasks` for x ~ `covariates` and x_q ~ `query`.

    Raises `AssumptionError` where no closed form is known, and `SettingError` where
    dimensions differ.
    """
    check_dimensions(tasks, covariates)
    check_dimensions(tasks, query, "query")
    if isinstance(tasks, Mixture):
        parts = [query_moments(part, covariates, query) for part in tasks.components]
        pairs = list(zip(tasks.weights, parts, strict=True))
        return QueryMoments(
            sum(w * part.cross for w, part in pairs),
            sum(w * part.power for w, part in pairs),
        )
    if hasattr(tasks, "weight_second_moment"):
        w, second = tasks.weight_second_moment, query.second_moment
        xp = namespace(w, second)
        return QueryMoments(covariates.second_moment @ w @ second, xp.sum(w * second))
    power = moments(tasks, query).power
    if isinstance(covariates, Data) and isinstance(query, Data):
        return QueryMoments(kernel_cross(tasks, covariates, query), power)
    return QueryMoments(closed_cross(tasks, covariates, query), power)


@singledispatch
def closed_cross(
    tasks: TaskDistribution, covariates: Covariates, query: Covariates
) -> Float[Array, "d d"]:
    """The closed forms of C behind `query_moments`."""
    raise AssumptionError(
        f"{type(tasks).__name__} tasks with a query law of its own",
        "a closed form for the kernel between the two laws",
        "leave the query law out, or simulate the risk",
    )


@closed_cross.register(ReluNeuron)
@closed_cross.register(TwoLayerRelu)
def _(tasks, covariates: Covariates, query: Covariates) -> Float[Array, "d d"]:
    r"""$u_f = \frac{1+a}{2} \Lambda w$ under both laws: the odd part of φ counts."""
    for law in (covariates, query):
        check_symmetric(tasks, law)
    slope = getattr(tasks, "slope", 0.0)
    odd = (1 + slope) ** 2 / 4 * getattr(tasks, "scale", 1.0) ** 2
    cross = covariates.second_moment @ tasks.cov @ query.second_moment
    return odd * cross


@closed_cross.register
def _(
    tasks: GaussianProcess, covariates: Covariates, query: Covariates
) -> Float[Array, "d d"]:
    r"""$C = v |I + A M|^{-1/2} \Lambda (I + A M)^{-1} A \Lambda_q$, $M = \Lambda +
    \Lambda_q$."""
    first, second = _gaussian(tasks, covariates), _gaussian(tasks, query)
    xp, a = namespace(first, second, tasks.metric), tasks.metric
    spread = xp.eye(tasks.dim) + a @ (first + second)
    cross = first @ xp.linalg.solve(spread, a @ second)
    return tasks.variance / xp.sqrt(xp.linalg.det(spread)) * cross


@closed_cross.register
def _(
    tasks: FourierFeatures, covariates: Covariates, query: Covariates
) -> Float[Array, "d d"]:
    """As for one law, with the waves damped by both."""
    first, second = _gaussian(tasks, covariates), _gaussian(tasks, query)
    xp, waves = namespace(first, second, tasks.frequencies), tasks.frequencies
    damping = xp.exp(-xp.sum((waves @ (first + second)) * waves, axis=1) / 2)
    shares = tasks.variance / len(waves) * damping
    return first @ (waves.T * shares[None, :]) @ waves @ second


@closed_cross.register
def _(
    tasks: Polynomial, covariates: Covariates, query: Covariates
) -> Float[Array, "d d"]:
    r"""Odd p: $C = p!!\, E[(x^T \Lambda_q x)^{(p-1)/2} x x^T] \Lambda_q$, by Stein."""
    first, second = _gaussian(tasks, covariates), _gaussian(tasks, query)
    cross = 0 * first
    for degree, coefficient in tasks.coefficients.items():
        if degree % 2:
            inner = quadratic_form_moments(second, first, (degree - 1) // 2)[1]
            factor = coefficient * prod(range(degree, 0, -2))
            cross = cross + factor * inner @ second
    return cross


def _gaussian(tasks: TaskDistribution, covariates: Covariates) -> Float[Array, "d d"]:
    if isinstance(covariates, Gaussian):
        return covariates.cov
    raise AssumptionError(
        f"{type(tasks).__name__} tasks with a query law of its own",
        f"Gaussian covariates and queries (found {type(covariates).__name__})",
        "take Gaussian laws or linear tasks, or simulate the risk",
    )
