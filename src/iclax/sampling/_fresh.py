"""Fresh prompts for every step."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Float

from .._arrays import Array
from .._inherit import stale
from .._threefry import normals
from ..covariates import Covariates, Data, Gaussian, Rademacher, StudentT, Uniform
from ..prompts import Prompt, PromptDistribution
from ..prompts._numbers import check_shape
from ..tasks import weight_law
from ._draws import check_draws
from ._normals import with_first
from ._size import check_batch_size
from ._weights import (
    gaussian_root,
    inner,
    linear_law,
    mixture_weights,
    num_normals,
    turned,
)

_INDEPENDENT_ROWS = (Gaussian, StudentT, Uniform, Rademacher, Data)

# Draws a batch of prompts: a pure function of the key, to be called inside jit.
Sampler = Callable[[Any], Prompt]


def fresh_batch(prompts: PromptDistribution, batch_size: int) -> Sampler:
    """A function of a key that draws `batch_size` independent prompts.

    Distributed like `vmap(prompts.sample)`, and several times faster where x is a
    linear map of independent coordinates and w Gaussian or a mixture: there is one flat
    draw, and a mixture gathers its factor instead of computing every component. Fast
    ways are for the distributions that they were written for; a subclass that draws
    otherwise is asked itself, once for each prompt. Raises `SettingError` for a batch
    below 1, and for draws of a wrong shape or that do not come from their key.
    """
    check_batch_size(batch_size)
    check_draws(prompts)
    if type(prompts).sample is not PromptDistribution.sample:
        return lambda key: jax.vmap(prompts.sample)(jr.split(key, batch_size))
    return _linear_batch(prompts, batch_size) or _any_batch(prompts, batch_size)


def _linear_batch(prompts: PromptDistribution, size: int) -> Sampler | None:
    """The fast path: x = S z with independent z_i, and a Gaussian mixture of weights.

    The query has the law of the covariates, or a Gaussian one.
    """
    law, inputs = weight_law(prompts.tasks), linear_law(prompts.covariates)
    other = prompts.query_covariates
    query_root = None if other is None else gaussian_root(other)
    if law is None or inputs is None or (other is not None and query_root is None):
        return None
    (kind, root), n, d = inputs, prompts.context_length, prompts.dim
    noisy, drawn = is_noisy(prompts), n + (other is None)
    same = not np.any(root - root[0, 0] * np.eye(d))
    scale, root = (float(root[0, 0]), np.eye(d)) if same else (1.0, root)

    def sample(key: Any) -> Prompt:
        # The batch comes last, as CPUs like it: its transposes cost nothing until used.
        shapes = [(num_normals(law), size), (n + 1, size) if noisy else (0,)]
        shapes += [(d, size)] if query_root is not None else []
        x, z, noise, *other = with_first(key, kind, scale, (d, drawn, size), *shapes)
        x, w = turned(x, root), mixture_weights(law, z.T).T
        if other:
            query = turned(other[0], query_root)
            x = jnp.concatenate([x, query[:, None]], 1)
        values = inner(x, w)
        labels = values + prompts.noise_std * noise if noisy else values
        return Prompt(
            x[:, :n].transpose(2, 1, 0), labels[:n].T, x[:, n].T, values[n], labels[n]
        )

    return sample


def _any_batch(prompts: PromptDistribution, size: int) -> Sampler:
    """Any distribution: our own covariates drawn together, others once a prompt."""
    n, d, tasks = prompts.context_length, prompts.dim, prompts.tasks
    # A subclass may have replaced `sample` and inherited a faster way to draw another.
    inherited = stale(tasks, ("sample", "sample_weights"), ("sample_batch",))
    draw = each(tasks.sample) if inherited else tasks.sample_batch

    def sample(key: Any) -> Prompt:
        x_key, q_key, task_key, noise_key = jr.split(key, 4)
        xs = _rows(prompts.covariates, x_key, size, n)
        check_shape("covariates", prompts.covariates, xs, (size, n, d))
        query = _queries(prompts, q_key, xs)
        check_shape("query", prompts.query_covariates, query, (size, d))
        points = jnp.concatenate([xs, query[:, None]], 1)
        values = draw(task_key, points)
        check_shape("tasks", tasks, values, (size, n + 1))
        labels = values
        if is_noisy(prompts):
            (e,) = normals(noise_key, (size, n + 1))
            labels = values + prompts.noise_std * e
        return Prompt(xs, labels[:, :n], query, values[:, n], labels[:, n])

    return sample


def _queries(
    prompts: PromptDistribution, key: Any, xs: Float[Array, "b n d"]
) -> Float[Array, "b d"]:
    law = prompts.query_covariates or prompts.covariates
    if type(law) in _INDEPENDENT_ROWS:
        return law.sample(key, len(xs))
    return each(law.sample_query)(key, xs)


def _rows(law: Covariates, key: Any, size: int, n: int) -> Array:
    """The n rows of each prompt. Only of our own distributions it is known that rows
    are independent: others may draw something once for all rows of a call."""
    if type(law) in _INDEPENDENT_ROWS:
        return law.sample(key, size * n).reshape(size, n, law.dim)
    return jax.vmap(lambda k: law.sample(k, n))(jr.split(key, size))


def each(draw: Callable[[Any, Array], Array]) -> Callable[[Any, Array], Array]:
    """`draw`(key, points) for each block of points, with keys of their own."""
    return lambda key, xs: jax.vmap(draw)(jr.split(key, len(xs)), xs)


def is_noisy(prompts: PromptDistribution) -> bool:
    """Whether labels carry noise; a traced noise level counts as noise."""
    sigma = prompts.noise_std
    return not (isinstance(sigma, (int, float)) and sigma == 0)
