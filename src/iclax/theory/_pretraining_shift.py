"""Finite pre-training data with any task covariance, tested on any other."""

from typing import Any, NamedTuple

from jaxtyping import Float

from .._arrays import Array, namespace
from .._psd import as_covariance
from ._pretraining import PretrainingLoads


class _Equivalent(NamedTuple):
    """The deterministic equivalent of (Ĉ + ν I)⁻¹, and the pre-training error.

    `resolvent` F and `squared` F₂ stand for (Ĉ + νI)⁻¹ and (Ĉ + νI)⁻²; `trace` M and
    `slope` M' are tr F/d and −tr F₂/d. `implicit` ξ is the ridge that finite data act
    as; `variance` c is the error on the pre-training law over τ.
    """

    resolvent: Array
    squared: Array
    trace: Array
    slope: Array
    shift: Array
    implicit: Array
    variance: Array


def pretrained_risk(
    loads: PretrainingLoads,
    train_cov: Float[Array, "d d"] | Any,
    test_cov: Float[Array, "d d"] | Any | None = None,
    *,
    test_context: float | None = None,
    test_noise_variance: float | None = None,
) -> Float[Array, ""]:
    r"""Risk of ridge pre-training on K tasks w ~ N(0, C), tested on N(0, C'); d → ∞.

    With ν = ρ_tr/α + ξ, $\rho_{tr} = tr C/d + \rho$, $\rho_{te} = tr C'/d + \rho'$,
    $\hat C$ the covariance of the K tasks and $\hat F = (\hat C + \nu I)^{-1}$,

    $$R = \tfrac1d tr(C' [c \hat F + (\nu^2 - c\xi) \hat F^2])
    + \tfrac{\rho_{te}}{\alpha'} \tfrac1d tr(I + (c - 2\nu) \hat F
    + (\nu^2 - c \xi) \hat F^2)$$

    through deterministic equivalents; ξ is the implicit ridge, 0 for τ > 1 and λ = 0.
    `train_cov` C and `test_cov` C' (C where left out) are d × d; their spectrum stands
    for the limit. `test_context` α' and `test_noise_variance` ρ' are those of training
    where left out. Against the noiseless target. Letey, Lu & Pehlevan give the
    ridgeless case; derived for any λ in docs/theory/finite-data.md.
    """
    train = as_covariance(train_cov, "train_cov")
    dim = train.shape[0]
    test = train if test_cov is None else as_covariance(test_cov, "test_cov", dim)
    xp = namespace(train, test)
    if _diverges(loads):
        return xp.asarray(float("inf"))
    eq = _equivalent(loads, train)
    signal = xp.sum(test * eq.resolvent), xp.sum(test * eq.squared)
    return _risk(loads, eq, signal, xp.trace(test), test_context, test_noise_variance)


def seen_task_risk(
    loads: PretrainingLoads,
    train_cov: Float[Array, "d d"] | Any,
    *,
    test_context: float | None = None,
    test_noise_variance: float | None = None,
) -> Float[Array, ""]:
    r"""The same on new prompts of the K tasks seen in pre-training.

    C' is the tasks' own $\hat C$, so that $tr \hat C \hat F = d - \nu tr \hat F$. At
    the training context and noise it is τc − ρ.
    """
    train = as_covariance(train_cov, "train_cov")
    if _diverges(loads):
        return namespace(train).asarray(float("inf"))
    dim, eq = train.shape[0], _equivalent(loads, train)
    signal = (
        dim * (1 - eq.shift * eq.trace),
        dim * (eq.trace + eq.shift * eq.slope),
    )
    power = namespace(train).trace(train)
    return _risk(loads, eq, signal, power, test_context, test_noise_variance)


def _risk(
    loads: PretrainingLoads,
    eq: _Equivalent,
    signal: tuple[Array, Array],
    power: Array,
    test_context: float | None,
    test_noise_variance: float | None,
) -> Float[Array, ""]:
    dim = eq.resolvent.shape[0]
    context = loads.context if test_context is None else test_context
    noise = loads.noise_variance if test_noise_variance is None else test_noise_variance
    c, nu, xi = eq.variance, eq.shift, eq.implicit
    spread = 1 + (c - 2 * nu) * eq.trace - (nu**2 - c * xi) * eq.slope
    label = (power / dim + noise) / context
    return (c * signal[0] + (nu**2 - c * xi) * signal[1]) / dim + label * spread


def _equivalent(loads: PretrainingLoads, train: Float[Array, "d d"]) -> _Equivalent:
    r"""Everything at the root t of the self-consistent equations.

    In t = s/ν, with u = tr(I + tC)⁻¹/d: $s = 1 - (1-u)/\kappa$,
    $F = (sC + \nu I)^{-1}$, ν = s/t and M = u/ν are explicit, so one root in t is all
    there is to find.
    """
    xp = namespace(train)
    dim, tau, rho = train.shape[0], loads.prompts, loads.noise_variance
    base = (xp.trace(train) / dim + rho) / loads.context
    t = _root(loads, train, base)
    eye = xp.eye(dim)
    scaled = xp.linalg.inv(eye + t * train)  # νF
    u = xp.trace(scaled) / dim
    nu = (1 - (1 - u) / loads.tasks) / t
    f, m = scaled / nu, u / nu
    xi = nu - base if _has_implicit_ridge(loads) else 0 * nu
    inner = xp.sum(f * (eye + m / loads.tasks * train) @ f) / dim
    slope = -inner / (1 + nu / loads.tasks * xp.sum(f * (train @ f)) / dim)
    squared = f @ ((m + nu * slope) / loads.tasks * train + eye) @ f
    error = rho + nu - nu**2 * m - xi * (1 - 2 * nu * m - nu**2 * slope)
    freedom = 1 - 2 * xi * m - xi**2 * slope
    return _Equivalent(f, squared, m, slope, nu, xi, error / (tau - freedom))


def _diverges(loads: PretrainingLoads) -> bool:
    """At the interpolation threshold without ridge the error has no limit."""
    return loads.prompts == 1 and loads.ridge == 0


def _has_implicit_ridge(loads: PretrainingLoads) -> bool:
    return loads.prompts < 1 or loads.ridge > 0


def _root(
    loads: PretrainingLoads, train: Float[Array, "d d"], base: Array
) -> Float[Array, ""]:
    """The t at which ν(t) − base is the implicit ridge: bisection, then Newton steps.

    The Newton steps make the root differentiable; the bisection is not.
    """
    xp = namespace(train)
    dim, eye = train.shape[0], xp.eye(train.shape[0])
    spectrum = xp.linalg.eigvalsh(train)

    def excess(t: Array, u: Array) -> Array:  # increasing in ν, so decreasing in t
        nu = (1 - (1 - u) / loads.tasks) / t
        xi = nu - base
        if not _has_implicit_ridge(loads):
            return xi
        ridge = loads.prompts * loads.ridge
        return xp.where(
            xi > 0,
            xi * (loads.prompts - 1 + xi * u / xp.where(nu > 0, nu, 1.0)) - ridge,
            -1.0,
        )

    low, high = xp.log(1e-16 / base), -xp.log(base)
    for _ in range(24):
        middle = (low + high) / 2
        t = xp.exp(middle)
        positive = excess(t, xp.mean(1 / (1 + t * spectrum))) > 0
        low, high = xp.where(positive, middle, low), xp.where(positive, high, middle)
    t = xp.exp((low + high) / 2)
    for _ in range(3):
        inverse = xp.linalg.inv(eye + t * train)
        u, du = xp.trace(inverse) / dim, -xp.sum(inverse * (train @ inverse)) / dim
        nu = (1 - (1 - u) / loads.tasks) / t
        dnu = (du / loads.tasks - nu) / t
        value, slope = nu - base, dnu
        if _has_implicit_ridge(loads):
            xi, m, dm = nu - base, u / nu, du / nu - u / nu**2 * dnu
            value = xi * (loads.prompts - 1 + xi * m) - loads.prompts * loads.ridge
            slope = dnu * (loads.prompts - 1 + 2 * xi * m) + xi**2 * dm
        t = t - value / slope
    return t
