"""One layer in GD form: published special cases, quadrature, simulation, autodiff."""

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import simulated
from helpers import COVARIATES, LINEAR_TASKS, TASKS

from iclax import theory
from iclax.covariates import Gaussian, Rademacher, StudentT
from iclax.prompts import PromptDistribution
from iclax.tasks import (
    GaussianProcess,
    Linear,
    Mixture,
    Polynomial,
    Quadratic,
    ReluNeuron,
    SparseParity,
    TwoLayerRelu,
)

LENGTHS = (1, 2, 5, 20)
DIM, SIGMA = 4, 0.6
COV = helpers.spd(DIM, 91)


def law(covariates, tasks, n, noise=SIGMA):
    return PromptDistribution(covariates, tasks, n, noise)


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("cov", [np.eye(DIM), COV], ids=["theorem 1", "theorem 2"])
def test_mahankali_theorems_one_and_two(cov, n):
    prompts = law(Gaussian(cov), Linear(np.linalg.inv(cov)), n)
    eta = 1 / (n + DIM + 1 + SIGMA**2)
    gamma = theory.optimal_preconditioner(prompts)
    np.testing.assert_allclose(gamma, n * eta * np.linalg.inv(cov), rtol=1e-9)
    assert theory.optimal_risk(prompts) == pytest.approx(DIM - n * DIM * eta, rel=1e-12)
    if cov is not COV:
        step = theory.best_plain_step(prompts)
        assert step.without_mean(n) == pytest.approx(eta, rel=1e-12)
        assert step.risk == pytest.approx(DIM - n * DIM * eta, rel=1e-12)


@pytest.mark.parametrize("n", LENGTHS)
def test_mahankali_theorem_three(n):
    """η = u / (v + (n − 1) u), with or without the sign symmetry it assumes."""
    u, v = 1 / 4, (DIM + 2) / 2 + SIGMA**2
    for tasks in (
        ReluNeuron(np.eye(DIM), random_sign=True),
        ReluNeuron(np.eye(DIM)),
        TwoLayerRelu(np.eye(DIM), 7),
    ):
        step = theory.best_plain_step(law(Gaussian(np.eye(DIM)), tasks, n))
        assert step.without_mean(n) == pytest.approx(u / (v + (n - 1) * u), rel=1e-12)


@pytest.mark.parametrize("n", LENGTHS)
def test_ahn_theorem_one(n):
    prompts = law(Gaussian(COV), Linear(np.eye(DIM)), n, 0.0)
    values, vectors = np.linalg.eigh(COV)
    expected = vectors / ((n + 1) / n * values + values.sum() / n) @ vectors.T
    np.testing.assert_allclose(
        theory.optimal_preconditioner(prompts), expected, rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize("n", LENGTHS)
def test_wu_et_al_with_a_prior_and_noise(n):
    psi = 0.7
    prompts = law(Gaussian(COV), Linear(psi**2 * np.eye(DIM)), n)
    ridge = (np.trace(COV) + SIGMA**2 / psi**2) / n
    expected = np.linalg.inv(ridge * np.eye(DIM) + (n + 1) / n * COV)
    np.testing.assert_allclose(
        theory.optimal_preconditioner(prompts), expected, rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize("test_length", LENGTHS)
def test_zhang_frei_bartlett_error_at_another_length(test_length):
    """Their printed test error of one task w at M ≠ N examples, label noise in it."""
    train, m, w = 6, test_length, helpers.vector(DIM, 92)
    prompts = law(Gaussian(COV), Linear(np.eye(DIM)), train, 0.0)
    limit = theory.optimal_preconditioner(prompts)
    gamma = (1 + 1 / train) * COV + np.trace(COV) / train * np.eye(DIM)
    np.testing.assert_allclose(limit, np.linalg.inv(gamma), rtol=1e-9, atol=1e-12)
    inverse, trace = np.linalg.inv(gamma @ gamma), np.trace(COV)
    spread = COV @ np.outer(w, w) @ COV + (w @ COV @ w + SIGMA**2) * COV
    bias = [w @ inverse @ np.linalg.matrix_power(COV, k) @ w for k in (3, 2, 1)]
    expected = np.trace(spread @ inverse @ COV) / m
    expected += np.dot([1, 2 * trace, trace**2], bias) / train**2
    test = law(Gaussian(COV), Linear(np.zeros((DIM, DIM)), w), m)
    found = theory.preconditioner_risk(limit, test)
    assert found == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("d", [1, 2, 5])
def test_closed_moments_with_isotropic_covariates(d):
    alpha = 1 / 1.7**2
    expected = {
        ReluNeuron(np.eye(d)): (1 / 4, (d + 2) / 2, d / 2),
        Polynomial(d, {3: 1.0}): (
            3 * (d + 2),
            (d + 2) * (d + 4) * (d + 6),
            d * (d + 2) * (d + 4),
        ),
        GaussianProcess.rbf(d, 1.7): (
            (1 + 2 * alpha) ** (-d / 2) * alpha / (1 + 2 * alpha),
            1,
            1,
        ),
    }
    for tasks, (signal, energy, power) in expected.items():
        found = theory.moments(tasks, Gaussian(np.eye(d)))
        np.testing.assert_allclose(found.signal, signal * np.eye(d), atol=1e-11)
        np.testing.assert_allclose(found.energy, energy * np.eye(d), rtol=1e-12)
        assert found.power == pytest.approx(power, rel=1e-12)


def test_even_classes_teach_one_layer_nothing():
    for tasks, covariates in (
        (Polynomial(DIM, {2: 1.0, 4: 0.5}), Gaussian(COV)),
        (Quadratic(DIM), Gaussian(np.eye(DIM))),
        (SparseParity(DIM, 2), Rademacher(np.eye(DIM))),
    ):
        prompts = law(covariates, tasks, 5)
        assert not np.any(theory.optimal_preconditioner(prompts))
        assert theory.optimal_risk(prompts) == theory.zero_risk(prompts)


def test_only_the_second_moment_of_linear_tasks_counts():
    mean, n = helpers.vector(DIM, 93), 5
    moved = Linear(COV, mean)
    mixed = Mixture([Linear(COV, mean), Linear(COV, -mean)], [0.2, 0.8])
    centered = Linear(COV + np.outer(mean, mean))
    gammas = [
        theory.optimal_preconditioner(law(StudentT(np.eye(DIM), 9.0), tasks, n))
        for tasks in (moved, mixed, centered)
    ]
    for gamma in gammas[1:]:
        np.testing.assert_allclose(gamma, gammas[0], rtol=1e-12)


def gd(gamma):
    return lambda prompt: (
        prompt.query @ gamma @ (prompt.ys @ prompt.xs) / len(prompt.ys)
    )


QUADRATURE = [("gaussian", tasks) for tasks in LINEAR_TASKS] + [
    (name, "linear_low_rank_mean") for name in ("uniform", "rademacher", "data")
]


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize(("covariates", "tasks"), QUADRATURE)
def test_risk_and_optimum_equal_quadrature(covariates, tasks, n):
    """R(Γ), P and the first-order conditions, from the definition of a prompt."""
    prompts = law(COVARIATES[covariates](2), TASKS[tasks](2), n)
    gamma, best, step, *directions = (
        np.random.default_rng(1).standard_normal((2, 2)) / 2,
        theory.optimal_preconditioner(prompts),
        theory.best_plain_step(prompts),
        *np.random.default_rng(2).standard_normal((2, 2, 2)),
    )
    plain = step.step * np.eye(2)

    def terms(prompt):
        fixed, optimum, single, *moves = (
            gd(matrix)(prompt) for matrix in (gamma, best, plain, *directions)
        )
        off, one = optimum - prompt.target, single - prompt.target
        found = [
            (fixed - prompt.target) ** 2,
            off**2,
            one**2,
            prompt.target**2,
            one * gd(np.eye(2))(prompt),
        ]
        return jnp.stack([*found, *(off * move for move in moves)])

    values = [helpers.exact_mean(lambda p, k=k: terms(p)[k], prompts) for k in range(7)]
    expected = [
        theory.preconditioner_risk(gamma, prompts),
        theory.optimal_risk(prompts),
        step.risk,
        theory.zero_risk(prompts),
    ]
    np.testing.assert_allclose(values[:4], expected, rtol=1e-9)
    np.testing.assert_allclose(values[4:], 0, atol=1e-11 * values[3])


@pytest.mark.parametrize("n", LENGTHS)
def test_risks_equal_simulation(n):
    cov, mean = np.linspace(0.5, 1.5, 3), np.array([0.5, 0.0, -1.0])
    root = np.linalg.cholesky(helpers.spd(3, 94))
    prompts = law(Gaussian(cov), Linear(root @ root.T, mean), n)
    draw = lambda rng, num: mean + rng.standard_normal((num, 3)) @ root.T
    best, step = theory.optimal_preconditioner(prompts), theory.best_plain_step(prompts)
    for gamma, exact in (
        (best, theory.optimal_risk(prompts)),
        (step.step * np.eye(3), step.risk),
        (np.zeros((3, 3)), theory.zero_risk(prompts)),
        (helpers.spd(3, 95), theory.preconditioner_risk(helpers.spd(3, 95), prompts)),
    ):
        found, error = simulated.gd_risk(gamma, draw, cov, n, SIGMA, seed=n)
        assert abs(found - exact) < 3 * error


@pytest.mark.parametrize("n", LENGTHS)
def test_gradient_and_curvature_equal_autodiff(n):
    query = helpers.laws.Uniform(helpers.spd(3, 96))
    prompts = PromptDistribution(
        COVARIATES["gaussian"](3), TASKS["mixture"](3), n, SIGMA, query
    )
    gamma, direction = np.random.default_rng(n).standard_normal((2, 3, 3))
    m = theory.prompt_moments(prompts)
    risk = lambda g: theory.risk_from_moments(g, m)
    derivatives = jax.jit(
        lambda g: (jax.jvp(jax.grad(risk), (g,), (direction,)), jax.hessian(risk)(g)),
        compiler_options=helpers.QUICK,
    )
    (slope, curve), hessian = derivatives(gamma)
    np.testing.assert_allclose(
        theory.preconditioner_gradient(gamma, prompts), slope, rtol=1e-9
    )
    np.testing.assert_allclose(
        theory.preconditioner_curvature(direction, prompts), curve, rtol=1e-9
    )
    found = np.sort(theory.preconditioner_curvatures(prompts).ravel())
    np.testing.assert_allclose(
        found, np.linalg.eigvalsh(hessian.reshape(9, 9)), rtol=1e-9
    )


@pytest.mark.parametrize("tasks", ["mixture", "relu", "gaussian_process"])
def test_gradient_is_the_slope_of_the_risk_along_any_line(tasks):
    prompts = law(COVARIATES["gaussian"](3), TASKS[tasks](3), 4)
    gamma, direction = np.random.default_rng(0).standard_normal((2, 3, 3))
    at = [
        theory.preconditioner_risk(gamma + s * direction, prompts) for s in (1, 0, -1)
    ]
    slope = np.sum(theory.preconditioner_gradient(gamma, prompts) * direction)
    curve = np.sum(theory.preconditioner_curvature(direction, prompts) * direction)
    # A quadratic function: central differences of any width are exact.
    assert slope == pytest.approx((at[0] - at[2]) / 2, rel=1e-9)
    assert curve == pytest.approx(at[0] - 2 * at[1] + at[2], rel=1e-9)
    values = theory.preconditioner_curvatures(prompts)
    assert values.min() <= curve / np.sum(direction**2) <= values.max()
