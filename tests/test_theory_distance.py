"""The distance of a preconditioner from the optimum, in norm and in predictions."""

import helpers
import jax.random as jr
import numpy as np
import pytest

from iclax import theory
from iclax.covariates import Gaussian
from iclax.evaluation import simulate_against
from iclax.predictors import GradientStep
from iclax.prompts import PromptDistribution
from iclax.tasks import Linear, ReluNeuron


@pytest.mark.parametrize("tasks", [Linear(helpers.spd(3, 1)), ReluNeuron(np.eye(3))])
def test_the_prediction_distance_is_that_of_simulated_predictions(tasks):
    prompts = PromptDistribution(Gaussian(helpers.spd(3, 2)), tasks, 6, 0.3)
    best = theory.optimal_preconditioner(prompts)
    gamma = best + 0.05 * helpers.spd(3, 3)
    found = theory.preconditioner_distance(gamma, prompts)
    assert found.norm == pytest.approx(
        np.linalg.norm(gamma - best) / np.linalg.norm(best)
    )
    seen = simulate_against(
        {"g": GradientStep(gamma)},
        prompts,
        reference=GradientStep(best),
        num_prompts=2**16,
        key=jr.key(0),
    ).gaps["g"]
    gap = getattr(seen, "mean", seen)
    assert gap == pytest.approx(found.prediction, rel=0.03)
    excess = theory.preconditioner_risk(gamma, prompts) - theory.optimal_risk(prompts)
    m = theory.prompt_moments(prompts)
    assert found.prediction == pytest.approx(np.sqrt(excess) / m.distance(0 * best))


def test_distances_of_diagonal_steps_by_hand():
    """Λ = diag(1, 1e-3), W = I: curvatures λ_i μ_j, the small coordinate is flat."""
    lam = np.array([1.0, 1e-3])
    prompts = PromptDistribution(Gaussian(lam), Linear(np.eye(2)), 10)
    b = 1.1 * lam**2 + lam.sum() * lam / 10
    best = lam / b
    gamma = best + [0.0, 5.0]
    found = theory.preconditioner_distance(gamma, prompts)
    assert found.norm == pytest.approx(5 / np.linalg.norm(best))
    size = np.sqrt(np.sum(lam * best**2 * b))
    np.testing.assert_allclose(found.prediction, 5 * np.sqrt(lam[1] * b[1]) / size)
    np.testing.assert_allclose(found.curvature_ratio, b[0] / (lam[1] * b[1]))
    assert found.flat_share == pytest.approx(1.0)
    assert found.norm > 5 * found.prediction


def test_no_signal_has_no_distance():
    prompts = PromptDistribution(Gaussian([0.0, 0.0]), Linear(np.eye(2)), 3)
    assert theory.preconditioner_distance(np.zeros((2, 2)), prompts).norm == 0
