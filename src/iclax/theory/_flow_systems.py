"""Gradient flows as plain vector fields y' = g(y) of the weights that move."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
from jaxtyping import Float

from .._arrays import Array
from ._flow_problem import SeparableRisk
from ._merged_entries import merged_entries
from ._parametrizations import Merged, Parametrization, Weights


@dataclass(frozen=True, eq=False)
class FlowSystem:
    """A flow from `start`; `gamma` and `risk` of a state; `jacobian` if sparse.

    Weights that stay 0 for ever (by the zero pattern of start and drive) are left out:
    where everything commutes, d entries of a d × d matrix move.
    """

    start: Float[Array, " p"]
    velocity: Callable[[float, Array], Array]
    gamma: Callable[[Array], Array]
    risk: Callable[[Array], float]
    jacobian: Callable[[float, Array], Any] | None


def flow_system(
    problem: SeparableRisk, kind: Parametrization, start: Weights
) -> FlowSystem:
    """The flow of `kind` on `problem` from weights in separable coordinates."""
    if isinstance(kind, Merged):
        return _merged_system(problem, start)
    return _packed_system(problem, kind, start)


def _merged_system(problem: SeparableRisk, start: Weights) -> FlowSystem:
    """p entries move: g = vᵀM, s = k − h g, v' = M s, M' = v sᵀ."""
    values, maps = start
    entries = merged_entries(problem, maps)
    decay, drive, heads = entries.decay, entries.drive, len(values)
    split = lambda y: (y[:heads], y[heads:].reshape(heads, -1))

    def velocity(_: float, y: Array) -> Array:
        v, m = split(y)
        s = drive - decay * (v @ m)
        return np.concatenate([m @ s, np.outer(v, s).ravel()])

    def gamma(y: Array) -> Array:
        v, m = split(y)
        return entries.expand(v @ m).reshape(problem.decay.shape)

    def risk(y: Array) -> float:
        v, m = split(y)
        g = v @ m
        return float((decay * g - 2 * drive) @ g + problem.power)

    pattern = _arrow(heads, len(decay))

    def jacobian(_: float, y: Array) -> Any:
        v, m = split(y)
        s, same = drive - decay * (v @ m), np.eye(heads)[:, :, None]
        corner = -(m * decay) @ m.T
        # ∂v'_a/∂M_b; the field is a gradient, so ∂M'_b/∂v_a is the same number.
        edge = same * s - v[None, :, None] * decay * m[:, None, :]
        body = -np.multiply.outer(np.outer(v, v), decay)
        data = np.concatenate([a.ravel() for a in (corner, edge, edge, body)])
        return scipy.sparse.csc_matrix((data, pattern), shape=(len(y), len(y)))

    y = np.concatenate([values, entries.maps.ravel()])
    return FlowSystem(y, velocity, gamma, risk, jacobian)


def _arrow(heads: int, count: int) -> tuple[Array, Array]:
    """Rows and columns of the Jacobian: values dense, maps coupled within an entry."""
    a, b, p = np.meshgrid(
        np.arange(heads), np.arange(heads), np.arange(count), indexing="ij"
    )
    a, b = a.ravel(), b.ravel()
    first, second = heads + a * count + p.ravel(), heads + b * count + p.ravel()
    corner_a, corner_b = np.divmod(np.arange(heads**2), heads)
    rows = np.concatenate([corner_a, a, second, first])
    return rows, np.concatenate([corner_b, second, a, second])


def _packed_system(
    problem: SeparableRisk, kind: Parametrization, start: Weights
) -> FlowSystem:
    masks = _moving(problem, kind, start)
    counts = np.cumsum([0, *(int(np.count_nonzero(mask)) for mask in masks)])

    def unpack(y: Array) -> Weights:
        parts = [np.zeros(mask.shape) for mask in masks]
        for i, (part, mask) in enumerate(zip(parts, masks, strict=True)):
            part[mask] = y[counts[i] : counts[i + 1]]
        return tuple(parts)

    def pack(weights: Weights) -> Array:
        return np.concatenate([p[mask] for p, mask in zip(weights, masks, strict=True)])

    def velocity(_: float, y: Array) -> Array:
        weights = unpack(y)
        return pack(kind.velocity(weights, problem.residual(kind.gamma(weights))))

    gamma = lambda y: kind.gamma(unpack(y))
    risk = lambda y: float(problem.risk(gamma(y)))
    return FlowSystem(pack(start), velocity, gamma, risk, None)


def _moving(
    problem: SeparableRisk, kind: Parametrization, start: Weights
) -> tuple[Array, ...]:
    drive, moving = np.abs(problem.drive), tuple(part != 0 for part in start)
    while True:
        # Magnitudes only, so that no two contributions cancel.
        sizes = tuple(part.astype(float) for part in moving)
        residual = (drive + problem.decay * kind.gamma(sizes) > 0).astype(float)
        speeds = kind.velocity(sizes, residual)
        grown = tuple((a + b) > 0 for a, b in zip(sizes, speeds, strict=True))
        if all(np.array_equal(a, b) for a, b in zip(moving, grown, strict=True)):
            return moving
        moving = grown
