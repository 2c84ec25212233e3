"""Exact risks of the reference predictors: ridge, Bayes and steps of descent."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from .._arrays import Array, is_concrete, namespace
from .._errors import AssumptionError, SettingError
from .._psd import psd_roots, zero_share
from ..covariates import Gaussian
from ..prompts import PromptDistribution
from ..tasks import weight_law
from ._inputs import as_preconditioner
from ._one_layer import preconditioner_risk
from ._wishart import spectral_mean, trace_word
from .families import facts, query_law

_FLAT = 1e-9  # relative spread up to which eigenvalues count as equal
MOST_PAIRED_STEPS = 3  # of descent with general covariances: (4K − 1)!! pairings


def ridge_risk(prompts: PromptDistribution, penalty: Any = None) -> Float[Array, ""]:
    r"""Exact risk of $\hat y = x_q^T (X^T X + \lambda I)^{-1} X^T y$; λ is `penalty`.

    $$\frac{tr(\Lambda_q)}{d} E \sum_i \Big[ \frac{tr(W)}{d} \frac{\lambda^2}{(s_i +
    \lambda)^2} + \sigma^2 \frac{s_i}{(s_i + \lambda)^2} \Big]$$

    over the eigenvalues $s_i$ of $X^T X$, by quadrature of their exact density. Left
    out, λ is the best one, $\sigma^2 d / tr(W)$: the Bayes predictor if w ~ N(0, ψ²I).
    Derived in docs/theory/reference-risks.md.

    Raises `AssumptionError` unless x ~ N(0, ℓI), tasks are linear, and the query or the
    tasks are isotropic; and where λ = 0 makes the risk infinite.
    """
    cov, w = _gaussian(prompts).cov, facts(prompts.tasks).weight_moment()
    if not _is_flat(cov):
        raise AssumptionError(
            "the exact risk of ridge regression",
            "isotropic covariates, x ~ N(0, ℓI)",
            "simulate the risk of predictors.Ridge",
        )
    query, power = _mean_sizes(query_law(prompts).second_moment, w)
    noise, n, d = prompts.noise_std**2, prompts.context_length, prompts.dim
    if penalty is None:
        penalty = _best_penalty(noise, power)
    if is_concrete(penalty):
        if np.isinf(penalty):
            return d * query * power
        _check_penalty(penalty, noise, n, d)

    def shares(eigenvalues: np.ndarray) -> Array:
        s = cov[0, 0] * eigenvalues
        xp = namespace(s, penalty)
        total = xp.where(s + penalty > 0, s + penalty, 1.0)
        kept = xp.where(s + penalty > 0, penalty / total, 1.0)
        return power * kept**2 + noise * s / total**2

    return query * spectral_mean(shares, d, n)


def _best_penalty(noise: Any, power: Any) -> Any:
    if is_concrete(noise) and is_concrete(power):
        return noise / power if power else np.inf
    return noise / power


def _check_penalty(penalty: float, noise: Any, n: int, d: int) -> None:
    if penalty < 0:
        raise SettingError("penalty", f"{penalty}", "a number ≥ 0")
    infinite = penalty == 0 and abs(n - d) <= 1
    if infinite and not (is_concrete(noise) and noise == 0):
        raise AssumptionError(
            "the risk of least squares",
            f"n and d at least 2 apart (found n = {n}, d = {d}: it is infinite)",
            "a penalty above 0",
        )


def bayes_risk(prompts: PromptDistribution) -> Float[Array, ""]:
    r"""The least risk of any predictor: the posterior variance at the query.

    For w ~ N(μ, C) it is $E\,tr\,\Lambda (C^{-1} + X^T X / \sigma^2)^{-1}$ for any μ.
    Where $\Lambda^{1/2} C \Lambda^{1/2}$ has r equal non-zero eigenvalues c it is
    $E \sum_{i \le r} c\,\sigma^2 / (\sigma^2 + c\, s_i)$, $s_i$ the eigenvalues of a
    standard Wishart matrix of size r: isotropic laws, Λ = C^{-1}, one subspace. It is 0
    without noise where n ≥ r, whatever the spectrum.

    Raises `AssumptionError` elsewhere: for mixtures, other spectra, a query law of its
    own, or tasks that are not linear.
    """
    cov, law = np.asarray(_gaussian(prompts).cov), weight_law(prompts.tasks)
    if law is None or len(law.weights) != 1 or prompts.query_covariates is not None:
        raise AssumptionError(
            "the exact Bayes risk",
            "linear tasks with weights of one Gaussian, and a query like x",
            "simulate the risk of predictors.bayes_predictor",
        )
    spread = law.factors[0].T @ cov @ law.factors[0]  # the spectrum of Λ^½ C Λ^½
    values = np.linalg.eigvalsh(spread) if spread.size else np.zeros(1)
    values = values[values > zero_share(spread) * values[-1]]
    known = prompts.noise_std == 0 and prompts.context_length >= len(values)
    if not len(values) or known:  # as many exact equations as unknowns
        return np.float64(0.0)
    if np.ptp(values) > _FLAT * values[-1]:
        raise AssumptionError(
            "the exact Bayes risk",
            "equal non-zero eigenvalues of Λ^(1/2) C Λ^(1/2)",
            "simulate the risk of predictors.bayes_predictor",
        )
    c, noise = np.mean(values), prompts.noise_std**2

    def variance(s: np.ndarray) -> np.ndarray:
        total = noise + c * s
        return np.where(total > 0, c * noise / np.where(total > 0, total, 1.0), c)

    return spectral_mean(variance, len(values), prompts.context_length)


def gradient_descent_risk(
    steps: Sequence[Any],
    prompts: PromptDistribution,
    preconditioner: Float[Array, "d d"] | Any = None,
) -> Float[Array, ""]:
    r"""Exact risk of K steps of gradient descent from 0, one entry of `steps` for each.

    $w_{k+1} = w_k - \eta_k \Gamma \nabla L(w_k)$ on $L = \frac{1}{2n} \sum_i (w x_i -
    y_i)^2$ (1/n convention), Γ = `preconditioner` or I. Where ΓΛ ∝ I every power of the
    Wishart spectrum is exact; elsewhere up to three steps are, as sums over pairings;
    one step is `preconditioner_risk` for any tasks and covariates.

    Raises `AssumptionError` for more steps elsewhere, and for tasks that are not linear
    or covariates that are not Gaussian with more than one step; `SettingError` for Γ of
    a wrong shape.
    """
    if preconditioner is None:
        gamma = np.eye(prompts.dim)
    else:
        gamma = as_preconditioner(preconditioner, prompts.dim)
    if len(steps) == 1:
        return preconditioner_risk(steps[0] * gamma, prompts)
    return descent_risks(len(steps), prompts, gamma)(steps)


def descent_risks(
    num_steps: int,
    prompts: PromptDistribution,
    gamma: Float[Array, "d d"] | None = None,
) -> Callable[[Sequence[Any]], Float[Array, ""]]:
    """`gradient_descent_risk` as a function of the steps; what they share comes once.

    Raises `AssumptionError` as it does, already for a single step.
    """
    gamma = np.eye(prompts.dim) if gamma is None else gamma
    cov = _gaussian(prompts).cov
    if is_concrete(gamma @ cov) and _is_flat(gamma @ cov, np.diagonal(cov) ** 0.5):
        rate = (gamma @ cov)[0, 0]
        return lambda steps: _descent_on_the_spectrum(steps, prompts, cov, rate)
    if num_steps > MOST_PAIRED_STEPS:
        raise AssumptionError(
            f"the exact risk of {num_steps} steps of gradient descent",
            f"ΓΛ proportional to I, or at most {MOST_PAIRED_STEPS} steps",
            "simulate the risk of predictors.GradientDescent",
        )
    return _descent_by_pairings(num_steps, prompts, gamma, cov)


def _descent_on_the_spectrum(
    steps: Sequence[Any], prompts: PromptDistribution, cov: np.ndarray, rate: float
) -> Float[Array, ""]:
    """In whitened coordinates ΓΛ = `rate` · I: all happens along eigenvectors of S."""
    root, whitener = psd_roots(cov)
    query = whitener @ query_law(prompts).second_moment @ whitener.T
    query_size, power = _mean_sizes(
        query, root.T @ facts(prompts.tasks).weight_moment() @ root
    )
    n, noise = prompts.context_length, prompts.noise_std**2

    def shares(eigenvalues: np.ndarray) -> Array:
        t = eigenvalues / n
        left, gain = np.ones_like(t), np.zeros_like(t)
        for step in steps:
            left = (1 - step * rate * t) * left
            gain = (1 - step * rate * t) * gain + step * rate
        return power * left**2 + noise / n * gain**2 * t

    return query_size * spectral_mean(shares, prompts.dim, n)


def _descent_by_pairings(
    num_steps: int, prompts: PromptDistribution, gamma: Array, cov: Array
) -> Callable[[Sequence[Any]], Float[Array, ""]]:
    """The iterate is $\\sum_j c_j (\\Gamma S)^j$ of w, and of the noise: mean words."""
    query = query_law(prompts).second_moment
    w, n = facts(prompts.tasks).weight_moment(), prompts.context_length

    def means(count: int, center: list) -> dict[tuple[int, int], Float[Array, ""]]:
        right, turned, found = [gamma, None], [None, gamma.T], {}
        for i in range(count):
            for j in range(i + 1):
                word = [query, *right * i, *center, *turned * j]
                found[i, j] = found[j, i] = trace_word(word, cov, n)
        return found

    signal = means(num_steps + 1, [w])
    spread = means(num_steps, [gamma, None, gamma.T])

    def risk(steps: Sequence[Any]) -> Float[Array, ""]:
        left, gain = _descent_coefficients(steps)
        total = np.float64(0.0)
        for (i, j), mean in signal.items():
            total = total + left[i] * left[j] * mean
        for (i, j), mean in spread.items():
            total = total + prompts.noise_std**2 / n * gain[i] * gain[j] * mean
        return total

    return risk


def _descent_coefficients(steps: Sequence[Any]) -> tuple[list, list]:
    """Of the powers of ΓS in what is left of w, and of (ΓS)^j Γ in the gain."""
    left, gain = [1.0], [0.0]
    for step in steps:
        # Multiply by 1 − step · ΓS; the gain also takes step · Γ.
        left = _times_one_less(left, step)
        gain = _times_one_less(gain, step)
        gain[0] = gain[0] + step
    return left, gain


def _times_one_less(polynomial: list, step: Any) -> list:
    """The coefficients of (1 − `step` · t) p(t)."""
    shifted = zip([*polynomial, 0.0], [0.0, *polynomial], strict=True)
    return [a - step * b for a, b in shifted]


def _gaussian(prompts: PromptDistribution) -> Gaussian:
    query_law(prompts)  # refuses what draws otherwise than its formulas say
    if isinstance(prompts.covariates, Gaussian):
        return prompts.covariates
    raise AssumptionError(
        "the exact risk of this predictor",
        f"Gaussian covariates (found {type(prompts.covariates).__name__})",
        "simulate it",
    )


def _is_flat(matrix: Array, units: Array | None = None) -> bool:
    """Whether a matrix is known to be a multiple of the identity.

    Entry (i, j) has the unit of j over that of i, where `units` are given.
    """
    if not is_concrete(matrix):
        return False
    if units is not None and np.all(units > 0):
        matrix = units[:, None] * matrix / units[None, :]
    gap = np.abs(matrix - matrix[0, 0] * np.eye(len(matrix)))
    return bool(np.all(gap <= _FLAT * abs(matrix[0, 0])))


def _mean_sizes(query: Array, w: Array) -> tuple[Any, Any]:
    """tr/d of both: enough for E tr(Λ_q p(S) W p(S)) where one of them is isotropic."""
    if not (_is_flat(query) or _is_flat(w)):
        raise AssumptionError(
            "the exact risk of this predictor",
            "a query like that of the covariates, or isotropic tasks",
            "simulate it",
        )
    return query.trace() / len(query), w.trace() / len(w)
