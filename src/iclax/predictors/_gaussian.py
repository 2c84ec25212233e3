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
from ._recursion import filtered, posterior
from ._solve import semidefinite_root


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
        return _posterior(prompt, self.mean, self.factor, self.noise_std)[0]

    def prefixes(self, prompt: Prompt) -> Float[Array, " m"]:
        """See `prefixes`: by reflections, one example after the other."""
        return _filtered(prompt, self.mean, self.factor, self.noise_std)[0]


def _posterior(
    prompt: Prompt,
    mean: Float[Array, " d"],
    factor: Float[Array, "d r"],
    noise_std: Any,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """The prediction for w = m + Fξ, and the log evidence up to a constant."""
    prior, zs, residuals = _whitened(prompt, mean, factor)
    value, evidence = posterior(zs[:-1], zs[-1], residuals, noise_std)
    return prior[-1] + value, evidence


def _filtered(
    prompt: Prompt,
    mean: Float[Array, " d"],
    factor: Float[Array, "d r"],
    noise_std: Any,
) -> tuple[Float[Array, " m"], Float[Array, " m"]]:
    """The same at every point, from the examples before it."""
    prior, zs, residuals = _whitened(prompt, mean, factor)
    values, evidence = filtered(zs, residuals, noise_std)
    return prior + values, evidence


def _whitened(
    prompt: Prompt, mean: Float[Array, " d"], factor: Float[Array, "d r"]
) -> tuple[Float[Array, " m"], Float[Array, "m r"], Float[Array, " n"]]:
    """m at all points, the points as ξ sees them, and what m leaves of the labels."""
    at = points(prompt)
    mean, factor = jnp.asarray(mean, at.dtype), jnp.asarray(factor, at.dtype)
    with jax.default_matmul_precision("highest"):
        prior, zs = at @ mean, at @ factor
    return prior, zs, jnp.asarray(prompt.ys, at.dtype) - prior[:-1]


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
        values, evidence = self._of_each(_posterior, prompt)
        prior = jnp.log(jnp.asarray(self.weights, evidence.dtype))
        return jax.nn.softmax(prior + evidence) @ values

    def prefixes(self, prompt: Prompt) -> Float[Array, " m"]:
        """See `prefixes`: those of every component and its evidence."""
        values, evidence = self._of_each(_filtered, prompt)
        prior = jnp.log(jnp.asarray(self.weights, evidence.dtype))[:, None]
        return jnp.sum(jax.nn.softmax(prior + evidence, 0) * values, 0)

    def _of_each(self, posterior: Any, prompt: Prompt) -> tuple[Array, Array]:
        means, factors = jnp.asarray(self.means), jnp.asarray(self.factors)
        each = jax.vmap(posterior, (None, 0, 0, None))
        return each(prompt, means, factors, self.noise_std)
