"""Sampling what linear attention can see of a prompt, at a cost free of its length.

Given w, the tokens (x_i; y_i) are i.i.d. Gaussian, and attention without softmax sees
them only through G = Σ e_i e_iᵀ, a Wishart matrix. Bartlett's decomposition writes it
as a sum of min(n, d + 1) outer products from O(d²) random numbers, whatever n is.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Float

from .._arrays import Array
from .._errors import AssumptionError
from .._threefry import normals
from ..prompts import Prompt, PromptDistribution
from ..tasks import weight_law
from ._chi import chi_from_normal
from ._draws import check_draws
from ._fresh import is_noisy
from ._size import check_batch_size
from ._weights import (
    can_draw_weights,
    draw_weights,
    gaussian_root,
    inner,
    mixture_weights,
    num_normals,
    times,
    turned,
)


class Statistics(NamedTuple):
    r"""What one-layer linear attention sees, beside what a predictor must not see.

    `gram` is $G = \sum_i e_i e_i^T$, not divided by n.
    """

    gram: Float[Array, "*b e e"]
    query: Float[Array, "*b d"]
    target: Float[Array, "*b"]
    label: Float[Array, "*b"]


def compressed_batch(
    prompts: PromptDistribution, batch_size: int, *, mean: bool = True
) -> Callable[[Any], Prompt]:
    r"""A function of a key that draws prompts of m = min(n, d + 1) rescaled examples.

    Given the weights and the query, $\frac1m \sum_{j \le m} e_j e_j^T$ has exactly the
    law of $\frac1n \sum_{i \le n} e_i e_i^T$ (with `mean=False`, the plain sums have
    the same law), so whatever sees a prompt only through it (linear attention of any
    depth without the query in its sum, gradient descent) can be trained and tested on
    these short prompts. Ridge regression, Gaussian posterior means and attention that
    is not divided by n see the plain sums: they need `mean=False`. m = min(n, d)
    without noise. Derived in docs/models.md.

    Raises `AssumptionError` unless covariates are Gaussian, tasks linear and the query
    independent of the context, and `SettingError` for a batch below 1.
    """
    draw = _rows(prompts, batch_size)
    n = prompts.context_length

    def sample(key: Any) -> Prompt:
        xs, ys, query, target, label = draw(key)
        scale = (xs.shape[1] / n) ** 0.5 if mean else 1.0
        return Prompt(scale * xs, scale * ys, query, target, label)

    return sample


def sufficient_statistics(
    prompts: PromptDistribution, batch_size: int
) -> Callable[[Any], Statistics]:
    """A function of a key that draws (G, query, target) without drawing the prompt.

    For `LinearAttention.from_statistics`; exact in law. Assumptions and errors as in
    `compressed_batch`.
    """
    draw = _rows(prompts, batch_size)

    def sample(key: Any) -> Statistics:
        xs, ys, query, target, label = draw(key)
        tokens = jnp.concatenate([xs, ys[:, :, None]], 2)
        gram = jnp.einsum("bme,bmf->bef", tokens, tokens)
        return Statistics(gram, query, target, label)

    return sample


def _rows(prompts: PromptDistribution, size: int) -> Callable[[Any], Prompt]:
    """Prompts of m examples whose plain sum of outer products has the law of G."""
    check_batch_size(size)
    root, query_root = _gaussian_roots(prompts)
    law, sigma = weight_law(prompts.tasks), prompts.noise_std
    noisy, d = is_noisy(prompts), prompts.dim
    triangle = _Triangle(prompts.context_length, d + noisy)

    def sample(key: Any) -> Prompt:
        key, weight_key = (key, key) if law else jr.split(key)
        shapes = [
            (triangle.above, size),
            (triangle.rows, size),
            (size, d),
            (size, num_normals(law) if law else 0),
            (size,) if noisy else (0,),
        ]
        above, diagonal, q, z, e = normals(key, *shapes)
        tokens = triangle.fill(above, diagonal)
        w = (
            mixture_weights(law, z)
            if law
            else draw_weights(prompts.tasks, weight_key, size)
        )
        # The batch comes last, as CPUs like it.
        x, query = turned(tokens[:d], root), times(q, query_root)
        ys, target = inner(x, w.T), jnp.sum(query * w, 1)
        label = target
        if noisy:
            ys, label = ys + sigma * tokens[d], target + sigma * e
        return Prompt(x.transpose(2, 1, 0), ys.T, query, target, label)

    return sample


class _Triangle:
    r"""Bartlett: R with $R^T R \sim W_p(I, n)$ and m = min(n, p) rows.

    Upper triangular: row j has $\chi_{n-j}$ on the diagonal (j from 0) and standard
    normals to its right. For n < p, where the Wishart matrix is singular, R is a
    trapezoid and the law still exact: it is the R of a QR decomposition of normals.
    """

    def __init__(self, n: int, width: int):
        self.rows, self.width = min(n, width), width
        self.above = sum(width - 1 - j for j in range(self.rows))
        self.degrees = tuple(n - j for j in range(self.rows))

    def fill(
        self, above: Float[Array, "a b"], diagonal: Float[Array, "m b"]
    ) -> Float[Array, "p m b"]:
        """R from its normals, laid out with the batch last: copies, no gathers."""
        chi, size, start, pieces = (
            chi_from_normal(diagonal, self.degrees),
            above.shape[1],
            0,
            [],
        )
        for j in range(self.rows):
            right = self.width - 1 - j
            pieces += [
                jnp.zeros((j, size), above.dtype),
                chi[j : j + 1],
                above[start : start + right],
            ]
            start += right
        rows = jnp.concatenate(pieces).reshape(self.rows, self.width, size)
        return rows.transpose(1, 0, 2)


def _gaussian_roots(prompts: PromptDistribution) -> tuple[np.ndarray, np.ndarray]:
    what = "sampling sufficient statistics"
    instead = "use iclax.sampling.fresh_batch"
    check_draws(prompts)
    root = gaussian_root(prompts.covariates)
    if root is None:
        found = type(prompts.covariates).__name__
        raise AssumptionError(what, f"Gaussian covariates (found {found})", instead)
    if not can_draw_weights(prompts.tasks):
        found = type(prompts.tasks).__name__
        raise AssumptionError(what, f"linear tasks (found {found})", instead)
    prompts.independent_query(what)
    if prompts.query_covariates is None:
        return root, root
    query_root = gaussian_root(prompts.query_covariates)
    if query_root is None:
        found = type(prompts.query_covariates).__name__
        raise AssumptionError(what, f"a Gaussian query (found {found})", instead)
    return root, query_root
