"""Deep attention without MLPs against loops over tokens, and against its algorithms."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.special import softmax

from iclax._errors import SettingError
from iclax.models import AttentionStack, LinearAttention
from iclax.predictors import GradientDescent, GradientDescentPlusPlus
from iclax.prompts import Prompt


def random_prompt(rng, n, d):
    shapes = ((n, d), (n,), (d,), (), ())
    return Prompt(*(jnp.asarray(rng.normal(size=s)) for s in shapes))


def random_stack(rng, d, **options):
    """Like `AttentionStack.init`, without its compilations."""
    shapes = jax.eval_shape(
        lambda key: AttentionStack.init(d, key=key, **options), jr.key(0)
    )
    return jax.tree.map(lambda s: jnp.asarray(0.5 * rng.normal(size=s.shape)), shapes)


def by_definition(model, prompt):
    """One token, head and source at a time."""
    model, prompt = jax.tree.map(np.asarray, (model, prompt))
    n = len(prompt.ys)
    stream = [np.append(x, y) for x, y in zip(prompt.xs, prompt.ys, strict=True)]
    stream.append(np.append(prompt.query, 0.0))
    for layer in range(model.layers):
        i = layer % model.query.shape[0]
        seen = stream if model.include_query else stream[:-1]
        moved = []
        for token in stream:
            total = token if model.residual else 0 * token
            for h in range(model.query.shape[1]):
                k = np.eye(len(token)) if model.key is None else model.key[i, h]
                v = np.eye(len(token)) if model.value is None else model.value[i, h]
                asked = model.query[i, h] @ token
                scores = np.array([(k @ s) @ asked for s in seen])
                if model.attention == "softmax":
                    weights = softmax(scores / len(asked) ** 0.5)
                else:
                    weights = (
                        np.maximum(scores, 0) if model.attention == "relu" else (scores)
                    )
                    weights = weights / (n if model.normalization == "context" else 1)
                mixed = sum(w * (v @ s) for w, s in zip(weights, seen, strict=True))
                total = total + model.project[i, h] @ mixed
            moved.append(total)
        stream = moved
    return model.sign * stream[-1][-1]


@pytest.mark.parametrize(
    "options",
    [
        dict(layers=3, heads=2),
        dict(layers=3, heads=2, merged=False, key_dim=2, normalization="none"),
        dict(layers=2, looped=True, sign=-1.0, residual=False),
        dict(layers=2, heads=2, include_query=True),
        dict(layers=2, heads=2, merged=False, key_dim=2, attention="softmax"),
        dict(layers=2, attention="softmax", include_query=True),
        dict(layers=2, attention="relu", residual=False),
        dict(layers=2, attention="relu", normalization="none", looped=True),
    ],
    ids=str,
)
def test_equals_the_definition(options):
    rng = np.random.default_rng(7)
    model, prompt = random_stack(rng, 2, **options), random_prompt(rng, 4, 2)
    found = eqx.filter_jit(model)(prompt)
    assert np.allclose(found, by_definition(model, prompt), rtol=1e-9)


def test_one_layer_is_linear_attention():
    rng = np.random.default_rng(0)
    model, prompt = random_stack(rng, 3, heads=2), random_prompt(rng, 4, 3)
    flat = LinearAttention(model.query[0], model.project[0, :, -1], None, None)
    assert np.allclose(
        eqx.filter_jit(model)(prompt), eqx.filter_jit(flat)(prompt), rtol=1e-12
    )


@pytest.mark.parametrize("n", [1, 5])
def test_computes_gradient_descent(n):
    prompt = random_prompt(np.random.default_rng(n), n, 3)
    model = AttentionStack.gradient_descent(3, [0.3, 0.2, 0.4])
    expected = GradientDescent(3, [0.3, 0.2, 0.4])(prompt)
    assert np.allclose(eqx.filter_jit(model)(prompt), expected, rtol=1e-10)
    model = AttentionStack.gradient_descent(3, [0.3, 0.2, 0.4], [0.1, 0.2, 0.3])
    expected = GradientDescentPlusPlus(3, [0.3, 0.2, 0.4], [0.1, 0.2, 0.3])(prompt)
    assert np.allclose(eqx.filter_jit(model)(prompt), expected, rtol=1e-10)


def test_refusals():
    for bad in (
        dict(layers=0),
        dict(key_dim=2),
        dict(attention="other"),
        dict(normalization="other"),
    ):
        with pytest.raises(SettingError, match="model"):
            AttentionStack.init(2, key=jr.key(0), **bad)
    model = random_stack(np.random.default_rng(0), 2, attention="relu")
    with pytest.raises(SettingError, match="linear"):
        model.from_statistics(jnp.eye(3), jnp.ones(2), 4)


def test_batched_gradients():
    rng = np.random.default_rng(1)
    model = random_stack(rng, 2, layers=2, merged=False, key_dim=2)
    prompts = jax.tree.map(
        lambda *leaves: jnp.stack(leaves), *(random_prompt(rng, 3, 2) for _ in range(4))
    )
    loss = eqx.filter_jit(lambda m: jnp.mean(jax.vmap(m)(prompts) ** 2))
    gradient = eqx.filter_jit(eqx.filter_grad(loss))(model)
    step = 1e-6
    for where in (lambda m: m.query, lambda m: m.value):
        moved = eqx.tree_at(where, model, where(model) + step)
        back = eqx.tree_at(where, model, where(model) - step)
        slope = (loss(moved) - loss(back)) / (2 * step)
        assert np.allclose(jnp.sum(where(gradient)), slope, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize(
    "options",
    [
        dict(layers=3, heads=2),
        dict(layers=2, looped=True, merged=False, normalization="none", sign=-1.0),
        dict(layers=2, attention="softmax"),
    ],
)
def test_a_batch_is_the_map_over_prompts_gradients_included(options):
    rng = np.random.default_rng(4)
    model = random_stack(rng, 2, **options)
    prompts = jax.tree.map(
        lambda *leaves: jnp.stack(leaves), *[random_prompt(rng, 4, 2) for _ in range(3)]
    )
    values, slopes = zip(
        *[
            jax.jit(
                jax.value_and_grad(
                    lambda m, f=f: jnp.sum((f(m)(prompts) - prompts.target) ** 2)
                )
            )(model)
            for f in (jax.vmap, lambda m: m.batch)
        ],
        strict=True,
    )
    np.testing.assert_allclose(*values, rtol=1e-10)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-8), *slopes)
