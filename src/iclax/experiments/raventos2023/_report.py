"""What the recipe shows and claims, from saved data."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from ...evaluation import Interval, bootstrap
from ...report import Figure, Section, Table, Verdict
from .._intervals import seeds_note
from .._recipe import Size
from ._parts import PLANS, part_name
from ._training import Plan

_NAMES = {"transformer": "transformer", "dmmse": "dMMSE", "ridge": "ridge"}


def report(data: Mapping[str, dict[str, Any]], size: Size) -> Sequence[Section]:
    """All of it in one section."""
    from ...figures import path_curves, pool_distances, pool_risks

    plan = PLANS[size]
    found = [data[part_name(group)]["pools"] for group in plan.groups]
    pools = {
        e: next(group[str(e)] for group in found if str(e) in group)
        for e in plan.exponents
    }
    crossing = crossing_exponent(pools)
    mark = None if crossing is None else vars(crossing)
    shown = [plan.exponents[i] for i in (0, len(pools) // 2, -1)]
    return [
        Section(
            "How many pre-training tasks it takes",
            _paragraphs(plan, crossing),
            [_risk_table(pools), _distance_table(pools), _path_table(pools)],
            [
                Figure(
                    "risks",
                    "Risk over d on tasks of the pool and on new tasks; bands "
                    "span the seeds.",
                    partial(pool_risks, pools, mark, _NAMES),
                ),
                Figure(
                    "distances",
                    "Mean squared distance of the transformer's predictions to those "
                    "of dMMSE and of ridge, over d; gray: the crossing on new tasks "
                    "with its interval.",
                    partial(pool_distances, pools, mark, _NAMES),
                ),
                Figure(
                    "paths",
                    "Risk along paths between two tasks of the pool.",
                    partial(
                        path_curves, {e: pools[e] for e in dict.fromkeys(shown)}, _NAMES
                    ),
                ),
            ],
            _verdicts(pools, crossing, size),
        )
    ]


def log_ratios(pool: Sequence[Mapping[str, Any]], law: str = "new") -> np.ndarray:
    """log(distance to dMMSE / distance to ridge) of every seed: below 0, closer to
    dMMSE."""
    pairs = [run["distances"][law] for run in pool]
    return np.array([np.log(p["dmmse"] / p["ridge"]) for p in pairs])


def crossing_exponent(pools: Mapping[int, Sequence[Any]]) -> Interval | None:
    """log₂ of the pool size at which new tasks are treated as dMMSE and as ridge would
    equally: where `log_ratios` first rise through 0, linear in log₂. None if in some
    seed they do not."""
    exponents = np.array(sorted(pools))
    curves = np.stack([log_ratios(pools[int(e)]) for e in exponents], axis=1)
    found = []
    for curve in curves:
        rises = np.flatnonzero((curve[:-1] <= 0) & (curve[1:] > 0))
        if not len(rises):
            return None
        i = int(rises[0])
        share = -curve[i] / (curve[i + 1] - curve[i])
        found.append(exponents[i] + share * (exponents[i + 1] - exponents[i]))
    return bootstrap(found)


def _paragraphs(plan: Plan, crossing: Interval | None) -> list[str]:
    found = "was not found in every seed"
    if crossing is not None:
        found = f"is at 2^e tasks, e = {crossing:.2f}"
    return [
        f"A decoder of {plan.layers} layers and width {plan.width} is pre-trained on "
        "prompts whose task vector is one of a fixed pool of 2^e draws from N(0, I) "
        f"(d = {plan.dim}, {plan.num_points} points, noise variance "
        f"{plan.noise_variance:g}). On its own pool the posterior mean over the pool, "
        "dMMSE, is optimal; on new tasks, ridge regression. Numbers are averages over "
        "all points of the prompts, against noiseless labels.",
        f"The crossing of the two distances on new tasks {found}.",
    ]


def _risk_table(pools: Mapping[int, Sequence[Any]]) -> Table:
    rows = [
        {
            "tasks": f"2^{e}",
            **{
                f"{_NAMES[name]}, {law}": _mean([r["risks"][law][name] for r in runs])
                for law in ("pretraining", "new")
                for name in _NAMES
            },
        }
        for e, runs in pools.items()
    ]
    caption = (
        "Risk over d on tasks of the pool (pretraining) and on new tasks. "
        + seeds_note(min(map(len, pools.values())), ", each with its own pool")
    )
    return Table(caption, list(rows[0]), rows)


def _distance_table(pools: Mapping[int, Sequence[Any]]) -> Table:
    rows = []
    for e, runs in pools.items():
        ratio = bootstrap(log_ratios(runs))
        rows.append(
            {
                "tasks": f"2^{e}",
                **{
                    f"to {_NAMES[name]}, {law}": _mean(
                        [r["distances"][law][name] for r in runs]
                    )
                    for law in ("pretraining", "new")
                    for name in ("dmmse", "ridge")
                },
                "dMMSE / ridge, new": f"{ratio.map(np.exp):.2f}",
                "closer to": _closer(ratio),
            }
        )
    caption = (
        "Mean squared distance of the transformer's predictions to dMMSE and to ridge, "
        "over d, and their ratio on new tasks (geometric mean)."
    )
    return Table(caption, list(rows[0]), rows)


def _path_table(pools: Mapping[int, Sequence[Any]]) -> Table:
    rows = []
    for e, runs in pools.items():
        found = {name: bootstrap(bulge(runs, name)) for name in _NAMES}
        rows.append(
            {
                "tasks": f"2^{e}",
                **{_NAMES[name]: f"{one:.2f}" for name, one in found.items()},
                "half-way the transformer": _half_way(found["transformer"]),
            }
        )
    caption = (
        "Paths between two tasks of the pool: risk in the middle over that at the "
        "ends, where a predictor that knows only the pool fails in the middle."
    )
    return Table(caption, list(rows[0]), rows)


def _mean(values: Sequence[float]) -> str:
    return f"{bootstrap(values):.3f}"


def _half_way(bulge: Interval) -> str:
    within = "neither" if bulge.count > 1 else "not decided"
    return bulge.side(1.0, "gains", "fails", within)


def _closer(ratio: Interval) -> str:
    return ratio.side(0.0, "dMMSE", "ridge")


def _verdicts(
    pools: Mapping[int, Sequence[Any]], crossing: Interval | None, size: Size
) -> list[Verdict]:
    best = min(
        run["risks"][law]["transformer"] / run["risks"][law][name]
        for runs in pools.values()
        for run in runs
        for law, name in (("pretraining", "dmmse"), ("new", "ridge"))
    )
    sanity = Verdict(
        "Nothing beats dMMSE on the pool or ridge on new tasks",
        bool(best > 0.97),
        f"least ratio of risks, transformer over the optimum: {best:.3f} (limit 0.97: "
        "risks are simulated).",
    )
    if size == "toy":
        return [sanity]
    sides = {e: _closer(bootstrap(log_ratios(runs))) for e, runs in pools.items()}
    return [
        sanity,
        Verdict(
            "The crossing is found",
            None if crossing is None else True,
            "in some seed the distances do not cross at these pools."
            if crossing is None
            else f"at 2^e tasks, e = {crossing}. {seeds_note(crossing.count)}",
        ),
        Verdict(
            "Below it the transformer is closer to dMMSE, above it closer to ridge",
            _ordered(sides, crossing),
            "on new tasks: " + ", ".join(f"2^{e} {s}" for e, s in sides.items()) + ".",
        ),
    ]


def _ordered(sides: Mapping[int, str], crossing: Interval | None) -> bool | None:
    """Whether all pools beyond the interval of the crossing are on their side.

    None without a crossing, or where no pool lies beyond it or none is decided there.
    """
    if crossing is None:
        return None
    below = [side for e, side in sides.items() if e < crossing.low]
    above = [side for e, side in sides.items() if e > crossing.high]
    if "ridge" in below or "dMMSE" in above:
        return False
    decided = below[:1] == ["dMMSE"] and above[-1:] == ["ridge"]
    return True if decided else None


def bulge(pool: Sequence[Mapping[str, Any]], name: str) -> np.ndarray:
    """Risk of a predictor at the middle of the paths over that at their ends, by run:
    the mean over the run's paths of each."""
    paths = np.array([run["path"][name] for run in pool])
    middle = paths.shape[1] // 2
    return paths[:, middle] / ((paths[:, 0] + paths[:, -1]) / 2)
