"""A decoder pre-trained on pools of linear tasks: all pools and seeds, one program."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Float, Int

from ..._arrays import Array
from ...models import GPT
from ...prompts import Prompt
from ...sampling import normals
from ...training import Adam, OneCycle, TrainResult, train
from .._decoder import plan_decoder


@dataclass(frozen=True)
class Plan:
    """Sizes of the recipe: pools of 2^e tasks, e in `groups`; a group is one program.

    `num_points` points a prompt, the last of them the query.
    """

    groups: tuple[tuple[int, ...], ...]
    dim: int = 4
    num_points: int = 8
    noise_variance: float = 0.25
    layers: int = 2
    heads: int = 2
    width: int = 32
    batch_size: int = 64
    steps: int = 3000
    rate: float = 3e-3
    seeds: int = 5
    test_prompts: int = 1024
    pairs: int = 16
    path_points: int = 9
    path_prompts: int = 64

    @property
    def exponents(self) -> list[int]:
        """The pools, smallest first."""
        return sorted(e for group in self.groups for e in group)


def pool_tasks(
    seed: Int[Array, ""] | int, indices: Int[Array, "*s"], dim: int
) -> Float[Array, "*s d"]:
    """Task vectors of the pool of a seed, w_k ~ N(0, I), by their index k.

    Smaller pools are the first tasks of larger ones, and none is ever stored.
    """
    key = jr.fold_in(jr.key(20_000), seed)
    one = lambda k: jr.normal(jr.fold_in(key, k), (dim,))
    flat = jax.vmap(one)(indices.reshape(-1))
    return flat.reshape(*indices.shape, dim)


def draw_prompts(
    plan: Plan, weights: Float[Array, "b d"], key: Any
) -> tuple[Prompt, Float[Array, "b m"], Float[Array, "b m"]]:
    """Prompts of the tasks `weights`; noiseless and noisy labels at all points."""
    b, m, d = len(weights), plan.num_points, plan.dim
    xs, noise = normals(key, (b, m, d), (b, m))
    values = jnp.einsum("bmd,bd->bm", xs, weights)
    ys = values + plan.noise_variance**0.5 * noise
    prompts = Prompt(xs[:, :-1], ys[:, :-1], xs[:, -1], values[:, -1], ys[:, -1])
    return prompts, values, ys


def decoder(plan: Plan, key: Any) -> GPT:
    """The decoder before training."""
    return plan_decoder(plan, plan.num_points, key, encoding="padded", bias=False)


def batch_loss(plan: Plan, model: GPT, key: Any, hyper: Any) -> Float[Array, ""]:
    """Mean squared error against the noisy labels of a fresh batch, all points."""
    task_key, key = jr.split(key)
    indices = jr.randint(task_key, (plan.batch_size,), 0, hyper["size"])
    weights = pool_tasks(hyper["pool"], indices, plan.dim)
    prompts, _, ys = draw_prompts(plan, weights, key)
    return jnp.mean((model.batch_prefixes(prompts) - ys) ** 2)


def train_pools(
    plan: Plan,
    exponents: Sequence[int],
    seed: int,
    progress: Any = None,
    folder: Path | None = None,
) -> TrainResult:
    """Runs ordered by pool size, then by seed; each seed has a pool of its own."""
    seeds = [seed + i for _ in exponents for i in range(plan.seeds)]
    sizes = np.repeat(2 ** np.array(exponents, np.int32), plan.seeds)
    return train(
        partial(decoder, plan),
        partial(batch_loss, plan),
        steps=plan.steps,
        seeds=seeds,
        hyper={"size": sizes, "pool": np.array(seeds, np.int32)},
        optimizer=Adam(plan.rate, OneCycle()),
        record_every=max(plan.steps // 50, 1),
        progress=progress,
        folder=folder,
        seed_batch=1,
    )
