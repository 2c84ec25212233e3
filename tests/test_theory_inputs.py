"""What the theory takes: shapes of Γ, dimensions, number types, query laws."""

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iclax import theory
from iclax._errors import SettingError
from iclax.covariates import Data, Gaussian, Rademacher, StudentT
from iclax.predictors import GradientStep
from iclax.prompts import Prompt, PromptDistribution, RepeatedPoint
from iclax.tasks import DecisionTree, Linear, Polynomial, Projected, ReluNeuron

DIM = 3
PROMPTS = PromptDistribution(
    Gaussian(helpers.spd(DIM, 131)), Linear(helpers.spd(DIM, 132)), 4, 0.5
)
DIAGONAL = np.array([0.3, -0.2, 0.7])

OF_GAMMA = {
    "risk": theory.preconditioner_risk,
    "from moments": lambda g, p: theory.risk_from_moments(g, theory.prompt_moments(p)),
    "gradient": theory.preconditioner_gradient,
    "curvature": theory.preconditioner_curvature,
    "one step": lambda g, p: theory.gradient_descent_risk([0.4], p, g),
    "two steps": lambda g, p: theory.gradient_descent_risk([0.4, 0.2], p, g),
    "task risk": lambda g, p: theory.task_risk(g, p).matrix,
    "adapters": theory.adapter_risks,
    "adapter": lambda g, p: theory.adapter_update(g, p, 1),
    "attention": lambda g, p: theory.gd_attention(g).key_query,
    "certificate": lambda g, p: theory.certify(g, p, starts=1).risk,
}


@pytest.mark.parametrize("name", OF_GAMMA)
def test_a_vector_is_a_diagonal_preconditioner(name):
    found = OF_GAMMA[name](DIAGONAL, PROMPTS)
    expected = OF_GAMMA[name](np.diag(DIAGONAL), PROMPTS)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert np.shape(found) == np.shape(expected)


def test_a_diagonal_is_the_one_of_the_predictor():
    rng = np.random.default_rng(0)
    xs, ys, query = rng.normal(size=(4, 3)), rng.normal(size=4), rng.normal(size=3)
    prompt = Prompt(*map(jnp.asarray, (xs, ys, query, 0.0, 0.0)))
    head = theory.gd_attention(DIAGONAL)
    found = helpers.attention(*head, prompt)
    step = lambda gamma: GradientStep(jnp.asarray(gamma))(prompt)
    assert found == pytest.approx(float(step(np.diag(DIAGONAL))), rel=1e-12)


@pytest.mark.parametrize("shape", [(), (2,), (1, 3), (3, 1), (3, 4), (2, 2), (1, 3, 3)])
@pytest.mark.parametrize("name", OF_GAMMA)
def test_other_shapes_of_a_preconditioner_are_refused(name, shape):
    if name == "attention" and shape in ((2,), (2, 2)):
        pytest.skip("it fixes the dimension itself")
    key = "direction" if name == "curvature" else "preconditioner"
    with pytest.raises(SettingError, match=f"{key}: found shape"):
        OF_GAMMA[name](np.ones(shape), PROMPTS)


def test_traced_and_mapped_diagonals_have_the_risk_of_their_matrices():
    many = jnp.asarray(np.stack([DIAGONAL, 2 * DIAGONAL]))
    risk = lambda gamma: theory.preconditioner_risk(gamma, PROMPTS)
    values, slopes = jax.jit(
        jax.vmap(jax.value_and_grad(risk)), compiler_options=helpers.QUICK
    )(many)
    for row, value, slope in zip(many, values, slopes, strict=True):
        gamma = np.diag(row)
        assert value == pytest.approx(risk(gamma), rel=1e-12)
        exact = np.diag(theory.preconditioner_gradient(gamma, PROMPTS))
        np.testing.assert_allclose(slope, exact, rtol=1e-10)
    with pytest.raises(SettingError, match="preconditioner"):
        jax.vmap(risk)(many[:, :2])


@pytest.mark.parametrize(
    "call",
    [
        theory.moments,
        theory.token_moments,
        theory.no_context_loss,
        lambda tasks, law: theory.query_moments(tasks, law, law),
        lambda tasks, law: theory.query_moments(tasks, Gaussian(np.eye(2)), law),
    ],
)
@pytest.mark.parametrize(
    "tasks", [Polynomial(2, {1: 1.0}), DecisionTree(2), Linear(np.eye(2))]
)
@pytest.mark.parametrize("law", [Gaussian(np.eye(3)), Data(np.ones((4, 3)))])
def test_dimensions_that_differ_are_refused(call, tasks, law):
    with pytest.raises(SettingError, match="dimension 2; allowed: dimension 3"):
        call(tasks, law)


def test_projected_tasks_off_the_support_of_the_covariates_are_zero():
    tasks = Projected(Linear([1.0]), [[0.0], [1.0]])
    found = theory.moments(tasks, Gaussian([1.0, 0.0]))
    for value in (found.signal, found.energy, found.power):
        assert not np.any(value)


def test_projected_tasks_on_singular_covariates_are_their_linear_tasks():
    basis = np.random.default_rng(3).standard_normal((4, 3))
    factor = np.random.default_rng(4).standard_normal((4, 2))
    law, cov = Gaussian(factor @ factor.T), helpers.spd(3, 133)
    one = theory.moments(Projected(Linear(cov), basis), law)
    two = theory.moments(Linear(basis @ cov @ basis.T), law)
    np.testing.assert_allclose(one.signal, two.signal, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(one.energy, two.energy, rtol=1e-8, atol=1e-10)
    assert one.power == pytest.approx(two.power, rel=1e-10)


def single(prompts):
    """The same law with its covariance in single precision."""
    cov = jnp.asarray(prompts.covariates.cov, jnp.float32)
    return prompts.replace(covariates=Gaussian(cov))


@pytest.mark.parametrize("seed", range(8))
def test_singular_laws_in_single_precision_have_the_risks_of_double(seed):
    factor = np.random.default_rng(seed).standard_normal((4, 2))
    law = Gaussian(factor @ factor.T)
    prompts = PromptDistribution(law, Linear(np.eye(4)), 8, 0.3)
    found = theory.optimal_risk(single(prompts))
    assert found == pytest.approx(theory.optimal_risk(prompts), rel=1e-4)
    curve = theory.context_length_risks(single(prompts), [1, 5, 20], retrained=True)
    exact = theory.context_length_risks(prompts, [1, 5, 20], retrained=True)
    np.testing.assert_allclose(curve, exact, rtol=1e-4)


def test_a_neuron_is_sign_symmetric_only_where_it_is_linear():
    neuron = lambda slope, sign=False: ReluNeuron(helpers.spd(2, 134), slope, sign)
    expected = {-1.0: False, -0.5: False, 0.0: False, 0.3: False, 1.0: True}
    for slope, symmetric in expected.items():
        assert theory.is_sign_symmetric(neuron(slope)) == symmetric
        assert theory.is_sign_symmetric(neuron(slope, True))
    points = jnp.asarray([[1.0, 0.2], [-0.4, 0.9]])
    values = lambda slope: jax.vmap(lambda k: neuron(slope).sample(k, points))(
        jax.random.split(jax.random.key(0), 500)
    )
    assert jnp.all(values(-1.0) >= 0)
    odd = values(1.0)[:, 0]
    assert abs(odd.mean()) < 4.5 * odd.std() / len(odd) ** 0.5


@pytest.mark.parametrize(
    "query, holds",
    [
        (None, True),
        (Gaussian(np.eye(2)), True),
        (Gaussian(3 * np.eye(2)), True),
        (StudentT(0.5 * np.eye(2), 9.0), True),
        (RepeatedPoint(), True),
        (Gaussian([1.0, 2.0]), False),
        (Rademacher(np.eye(2)), False),
        (Data([[1.0, 0.0], [0.0, 2.0]]), False),
    ],
)
def test_rotation_invariance_asks_for_a_round_query(query, holds):
    prompts = PromptDistribution(Gaussian(np.eye(2)), ReluNeuron(np.eye(2)), 3, 0.4)
    found = theory.gd_form_reason(prompts.replace(query_covariates=query))
    assert (found is not None) == holds
    signed = prompts.replace(tasks=Linear(np.eye(2)), query_covariates=query)
    assert theory.gd_form_reason(signed) == "f and −f have the same distribution"


@pytest.mark.parametrize("size", [1e-15, 1.0, 1e9])
def test_isotropy_does_not_depend_on_the_unit(size):
    tasks = ReluNeuron(np.eye(2))
    near = size * (np.eye(2) + 1e-14 * np.diag([1.0, -1.0]))
    assert theory.is_rotation_invariant(tasks, Gaussian(near))
    assert not theory.is_rotation_invariant(tasks, Gaussian(size * np.array([1.0, 2])))
