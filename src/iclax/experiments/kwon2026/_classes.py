"""Part d: low-dimensional mixtures of nonlinear function classes."""

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np

from ...covariates import Gaussian
from ...report import Figure, Section, Table, Verdict
from ...tasks import Quadratic, ReluNeuron, TaskDistribution, TwoLayerRelu
from ...theory import moments
from .._recipe import Part, PartContext, Size
from . import _transformer
from ._transformer import angle_table, plateau_table, union_verdicts
from ._unions import Plan, train_unions, union_numbers

PLANS: dict[str, Plan] = {
    "toy": _transformer.PLANS["toy"],
    "laptop": Plan(unions=(1, 32), steps=4000, seeds=5, angles=(0.0, 45.0, 90.0)),
    "paper": _transformer.PLANS["paper"],
}
_SIZES: dict[str, tuple[str, ...]] = {"toy": ("relu",)}


def inner_tasks(rank: int) -> dict[str, TaskDistribution]:
    """The classes, as functions on r dimensions."""
    return {
        "relu": ReluNeuron(np.eye(rank)),
        "quadratic": Quadratic(rank),
        "two_layer": TwoLayerRelu(np.eye(rank), 4),
    }


LABELS = {
    "relu": "ReLU neurons",
    "quadratic": "quadratics",
    "two_layer": "two-layer networks",
}


def part(size: Size, seed: int) -> Part:
    """The computation of part d."""
    plan = PLANS[size]
    names = _SIZES.get(size, tuple(LABELS))
    config = {"size": size, "seed": seed, "classes": list(names), **asdict(plan)}
    return Part("classes", config, partial(_compute, plan, names, seed))


def _compute(
    plan: Plan, names: tuple[str, ...], seed: int, context: PartContext
) -> dict[str, Any]:
    found = {}
    for name in names:
        inner = inner_tasks(plan.rank)[name]
        result = train_unions(
            plan, inner, seed, progress=context.progress(LABELS[name], plan.steps)
        )
        power = float(moments(inner, Gaussian(np.eye(plan.rank))).power)
        found[name] = {
            "unions": union_numbers(plan, result, power),
            "angles": plan.angles,
            "zero_risk": power,
        }
    return {"classes": found}


def section(data: Mapping[str, Any], size: Size) -> Section:
    """What part d shows and claims."""
    from ...figures import class_angles

    classes = data["classes"]
    return Section(
        "d. Nonlinear function classes",
        [
            "The same decoder and the same two questions for functions of the "
            "components of x in a subspace: f(x) = g(Uᵀx) with g a ReLU neuron, a "
            "random quadratic or a two-layer network."
        ],
        [
            table
            for name, found in classes.items()
            for table in (
                _named(angle_table(found), name),
                _named(plateau_table(found), name),
            )
        ],
        [
            Figure(
                "class_angles",
                "Risk over that of predicting 0 against the angle, by class.",
                partial(class_angles, classes, LABELS),
            )
        ],
        [
            verdict
            for name, found in classes.items()
            for verdict in _class_verdicts(found, name)
        ],
    )


def _named(table: Table, name: str) -> Table:
    caption = f"{LABELS[name].capitalize()}. {table.caption}"
    return Table(caption, table.columns, table.rows)


def _class_verdicts(found: Mapping[str, Any], name: str) -> list[Verdict]:
    return union_verdicts(found, f"decoder on {LABELS[name]}")
