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

_ROUNDING = 8  # times its estimated error a free part is taken for rounding
_STAGES = 2  # loops, each over the rows that are still to come


def errors_of(rows: Float[Array, "m r"]) -> Float[Array, " m"]:
    """The rounding of each row, as a length."""
    size = jnp.sqrt(jnp.sum(rows**2, 1))
    return jax.lax.stop_gradient(jnp.finfo(rows.dtype).eps * size)


def shares_of(rows: Float[Array, "m r"]) -> Float[Array, " r"]:
    """The largest share that each coordinate has in a row: its rounding scales so."""
    size = jnp.sqrt(jnp.sum(rows**2, 1))
    shares = jnp.abs(rows) / jnp.where(size > 0, size, 1.0)[:, None]
    return jax.lax.stop_gradient(jnp.max(shares, 0, initial=0.0))


class Told(NamedTuple):
    """What a label tells: `gain` times its surprise moves the mean of every row."""

    rows: Float[Array, "m r"]
    free: Bool[Array, " r"]
    errors: Float[Array, " m"]  # of the free parts of `rows`, estimated
    gain: Float[Array, " m"]
    variance: Float[Array, ""]  # of the label, before it was seen


def told(
    rows: Float[Array, "m r"],
    parts: Float[Array, " r"],
    free: Bool[Array, " r"],
    slot: Any,
    errors: Float[Array, " m"],
    error: Float[Array, ""],
    shares: Float[Array, " r"],
    noise_variance: Float[Array, ""],
    turn: Any = False,
) -> Told:
    r"""`rows` times the root, after the label of an example z with `parts` z S.

    Where a free column has a part beyond rounding, two reflections: one of the free
    columns, after which column `slot`, a free one, holds all of their part, and one of
    this column with the taken ones. No other free column meets a taken one: so they
    keep no part in any example before, not even one of order σ². Column `slot` is then
    rotated against the noise, and taken. Else only the taken columns move, by Potter's
    formula; with `turn` by a reflection to column `slot`, which keeps one large column,
    of a label that told next to nothing, out of the others.

    Rounding is what `error`, that of z S, explains, by the `shares` of the coordinates.
    A row takes on the error of z as far as it has a part along it: nearly dependent
    examples make errors grow, and rank is judged by them.
    """
    here = jnp.arange(rows.shape[1]) == slot
    new = jnp.any(free & (jnp.abs(parts) > _ROUNDING * error * shares))
    fresh, known = jnp.where(free & new, parts, 0.0), jnp.where(free, 0.0, parts)
    unit = jnp.where(new, noise_variance, 1.0)  # the taken columns hold 1/σ of theirs
    outer = jnp.sum(fresh**2)
    size = outer + unit * jnp.sum(known**2)
    variance = size + unit
    along_fresh = rows @ fresh
    along = along_fresh + unit * (rows @ known)
    pivot = (new | turn) & (size > 0)
    length = jnp.sqrt(jnp.where(pivot, size, 1.0))
    reach = jnp.sqrt(jnp.where(new, outer, 1.0))
    column, chosen = rows[:, slot], parts[slot]
    sign = jnp.where(chosen < 0, -1.0, 1.0)
    # Column `slot` before its reflection with the taken ones, and the part there.
    chosen_taken = jnp.where(new, reach, chosen)
    column_taken = jnp.where(new, along_fresh / reach, column)
    left_free = (along_fresh + sign * reach * column) / (
        reach * (reach + jnp.abs(chosen))
    )
    shift = jnp.where(chosen_taken < 0, -length, length)
    left_taken = jnp.where(
        pivot,
        (along + shift * column_taken) / (length * (length + jnp.abs(chosen_taken))),
        along / (variance + jnp.sqrt(variance)),
    )
    moved = rows - left_free[:, None] * fresh[None] - left_taken[:, None] * known[None]
    gone = along / (length * jnp.sqrt(variance))
    return Told(
        jnp.where((here & pivot)[None], gone[:, None], moved),
        free & ~(here & new),
        jnp.hypot(errors, jax.lax.stop_gradient(along_fresh / reach**2) * error),
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
    shares: Float[Array, " r"],
) -> Swept:
    """Conditions on the labels of the first n ≤ r of `rows`, in their order."""
    (m, r), n = rows.shape, len(labels)
    free, means = jnp.ones(r, bool), jnp.zeros(m, rows.dtype)
    errors = errors_of(rows)
    done, variances = 0, []
    for stage in range(_STAGES):
        end = (n * (stage + 1)) // _STAGES
        if end == done:
            continue
        rest = jnp.arange(len(rows))

        def step(i: Any, state: Any, done: int = done, rest: Array = rest) -> Any:
            rows, free, errors, means, variances = state
            limit = errors, errors[i], shares
            new = told(rows, rows[i], free, done + i, *limit, noise_variance)
            surprise = labels[done + i] - means[done + i]
            later = jnp.where(rest > i, new.gain * surprise, 0.0)
            return (
                new.rows,
                new.free,
                new.errors,
                means.at[done:].add(later),
                variances.at[i].set(new.variance),
            )

        start = (rows, free, errors, means, jnp.zeros(end - done, rows.dtype))
        state = jax.lax.fori_loop(0, end - done, step, start)
        (rows, free, errors, means, found), past = state, end - done
        rows, errors, done = rows[past:], errors[past:], end
        variances.append(found)
    variances.append(jnp.zeros(0, rows.dtype))  # there may be no label at all
    return Swept(means, jnp.concatenate(variances), rows, free)
