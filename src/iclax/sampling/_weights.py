"""Weights of linear tasks and Gaussian covariates, many at once."""

from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Float
from scipy.special import ndtri

from .._arrays import Array, is_concrete
from .._compile import written
from .._inherit import keeps
from .._psd import covariance_root, symmetric_root
from ..covariates import Gaussian, Rademacher, Uniform
from ..models._batch_last import LONGEST, add
from ..tasks import LinearTasks, TaskDistribution, WeightLaw, weight_law


def num_normals(law: WeightLaw) -> int:
    """How many normals `mixture_weights` takes a prompt: one more to choose k."""
    return law.rank + (len(law.weights) > 1)


def mixture_weights(law: WeightLaw, z: Float[Array, "b m"]) -> Float[Array, "b d"]:
    """One w a prompt from `num_normals` standard normals each."""
    dtype = z.dtype
    if len(law.weights) == 1:
        w = times(z, law.factors[0].T)
        return w + jnp.asarray(law.means, dtype) if law.means.any() else w
    # k is how many of the normal quantiles of p₁, p₁ + p₂, … the last normal exceeds.
    shares = law.weights.cumsum()[:-1].clip(0, 1)
    inverse = ndtri if is_concrete(shares) else jax.scipy.special.ndtri
    k = jnp.searchsorted(jnp.asarray(inverse(shares), dtype), z[:, -1])
    w = jnp.einsum("bdr,br->bd", jnp.asarray(law.factors, dtype)[k], z[:, :-1])
    return w + jnp.asarray(law.means, dtype)[k] if law.means.any() else w


def can_draw_weights(tasks: TaskDistribution) -> bool:
    """Whether f(x) = w·x with a w that can be drawn by itself."""
    own = keeps(tasks, LinearTasks, ("sample", "sample_batch"))
    return weight_law(tasks) is not None or own


def draw_weights(tasks: Any, key: Any, batch_size: int) -> Float[Array, "b d"]:
    """One w a prompt, for linear tasks of any law."""
    return jax.vmap(tasks.sample_weights)(jr.split(key, batch_size))


# Covariates x = S z with independent z_i, S the root of `cov`, and the kind of z_i.
_KINDS = {Gaussian: "normal", Uniform: "uniform", Rademacher: "sign"}


def linear_law(covariates: Any) -> tuple[str, Float[np.ndarray, "d d"]] | None:
    """(kind of z, Sᵀ) where x = S z with independent coordinates of z; else `None`."""
    kind = _KINDS.get(type(covariates))
    if kind is None or not is_concrete(covariates.cov):
        return None
    root = covariance_root if kind == "normal" else symmetric_root
    return kind, root(covariates.cov).T


def gaussian_root(covariates: Any) -> Float[np.ndarray, "d d"] | None:
    """Sᵀ with x = S z, z ~ N(0, I), where the covariates are Gaussian; else `None`."""
    law = linear_law(covariates)
    return law[1] if law and law[0] == "normal" else None


def times(
    rows: Float[Array, "*b r"], matrix: Float[np.ndarray, "r d"]
) -> Float[Array, "*b d"]:
    """`rows` @ `matrix` for a known matrix: nothing for I, a scaling if diagonal."""
    size, width = matrix.shape
    *batch, _ = rows.shape
    if size == width and not np.any(matrix * (1 - np.eye(size))):
        scale = np.diagonal(matrix)
        if np.all(scale == 1):
            return rows
        return rows * jnp.asarray(scale, rows.dtype).reshape(*(1 for _ in batch), -1)
    flat = rows.reshape(prod(batch), size) @ jnp.asarray(matrix, rows.dtype)
    return flat.reshape(*batch, width)


def turned(
    columns: Float[Array, "r *b"], matrix: Float[np.ndarray, "r d"]
) -> Float[Array, "d *b"]:
    """As `times`, of vectors along the first axis."""
    width, *batch = columns.shape
    flat = columns.reshape(width, prod(batch))
    return times(flat.T, matrix).T.reshape(matrix.shape[1], *batch)


def inner(x: Float[Array, "d n b"], w: Float[Array, "d b"]) -> Float[Array, "n b"]:
    """x·w for each of the n vectors of each prompt."""
    return written(_inner)(x, w)


def _inner(x: Array, w: Array) -> Array:
    if len(x) > LONGEST:
        return jnp.sum(x * w[:, None], 0)
    return add(on_x * on_w[None] for on_x, on_w in zip(x, w, strict=True))
