"""Fresh prompts for every step."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Float

from .._arrays import Array
from .._errors import SettingError
from ..prompts import Prompt, PromptDistribution, RepeatedPoint
from ..tasks import weight_law
from ._normals import normals
from ._weights import gaussian_root, mixture_weights, num_normals, times

# Draws a batch of prompts: a pure function of the key, to be called inside jit.
Sampler = Callable[[Any], Prompt]


def fresh_batch(prompts: PromptDistribution, batch_size: int) -> Sampler:
    """A function of a key that draws `batch_size` independent prompts.

    Equal in law to `vmap(prompts.sample)`, and several times faster where covariates
    and weights are Gaussian (or a mixture): all normals come from one draw, and a
    mixture gathers its factor instead of computing every component. Raises
    `SettingError` for a batch below 1.
    """
    if batch_size < 1:
        raise SettingError("batch_size", f"{batch_size}", "a whole number above 0")
    return _gaussian_batch(prompts, batch_size) or _any_batch(prompts, batch_size)


def _gaussian_batch(prompts: PromptDistribution, size: int) -> Sampler | None:
    """The fast path: Gaussian covariates and query, Gaussian mixture of weights."""
    law = weight_law(prompts.tasks)
    root = gaussian_root(prompts.covariates)
    query_root = root
    if prompts.query_covariates is not None:
        if isinstance(prompts.query_covariates, RepeatedPoint):
            return None
        query_root = gaussian_root(prompts.query_covariates)
    if law is None or root is None or query_root is None:
        return None
    n, d, noisy = prompts.context_length, prompts.dim, is_noisy(prompts)

    def sample(key: Any) -> Prompt:
        shapes = [(size, n, d), (size, d), (size, num_normals(law))]
        noise = [(size, n), (size,)] if noisy else []
        x, q, z, *rest = normals(key, *shapes, *noise)
        xs, query, w = times(x, root), times(q, query_root), mixture_weights(law, z)
        ys, target = jnp.einsum("bnd,bd->bn", xs, w), jnp.sum(query * w, 1)
        if not noisy:
            return Prompt(xs, ys, query, target, target)
        ys, label = (
            value + prompts.noise_std * e
            for value, e in zip((ys, target), rest, strict=True)
        )
        return Prompt(xs, ys, query, target, label)

    return sample


def _any_batch(prompts: PromptDistribution, size: int) -> Sampler:
    """Any law: covariates drawn together (they are i.i.d.), tasks one by one."""
    n, d = prompts.context_length, prompts.dim

    def sample(key: Any) -> Prompt:
        x_key, q_key, task_key, noise_key = jr.split(key, 4)
        xs = prompts.covariates.sample(x_key, size * n).reshape(size, n, d)
        query = _queries(prompts, q_key, xs)
        points = jnp.concatenate([xs, query[:, None]], 1)
        values = prompts.tasks.sample_batch(task_key, points)
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
    if isinstance(law, RepeatedPoint):
        return jax.vmap(law.sample_query)(jr.split(key, len(xs)), xs)
    return law.sample(key, len(xs))


def is_noisy(prompts: PromptDistribution) -> bool:
    """Whether labels carry noise; a traced noise level counts as noise."""
    sigma = prompts.noise_std
    return not (isinstance(sigma, (int, float)) and sigma == 0)
