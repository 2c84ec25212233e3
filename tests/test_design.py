"""The inverse problem: mixture weights for the least worst-case risk."""

import jax.numpy as jnp
import numpy as np
import pytest

from iclax._errors import AssumptionError
from iclax.covariates import Gaussian
from iclax.prompts import PromptDistribution
from iclax.tasks import Linear, LowRank, Mixture
from iclax.theory import (
    design_weights,
    optimal_preconditioner,
    optimal_risk,
    preconditioner_risk,
    reweighted,
)


def law(tasks, noise=0.5, n=8):
    return PromptDistribution(
        Gaussian(np.linspace(0.6, 1.5, tasks.dim)), tasks, n, noise
    )


UNEQUAL = law(
    Mixture([Linear(np.diag([1.0, 1.0, 0, 0])), Linear(np.diag([0, 0, 0.3, 2.0]))])
)
RANDOM = law(LowRank.random(5, 2, 3, seed=4))


def risks(prompts, weights, tests):
    tasks = reweighted(prompts.tasks, np.asarray(weights))
    gamma = optimal_preconditioner(prompts.replace(tasks=tasks))
    return np.array([preconditioner_risk(gamma, test) for test in tests])


def components(prompts):
    tasks = prompts.tasks
    parts = (
        tasks.components if isinstance(tasks, Mixture) else map(LowRank, tasks.bases)
    )
    return [prompts.replace(tasks=part) for part in parts]


def test_two_weights_are_those_of_a_fine_grid():
    grid = np.linspace(0.01, 0.99, 981)
    tests = components(UNEQUAL)
    worst = [risks(UNEQUAL, [p, 1 - p], tests).max() for p in grid]
    found = design_weights(UNEQUAL)
    assert found.weights[0] == pytest.approx(grid[np.argmin(worst)], abs=1.5e-3)
    assert found.worst_risk == pytest.approx(min(worst), rel=1e-3)
    assert found.worst_risk <= min(worst)
    assert found.worst_risk < 0.97 * found.equal_worst_risk


def test_components_alike_get_equal_weights():
    tasks = LowRank.coordinates(6, 2, 3, weights=[5, 1, 1])
    prompts = PromptDistribution(Gaussian(np.ones(6)), tasks, 8, 0.3)
    found = design_weights(prompts)
    np.testing.assert_allclose(found.weights, 1 / 3, atol=1e-5)
    assert found.worst_risk == pytest.approx(found.equal_worst_risk, rel=1e-9)


@pytest.mark.parametrize("prompts", [UNEQUAL, RANDOM], ids=["mixture", "low rank"])
def test_the_design_satisfies_the_conditions_of_a_minimax(prompts):
    found, tests = design_weights(prompts), components(prompts)
    np.testing.assert_allclose(
        found.risks, risks(prompts, found.weights, tests), rtol=1e-10
    )
    numeric = [
        (
            risks(prompts, found.weights + 1e-5 * unit, tests)
            - risks(prompts, found.weights - 1e-5 * unit, tests)
        )
        / 2e-5
        for unit in np.eye(len(found.weights))
    ]
    np.testing.assert_allclose(found.slopes.T, numeric, rtol=1e-5, atol=1e-8)
    # Some average of the slopes of the worst risks is flat along the simplex.
    worst = found.risks > found.worst_risk * (1 - 1e-6)
    flat = found.slopes[worst] - found.slopes[worst].mean(1, keepdims=True)
    multipliers = np.linalg.lstsq(
        np.vstack([flat.T, np.ones(worst.sum())]),
        np.append(np.zeros(flat.shape[1]), 1.0),
        rcond=None,
    )[0]
    assert np.all(multipliers > -1e-6)
    np.testing.assert_allclose(multipliers @ flat, 0, atol=1e-4)


def test_other_test_laws_may_count():
    first = components(UNEQUAL)[0]
    found = design_weights(UNEQUAL, [first])
    assert found.weights[0] == pytest.approx(1, abs=1e-3)
    assert found.worst_risk == pytest.approx(optimal_risk(first), rel=1e-4)


def test_reweighted_is_the_same_law_with_other_weights():
    for tasks in (UNEQUAL.tasks, LowRank.coordinates(4, 1, 2, floor=0.1)):
        changed = reweighted(tasks, jnp.array([1.0, 3.0]))
        np.testing.assert_allclose(changed.weights, [0.25, 0.75])
    with pytest.raises(AssumptionError):
        reweighted(Linear(np.eye(2)), np.ones(1))
    with pytest.raises(AssumptionError):
        design_weights(law(Linear(np.eye(2))))
