"""The training engine: what it computes, whatever the grouping of runs and calls."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest
from jax import lax

from iclax._errors import SettingError
from iclax.training import LBFGS, SGD, Adam, Average, Diverged, Target, train
from iclax.training._checks import check_plan, whole, whole_seeds
from iclax.training._compensated import Compensated
from iclax.training._plan import Plan

TRUTH = jnp.array([1.0, -2.0, 0.5])


def scramble(key, shape):
    """Numbers that differ from key to key, far quicker to compile than normal ones."""
    a, b = (jr.key_data(key) % 1009).astype(float)
    return jnp.sin(jnp.arange(1.0, np.prod(shape) + 1) * (1.0 + a + b / 7)).reshape(
        shape
    )


def init(key):
    return {"w": scramble(key, (3,))}


def loss(model, key):
    draw = scramble(key, (16, 4))
    xs, noise = draw[:, :3], draw[:, 3]
    return jnp.mean((xs @ (model["w"] - TRUTH) - 0.1 * noise) ** 2)


def watch(model):
    return {"risk": jnp.sum((model["w"] - TRUTH) ** 2)}


def by_hand(seed, steps, optimizer):
    """The same training as a plain loop over optax."""
    key = jr.key(seed)
    model = init(jr.fold_in(key, 0))
    state, losses, risks = optimizer.init(model), [], []
    for t in range(1, steps + 1):
        value, gradient = jax.value_and_grad(loss)(model, jr.fold_in(key, t))
        updates, state = optimizer.update(gradient, state, model)
        model = optax.apply_updates(model, updates)
        losses.append(float(value))
        risks.append(float(watch(model)["risk"]))
    return model, np.array(losses), np.array(risks)


def test_equals_a_plain_optax_loop():
    result = train(
        init,
        loss,
        steps=7,
        seeds=[3, 5],
        optimizer=Adam(0.1),
        watch=watch,
        record_every=3,
    )
    assert list(result.steps) == [3, 6, 7]
    for run, seed in enumerate([3, 5]):
        model, losses, risks = by_hand(seed, 7, optax.adam(0.1))
        np.testing.assert_allclose(result.model_of(run)["w"], model["w"], rtol=1e-12)
        means = [losses[:3].mean(), losses[3:6].mean(), losses[6]]
        np.testing.assert_allclose(result.history["loss"][run], means, rtol=1e-12)
        np.testing.assert_allclose(
            result.history["risk"][run], risks[[2, 5, 6]], rtol=1e-12
        )


def test_a_run_does_not_depend_on_the_others_or_on_their_grouping():
    options = dict(steps=20, optimizer=Adam(0.05), record_every=5)
    together = train(init, loss, seeds=[0, 1, 2, 3, 4], **options)
    chunked = train(init, loss, seeds=[0, 1, 2, 3, 4], seed_batch=2, **options)
    alone = train(init, loss, seeds=[3], **options)
    np.testing.assert_allclose(chunked.model["w"], together.model["w"], rtol=1e-12)
    np.testing.assert_allclose(alone.model["w"][0], together.model["w"][3], rtol=1e-12)


def test_hyper_parameters_vary_beside_the_seeds():
    rates = [0.01, 0.1]
    result = train(
        init,
        loss,
        steps=5,
        seeds=[2, 2],
        optimizer=SGD(),
        record_every=5,
        hyper={"learning_rate": rates},
    )
    for run, rate in enumerate(rates):
        model, *_ = by_hand(2, 5, optax.sgd(rate))
        np.testing.assert_allclose(result.model_of(run)["w"], model["w"], rtol=1e-12)


def test_divergence_is_reported_with_step_and_rate_and_keeps_the_last_good_weights():
    def explode(model, key):
        return jnp.sum(model["w"] ** 4)

    with pytest.raises(Diverged) as caught:
        train(init, explode, steps=100, seeds=[1], optimizer=SGD(3.0), record_every=10)
    error = caught.value
    assert 1 < error.step < 100 and error.learning_rate == 3.0 and error.seed == 1
    weights = error.result.model["w"]
    assert np.all(np.isfinite(weights)) and not np.isfinite(jnp.sum(weights**4) ** 3)
    assert "step" in str(error) and "3" in str(error)


@pytest.mark.parametrize("rates", [[1e-5, 3.0], [3.0, 1e-5]])
def test_divergence_is_told_of_the_run_that_diverged(rates):
    with pytest.raises(Diverged) as caught:
        train(
            init,
            lambda model, key: jnp.sum(model["w"] ** 4),
            steps=100,
            seeds=[7, 8],
            hyper={"learning_rate": rates},
            optimizer=SGD(),
        )
    error, run = caught.value, rates.index(3.0)
    assert (error.seed, error.learning_rate) == ([7, 8][run], 3.0)
    assert error.step == error.result.ended[run] < 100
    assert list(error.result.diverged) == [rate == 3.0 for rate in rates]


def test_a_diverged_run_leaves_the_others_alone():
    options = dict(steps=30, record_every=10, optimizer=SGD())
    both = train(
        init,
        loss,
        seeds=[0, 0],
        hyper={"learning_rate": [0.1, 1e9]},
        on_divergence="keep",
        **options,
    )
    good = train(init, loss, seeds=[0], hyper={"learning_rate": [0.1]}, **options)
    assert list(both.diverged) == [False, True]
    np.testing.assert_allclose(both.model["w"][0], good.model["w"][0], rtol=1e-12)
    assert np.all(np.isfinite(both.model["w"]))


def test_a_target_ends_each_run_by_itself():
    result = train(
        init,
        loss,
        steps=200,
        seeds=range(6),
        optimizer=SGD(0.05),
        watch=watch,
        record_every=1,
        target=Target("risk", below=0.05),
    )
    for run, ended in enumerate(result.ended):
        risks = result.history["risk"][run]
        assert risks[ended - 1] <= 0.05 < risks[ended - 2]
        assert np.all(risks[ended:] == risks[ended - 1])
    assert len(set(result.ended)) > 1 and len(result.steps) == max(result.ended)


@pytest.mark.parametrize("average", [Average(last=0.5), Average(decay=0.9)])
def test_averages_of_the_weights(average):
    result = train(
        init,
        loss,
        steps=11,
        seeds=[4],
        optimizer=SGD(0.1),
        average=average,
    )
    path = []
    for steps in range(1, 12):
        path.append(np.asarray(by_hand(4, steps, optax.sgd(0.1))[0]["w"]))
    if average.decay is None:
        expected = np.mean(path[6:], axis=0)  # floor(11/2) = 5 last ones
    else:
        expected = np.asarray(init(jr.fold_in(jr.key(4), 0))["w"])
        for t, weights in enumerate(path, start=1):
            beta = min(0.9, (1 + t) / (10 + t))
            expected = beta * expected + (1 - beta) * weights
    np.testing.assert_allclose(result.averaged_of(0)["w"], expected, rtol=1e-10)


@pytest.mark.parametrize(
    "wrong, key",
    [
        (dict(steps=0), "steps"),
        (dict(seeds=[]), "seeds"),
        (dict(seeds=[-1]), "seeds[0]"),
        (dict(steps=2**31), "steps"),
        (dict(record_every=0), "record_every"),
        (dict(record_every=2**31), "record_every"),
        (dict(hyper={"learning_rate": [0.1, 0.2]}), "hyper.learning_rate"),
        (dict(hyper={"learning_rates": [0.1]}), "hyper.learning_rates"),
        (dict(hyper={"schedule": [0.1]}), "hyper.schedule"),
        (dict(hyper={"memory": [5]}, optimizer=LBFGS()), "hyper.memory"),
        (dict(hyper={"rate": [5]}, optimizer=optax.sgd(0.1)), "hyper.rate"),
        (dict(on_divergence="ignore"), "on_divergence"),
        (dict(optimizer=Adam), "optimizer"),
        (dict(optimizer="adam"), "optimizer"),
        (dict(target=Target("losses", 0.5)), "target.name"),
        (dict(diverged_above=float("nan")), "diverged_above"),
        (dict(data={"xs": ["a"]}), "data['xs'][0]"),
        (dict(trainable=lambda model: {"w": False}), "init"),
        (dict(watch=lambda model: {"loss": 0.0}), "watch"),
        (dict(watch=lambda model: {"step": 0.0}), "watch"),
        (dict(watch=lambda model: {"state/w": 0.0}), "watch"),
        (dict(watch=lambda model: {"w": model["w"]}), "watch"),
    ],
)
def test_wrong_options_are_refused_by_name(wrong, key):
    right = dict(steps=3, seeds=[0], optimizer=Adam())
    with pytest.raises(SettingError) as caught:
        train(init, loss, **(right | wrong))
    assert caught.value.key == key


def test_what_is_no_whole_number_is_refused():
    for wrong in (1.5, 0.0, "3", None, jnp.ones(2)):
        with pytest.raises(SettingError, match="steps"):
            whole("steps", wrong)
    for wrong, key in ((3, "seeds"), ([0, 0.5], r"seeds\[1\]")):
        with pytest.raises(SettingError, match=key):
            whole_seeds(wrong)
    assert whole_seeds(np.arange(3)) == [0, 1, 2] == whole_seeds(range(3))


@pytest.mark.parametrize("name", ["average", "target"])
def test_a_number_is_no_average_and_no_target(name):
    plan = Plan(init, loss, SGD(), 1, 1)
    check_plan(plan, {})
    object.__setattr__(plan, name, 0.5)  # past the type checks of the tests
    with pytest.raises(SettingError, match=name):
        check_plan(plan, {})


@pytest.mark.parametrize("kind", [int, complex])
def test_only_real_floating_weights_learn(kind):
    with pytest.raises(SettingError, match="init"):
        train(
            lambda key: jnp.ones(2, kind),
            lambda model, key: jnp.sum(jnp.abs(model) ** 2),
            steps=1,
            optimizer=SGD(),
        )


def test_a_name_of_hyper_that_a_function_may_read_is_no_mistake():
    scaled = lambda key, hyper: {"w": hyper["scale"] * jnp.ones(3)}
    result = train(scaled, loss, steps=1, optimizer=SGD(0.0), hyper={"scale": [3.0]})
    np.testing.assert_array_equal(result.model["w"], np.full((1, 3), 3.0))


def test_a_random_optimizer_draws_anew_at_every_step():
    noisy = optax.chain(optax.sgd(1.0), optax.add_noise(1.0, 0.0, key=0))
    result = train(
        lambda key: jnp.zeros(1),
        lambda model, key: 0.0 * jnp.sum(model),
        steps=4,
        record_every=1,
        optimizer=noisy,
        watch=lambda model: {"w": model[0]},
    )
    expected, state, weights = [], noisy.init(jnp.zeros(1)), jnp.zeros(1)
    for _ in range(4):
        updates, state = noisy.update(jnp.zeros(1), state, weights)
        weights = optax.apply_updates(weights, updates)
        expected.append(weights[0])
    np.testing.assert_allclose(result.history["w"][0], expected, rtol=1e-12)


def test_a_default_of_the_loss_stays_where_there_are_no_data():
    def loss(model, key, data=2.0, step=None):
        return jnp.sum((model["w"] - data) ** 2)

    for data, reached in ((None, 2.0), (5.0, 5.0)):
        result = train(init, loss, steps=60, optimizer=SGD(0.2), data=data)
        np.testing.assert_allclose(result.model["w"], reached, rtol=1e-6)


def test_a_callable_that_cannot_be_hashed_can_be_a_loss():
    class Loss(dict):
        def __call__(self, model, key):
            return jnp.sum((model["w"] - self["goal"]) ** 2)

    result = train(init, Loss(goal=3.0), steps=60, optimizer=SGD(0.2))
    np.testing.assert_allclose(result.model["w"], 3.0, rtol=1e-6)


def in_loop(function, start, steps):
    return jax.jit(lambda x: lax.fori_loop(1, steps + 1, function, x))(start)


def test_float32_sums_of_very_many_terms_keep_their_digits():
    term, count = jnp.float32(0.1), 200_000
    zero = jnp.float32(0)
    plain = in_loop(lambda t, total: total + term, zero, count)
    kept = in_loop(lambda t, total: total.plus(term), Compensated.of(zero), count)
    exact = count * float(np.float32(0.1))
    assert abs(plain - exact) > 1e-4 * exact  # what it is for
    assert abs(kept.total - exact) < 1e-7 * exact


@pytest.mark.parametrize("average", [Average(last=1.0), Average(decay=0.9999)])
def test_long_averages_of_float32_weights_keep_their_digits(average):
    steps = 100_000
    drifting = lambda t, one: one + 0.01 * jnp.asarray(t, one.dtype) / steps

    def averaged(dtype):
        one = jnp.ones((), dtype)
        step = lambda t, mean: average.update(mean, drifting(t, one), t, steps)
        return float(in_loop(step, Compensated.of(one), steps).total)

    assert abs(averaged(jnp.float32) - averaged(jnp.float64)) < 1e-6


def test_numpy_weights_are_those_of_jax():
    numpy = lambda key: {"w": np.ones(3)}
    options = dict(steps=5, optimizer=SGD(0.1))
    one, other = (
        train(f, loss, **options) for f in (numpy, lambda k: {"w": jnp.ones(3)})
    )
    np.testing.assert_array_equal(one.model["w"], other.model["w"])
