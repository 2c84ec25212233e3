"""The computations: the normalizers, and the trainings of each group of sets."""

from dataclasses import asdict
from functools import partial
from typing import Any

from ...evaluation import plateau_times
from ...training import TrainResult
from .._recipe import Part, PartContext, Size
from .._steps import steps_or_none
from ._families import LABELS, PUBLISHED, family
from ._plans import PLANS, Plan
from ._training import train_sets


def parts(size: Size, seed: int) -> list[Part]:
    """The normalizers of the published sizes, and one part for each group."""
    plan = PLANS[size]
    sizes = {k: v for k, v in asdict(plan).items() if k != "groups"}
    return [
        Part("normalizers", {}, lambda _: {"rows": normalizers()}),
        *(
            Part(
                f"train_{group}",
                {"size": size, "seed": seed, "sets": sets, **sizes},
                partial(_compute, plan, group, seed),
            )
            for group, sets in plan.groups.items()
        ),
    ]


def normalizers(dim: int = 10, num_points: int = 120) -> list[dict[str, Any]]:
    """The heights of the plateaus, computed, beside those in the published code."""
    return [
        {
            "name": name,
            "computed": family(name, dim, num_points).height,
            "published": PUBLISHED.get(name),
        }
        for name in LABELS
    ]


def _compute(plan: Plan, group: str, seed: int, context: PartContext) -> dict[str, Any]:
    sets = plan.groups[group]
    result = train_sets(
        plan,
        sets,
        seed,
        progress=context.progress(f"families {group}", plan.steps),
        folder=context.folder,
    )
    return {
        "steps": result.steps,
        "sets": [_numbers(plan, result, i, names) for i, names in enumerate(sets)],
    }


def _numbers(
    plan: Plan, result: TrainResult, index: int, names: tuple[str, ...]
) -> dict[str, Any]:
    """What is kept of a set: for each of its families curves and plateau times."""
    runs = slice(index * plan.seeds, (index + 1) * plan.seeds)
    laws = {law.name: law for law in plan.laws()}
    found: dict[str, Any] = {"names": names, "families": {}}
    for name in names:
        accuracy = result.history.get(f"accuracy {name}")
        times = plateau_times(
            result.steps,
            result.history[f"loss {name}"][runs],
            final=result.history[f"final {name}"][runs],
            accuracy=None if accuracy is None else accuracy[runs],
            complete_below=laws[name].complete_below,
        )
        found["families"][name] = {
            "curves": result.history[f"loss {name}"][runs],
            "escape": steps_or_none(times.escape),
            "completion": steps_or_none(times.completion),
        }
    return found
