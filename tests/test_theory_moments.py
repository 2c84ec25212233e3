"""Moments of task distributions: closed forms, kernels and finite averages."""

import helpers
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from helpers import COVARIATES, TASKS

from iclax import theory
from iclax._errors import AssumptionError
from iclax.covariates import Data, Gaussian, Rademacher, StudentT, Uniform
from iclax.prompts import PromptDistribution
from iclax.tasks import (
    Conjunction,
    DecisionTree,
    Disjunction,
    KernelProcess,
    Linear,
    LinearPool,
    Mixture,
    Parity,
    Polynomial,
    Projected,
    Quadratic,
    ReluNeuron,
    SparseLinear,
    SparseParity,
    TwoLayerRelu,
)

SMOOTH = ("gaussian_process", "polynomial", "fourier_features", "linear_mean")
CUBE = np.array(np.meshgrid(*[[-1.0, 1.0]] * 4)).reshape(4, -1).T  # {±1}^4
BOOLEAN = {
    "sparse_parity_1": SparseParity(4, 1),
    "sparse_parity_2": SparseParity(4, 2),
    "parity": Parity(4),
    "conjunction": Conjunction(4, 0.4),
    "disjunction": Disjunction(4, 0.4),
    "decision_tree": DecisionTree(4, 3, 0.7, 1.2),
    "relu": ReluNeuron(helpers.spd(4, 51), 0.2),
    "two_layer_relu": TwoLayerRelu(helpers.spd(4, 52), 3, 1.4),
    "sparse_linear": SparseLinear(4, 2, 0.6),
    "linear_pool": TASKS["linear_pool"](4),
}


def assert_same(moments, other, rel=1e-9):
    signal, energy, power = other
    scale = np.max(np.abs(energy))
    np.testing.assert_allclose(moments.signal, signal, rtol=rel, atol=rel * scale)
    np.testing.assert_allclose(moments.energy, energy, rtol=rel, atol=rel * scale)
    np.testing.assert_allclose(moments.power, power, rtol=rel)


@pytest.mark.parametrize("name", SMOOTH)
def test_closed_forms_equal_quadrature_of_the_kernel(name):
    tasks, law = TASKS[name](2), Gaussian(0.4 * helpers.spd(2, 53))
    assert_same(
        theory.moments(tasks, law), helpers.quadrature_moments(tasks, law, nodes=30)
    )


@pytest.mark.parametrize("name", BOOLEAN)
def test_closed_forms_on_the_cube_equal_the_average_over_its_points(name):
    tasks, data = BOOLEAN[name], Data(CUBE)
    exact = theory.moments(tasks, Rademacher(np.eye(4)))
    assert_same(exact, helpers.quadrature_moments(tasks, data))
    found = theory.moments(tasks, data)
    assert_same(exact, (found.signal, found.energy, found.power))


@pytest.mark.parametrize("name", BOOLEAN)
def test_task_kernel_is_the_mean_product_of_sampled_values(name, getkey):
    tasks, num = BOOLEAN[name], 20_000
    points = CUBE[::3]
    keys = jr.split(getkey(), num)
    sample = jax.vmap(lambda key: tasks.sample(key, jnp.asarray(points)))
    values = np.asarray(jax.jit(sample, compiler_options=helpers.QUICK)(keys))
    products = values[:, :, None] * values[:, None, :]
    error = products.std(0) / num**0.5
    kernel = theory.task_kernel(tasks, points, points)
    assert np.all(np.abs(products.mean(0) - kernel) <= 4.5 * error + 1e-12)


def test_moments_of_a_mixture_are_averages():
    law = Uniform(helpers.spd(3, 54))
    parts = [TASKS["relu"](3), TASKS["linear_mean"](3)]
    mixed = theory.moments(Mixture(parts, [1, 3]), law)
    first, second = (theory.moments(part, law) for part in parts)
    np.testing.assert_allclose(mixed.signal, (first.signal + 3 * second.signal) / 4)
    np.testing.assert_allclose(mixed.power, (first.power + 3 * second.power) / 4)


@pytest.mark.parametrize(
    "covariates", [StudentT(np.eye(3), 9.0), Uniform(np.eye(3)), Rademacher(np.eye(3))]
)
def test_relu_moments_hold_for_every_symmetric_law(covariates, getkey):
    tasks = ReluNeuron(helpers.spd(3, 55), 0.3)
    own = theory.moments(tasks, covariates)
    xs = np.asarray(covariates.sample(getkey(), 200_000)).reshape(2, -1, 3)
    kernel = jax.vmap(lambda x, z: theory.task_kernel(tasks, x[None], z[None])[0, 0])(
        jnp.asarray(xs[0]), jnp.asarray(xs[1])
    )
    terms = np.asarray(kernel)[:, None, None] * xs[0][:, :, None] * xs[1][:, None, :]
    error = terms.std(0) / len(terms) ** 0.5
    assert np.all(np.abs(terms.mean(0) - own.signal) < 4.5 * error)


def test_a_kernel_of_ones_own_is_exact_on_data():
    """A user's kernel equal to a built-in one has the same moments and risks."""
    data, gp = COVARIATES["data"](2), TASKS["gaussian_process"](2)
    own = KernelProcess(2, gp.kernel)
    one, two = theory.moments(gp, data), theory.moments(own, data)
    assert_same(one, (two.signal, two.energy, two.power))
    prompts = PromptDistribution(data, own, 2, 0.4)
    a = np.random.default_rng(0).standard_normal((1, 3))
    q = np.random.default_rng(1).standard_normal((1, 3, 2))

    def terms(prompt):
        return (helpers.attention(a, q, prompt) - prompt.target) ** 2

    exact = theory.attention_risk(a, q, prompts)
    assert exact == pytest.approx(helpers.exact_mean_on_data(terms, prompts), rel=1e-9)


@pytest.mark.parametrize("name", ["polynomial", "fourier_features", "gaussian_process"])
def test_risks_of_processes_on_data_equal_enumeration(name):
    prompts = PromptDistribution(COVARIATES["data"](2), TASKS[name](2), 2, 0.4)
    gamma = helpers.spd(2, 56) - 0.2
    a, q = theory.gd_attention(gamma)
    q = q + 0.1

    def terms(prompt):
        return (helpers.attention(a, q, prompt) - prompt.target) ** 2

    exact = theory.attention_risk(a, q, prompts)
    assert exact == pytest.approx(helpers.exact_mean_on_data(terms, prompts), rel=1e-9)


@pytest.mark.parametrize("name", SMOOTH)
def test_query_moments_equal_quadrature_of_the_kernel(name):
    tasks = TASKS[name](2)
    laws = [Gaussian(0.1 * helpers.spd(2, seed)) for seed in (57, 58)]
    (xs, ps), (zs, qs) = (helpers._point_rule(law, 30) for law in laws)
    kernel = theory.task_kernel(tasks, xs, zs)
    expected = (xs * ps[:, None]).T @ kernel @ (zs * qs[:, None])
    found = theory.query_moments(tasks, *laws)
    np.testing.assert_allclose(found.cross, expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.power, theory.moments(tasks, laws[1]).power)


@pytest.mark.parametrize("name", ["relu", "two_layer_relu"])
def test_query_moments_of_neurons_equal_the_average_over_the_cube(name):
    tasks, cov = BOOLEAN[name], helpers.spd(4, 59)
    values, vectors = np.linalg.eigh(cov)
    moved = CUBE @ (vectors * np.sqrt(values)) @ vectors.T
    exact = theory.query_moments(tasks, Rademacher(np.eye(4)), Rademacher(cov))
    found = theory.query_moments(tasks, Data(CUBE), Data(moved))
    np.testing.assert_allclose(exact.cross, found.cross, atol=1e-12)
    np.testing.assert_allclose(exact.power, found.power)


@pytest.mark.parametrize("law", ["gaussian", "uniform", "data"])
def test_token_moments_of_pools_and_sparse_tasks_equal_their_mixtures(law):
    covariates, ws = COVARIATES[law](3), np.random.default_rng(2).normal(size=(3, 3))
    pool = LinearPool(ws, [0.2, 0.3, 0.5])
    points = Mixture([Linear(np.zeros((3, 3)), w) for w in ws], pool.weights)
    supports = Mixture([Linear(np.diag(row)) for row in 1 - np.eye(3)])
    halves = LinearPool(np.concatenate([ws, -ws]), [0.1, 0.2, 0.2, 0.1, 0.2, 0.2])
    for one, two in (
        (pool, points),
        (SparseLinear(3, 2), supports),
        (halves, Mixture([LinearPool(ws, [1, 2, 2]), LinearPool(-ws, [1, 2, 2])])),
    ):
        first, second = (theory.token_moments(t, covariates) for t in (one, two))
        for name in type(first).__dataclass_fields__:
            if name != "covariates":
                np.testing.assert_allclose(
                    getattr(first, name),
                    getattr(second, name),
                    rtol=1e-10,
                    atol=1e-12,
                    err_msg=name,
                )


def test_projected_linear_tasks_are_linear_tasks():
    basis = np.random.default_rng(3).standard_normal((4, 2))
    cov, mean = helpers.spd(2, 60), np.array([0.3, -1.0])
    law = Gaussian(helpers.spd(4, 61))
    one = theory.token_moments(Projected(Linear(cov, mean), basis), law)
    two = theory.token_moments(Linear(basis @ cov @ basis.T, basis @ mean), law)
    np.testing.assert_allclose(one.quartic, two.quartic)
    np.testing.assert_allclose(one.skew, two.skew)


@pytest.mark.parametrize("width", [1, 4])
def test_two_layer_networks_match_simulation_in_the_full_layer(width):
    cov = helpers.spd(3, 62)
    tasks = TwoLayerRelu(np.linalg.inv(cov), width, 1.2)
    prompts = PromptDistribution(Gaussian(cov), tasks, 2, 0.3)
    rng = np.random.default_rng(4)
    a, q = 0.5 * rng.standard_normal((1, 4)), 0.3 * rng.standard_normal((1, 4, 3))

    def terms(prompt):
        return (helpers.attention(a, q, prompt) - prompt.target) ** 2

    mean, error = helpers.simulate(terms, prompts, jr.key(5), 100_000)
    assert abs(mean - theory.attention_risk(a, q, prompts)) < 3 * error


def test_two_layer_networks_of_width_one_are_signed_neurons():
    """E v² = 1 and E v⁴ = 3: the second moments agree, the fourth ones triple."""
    cov, law = np.eye(3), Gaussian(np.eye(3))
    wide = theory.token_moments(TwoLayerRelu(cov, 1), law)
    neuron = theory.token_moments(ReluNeuron(cov, random_sign=True), law)
    np.testing.assert_allclose(wide.signal, neuron.signal)
    np.testing.assert_allclose(wide.power_square, 3 * neuron.power_square)
    np.testing.assert_allclose(wide.quartic, 3 * neuron.quartic)


@pytest.mark.parametrize(
    "tasks, covariates, missing",
    [
        (ReluNeuron(np.eye(2)), Data(CUBE[:3, :2]), "symmetric"),
        (TwoLayerRelu(np.diag([1.0, 2.0]), 3), Gaussian(np.eye(2)), "equal non-zero"),
        (SparseLinear(20, 10, 1.0), Gaussian(np.eye(20)), "supports"),
        (KernelProcess(2, lambda x, z: x @ z.T), Gaussian(np.eye(2)), "data as"),
        (Quadratic(2), Gaussian(np.eye(2)), "fourth moments"),
        (
            Projected(Polynomial(1, {3: 1.0}), np.eye(2)[:, :1]),
            Gaussian(np.eye(2)),
            "linear tasks inside",
        ),
    ],
)
def test_missing_assumptions_of_the_full_layer_are_named(tasks, covariates, missing):
    with pytest.raises(AssumptionError, match=missing):
        theory.token_moments(tasks, covariates)


def test_boolean_tasks_refuse_other_covariates():
    with pytest.raises(AssumptionError, match="uniform on"):
        theory.moments(Parity(2), Gaussian(np.eye(2)))
    with pytest.raises(AssumptionError, match="points in"):
        theory.task_kernel(Parity(2), np.ones((1, 2)), np.zeros((1, 2)))
    with pytest.raises(AssumptionError, match="independent coordinates"):
        theory.moments(DecisionTree(2), Gaussian(helpers.spd(2, 63)))
