"""The best single head and the best layer with any number of heads."""

import helpers
import jax.random as jr
import numpy as np
import pytest
from helpers import COVARIATES, TASKS

from iclax import theory
from iclax.covariates import Gaussian
from iclax.prompts import PromptDistribution
from iclax.tasks import Linear, ReluNeuron
from iclax.theory._full_attention_heads import heads_gradient, lift

# Families whose odd moments vanish: the full layer gains nothing over the GD form.
GD_FORM = ("linear", "low_rank", "relu", "leaky_relu_sign", "gaussian_process")


def noncentered(dim=3, n=10):
    """w ~ N(e_1, I/2), σ² = 0.1: where the full layer leaves the GD form."""
    tasks = Linear(np.eye(dim) / 2, np.eye(dim)[0])
    return PromptDistribution(Gaussian(np.eye(dim)), tasks, n, 0.1**0.5)


def test_tasks_with_a_mean_leave_the_gd_form():
    prompts = noncentered()
    assert theory.optimal_risk(prompts) == pytest.approx(0.7047, abs=5e-5)
    assert theory.optimal_attention(prompts, starts=2).risk == pytest.approx(
        0.6776, abs=5e-5
    )


def test_the_optimum_off_the_gd_form_beats_it_in_simulation():
    prompts = noncentered()
    best = theory.optimal_attention(prompts, starts=0)
    a, q = best.readout[None], best.key_query[None]

    def terms(prompt):
        return (helpers.attention(a, q, prompt) - prompt.target) ** 2

    mean, error = helpers.simulate(terms, prompts, jr.key(3), 200_000)
    assert abs(mean - best.risk) < 3 * error
    assert mean + 3 * error < theory.optimal_risk(prompts)


@pytest.mark.parametrize(
    "tasks, include_query",
    [
        ("linear_mean", False),
        ("linear_low_rank_mean", True),
        ("mixture", False),
        ("mixture_of_classes", True),
    ],
)
def test_the_best_head_is_stationary_and_has_its_risk(tasks, include_query):
    prompts = PromptDistribution(COVARIATES["gaussian"](3), TASKS[tasks](3), 4, 0.5)
    how = {"include_query": include_query}
    best = theory.optimal_attention(prompts, starts=1, **how)
    risk = theory.attention_risk(best.readout, best.key_query, prompts, **how)
    assert best.risk == pytest.approx(risk, rel=1e-12)
    assert best.gradient_norm < 1e-5 * theory.zero_risk(prompts)
    assert best.risk <= theory.optimal_risk(prompts) * (1 + 1e-12)


@pytest.mark.parametrize("n", [1, 5])
@pytest.mark.parametrize("tasks", GD_FORM)
def test_sign_symmetric_tasks_stay_in_the_gd_form(tasks, n):
    prompts = PromptDistribution(COVARIATES["gaussian"](3), TASKS[tasks](3), n, 0.5)
    heads = theory.multi_head_optimum(prompts)
    gamma = theory.optimal_preconditioner(prompts)
    assert heads.risk == pytest.approx(theory.optimal_risk(prompts), rel=1e-10)
    np.testing.assert_allclose(heads.gamma, gamma, atol=1e-10)
    best = theory.optimal_attention(prompts, starts=1)
    np.testing.assert_allclose(best.gamma, gamma, atol=1e-9)


@pytest.mark.parametrize("include_query", [False, True])
def test_multi_head_optimum_solves_the_convex_problem(include_query):
    prompts = PromptDistribution(COVARIATES["uniform"](3), TASKS["mixture"](3), 3, 0.5)
    how = {"include_query": include_query}
    best = theory.multi_head_optimum(prompts, **how)
    m = theory.attention_moments(prompts)
    gradient = heads_gradient(lift(best.weights), m, include_query)
    assert np.max(np.abs(gradient)) < 1e-10 * theory.zero_risk(prompts)
    assert best.risk < theory.optimal_attention(prompts, starts=0, **how).risk
    slope = theory.attention_gradient(*best.weights, prompts, **how)
    assert max(np.max(np.abs(s)) for s in slope) < 1e-10 * theory.zero_risk(prompts)


@pytest.mark.parametrize("include_query", [False, True])
def test_heads_gradient_is_the_gradient_in_the_cubic_features(include_query):
    # With a = I, Q is the coefficient tensor itself: two derivations of one gradient.
    prompts = PromptDistribution(COVARIATES["gaussian"](2), TASKS["mixture"](2), 3, 0.5)
    tensor = np.random.default_rng(0).standard_normal((3, 3, 2))
    tensor = (tensor + tensor.transpose(1, 0, 2)) / 2
    slope = theory.attention_gradient(
        np.eye(3), tensor, prompts, include_query=include_query
    )
    m = theory.attention_moments(prompts)
    lifted = heads_gradient(tensor.transpose(2, 0, 1), m, include_query)
    np.testing.assert_allclose(
        lifted, slope.key_query.transpose(2, 0, 1), rtol=1e-9, atol=1e-9
    )


def test_multi_head_optimum_equals_least_squares_on_the_quadrature_grid():
    """d = 1, n = 1: the six cubic features regressed on by exact weights."""
    prompts = PromptDistribution(Gaussian(np.eye(1)), Linear(np.eye(1), [0.8]), 1, 0.6)
    best = theory.multi_head_optimum(prompts)

    def features(prompt):
        token = helpers.jnp.stack([prompt.xs[0, 0], prompt.ys[0]])
        gram = helpers.jnp.outer(token, token)
        z = helpers.jnp.stack([gram[0, 0], gram[0, 1], gram[1, 1]]) * prompt.query[0]
        return helpers.jnp.concatenate([z, prompt.target[None]])

    def outer(i, j):
        return helpers.exact_mean(
            lambda p: features(p)[i] * features(p)[j], prompts, nodes=4
        )

    moments = np.array([[outer(i, j) for j in range(4)] for i in range(4)])
    found = moments[3, 3] - moments[3, :3] @ np.linalg.solve(
        moments[:3, :3], moments[:3, 3]
    )
    assert best.risk == pytest.approx(found, rel=1e-9)


@pytest.mark.parametrize("n", [1, 6])
def test_a_plain_relu_neuron_needs_no_sign_symmetry(n):
    # Mahankali et al. (2023), Theorem 3, without its second assumption.
    dim = 3
    prompts = PromptDistribution(Gaussian(np.eye(dim)), ReluNeuron(np.eye(dim)), n, 0.2)
    step = theory.best_plain_step(prompts)
    heads = theory.multi_head_optimum(prompts)
    assert heads.risk == pytest.approx(step.risk, rel=1e-12)
    np.testing.assert_allclose(heads.gamma, step.step * np.eye(dim), atol=1e-12)
