"""Blocks of tasks drawn at once have the law of tasks drawn one by one."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

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
