"""Full linear self-attention: exact risk against quadrature and simulation."""

import helpers
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from helpers import COVARIATES, LINEAR_TASKS, TASKS

from iclax import theory
from iclax._errors import AssumptionError, SettingError
from iclax.prompts import PromptDistribution

# The linear families have an exact oracle below; the others only simulation.
SIMULATED = (
    "mixture",
    "leaky_relu_sign",
    "polynomial",
    pytest.param("gaussian_process", marks=pytest.mark.ci),
    pytest.param("mixture_of_classes", marks=pytest.mark.ci),
)


def weights(dim, heads, seed=0):
    rng = np.random.default_rng(seed)
    return (
        rng.standard_normal((heads, dim + 1)),
        rng.standard_normal((heads, dim + 1, dim)) / dim,
    )


def squared_error(a, q, **how):
    def terms(prompt):
        return (helpers.attention(a, q, prompt, **how) - prompt.target) ** 2

    return terms


@pytest.mark.parametrize("include_query", [False, True])
@pytest.mark.parametrize("tasks", LINEAR_TASKS)
def test_attention_risk_equals_quadrature(tasks, include_query):
    # d = 2, n = 1: every fourth-moment term is as large as it can be.
    prompts = PromptDistribution(COVARIATES["gaussian"](2), TASKS[tasks](2), 1, 0.7)
    a, q = weights(2, 2)
    how = {"include_query": include_query}
    exact = theory.attention_risk(a, q, prompts, **how)
    oracle = helpers.exact_mean(squared_error(a, q, **how), prompts, 4)
    assert exact == pytest.approx(oracle, rel=1e-9)


@pytest.mark.parametrize("include_query", [False, True])
@pytest.mark.parametrize("law", ["uniform", "rademacher", "data"])
def test_attention_risk_equals_quadrature_for_other_covariates(law, include_query):
    prompts = PromptDistribution(
        COVARIATES[law](2), TASKS["linear_low_rank_mean"](2), 2, 0.5
    )
    a, q = weights(2, 1, 3)
    how = {"include_query": include_query, "divisor": 3.5}
    exact = theory.attention_risk(a, q, prompts, **how)
    oracle = helpers.exact_mean(squared_error(a, q, **how), prompts, 4)
    assert exact == pytest.approx(oracle, rel=1e-9)


def test_attention_risk_under_a_query_law_of_its_own():
    query = helpers.laws.Uniform(helpers.spd(2, 31))
    prompts = PromptDistribution(
        COVARIATES["gaussian"](2), TASKS["mixture"](2), 1, 0.6, query
    )
    a, q = weights(2, 1, 5)
    for include_query in (False, True):
        how = {"include_query": include_query}
        exact = theory.attention_risk(a, q, prompts, **how)
        oracle = helpers.exact_mean(squared_error(a, q, **how), prompts, 4)
        assert exact == pytest.approx(oracle, rel=1e-9)


@pytest.mark.parametrize("tasks", SIMULATED)
def test_attention_risk_equals_simulation(tasks):
    dim, lengths = 3, (1, 2, 5, 20)
    longest = PromptDistribution(
        COVARIATES["gaussian"](dim), TASKS[tasks](dim), lengths[-1], 0.5
    )
    exact, predictors = [], []
    for n in lengths:
        prompts = longest.replace(context_length=n)
        # Near the optimum plus something outside the GD form: no term dominates.
        a, q = theory.gd_attention(theory.optimal_preconditioner(prompts))
        b, r = weights(dim, 1, n)
        a, q, how = a + 0.1 * b, q + 0.1 * r, {"include_query": n == 2}
        exact.append(theory.attention_risk(a, q, prompts, **how))
        predictors.append(squared_error(a, q, **how))

    def terms(prompt):
        cut = [prompt._replace(xs=prompt.xs[:n], ys=prompt.ys[:n]) for n in lengths]
        return jnp.stack([f(p) for f, p in zip(predictors, cut, strict=True)])

    mean, error = helpers.simulate(terms, longest, jr.key(7), 60_000)
    assert np.all(np.abs(mean - np.array(exact)) < 3 * error)


@pytest.mark.parametrize("tasks", [t for t in TASKS if t != "two_layer_relu"])
@pytest.mark.parametrize("n", [1, 7])
def test_gd_attention_has_the_risk_of_the_preconditioner(tasks, n):
    prompts = PromptDistribution(COVARIATES["gaussian"](4), TASKS[tasks](4), n, 0.3)
    gamma = np.random.default_rng(n).standard_normal((4, 4))
    a, q = theory.gd_attention(gamma)
    full = theory.attention_risk(a, q, prompts)
    assert full == pytest.approx(theory.preconditioner_risk(gamma, prompts), rel=1e-12)
    np.testing.assert_allclose(theory.effective_preconditioner(a, q), gamma)


def test_heads_add_up():
    prompts = PromptDistribution(COVARIATES["gaussian"](3), TASKS["mixture"](3), 4, 0.3)
    a, q = weights(3, 1, 8)
    halves = np.concatenate([a, a]) / 2, np.concatenate([q, q])
    for include_query in (False, True):
        one = theory.attention_risk(a[0], q[0], prompts, include_query=include_query)
        two = theory.attention_risk(*halves, prompts, include_query=include_query)
        assert one == pytest.approx(two, rel=1e-12)


def test_attention_risk_is_differentiable_in_everything():
    a, q = weights(3, 2, 9)

    def risk(a, q, scale):
        tasks = helpers.families.Linear(scale * jnp.eye(3), jnp.ones(3))
        prompts = PromptDistribution(COVARIATES["gaussian"](3), tasks, 4, 0.3)
        return theory.attention_risk(a, q, prompts, include_query=True)

    slope = jax.jit(jax.grad(risk, (0, 1, 2)), compiler_options=helpers.QUICK)
    gradient, risk = slope(a, q, 1.3), jax.jit(risk, compiler_options=helpers.QUICK)
    step = 1e-6
    ends = [float(risk(a, q, 1.3 + s)) for s in (step, -step)]
    assert gradient[2] == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-6)
    moved = [a + s * np.outer([0, 1], np.eye(4)[2]) for s in (step, -step)]
    ends = [float(risk(b, q, 1.3)) for b in moved]
    slope = (ends[0] - ends[1]) / (2 * step)
    assert gradient[0][1, 2] == pytest.approx(slope, rel=1e-6)


def test_wrong_weights_and_unknown_tasks_are_refused():
    prompts = PromptDistribution(COVARIATES["gaussian"](3), TASKS["linear"](3), 4)
    with pytest.raises(SettingError, match="attention weights"):
        theory.attention_risk(np.ones(3), np.ones((4, 3)), prompts)
    data = prompts.replace(
        covariates=COVARIATES["uniform"](3), tasks=TASKS["polynomial"](3)
    )
    with pytest.raises(AssumptionError, match="Gaussian covariates"):
        theory.attention_risk(np.ones(4), np.ones((4, 3)), data)


@pytest.mark.parametrize("include_query", [False, True])
def test_attention_gradient_equals_autodiff(include_query):
    query = helpers.laws.Uniform(helpers.spd(3, 31))
    prompts = PromptDistribution(
        COVARIATES["gaussian"](3), TASKS["mixture"](3), 3, 0.6, query
    )
    a, q = weights(3, 2, 10)
    how = {"include_query": include_query, "divisor": 2.0}

    def risk(a, q):
        return theory.attention_risk(a, q, prompts, **how)

    slope = jax.jit(jax.grad(risk, (0, 1)), compiler_options=helpers.QUICK)
    found = theory.attention_gradient(a, q, prompts, **how)
    for one, other in zip(found, slope(a, q), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("include_query", [False, True])
def test_attention_curvature_equals_autodiff(include_query):
    prompts = PromptDistribution(COVARIATES["gaussian"](2), TASKS["mixture"](2), 3, 0.6)
    (a, q), direction = weights(2, 1, 11), weights(2, 1, 12)
    how = {"include_query": include_query}

    def risk(a, q):
        return theory.attention_risk(a, q, prompts, **how)

    def curvature(a, q):
        return jax.jvp(jax.grad(risk, (0, 1)), (a, q), direction)[1]

    found = theory.attention_curvature(a, q, direction, prompts, **how)
    other = jax.jit(curvature, compiler_options=helpers.QUICK)(a, q)
    for one, two in zip(found, other, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-11)
