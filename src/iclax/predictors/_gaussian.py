"""Posterior means of linear tasks with Gaussian weights, and mixtures of them."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from .._arrays import Array, as_array, is_concrete
from .._errors import SettingError
from .._forms import PosteriorForm
from .._psd import as_covariance, psd_root
from ..prompts import Prompt
from ._prefixes import points
from ._recursion import filtered
from ._solve import semidefinite_root, solve_and_log_det


class GaussianPosteriorMean(eqx.Module):
    r"""E[f(x_q) | context] for w ~ N(m, C) and label noise σ.

    $$\hat w = m + C X^T (X C X^T + \sigma^2 I)^{-1} (y - X m)$$

    `cov` is C (d numbers stand for a diagonal; singular allowed), `mean` m (0 if left
    out), `noise_std` σ ≥ 0. With C = I it is ridge regression of strength σ². Computed
    from F with C = F Fᵀ, `factor`, which keeps small σ exact in float32 too. Raises
    `SettingError` for a C that is no covariance and a negative σ.
    """

    factor: Float[Array, "d r"]
    mean: Float[Array, " d"]
    noise_std: Any

    def __init__(self, cov: Any, noise_std: Any, mean: Any = None):
        cov = as_covariance(cov, "cov")
        if is_concrete(noise_std) and not noise_std >= 0:
            raise SettingError("noise_std", f"{noise_std}", "a number of at least 0")
        known = is_concrete(cov)
        self.factor = psd_root(cov) if known else semidefinite_root(cov)
        self.mean = np.zeros(len(cov)) if mean is None else as_array(mean)
        self.noise_std = noise_std

    @classmethod
    def of_factor(
        cls, factor: Any, noise_std: Any, mean: Any = None
    ) -> "GaussianPosteriorMean":
        """The same for C = `factor` `factor`ᵀ, (d, r): its rank need not be found."""
        own = cls(np.eye(len(factor)), noise_std, mean)
        return eqx.tree_at(lambda model: model.factor, own, factor)

    def form(self) -> PosteriorForm:
        """See `theory.risk`."""
        return PosteriorForm(self.mean, self.factor, self.noise_std)

    def __call__(self, prompt: Prompt) -> Float[Array, ""]:
        noiseless = self.noise_std == 0
        exact = lambda prompt: self.prefixes(prompt)[-1]  # where systems are singular
        solved = lambda prompt: _posterior(
            prompt, self.mean, self.factor, self.noise_std
        )[0]
        if is_concrete(noiseless):
            return exact(prompt) if noiseless else solved(prompt)
        return jax.lax.cond(noiseless, exact, solved, prompt)

    def prefixes(self, prompt: Prompt) -> Float[Array, " m"]:
        """See `prefixes`: by rank-one updates."""
        at = points(prompt)
        mean, factor = (jnp.asarray(a, at.dtype) for a in (self.mean, self.factor))
        ys = jnp.asarray(prompt.ys, at.dtype)
        return filtered(at, ys, mean, factor, self.noise_std)[0]


def _posterior(
    prompt: Prompt,
    mean: Float[Array, " d"],
    factor: Float[Array, "d r"],
    noise_std: Any,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    r"""The prediction for w ~ N(m, F Fᵀ), and the log evidence up to a constant.

    With Z = X F and w = m + Fξ, from the smaller of the systems $Z^T Z + \sigma^2 I_r$
    and $Z Z^T + \sigma^2 I_n$: σ² alone then never holds up a null space, in which
    rounding would decide.
    """
    at = points(prompt)
    mean, factor = jnp.asarray(mean, at.dtype), jnp.asarray(factor, at.dtype)
    xs, variance = at[:-1], noise_std**2
    z, residuals = xs @ factor, prompt.ys - xs @ mean
    n, r = z.shape
    if n < r:
        system = z @ z.T + variance * jnp.eye(n, dtype=z.dtype)
        fit, log_det = solve_and_log_det(system, residuals)
        xi, quadratic = fit @ z, residuals @ fit
    else:
        system = z.T @ z + variance * jnp.eye(r, dtype=z.dtype)
        xi, log_det = solve_and_log_det(system, residuals @ z)
        # yᵀ(ZZᵀ + σ²I)⁻¹y as a sum of squares: nothing cancels.
        left = residuals - z @ xi
        quadratic = (left @ left + variance * (xi @ xi)) / variance
    return at[-1] @ (mean + factor @ xi), -0.5 * (quadratic + log_det)


class MixturePosteriorMean(eqx.Module):
    r"""E[f(x_q) | context] for w from a mixture of Gaussians and label noise σ > 0.

    Component k has probability `weights[k]`, w = `means[k]` + `factors[k]` ξ, ξ ~ N(0,
    I_r) (so its covariance may have low rank). The prediction is $\sum_k p(k \mid
    \text{context}) x_q^T \hat w_k$, each evidence $N(y; X m_k, X C_k X^T + \sigma^2 I)$
    computed in logarithms from systems of size min(n, r).
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
        values, evidence = jax.vmap(_posterior, (None, 0, 0, None))(
            prompt,
            jnp.asarray(self.means),
            jnp.asarray(self.factors),
            self.noise_std,
        )
        prior = jnp.log(jnp.asarray(self.weights, evidence.dtype))
        return jax.nn.softmax(prior + evidence) @ values

    def prefixes(self, prompt: Prompt) -> Float[Array, " m"]:
        """See `prefixes`: rank-one updates of every component and its evidence."""
        at = points(prompt)
        values, evidence = jax.vmap(filtered, (None, None, 0, 0, None))(
            at,
            jnp.asarray(prompt.ys, at.dtype),
            jnp.asarray(self.means, at.dtype),
            jnp.asarray(self.factors, at.dtype),
            self.noise_std,
        )
        prior = jnp.log(jnp.asarray(self.weights, at.dtype))[:, None]
        return jnp.sum(jax.nn.softmax(prior + evidence, 0) * values, 0)
