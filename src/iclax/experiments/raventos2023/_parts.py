"""The computations: training and evaluation of each group of pools."""

from dataclasses import asdict
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from .._recipe import Part, PartContext, Size
from ._evaluation import measure
from ._training import Plan, pool_tasks, train_pools

PLANS: dict[str, Plan] = {
    "toy": Plan(
        groups=((1, 5),),
        dim=2,
        num_points=4,
        layers=1,
        heads=1,
        width=8,
        batch_size=32,
        steps=200,
        seeds=1,
        test_prompts=128,
        pairs=1,
        path_points=3,
        path_prompts=16,
    ),
    "laptop": Plan(groups=((1, 4, 6), (3, 5, 8))),
    "paper": Plan(
        groups=tuple((e,) for e in range(2, 21)),
        dim=8,
        num_points=16,
        layers=8,
        heads=2,
        width=128,
        batch_size=256,
        steps=500_000,
        rate=1e-3,
        seeds=3,
        test_prompts=2**15,
        pairs=16,
        path_points=21,
        path_prompts=256,
    ),
}


def parts(size: Size, seed: int) -> list[Part]:
    """One part for each group of pools."""
    plan = PLANS[size]
    sizes = {k: v for k, v in asdict(plan).items() if k != "groups"}
    return [
        Part(
            part_name(group),
            {"size": size, "seed": seed, "pools": group, **sizes},
            partial(_compute, plan, group, seed),
        )
        for group in plan.groups
    ]


def part_name(group: tuple[int, ...]) -> str:
    """The part that holds a group of pools."""
    return "pools_" + "_".join(str(e) for e in group)


def _compute(
    plan: Plan, group: tuple[int, ...], seed: int, context: PartContext
) -> dict[str, Any]:
    title = "pools " + ", ".join(f"2^{e}" for e in group)
    result = train_pools(
        plan,
        group,
        seed,
        progress=context.progress(title, plan.steps),
        folder=context.folder,
    )
    pools: dict[str, list[Any]] = {}
    for i, exponent in enumerate(np.repeat(group, plan.seeds)):
        own = seed + i % plan.seeds
        pool = pool_tasks(own, jnp.arange(2 ** int(exponent)), plan.dim)
        key = jr.fold_in(jr.key(10**6 + own), int(exponent))
        found = measure(plan, result.model_of(i), pool, key)
        found = jax.tree.map(lambda leaf: np.asarray(leaf).tolist(), found)
        pools.setdefault(str(exponent), []).append(
            {**found, "loss": result.history["loss"][i]}
        )
    return {"pools": pools, "steps": result.steps}
