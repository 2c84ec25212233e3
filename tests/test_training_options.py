"""What `train` can be told: data, stages, parts that learn, micro-batches, devices."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest
from test_training import init, loss, scramble

from iclax import theory
from iclax._errors import SettingError
from iclax.covariates import Gaussian
from iclax.prompts import PromptDistribution
from iclax.tasks import Linear
from iclax.training import (
    LBFGS,
    SGD,
    Adam,
    Curriculum,
    Diverged,
    Ramp,
    Target,
    first_dims,
    minimize,
    train,
)

SRC = str(Path(__file__).parent.parent / "src")


def gradient_step(weights, rate, *losses):
    gradients = [jax.grad(part)(weights) for part in losses]
    mean = jax.tree.map(lambda *g: sum(g) / len(g), *gradients)
    return jax.tree.map(lambda w, g: w - rate * g, weights, mean)


def test_micro_batches_average_their_gradients():
    result = train(
        init, loss, steps=2, seeds=[3], optimizer=SGD(0.1), accumulate=3, record_every=1
    )
    key = jr.key(3)
    weights = init(jr.fold_in(key, 0))
    for t in (1, 2):
        keys = [jr.fold_in(jr.fold_in(key, t), i) for i in range(3)]
        value = np.mean([loss(weights, k) for k in keys])
        np.testing.assert_allclose(result.history["loss"][0, t - 1], value, rtol=1e-12)
        parts = [lambda w, k=k: loss(w, k) for k in keys]
        weights = gradient_step(weights, 0.1, *parts)
    np.testing.assert_allclose(result.model["w"][0], weights["w"], rtol=1e-12)


class Layer(eqx.Module):
    weight: jax.Array
    offset: jax.Array
    count: jax.Array
    name: str = eqx.field(static=True, default="layer")
    activation: object = jnp.tanh

    def __call__(self, x):
        return self.activation(self.weight @ x) + self.offset + self.count


def build(key):
    return Layer(scramble(key, (3,)), jnp.array(0.0), jnp.array(2))


def fit(model, key, data):
    xs, ys = data
    return jnp.mean((jax.vmap(model)(xs) - ys) ** 2)


def test_equinox_modules_shared_data_and_parts_that_do_not_learn():
    data = (scramble(jr.key(9), (8, 3)), scramble(jr.key(8), (8,)))
    chosen = lambda model: eqx.tree_at(
        lambda m: m.weight, jax.tree.map(lambda _: False, model), True
    )
    result = train(
        build,
        fit,
        steps=3,
        seeds=[1, 2],
        optimizer=SGD(0.1),
        data=data,
        trainable=chosen,
    )
    for run, seed in enumerate([1, 2]):
        model, start = result.model_of(run), build(jr.fold_in(jr.key(seed), 0))
        assert isinstance(model, Layer) and model.count == 2 and model.offset == 0
        weight = start.weight
        for _ in range(3):
            move = lambda w, m=start: fit(
                eqx.tree_at(lambda x: x.weight, m, w), None, data
            )
            weight = gradient_step(weight, 0.1, move)
        np.testing.assert_allclose(model.weight, weight, rtol=1e-12)


def test_a_curriculum_changes_the_loss_at_its_steps():
    def staged(model, key, stage):
        xs = first_dims(jnp.ones((1, 3)), stage.dims)
        return jnp.sum(xs @ model["w"]) + 0.0 * stage.points

    curriculum = Curriculum(Ramp(1, 3, every=2), Ramp(1, 1))
    result = train(
        init, staged, steps=5, seeds=[0], optimizer=SGD(1.0), curriculum=curriculum
    )
    moved = init(jr.fold_in(jr.key(0), 0))["w"] - result.model["w"][0]
    np.testing.assert_allclose(moved, [5.0, 3.0, 1.0], rtol=1e-9)


def test_hyper_reaches_every_function_that_names_it():
    def start(key, hyper):
        return {"w": hyper["scale"] * jnp.ones(2)}

    def noisy(model, key, hyper):
        return hyper["noise"] * jnp.sum(model["w"])

    result = train(
        start,
        noisy,
        steps=1,
        seeds=[0, 0],
        hyper={"scale": [1.0, 2.0], "noise": [3.0, 5.0], "learning_rate": [0.1, 1.0]},
        optimizer=lambda hyper: optax.sgd(hyper["learning_rate"]),
        watch=lambda model, hyper: {"ratio": model["w"][0] / hyper["scale"]},
        record_every=1,
    )
    np.testing.assert_allclose(result.model["w"][:, 0], [0.7, -3.0], rtol=1e-12)
    np.testing.assert_allclose(result.history["ratio"][:, 0], [0.7, -1.5], rtol=1e-12)


def test_a_batch_can_be_made_again_from_seed_and_step():
    def drawn(model, key):
        return jnp.sum(scramble(key, (1,))) + 0.0 * model["w"][0]

    result = train(init, drawn, steps=4, seeds=[11], optimizer=SGD(0.1), record_every=1)
    for t in range(1, 5):
        again = scramble(jr.fold_in(jr.key(11), t), (1,))[0]
        np.testing.assert_allclose(result.history["loss"][0, t - 1], again, rtol=1e-12)


def test_equal_trainings_compile_once():
    traces = itertools.count()

    def traced(model, key):
        next(traces)
        return loss(model, key)

    options = dict(steps=300, optimizer=Adam(0.01), record_every=10)
    train(init, traced, seeds=[0], **options)
    once = next(traces)
    train(init, traced, seeds=[1], **options)
    train(init, traced, seeds=[2], **options)
    assert next(traces) == once + 1


def test_the_precision_of_products_reaches_the_program():
    from iclax.training._plan import Plan
    from iclax.training._runs import Ensemble

    def product(model, key):
        return jnp.sum(model["w"] @ jnp.ones((3, 3)))

    def text(precision):
        plan = Plan(init, product, SGD(), 1, 1, matmul_precision=precision)
        runs = Ensemble(plan, None, None)
        shapes = runs.shapes(np.arange(1, dtype=np.uint32), {})
        return runs.text(shapes, None)

    assert "bf16" in text("BF16_BF16_F32") and "bf16" not in text(None)
    with pytest.raises(SettingError, match="matmul_precision"):
        train(init, loss, steps=1, optimizer=SGD(), matmul_precision="float8")


def test_float32_is_the_default_and_no_flag_is_changed():
    code = """
import jax, jax.numpy as jnp
from iclax.training import Adam, minimize, train
init = lambda key: {"w": jnp.ones(2)}
loss = lambda model, key: jnp.sum((model["w"] - 0.1) ** 2)
flags = dict(jax.config.values)
result = train(init, loss, steps=3, optimizer=Adam(0.1), seeds=[0])
exact = minimize(init, lambda model: loss(model, None))
assert result.model["w"].dtype == result.history["loss"].dtype == jnp.float32
assert exact.model["w"].dtype == "float64", exact.model
assert abs(exact.model["w"] - 0.1).max() < 1e-12
assert dict(jax.config.values) == flags and not jax.config.jax_enable_x64
"""
    subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=os.environ | {"PYTHONPATH": SRC},
        check=True,
    )


PROMPTS = PromptDistribution(
    Gaussian(np.diag([1.0, 1.0, 0.5, 0.25, 0.1])), Linear(np.eye(5)), 8, 0.3
)


def factors(key):
    left, right = jr.split(key)
    draw = lambda k: 0.3 * jr.normal(k, (5, 5))
    return {"left": draw(left), "right": draw(right)}


def exact_risk(model):
    moments = theory.prompt_moments(PROMPTS)
    return theory.risk_from_moments(model["left"] @ model["right"], moments)


def test_minimize_reaches_the_exact_optimum_from_every_start():
    result = minimize(factors, exact_risk, seeds=range(5))
    best = theory.optimal_risk(PROMPTS)
    np.testing.assert_allclose(result.history["loss"][:, -1], best, rtol=1e-12)
    gamma = result.model_of(3)["left"] @ result.model_of(3)["right"]
    np.testing.assert_allclose(
        gamma, theory.optimal_preconditioner(PROMPTS), rtol=1e-5, atol=1e-6
    )
    assert np.all(np.diff(result.history["loss"]) <= 1e-12)
    assert result.history["loss"].shape == (5, len(result.steps))


def test_minimize_computes_in_float64_whatever_the_start():
    goal = np.array([1 / 3, 1e-3])
    single = lambda key: {"w": jnp.zeros(2, jnp.float32)}
    found = minimize(single, lambda model: jnp.sum((model["w"] - goal) ** 2))
    assert found.model["w"].dtype == "float64"
    np.testing.assert_allclose(found.model["w"], [goal], rtol=1e-9)


def test_minimize_from_the_optimum_says_its_value():
    found = minimize(lambda key: jnp.zeros(2), lambda w: 3.0 + jnp.sum(w**2))
    assert found.history["loss"].tolist() == [[3.0]] and list(found.ended) == [0]


@pytest.mark.parametrize(
    ("start", "options", "key"),
    [(jnp.ones(2), dict(seeds=[]), "seeds"), (jnp.ones(2, int), {}, "init")],
)
def test_minimize_refuses_what_it_cannot_do(start, options, key):
    with pytest.raises(SettingError, match=key):
        minimize(lambda _: start, lambda w: jnp.sum(w**2), **options)


def test_lbfgs_as_an_optimizer_reaches_the_same_optimum():
    slope = lambda model: optax.tree.norm(jax.grad(exact_risk)(model))
    result = train(
        factors,
        lambda model, key: exact_risk(model),
        steps=300,
        seeds=[0, 1],
        optimizer=LBFGS(),
        record_every=10,
        target=Target("slope", 1e-6),
        watch=lambda model: {"risk": exact_risk(model), "slope": slope(model)},
    )
    best = theory.optimal_risk(PROMPTS)
    np.testing.assert_allclose(result.history["risk"][:, -1], best, rtol=1e-9)
    assert max(result.ended) < 300 and not result.diverged.any()


def test_an_objective_that_is_not_finite_is_said():
    with pytest.raises(Diverged):
        minimize(init, lambda model: jnp.log(-jnp.sum(model["w"] ** 2)))


DEVICES = """
import sys
import jax, jax.numpy as jnp, jax.random as jr, numpy as np
from iclax.training import Adam, train
assert len(jax.devices()) == 4
def init(key):
    return {"w": jr.normal(key, (3,))}
def loss(model, key):
    xs = jr.normal(key, (8, 3))
    return jnp.mean((xs @ model["w"] - xs[:, 0]) ** 2)
def options(runs, **others):
    rates = np.linspace(0.01, 0.1, runs)
    return dict(steps=20, seeds=range(runs), optimizer=Adam(), record_every=10,
                hyper={"learning_rate": rates}, **others,
                watch=lambda m: {"norm": jnp.sum(m["w"] ** 2)})
def agree(options, folder):
    one = train(init, loss, **options)
    four = train(init, loss, devices=jax.devices(), **options)
    assert len(four.model["w"].sharding.device_set) == 4
    np.testing.assert_allclose(four.model["w"], one.model["w"], rtol=1e-5)
    for name in one.history:
        np.testing.assert_allclose(four.history[name], one.history[name], rtol=1e-5)
    saved = train(init, loss, devices=jax.devices(), folder=folder, **options)
    again = train(init, loss, devices=jax.devices(), folder=folder, **options)
    assert np.array_equal(saved.model["w"], four.model["w"])
    assert np.array_equal(again.model["w"], four.model["w"])
    return four

agree(options(8), sys.argv[1])
# Three runs, which four devices cannot share: they share eight micro-batches.
four = agree(options(3, accumulate=8), sys.argv[2])

# Data that lie on one device, and data that are on all.
held = jax.device_put(jnp.ones(3), jax.devices()[1])
off = lambda model, key, data: jnp.sum((model["w"] - data) ** 2)
plan = options(3, accumulate=8) | dict(watch=None)
alone = train(init, off, data=np.ones(3), **plan)
for data in (held, four.model["w"][0] * 0 + 1):
    other = train(init, off, data=data, devices=jax.devices(), **plan)
    np.testing.assert_allclose(other.model["w"], alone.model["w"], rtol=1e-5)
"""


def test_runs_or_micro_batches_are_shared_out_over_devices(tmp_path):
    flags = "--xla_force_host_platform_device_count=4 " + os.environ["XLA_FLAGS"]
    subprocess.run(
        [sys.executable, "-W", "error", "-c", DEVICES, tmp_path / "a", tmp_path / "b"],
        env=os.environ | {"PYTHONPATH": SRC, "XLA_FLAGS": flags},
        check=True,
    )


@pytest.mark.parametrize(
    ("accumulate", "said"),
    [(1, "3 runs, or accumulate"), (5, "the 5 micro-batches"), (2, "named twice")],
)
def test_what_devices_cannot_share_is_refused(accumulate, said):
    with pytest.raises(SettingError, match=said):
        train(
            init,
            loss,
            steps=1,
            seeds=[0, 1, 2],
            optimizer=SGD(),
            accumulate=accumulate,
            devices=jax.devices() * 2,
        )
