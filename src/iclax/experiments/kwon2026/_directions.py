"""Part b: does diversity shorten the plateau? Every reading of the question, measured.

A reading is a parametrization, an objective (mean or sum over the components), an
optimizer (the flow, GD, Adam) and the loss that is watched: on the first subspace, on
all components, outside their span.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np

from ... import theory
from ...covariates import Gaussian
from ...evaluation import bootstrap_ratio
from ...prompts import PromptDistribution
from ...report import Figure, Section, Table, Verdict
from ...tasks import LowRank
from .._recipe import Part, PartContext, Size
from ._reading_runs import measure_kind
from ._readings import PLANS, WATCHED, Kind, Plan

_OPTIMIZERS = ("flow", "gd", "adam")
_NAMES = {"flow": "flow", "gd": "GD", "adam": "Adam"}


def parts(size: Size, seed: int) -> list[Part]:
    """The computations of part b: exact times, and each parametrization by itself."""
    plan = PLANS[size]
    sizes = {k: v for k, v in asdict(plan).items() if k != "kinds"}
    exact = (plan.exact_dim, plan.exact_rank, plan.exact_length)
    return [
        Part("flow_times", {"sizes": exact}, lambda _: {"rows": exact_table(*exact)}),
        *(
            Part(
                _part_name(name),
                {"size": size, "seed": seed, **sizes, **asdict(kind)},
                partial(_compute, plan, name, kind, seed),
            )
            for name, kind in plan.kinds
        ),
    ]


def _part_name(kind: str) -> str:
    return f"direction_{kind.replace(' ', '_')}"


def _compute(
    plan: Plan, name: str, kind: Kind, seed: int, context: PartContext
) -> dict[str, Any]:
    return measure_kind(plan, name, kind, seed, context.progress(name, kind.steps))


def exact_table(dim: int, rank: int, length: int) -> list[dict[str, Any]]:
    """Half-drop times of the exact flow: merged key-query, w₀ = 1e-4, identity start.

    K = 1, 2, 4, 6 components that share all, half or none of their columns.
    """
    rows = []
    for k in (1, 2, 4, 6):
        for shared in (rank,) if k == 1 else (rank, rank // 2, 0):
            if shared + k * (rank - shared) > dim:
                continue
            tasks = LowRank.coordinates(dim, rank, k, shared)
            law = PromptDistribution(Gaussian(np.eye(dim)), tasks, length, 0.0)
            rows.append(
                {
                    "components": k,
                    "shared": shared,
                    "diversity": tasks.diversity,
                    "norm": float(np.linalg.norm(tasks.weight_second_moment)),
                    **{
                        objective: theory.flow(law, objective=objective).half_drop_time
                        for objective in ("mean", "sum")
                    },
                }
            )
    return rows


def readings(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The direction table: the time to half-way down with all components over the time
    with one subspace, for every reading; "ratio" is (value, low, high) or None."""
    return [
        {
            "parametrization": name,
            "optimizer": optimizer,
            "objective": objective,
            "watched": watched,
            **_direction(found, data["rank"], optimizer, objective, watched),
        }
        for name, found in data["kinds"].items()
        for optimizer in _OPTIMIZERS
        for objective in ("mean", "sum")
        for watched in WATCHED
    ]


def _direction(
    found: Mapping[str, Any], rank: int, optimizer: str, objective: str, watched: str
) -> dict[str, Any]:
    def times(shared: int, objective: str) -> list[float | None]:
        return [
            run[watched]
            for run in found["runs"]
            if run["optimizer"] == optimizer
            and run["shared"] == shared
            and run["objective"] == objective
        ]

    one, union = times(rank, "mean"), times(0, objective)
    if None in union and None in one:
        return {"outcome": "never", "ratio": None, "text": _never(found, optimizer)}
    if None in union:
        return {"outcome": "longer", "ratio": None, "text": "∞"}
    if None in one:  # the true time is beyond the end of training
        bound = max(union) / found["end"][optimizer]
        return {
            "outcome": "shorter",
            "ratio": (0.0, 0.0, bound),
            "text": f"0 (≤ {bound:.2f})",
        }
    ratio = bootstrap_ratio(union, one)
    return {
        "outcome": ratio.side(1.0, "shorter", "longer", "unclear"),
        "ratio": (ratio.value, ratio.low, ratio.high),
        "text": f"{ratio:.2f}",
    }


def _never(found: Mapping[str, Any], optimizer: str) -> str:
    worst = max(
        run["final"]["off"] for run in found["runs"] if run["optimizer"] == optimizer
    )
    return f"never (risk up to {worst / found['zero']['off']:.2f} of zero's)"


def section(found: Mapping[str, Any], size: Size) -> Section:
    """What part b shows and claims."""
    from ...figures import flow_curves, ratio_forest

    plan = PLANS[size]
    data = {
        "exact": found["flow_times"]["rows"],
        "kinds": {name: found[_part_name(name)] for name, _ in plan.kinds},
        "rank": plan.rank,
        "components": plan.components,
    }
    rows = readings(data)
    return Section(
        "b. Optimization: does diversity shorten the plateau?",
        _paragraphs(data, rows),
        [_exact_times(data), _direction_table(data, rows)],
        [
            Figure(
                "flow_over_training",
                "Risk on the own tasks against flow time: exact flow (black), GD on "
                "fresh prompts from the same starts (color, one line a seed).",
                partial(flow_curves, data),
            ),
            Figure(
                "directions",
                "Time to half-way down with all components over that with one "
                "subspace; left of 1 diversity shortens. 95 % intervals over seeds.",
                partial(ratio_forest, rows),
            ),
        ],
        _verdicts(data, rows, size),
    )


def _paragraphs(data: Mapping[str, Any], rows: list[dict[str, Any]]) -> list[str]:
    k = data["components"]
    return [
        f"Each entry compares training on {k} orthogonal subspaces with training on "
        "one of them: the ratio of the times at which the watched loss is half-way "
        "from predicting 0 to the best layer for those tasks. Below 1 diversity "
        "shortens the plateau. The paper claims that it does; whether that is so "
        "depends on the reading.",
        "The flow of the sum objective is that of the mean with time running "
        f"{k} times as fast, and Adam does not see the scale of the loss at all: so "
        "the sum objective helps GD and leaves Adam as it was.",
        f"Readings that support the claim: {_listed(rows, 'shorter')}.",
        f"Readings that contradict it: {_listed(rows, 'longer')}.",
        f"Not decided by these runs: {_listed(rows, 'unclear')}.",
        "Outside the span of the components no training learns anything, so there is "
        "no plateau to leave.",
    ]


def _listed(rows: Sequence[Mapping[str, Any]], outcome: str) -> str:
    groups: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        if row["outcome"] == outcome:
            key = (row["watched"], row["objective"], row["optimizer"])
            groups.setdefault(key, []).append(row["parametrization"])
    told = [
        f"loss on {_LOSSES[watched]}, {objective}, {_NAMES[optimizer]} "
        f"({', '.join(names)})"
        for (watched, objective, optimizer), names in sorted(groups.items())
    ]
    return "; ".join(told) or "none"


_LOSSES = {
    "own": "the first subspace",
    "all": "all components",
    "off": "tasks off the span",
}


def _exact_times(data: Mapping[str, Any]) -> Table:
    rows = [
        {
            "K": row["components"],
            "shared columns": row["shared"],
            "diversity": row["diversity"],
            "‖W‖_F": row["norm"],
            "mean": row["mean"],
            "sum": row["sum"],
        }
        for row in data["exact"]
    ]
    caption = (
        "Exact half-drop times of the flow, merged key-query, balanced start of norm "
        "1e-4. With the mean objective they grow with diversity like 1/‖W‖_F."
    )
    return Table(caption, list(rows[0]), rows)


def _direction_table(data: Mapping[str, Any], rows: list[dict[str, Any]]) -> Table:
    table: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        key = (row["parametrization"], row["watched"])
        line = table.setdefault(
            key,
            {"parametrization": key[0], "watched loss": _LOSSES[key[1]]},
        )
        line[f"{row['objective']}, {_NAMES[row['optimizer']]}"] = row["text"]
    caption = (
        f"Time with {data['components']} orthogonal subspaces over time with one "
        "[95 % interval]. “0 (≤ b)”: one subspace never gets there, b bounds the "
        "ratio at the end of training. The flow of softmax is GD with "
        "half the step."
    )
    lines = list(table.values())
    return Table(caption, list(lines[0]), lines)


def _verdicts(
    data: Mapping[str, Any], rows: list[dict[str, Any]], size: Size
) -> list[Verdict]:
    decided = [r for r in rows if r["outcome"] in ("longer", "shorter")]
    found = {outcome: sum(r["outcome"] == outcome for r in rows) for outcome in _ALL}
    known = [kind for name, kind in data["kinds"].items() if name != "softmax"]
    mean, summed = (
        [pair for kind in known for pair in _flow_distances(kind, objective)]
        for objective in ("mean", "sum")
    )
    scaled = max(
        abs(row["sum"] * row["components"] / row["mean"] - 1) for row in data["exact"]
    )
    ordered = _lengthens(data["exact"])
    limit = 0.1 if size == "toy" else 0.03
    mean_own = _outcome(rows, "merged", "flow", "mean", "own")
    sum_own = _outcome(rows, "merged", "flow", "sum", "own")
    return [
        Verdict(
            "Simulated GD follows the exact flow",
            all(abs(distance) < limit + 3 * error for distance, error in mean),
            f"times to half-way, relative distance of the means: at most {_most(mean)} "
            f"(limit {limit:.0%} beyond three standard errors); {_most(summed)} with "
            f"the sum, whose steps are {data['components']} times as long.",
        ),
        Verdict(
            "Mean objective, exact flow: more non-overlapping columns, longer plateau",
            ordered,
            "for every K, the fewer columns are shared the later the drop.",
        ),
        Verdict(
            "The flow of the sum is that of the mean, K times as fast",
            scaled < 1e-6,
            f"largest relative difference {scaled:.1e}.",
        ),
        Verdict(
            "The direction depends on the reading",
            _both(mean_own["outcome"], sum_own["outcome"]),
            f"merged key-query, flow, own loss: {mean_own['text']} with the mean, "
            f"{sum_own['text']} with the sum. Of {len(rows)} readings diversity "
            f"shortens the plateau in {found['shorter']}, lengthens it in "
            f"{found['longer']}, {found['unclear']} are undecided and in "
            f"{found['never']} nothing is learned; {len(decided)} are decided.",
        ),
    ]


_ALL = ("shorter", "longer", "unclear", "never")


def _both(mean: str, summed: str) -> bool | None:
    """Longer with the mean and shorter with the sum; None while one is unclear."""
    if mean in ("shorter", "never") or summed in ("longer", "never"):
        return False
    return None if "unclear" in (mean, summed) else True


def _outcome(
    rows: list[dict[str, Any]], name: str, optimizer: str, objective: str, watched: str
) -> dict[str, Any]:
    return next(
        row
        for row in rows
        if (row["parametrization"], row["optimizer"]) == (name, optimizer)
        and (row["objective"], row["watched"]) == (objective, watched)
    )


def _flow_distances(
    kind: Mapping[str, Any], objective: str
) -> list[tuple[float, float]]:
    """Relative distances of mean times, GD against the flow from the same starts.

    One for each number of shared columns, own loss, with its standard error over seeds.
    """
    times: dict[int, dict[str, dict[int, float]]] = {}
    for run in kind["runs"]:
        if run["own"] is not None and run["objective"] == objective:
            group = times.setdefault(run["shared"], {"gd": {}, "flow": {}})
            group.setdefault(run["optimizer"], {})[run["seed"]] = run["own"]
    found = []
    for group in times.values():
        both = sorted(group["gd"].keys() & group["flow"].keys())
        if both:
            ours, exact = (
                np.array([group[name][seed] for seed in both])
                for name in ("gd", "flow")
            )
            spread = np.std(ours - exact, ddof=1) if len(both) > 1 else 0.0
            error = spread / len(both) ** 0.5 / exact.mean()
            found.append((float(ours.mean() / exact.mean() - 1), float(error)))
    return found


def _most(pairs: Sequence[tuple[float, float]]) -> str:
    """The largest distance with its standard error."""
    distance, error = max(pairs, key=lambda pair: abs(pair[0]))
    return f"{distance:.1%} ± {error:.1%}"


def _lengthens(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether, at every K > 1, sharing fewer columns takes longer (mean objective)."""
    groups: dict[int, list[float]] = {}
    for row in rows:  # in the order of fewer shared columns
        groups.setdefault(row["components"], []).append(row["mean"])
    return all(bool(np.all(np.diff(times) > 0)) for times in groups.values())
