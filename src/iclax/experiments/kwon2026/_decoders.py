"""The decoders of parts c and d: which are trained, and what is kept of them."""

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np

from ... import theory
from ...covariates import Gaussian
from ...predictors import Ridge, bayes_predictor
from ...prompts import PromptDistribution
from ...tasks import (
    Linear,
    LowRank,
    Quadratic,
    ReluNeuron,
    TaskDistribution,
    TwoLayerRelu,
)
from .._recipe import Part, PartContext, Size
from ._unions import Plan, bases_of, train_unions, union_numbers

PLANS: dict[str, Plan] = {
    "toy": Plan(
        dim=3,
        rank=1,
        context_length=5,
        unions=(1, 6),
        angles=(0.0, 90.0),
        layers=1,
        heads=1,
        width=8,
        batch_size=16,
        steps=200,
        rate=5e-3,
        record_every=20,
        seeds=1,
        test_prompts=64,
    ),
    "laptop": Plan(),
    "paper": Plan(
        dim=20,
        rank=3,
        context_length=40,
        unions=(1, 2, 6, 64, 1024),
        layers=12,
        heads=8,
        width=256,
        steps=200_000,
        rate=1e-4,
        record_every=500,
        seeds=5,
        test_prompts=4096,
    ),
}
# The nonlinear classes need fewer unions, angles and seeds for their questions.
_OTHERS = {"laptop": Plan(unions=(1, 32), angles=(0.0, 45.0, 90.0), seeds=3)}
LABELS = {
    "linear": "linear functions",
    "relu": "ReLU neurons",
    "quadratic": "quadratics",
    "two_layer": "two-layer networks",
}
# The classes of a group are one program: that compiles once, at toy size.
_GROUPS = {"toy": (("linear", "relu"),)}


def groups(size: Size) -> tuple[tuple[str, ...], ...]:
    """The function classes, each group of them trained by one part."""
    return _GROUPS.get(size, tuple((name,) for name in LABELS))


def inner_tasks(name: str, rank: int) -> TaskDistribution:
    """The class `name`, as functions on r dimensions."""
    known = {
        "linear": Linear(np.eye(rank)),
        "relu": ReluNeuron(np.eye(rank)),
        "quadratic": Quadratic(rank),
        "two_layer": TwoLayerRelu(np.eye(rank), 4),
    }
    return known[name]


def parts(size: Size, seed: int) -> list[Part]:
    """One part for each group."""
    return [
        Part(
            _part_name(names),
            {"size": size, "seed": seed, **asdict(_plan(names, size))},
            partial(_compute, _plan(names, size), names, seed),
        )
        for names in groups(size)
    ]


def decoders(found: Mapping[str, Any], size: Size) -> dict[str, dict[str, Any]]:
    """The saved numbers by function class."""
    return {
        name: found[_part_name(names)][name] for names in groups(size) for name in names
    }


def _part_name(names: tuple[str, ...]) -> str:
    return "_".join(("decoder", *names))


def _plan(names: tuple[str, ...], size: Size) -> Plan:
    return PLANS[size] if "linear" in names else _OTHERS.get(size, PLANS[size])


def _compute(
    plan: Plan, names: tuple[str, ...], seed: int, context: PartContext
) -> dict[str, Any]:
    inners = [inner_tasks(name, plan.rank) for name in names]
    result = train_unions(
        plan,
        inners,
        seed,
        references=_references(plan) if names[0] == "linear" else (),
        progress=context.progress(f"decoder, {LABELS[names[0]]}", plan.steps),
        folder=context.folder,
    )
    found = {}
    for i, (name, inner) in enumerate(zip(names, inners, strict=True)):
        power = float(theory.moments(inner, Gaussian(np.eye(plan.rank))).power)
        found[name] = {
            "unions": union_numbers(plan, result, power, i),
            "angles": plan.angles,
            "zero_risk": power,
            "spanning": plan.dim // plan.rank,
        }
    return found


def _references(plan: Plan) -> tuple[Any, Any]:
    """The Bayes predictor of a union, and ridge."""

    def bayes(components: int) -> Any:
        return bayes_predictor(
            PromptDistribution(
                Gaussian(np.eye(plan.dim)),
                LowRank(bases_of(plan, components)),
                plan.context_length,
                plan.noise_variance**0.5,
            )
        )

    def ridge(components: int) -> Ridge:
        # Of w ~ N(0, (r/d) I), the isotropic prior with the power of the tasks.
        return Ridge(plan.noise_variance * plan.dim / plan.rank)

    return bayes, ridge
