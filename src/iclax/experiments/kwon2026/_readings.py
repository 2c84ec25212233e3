"""What part b varies: parametrization, objective, optimizer and the watched loss."""

from dataclasses import dataclass

import numpy as np

from ... import theory
from ...covariates import Gaussian
from ...prompts import PromptDistribution
from ...tasks import Linear, LowRank

WATCHED = ("own", "all", "off")


@dataclass(frozen=True)
class Kind:
    """A parametrization: its start and the pace of its training.

    `init` is the Frobenius norm of every block at the start, `time` the flow time that
    GD covers in `steps` steps; Adam makes as many steps at `adam_rate`.
    """

    init: float
    time: float
    steps: int
    adam_rate: float
    heads: int = 1
    rank: int | None = None


@dataclass(frozen=True)
class Plan:
    """Sizes of part b."""

    dim: int = 12
    rank: int = 2
    components: int = 4
    context_length: int = 32
    batch_size: int = 128
    seeds: int = 5
    records: int = 200
    kinds: tuple[tuple[str, Kind], ...] = (
        ("linear", Kind(0.0, 6.0, 600, 2e-3)),
        ("merged", Kind(0.1, 12.0, 800, 2e-3)),
        ("separate rank 1", Kind(0.3, 30.0, 900, 2e-3, heads=8, rank=1)),
        ("separate full rank", Kind(0.3, 30.0, 900, 2e-3)),
        ("softmax", Kind(0.1, 12.0, 800, 2e-3, heads=2)),
    )
    exact_dim: int = 24
    exact_rank: int = 4
    exact_length: int = 64


PLANS: dict[str, Plan] = {
    "toy": Plan(
        dim=5,
        rank=1,
        components=4,
        context_length=10,
        batch_size=64,
        seeds=2,
        records=150,
        kinds=(("merged", Kind(0.1, 16.0, 1200, 2e-3)),),
        exact_dim=8,
        exact_rank=2,
        exact_length=16,
    ),
    "laptop": Plan(),
    "paper": Plan(
        dim=24,
        rank=4,
        context_length=64,
        batch_size=1024,
        seeds=10,
        records=400,
        kinds=(
            ("linear", Kind(0.0, 8.0, 4000, 5e-4)),
            ("merged", Kind(0.1, 16.0, 8000, 5e-4)),
            ("separate rank 1", Kind(0.3, 80.0, 16000, 5e-4, heads=16, rank=1)),
            ("separate full rank", Kind(0.3, 80.0, 16000, 5e-4)),
            ("softmax", Kind(0.1, 24.0, 8000, 5e-4, heads=2)),
        ),
    ),
}


@dataclass(frozen=True)
class Run:
    """One training: how many columns the components share, objective, optimizer."""

    shared: int
    objective: str
    optimizer: str
    seed: int


def law_of(plan: Plan, shared: int) -> PromptDistribution:
    """Prompts on the components with `shared` common columns; all: one subspace."""
    one = shared == plan.rank
    tasks = LowRank.coordinates(
        plan.dim, plan.rank, 1 if one else plan.components, 0 if one else shared
    )
    return PromptDistribution(
        Gaussian(np.eye(plan.dim)), tasks, plan.context_length, 0.0
    )


def all_runs(plan: Plan, seed: int) -> list[Run]:
    """One subspace, half-shared and orthogonal components; for one subspace the two
    objectives are the same."""
    cases = [(plan.rank, "mean")]
    cases += [
        (s, o)
        for s in sorted({plan.rank // 2, 0})
        for o in ("mean", "sum")
        if s < plan.rank
    ]
    return [
        Run(shared, objective, optimizer, seed + i)
        for shared, objective in cases
        for optimizer in ("gd", "adam")
        for i in range(plan.seeds)
    ]


def watched_moments(plan: Plan) -> dict[str, np.ndarray]:
    """W of the tasks that are watched: the first subspace, all orthogonal components,
    and the directions outside their span, with the same power each."""
    union = law_of(plan, 0).tasks
    first = union.bases[0] @ union.bases[0].T
    every = union.weight_second_moment
    outside = np.diag((np.diag(every) == 0).astype(float))
    return {
        "own": first,
        "all": every,
        "off": outside * plan.rank / max(np.trace(outside), 1.0),
    }


def zero_risks(plan: Plan) -> dict[str, float]:
    """The risk of predicting 0 on each watched law."""
    return {name: float(np.trace(w)) for name, w in watched_moments(plan).items()}


def half_levels(plan: Plan) -> dict[str, float]:
    """Half-way from predicting 0 to the best of a layer that is trained on the law."""
    template = law_of(plan, 0)
    basis = np.asarray(template.tasks.bases[0])
    laws = {"own": template.replace(tasks=LowRank(basis)), "all": template}
    levels = {
        name: (theory.zero_risk(law) + theory.optimal_risk(law)) / 2
        for name, law in laws.items()
    }
    # Outside the span nothing is ever learned; the level only says so.
    return {**levels, "off": 0.75 * zero_risks(plan)["off"]}


def first_time(times: np.ndarray, curve: np.ndarray, level: float) -> float | None:
    """When the curve is first at the level (interpolated), None if never."""
    below = np.flatnonzero(curve <= level)
    if not len(below):
        return None
    i = int(below[0])
    if i == 0:
        return float(times[0])
    share = (curve[i - 1] - level) / (curve[i - 1] - curve[i])
    return float(times[i - 1] + share * (times[i] - times[i - 1]))


def watched_laws(plan: Plan) -> dict[str, PromptDistribution]:
    """Test prompts with each watched second moment of the weights."""
    template = law_of(plan, 0)
    return {
        name: template.replace(tasks=Linear(w))
        for name, w in watched_moments(plan).items()
    }
