"""Posterior means of linear tasks, one example at a time by rank-one updates."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float

from .._arrays import Array


class Belief(NamedTuple):
    """w | examples ~ N(`mean`, S Sᵀ) with S = `root`, and the log density of the labels
    so far."""

    mean: Float[Array, " d"]
    root: Float[Array, "d r"]
    log_evidence: Float[Array, ""]


def filtered(
    at: Float[Array, "m d"],
    ys: Float[Array, " n"],
    mean: Float[Array, " d"],
    root: Float[Array, "d r"],
    noise_std: Any,
) -> tuple[Float[Array, " m"], Float[Array, " m"]]:
    r"""Predictions and log evidence at each of the m = n + 1 points, before its label.

    With $f = S^T x$ and $s = f^T f + \sigma^2$ the update is $w \leftarrow w + S f (y -
    x^T w) / s$, $S \leftarrow S - S f f^T / (s + \sigma \sqrt s)$: Potter's, in O(n d
    r) for all prefixes together. A root resolves σ down to the rounding of S, a
    covariance only down to the square root of that. A label that is already determined
    (f = 0 and σ = 0) changes nothing.
    """
    least = (100 * jnp.finfo(at.dtype).eps) ** 2 * jnp.max(jnp.sum(root**2, 1))
    noise_std = jnp.asarray(noise_std, at.dtype)

    def step(belief: Belief, example: tuple[Array, Array]) -> tuple[Belief, Any]:
        x, y = example
        mean, root, log_evidence = belief
        f, guess = x @ root, x @ mean
        size = f @ f
        informative = (noise_std > 0) | (size > least * (x @ x))
        s = jnp.where(informative, size + noise_std**2, 1.0)
        gain = jnp.where(informative, 1 / s, 0.0)
        error, along = y - guess, root @ f
        shrink = jnp.where(informative, 1 / (s + noise_std * jnp.sqrt(s)), 0.0)
        update = Belief(
            mean + gain * error * along,
            root - shrink * jnp.outer(along, f),
            log_evidence - 0.5 * (gain * error**2 + jnp.log(s)),
        )
        return update, (guess, log_evidence)

    start = Belief(mean, root, jnp.zeros((), at.dtype))
    end, (guesses, evidence) = jax.lax.scan(step, start, (at[:-1], ys))
    return (
        jnp.append(guesses, at[-1] @ end.mean),
        jnp.append(evidence, end.log_evidence),
    )
