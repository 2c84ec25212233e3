"""Simulated moments against the exact ones."""

import helpers
import numpy as np
import pytest
from helpers import COVARIATES, TASKS

from iclax import theory
from iclax.covariates import Gaussian
from iclax.evaluation import simulate_moments
from iclax.prompts import PromptDistribution
from iclax.tasks import Linear

ENTRIES = ("signal", "energy", "power")


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
