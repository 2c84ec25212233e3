"""Fast ways to draw against the slow one: the object's own `sample`."""

from functools import partial

import helpers
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from helpers import COVARIATES, FAMILIES

from iclax import covariates as laws, sampling, tasks as families
from iclax._errors import AssumptionError, SettingError
from iclax.evaluation import simulate_moments, simulate_risks
from iclax.predictors import GradientStep, bayes_predictor
from iclax.prompts import PromptDistribution, RepeatedPoint

DIM, N, NUM = 2, 3, 20_000


class RepeatsFirst(laws.Gaussian):
    """The query is twice the first context point."""

    def sample_query(self, key, xs):
        return 2 * xs[0]


class OneScale(laws.Gaussian):
    """All rows of one call share a random scale."""

    def sample(self, key, num):
        scale_key, key = jr.split(key)
        return super().sample(key, num) * jnp.exp(jr.normal(scale_key))


class WithOffset(laws.Gaussian):
    def sample(self, key, num):
        return super().sample(key, num) + 1.0


class ShiftedWeights(families.Linear):
    def sample_weights(self, key):
        return super().sample_weights(key) + 1.0


class ShiftedValues(families.Linear):
    def sample(self, key, xs):
        return super().sample(key, xs) + 1.0


class ShiftedNeuron(families.ReluNeuron):
    """Replaces `sample` and inherits `sample_batch`, which draws another function."""

    def sample(self, key, xs):
        return jnp.ones(len(xs)) * jr.normal(key)


class ShiftedMixture(families.Mixture):
    def sample(self, key, xs):
        return super().sample(key, xs) + 1.0


class SmallLabels(PromptDistribution):
    def sample(self, key):
        prompt = super().sample(key)
        return prompt._replace(ys=prompt.ys / 10)


def prompts_of(x=None, tasks=None, kind=PromptDistribution, query=None, sigma=0.3):
    x = laws.Gaussian(helpers.spd(DIM, 1)) if x is None else x
    tasks = families.Linear(helpers.spd(DIM, 2)) if tasks is None else tasks
    return kind(x, tasks, N, sigma, query)


EYE = np.eye(DIM)
REPLACED = {
    "query": prompts_of(RepeatsFirst(EYE)),
    "query law": prompts_of(query=RepeatsFirst(EYE)),
    "scale": prompts_of(OneScale(EYE)),
    "scale of query": prompts_of(query=OneScale(EYE)),
    "offset": prompts_of(WithOffset(EYE)),
    "weights": prompts_of(tasks=ShiftedWeights(EYE)),
    "values": prompts_of(tasks=ShiftedValues(EYE)),
    "neuron": prompts_of(tasks=ShiftedNeuron(EYE)),
    "mixture": prompts_of(tasks=ShiftedMixture([families.Linear(EYE)])),
    "inside": prompts_of(tasks=families.Mixture([ShiftedWeights(EYE)])),
    "projected": prompts_of(tasks=families.Projected(ShiftedValues(EYE), EYE)),
    "prompt": prompts_of(kind=SmallLabels),
    "repeated": prompts_of(query=RepeatedPoint()),
    "other query": prompts_of(query=laws.Uniform(EYE)),
}
ORDINARY = {f"law {name}": prompts_of(COVARIATES[name](DIM)) for name in COVARIATES} | {
    f"family {name}": prompts_of(
        laws.Rademacher(EYE) if domain == "cube" else None, build(DIM)
    )
    for name, (build, domain) in FAMILIES.items()
}
CASES = REPLACED | ORDINARY


def statistics(prompt):
    """Moments that every part of a prompt enters, of one prompt."""
    x, y, q, t = prompt.xs, prompt.ys, prompt.query, prompt.target
    b = y @ x / len(y)
    second = x.T @ x / len(x)
    terms = (b * t, b @ b, t**2, t, q, q * t, y[0] * t, jnp.prod(y), x[0, 0] * x[1, 0])
    squares = (x[0, 0] ** 2 * x[1, 0] ** 2, q[0] ** 2 * x[0, 0] ** 2, y @ y)
    flat = [*terms, *squares, second, second @ b, prompt.label * t]
    return jnp.tanh(jnp.concatenate([jnp.ravel(v) for v in flat]) / 3)


@pytest.mark.parametrize("name", helpers.mostly_in_ci(CASES, keep=REPLACED))
def test_a_fresh_batch_is_distributed_like_sample(name, getkey):
    prompts = CASES[name]
    draw = sampling.fresh_batch(prompts, NUM)
    slow = lambda key: jax.vmap(prompts.sample)(jr.split(key, NUM))

    @partial(jax.jit, compiler_options=helpers.QUICK)
    def both(one, two):
        return [jax.vmap(statistics)(way(k)) for way, k in ((draw, one), (slow, two))]

    first, second = map(np.asarray, both(getkey(), getkey()))
    error = np.sqrt((first.var(0) + second.var(0)) / NUM)
    gap = np.abs(first.mean(0) - second.mean(0))
    assert np.all(gap <= 5 * error + 1e-9), np.max(gap / (error + 1e-12))


@pytest.mark.parametrize("name", sorted(set(REPLACED) - {"weights"}))
def test_what_is_replaced_is_not_compressed(name):
    with pytest.raises(AssumptionError):
        sampling.compressed_batch(REPLACED[name], 4)


# Any covariates have the same Bayes predictor, as long as the query tells nothing.
@pytest.mark.parametrize(
    "name", [n for n in REPLACED if n.split()[0] not in ("scale", "offset", "other")]
)
def test_what_is_replaced_has_no_bayes_predictor(name):
    with pytest.raises(AssumptionError):
        bayes_predictor(REPLACED[name])


def test_compressed_prompts_draw_the_weights_of_the_object(getkey):
    draw = jax.jit(sampling.compressed_batch(REPLACED["weights"], NUM))
    target = np.asarray(draw(getkey()).target)
    power = np.sum((EYE + 1) * helpers.spd(DIM, 1))  # of w ~ N(1, I)
    error = np.std(target**2) / NUM**0.5
    assert abs(np.mean(target**2) - power) < 5 * error


def test_the_risk_of_a_replaced_query_is_that_of_the_object(getkey):
    prompts, step = REPLACED["query"], GradientStep(0.5)
    found = simulate_risks({"s": step}, prompts, num_prompts=40_000, key=getkey())["s"]
    mean, error = helpers.simulate(
        lambda p: (step(p) - p.target) ** 2, prompts, getkey(), 40_000
    )
    combined = np.hypot(error, found.standard_error)
    assert abs(found.mean - mean) < 4.5 * combined


class Column(families.Linear):
    def sample(self, key, xs):
        return super().sample(key, xs)[:, None]


class Frozen(families.Linear):
    def sample(self, key, xs):
        return jnp.asarray(xs) @ np.random.normal(size=DIM)


class FrozenPoints(laws.Gaussian):
    def sample(self, key, num):
        return jnp.asarray(np.random.normal(size=(num, DIM)))


class FlatPoints(laws.Gaussian):
    def sample(self, key, num):
        return super().sample(key, num)[:, 0]


@pytest.mark.parametrize(
    "prompts, key, found",
    [
        (prompts_of(tasks=Column(EYE)), "tasks", "shape"),
        (prompts_of(FlatPoints(EYE)), "covariates", "shape"),
        (prompts_of(tasks=Frozen(EYE)), "tasks", "differ"),
        (prompts_of(tasks=families.Mixture([Frozen(EYE)])), "tasks", "differ"),
        (prompts_of(tasks=families.Projected(Frozen(EYE), EYE)), "tasks", "differ"),
        (prompts_of(FrozenPoints(EYE)), "covariates", "differ"),
        (prompts_of(query=FrozenPoints(EYE)), "query_covariates", "differ"),
    ],
)
def test_draws_that_a_program_would_get_wrong_are_refused(prompts, key, found):
    with pytest.raises(SettingError, match=found) as caught:
        simulate_risks({"s": GradientStep(1.0)}, prompts, num_prompts=8, key=jr.key(0))
    assert caught.value.key == key
    if prompts.query_covariates is None:
        parts = prompts.tasks, prompts.covariates
        with pytest.raises(SettingError, match=found) as caught:
            simulate_moments(*parts, key=jr.key(0), num_tasks=8)
        assert caught.value.key == key


def test_one_task_for_all_keys_is_a_task_distribution():
    class Fixed(families.Linear):
        def sample(self, key, xs):
            return jnp.asarray(xs) @ jnp.ones(DIM)

    draw = sampling.fresh_batch(prompts_of(tasks=Fixed(EYE), sigma=0.0), 8)
    prompt = draw(jr.key(0))
    np.testing.assert_allclose(prompt.target, prompt.query.sum(1), rtol=1e-6)
