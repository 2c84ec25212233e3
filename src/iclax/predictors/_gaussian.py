"""Posterior means of linear tasks with Gaussian weights, and mixtures of them."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from .._arrays import Array, as_array, is_concrete
from .._errors import SettingError
from ..prompts import Prompt
from ._prefixes import points
from ._recursion import filtered
from ._solve import solve, solve_and_log_det


class GaussianPosteriorMean(eqx.Module):
    r"""E[f(x_q) | context] for w ~ N(m, C) and label noise σ.

    $$\hat w = m + C X^T (X C X^T + \sigma^2 I)^{-1} (y - X m)$$

    `cov` is C (singular allowed), `mean` m (0 if left out), `noise_std` σ ≥ 0. With C =
    I it is ridge regression of strength σ².
    """

    cov: Float[Array, "d d"]
    mean: Float[Array, " d"]
    noise_std: Any

    def __init__(self, cov: Any, noise_std: Any, mean: Any = None):
        self.cov = as_array(cov)
        self.mean = np.zeros(len(self.cov)) if mean is None else as_array(mean)
        self.noise_std = noise_std

    def __call__(self, prompt: Prompt) -> Float[Array, ""]:
        if is_concrete(self.noise_std) and self.noise_std == 0:
            return self.prefixes(prompt)[-1]  # exact where the system is singular
        xs, cov, mean = prompt.xs, jnp.asarray(self.cov), jnp.asarray(self.mean)
        n, d = xs.shape
        residuals, variance = prompt.ys - xs @ mean, self.noise_std**2
        if n <= d:
            half = xs @ cov
            gram = half @ xs.T + variance * jnp.eye(n, dtype=xs.dtype)
            fit = solve(gram, residuals)
            return prompt.query @ mean + (half @ prompt.query) @ fit
        system = cov @ (xs.T @ xs) + variance * jnp.eye(d, dtype=xs.dtype)
        fit = solve(system, cov @ (residuals @ xs))
        return prompt.query @ (mean + fit)

    def prefixes(self, prompt: Prompt) -> Float[Array, " m"]:
        """See `prefixes`: by rank-one updates."""
        at = points(prompt)
        mean, cov = jnp.asarray(self.mean, at.dtype), jnp.asarray(self.cov, at.dtype)
        return filtered(at, prompt.ys, mean, cov, self.noise_std**2)[0]


class MixturePosteriorMean(eqx.Module):
    r"""E[f(x_q) | context] for w from a mixture of Gaussians and label noise σ > 0.

    Component k has probability `weights[k]`, w = `means[k]` + `factors[k]` ξ, ξ ~ N(0,
    I_r) (so its covariance may have low rank). The prediction is $\sum_k p(k \mid
    \text{context}) x_q^T \hat w_k$, each evidence $N(y; X m_k, X C_k X^T + \sigma^2 I)$
    computed from r × r systems in logarithms.
    """

    weights: Float[Array, " k"]
    means: Float[Array, "k d"]
    factors: Float[Array, "k d r"]
    noise_std: Any

    def __init__(self, weights: Any, means: Any, factors: Any, noise_std: Any):
        if is_concrete(noise_std) and not noise_std > 0:
            raise SettingError(
                "noise_std",
                f"{noise_std}",
                "a positive number (without noise the evidence has no density)",
            )
        self.weights, self.means = as_array(weights), as_array(means)
        self.factors, self.noise_std = as_array(factors), noise_std

    def __call__(self, prompt: Prompt) -> Float[Array, ""]:
        values, evidence = jax.vmap(self._component, (None, 0, 0))(
            prompt, jnp.asarray(self.means), jnp.asarray(self.factors)
        )
        return jax.nn.softmax(jnp.log(jnp.asarray(self.weights)) + evidence) @ values

    def _component(
        self, prompt: Prompt, mean: Float[Array, " d"], factor: Float[Array, "d r"]
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """Prediction and log evidence (up to a constant) of one component."""
        variance, z = self.noise_std**2, prompt.xs @ factor
        residuals = prompt.ys - prompt.xs @ mean
        system = z.T @ z + variance * jnp.eye(z.shape[1], dtype=z.dtype)
        xi, log_det = solve_and_log_det(system, residuals @ z)
        # yᵀ(ZZᵀ + σ²I)⁻¹y as a sum of squares: nothing cancels.
        left = residuals - z @ xi
        quadratic = (left @ left + variance * (xi @ xi)) / variance
        return prompt.query @ (mean + factor @ xi), -0.5 * (quadratic + log_det)

    def prefixes(self, prompt: Prompt) -> Float[Array, " m"]:
        """See `prefixes`: rank-one updates of every component and its evidence."""
        at = points(prompt)
        factors = jnp.asarray(self.factors, at.dtype)
        covs = jnp.einsum("kdr,ker->kde", factors, factors)
        values, evidence = jax.vmap(filtered, (None, None, 0, 0, None))(
            at,
            prompt.ys,
            jnp.asarray(self.means, at.dtype),
            covs,
            self.noise_std**2,
        )
        prior = jnp.log(jnp.asarray(self.weights, at.dtype))[:, None]
        return jnp.sum(jax.nn.softmax(prior + evidence, 0) * values, 0)
