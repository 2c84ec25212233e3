"""Linear attention against its definition, term by term."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from iclax._errors import SettingError
from iclax.models import LinearAttention, PartialForm
from iclax.prompts import Prompt

PARAMETRIZATIONS = ("separate", "low_rank", "merged", "merged_columns")


@pytest.fixture
def rng(request):
    return np.random.default_rng(sum(map(ord, request.node.nodeid)))


def random_prompt(rng, n, d, batch=()):
    shapes = ((n, d), (n,), (d,), (), ())
    return Prompt(*(jnp.asarray(rng.normal(size=(*batch, *s))) for s in shapes))


def random_model(rng, d, heads, name, **options):
    """Like `LinearAttention.init`, without its compilations; keys of width 2."""
    shapes = jax.eval_shape(
        lambda key: LinearAttention.init(
            d,
            heads=heads,
            key_dim=None if name.startswith("merged") else 2,
            parametrization=name,
            key=key,
            **options,
        ),
        jr.key(0),
    )
    return jax.tree.map(lambda s: jnp.asarray(rng.normal(size=s.shape)), shapes)


def by_definition(model, prompt, include_query, divide):
    """Loops over heads and tokens, from the matrices as they stand."""
    model, prompt = jax.tree.map(np.asarray, (model, prompt))
    n, d = prompt.xs.shape
    tokens = [np.append(x, y) for x, y in zip(prompt.xs, prompt.ys, strict=True)]
    query = np.append(prompt.query, 0.0)
    total = 0.0
    for h in range(model.readout.shape[0]):
        asked = model.query[h] @ query[: model.query.shape[2]]
        for token in tokens + ([query] if include_query else []):
            key = token if model.key is None else model.key[h] @ token
            value = token if model.value is None else model.value[h] @ token
            total += (model.readout[h] @ value) * (key @ asked)
    return total / n if divide else total


@pytest.mark.parametrize("name", PARAMETRIZATIONS)
@pytest.mark.parametrize(
    "n, heads, include_query, normalization",
    [
        (1, 1, False, "none"),
        (2, 3, True, "context"),
        (40, 1, True, "none"),
        (40, 12, False, "context"),
        (40, 12, True, "none"),
    ],
)
def test_equals_the_definition(name, n, heads, include_query, normalization, rng):
    options = dict(include_query=include_query, normalization=normalization)
    model = random_model(rng, 3, heads, name, **options)
    prompt = random_prompt(rng, n, 3)
    expected = by_definition(model, prompt, include_query, normalization == "context")
    assert np.allclose(eqx.filter_jit(model)(prompt), expected, rtol=1e-10)
    tokens = jnp.concatenate([prompt.xs, prompt.ys[:, None]], 1)
    found = eqx.filter_jit(model.from_statistics)(tokens.T @ tokens, prompt.query, n)
    assert np.allclose(found, expected, rtol=1e-10)


@pytest.mark.parametrize("name", PARAMETRIZATIONS)
@pytest.mark.parametrize("normalization", ["context", "none"])
def test_preconditioner_is_the_part_odd_in_y(name, normalization, rng):
    """(f(y) − f(−y))/2 keeps exactly the terms linear in y."""
    model = random_model(rng, 3, 2, name, normalization=normalization)
    prompt = random_prompt(rng, 5, 3)
    predict = eqx.filter_jit(model)
    odd = (predict(prompt) - predict(prompt._replace(ys=-prompt.ys))) / 2
    b = prompt.xs.T @ prompt.ys / 5
    with pytest.warns(PartialForm):
        gamma = model.preconditioner(5)
    assert np.allclose(odd, prompt.query @ gamma @ b, rtol=1e-10)


def test_model_of_a_preconditioner(rng):
    gamma = jnp.asarray(rng.normal(size=(3, 3)))
    model = LinearAttention.from_preconditioner(gamma)
    prompt = random_prompt(rng, 4, 3)
    b = prompt.xs.T @ prompt.ys / 4
    assert np.allclose(model(prompt), prompt.query @ gamma @ b, rtol=1e-12)
    assert np.allclose(model.preconditioner(), gamma)
    assert model.vanishing_blocks() == 0


def test_vanishing_blocks_of_one_head(rng):
    """For one head with small a_x, Q_y: the two relative blocks, in the square mean."""
    gamma = jnp.asarray(rng.normal(size=(3, 3)))
    model = LinearAttention.from_preconditioner(gamma)
    q_y = 1e-6 * rng.normal(size=3)
    small = eqx.tree_at(lambda m: m.query, model, model.query.at[0, 3].set(q_y))
    expected = jnp.linalg.norm(q_y) / jnp.linalg.norm(gamma)
    assert np.allclose(small.vanishing_blocks(), expected, rtol=1e-5)
    a_x = 1e-6 * jnp.array([0.0, 1.0, 0.0])
    small = eqx.tree_at(lambda m: m.readout, model, model.readout.at[0, :3].set(a_x))
    ratio = small.vanishing_blocks() / 1e-6
    assert 0.5 < ratio <= 1.0  # the antisymmetric part of a_x ⊗ Q_x has no effect


def test_vanishing_blocks_ignore_what_cancels(rng):
    """Two heads whose non-GD parts cancel compute a pure GD step."""
    gamma = jnp.eye(2)
    one = LinearAttention.from_preconditioner(gamma)
    q_y = jnp.array([0.3, -0.2])
    plus = one.query.at[0, 2].set(q_y)
    minus = one.query.at[0, 2].set(-q_y)
    model = LinearAttention(
        jnp.concatenate([plus, minus]),
        jnp.concatenate([one.readout, one.readout]),
        None,
        None,
    )
    assert model.vanishing_blocks() < 1e-15
    assert np.allclose(model.preconditioner(), 2 * gamma)


def test_init_draws_every_matrix(getkey):
    model = LinearAttention.init(3, heads=50, init_scale=0.3, key=getkey())
    for leaf in (model.key, model.query, model.value, model.readout):
        z = np.asarray(leaf).ravel() / 0.3
        assert abs(z.mean()) < 5 / z.size**0.5
        assert abs(z.var() - 1) < 5 * (2 / z.size) ** 0.5
    assert not np.allclose(model.key, model.query)


@pytest.mark.parametrize(
    "bad",
    [
        dict(dim=0),
        dict(dim=2, heads=0),
        dict(dim=2, parametrization="other"),
        dict(dim=2, normalization="other"),
        dict(dim=2, parametrization="merged", key_dim=3),
    ],
)
def test_refuses_bad_sizes(bad, getkey):
    with pytest.raises(SettingError, match="model"):
        LinearAttention.init(**bad, key=getkey())


def test_preconditioner_without_normalization_needs_n(getkey):
    model = LinearAttention.init(2, normalization="none", key=getkey())
    with pytest.raises(SettingError, match="context_length"):
        model.preconditioner()


def test_batches_and_gradients(rng):
    model = random_model(rng, 3, 2, "separate")
    prompts = random_prompt(rng, 6, 3, (4,))
    batched = jax.jit(jax.vmap(model))(prompts)
    single = [
        by_definition(model, jax.tree.map(lambda leaf, i=i: leaf[i], prompts), 0, 1)
        for i in range(4)
    ]
    assert np.allclose(batched, single, rtol=1e-12)
    loss = lambda m: jnp.sum(jax.vmap(m)(prompts) ** 2)
    grads = eqx.filter_jit(eqx.filter_grad(loss))(model)
    assert all(np.any(leaf != 0) for leaf in jax.tree.leaves(grads))


@pytest.mark.parametrize(
    "name, include_query", [("separate", True), ("merged_columns", False)]
)
def test_a_batch_is_the_map_over_prompts_gradients_included(rng, name, include_query):
    model = random_model(rng, 3, 2, name, include_query=include_query)
    prompts = random_prompt(rng, 4, 3, (5,))

    def loss(predict):
        return lambda m, p: jnp.sum((predict(m)(p) - p.target) ** 3)

    slopes = [
        jax.grad(loss(predict), argnums=(0, 1))(model, prompts)
        for predict in (jax.vmap, lambda m: m.batch)
    ]
    np.testing.assert_allclose(model.batch(prompts), jax.vmap(model)(prompts))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9), *slopes)


def test_a_batch_of_long_prompts_is_the_same(rng):
    model = random_model(rng, 2, 1, "merged", normalization="none")
    prompts = random_prompt(rng, 70, 2, (3,))
    np.testing.assert_allclose(model.batch(prompts), jax.vmap(model)(prompts))
