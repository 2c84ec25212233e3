"""Simulated moments against the exact ones."""

import helpers
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import COVARIATES, TASKS

from iclax import theory
from iclax._errors import SettingError
from iclax.covariates import Gaussian, StudentT
from iclax.evaluation import simulate_moments
from iclax.evaluation._moments import sum_over_pairs
from iclax.prompts import PromptDistribution
from iclax.tasks import Linear

ENTRIES = ("signal", "energy", "power")
LAW = Gaussian(np.eye(2))


@pytest.mark.parametrize("name", ["mixture_of_classes", "polynomial"])
def test_simulated_moments_agree_with_exact_ones_within_their_errors(name, getkey):
    tasks, law = TASKS[name](2), COVARIATES["gaussian"](2)
    exact = theory.moments(tasks, law)
    found = simulate_moments(tasks, law, key=getkey(), num_tasks=40_000)
    for entry in ENTRIES:
        error = getattr(found, f"{entry}_error")
        gap = np.abs(getattr(found, entry) - getattr(exact, entry))
        assert np.all(gap < 4 * error) and np.all(error > 0)


def test_standard_errors_are_those_of_the_power_of_one_task(getkey):
    """d = 1, w ~ N(0, 1), m points: Var(mean of (w x)²) = 2 + 6/m, worked by hand."""
    tasks, law, points = Linear(np.eye(1)), Gaussian(np.eye(1)), 3
    found = simulate_moments(
        tasks, law, key=getkey(), num_tasks=40_000, num_points=points
    )
    exact = ((2 + 6 / points) / found.num_tasks) ** 0.5
    assert found.power_error == pytest.approx(exact, rel=0.1)


def test_simulated_moments_stand_in_for_exact_ones(getkey):
    tasks, law = TASKS["linear_mean"](2), COVARIATES["gaussian"](2)
    prompts = PromptDistribution(law, tasks, 5, 0.3)
    found = simulate_moments(tasks, law, key=getkey(), num_tasks=100_000)
    m = theory.prompt_moments(prompts, theory.Moments(*found.values))
    gamma = theory.optimum_from_moments(m)
    best = theory.optimal_risk(prompts)
    assert best <= theory.preconditioner_risk(gamma, prompts) < 1.001 * best


def test_helpers_registries_hold_distinct_laws():
    assert all(TASKS[name](2).dim == 2 for name in TASKS)
    assert all(COVARIATES[name](3).dim == 3 for name in COVARIATES)
    assert helpers.spd(3, 1, rank=1).shape == (3, 3)


def test_sums_over_pairs_survive_one_long_vector():
    """In float32, where the square of the sum less the squares has lost all digits."""
    vectors = np.random.default_rng(0).normal(size=(16, 2))
    vectors[5] *= 1e6
    vectors = vectors.astype(np.float32).astype(np.float64)
    total = vectors.sum(axis=0)
    exact = np.outer(total, total) - vectors.T @ vectors
    found = sum_over_pairs(jnp.asarray(vectors, jnp.float32))
    np.testing.assert_allclose(found, exact, rtol=1e-5)


def test_functions_of_moments_carry_errors(getkey):
    """Linear ones as their entry, risks of a Γ, and the risk of the optimum itself."""
    tasks, law = TASKS["linear_mean"](2), COVARIATES["gaussian"](2)
    prompts = PromptDistribution(law, tasks, 5, 0.3)
    found = simulate_moments(tasks, law, key=getkey(), num_tasks=60_000)
    power = found.propagate(lambda values: values[2])
    assert power.mean == pytest.approx(float(found.power))
    assert power.standard_error == pytest.approx(float(found.power_error), rel=0.5)
    gamma = theory.optimal_preconditioner(prompts)

    def moments(values):
        return theory.prompt_moments(prompts, theory.Moments(*values))

    def optimal(values):
        m = moments(values)
        return theory.risk_from_moments(theory.optimum_from_moments(m), m)

    risk = found.propagate(lambda v: theory.risk_from_moments(gamma, moments(v)))
    best, exact = found.propagate(optimal), theory.optimal_risk(prompts)
    for estimate in (risk, best):
        assert estimate.agrees(exact, 4.0) and 0 < estimate.standard_error < 0.1 * exact
        assert estimate.count == found.num_tasks and not estimate.heavy_tailed
    with pytest.raises(SettingError, match=r"function: .*shape \(2, 2\)"):
        found.propagate(lambda values: values[0])


def test_moments_of_heavy_tails_say_so(getkey):
    tasks = Linear(np.eye(2))
    for covariates, heavy in ((StudentT(np.eye(2), 4.5), True), (LAW, False)):
        found = simulate_moments(tasks, covariates, key=getkey(), num_tasks=2**14)
        assert found.heavy_tailed is heavy
        assert found.propagate(lambda values: values[2]).heavy_tailed is heavy
