"""Posterior means of linear tasks, one example at a time by rank-one updates."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float

from .._arrays import Array


class Belief(NamedTuple):
    """w | examples ~ N(`mean`, `cov`), and the log density of the labels so far."""

    mean: Float[Array, " d"]
    cov: Float[Array, "d d"]
    log_evidence: Float[Array, ""]


def filtered(
    at: Float[Array, "m d"],
    ys: Float[Array, " n"],
    mean: Float[Array, " d"],
    cov: Float[Array, "d d"],
    noise_variance: Any,
) -> tuple[Float[Array, " m"], Float[Array, " m"]]:
    r"""Predictions and log evidence at each of the m = n + 1 points, before its label.

    With $s = x^T P x + \sigma^2$ and the gain $k = P x / s$ the update is $w \leftarrow
    w + k (y - x^T w)$, $P \leftarrow P - k (P x)^T$: Sherman and Morrison's, in O(n d²)
    for all prefixes together. A label that is already determined (s = 0, which needs σ
    = 0) changes nothing.
    """
    tolerance, scale = 100 * jnp.finfo(at.dtype).eps, jnp.max(jnp.diagonal(cov))

    def step(belief: Belief, example: tuple[Array, Array]) -> tuple[Belief, Any]:
        x, y = example
        mean, cov, log_evidence = belief
        p, guess = cov @ x, x @ mean
        s = x @ p + noise_variance
        informative = s > tolerance * scale * (x @ x)
        safe = jnp.where(informative, s, 1.0)
        gain = jnp.where(informative, 1 / safe, 0.0)
        error = y - guess
        update = Belief(
            mean + gain * error * p,
            cov - gain * jnp.outer(p, p),
            log_evidence - 0.5 * (gain * error**2 + jnp.log(safe)),
        )
        return update, (guess, log_evidence)

    start = Belief(mean, cov, jnp.zeros((), at.dtype))
    end, (guesses, evidence) = jax.lax.scan(step, start, (at[:-1], ys))
    return (
        jnp.append(guesses, at[-1] @ end.mean),
        jnp.append(evidence, end.log_evidence),
    )
