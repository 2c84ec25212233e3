"""Solving a gradient flow on a separable risk: SciPy, float64, no JAX."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
from jaxtyping import Float

from .._arrays import Array
from .._errors import SettingError
from ._flow_problem import SeparableRisk
from ._flow_systems import FlowSystem

_RTOL = 1e-10
_TAIL_RTOL = 1e-8
_TAIL = 0.1  # the tail begins when this share of the drop is left,
_TAIL_STEPS = 500  # or after so many steps
_LARGE = 100  # weights; below, LSODA's own implicit method is the faster one
_MAX_STEPS = 100_000
_FOREVER = 1e15  # in units of the fastest time scale of the risk


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Γ in separable coordinates at `times`, and in the step after each of them.

    `reported` are the indices of the times that were asked for (all if none were).
    """

    times: Float[Array, " m"]
    reported: Array
    converged: bool
    gamma: Callable[[int], Array]
    after: Callable[[int], Callable[[float], Array]]

    def crossing(
        self, value: Callable[[Array], Any], values: Float[Array, " m"], level: float
    ) -> float:
        """When `value`, known at `times`, is first below `level`; nan if never."""
        below = np.flatnonzero(values < level)
        if len(below) == 0:
            return np.nan
        i = int(below[0])
        if i == 0:
            return float(self.times[0])
        gamma = self.after(i - 1)
        excess = lambda t: float(value(gamma(t))) - level
        low, high = float(self.times[i - 1]), float(self.times[i])
        if excess(low) * excess(high) >= 0:  # on the level up to round-off
            return high
        return float(scipy.optimize.brentq(excess, low, high, xtol=1e-13, rtol=1e-13))


def exact_linear(
    problem: SeparableRisk,
    tolerance: float,
    end_time: float,
    grid: Float[Array, " m"] | None,
) -> Trajectory:
    r"""Linear in Γ, from 0: $G(t) = G^* \circ (1 - e^{-h t})$."""
    optimum, decay = problem.optimum(), problem.decay
    excess = decay * optimum**2
    left = lambda t: float(np.sum(excess * np.exp(-2 * decay * t)))
    end = _linear_end(excess, decay, left, tolerance)
    last = min(end, end_time) if grid is None else float(grid[-1])
    own = np.geomspace(1e-3 / np.max(decay), end, 300) if end > 0 else np.zeros(0)
    times = np.unique(np.concatenate([[0.0, last], own[own < last], _or_none(grid)]))
    at = lambda t: optimum * -np.expm1(-decay * t)
    return Trajectory(
        times,
        _positions(times, grid),
        left(last) <= 1.001 * tolerance * left(0.0),
        lambda i: at(times[i]),
        lambda i: at,
    )


def _linear_end(
    excess: Array, decay: Array, left: Callable[[float], float], tolerance: float
) -> float:
    """When all but `tolerance` of the drop is made; 0 where there is no drop."""
    if not np.any(excess > 0):
        return 0.0
    slowest = np.min(decay[excess > 1e-3 * tolerance * np.sum(excess) / excess.size])
    upper = np.log(10 / tolerance) / slowest
    gap = lambda t: np.log(left(t) / left(0.0)) - np.log(tolerance)
    return float(scipy.optimize.brentq(gap, 0.0, upper))


def integrate(
    problem: SeparableRisk,
    system: FlowSystem,
    minimum: float,
    tolerance: float,
    end_time: float,
    grid: Float[Array, " m"] | None,
) -> Trajectory:
    """The flow of `system` until all but `tolerance` of the drop to `minimum` is made.

    LSODA; large systems with a sparse Jacobian take DOP853 through the plateau and the
    drop, and BDF in the tail, where slow directions make the flow stiff.
    """
    y = system.start
    drop = system.risk(y) - minimum
    learns = drop > 1e-12 * abs(problem.power)
    if learns and not np.any(system.velocity(0.0, y)):
        raise SettingError("start", "weights at rest", "weights that the flow moves")
    target = minimum + tolerance * drop
    limit = end_time if grid is None else float(grid[-1])
    limit = min(limit, _FOREVER / max(float(np.max(problem.decay)), 1e-300))
    if grid is None and not learns:
        limit = 0.0
    done = lambda y: grid is None and system.risk(y) <= target
    times, states, tail = _solve(system, limit, minimum + _TAIL * drop, done, grid)

    def after(i: int) -> Callable[[float], Array]:
        make = _tail_solver if i >= tail else _solver
        found = _dense(make(system, times[i], states[i], times[i + 1]))
        return lambda t: system.gamma(found(t))

    return Trajectory(
        times,
        _positions(times, grid),
        not learns or system.risk(states[-1]) <= 1.001 * target,
        lambda i: system.gamma(states[i]),
        after,
    )


def _solve(
    system: FlowSystem,
    end: float,
    tail_level: float,
    done: Callable[[Array], bool],
    grid: Float[Array, " m"] | None,
) -> tuple[Array, list[Array], float]:
    """Steps of the solver and points of `grid`, and the index where the tail begins."""
    times, states, tail = [0.0], [system.start], np.inf
    solver = _solver(system, 0.0, system.start, end)
    large = _is_large(system)
    while solver.status == "running" and not done(states[-1]):
        solver.step()
        if solver.status == "failed" or len(times) > _MAX_STEPS:
            break
        points = _or_none(grid)
        points = points[(points > solver.t_old) & (points < solver.t)]
        if len(points):
            states += list(solver.dense_output()(points).T)
        times += [*points, solver.t]
        states.append(solver.y.copy())
        if large and tail == np.inf and solver.t < end:
            if len(times) <= _TAIL_STEPS and system.risk(solver.y) > tail_level:
                continue
            tail = len(times) - 1
            solver = _tail_solver(system, solver.t, solver.y, end)
    return np.array(times), states, tail


def _solver(system: FlowSystem, t: float, y: Array, end: float) -> Any:
    atol = 1e-3 * _RTOL * float(np.max(np.abs(y), initial=0.0))
    rules = {"rtol": _RTOL, "atol": max(atol, 1e-300)}
    # LSODA would build dense Jacobians where the flow is stiff.
    method = scipy.integrate.DOP853 if _is_large(system) else scipy.integrate.LSODA
    return method(system.velocity, t, y, end, **rules)


def _is_large(system: FlowSystem) -> bool:
    return system.jacobian is not None and len(system.start) > _LARGE


def _tail_solver(system: FlowSystem, t: float, y: Array, end: float) -> Any:
    atol = 1e-4 * _TAIL_RTOL * float(np.max(np.abs(y)))
    rules = {"rtol": _TAIL_RTOL, "atol": atol, "jac": system.jacobian}
    return scipy.integrate.BDF(system.velocity, t, y, end, **rules)


def _dense(solver: Any) -> Callable[[float], Array]:
    times, pieces = [solver.t], []
    while solver.status == "running":
        solver.step()
        times.append(solver.t)
        pieces.append(solver.dense_output())
    return scipy.integrate.OdeSolution(times, pieces)


def _or_none(grid: Float[Array, " m"] | None) -> Float[Array, " m"]:
    return np.zeros(0) if grid is None else grid


def _positions(times: Array, grid: Float[Array, " m"] | None) -> Array:
    return np.arange(len(times)) if grid is None else np.searchsorted(times, grid)
