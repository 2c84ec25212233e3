"""Gaussian conditioning by orthogonal transformations, one label after the other.

A covariance S Sᵀ is known by its root, and a row z of numbers by z S. A label of the
example z turns the columns of S by a reflection after which one of them alone has a
part in z S, and that one against the noise by a rotation, after which it is small. No
square is taken: rounding counts with the condition number of [Z; σI] once, not twice.

Columns are of two kinds. Those still `free` belong to directions that no example had
a part in; a label takes one of them. The taken ones say what is left unknown by noise,
and are kept divided by σ: the limit σ → 0 is the case σ = 0 of the same formulas, and
the noise may lie far below the rounding of the free ones.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float

from .._arrays import Array

_ROUNDING = 32  # times ε: parts in free columns up to this are taken for rounding
_STAGES = 2  # loops, each over the rows that are still to come


class Limits(NamedTuple):
    """What is rounding in a free column: at most `row` of the example × `column`."""

    row: Float[Array, " m"]
    column: Float[Array, " r"]


def limits(rows: Float[Array, "m r"]) -> Limits:
    """Limits that scale with the examples and with each coordinate of theirs."""
    rows = jax.lax.stop_gradient(rows)
    size = jnp.sqrt(jnp.sum(rows**2, 1))
    shares = jnp.abs(rows) / jnp.where(size > 0, size, 1.0)[:, None]
    epsilon = jnp.finfo(rows.dtype).eps
    return Limits(_ROUNDING * epsilon * size, jnp.max(shares, 0, initial=0.0))


class Told(NamedTuple):
    """What a label tells: `gain` times its surprise moves the mean of every row."""

    rows: Float[Array, "m r"]
    free: Bool[Array, " r"]
    gain: Float[Array, " m"]
    variance: Float[Array, ""]  # of the label, before it was seen


def told(
    rows: Float[Array, "m r"],
    parts: Float[Array, " r"],
    free: Bool[Array, " r"],
    slot: Any,
    limit: Float[Array, " r"],
    noise_variance: Float[Array, ""],
    turn: Any = False,
) -> Told:
    r"""`rows` times the root, after the label of an example z with `parts` z S.

    $A \leftarrow (A - u v^T)\,\mathrm{diag}(\alpha)$ where a free column has a part
    larger than `limit`: the reflection to column `slot`, a free one, and the rotation
    against the noise. Else only the taken columns move, by Potter's formula; with
    `turn` by a reflection to column `slot`, which keeps one large column, of a label
    that told next to nothing, out of the others.
    """
    each = jnp.arange(rows.shape[1])
    new = jnp.any(free & (jnp.abs(parts) > limit))
    parts = jnp.where(free & ~new, 0.0, parts)
    unit = jnp.where(new, noise_variance, 1.0)  # the taken columns hold 1/σ of theirs
    square = parts**2
    size = jnp.sum(jnp.where(free, square, 0.0)) + unit * jnp.sum(
        jnp.where(free, 0.0, square)
    )
    pivot = (new | turn) & (size > 0)
    variance = size + unit
    root = jnp.sqrt(variance)
    length = jnp.sqrt(jnp.where(pivot, size, 1.0))
    chosen = parts[slot]
    shift = jnp.where(pivot, jnp.where(chosen < 0, -length, length), 0.0)
    divisor = jnp.where(pivot, size + length * jnp.abs(chosen), variance + root)
    along = rows @ (parts * jnp.where(free | ~new, 1.0, noise_variance))
    left = (along + shift * rows[:, slot]) / divisor
    here = each == slot
    scale = jnp.where(here & pivot, 1 / root, 1.0)
    right = (parts + jnp.where(here, shift, 0.0)) * scale
    return Told(
        rows * scale[None] - left[:, None] * right[None],
        free & ~(here & new),
        along / variance,
        jnp.where(new, variance, noise_variance * variance),
    )


class Swept(NamedTuple):
    """Means of all rows, those of examples before their own label; see `swept`."""

    means: Float[Array, " m"]
    variances: Float[Array, " n"]  # of the labels, each before it was seen
    rows: Float[Array, "p r"]  # what is left of those behind the examples
    free: Bool[Array, " r"]


@jax.jit
def swept(
    rows: Float[Array, "m r"],
    labels: Float[Array, " n"],
    noise_variance: Float[Array, ""],
    bounds: Limits,
) -> Swept:
    """Conditions on the labels of the first n ≤ r of `rows`, in their order."""
    (m, r), n = rows.shape, len(labels)
    free, means = jnp.ones(r, bool), jnp.zeros(m, rows.dtype)
    done, variances = 0, []
    for stage in range(_STAGES):
        end = (n * (stage + 1)) // _STAGES
        if end == done:
            continue
        rest = jnp.arange(len(rows))

        def step(i: Any, state: Any, done: int = done, rest: Array = rest) -> Any:
            rows, free, means, variances = state
            limit = bounds.row[done + i] * bounds.column
            new = told(rows, rows[i], free, done + i, limit, noise_variance)
            surprise = labels[done + i] - means[done + i]
            later = jnp.where(rest > i, new.gain * surprise, 0.0)
            return (
                new.rows,
                new.free,
                means.at[done:].add(later),
                (variances.at[i].set(new.variance)),
            )

        start = (rows, free, means, jnp.zeros(end - done, rows.dtype))
        rows, free, means, found = jax.lax.fori_loop(0, end - done, step, start)
        rows, done = rows[end - done :], end
        variances.append(found)
    variances.append(jnp.zeros(0, rows.dtype))  # there may be no label at all
    return Swept(means, jnp.concatenate(variances), rows, free)
