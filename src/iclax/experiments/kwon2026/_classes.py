"""Part d: low-dimensional mixtures of nonlinear function classes."""

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np

from ...covariates import Gaussian
from ...report import Figure, Section, Table
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


def parts(size: Size, seed: int) -> list[Part]:
    """The computations of part d, one a class."""
    plan = PLANS[size]
    config = {"size": size, "seed": seed, **asdict(plan)}
    return [
        Part(f"decoder_{name}", config, partial(_compute, plan, name, seed))
        for name in _names(size)
    ]


def _names(size: Size) -> tuple[str, ...]:
    return _SIZES.get(size, tuple(LABELS))


def _compute(plan: Plan, name: str, seed: int, context: PartContext) -> dict[str, Any]:
    inner = inner_tasks(plan.rank)[name]
    result = train_unions(
        plan,
        inner,
        seed,
        progress=context.progress(LABELS[name], plan.steps),
        folder=context.folder,
    )
    power = float(moments(inner, Gaussian(np.eye(plan.rank))).power)
    return {
        "unions": union_numbers(plan, result, power),
        "angles": plan.angles,
        "zero_risk": power,
    }


def section(found: Mapping[str, Any], size: Size) -> Section:
    """What part d shows and claims."""
    from ...figures import class_angles

    classes = {name: found[f"decoder_{name}"] for name in _names(size)}
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
            for verdict in union_verdicts(found, f"decoder on {LABELS[name]}", size)
        ],
    )


def _named(table: Table, name: str) -> Table:
    caption = f"{LABELS[name].capitalize()}. {table.caption}"
    return Table(caption, table.columns, table.rows)
