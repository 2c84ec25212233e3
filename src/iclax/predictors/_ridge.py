"""Ridge regression and least squares."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from .._arrays import Array, is_concrete
from .._errors import SettingError
from .._forms import RidgeForm
from ..prompts import Prompt
from ._prefixes import points
from ._recursion import filtered, posterior


class Ridge(eqx.Module):
    r"""$\hat y = x_q^T (X^T X + \lambda I)^{-1} X^T y$, λ = `strength` > 0.

    With λ = σ² the posterior mean for w ~ N(0, I). For λ = 0 see `LeastSquares`; raises
    `SettingError` for that and less.
    """

    strength: Any

    def __check_init__(self):
        if is_concrete(self.strength) and not np.all(np.asarray(self.strength) > 0):
            allowed = "a number above 0 (for 0 use LeastSquares)"
            raise SettingError("strength", f"{self.strength}", allowed)

    def form(self) -> RidgeForm:
        """See `theory.risk`."""
        return RidgeForm(self.strength)

    def __call__(self, prompt: Prompt) -> Float[Array, ""]:
        at = points(prompt)
        ys = jnp.asarray(prompt.ys, at.dtype)
        return posterior(at[:-1], at[-1], ys, self._noise_std(at))[0]

    def prefixes(self, prompt: Prompt) -> Float[Array, " m"]:
        """See `prefixes`: by reflections, one example after the other."""
        at = points(prompt)
        ys = jnp.asarray(prompt.ys, at.dtype)
        return filtered(at, ys, self._noise_std(at))[0]

    def _noise_std(self, at: Array) -> Array:
        return jnp.sqrt(jnp.asarray(self.strength, at.dtype))


class LeastSquares(eqx.Module):
    r"""$\hat y = x_q^T X^+ y$: the least-squares fit of least norm."""

    def form(self) -> RidgeForm:
        """Ridge regression without a penalty."""
        return RidgeForm(0.0)

    def __call__(self, prompt: Prompt) -> Float[Array, ""]:
        at = points(prompt)
        return posterior(at[:-1], at[-1], jnp.asarray(prompt.ys, at.dtype), 0.0)[0]

    def prefixes(self, prompt: Prompt) -> Float[Array, " m"]:
        """See `prefixes`: the limit λ → 0 of those of `Ridge`."""
        at = points(prompt)
        return filtered(at, jnp.asarray(prompt.ys, at.dtype), 0.0)[0]
