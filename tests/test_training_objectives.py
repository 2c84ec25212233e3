"""Objectives, schedules, optimizers and curricula against other ways to say them."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest
from scipy.special import expit

from iclax._errors import SettingError
from iclax.training import (
    SGD,
    Adam,
    Constant,
    Cosine,
    Curriculum,
    Exponential,
    Objective,
    OneCycle,
    Ramp,
    cast_floats,
    first_dims,
    garg_curriculum,
    logistic_loss,
    mean_of_components,
    mean_over_positions,
    mixed_precision,
    squared_error,
    sum_of_components,
)


def test_logistic_loss_is_cross_entropy(getkey):
    logits = 3 * jr.normal(getkey(), (50,))
    labels = jr.rademacher(getkey(), (50,)).astype(float)
    p = expit(np.asarray(logits))
    entropy = -np.where(labels > 0, np.log(p), np.log(1 - p))
    np.testing.assert_allclose(logistic_loss(logits, labels), entropy, rtol=1e-12)
    assert np.isfinite(logistic_loss(jnp.array(-1e4), jnp.array(1.0)))


def test_objectives_of_the_last_and_of_all_positions(getkey):
    predictions, labels = jr.normal(getkey(), (2, 6, 4))
    errors = (np.asarray(predictions) - np.asarray(labels)) ** 2
    last = Objective()(predictions, labels)
    np.testing.assert_allclose(last, errors[:, -1].mean(), rtol=1e-12)
    query = Objective()(predictions[:, -1], labels[:, -1])
    assert query == last
    whole = Objective(positions="all", scale=2.0)(predictions, labels)
    np.testing.assert_allclose(whole, errors.mean() / 2, rtol=1e-12)
    some = jax.jit(Objective(positions="all"))(predictions, labels, 3)
    np.testing.assert_allclose(some, errors[:, :3].mean(), rtol=1e-12)


def test_positions_left_out_do_not_count(getkey):
    errors = jr.normal(getkey(), (3, 5)).at[:, 3:].set(jnp.inf)
    value, gradient = jax.value_and_grad(lambda e: jnp.sum(mean_over_positions(e, 3)))(
        errors
    )
    np.testing.assert_allclose(value, np.asarray(errors)[:, :3].mean(1).sum())
    np.testing.assert_allclose(gradient, np.repeat([[1 / 3] * 3 + [0.0] * 2], 3, 0))


def test_components_are_averaged_or_summed_over_their_plateaus():
    losses = [jnp.array(5.0), jnp.array(6.0)]
    assert mean_of_components(losses) == 5.5
    # Linear and quadratic regression at d = 10 predict 0 without context: d, d + 2.
    np.testing.assert_allclose(sum_of_components(losses, [10.0, 12.0]), 1.0)
    np.testing.assert_allclose(sum_of_components(losses, [5.0, 12.0]), 1.5)
    with pytest.raises(SettingError, match="one per component: 2"):
        sum_of_components(losses, [1.0])
    with pytest.raises(SettingError, match="above 0"):
        sum_of_components(losses, [1.0, 0.0])


@pytest.mark.parametrize("wrong", [dict(positions="first"), dict(scale=0.0)])
def test_wrong_objectives_are_refused(wrong):
    with pytest.raises(SettingError, match="objective"):
        Objective(squared_error, **wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: OneCycle(rise=0.0),
        lambda: OneCycle(rise=1.0),
        lambda: Exponential(every=0),
        lambda: Exponential(rate=0.0),
        lambda: Cosine(warmup=-1),
    ],
)
def test_wrong_schedules_are_refused(wrong):
    with pytest.raises(SettingError):
        wrong()


SCHEDULES = [
    (Constant(), optax.constant_schedule(1.0)),
    (Constant(warmup=10), optax.linear_schedule(0.0, 1.0, 10)),
    (Cosine(end=0.1), optax.cosine_decay_schedule(1.0, 40, 0.1)),
    (
        Cosine(end=0.1, warmup=10),
        optax.warmup_cosine_decay_schedule(0.0, 1.0, 10, 40, 0.1),
    ),
    (
        OneCycle(0.25),
        optax.join_schedules(
            [optax.linear_schedule(0.0, 1.0, 10), optax.linear_schedule(1.0, 0.0, 30)],
            [10],
        ),
    ),
    (Exponential(0.5, 8), optax.exponential_decay(1.0, 8, 0.5)),
    (Exponential(0.5, 8, True), optax.exponential_decay(1.0, 8, 0.5, staircase=True)),
]


@pytest.mark.parametrize("own, known", SCHEDULES, ids=lambda s: repr(s)[:40])
def test_schedules_agree_with_optax(own, known):
    for count in (0, 1, 5, 8, 10, 17, 25, 39):
        np.testing.assert_allclose(own.factor(count, 40), known(count), atol=1e-6)


OPTIMIZERS = [
    (Adam(0.1, b1=0.8, eps=1e-6), optax.adam(0.1, b1=0.8, eps=1e-6)),
    (Adam(0.1, weight_decay=0.3), optax.adamw(0.1, weight_decay=0.3)),
    (SGD(0.1), optax.sgd(0.1)),
    (SGD(0.1, momentum=0.9), optax.sgd(0.1, 0.9)),
    (SGD(0.1, momentum=0.9, nesterov=True), optax.sgd(0.1, 0.9, nesterov=True)),
    (
        SGD(0.1, weight_decay=0.2),
        optax.chain(optax.add_decayed_weights(0.2), optax.sgd(0.1)),
    ),
    (
        Adam(0.1, Cosine(), clip=0.5),
        optax.chain(
            optax.clip_by_global_norm(0.5),
            optax.adam(optax.cosine_decay_schedule(0.1, 20)),
        ),
    ),
]


@pytest.mark.parametrize("own, known", OPTIMIZERS, ids=lambda o: repr(o)[:60])
def test_optimizers_agree_with_optax(own, known):
    start = {"a": jnp.array([1.0, -2.0]), "b": jnp.array(0.5)}
    results = []
    for rule in (own.build(20, {}), known):
        weights, state = start, rule.init(start)
        for _ in range(6):
            gradient = jax.grad(lambda w: jnp.sum(w["a"] ** 4) + w["b"] ** 2)(weights)
            updates, state = rule.update(gradient, state, weights)
            weights = optax.apply_updates(weights, updates)
        results.append(weights)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), *results)


def test_ramps_rise_when_they_should():
    ramp = Ramp(5, 20, by=1, every=2000)
    for step, value in [(1, 5), (2000, 5), (2001, 6), (30_000, 19), (30_001, 20)]:
        assert ramp(step) == value
    assert ramp(10**6) == 20
    with pytest.raises(SettingError, match="ramp.start"):
        Ramp(6, 5)
    with pytest.raises(SettingError, match="every = 0"):
        Ramp(1, 5, every=0)


def test_the_curriculum_of_garg_et_al():
    assert garg_curriculum()(1) == (5, 11)
    assert garg_curriculum()(4001) == (7, 15)
    assert garg_curriculum()(500_000) == (20, 41)
    assert garg_curriculum(points=101, slow=True)(2001) == (6, 31)
    assert Curriculum(Ramp(1, 1), Ramp(2, 3))(10**6) == (1, 3)


def test_first_dims_zeroes_the_rest(getkey):
    xs = jr.normal(getkey(), (3, 4))
    kept = jax.jit(first_dims)(xs, 2)
    assert np.array_equal(kept[:, :2], xs[:, :2]) and not np.any(kept[:, 2:])


def test_mixed_precision_computes_low_and_keeps_the_weights_high():
    seen = []

    def loss(model, key):
        seen.append(model["w"].dtype)
        return jnp.sum(model["w"] * model["w"])

    model = {"w": jnp.array([1.0 + 2.0**-12]), "n": 3}
    value, gradient = jax.value_and_grad(
        lambda w: mixed_precision(loss)(model | {"w": w}, None)
    )(model["w"])
    assert seen == [jnp.bfloat16] and value.dtype == jnp.float32 and value == 1.0
    assert gradient.dtype == model["w"].dtype and gradient[0] == 2.0
    assert cast_floats(model, jnp.float16)["n"] == 3
