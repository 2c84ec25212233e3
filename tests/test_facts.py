"""What is known of each family, over all families: every fact against draws of f."""

from functools import cache

import helpers
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from helpers import COVARIATES, FAMILIES

from iclax import covariates as laws, tasks as families, theory
from iclax._errors import AssumptionError
from iclax.prompts import PromptDistribution
from iclax.theory.families import registered_families

DIM, POINTS, DRAWS = 2, 4, 40_000
TURNS = [
    np.array([[np.cos(t), np.sin(t)], [-np.sin(t), np.cos(t)]])
    for t in (-0.4, 0.8, 1.6)
]
LAWS = COVARIATES | {
    "cube": lambda d: laws.Rademacher(np.eye(d)),
    "isotropic": lambda d: laws.Gaussian(0.8 * np.eye(d)),
    "diagonal": lambda d: laws.Uniform(np.diag([1.0, 0.5])[:d, :d]),
}


FEW = ("isotropic", "data")


@cache
def sampler(name):
    """The tasks of a family, and a compiled draw of one f for each block of points."""
    tasks = FAMILIES[name][0](DIM)
    return tasks, jax.jit(jax.vmap(tasks.sample), compiler_options=helpers.QUICK)


def drawn(name, points, key):
    """Functions of a family, one at each block of points, or all at the same ones."""
    shape = (DRAWS, POINTS, DIM)
    extra = [(0, 0)] * (points.ndim - 2) + [(0, POINTS - points.shape[-2]), (0, 0)]
    padded = np.pad(points, extra, "edge")
    blocks = jnp.broadcast_to(jnp.asarray(padded), shape)
    values = np.asarray(sampler(name)[1](jr.split(key, DRAWS), blocks))
    return values[:, : points.shape[-2]]


def deviations(samples, expected=0.0):
    """How many standard errors each mean over the draws is from its exact value."""
    error = samples.std(0) / len(samples) ** 0.5
    gap = np.abs(samples.mean(0) - expected)
    scale = 1e-6 * (1 + np.abs(samples).max(0))  # below it, rounding of float32 tables
    return np.where(gap <= scale, 0.0, gap / np.maximum(error, 1e-12))


def test_every_registered_family_is_in_the_registry_of_the_tests():
    built = {type(build(DIM)) for build, _ in FAMILIES.values()}
    concrete = {f for f in registered_families() if not f.__abstractmethods__}
    assert {f for f in concrete if f.__module__.startswith("iclax.tasks")} <= built


def test_every_task_distribution_of_the_library_has_facts():
    for value in vars(families).values():
        if isinstance(value, type) and issubclass(value, families.TaskDistribution):
            if not value.__abstractmethods__:
                assert value in registered_families(), value


@pytest.mark.parametrize("name", FAMILIES)
def test_kernel_and_mean_are_those_of_drawn_functions(name, getkey):
    tasks = sampler(name)[0]
    points = helpers.points_of(tasks, FAMILIES[name][1])
    values = drawn(name, points, getkey())
    products = values[:, :, None] * values[:, None, :]
    known = theory.facts(tasks)
    assert np.max(deviations(products, known.kernel(points, points))) < 5
    mean = known.mean(points)
    assert np.max(deviations(values, mean)) < 5
    if known.affine_mean() is not None:
        constant, slope = known.affine_mean()
        np.testing.assert_allclose(constant + points @ slope, mean, atol=1e-12)


def odd_statistics(values, rng):
    """E sin(a·f(x)) over random a: all vanish iff f and −f have one distribution."""
    scale = 1 / max(values.std(), 1e-12)
    directions = scale * rng.normal(size=(values.shape[1], 8)) * [[0.3, 1.0] * 4]
    return np.sin(values @ directions)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_claimed_sign_symmetry_is_true_and_a_denied_one_false(name, getkey):
    tasks = sampler(name)[0]
    claim = theory.is_sign_symmetric(tasks)
    values = drawn(name, helpers.points_of(tasks, FAMILIES[name][1]), getkey())
    found = odd_statistics(values, np.random.default_rng(len(name)))
    worst = np.max(deviations(found))
    if claim is not None:
        assert worst < 5 if claim else worst > 7, (claim, worst)


ANYWHERE = [name for name, (_, domain) in FAMILIES.items() if domain == "any"]


@pytest.mark.parametrize("name", helpers.mostly_in_ci(ANYWHERE, keep=ANYWHERE[::3]))
def test_a_claimed_rotation_invariance_is_true_and_a_denied_one_false(name, getkey):
    tasks = sampler(name)[0]
    claim = theory.facts(tasks).rotation_invariant
    points = helpers.points_of(tasks, "any")
    rng, worst = np.random.default_rng(len(name)), 0.0
    for turn in (*TURNS, np.diag([1.0, -1.0])):
        own, moved = (drawn(name, p, getkey()) for p in (points, points @ turn))
        size = max(own.std(), 1e-12)
        a = rng.normal(size=(len(points), 6)) / size
        # Two independent sets of draws: their difference has mean 0 if alike.
        gaps = [wave(own @ a) - wave(moved @ a) for wave in (np.sin, np.cos)]
        pairs = np.tanh(outer(own, own) / size**2) - np.tanh(
            outer(moved, moved) / size**2
        )
        gaps.append(pairs.reshape(len(pairs), -1))
        worst = max(worst, np.max(deviations(np.concatenate(gaps, axis=1))))
    if claim is not None:
        assert worst < 5 if claim else worst > 7, (claim, worst)


@pytest.mark.parametrize("law", LAWS)
def test_claimed_symmetries_of_covariates_are_those_of_draws(law, getkey):
    covariates = LAWS[law](DIM)
    xs = np.asarray(covariates.sample(getkey(), DRAWS))
    rng = np.random.default_rng(1)
    a = 2 * rng.normal(size=(DIM, 8))
    worst = np.max(deviations(np.sin(xs @ a)))
    assert worst < 5 if covariates.symmetric else worst > 7
    gaps = [
        wave(xs @ a) - wave(xs[::-1] @ turn @ a)
        for wave in (np.sin, np.cos)
        for turn in TURNS
    ]
    worst = np.max(deviations(np.concatenate(gaps, 1)))
    assert worst < 5 if covariates.rotation_invariant else worst > 7


def test_nothing_is_known_of_covariates_by_default():
    class Own(laws.Covariates):
        dim = 2
        second_moment = fourth_moment = sixth_moment = sample = None

    assert Own().symmetric is None and Own().rotation_invariant is None


def outer(a, b):
    return a[:, :, None] * b[:, None, :]


def or_none(question, *arguments):
    """The answer, or None where it is refused."""
    try:
        return question(*arguments)
    except AssumptionError:
        return None


@pytest.mark.parametrize("name", helpers.mostly_in_ci(FAMILIES, list(FAMILIES)[::2]))
@pytest.mark.parametrize("tried", helpers.mostly_in_ci([FEW, tuple(LAWS)], keep=[FEW]))
def test_moments_are_exact_or_refused_under_all_covariates(name, tried, getkey):
    """U, V, P, the cross moment with another query, tokens, what needs no context."""
    tasks = sampler(name)[0]
    if FAMILIES[name][1] == "cube":
        with pytest.raises(AssumptionError):
            theory.moments(tasks, LAWS["isotropic"](DIM))
    chosen = ["cube"] if FAMILIES[name][1] == "cube" else tried
    assert sum(check_moments(name, LAWS[law](DIM), getkey()) for law in chosen) >= 1


def check_moments(name, covariates, key):
    """Check all that is known of the pair; whether its moments are."""
    tasks, query = sampler(name)[0], laws.Gaussian(0.3 * helpers.spd(DIM, 8))
    keys = jr.split(key, 4)
    xs = np.asarray(covariates.sample(keys[0], 2 * DRAWS)).reshape(DRAWS, 2, DIM)
    zs = np.asarray(query.sample(keys[1], DRAWS)).reshape(DRAWS, 1, DIM)
    ats = np.concatenate([xs, zs], axis=1)
    values, again = (drawn(name, ats, k) for k in keys[2:])
    moved = values[:, :, None] * ats
    own = or_none(theory.moments, tasks, covariates)
    if own is not None:
        assert np.max(deviations(outer(moved[:, 0], moved[:, 1]), own.signal)) < 5
        assert np.max(deviations(outer(moved[:, 0], moved[:, 0]), own.energy)) < 5
        assert np.max(deviations(values[:, :1] ** 2, own.power)) < 5
    cross = or_none(theory.query_moments, tasks, covariates, query)
    if cross is not None:
        assert np.max(deviations(outer(moved[:, 0], moved[:, 2]), cross.cross)) < 5
        assert np.max(deviations(values[:, 2:] ** 2, cross.power)) < 5
    tokens = or_none(theory.token_moments, tasks, covariates)
    if tokens is not None:
        check_tokens(tokens, np.concatenate([ats, values[:, :, None]], axis=2))
    prompts = PromptDistribution(covariates, tasks, 3, 0.4)
    without = or_none(theory.no_context_risk, prompts)
    if without is not None:
        # Two functions at one point: half their squared difference is Var(f(x) | x).
        gaps = (values - again)[:, :2] ** 2 / 2
        assert np.max(deviations(gaps, without)) < 5
        assert without <= theory.facts(tasks).power(covariates) * (1 + 1e-12)
    return own is not None


def check_tokens(tokens, e):
    a = np.random.default_rng(2).normal(size=(DIM + 1, DIM + 1))
    pair = np.einsum("ni,ni->n", e[:, 0] @ a, e[:, 1])[:, None, None]
    square = np.einsum("ni,ni->n", e[:, 0] @ a, e[:, 0])[:, None, None]
    for terms, exact in (
        (pair * outer(e[:, 0], e[:, 1]), tokens.product(a)),
        (square * outer(e[:, 0], e[:, 0]), tokens.fourth(a)),
        (square * outer(e[:, 1], e[:, 1]), tokens.traced((a + a.T) / 2)),
    ):
        assert np.max(deviations(terms, exact)) < 5


def test_no_context_risk_of_tasks_with_a_mean():
    """P − μᵀΛμ: 1/2 tr C of the power 9/2 (Λ = I, C = I/4, μ = (2, 0))."""
    tasks = families.Linear(np.eye(2) / 4, [2.0, 0.0])
    prompts = PromptDistribution(laws.Gaussian(np.eye(2)), tasks, 4)
    assert theory.zero_risk(prompts) == pytest.approx(4.5)
    assert theory.no_context_risk(prompts) == pytest.approx(0.5)
    moved = prompts.replace(query_covariates=laws.Gaussian([4.0, 1.0]))
    assert theory.no_context_risk(moved) == pytest.approx(1.25)


class Sphere(families.LinearTasks):
    """w uniform on the sphere of radius √d: W = I."""

    weight_mean, weight_second_moment = np.zeros(DIM), np.eye(DIM)

    def sample_weights(self, key):
        w = jr.normal(key, (DIM,))
        return DIM**0.5 * w / jnp.linalg.norm(w)


class Shifted(families.Linear):
    """A subclass that draws otherwise: w + 1."""

    def sample_weights(self, key):
        return super().sample_weights(key) + 1.0


class Loud(families.Linear):
    """A subclass that only adds to its parent."""

    volume = 11


def test_a_family_of_ones_own_has_exact_theory():
    law = laws.Gaussian(helpers.spd(DIM, 1))
    own, twin = Sphere(), families.Linear(np.eye(DIM))
    prompts = PromptDistribution(law, own, 4, 0.3)
    assert theory.optimal_risk(prompts) == theory.optimal_risk(
        prompts.replace(tasks=twin)
    )
    assert theory.is_sign_symmetric(own) is None

    @theory.register_facts(Sphere)
    class SphereFacts(theory.families.LinearFacts):
        sign_symmetric = rotation_invariant = True

    assert theory.gd_form_reason(prompts) == "f and −f have the same distribution"
    assert theory.is_rotation_invariant(own, laws.Gaussian(np.eye(DIM)))


@pytest.mark.parametrize("question", ["moments", "token_moments", "query_moments"])
def test_a_subclass_that_draws_otherwise_is_unknown(question):
    law, tasks = laws.Gaussian(np.eye(DIM)), Shifted(np.eye(DIM))
    arguments = (law, law) if question == "query_moments" else (law,)
    with pytest.raises(AssumptionError):
        getattr(theory, question)(tasks, *arguments)
    assert theory.is_sign_symmetric(tasks) is None
    assert families.weight_law(tasks) is None
    inside = families.Mixture([tasks, Loud(np.eye(DIM))])
    assert theory.is_sign_symmetric(inside) is None
    assert theory.is_sign_symmetric(Loud(np.eye(DIM))) is True
    getattr(theory, question)(Loud(np.eye(DIM)), *arguments)


class Moved(laws.Gaussian):
    """Covariates with a mean that still state the moments of their parent."""

    def sample(self, key, num):
        return super().sample(key, num) + 1.0


class Dependent(laws.Gaussian):
    """A query that depends on the context."""

    def sample_query(self, key, xs):
        return xs[0]


class Sorted(PromptDistribution):
    """A prompt that is drawn otherwise than its parts say."""

    def sample(self, key):
        return super().sample(key)


def test_covariates_and_prompts_that_draw_otherwise_have_no_theory():
    tasks, law = families.Linear(np.eye(DIM)), laws.Gaussian(np.eye(DIM))
    for prompts in (
        PromptDistribution(Moved(np.eye(DIM)), tasks, 3),
        PromptDistribution(law, tasks, 3, query_covariates=Moved(np.eye(DIM))),
        PromptDistribution(Dependent(np.eye(DIM)), tasks, 3),
        Sorted(law, tasks, 3),
    ):
        for question in (
            theory.prompt_moments,
            theory.attention_moments,
            theory.no_context_risk,
            theory.bayes_risk,
            theory.ridge_risk,
            lambda p: theory.gradient_descent_risk([0.1, 0.1], p),
            lambda p: theory.task_risk(np.eye(DIM), p),
        ):
            with pytest.raises(AssumptionError):
                question(prompts)


class Elsewhere(laws.Covariates):
    """x = z + 1, which says nothing of its symmetry."""

    dim, second_moment = DIM, np.eye(DIM) + 1

    def sample(self, key, num):
        return jr.normal(key, (num, DIM)) + 1


def test_covariates_of_ones_own_are_not_taken_to_be_symmetric():
    """ReLU tasks once had an "exact" risk of 2.0742 here, where draws gave .884."""
    tasks = families.ReluNeuron(np.eye(DIM))
    prompts = PromptDistribution(Elsewhere(), tasks, 10)
    for question in (theory.optimal_risk, theory.zero_risk, theory.no_context_risk):
        with pytest.raises(AssumptionError, match="not known for Elsewhere"):
            question(prompts)
    with pytest.raises(AssumptionError, match="fourth moment"):
        theory.optimal_risk(prompts.replace(tasks=families.Linear(np.eye(DIM))))
