"""Task families of the multi-task literature: what they compute, what a layer sees of
them, and what can be known without context."""

from itertools import product
from math import log

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from iclax import theory
from iclax._errors import AssumptionError, SettingError
from iclax.covariates import Data, Gaussian, Rademacher, Uniform
from iclax.prompts import PromptDistribution, RepeatedPoint
from iclax.tasks import (
    Conjunction,
    DecisionTree,
    Disjunction,
    Linear,
    Mixture,
    Parity,
    Polynomial,
    Projected,
    Quadratic,
    ReluNeuron,
    Retrieval,
    SparseLinear,
    SparseParity,
    TwoLayerRelu,
)

COV = np.array([[1.0, 0.3, 0.0], [0.3, 0.7, -0.2], [0.0, -0.2, 1.4]])
BASIS = np.array([[1.0, 0.2], [-0.5, 1.0], [0.3, 0.4]])


def cube(dim):
    return np.array(list(product([-1.0, 1.0], repeat=dim)))


def draws(tasks, xs, key, num):
    """`num` functions at the rows of `xs`."""
    sample = jax.jit(jax.vmap(lambda k: tasks.sample(k, xs)))
    return np.asarray(sample(jr.split(key, num)))


def close(sample, expected, sigmas=5.0):
    """The mean of `sample` over its first axis is `expected` within its error."""
    error = sample.std(axis=0) / len(sample) ** 0.5
    assert np.all(np.abs(sample.mean(axis=0) - expected) < sigmas * error + 1e-12)


BOOLEAN = [
    SparseParity(4, 1),
    SparseParity(4, 2),
    SparseParity(4, 3),
    Parity(4),
    Conjunction(4),
    Disjunction(4),
    Conjunction(4, literal_probability=0.8),
]


@pytest.mark.parametrize("tasks", BOOLEAN, ids=str)
def test_binary_tasks_take_the_values_one_and_minus_one(tasks, getkey):
    values = draws(tasks, jnp.asarray(cube(4)), getkey(), 200)
    assert tasks.binary and set(np.unique(values)) == {-1.0, 1.0}
    assert len(np.unique(values, axis=0)) > 1


def test_parities_count_the_chosen_coordinates(getkey):
    xs = cube(4)
    subsets = {
        tuple(np.where(((xs[:, list(a)] + 1) / 2).sum(1) % 2 == 1, 1.0, -1.0))
        for a in [(i, j) for i in range(4) for j in range(i)]
    }
    values = draws(SparseParity(4, 2), jnp.asarray(xs), getkey(), 300)
    assert {tuple(v) for v in values} == subsets
    products = np.prod(xs[:, :3], axis=1)  # (−1)^{k+1} = +1 for k = 3
    assert (
        products.tolist()
        in draws(SparseParity(4, 3), jnp.asarray(xs), getkey(), 100).tolist()
    )


def test_conjunctions_and_disjunctions_are_of_literals(getkey):
    """Against the definition in words, on the literals each class can have at d = 2."""
    xs = cube(2)
    signs = [None, 1.0, -1.0]
    wanted_and, wanted_or = set(), set()
    for want in product(signs, repeat=2):
        holds = [[x[j] == w for j, w in enumerate(want) if w is not None] for x in xs]
        wanted_and.add(tuple(1.0 if all(h) else -1.0 for h in holds))
        wanted_or.add(tuple(1.0 if any(h) else -1.0 for h in holds))
    for tasks, wanted in [
        (Conjunction(2, 0.5), wanted_and),
        (Disjunction(2, 0.5), wanted_or),
    ]:
        values = draws(tasks, jnp.asarray(xs), getkey(), 400)
        assert {tuple(v) for v in values} == wanted


def test_a_tree_is_constant_on_cells_of_signs(getkey):
    tasks = DecisionTree(3, depth=2, leaf_mean=2.0, leaf_std=0.5)
    key = getkey()
    signs = jnp.asarray(cube(3))
    scaled = signs * jnp.asarray([[0.1, 3.0, 1.7]])
    sample = jax.jit(tasks.sample)
    one = sample(key, signs)
    assert np.array_equal(one, sample(key, scaled))
    assert 1 <= len(np.unique(one)) <= 4
    # Both children are reached: a one-level tree splits the cube in halves.
    halves = jax.jit(DecisionTree(3, depth=1).sample)(key, signs)
    assert sorted(np.unique(halves, return_counts=True)[1].tolist()) == [4, 4]
    close(draws(tasks, signs, getkey(), 4000), 2.0)


def test_retrieval_returns_a_value_of_the_key(getkey):
    tasks = Retrieval.random(3, num_keys=7, num_values=2, seed=1)
    law = PromptDistribution(Data(tasks.keys), tasks, 5, 0.0, RepeatedPoint())
    prompts = jax.jit(jax.vmap(law.sample))(jr.split(getkey(), 50))
    for xs, ys, query, target in zip(*map(np.asarray, prompts[:4]), strict=True):
        same = np.flatnonzero(np.all(xs == query, axis=1))
        assert len(same) >= 1 and np.all(ys[same] == target)
        for x, y in zip(xs, ys, strict=True):
            row = np.flatnonzero(np.all(np.isclose(tasks.keys, x), axis=1))[0]
            assert np.isclose(tasks.values[row], y).any()
    with pytest.raises(AssumptionError, match="independent of the context"):
        theory.prompt_moments(law.replace(tasks=Linear(np.eye(3))))


MOMENTS = [
    SparseLinear(3, 2, mean=0.7),
    SparseLinear(3, 1),
    Quadratic(3, mean=0.6),
    Projected(Linear(np.eye(2)), BASIS),
    Projected(ReluNeuron(np.eye(2), slope=0.2), BASIS),
    Projected(TwoLayerRelu(np.eye(2), 3), BASIS),
    Projected(Polynomial(2, {1: 0.5, 3: 0.1}), BASIS),
]


@pytest.mark.parametrize("tasks", MOMENTS, ids=lambda t: repr(t)[:40])
def test_moments_match_simulation(tasks, getkey):
    law = Gaussian(COV)
    m = theory.moments(tasks, law)

    def one(key):
        x_key, f_key = jr.split(key)
        xs = law.sample(x_key, 2)
        f = tasks.sample(f_key, xs)
        x, z = xs[0], xs[1]
        return (
            f[0] * f[1] * (jnp.outer(x, z) + jnp.outer(z, x)) / 2,
            f[0] ** 2 * jnp.outer(x, x),
            f[0] ** 2,
        )

    signal, energy, power = map(
        np.asarray, jax.jit(jax.vmap(one))(jr.split(getkey(), 60_000))
    )
    close(signal, m.signal)
    close(energy, m.energy)
    close(power, m.power)


def test_projected_linear_tasks_are_low_rank_linear_tasks():
    law = Gaussian(COV)
    low, full = (
        theory.moments(t, law)
        for t in (Projected(Linear(np.eye(2)), BASIS), Linear(BASIS @ BASIS.T))
    )
    for name in ("signal", "energy", "power"):
        np.testing.assert_allclose(getattr(low, name), getattr(full, name), rtol=1e-12)


def test_a_centered_quadratic_is_a_polynomial():
    law = Gaussian(COV)
    ours, theirs = (
        theory.moments(t, law) for t in (Quadratic(3), Polynomial(3, {2: 1 / 3}))
    )
    np.testing.assert_allclose(ours.energy, theirs.energy, rtol=1e-12)
    assert ours.power == theirs.power and not ours.signal.any()


NO_CONTEXT = [
    (Linear(np.diag([1.0, 2.0, 0.0]), mean=[1.0, 0.0, -1.0]), Gaussian(COV)),
    (Linear(np.eye(3)), Uniform(COV)),
    (SparseLinear(3, 2, mean=0.7), Gaussian(COV)),
    (Quadratic(3, mean=0.6), Gaussian(COV)),
    (ReluNeuron(np.diag([1.0, 2.0, 0.5])), Gaussian(COV)),
    (ReluNeuron(np.eye(3), slope=0.5), Uniform(COV)),
    (ReluNeuron(np.eye(3), random_sign=True), Gaussian(COV)),
    (TwoLayerRelu(np.eye(3), 2), Gaussian(COV)),
    (DecisionTree(3, 2, leaf_mean=1.0, leaf_std=0.7), Gaussian(COV)),
    (Projected(ReluNeuron(np.eye(2)), BASIS), Gaussian(COV)),
]


@pytest.mark.parametrize("tasks, law", NO_CONTEXT, ids=lambda t: repr(t)[:30])
def test_no_context_loss_is_the_variance_given_the_query(tasks, law, getkey):
    """Two functions at one x: half their squared difference has mean Var(f(x) | x)."""

    def one(key):
        x_key, first, second = jr.split(key, 3)
        x = law.sample(x_key, 1)
        return 0.5 * (tasks.sample(first, x) - tasks.sample(second, x))[0] ** 2

    halves = jax.jit(jax.vmap(one))(jr.split(getkey(), 60_000))
    close(np.asarray(halves), theory.no_context_loss(tasks, law))


@pytest.mark.parametrize("tasks", BOOLEAN, ids=str)
def test_no_context_loss_of_binary_tasks_by_counting(tasks, getkey):
    xs = cube(4)
    rate = (draws(tasks, jnp.asarray(xs), getkey(), 40_000) == 1).mean(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -np.nan_to_num(rate * np.log(rate)) - np.nan_to_num(
            (1 - rate) * np.log1p(-rate)
        )
    exact = theory.no_context_loss(tasks, Rademacher(np.eye(4)))
    assert abs(entropy.mean() - exact) < 5e-3 and exact > 0.1


def test_no_context_losses_of_kim_et_al():
    """Section 3.3 of their code: closed forms agree; see the next test for the rest."""
    for d in (10, 15, 20):
        law = Gaussian(np.eye(d))
        assert theory.no_context_loss(Linear(np.eye(d)), law) == d
        assert np.isclose(theory.no_context_loss(Quadratic(d), law), d + 2)
        for mean in (0.0, 0.5):
            expected = 3 * (d + (d - 3) * mean**2) / d
            found = theory.no_context_loss(SparseLinear(d, 3, mean), law)
            assert np.isclose(found, expected, rtol=1e-12)
        tree = DecisionTree(d, leaf_mean=1.0)
        assert theory.no_context_loss(tree, law) == 1.0


PUBLISHED = {  # constants pasted in the code of Kim et al.
    (SparseParity, 10, 2): 0.68295,
    (SparseParity, 15, 2): 0.68954,
    (SparseParity, 20, 2): 0.69102,
    (SparseParity, 10, 3): 0.69017,
    (SparseParity, 15, 3): 0.69385,
    (SparseParity, 20, 3): 0.69464,
    (Parity, 10): 0.69656,
}


@pytest.mark.parametrize("key, published", PUBLISHED.items(), ids=str)
def test_published_parity_constants_lie_just_above_the_optimum(key, published):
    """Three of them exceed ln 2, which guessing a fair coin attains: they are fits."""
    family, *sizes = key
    exact = theory.no_context_loss(family(*sizes), Rademacher(np.eye(sizes[0])))
    assert exact < published < exact + 0.0045 and exact < log(2)


def test_published_conjunction_constants_are_label_frequency_losses():
    """They lie far below the no-context optimum, at what the labels alone allow."""
    published = {10: (0.40751, 0.40316), 15: (0.24639, 0.24386), 20: (0.14085, 0.13822)}
    for d, constants in published.items():
        tasks = Conjunction(d)
        blind = theory.no_context_loss(tasks, Rademacher(np.eye(d)))
        labels = theory.label_frequency_loss(tasks, 120)
        assert labels == theory.label_frequency_loss(Disjunction(d), 120)
        for constant in constants:
            assert constant < 0.87 * blind
            assert labels < constant < 1.045 * labels


def test_label_frequency_loss_by_enumeration():
    """All label sequences of n = 1, 2, 3 points at d = 2; one point is no context."""
    tasks = Conjunction(2, literal_probability=0.4)
    prior = {0: 0.36, 1: 0.48, 2: 0.16}
    for n in (1, 2, 3):
        total = 0.0
        for labels in product([0, 1], repeat=n):
            p = sum(
                w * np.prod([0.5**m if y else 1 - 0.5**m for y in labels])
                for m, w in prior.items()
            )
            total -= p * np.log(p)
        assert np.isclose(theory.label_frequency_loss(tasks, n), total / n, rtol=1e-12)
    blind = theory.no_context_loss(tasks, Rademacher(np.eye(2)))
    assert np.isclose(theory.label_frequency_loss(tasks, 1), blind, rtol=1e-12)


def test_retrieval_without_context_knows_the_mean_value():
    tasks = Retrieval.random(4, num_keys=500, num_values=4, seed=3)
    exact = theory.no_context_loss(tasks, Data(tasks.keys))
    brute = np.mean([np.mean((v - v.mean()) ** 2) for v in tasks.values])
    assert np.isclose(exact, brute) and abs(exact - 9 * 3 / 4) < 0.5


def test_equal_keys_of_a_dictionary_share_the_value_of_the_first(getkey):
    tasks = Retrieval.random(3, num_keys=20, num_values=3, boolean=True, seed=3)
    values = draws(tasks, jnp.asarray(tasks.keys), getkey(), 20_000)
    exact = theory.no_context_loss(tasks, Data(tasks.keys))
    close(np.mean((values - values.mean(0)) ** 2, 1), exact)


def test_wrong_laws_and_settings_are_refused():
    with pytest.raises(AssumptionError, match="uniform on"):
        theory.no_context_loss(Parity(3), Gaussian(np.eye(3)))
    with pytest.raises(AssumptionError, match="closed form"):
        theory.no_context_loss(Retrieval.random(3, 5), Gaussian(np.eye(3)))
    with pytest.raises(AssumptionError, match="Gaussian"):
        theory.moments(Projected(Polynomial(2, {3: 1.0}), BASIS), Uniform(COV))
    with pytest.raises(AssumptionError, match="no-context"):
        theory.no_context_loss(Mixture([Parity(3)]), Rademacher(np.eye(3)))
    for make in (
        lambda: SparseParity(3, 4),
        lambda: SparseLinear(3, 0),
        lambda: Conjunction(3, 0.0),
        lambda: DecisionTree(3, 0),
        lambda: Quadratic(0),
        lambda: Retrieval(np.eye(3), np.ones((2, 2))),
        lambda: Projected(Linear(np.eye(2)), np.ones((3, 2))),
        lambda: Projected(Linear(np.eye(2)), np.ones((3, 3))),
    ):
        with pytest.raises(SettingError):
            make()
