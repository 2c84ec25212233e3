"""Second derivations of subspace risks and dynamics that no other module has."""

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy
import simulated

from iclax import theory
from iclax.covariates import Gaussian
from iclax.prompts import PromptDistribution
from iclax.tasks import Linear, LowRank

LENGTHS = (1, 2, 5, 20)
NOISE = 0.5


def law(tasks, n=4, noise=NOISE):
    return PromptDistribution(Gaussian(np.eye(tasks.dim)), tasks, n, noise)


@pytest.mark.parametrize("n", LENGTHS)
def test_subspace_risks_are_simulated(n):
    eye, angles = np.eye(5), (20.0, 70.0)
    one, union = law(LowRank.coordinates(5, 2), 4), law(LowRank.coordinates(5, 2, 2), n)
    t = np.radians(angles)
    tilted = np.cos(t) * eye[:, :2] + np.sin(t) * eye[:, 2:4]
    gamma = theory.optimal_preconditioner(one)
    w = np.linspace(-1, 1, 5)
    same = theory.optimal_preconditioner(one.replace(context_length=n))
    cases = [
        (gamma, eye[:, :2], theory.context_length_risks(one, [n])[0]),
        (same, tilted, theory.single_subspace_risk(angles, n, NOISE)),
        (
            theory.optimal_preconditioner(union),
            eye[:, [1, 2]],
            theory.union_risk(2, 2, n, NOISE),
        ),
        (
            gamma,
            w[:, None],
            theory.task_risk(gamma, one.replace(context_length=n)).mean(np.outer(w, w)),
        ),
    ]
    for weights, basis, exact in cases:
        draw = simulated.low_rank_tasks(basis)
        mean, error = simulated.gd_risk(weights, draw, np.ones(5), n, NOISE, seed=n)
        assert abs(mean - exact) < 3 * error


def test_off_span_risk_is_power_plus_variance():
    """Λ = I: the layer only adds c² (r / n) (|w|² + σ²) to the power r of the tasks."""
    rank, n = 2, 7
    prompts = law(LowRank.coordinates(6, rank), n)
    c = n / (n + 1 + rank + NOISE**2)
    expected = rank + c**2 * rank / n * (rank + NOISE**2)
    assert theory.off_span_risk(prompts) == pytest.approx(expected, rel=1e-12)


def test_orthogonal_basis_is_the_null_space():
    basis = np.linalg.qr(np.random.default_rng(119).standard_normal((6, 3)))[0]
    null, found = scipy.linalg.null_space(basis.T), theory.orthogonal_basis(basis)
    np.testing.assert_allclose(found @ found.T, null @ null.T, atol=1e-12)


@pytest.mark.parametrize("angles", [(0, 25), (10, 80), (0, 0), (90, 90)])
def test_adapter_rank_is_that_of_the_change(angles):
    t, eye = np.radians(angles), np.eye(6)
    second = np.cos(t) * eye[:, :2] + np.sin(t) * eye[:, 2:4]
    before, after = (
        theory.optimal_preconditioner(law(LowRank(basis)))
        for basis in (eye[:, :2], second)
    )
    assert theory.adapter_rank(eye[:, :2], second) == np.linalg.matrix_rank(
        after - before, tol=1e-9
    )


@pytest.mark.parametrize(
    ("components", "shared", "objective", "published"),
    [
        (1, 0, "mean", 4.7147),
        (2, 4, "sum", 2.3574),
        (2, 0, "mean", 6.6900),
        (4, 0, "sum", 2.3603),
        (6, 0, "mean", 11.5117),
    ],
)
def test_flat_half_drop_times_of_the_published_table(
    components, shared, objective, published
):
    prompts = law(LowRank.coordinates(24, 4, components, shared), 64, noise=0.0)
    found = theory.flat_half_drop_time(prompts, 1e-4, objective)
    assert found == pytest.approx(published, abs=1e-4)


def test_traced_losses_follow_the_published_course():
    """σ(t) = e^{2√d t} / [κ (e^{2√d t} − 1) + √d/w₀²], κ = 1 + (1 + d)/n."""
    dim, n, init, times = 3, 5, 1e-2, np.linspace(0, 6, 7)
    prompts = law(Linear(np.eye(dim)), n, noise=0.0)
    kappa, growth = 1 + (1 + dim) / n, np.exp(2 * dim**0.5 * times)
    sigma = growth / (kappa * (growth - 1) + dim**0.5 / init**2)
    np.testing.assert_allclose(
        theory.logistic_gain(times, prompts, init), sigma, rtol=1e-12
    )
    found = jax.jit(lambda: theory.flow_losses(times, prompts, init=init))()
    expected = dim * (1 - 2 * sigma + kappa * sigma**2)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_head_time_is_an_integral():
    drive, decay, start = 1.3, 0.7, 0.05
    values = np.array([0.1, 0.6, 1.1])
    speed = lambda v: 1 / (drive * v**2 - decay * v**5)
    expected = [
        scipy.integrate.quad(speed, start, v, epsabs=0, epsrel=1e-12, limit=200)[0]
        for v in values
    ]
    found = theory.head_time(values, start, drive, decay)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_linear_rates_are_those_of_the_flow():
    """Λ = I, W diagonal: Γ_ii(t) = Γ*_ii (1 − exp(−rate_i t)) from Γ = 0."""
    prompts = law(Linear(np.diag([0.5, 1.0, 2.0])), 3)
    rates, best = (
        theory.linear_rates(prompts)[0],
        theory.optimal_preconditioner(prompts),
    )
    for time in (0.3, 2.0):
        found = theory.flow(prompts, "linear", times=[time]).gamma
        expected = np.diag(best) * (1 - np.exp(-rates * time))
        np.testing.assert_allclose(np.diag(found), expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["linear", "merged", "separate"])
def test_parametrizations_follow_their_slope(name):
    """θ̇ is the derivative of ⟨S, Γ(θ)⟩ for any residual S."""
    kind = theory.make_parametrization(name, 3, 2, 2)
    weights = tuple(
        np.random.default_rng(120).standard_normal(np.shape(part))
        for part in kind.start(3, 0.1, "random", 0)
    )
    residual = helpers.spd(3, 121) + np.eye(3)[::-1]
    slope = jax.grad(lambda w: jnp.sum(residual * kind.gamma(w)))
    for one, other in zip(
        kind.velocity(weights, residual), slope(weights), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)
