"""An adaptive Runge–Kutta method as one XLA loop: fast alone and under `vmap`."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float

from .._arrays import Array
from .._lazy import jax, jnp

MAX_STEPS = 16_384
# Dormand & Prince 5(4): the rows of A, the last of which are the weights, and the
# difference of the two solutions.
_ROWS = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
_ERROR = (71 / 57600, 0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)


def tolerances(start: Any) -> tuple[float, Float[Array, ""]]:
    """Relative and absolute tolerance: a plateau starts tiny, and must not be lost."""
    precise = jnp.zeros(()).dtype == jnp.float64
    rtol = 1e-9 if precise else 1e-5
    size = jnp.max(jnp.stack([jnp.max(jnp.abs(p)) for p in jax.tree.leaves(start)]))
    return rtol, jax.lax.stop_gradient(1e-3 * rtol * size) + 1e-30


def advance(
    field: Callable[[Any], Any],
    state: Any,
    end: Any,
    keep_on: Callable[[Any], Any],
    first_step: Any = None,
) -> tuple[Any, Any, Any]:
    """Solve state' = field(state) from time 0 while t < `end` and `keep_on`(state).

    Returns time, state and the next step size. The last step ends at `end`, or is the
    first after which `keep_on` is false. Not differentiable in reverse mode.
    """
    rtol, atol = tolerances(state)
    combine = lambda row, ks: jax.tree.map(
        lambda *parts: sum(a * part for a, part in zip(row, parts, strict=True) if a),
        *ks,
    )
    shifted = lambda y, h, slope: jax.tree.map(lambda a, b: a + h * b, y, slope)

    def wanted(carry: tuple) -> Any:
        t, y, _, _, count = carry
        return (t < end) & (count < MAX_STEPS) & keep_on(y)

    def attempt(carry: tuple) -> tuple:
        t, y, k1, planned, count = carry
        h = jnp.minimum(planned, end - t)
        slopes = [k1]
        for row in _ROWS:
            new = shifted(y, h, combine(row, slopes))
            slopes.append(field(new))
        error = _norm(combine(_ERROR, slopes), y, new, h, rtol, atol)
        accepted = error <= 1
        factor = jnp.clip(0.9 * (error + 1e-12) ** -0.2, 0.2, 5.0)
        pick = lambda a, b: jnp.where(accepted, a, b)
        y, k1 = jax.tree.map(pick, (new, slopes[-1]), (y, k1))
        ended = jnp.where(planned >= end - t, end, t + h)
        # A step cut short by `end` says nothing against the planned one.
        grown = pick(
            jnp.maximum(h * factor, jnp.where(h < planned, planned, 0)), h * factor
        )
        return pick(ended, t), y, k1, grown, count + 1

    slope = field(state)
    if first_step is None:
        first_step = _first_step(state, slope, rtol)
    zero = jnp.zeros(())
    start = (zero, state, slope, zero + first_step, 0)
    t, y, _, step, count = jax.lax.while_loop(wanted, attempt, start)
    return jnp.where(count < MAX_STEPS, t, jnp.nan), y, step


def _norm(error: Any, y: Any, new: Any, h: Any, rtol: float, atol: Any) -> Any:
    """The root mean square of the error over the tolerance."""
    leaves = zip(*map(jax.tree.leaves, (error, y, new)), strict=True)
    total, count = 0.0, 0
    for e, a, b in leaves:
        scale = atol + rtol * jnp.maximum(jnp.abs(a), jnp.abs(b))
        total, count = total + jnp.sum((h * e / scale) ** 2), count + np.size(e)
    return jnp.sqrt(total / count)


def _first_step(y: Any, slope: Any, rtol: float) -> Any:
    size, speed = (
        sum(jnp.sum(part**2) for part in jax.tree.leaves(tree)) for tree in (y, slope)
    )
    return 0.1 * rtol**0.2 * jnp.sqrt((size + 1e-12) / (speed + 1e-30))
