"""Fast samplers have the law of the prompts they stand for."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from helpers import mostly_in_ci
from scipy import stats

from iclax import _threefry as threefry, theory
from iclax._compile import written
from iclax._errors import AssumptionError, SettingError
from iclax.covariates import Data, Gaussian, Rademacher, Uniform
from iclax.models import LinearAttention
from iclax.predictors import Ridge
from iclax.prompts import Prompt, PromptDistribution, RepeatedPoint
from iclax.sampling import (
    compressed_batch,
    fresh_batch,
    stored_batch,
    sufficient_statistics,
)
from iclax.sampling._chi import chi_from_normal
from iclax.tasks import (
    Linear,
    LowRank,
    Mixture,
    Projected,
    ReluNeuron,
    SparseLinear,
)

U32 = jnp.uint32
COV = np.array([[1.0, 0.4], [0.4, 0.5]])
MIXTURE = Mixture(
    [Linear(np.diag([1.0, 0.0]), [0.3, -1.0]), LowRank.coordinates(2, 1, 2)],
    [0.3, 0.7],
)
LAWS = {
    "mixture": PromptDistribution(Gaussian(COV), MIXTURE, 2, 0.5),
    "query law": PromptDistribution(
        Gaussian([1.0, 2.0]),
        Projected(Linear([2.0]), [[1.0], [0.5]]),
        2,
        0.0,
        Gaussian([3.0, 0.1]),
    ),
    "signs": PromptDistribution(Rademacher(COV), Linear(COV), 2),
    "uniform": PromptDistribution(
        Uniform(COV), Linear(COV), 2, 0.2, Gaussian([3.0, 0.1])
    ),
    "nonlinear": PromptDistribution(Uniform(COV), ReluNeuron(np.eye(2)), 2, 0.5),
    "data": PromptDistribution(
        Data([[1.0, 0.0], [0.5, -2.0], [0.0, 1.0]]),
        SparseLinear(2, 1),
        2,
        0.1,
        RepeatedPoint(),
    ),
}


def features(batch):
    """Scalars that together see every moment of order up to four that matters."""
    x, y, q = batch.xs, batch.ys, batch.query
    b = np.einsum("bnd,bn->bd", x, y)
    return np.stack(
        [
            *x[:, -1].T,
            *q.T,
            *(x[:, 0] * x[:, -1]).T,
            *(x[:, 0] * q).T,
            *(q**2).T,
            y[:, 0] ** 2,
            y[:, 0] * y[:, 1],
            y[:, 0] ** 4,
            *b.T,
            *(b * q).T,
            b[:, 0] * b[:, 1],
            batch.target * b[:, 0] * q[:, 0],
            batch.target * b[:, 1] * q[:, 1],
            batch.target * b[:, 0] * q[:, 1],
            batch.target**2,
            (batch.label - batch.target) ** 2,
            batch.label * y[:, 0],
            (b * q).sum(1) ** 2,
        ]
    )


def assert_same_means(found, expected, limit=4.5):
    """Two-sample z-tests of every row; round-off (1e-12) is no difference."""
    spread = found.var(1) / found.shape[1] + expected.var(1) / expected.shape[1]
    scores = (found.mean(1) - expected.mean(1)) / np.sqrt(spread + 1e-24)
    assert np.all(np.abs(scores) < limit), scores.round(1)


@pytest.mark.parametrize("name", LAWS)
def test_fresh_batch_has_the_law_of_sample(name, getkey):
    law, size = LAWS[name], 20_000
    fast = jax.jit(fresh_batch(law, size))(getkey())
    slow = jax.jit(jax.vmap(law.sample))(jr.split(getkey(), size))
    fast, slow = jax.tree.map(np.asarray, (fast, slow))
    assert jax.tree.map(np.shape, fast) == jax.tree.map(np.shape, slow)
    assert_same_means(features(fast), features(slow))
    assert (law.noise_std > 0) == bool(np.any(fast.label != fast.target))


def test_batches_depend_on_the_key_alone():
    sample = jax.jit(fresh_batch(LAWS["mixture"], 3))
    first, again, other = sample(jr.key(0)), sample(jr.key(0)), sample(jr.key(1))
    for one, same, different in zip(first, again, other, strict=True):
        assert np.array_equal(one, same) and not np.any(one == different)


FIXED_WEIGHTS = np.array([0.8, -1.1])


def fixed_task(n, noise_std):
    tasks = Linear(np.zeros((2, 2)), FIXED_WEIGHTS)
    return PromptDistribution(Gaussian(COV), tasks, n, noise_std)


@pytest.mark.parametrize("noise_std", [0.0, 0.7])
@pytest.mark.parametrize("n", [1, 2, 3, 50])
def test_statistics_are_wishart(n, noise_std, getkey):
    r"""Given w, G ~ W(Σ_w, n): projections are exactly χ²_n, and second moments are
    $E G_{ij} G_{kl} = n^2 Σ_{ij} Σ_{kl} + n (Σ_{ik} Σ_{jl} + Σ_{il} Σ_{jk})$."""
    size = 30_000
    draw = jax.jit(sufficient_statistics(fixed_task(n, noise_std), size))
    gram = np.asarray(draw(getkey()).gram)
    mix = np.vstack([np.eye(2), FIXED_WEIGHTS])
    sigma = mix @ COV @ mix.T + noise_std**2 * np.diag([0, 0, 1])
    for a in (np.array([1.0, 0, 0]), [0, 0, 1.0], [1.0, 2.0, 0.5], [-0.3, 1, 1]):
        projected = np.einsum("e,bef,f->b", a, gram, a) / (a @ sigma @ np.array(a))
        assert stats.kstest(projected, "chi2", args=(n,)).pvalue > 1e-4
    products = np.einsum("bij,bkl->ijklb", gram, gram).reshape(81, size)
    pairs = np.einsum("ik,jl->ijkl", sigma, sigma) + np.einsum(
        "il,jk->ijkl", sigma, sigma
    )
    expected = (n**2 * np.einsum("ij,kl->ijkl", sigma, sigma) + n * pairs).ravel()
    error = np.sqrt(products.var(1) / size)
    assert np.all(np.abs(products.mean(1) - expected) < 4.5 * error)
    rank = np.linalg.matrix_rank(gram[0], tol=1e-9)
    assert rank == min(n, 3 if noise_std else 2)


@pytest.mark.parametrize("n", [1, 7])
def test_compressed_prompts_have_the_law_of_gram_and_query(n, getkey):
    """Against direct sampling under random weights, in what attention computes."""
    law, size = LAWS["mixture"].replace(context_length=n), 40_000
    short = jax.jit(compressed_batch(law, size))(getkey())
    full = jax.jit(fresh_batch(law, size))(getkey())
    assert short.xs.shape == (size, min(n, 3), 2)
    model = LinearAttention.init(2, heads=2, init_scale=1.0, key=getkey())
    predict = jax.jit(jax.vmap(model))
    values = [
        np.stack([p, p * b.target, b.target, p * b.label, p**2])
        for b in (short, full)
        for p in [np.asarray(predict(b))]
    ]
    assert_same_means(*values)
    for one, other in zip(values[0][:2], values[1][:2], strict=True):
        assert stats.ks_2samp(one, other).pvalue > 1e-4


def test_compressed_scale_and_statistics_agree(getkey):
    """The same key: G is the plain sum of the `mean=False` rows, n/m times the mean."""
    law, key = LAWS["mixture"].replace(context_length=9), getkey()
    plain = jax.jit(compressed_batch(law, 5, mean=False))(key)
    scaled = jax.jit(compressed_batch(law, 5))(key)
    statistics = jax.jit(sufficient_statistics(law, 5))(key)
    tokens = np.concatenate([scaled.xs, np.asarray(scaled.ys)[:, :, None]], 2)
    mean = np.einsum("bme,bmf->bef", tokens, tokens) / 3
    assert np.allclose(statistics.gram / 9, mean, rtol=1e-9, atol=1e-12)
    assert np.allclose(scaled.ys, plain.ys * (3 / 9) ** 0.5)
    assert np.allclose(scaled.target, statistics.target)


def test_compressed_with_weights_of_another_law(getkey):
    """Sparse weights: linear, not Gaussian."""
    law = PromptDistribution(Gaussian(np.eye(2)), SparseLinear(2, 1), 4)
    size = 40_000
    short = jax.jit(compressed_batch(law, size))(getkey())
    full = jax.jit(fresh_batch(law, size))(getkey())
    pairs = []
    for batch in jax.tree.map(np.asarray, (short, full)):
        b = np.einsum("bmd,bm->bd", batch.xs, batch.ys) / batch.ys.shape[1]
        pairs.append(np.stack([*(b**2).T, *(b * batch.query).T, *(b**4).T]))
    assert_same_means(*pairs)


@pytest.mark.parametrize(
    "law, missing",
    [
        (LAWS["nonlinear"], "Gaussian covariates"),
        (
            LAWS["mixture"].replace(query_covariates=RepeatedPoint()),
            "independent of the context",
        ),
        (
            PromptDistribution(Gaussian([1.0]), ReluNeuron([1.0]), 2),
            "linear tasks",
        ),
    ],
)
def test_compressed_refuses_other_laws(law, missing):
    with pytest.raises(AssumptionError, match=missing):
        compressed_batch(law, 2)


@pytest.mark.parametrize("k", [1, 2, 3, 7, 40, 1000])
def test_chi_from_normal_is_the_quantile(k):
    z = np.linspace(-8.3, 8.3, 301)
    found = np.asarray(chi_from_normal(jnp.asarray(z)[None], (k,)))[0]
    below = stats.norm.cdf(np.abs(z)) - stats.norm.cdf(-np.abs(z))
    if k == 1:
        assert np.allclose(stats.chi.cdf(found, 1), below, atol=1e-12)
    else:
        assert np.allclose(stats.chi.cdf(found, k), stats.norm.cdf(z), atol=2e-10)
        assert np.allclose(stats.chi.sf(found, k), stats.norm.sf(z), atol=2e-10)


def test_stored_batches(getkey):
    data = jax.jit(fresh_batch(LAWS["mixture"], 4))(getkey())
    assert stored_batch(data)(getkey()) is data
    drawn = jax.jit(stored_batch(data, 1000))(getkey())
    assert isinstance(drawn, Prompt)
    rows = np.asarray(drawn.label)[:, None] == np.asarray(data.label)
    assert np.all(rows.sum(1) == 1)
    assert stats.chisquare(rows.sum(0)).pvalue > 1e-4
    chosen = rows.argmax(1)
    assert np.array_equal(drawn.xs, np.asarray(data.xs)[chosen])


@pytest.mark.parametrize(
    "sampler", [fresh_batch, compressed_batch, sufficient_statistics]
)
def test_refuses_empty_batches(sampler):
    law = PromptDistribution(Gaussian(np.eye(2)), Linear(np.eye(2)), 3)
    with pytest.raises(SettingError, match="batch_size"):
        sampler(law, 0)


def test_a_traced_union_of_subspaces_draws_as_a_known_one(getkey):
    tasks, key = LowRank.coordinates(4, 1, 3, weights=[0.5, 0.2, 0.3]), getkey()
    law = PromptDistribution(Gaussian(np.eye(4)), tasks, 3, 0.5)

    @jax.jit
    def traced(bases, weights):
        return fresh_batch(law.replace(tasks=LowRank(bases, weights)), 50)(key)

    # A component of weight 0 is never drawn, wherever its basis points.
    bases = np.concatenate([tasks.bases, tasks.bases[:1]])
    found = traced(jnp.asarray(bases), jnp.array([0.5, 0.2, 0.3, 0.0]))
    for ours, known in zip(found, jax.jit(fresh_batch(law, 50))(key), strict=True):
        np.testing.assert_allclose(ours, known, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("x64", mostly_in_ci([False, True], keep=[False]))
def test_random_numbers_are_those_of_jax(x64):
    with jax.enable_x64(x64):
        for count in (2, 7, 40_003):  # the last in several blocks
            key = jr.fold_in(jr.key(3), count)
            assert np.array_equal(
                threefry.bits(key, count), jr.bits(key, (count,), U32)
            )
            drawn = jax.jit(threefry.standard_normal, static_argnums=1)(key, count)
            expected = jr.normal(key, (count,))
            assert drawn.dtype == expected.dtype and np.array_equal(drawn, expected)
            drawn = jax.jit(threefry.uniform, static_argnums=1)(key, count)
            low = np.nextafter(np.array(-1, drawn.dtype), np.array(0, drawn.dtype))
            expected = jr.uniform(key, (count,), minval=low)
            assert drawn.min() > -1 and np.array_equal(drawn, expected)
            rest = jax.jit(threefry.uniform, static_argnums=(1, 2))(key, count, 1)
            assert np.array_equal(rest, expected[1:])
        keys = jr.split(jr.key(1), 3)
        folded = jax.jit(threefry.fold_in)(keys[0], 12)
        assert np.array_equal(jr.key_data(folded), jr.key_data(jr.fold_in(keys[0], 12)))
        mapped = jax.vmap(lambda key: threefry.bits(key, 5))(keys)
        assert np.array_equal(mapped, jax.vmap(lambda k: jr.bits(k, (5,), U32))(keys))


def test_normals_are_computed_once_however_many_read_them():
    """Also in a map over runs: XLA would compute them again for every reader."""

    def readers(key):
        parts = threefry.normals(key, (40,), (3, 20), (20,))
        return [jnp.sum(part**2) for part in parts], parts[1].T

    with jax.enable_x64(False):
        program = jax.jit(jax.vmap(readers)).lower(jr.split(jr.key(0), 2)).compile()
    leading = "2.81022636e-08"  # coefficient of the inverse of the error function
    assert program.as_text().count(leading) == 1


def test_what_is_written_down_is_compiled_once_outside_jit():
    traces = []

    def double(x):
        traces.append(x)
        return 2 * x

    for start in (0.0, 1.0):
        assert np.array_equal(
            written(double)(start + jnp.arange(3)), 2 * start + np.array([0, 2, 4])
        )
    assert len(traces) == 1


def test_keys_of_another_generator_are_left_to_jax():
    key = jr.key(2, impl="rbg")
    assert np.array_equal(threefry.bits(key, 9), jr.bits(key, (9,), U32))
    assert threefry.fold_in(key, 3) == jr.fold_in(key, 3)
    key = jr.key(2, impl="threefry2x32")
    with jax.default_prng_impl("rbg"):
        assert threefry.fold_in(key, 3) == jr.fold_in(key, 3)


def test_ridge_on_compressed_prompts_needs_the_plain_sums(getkey):
    law = PromptDistribution(Gaussian(np.eye(5)), Linear(np.eye(5)), 60, 2.0)
    batch = compressed_batch(law, 4000, mean=False)(getkey())
    errors = (jax.vmap(Ridge(4.0))(batch) - batch.target) ** 2
    spread = np.std(errors) / len(errors) ** 0.5
    assert abs(np.mean(errors) - theory.ridge_risk(law, 4.0)) < 4 * spread
