"""Second derivations of one-layer results that no other module has."""

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import COVARIATES, TASKS

from iclax import theory
from iclax.covariates import Gaussian
from iclax.prompts import Prompt, PromptDistribution
from iclax.tasks import (
    GaussianProcess,
    Linear,
    LowRank,
    Mixture,
    Polynomial,
    ReluNeuron,
    TwoLayerRelu,
)

LENGTHS = (1, 2, 5, 20)
NOISE = 0.5


def law(tasks, n=4, cov=None):
    cov = np.eye(tasks.dim) if cov is None else cov
    return PromptDistribution(Gaussian(cov), tasks, n, NOISE)


# One layer.


@pytest.mark.parametrize("n", [1, 2])
def test_prompt_moments_against_quadrature(n):
    """E b bᵀ, E b y_q x_qᵀ, E x_q x_qᵀ and E y_q², and what follows from them."""
    query = helpers.laws.Uniform(helpers.spd(2, 101))
    prompts = PromptDistribution(
        COVARIATES["gaussian"](2), TASKS["linear_low_rank_mean"](2), n, NOISE, query
    )
    gamma = np.array([[0.4, -0.3], [0.2, 0.6]])

    def terms(prompt):
        b = prompt.ys @ prompt.xs / n
        error = prompt.query @ gamma @ b - prompt.target
        parts = [
            jnp.outer(prompt.query, prompt.query).ravel(),
            jnp.outer(b, prompt.query).ravel() * prompt.target,
            jnp.outer(b, b).ravel(),
            jnp.stack([prompt.target**2, error**2]),
        ]
        return jnp.concatenate(parts)

    found = helpers.exact_mean(terms, prompts)
    second, cross, gradient = found[:12].reshape(3, 2, 2)
    m = theory.prompt_moments(prompts)
    for one, other in (
        (m.query, second),
        (m.cross, cross),
        (m.gradient, gradient),
        (m.power, found[12]),
        (theory.risk_from_moments(gamma, m), found[13]),
        # The normal equations Λ_q Γ B = Cᵀ.
        (second @ theory.optimum_from_moments(m) @ gradient, cross.T),
    ):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


def test_reweighted_moments_are_averages():
    parts = [Linear(helpers.spd(3, 102)), ReluNeuron(np.eye(3))]
    weights, covariates = np.array([0.2, 0.8]), Gaussian(helpers.spd(3, 103))
    found = theory.moments(theory.reweighted(Mixture(parts), weights), covariates)
    each = [theory.moments(part, covariates) for part in parts]
    np.testing.assert_allclose(
        found.signal, 0.2 * each[0].signal + 0.8 * each[1].signal, rtol=1e-12
    )


# Full attention.


def layer(dim, heads, seed):
    rng = np.random.default_rng(seed)
    return theory.Attention(
        rng.standard_normal((heads, dim + 1)) / 2,
        rng.standard_normal((heads, dim + 1, dim)) / 2,
    )


@pytest.mark.parametrize(("n", "include_query"), [(1, True), (2, False), (2, True)])
def test_attention_moments_against_quadrature(n, include_query):
    """Risk and gradient at d = 2, the derivative taken under the integral.

    n = 1 shows moments of one token, n = 2 those of two tokens of one function.
    """
    prompts = PromptDistribution(
        COVARIATES["gaussian"](2), TASKS["linear_low_rank_mean"](2), n, NOISE
    )
    weights = layer(2, 1, 104)

    def terms(prompt):
        def error(a, q):
            found = helpers.attention(a, q, prompt, include_query=include_query)
            return (found - prompt.target) ** 2

        value, slopes = jax.value_and_grad(error, (0, 1))(*map(jnp.asarray, weights))
        return jnp.concatenate([value[None], slopes[0].ravel(), slopes[1].ravel()])

    found = helpers.exact_mean(terms, prompts, nodes=4 if include_query else 3)
    m = theory.attention_moments(prompts)
    risk = theory.risk_from_attention_moments(weights, m, include_query)
    slopes = theory.gradient_from_attention_moments(weights, m, include_query)
    exact = np.concatenate([[risk], slopes[0].ravel(), slopes[1].ravel()])
    np.testing.assert_allclose(exact, found, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("n", LENGTHS)
def test_attention_risk_and_gradient_simulated(n):
    """In plain NumPy, for one of two subspaces with a mean: no term vanishes."""
    rng, num, dim = np.random.default_rng(n), 100_000, 3
    mean, roots = np.array([0.6, -0.4, 0.2]), np.eye(3)[[[0, 1], [1, 2]]]
    tasks = Mixture([Linear(root.T @ root, mean) for root in roots])
    prompts = law(tasks, n)
    a, q = layer(dim, 1, 105)
    w = mean + np.einsum(
        "mr,mrd->md", rng.standard_normal((num, 2)), roots[rng.integers(2, size=num)]
    )
    xs, query = rng.standard_normal((num, n, dim)), rng.standard_normal((num, dim))
    ys = np.einsum("mnd,md->mn", xs, w) + NOISE * rng.standard_normal((num, n))
    tokens = np.concatenate([xs, ys[:, :, None]], 2)
    gram = tokens.swapaxes(1, 2) @ tokens / n
    read, keys = np.einsum("mij,j->mi", gram, a[0]), query @ q[0].T
    error = np.sum(read * keys, 1) - np.sum(w * query, 1)
    samples = [
        error[:, None] ** 2,
        2 * error[:, None] * np.einsum("mij,mj->mi", gram, keys),
        (2 * error[:, None, None] * read[:, :, None] * query[:, None]).reshape(num, -1),
    ]
    samples = np.concatenate(samples, 1)
    m = theory.attention_moments(prompts)
    slopes = theory.gradient_from_attention_moments(theory.Attention(a, q), m, False)
    risk = theory.risk_from_attention_moments(theory.Attention(a, q), m, False)
    exact = np.concatenate([[risk], slopes[0].ravel(), slopes[1].ravel()])
    deviation = np.abs(samples.mean(0) - exact) / (samples.std(0) / num**0.5)
    assert deviation[0] < 3 and deviation.max() < 4.5


def test_attention_curvature_is_that_of_the_risk_along_a_line():
    """A polynomial of degree 4 along any line: five values give its second slope."""
    prompts = law(TASKS["mixture"](3), 3, helpers.spd(3, 106))
    weights, direction = layer(3, 2, 107), layer(3, 2, 108)
    steps = np.arange(-2, 3) / 2
    risks = [
        theory.attention_risk(
            *(w + s * v for w, v in zip(weights, direction, strict=True)), prompts
        )
        for s in steps
    ]
    second = 2 * np.polyfit(steps, risks, 4)[2]
    found = theory.attention_curvature(*weights, direction, prompts)
    along = sum(np.sum(f * v) for f, v in zip(found, direction, strict=True))
    assert along == pytest.approx(second, rel=1e-9)


def prompt_in_numpy(dim, n, seed):
    rng = np.random.default_rng(seed)
    xs, ys, query = (rng.standard_normal(s) for s in ((n, dim), n, dim))
    return Prompt(xs, ys, query, np.zeros(()), np.zeros(()))


def test_gd_attention_predicts_as_the_step_does():
    prompt, gamma = prompt_in_numpy(3, 4, 109), helpers.spd(3, 110) + np.eye(3)[::-1]
    found = helpers.attention(*theory.gd_attention(gamma), prompt)
    expected = prompt.query @ gamma @ (prompt.ys @ prompt.xs) / 4
    assert float(found) == pytest.approx(expected, rel=1e-12)


def test_effective_preconditioner_is_the_slope_in_y():
    """The part of ŷ linear in y is its derivative along y at y = 0."""
    prompt, (a, q) = prompt_in_numpy(3, 4, 111), layer(3, 2, 112)
    scaled = lambda t: helpers.attention(a, q, prompt._replace(ys=t * prompt.ys))
    slope = jax.jit(jax.grad(scaled), compiler_options=helpers.QUICK)(0.0)
    gamma = theory.effective_preconditioner(a, q)
    expected = prompt.query @ gamma @ (prompt.ys @ prompt.xs) / 4
    assert float(slope) == pytest.approx(expected, rel=1e-12)


def test_attention_descent_by_hand():
    prompts, weights = law(TASKS["linear_mean"](2), 3), layer(2, 1, 113)
    found = theory.attention_descent(
        prompts, start=weights, learning_rate=0.01, steps=3
    ).losses
    expected = []
    for _ in range(4):
        expected.append(theory.attention_risk(*weights, prompts))
        slopes = theory.attention_gradient(*weights, prompts)
        weights = [w - 0.01 * g for w, g in zip(weights, slopes, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


# When the optimum is of GD form.

SIGNED = {
    "linear": Linear(helpers.spd(2, 114)),
    "low rank": LowRank.coordinates(2, 1, 2, floor=0.1),
    "signed neuron": ReluNeuron(helpers.spd(2, 115), 0.3, True),
    "process": GaussianProcess(helpers.spd(2, 116), 1.7),
    "polynomial": Polynomial(2, {1: 0.5, 3: 0.1}),
}
ROUND = {
    "neuron": ReluNeuron(np.eye(2), 0.2),
    "network": TwoLayerRelu(np.eye(2), 3),
    "rbf": GaussianProcess.rbf(2, 1.5),
    "mixture": Mixture([ReluNeuron(np.eye(2)), Linear(2 * np.eye(2))], [0.3, 0.7]),
}


@pytest.mark.parametrize("name", [*SIGNED, *ROUND])
def test_reasons_hold_at_the_convex_optimum(name):
    """With a reason no number of heads beats the GD form; without, some do."""
    tasks = {**SIGNED, **ROUND}[name]
    cov = helpers.spd(2, 117) if name in SIGNED else np.eye(2)
    prompts = law(tasks, 3, cov)
    assert theory.is_sign_symmetric(tasks) or name in ROUND
    assert theory.is_rotation_invariant(tasks, Gaussian(cov)) == (name in ROUND)
    assert theory.gd_form_reason(prompts) is not None
    best = theory.multi_head_optimum(prompts)
    assert best.risk == pytest.approx(theory.optimal_risk(prompts), rel=1e-9)
    moved = Mixture([tasks, Linear(0.1 * np.eye(2), np.array([1.0, 0.5]))])
    assert not theory.is_sign_symmetric(moved)
    assert not theory.is_rotation_invariant(moved, Gaussian(cov))
    without = law(moved, 3, cov)
    assert theory.gd_form_reason(without) is None
    lower = theory.multi_head_optimum(without).risk
    assert lower < theory.optimal_risk(without) * (1 - 1e-4)
