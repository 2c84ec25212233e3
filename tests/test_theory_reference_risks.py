"""Exact risks of ridge, Bayes and descent, and the Wishart averages behind them."""

import helpers
import jax
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import chi2

from iclax import theory
from iclax._errors import AssumptionError, SettingError
from iclax.covariates import Gaussian, Uniform
from iclax.prompts import PromptDistribution
from iclax.tasks import Linear, LowRank, Mixture, ReluNeuron
from iclax.theory import _reference_risks as own
from iclax.theory._wishart import trace_word

LENGTHS = (1, 2, 5, 20)


def isotropic(dim=3, n=5, noise=0.5, tasks=None):
    tasks = Linear(helpers.spd(dim, 71), np.ones(dim)) if tasks is None else tasks
    return PromptDistribution(Gaussian(1.3 * np.eye(dim)), tasks, n, noise)


def simulated(prompts, weights, estimates, num=60_000):
    """Mean risks and standard errors of plain NumPy estimates, at each length.

    `weights(rng, m)` draws task vectors; an estimate takes X, y of shape (m, n, ·).
    """
    rng, found = np.random.default_rng(11), []
    for n in LENGTHS:
        w = weights(rng, num)
        xs = gaussian(rng, prompts.covariates.cov, (num, n))
        query = gaussian(rng, prompts.covariates.cov, (num,))
        ys = np.einsum("mnd,md->mn", xs, w)
        ys = ys + prompts.noise_std * rng.standard_normal(ys.shape)
        losses = [np.sum((f(xs, ys) - w) * query, 1) ** 2 for f in estimates]
        found.append([(v.mean(), v.std() / num**0.5) for v in losses])
    return np.moveaxis(np.array(found), -1, 0).swapaxes(1, 2)


def gaussian(rng, cov, shape):
    return rng.standard_normal((*shape, len(cov))) @ np.linalg.cholesky(cov).T


def ridge(penalty):
    def estimate(xs, ys):
        gram = xs.swapaxes(1, 2) @ xs + penalty * np.eye(xs.shape[2])
        return np.linalg.solve(gram, np.einsum("mnd,mn->md", xs, ys)[..., None])[..., 0]

    return estimate


def posterior(root, mean, noise):
    """The posterior mean of w = `mean` + `root` z, z ~ N(0, I)."""

    def estimate(xs, ys):
        return mean + ridge(noise**2)(xs @ root, ys - xs @ mean) @ root.T

    return estimate


def descent(steps, gamma):
    def estimate(xs, ys):
        w = np.zeros((len(xs), xs.shape[2]))
        for step in steps:
            residuals = np.einsum("mnd,md->mn", xs, w) - ys
            slope = np.einsum("mnd,mn->md", xs, residuals) / xs.shape[1]
            w = w - step * slope @ gamma.T
        return w

    return estimate


def exact(risk, prompts, lengths=LENGTHS):
    return [risk(prompts.replace(context_length=n)) for n in lengths]


@pytest.mark.parametrize(
    "dim, n", [(1, 1), (2, 2), (5, 3), (3, 5), (20, 31), (90, 90), (5, 10**6)]
)
def test_spectral_mean_has_the_known_trace_moments(dim, n):
    assert theory.spectral_mean(np.ones_like, dim, n) == pytest.approx(dim, rel=1e-11)
    first = theory.spectral_mean(lambda s: s, dim, n)
    assert first == pytest.approx(n * dim, rel=1e-11)
    second = theory.spectral_mean(lambda s: s**2, dim, n)
    assert second == pytest.approx(n * dim * (n + dim + 1), rel=1e-11)


@pytest.mark.parametrize("n", [1, 2, 9])
def test_spectral_mean_of_one_dimension_is_a_chi_square_integral(n):
    for noise in (1e-4, 0.3):
        exact = quad(
            lambda s, c=noise: c / (c + s**2) * 2 * s * chi2.pdf(s**2, n),
            0,
            30,
            limit=500,
            epsabs=0,
            epsrel=1e-12,
            points=[noise**0.5, 1.0],
        )[0]
        found = theory.spectral_mean(lambda s, c=noise: c / (c + s), 1, n)
        assert found == pytest.approx(exact, rel=1e-9)
        turned = theory.spectral_mean(lambda s, c=noise: c / (c + s), n, 1)
        assert turned == pytest.approx(exact + n - 1, rel=1e-9)


@pytest.mark.parametrize("dim, n", [(2, 2), (3, 4), (4, 3)])
def test_spectral_mean_equals_simulated_spectra(dim, n):
    xs = np.random.default_rng(5).standard_normal((100_000, n, dim))
    values = np.linalg.eigvalsh(np.swapaxes(xs, 1, 2) @ xs).clip(0)
    draws = (0.1 / (0.1 + values)).sum(1)
    error = draws.std() / len(draws) ** 0.5
    found = theory.spectral_mean(lambda s: 0.1 / (0.1 + s), dim, n)
    assert abs(draws.mean() - found) < 3 * error


@pytest.mark.parametrize("power", [1, 2, 3, 4])
def test_pairings_equal_the_spectrum_for_the_identity(power):
    dim, n = 3, 4
    found = trace_word([np.eye(dim), None] * power, np.eye(dim), n)
    exact = theory.spectral_mean(lambda s: (s / n) ** power, dim, n)
    assert found == pytest.approx(exact, rel=1e-11)


def test_pairings_equal_quadrature_for_general_matrices():
    """E tr(A S B S C S) at d = 2, n = 1: the sixth moments of one Gaussian vector."""
    rng, cov = np.random.default_rng(6), helpers.spd(2, 72)
    a, b, c = rng.standard_normal((3, 2, 2))
    points, weights = helpers._point_rule(Gaussian(cov), 4)
    forms = [np.einsum("mi,ij,mj->m", points, m, points) for m in (a, b, c)]
    found = trace_word([a, None, b, None, c, None], cov, 1)
    assert found == pytest.approx(weights @ np.prod(forms, axis=0), rel=1e-11)


STEPS = [0.3, 0.5, 0.2, 0.4]


def test_risks_with_isotropic_covariates_equal_simulation():
    prompts, tasks = isotropic(), helpers.spd(3, 71)
    best = 0.5**2 * 3 / (np.trace(tasks) + 3)
    cases = [
        (ridge(best), theory.ridge_risk),
        (ridge(0.8), lambda p: theory.ridge_risk(p, 0.8)),
        (descent([1.0], np.eye(3)), lambda p: theory.gradient_descent_risk([1.0], p)),
        (descent(STEPS, np.eye(3)), lambda p: theory.gradient_descent_risk(STEPS, p)),
    ]
    mean, error = simulated(
        prompts,
        lambda rng, m: np.ones(3) + gaussian(rng, tasks, (m,)),
        [estimate for estimate, _ in cases],
    )
    found = np.array([exact(risk, prompts) for _, risk in cases])
    assert np.all(np.abs(mean - found) < 3 * error)


@pytest.mark.parametrize("dim, n", [(3, 5), (3, 20), (6, 4), (9, 2)])
def test_least_squares_has_its_classical_risk(dim, n):
    """σ² d/(n − d − 1) above, (1 − n/d) tr W + σ² n/(d − n − 1) below (ℓ = 1)."""
    noise, w = 0.7, helpers.spd(dim, 73)
    prompts = PromptDistribution(Gaussian(np.eye(dim)), Linear(w), n, noise)
    if n > dim:
        exact = noise**2 * dim / (n - dim - 1)
    else:
        exact = (1 - n / dim) * np.trace(w) + noise**2 * n / (dim - n - 1)
    assert theory.ridge_risk(prompts, 0.0) == pytest.approx(exact, rel=1e-9)


def test_ridge_risk_is_least_at_the_default_penalty_and_zero_risk_at_infinity():
    prompts = isotropic()
    best = theory.ridge_risk(prompts)
    penalty = 0.5**2 * 3 / np.trace(prompts.tasks.weight_second_moment)
    for factor in (0.9, 1.1):
        assert theory.ridge_risk(prompts, factor * penalty) > best
    at_infinity = theory.ridge_risk(prompts, np.inf)
    assert at_infinity == pytest.approx(theory.zero_risk(prompts))
    assert theory.ridge_risk(prompts, 1e12) == pytest.approx(at_infinity, rel=1e-9)


@pytest.mark.parametrize("n", LENGTHS)
def test_bayes_risk_is_that_of_ridge_where_both_are_known(n):
    prompts = isotropic(n=n, tasks=Linear(0.6 * np.eye(3)))
    bayes = theory.bayes_risk(prompts)
    assert bayes == pytest.approx(theory.ridge_risk(prompts), rel=1e-12)
    moved = isotropic(n=n, tasks=Linear(0.6 * np.eye(3), np.ones(3)))
    assert theory.bayes_risk(moved) == pytest.approx(bayes, rel=1e-12)
    assert bayes < theory.optimal_risk(prompts)


def test_bayes_risk_of_one_dimension_is_an_integral():
    prompts = PromptDistribution(Gaussian([1.7]), Linear([0.6]), 4, 0.5)
    exact = quad(
        lambda s: 1.7 / (1 / 0.6 + 1.7 * s / 0.25) * chi2.pdf(s, 4),
        0,
        np.inf,
        epsrel=1e-12,
    )[0]
    assert theory.bayes_risk(prompts) == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize("name", ["inverse", "subspace"])
def test_bayes_risk_equals_simulation(name):
    cov = helpers.spd(3, 74)
    if name == "inverse":
        law, tasks = Gaussian(cov), Linear(np.linalg.inv(cov), np.ones(3))
        root, center = np.linalg.inv(np.linalg.cholesky(cov)).T, np.ones(3)
    else:
        law, tasks = Gaussian(np.eye(3)), LowRank.random(3, 2)
        root, center = tasks.bases[0], np.zeros(3)
    prompts = PromptDistribution(law, tasks, 5, 0.5)
    mean, error = simulated(
        prompts,
        lambda rng, m: center + rng.standard_normal((m, root.shape[1])) @ root.T,
        [posterior(root, center, 0.5)],
    )
    assert np.all(np.abs(mean[0] - exact(theory.bayes_risk, prompts)) < 3 * error[0])


def test_noiseless_bayes_risk_counts_the_directions_not_seen():
    prompts = PromptDistribution(Gaussian(np.eye(5)), Linear(np.eye(5)), 3)
    assert theory.bayes_risk(prompts) == pytest.approx(2.0, rel=1e-12)
    assert theory.bayes_risk(prompts.replace(context_length=7)) == 0
    still = prompts.replace(tasks=Linear(np.zeros((5, 5)), np.ones(5)))
    assert theory.bayes_risk(still) == 0


@pytest.mark.parametrize("num", [1, 2, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.parametrize("n", [1, 4])
def test_descent_on_the_spectrum_equals_pairings(num, n):
    cov = helpers.spd(2, 75)
    prompts = PromptDistribution(
        Gaussian(cov), Linear(helpers.spd(2, 76), np.ones(2)), n, 0.6
    )
    gamma = 0.8 * np.linalg.inv(cov)
    first = own._descent_on_the_spectrum(STEPS[:num], prompts, cov, 0.8)
    second = own._descent_by_pairings(num, prompts, gamma, cov)(STEPS[:num])
    assert first == pytest.approx(second, rel=1e-10)
    found = theory.gradient_descent_risk(STEPS[:num], prompts, gamma)
    assert found == pytest.approx(first, rel=1e-10)


def test_descent_with_general_covariances_equals_simulation():
    tasks, gamma = helpers.spd(3, 78), helpers.spd(3, 79) / 4
    prompts = PromptDistribution(Gaussian(helpers.spd(3, 77)), Linear(tasks), 5, 0.6)
    mean, error = simulated(
        prompts,
        lambda rng, m: gaussian(rng, tasks, (m,)),
        [descent(STEPS[:1], gamma), descent(STEPS[:2], gamma)],
    )
    for num in (1, 2):
        found = exact(
            lambda p, k=num: theory.gradient_descent_risk(STEPS[:k], p, gamma), prompts
        )
        assert np.all(np.abs(mean[num - 1] - found) < 3 * error[num - 1])


def test_one_best_step_is_the_best_plain_step():
    prompts = isotropic()
    one, plain = (
        theory.best_gradient_descent(prompts, 1),
        theory.best_plain_step(prompts),
    )
    assert one.risk == pytest.approx(plain.risk, rel=1e-12)
    assert one.step == pytest.approx(plain.step, rel=1e-5)
    two = theory.best_gradient_descent(prompts, 2)
    assert theory.ridge_risk(prompts) < two.risk < one.risk


@pytest.mark.parametrize("num", [2, 5])
def test_the_best_shared_step_is_that_of_a_grid(num):
    prompts = isotropic()
    found = theory.best_gradient_descent(prompts, num)
    grid = np.linspace(0, 3 * found.step, 151)
    risks = [theory.gradient_descent_risk([step] * num, prompts) for step in grid]
    assert grid[np.argmin(risks)] == pytest.approx(found.step, abs=grid[1])
    assert min(risks) >= found.risk and min(risks) == pytest.approx(found.risk, 1e-4)


STEEP = PromptDistribution(Gaussian([10.0, 0.1]), Linear([0.0, 1.0]), 1000)
LEANING = PromptDistribution(  # the query makes tr(C) negative
    Gaussian(np.array([[1.0, 0.5], [0.5, 0.4]])),
    Linear(np.zeros((2, 2)), np.array([0.0, 1.0])),
    5,
    0.3,
    Gaussian(np.array([[1.001, -0.9], [-0.9, 0.811]])),
)


@pytest.mark.parametrize(
    "prompts", [STEEP, LEANING, isotropic()], ids=["steep", "leaning", "isotropic"]
)
@pytest.mark.parametrize("num", [1, 2, pytest.param(3, marks=pytest.mark.slow)])
def test_the_best_shared_step_is_that_of_a_wide_grid(prompts, num):
    """The edge 2 / λ_max bounds nothing where W avoids the top eigenvector."""
    found = theory.best_gradient_descent(prompts, num)
    steps = np.linspace(-2, 2, 201)
    risks = own.descent_risks(num, prompts)
    values = np.array([risks([step] * num) for step in steps])
    assert steps[np.argmin(values)] == pytest.approx(found.step, abs=1.01e-2)
    assert found.risk <= values.min() * (1 + 1e-12)
    assert found.risk == pytest.approx(risks([found.step] * num), rel=1e-12)


def test_one_best_step_beyond_the_edge_is_the_best_plain_step():
    found, plain = theory.best_gradient_descent(STEEP, 1), theory.best_plain_step(STEEP)
    assert (found.step, found.risk) == (plain.step, plain.risk)
    assert found.step > 4 * 2 / 10


@pytest.mark.parametrize("num", [2, 4])
def test_the_lower_of_several_local_minima_is_found(num):
    """Sharp spectra and loud labels: u^K = c / (1 + c) at u = 1 − ηt of either sign."""
    prompts = PromptDistribution(Gaussian([1.0]), Linear([1.0]), 1000, 40.0)
    found = theory.best_gradient_descent(prompts, num)
    steps = np.linspace(0, 2.2, 221)
    values = [theory.gradient_descent_risk([step] * num, prompts) for step in steps]
    wells = 1 + np.flatnonzero(np.diff(np.sign(np.diff(values))) > 0)
    assert len(wells) == 2
    assert steps[np.argmin(values)] == pytest.approx(found.step, abs=1.01e-2)
    assert found.risk <= min(values)


@pytest.mark.parametrize("num", [2, 5])
def test_the_slope_vanishes_at_the_best_shared_step(num):
    prompts = isotropic(n=30)
    found = theory.best_gradient_descent(prompts, num)
    risk = lambda step: theory.gradient_descent_risk([step] * num, prompts)
    slope, curve = jax.jit(
        lambda step: (jax.grad(risk)(step), jax.grad(jax.grad(risk))(step)),
        compiler_options=helpers.QUICK,
    )(found.step)
    assert curve > 0 and abs(slope / curve) < 1e-8 * found.step


def test_the_best_shared_step_of_tasks_that_are_zero_is_zero():
    prompts = isotropic(tasks=Linear(np.zeros((3, 3))))
    found = theory.best_gradient_descent(prompts, 2)
    assert (found.step, found.risk) == (0, 0)


def test_risks_are_differentiated_in_penalty_steps_and_tasks():
    prompts, width = isotropic(), 1e-5

    def ridge_at(penalty, size):
        tasks = Linear(size * prompts.tasks.cov)
        return theory.ridge_risk(prompts.replace(tasks=tasks), penalty)

    def descent_at(first, second):
        changed = prompts.replace(covariates=Gaussian(helpers.spd(3, 77)))
        return theory.gradient_descent_risk([first, second], changed)

    for risk in (ridge_at, descent_at):
        slope = jax.jit(jax.grad(risk, (0, 1)), compiler_options=helpers.QUICK)
        ups, downs = (
            ((0.5 + width, 0.9), (0.5, 0.9 + width)),
            (
                (0.5 - width, 0.9),
                (0.5, 0.9 - width),
            ),
        )
        rises = [
            (risk(*up) - risk(*down)) / (2 * width)
            for up, down in zip(ups, downs, strict=True)
        ]
        np.testing.assert_allclose(slope(0.5, 0.9), rises, rtol=1e-7)


def test_a_query_law_of_its_own_is_exact_with_isotropic_tasks():
    query = Gaussian(helpers.spd(3, 80))
    prompts = isotropic(tasks=Linear(0.7 * np.eye(3))).replace(query_covariates=query)
    own = isotropic(tasks=Linear(0.7 * np.eye(3)))
    share = np.trace(query.cov) / (3 * 1.3)
    for risk in (theory.ridge_risk, lambda p: theory.gradient_descent_risk(STEPS, p)):
        assert risk(prompts) == pytest.approx(share * risk(own), rel=1e-12)
    with pytest.raises(AssumptionError, match="isotropic tasks"):
        theory.ridge_risk(isotropic().replace(query_covariates=query))


def test_missing_assumptions_are_named():
    wide = Gaussian(helpers.spd(3, 81))
    cases = [
        (theory.ridge_risk, isotropic().replace(covariates=wide), "isotropic cov"),
        (theory.ridge_risk, isotropic(tasks=ReluNeuron(np.eye(3))), "linear tasks"),
        (theory.bayes_risk, isotropic(), "equal non-zero"),
        (theory.bayes_risk, isotropic(tasks=Mixture([Linear(np.eye(3))] * 2)), "one G"),
        (
            theory.bayes_risk,
            isotropic().replace(covariates=Uniform(np.eye(3))),
            "Gaussian cov",
        ),
        (
            lambda p: theory.gradient_descent_risk(STEPS, p),
            isotropic().replace(covariates=wide),
            "at most 3",
        ),
        (lambda p: theory.ridge_risk(p, 0.0), isotropic(n=4), "at least 2 apart"),
    ]
    for risk, prompts, missing in cases:
        with pytest.raises(AssumptionError, match=missing):
            risk(prompts)
    with pytest.raises(SettingError, match="num_steps"):
        theory.best_gradient_descent(isotropic(), 0)
    with pytest.raises(SettingError, match="penalty"):
        theory.ridge_risk(isotropic(), -1.0)
