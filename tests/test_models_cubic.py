"""Linear attention on fixed prompts through cubic features."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from iclax._errors import SettingError
from iclax.models import (
    FixedPromptLoss,
    LinearAttention,
    cubic_coefficients,
    cubic_features,
)
from iclax.prompts import Prompt


def random_prompts(rng, count, n, d):
    xs, ys = rng.normal(size=(count, n, d)), rng.normal(size=(count, n))
    target = rng.normal(size=count)
    arrays = (xs, ys, rng.normal(size=(count, d)), target, target + 1)
    return Prompt(*map(jnp.asarray, arrays))


def random_model(rng, d, **options):
    shapes = jax.eval_shape(
        lambda key: LinearAttention.init(d, heads=3, key=key, **options), jr.key(0)
    )
    return jax.tree.map(lambda s: jnp.asarray(rng.normal(size=s.shape)), shapes)


OPTIONS = [
    dict(),
    dict(parametrization="merged", include_query=True),
    dict(parametrization="low_rank", key_dim=1, normalization="none"),
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("count", [4, 60])  # fewer and more than the 24 features
def test_equals_the_mean_over_the_prompts(options, count):
    rng = np.random.default_rng(count)
    prompts, model = random_prompts(rng, count, 2, 3), random_model(rng, 3, **options)
    query = model.include_query
    loss = FixedPromptLoss.of(prompts, include_query=query)
    direct = lambda m: jnp.mean((jax.vmap(m)(prompts) - prompts.target) ** 2)
    found, slope = eqx.filter_jit(eqx.filter_value_and_grad(loss))(model)
    expected, own_slope = eqx.filter_jit(eqx.filter_value_and_grad(direct))(model)
    assert np.allclose(found, expected, rtol=1e-9)
    for a, b in zip(*map(jax.tree.leaves, (slope, own_slope)), strict=True):
        assert np.allclose(a, b, rtol=1e-8, atol=1e-8)
    scale = 2 if model.normalization == "none" else 1
    features = cubic_features(prompts, include_query=query)
    values = scale * features @ np.asarray(cubic_coefficients(model))
    assert np.allclose(values, jax.vmap(model)(prompts), rtol=1e-9)


def test_least_is_reached_and_not_beaten():
    """Enough heads reach any coefficients: least squares in the features."""
    rng = np.random.default_rng(3)
    prompts = random_prompts(rng, 60, 4, 2)
    loss = FixedPromptLoss.of(prompts)
    features = cubic_features(prompts)
    best = np.linalg.lstsq(features, np.asarray(prompts.target))[0]
    left = features @ best - np.asarray(prompts.target)
    assert np.allclose(loss.least, np.mean(left**2), rtol=1e-10)
    assert loss(random_model(rng, 2)) > loss.least
    # One head for each pair (i, j): a = e_i, row j of Q the coefficients.
    rows, columns = np.triu_indices(3)
    readout, query = np.zeros((6, 3)), np.zeros((6, 3, 2))
    readout[np.arange(6), rows] = 1
    query[np.arange(6), columns] = best.reshape(6, 2)
    model = LinearAttention(jnp.asarray(query), jnp.asarray(readout), None, None)
    assert np.allclose(loss(model), loss.least, rtol=1e-8)


def test_refuses_another_sum():
    rng = np.random.default_rng(0)
    loss = FixedPromptLoss.of(random_prompts(rng, 9, 2, 2))
    with pytest.raises(SettingError, match="include_query"):
        loss(random_model(rng, 2, include_query=True))
