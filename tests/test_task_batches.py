"""Blocks of tasks drawn at once have the law of tasks drawn one by one."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from iclax.predictors import GaussianProcessPosterior
from iclax.prompts import Prompt
from iclax.tasks import GaussianProcess, Polynomial, ReluNeuron, TwoLayerRelu
from iclax.tasks._gaussian_process import _correlated

CASES = {
    "relu": ReluNeuron(np.diag([1.0, 2.0])),
    "signed leaky relu": ReluNeuron(np.eye(2), 0.3, True),
    "two layers": TwoLayerRelu(np.eye(2), 3, 2.0),
    "polynomial": Polynomial(2, {1: 1.0, 3: 0.1}),
    "process": GaussianProcess.rbf(2, 1.5),
}


def relu_kernel(x, z, cov):
    """E relu(w·x) relu(w·z) for w ~ N(0, cov): the arc-cosine kernel."""
    a, b = np.sqrt(x @ cov @ x), np.sqrt(z @ cov @ z)
    angle = np.arccos(np.clip(x @ cov @ z / (a * b), -1, 1))
    return a * b * (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / (2 * np.pi)


def kernel(name, x, z):
    if name == "relu":
        return relu_kernel(x, z, np.diag([1.0, 2.0]))
    if name == "signed leaky relu":  # φ = s₊ + 0.3 s₋, with s₋(u) = −relu(−u)
        own, cross = relu_kernel(x, z, np.eye(2)), relu_kernel(x, -z, np.eye(2))
        return (1 + 0.09) * own - 2 * 0.3 * cross
    if name == "two layers":
        return 4 * relu_kernel(x, z, np.eye(2))
    if name == "polynomial":
        return x @ z + 0.1 * (x @ z) ** 3
    return np.exp(-0.5 * np.sum((x - z) ** 2) / 1.5**2)


@pytest.mark.parametrize("name", CASES)
def test_batches_have_the_kernel_of_the_family(getkey, name):
    xs = np.array([[0.7, -0.3], [1.1, 0.8]])
    num = 200_000
    blocks = jnp.broadcast_to(jnp.asarray(xs), (num, 2, 2))
    values = np.asarray(jax.jit(CASES[name].sample_batch)(getkey(), blocks))
    for i, j in ((0, 0), (0, 1), (1, 1)):
        products = values[:, i] * values[:, j]
        error = products.std() / np.sqrt(num)
        assert abs(products.mean() - kernel(name, xs[i], xs[j])) < 4.5 * error


def test_correlated_is_the_cholesky_factor(getkey):
    a, z = jr.normal(getkey(), (3, 5, 5)), jr.normal(getkey(), (3, 5))
    gram = a @ a.transpose(0, 2, 1) + jnp.eye(5)[None]
    expected = jnp.einsum("bij,bj->bi", jnp.linalg.cholesky(gram), z)
    np.testing.assert_allclose(_correlated(gram, z), expected, rtol=1e-10)


@pytest.mark.parametrize("offset", [0.0, 5.0, 100.0])
@pytest.mark.parametrize("length_scale", [1.0, 0.1])
def test_single_precision_draws_far_from_the_origin_are_finite(offset, length_scale):
    xs = jr.normal(jr.key(0), (64, 40, 1), jnp.float32) + jnp.float32(offset)
    process = GaussianProcess.rbf(1, length_scale)
    with jax.enable_x64(False):
        values = jax.jit(process.sample_batch)(jr.key(1), xs)
    assert values.dtype == jnp.float32 and jnp.all(jnp.isfinite(values))


@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_single_precision_kernel_is_the_double_one(offset):
    metric = np.array([[2.0, 0.5], [0.5, 1.0]])
    x, z = np.random.default_rng(0).normal(offset, 1.0, (2, 6, 2)).astype(np.float32)
    process = GaussianProcess(metric, 3.0)
    gaps = x[:, None].astype(float) - z[None].astype(float)
    exact = 3 * np.exp(-0.5 * np.einsum("mpi,ij,mpj->mp", gaps, metric, gaps))
    np.testing.assert_allclose(process.kernel(x.astype(float), z), exact, rtol=1e-12)
    with jax.enable_x64(False):
        found = process.kernel(jnp.asarray(x), jnp.asarray(z))
    np.testing.assert_allclose(found, exact, rtol=1e-4, atol=1e-6)


def test_single_precision_posterior_does_not_depend_on_the_origin():
    xs = jnp.arange(-6, 6, dtype=jnp.float32)[:, None] / 4  # exact also when moved
    ys, query = jnp.sin(xs[:, 0]), jnp.full(1, 0.125, jnp.float32)
    predictor = GaussianProcessPosterior(GaussianProcess.rbf(1, 1.0).kernel, 0.01)
    with jax.enable_x64(False):
        at, moved = (
            predictor(Prompt(xs + c, ys, query + c, ys[0], ys[0]))
            for c in (np.float32(0), np.float32(1024))
        )
    assert moved == pytest.approx(float(at), abs=1e-5)
