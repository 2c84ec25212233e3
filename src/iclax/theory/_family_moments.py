"""Moments of the function classes of the multi-task literature."""

from jaxtyping import Float

from .._arrays import Array, namespace
from .._errors import AssumptionError
from ..covariates import Covariates, Gaussian
from ..tasks import Polynomial, Projected, Quadratic
from ._linear_algebra import psd_solve
from ._moments_closed import Moments, closed_moments, quadratic_form_moments


@closed_moments.register
def _(tasks: Quadratic, covariates: Covariates) -> Moments:
    r"""Kernel $((x^T x')^2 + m^2 (1^T x)^2 (1^T x')^2)/d$: even in x, so U = 0."""
    cov = _gaussian(tasks, covariates)
    centered = closed_moments(Polynomial(tasks.dim, {2: 1 / tasks.dim}), covariates)
    ones = namespace(cov).ones((tasks.dim, tasks.dim))
    power, energy = quadratic_form_moments(ones, cov, 2)
    shift = Moments(0 * cov, energy, power)
    return centered + shift.scaled(tasks.mean**2 / tasks.dim)


@closed_moments.register
def _(tasks: Projected, covariates: Covariates) -> Moments:
    r"""With z = Uᵀx and the regression x = M z + rest, $M = \Lambda U (U^T \Lambda
    U)^{+}$: $U = M U_g M^T$ and $V = M V_g M^T + P_g (\Lambda - M U^T \Lambda)$.

    The rest is independent of z because x is Gaussian.
    """
    cov = _gaussian(tasks, covariates)
    inner = inner_covariates(tasks, cov)
    own = closed_moments(tasks.tasks, inner)
    lift = psd_solve(inner.cov, (cov @ tasks.basis).T).T
    rest = cov - lift @ tasks.basis.T @ cov
    return Moments(
        lift @ own.signal @ lift.T,
        lift @ own.energy @ lift.T + own.power * (rest + rest.T) / 2,
        own.power,
    )


def inner_covariates(tasks: Projected, cov: Float[Array, "d d"]) -> Gaussian:
    """The law N(0, UᵀΛU) of Uᵀx where x ~ N(0, Λ)."""
    return Gaussian(tasks.basis.T @ cov @ tasks.basis)


def _gaussian(tasks: object, covariates: Covariates) -> Float[Array, "d d"]:
    if isinstance(covariates, Gaussian):
        return covariates.cov
    raise AssumptionError(
        f"exact theory for {type(tasks).__name__} tasks",
        f"Gaussian covariates (found {type(covariates).__name__})",
        "take Gaussian covariates or simulated moments",
    )


__all__ = ["inner_covariates"]
