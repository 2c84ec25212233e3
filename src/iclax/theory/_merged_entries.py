"""Which entries of a merged flow move, and how few numbers describe them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from .._arrays import Array, is_concrete, namespace
from ._flow_problem import SeparableRisk

_EQUAL = 1e-11  # relative; decay rates that differ by round-off count as equal


@dataclass(frozen=True, eq=False)
class MergedEntries:
    """A merged flow on p numbers instead of d²: their rates, drives and starts.

    `expand` takes the p entries of Γ back to all d², flattened.
    """

    decay: Float[Array, " p"]
    drive: Float[Array, " p"]
    maps: Float[Array, "h p"]
    expand: Callable[[Any], Any]


def merged_entries(
    problem: SeparableRisk, maps: Float[Array, "h d d"]
) -> MergedEntries:
    r"""The flow of $\dot v_h = \langle k - h \circ g, M_h\rangle$, shortened exactly.

    Entries whose drive and start are 0 stay 0. With one head, entries of equal decay
    rate form one vector that starts in the plane of its drive and its start, and never
    leaves it: two numbers each, however large d is. `maps` may be a traced JAX array.
    """
    decay, drive = problem.decay.ravel(), problem.drive.ravel()
    flat = maps.reshape(maps.shape[0], -1)
    groups = _groups(decay) if flat.shape[0] == 1 else []
    if groups and (
        not is_concrete(flat) or 2 * len(groups) < _moving(drive, flat).sum()
    ):
        return _grouped(decay, drive, flat, groups)
    if not is_concrete(flat):
        return MergedEntries(decay, drive, flat, lambda g: g)
    moving = _moving(drive, flat)

    def expand(g: Array) -> Array:
        full = np.zeros(len(decay))
        full[moving] = g
        return full

    return MergedEntries(decay[moving], drive[moving], flat[:, moving], expand)


def _moving(drive: Array, flat: Array) -> Array:
    return np.any(flat != 0, axis=0) | (drive != 0)


def _groups(decay: Float[Array, " p"]) -> list[Array]:
    """Indices of the entries of equal decay rate, if that is few groups."""
    order = np.argsort(decay, kind="stable")
    jumps = np.diff(decay[order]) > _EQUAL * decay[order][1:]
    groups = np.split(order, np.flatnonzero(jumps) + 1)
    return groups if 2 * len(groups) < len(decay) else []


def _grouped(
    decay: Array, drive: Array, flat: Array, groups: list[Array]
) -> MergedEntries:
    """Each group in the orthonormal basis of (drive, rest of the start)."""
    xp = namespace(flat)
    starts, bases = [], []
    for index in groups:
        k, m = drive[index], flat[0, index]
        size = np.linalg.norm(k)
        along = k / size if size > 0 else 0 * k
        inside = xp.sum(along * m)
        rest = m - inside * along
        square = xp.sum(rest**2)
        # The inner `where` keeps the gradient finite at a rest of 0.
        length = xp.where(square > 0, xp.sqrt(xp.where(square > 0, square, 1.0)), 0.0)
        starts += [inside, length]
        bases.append((index, along, rest / xp.where(length > 0, length, 1.0)))
    drives = [value for i in groups for value in (np.linalg.norm(drive[i]), 0.0)]

    def expand(g: Array) -> Array:
        full = np.zeros(len(decay))
        for j, (index, along, across) in enumerate(bases):
            full[index] = g[2 * j] * along + g[2 * j + 1] * across
        return full

    rates = np.repeat([float(np.mean(decay[index])) for index in groups], 2)
    return MergedEntries(rates, np.array(drives), xp.stack(starts)[None], expand)
