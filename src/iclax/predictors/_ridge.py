"""Ridge regression and least squares."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from .._arrays import Array, is_concrete
from .._errors import SettingError
from .._forms import RidgeForm
from ..prompts import Prompt
from ._prefixes import points
from ._recursion import filtered
from ._solve import solve


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
        xs, ys = prompt.xs, prompt.ys
        n, d = xs.shape
        if n < d:  # the same by the n × n system (X Xᵀ + λI)
            gram = xs @ xs.T + self.strength * jnp.eye(n, dtype=xs.dtype)
            return (xs @ prompt.query) @ solve(gram, ys)
        gram = xs.T @ xs + self.strength * jnp.eye(d, dtype=xs.dtype)
        return prompt.query @ solve(gram, ys @ xs)

    def prefixes(self, prompt: Prompt) -> Float[Array, " m"]:
        """See `prefixes`: by rank-one updates."""
        at = points(prompt)
        d, noise_std = at.shape[1], jnp.sqrt(jnp.asarray(self.strength, at.dtype))
        mean, root = jnp.zeros(d, at.dtype), jnp.eye(d, dtype=at.dtype)
        ys = jnp.asarray(prompt.ys, at.dtype)
        return filtered(at, ys, mean, root, noise_std)[0]


class LeastSquares(eqx.Module):
    r"""$\hat y = x_q^T X^+ y$: the least-squares fit of least norm."""

    def form(self) -> RidgeForm:
        """Ridge regression without a penalty."""
        return RidgeForm(0.0)

    def __call__(self, prompt: Prompt) -> Float[Array, ""]:
        return prompt.query @ jnp.linalg.lstsq(prompt.xs, prompt.ys)[0]

    def prefixes(self, prompt: Prompt) -> Float[Array, " m"]:
        r"""See `prefixes`: Greville's recursion for $X^+ y$.

        A new x with a part c outside the span of those before moves w along c; any
        other by a rank-one update of $S = (X^T X)^+$.
        """
        at = points(prompt)
        xs, query = at[:-1], at[-1]
        eye = jnp.eye(len(query), dtype=at.dtype)
        tolerance = 100 * jnp.finfo(eye.dtype).eps

        def step(state: Any, example: Any) -> tuple[Any, Any]:
            w, s, outside = state
            x, y = example
            c, sx, guess = outside @ x, s @ x, x @ w
            size = c @ c
            new = size > tolerance * (x @ x)
            along = c / jnp.where(new, size, 1.0)
            growth = 1 + x @ sx
            cross = jnp.outer(sx, along)
            if_new = s - cross - cross.T + growth * jnp.outer(along, along)
            if_old = s - jnp.outer(sx, sx) / growth
            gain = jnp.where(new, along, sx / growth)
            outside = jnp.where(new, outside - jnp.outer(c, along), outside)
            return (w + gain * (y - guess), jnp.where(new, if_new, if_old), outside), (
                guess
            )

        start = (jnp.zeros_like(query), jnp.zeros_like(eye), eye)
        (w, _, _), guesses = jax.lax.scan(step, start, (xs, prompt.ys))
        return jnp.append(guesses, query @ w)
