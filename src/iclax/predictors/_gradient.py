"""Steps of gradient descent on the squared error of the context."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Float

from .._arrays import Array
from .._errors import SettingError
from .._forms import DescentForm, StepForm
from ..prompts import Prompt
from ._prefixes import points


class Zero(eqx.Module):
    """ŷ = 0."""

    def form(self) -> StepForm:
        """A step of size 0."""
        return StepForm(0.0)

    def __call__(self, prompt: Prompt) -> Float[Array, ""]:
        return jnp.zeros((), prompt.query.dtype)


class GradientStep(eqx.Module):
    r"""One preconditioned step of gradient descent from w = 0 (von Oswald et al. 2023).

    $\hat y = x_q^T \Gamma b$ with $b = \frac1n \sum_i y_i x_i$ and Γ = `preconditioner`
    (a number η stands for ηI). It is a pytree, so Γ can also be trained.
    """

    preconditioner: Float[Array, "d d"] | Float[Array, ""] | float

    def form(self) -> StepForm:
        """See `theory.risk`."""
        return StepForm(self.preconditioner)

    def __call__(self, prompt: Prompt) -> Float[Array, ""]:
        b = prompt.ys @ prompt.xs / len(prompt.ys)
        return prompt.query @ _apply(self.preconditioner, b)

    def prefixes(self, prompt: Prompt) -> Float[Array, " m"]:
        """See `prefixes`: b from running sums."""
        at, gamma = points(prompt), jnp.asarray(self.preconditioner)
        sums = jnp.cumsum(prompt.ys[:, None] * prompt.xs, 0)
        counts = jnp.arange(1, len(at), dtype=at.dtype)[:, None]
        steps = sums / counts
        steps = steps @ gamma.T if gamma.ndim == 2 else gamma * steps
        return jnp.concatenate([jnp.zeros(1, at.dtype), jnp.sum(at[1:] * steps, 1)])


class Averaging(eqx.Module):
    r"""$\hat y = x_q^T \frac1n \sum_i y_i x_i$ (Garg et al. 2022)."""

    def form(self) -> StepForm:
        """The step I."""
        return StepForm(1.0)

    def __call__(self, prompt: Prompt) -> Float[Array, ""]:
        return GradientStep(1.0)(prompt)

    def prefixes(self, prompt: Prompt) -> Float[Array, " m"]:
        """See `prefixes`."""
        return GradientStep(1.0).prefixes(prompt)


class GradientDescent(eqx.Module):
    r"""`steps` steps of gradient descent from w = 0 on $\frac1{2n} \sum_i (w^T x_i -
    y_i)^2$.

    $w \leftarrow w - P \frac1n \sum_i (w^T x_i - y_i) x_i$ with P = `step_size` (a
    number, or a d × d preconditioner; a list gives each step its own). Raises
    `SettingError` for a list of another length and for arrays of numbers, which might
    mean either.
    """

    steps: int = eqx.field(static=True)
    step_size: Any

    def __check_init__(self):
        _check_steps(self.steps)

    def form(self) -> StepForm | DescentForm | None:
        """One step of any kind, or several with a number each; None for others."""
        rates = _per_step("step_size", self.step_size, self.steps)
        if len(rates) <= 1:
            return StepForm(*rates) if rates else StepForm(0.0)
        plain = all(jnp.ndim(rate) == 0 for rate in rates)
        return DescentForm(tuple(rates)) if plain else None

    def __call__(self, prompt: Prompt) -> Float[Array, ""]:
        xs, ys = prompt.xs, prompt.ys
        w = jnp.zeros_like(prompt.query)
        for rate in _per_step("step_size", self.step_size, self.steps):
            w = w + _apply(rate, (ys - xs @ w) @ xs / len(ys))
        return prompt.query @ w


class GradientDescentPlusPlus(eqx.Module):
    r"""GD++ (von Oswald et al. 2023): each step also transforms the inputs.

    With $\hat\Lambda = \frac1n \sum_i x_i x_i^T$ at every step the residuals take a
    gradient step of size η (`step_size`) and then $x \leftarrow (I - \gamma
    \hat\Lambda) x$, γ = `curvature`, also at the query. Their γ has no 1/n. Both can
    be lists, one entry a step.
    """

    steps: int = eqx.field(static=True)
    step_size: Any
    curvature: Any

    def __check_init__(self):
        _check_steps(self.steps)

    def __call__(self, prompt: Prompt) -> Float[Array, ""]:
        xs, residuals, query = prompt.xs, prompt.ys, prompt.query
        n, value = len(residuals), jnp.zeros((), prompt.query.dtype)
        etas = _per_step("step_size", self.step_size, self.steps)
        gammas = _per_step("curvature", self.curvature, self.steps)
        for eta, gamma in zip(etas, gammas, strict=True):
            move = eta * (residuals @ xs) / n
            residuals, value = residuals - xs @ move, value + query @ move
            second = xs.T @ xs / n
            xs, query = xs - gamma * xs @ second, query - gamma * second @ query
        return value


def _apply(matrix: Any, vector: Float[Array, " d"]) -> Float[Array, " d"]:
    """A matrix, or a number standing for a multiple of I, times a vector."""
    matrix = jnp.asarray(matrix, vector.dtype)
    return matrix @ vector if matrix.ndim == 2 else matrix * vector


def _per_step(name: str, value: Any, steps: int) -> list[Any]:
    """What each step uses of a list with one entry a step, or of a single value."""
    several = isinstance(value, (list, tuple))
    if several and len(value) != steps:
        raise SettingError(name, f"{len(value)} entries", f"one per step: {steps}")
    values = list(value) if several else [value] * steps
    for one in values:
        if jnp.ndim(one) not in (0, 2):
            allowed = "a number or a d × d matrix, or a list of one per step"
            raise SettingError(name, f"an array of shape {jnp.shape(one)}", allowed)
    return values


def _check_steps(steps: int) -> None:
    if steps < 0:
        raise SettingError("steps", f"{steps}", "a whole number of at least 0")
