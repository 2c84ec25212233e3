"""Posterior means of zᵀξ for ξ ~ N(0, I_r) and label noise σ, of one prompt."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Float

from .._arrays import Array
from ._reflections import errors_of, shares_of, swept, told


@jax.jit
def filtered(
    at: Float[Array, "m r"], ys: Float[Array, " n"], noise_std: Any
) -> tuple[Float[Array, " m"], Float[Array, " m"]]:
    """Predictions and log evidence at each of the m = n + 1 points, before its label.

    σ = `noise_std` ≥ 0; σ = 0 is the limit σ → 0, least squares of least norm.
    """
    variance = jnp.asarray(noise_std, at.dtype) ** 2
    with jax.default_matmul_precision("highest"):
        condition = _at_once if len(ys) <= at.shape[1] else _one_by_one
        means, variances = condition(at, ys, variance)
    lost = _lost(ys - means[:-1], variances)
    return means, jnp.append(jnp.zeros(1, at.dtype), -0.5 * jnp.cumsum(lost))


@jax.jit
def posterior(
    zs: Float[Array, "n r"],
    query: Float[Array, " r"],
    ys: Float[Array, " n"],
    noise_std: Any,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    r"""The prediction at `query` and the log evidence up to a constant (`filtered`).

    For n ≥ r the coordinates of Z change places with the examples: $q^T (Z^T Z +
    \sigma^2 I)^{-1} Z^T y$ is the mean at the functional y, of covariances $Z^T Z$,
    from "labels" q of r "examples", the columns of Z.
    """
    (n, r), variance = zs.shape, jnp.asarray(noise_std, zs.dtype) ** 2
    if n < r:
        means, evidence = filtered(jnp.concatenate([zs, query[None]]), ys, noise_std)
        return means[-1], evidence[-1]
    with jax.default_matmul_precision("highest"):
        found = swept(
            jnp.concatenate([zs.T, ys[None]]), query, variance, shares_of(zs.T)
        )
    # What is left of y is yᵀ(ZZᵀ + σ²I)⁻¹y as a sum of squares: nothing cancels.
    left = found.rows[0] ** 2 / jnp.where(found.free, _positive(variance), 1.0)
    log_det = jnp.sum(jnp.log(_positive(found.variances)))
    return found.means[-1], -0.5 * (jnp.sum(left) + log_det)


def _at_once(
    at: Float[Array, "m r"], ys: Float[Array, " n"], variance: Float[Array, ""]
) -> tuple[Float[Array, " m"], Float[Array, " n"]]:
    """Means of all points before their label, and the variance of each label."""
    at = at @ _by_size(at)
    found = swept(at, ys, variance, shares_of(at))
    return found.means, found.variances


def _one_by_one(
    at: Float[Array, "m r"], ys: Float[Array, " n"], variance: Float[Array, ""]
) -> tuple[Float[Array, " m"], Float[Array, " n"]]:
    """The same, in memory and time that grow with n only as the examples do."""
    r = at.shape[1]
    if r == 0:
        return jnp.zeros(len(at), at.dtype), jnp.broadcast_to(variance, ys.shape)
    root, each, frozen = _by_size(at), jnp.arange(r), jax.lax.stop_gradient
    shares = shares_of(at) @ root

    def step(state: Any, example: Any) -> tuple[Any, Any]:
        mean, root, free, errors = state
        x, y, error = example
        guess, slot = x @ mean, jnp.min(jnp.where(free, each, r - 1))
        limit = errors, jnp.hypot(error, jnp.linalg.norm(frozen(x) * errors)), shares
        new = told(root, x @ root, free, slot, *limit, variance, ~jnp.any(free))
        moved = mean + new.gain * (y - guess)
        return (moved, new.rows, new.free, new.errors), (guess, new.variance)

    none = jnp.zeros(r, at.dtype)
    start = (none, root, jnp.ones(r, bool), none)
    examples = (at[:-1], ys, errors_of(at[:-1]))
    (mean, *_), (guesses, variances) = jax.lax.scan(step, start, examples)
    return jnp.append(guesses, at[-1] @ mean), variances


def _by_size(at: Float[Array, "m r"]) -> Float[Array, "r r"]:
    """The permutation that puts the coordinates of the largest numbers first.

    With them first, rounding of large coordinates stays out of small ones.
    """
    size, each = jnp.max(jnp.abs(at), 0), jnp.arange(at.shape[1])
    first = (size[:, None] > size[None]) | (
        (size[:, None] == size[None]) & (each[:, None] < each[None])
    )
    return (jnp.sum(first, 0)[:, None] == each[None]).astype(at.dtype)


def _lost(surprises: Array, variances: Array) -> Array:
    return surprises**2 / _positive(variances) + jnp.log(_positive(variances))


def _positive(variance: Array) -> Array:
    """Without noise there is no density of the labels, and no division by 0."""
    return jnp.where(variance > 0, variance, 1.0)
