"""Discrete training on the exact risk, and the dynamics of the full layer."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from iclax._errors import SettingError
from iclax.covariates import Gaussian
from iclax.prompts import PromptDistribution
from iclax.tasks import Linear, LowRank
from iclax.theory import (
    Merged,
    attention_descent,
    attention_flow,
    attention_risk,
    descend,
    flow,
    optimal_attention,
    optimal_risk,
    preconditioner_risk,
)

PROMPTS = PromptDistribution(
    Gaussian(np.linspace(0.6, 1.8, 4)), LowRank.random(4, 2, 2, seed=1), 3, 0.5
)
OTHER = PROMPTS.replace(tasks=LowRank(PROMPTS.tasks.bases[0]))


def by_hand(optimizer, rate, start, steps):
    """The textbook updates, written out with the gradient by hand."""
    prompts, kind = PROMPTS, Merged()
    weights = [np.array(part) for part in start]
    first = [np.zeros_like(part) for part in weights]
    second = [np.zeros_like(part) for part in weights]
    losses = []
    for t in range(1, steps + 1):
        losses.append(preconditioner_risk(kind.gamma(tuple(weights)), prompts))
        gamma = jnp.asarray(kind.gamma(tuple(weights)))
        slope = np.asarray(jax.grad(preconditioner_risk)(gamma, prompts))
        values, maps = weights
        gradient = [np.sum(slope * maps, (1, 2)), values[:, None, None] * slope[None]]
        for i, g in enumerate(gradient):
            if optimizer == "gd":
                weights[i] = weights[i] - rate * g
            elif optimizer == "momentum":
                first[i] = 0.9 * first[i] + g
                weights[i] = weights[i] - rate * first[i]
            else:
                first[i] = 0.9 * first[i] + 0.1 * g
                second[i] = 0.999 * second[i] + 0.001 * g**2
                m, v = first[i] / (1 - 0.9**t), second[i] / (1 - 0.999**t)
                weights[i] = weights[i] - rate * m / (np.sqrt(v) + 1e-8)
    return losses


@pytest.mark.parametrize("optimizer", ["gd", "momentum", "adam"])
def test_steps_are_the_textbook_ones(optimizer):
    start = Merged().start(4, 0.3, "random", 0)
    found = descend(
        PROMPTS, start=start, optimizer=optimizer, learning_rate=0.02, steps=12
    )
    np.testing.assert_allclose(
        found.losses[:-1], by_hand(optimizer, 0.02, start, 12), rtol=1e-9
    )


@pytest.mark.parametrize("name", ["linear", "merged", "separate"])
def test_slow_gradient_descent_is_the_flow(name):
    options = {"init": 0.1, "watch": {"own": OTHER}, "objective": "sum"}
    exact = flow(PROMPTS, name, **options)
    rate = min(exact.escape_time, exact.half_drop_time) / 800
    steps = int(1.5 * exact.half_drop_time / (2 * rate))
    found = descend(PROMPTS, name, learning_rate=rate, steps=steps, **options)
    assert 2 * rate * found.half_drop_step == pytest.approx(
        exact.half_drop_time, rel=0.01
    )
    assert 2 * rate * found.escape_step == pytest.approx(exact.escape_time, rel=0.01)
    assert found.watched["own"].losses[-1] == pytest.approx(
        preconditioner_risk(found.gamma, OTHER), rel=1e-9
    )
    assert found.minimum == pytest.approx(exact.minimum, rel=1e-12)


@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
def test_optimizers_end_at_the_optimum(optimizer):
    # Near the end Adam jumps about with its rate: by 4e-6 of the risk with 0.01.
    rate = {"momentum": 0.05, "adam": 0.002}[optimizer]
    found = descend(
        PROMPTS, init=0.1, optimizer=optimizer, learning_rate=rate, steps=4000
    )
    assert found.final_risk == pytest.approx(optimal_risk(PROMPTS), rel=1e-6)


def test_any_optax_transformation_may_be_given():
    start = Merged().start(4, 0.3, "random", 0)
    named = descend(PROMPTS, start=start, learning_rate=0.1, steps=5)
    given = descend(PROMPTS, start=start, optimizer=optax.sgd(0.1), steps=5)
    np.testing.assert_array_equal(named.losses, given.losses)


def test_descent_leaves_the_precision_of_others_alone():
    with jax.enable_x64(False):
        found = descend(PROMPTS, steps=3)
        assert found.losses.dtype == np.float64
        assert jnp.ones(1).dtype == jnp.float32


def test_full_layer_from_the_gd_start_is_the_merged_flow():
    merged = flow(PROMPTS, init=0.1)
    found = attention_flow(PROMPTS, end_time=merged.times[-1], init=0.1)
    assert found.final_risk == pytest.approx(optimal_risk(PROMPTS), rel=1e-6)
    assert found.escape_time == pytest.approx(merged.escape_time, rel=1e-6)
    assert found.half_drop_time == pytest.approx(merged.half_drop_time, rel=1e-4)


WITH_MEAN = PromptDistribution(
    Gaussian(np.ones(2)), Linear(0.5 * np.eye(2), np.array([1.0, 0.0])), 5, 0.3
)
RANDOM = {"start": "random", "init": 0.3, "seed": 2}


def test_full_layer_leaves_the_gd_form_for_tasks_with_a_mean():
    found = attention_flow(WITH_MEAN, end_time=40.0, **RANDOM)
    assert found.final_risk == pytest.approx(
        optimal_attention(WITH_MEAN).risk, rel=1e-3
    )
    assert found.final_risk < optimal_risk(WITH_MEAN) * 0.99


@pytest.mark.parametrize("include_query", [False, True])
def test_slow_descent_of_the_full_layer_is_its_flow(include_query):
    options = {**RANDOM, "include_query": include_query}
    found = attention_flow(WITH_MEAN, end_time=2.0, **options)
    # One step of 0.001 is a time of 0.002.
    stepped = attention_descent(WITH_MEAN, learning_rate=1e-3, steps=1000, **options)
    assert stepped.final_risk == pytest.approx(found.final_risk, rel=1e-3)
    assert 2e-3 * stepped.escape_time == pytest.approx(found.escape_time, rel=0.02)
    assert stepped.final_risk == pytest.approx(
        attention_risk(*stepped.weights, WITH_MEAN, include_query=include_query)
    )


@pytest.mark.parametrize(
    ("call", "key"),
    [
        (lambda: descend(PROMPTS, optimizer="lion"), "optimizer"),
        (lambda: descend(PROMPTS, steps=0), "steps"),
        (lambda: attention_flow(PROMPTS, end_time=1.0, start="zero"), "start"),
    ],
)
def test_wrong_descent_options_are_refused_by_key(call, key):
    with pytest.raises(SettingError) as error:
        call()
    assert error.value.key == key
