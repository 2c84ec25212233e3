"""The posterior mean of a Gaussian process."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Float

from .._arrays import Array
from ..prompts import Prompt
from ._prefixes import points
from ._solve import psd_root, solve


class GaussianProcessPosterior(eqx.Module):
    r"""$\hat y = k(x_q, X) (k(X, X) + \sigma^2 I)^{-1} y$ for f ~ GP(0, k).

    `kernel(x, z)` returns k at every pair of rows, as `GaussianProcess.kernel` does;
    `noise_variance` is σ² plus whatever jitter the tasks were drawn with.
    """

    kernel: Callable[[Array, Array], Array] = eqx.field(static=True)
    noise_variance: Any

    def __call__(self, prompt: Prompt) -> Float[Array, ""]:
        gram = self._gram(prompt.xs)
        cross = self.kernel(prompt.query[None], prompt.xs)[0]
        return cross @ solve(gram, prompt.ys)

    def prefixes(self, prompt: Prompt) -> Float[Array, " m"]:
        r"""See `prefixes`: from one Cholesky factor, $K_i = L_i L_i^T$ for every i.

        With $L z = y$, entry i is $\sum_{j<i} L_{ij} z_j$: the factor of all m points
        holds that of every prefix. z is one more row of it, that of the labels.
        """
        at, n = points(prompt), len(prompt.ys)
        bordered = jnp.pad(self._gram(at), (0, 1)).at[-1, :n].set(prompt.ys)
        bordered = bordered.at[:n, -1].set(prompt.ys)
        root = psd_root(bordered, n)
        return jnp.tril(root[:-1, :n], -1) @ root[-1, :n]

    def _gram(self, at: Float[Array, "m d"]) -> Float[Array, "m m"]:
        return self.kernel(at, at) + self.noise_variance * jnp.eye(
            len(at), dtype=at.dtype
        )
