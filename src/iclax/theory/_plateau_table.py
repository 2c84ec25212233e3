"""Which way diversity moves the plateau, computed for every reading of the question."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float

from .._arrays import Array
from .._lazy import jax, jnp
from ..covariates import Gaussian
from ..prompts import PromptDistribution
from ..tasks import Linear, LowRank
from ._descent import as_optimizer
from ._flow import flow, starting_weights
from ._one_layer import PromptMoments, optimal_risk, prompt_moments, risk_from_moments
from ._parametrizations import LinearGamma, Merged, Parametrization, Separate

AXES = ("columns", "components")
NORMALIZATIONS = ("component", "column", "trace")
OBJECTIVES = ("mean", "sum")
OPTIMIZERS = ("flow", "gd", "adam")
WATCHED = ("training", "first", "all", "others", "outside")


@dataclass(frozen=True)
class PlateauDirection:
    """One reading: the time to half-way down at each diversity, and which way it goes.

    `times[i]` belongs to `diversities[i]` (non-overlapping columns, growing; units of
    time for "flow", steps else; nan where the loss never gets half-way). `ratio` is the
    last over the first; `direction` is "shorter", "longer", "same", or "learned" and
    "never" where only the most diverse law, or not even it, gets half-way.
    """

    axis: str
    normalization: str
    parametrization: str
    optimizer: str
    objective: str
    watched: str
    diversities: tuple[int, ...]
    times: tuple[float, ...]

    @property
    def ratio(self) -> float:
        return self.times[-1] / self.times[0]

    @property
    def direction(self) -> str:
        if np.isnan(self.times[-1]):
            return "never"
        if np.isnan(self.times[0]):
            return "learned"
        if abs(self.ratio - 1) < 0.01:
            return "same"
        return "shorter" if self.ratio < 1 else "longer"


@dataclass(frozen=True)
class PlateauStudy:
    """The laws and the trainings that `plateau_directions` compares.

    K = `components` subspaces of dimension `rank` in R^d (`dim`), x ~ N(0, I), n =
    `context_length`, no label noise. Blocks of weights start with Frobenius norm `init`
    (`separate_init` for separate keys and queries, whose plateau lasts 1/init rather
    than ln(1/init)); rank-one heads start at random from `seed`, all else from
    multiples of I.
    """

    dim: int = 12
    rank: int = 2
    components: int = 4
    context_length: int = 32
    init: float = 1e-2
    separate_init: float = 0.2
    heads: int = 8
    gd_rate: float = 5e-3
    adam_rate: float = 1e-3
    steps: int = 6000
    seed: int = 0

    @cached_property
    def parametrizations(self) -> dict[str, tuple[Parametrization, float]]:
        """Name → (parametrization, size of its start)."""
        return {
            "linear": (LinearGamma(), 0.0),
            "merged": (Merged(), self.init),
            "separate rank 1": (Separate(self.heads, 1), self.separate_init),
            "separate full rank": (Separate(1, self.dim), self.separate_init),
        }

    def levels(self, axis: str) -> list[tuple[int, int]]:
        """(K, shared columns) in order of growing diversity."""
        if axis == "columns":
            shared = sorted({self.rank, self.rank // 2, 0}, reverse=True)
            return [(self.components, s) for s in shared]
        counts = [k for k in (1, 2, 4, 8, 16) if k < self.components]
        return [(k, 0) for k in [*counts, self.components]]

    def second_moment(self, count: int, shared: int, normalization: str) -> Array:
        """W: unit energy per column of each component, or of the union, or trace 1."""
        tasks = LowRank.coordinates(self.dim, self.rank, count, shared)
        w = tasks.weight_second_moment
        if normalization == "column":
            return (w > 0).astype(float)
        return w / np.trace(w) if normalization == "trace" else w

    def law(self, w: Float[Array, "d d"]) -> PromptDistribution:
        """Noiseless prompts on linear tasks with second moment `w`."""
        return PromptDistribution(
            Gaussian(np.eye(self.dim)), Linear(w), self.context_length
        )

    @cached_property
    def watched_laws(self) -> dict[str, PromptDistribution]:
        """Fixed test laws: the first subspace, all orthogonal ones, the others, and the
        directions that none covers.
        """
        union = LowRank.coordinates(self.dim, self.rank, self.components)
        first = union.bases[0] @ union.bases[0].T
        every = union.weight_second_moment
        others = every * self.components - first
        outside = np.eye(self.dim) - every * self.components
        moments = {"first": first, "all": every}
        for name, w in (("others", others), ("outside", outside)):
            if np.trace(w) > 0.5:
                moments[name] = w * self.rank / np.trace(w)
        return {name: self.law(w) for name, w in moments.items()}


def plateau_directions(
    study: PlateauStudy | None = None,
    *,
    axes: Sequence[str] = AXES,
    normalizations: Sequence[str] = NORMALIZATIONS,
    parametrizations: Sequence[str] | None = None,
    optimizers: Sequence[str] = OPTIMIZERS,
    objectives: Sequence[str] = OBJECTIVES,
) -> list[PlateauDirection]:
    """Does diversity shorten the plateau? Every combination, on the exact risk.

    `axes`: "columns" (K components share fewer and fewer columns) or "components" (more
    and more orthogonal ones). `normalizations` of W: unit energy per column of a
    component, per covered column of the union, or trace one. Watched: half-way down the
    "training" loss, or half-way from predicting 0 to the best layer for a fixed law:
    the "first" subspace, "all", the "others", or "outside" of all. Discussed in
    docs/theory/plateau-directions.md.
    """
    study = study or PlateauStudy()
    rows = []
    for name in parametrizations or study.parametrizations:
        cells = [
            _Cell(axis, normalization, objective)
            for axis in axes
            for normalization in normalizations
            for objective in objectives
        ]
        for optimizer in optimizers:
            rows += _rows(study, name, optimizer, cells)
    return rows


@dataclass(frozen=True)
class _Cell:
    axis: str
    normalization: str
    objective: str

    def laws(self, study: PlateauStudy) -> list[PromptMoments]:
        """The moments of the objective at each level of diversity."""
        found = []
        for count, shared in study.levels(self.axis):
            w = study.second_moment(count, shared, self.normalization)
            m = prompt_moments(study.law(w))
            k = count if self.objective == "sum" else 1
            found.append(m.scaled(k))
        return found


def _rows(
    study: PlateauStudy, name: str, optimizer: str, cells: list[_Cell]
) -> list[PlateauDirection]:
    laws = [law for cell in cells for law in cell.laws(study)]
    kind, init = study.parametrizations[name]
    start, _ = starting_weights(kind, study.dim, init or 1.0, None, study.seed)
    measure = _flow_times if optimizer == "flow" else _step_times
    times = measure(study, kind, start, optimizer, laws)
    rows, position = [], 0
    for cell in cells:
        levels = study.levels(cell.axis)
        found = times[position : position + len(levels)]
        position += len(levels)
        diversities = tuple(
            LowRank.coordinates(study.dim, study.rank, k, s).diversity
            for k, s in levels
        )
        rows += [
            PlateauDirection(
                cell.axis,
                cell.normalization,
                name,
                optimizer,
                cell.objective,
                watched,
                diversities,
                tuple(float(entry[watched]) for entry in found),
            )
            for watched in WATCHED
            if watched in found[0]
        ]
    return rows


def _half_levels(study: PlateauStudy) -> dict[str, float]:
    return {
        name: float(prompt_moments(law).power + optimal_risk(law)) / 2
        for name, law in study.watched_laws.items()
    }


def _flow_times(
    study: PlateauStudy, kind: Parametrization, start: Any, _: str, laws: list
) -> list[dict[str, float]]:
    levels, entries = _half_levels(study), []
    for moments in laws:
        # Half-way down comes long before the end of a staircase of rank-one heads.
        found = flow(
            moments, kind, start=start, tolerance=1e-3, watch=study.watched_laws
        )
        entry = {"training": found.half_drop_time}
        for name, curve in found.watched.items():
            entry[name] = _first_time(found.times, curve.losses, levels[name])
        entries.append(entry)
    return entries


def _step_times(
    study: PlateauStudy, kind: Parametrization, start: Any, optimizer: str, laws: list
) -> list[dict[str, float]]:
    """All laws as one compiled program."""
    rate = study.gd_rate if optimizer == "gd" else study.adam_rate
    watched = {n: prompt_moments(law) for n, law in study.watched_laws.items()}
    with jax.enable_x64(True):
        chosen = as_optimizer(optimizer, rate)

        def train(query: Any, cross: Any, gradient: Any, power: Any) -> Any:
            moments = PromptMoments(query, cross, gradient, power)
            risk = lambda weights: risk_from_moments(kind.gamma(weights), moments)

            def step(carry: tuple[Any, Any], _: Any) -> tuple[Any, Any]:
                weights, state = carry
                loss, slope = jax.value_and_grad(risk)(weights)
                gamma = kind.gamma(weights)
                seen = {n: risk_from_moments(gamma, m) for n, m in watched.items()}
                updates, state = chosen.update(slope, state, weights)
                moved = jax.tree.map(jnp.add, weights, updates)
                return (moved, state), {"training": loss, **seen}

            weights = jax.tree.map(jnp.asarray, start)
            carry = (weights, chosen.init(weights))
            return jax.lax.scan(step, carry, None, length=study.steps)[1]

        names = ("query", "cross", "gradient", "power")
        stacked = [np.stack([getattr(m, name) for m in laws]) for name in names]
        curves = jax.tree.map(np.asarray, jax.jit(jax.vmap(train))(*stacked))
    steps, levels, entries = np.arange(study.steps), _half_levels(study), []
    for i, moments in enumerate(laws):
        half = float(moments.power + moments.least_risk()) / 2
        halves = {"training": half, **levels}
        entries.append({n: _first_time(steps, curves[n][i], halves[n]) for n in curves})
    return entries


def _first_time(times: Array, losses: Array, level: float) -> float:
    """When the losses, joined by lines, first reach `level`; nan where never."""
    below = np.flatnonzero(losses < level)
    if len(below) == 0:
        return np.nan
    i = int(below[0])
    if i == 0:
        return float(times[0])
    share = (losses[i - 1] - level) / (losses[i - 1] - losses[i])
    return float(times[i - 1] + share * (times[i] - times[i - 1]))
