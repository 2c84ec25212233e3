"""A GPT-style decoder trained on unions of subspaces, for parts c and d."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Float

from ..._arrays import Array
from ..._compile import compiler_options
from ...models import GPT
from ...prompts import Prompt
from ...sampling import normals
from ...tasks import LowRank, TaskDistribution
from ...training import Adam, Objective, TrainResult, train
from .._decoder import plan_decoder
from .._steps import steps_or_none
from ._subspaces import stacked_tasks, subspace_between


@dataclass(frozen=True)
class Plan:
    """Sizes of a decoder's training. `unions` are numbers of subspaces: up to
    dim // rank of them orthogonal, more of them random."""

    dim: int = 4
    rank: int = 1
    context_length: int = 8
    noise_variance: float = 0.1
    unions: tuple[int, ...] = (1, 4, 32)
    angles: tuple[float, ...] = (0.0, 30.0, 45.0, 60.0, 90.0)
    layers: int = 2
    heads: int = 2
    width: int = 32
    batch_size: int = 64
    steps: int = 2400
    rate: float = 1e-3
    record_every: int = 50
    seeds: int = 5
    test_prompts: int = 512

    def with_unions(self, *unions: int) -> "Plan":
        """The same sizes for other unions."""
        return replace(self, unions=unions)


def bases_of(plan: Plan, components: int) -> Float[np.ndarray, "k d r"]:
    """The subspaces of a union."""
    if components <= plan.dim // plan.rank:
        return LowRank.coordinates(plan.dim, plan.rank, components).bases
    return LowRank.random(plan.dim, plan.rank, components, seed=components).bases


def test_bases(plan: Plan) -> list[np.ndarray]:
    """Subspaces at the plan's angles from the first of the coordinate subspaces.

    The law of one subspace has mass at 0° only; a union of orthogonal ones at both
    ends; a union of random ones nowhere.
    """
    first, second = bases_of(plan, 2)
    return [subspace_between(first, second, angle) for angle in plan.angles]


@dataclass(frozen=True)
class Chosen:
    """The law `inners[index]` of functions, whose `index` may be traced."""

    inners: Sequence[TaskDistribution]
    index: Any

    def sample(self, key: Any, xs: Float[Array, "m r"]) -> Float[Array, " m"]:
        """The values at `xs` of one draw."""
        values = [inner.sample(key, xs) for inner in self.inners]
        return values[0] if len(values) == 1 else jnp.stack(values)[self.index]


def draw_union(
    plan: Plan,
    inner: TaskDistribution | Chosen,
    bases: Float[Array, "k d r"],
    weights: Float[Array, " k"],
    key: Any,
    batch_size: int,
) -> Prompt:
    """Prompts of f(x) = g(U_kᵀx), k drawn with probability `weights`, g ~ `inner`."""
    n, d, sigma = plan.context_length, plan.dim, plan.noise_variance**0.5
    key, choice_key, task_key = jr.split(key, 3)
    points, noise = normals(key, (batch_size, n + 1, d), (batch_size, n + 1))
    edges = jnp.cumsum(weights)[:-1]
    chosen = jnp.searchsorted(edges, jr.uniform(choice_key, (batch_size,)))
    inside = jnp.einsum("bnd,bdr->bnr", points, bases[chosen])
    values = jax.vmap(inner.sample)(jr.split(task_key, batch_size), inside)
    labels = values + sigma * noise
    return Prompt(
        points[:, :n], labels[:, :n], points[:, n], values[:, n], labels[:, n]
    )


def sequence_loss(model: Any, batch: Prompt) -> Float[Array, ""]:
    """Squared error against the labels, averaged over all n + 1 points."""
    labels = jnp.concatenate([batch.ys, batch.label[:, None]], 1)
    return Objective(positions="all")(model.batch_prefixes(batch), labels)


def train_unions(
    plan: Plan,
    inners: Sequence[TaskDistribution],
    seed: int,
    references: Sequence[Any] = (),
    progress: Any = None,
    folder: Path | None = None,
) -> TrainResult:
    """Every law of g, union and seed as runs of one program, in this order.

    Watched: "risk i", the risk on the subspace of angle i; "own", that on the own law;
    and "distance j", E(ŷ − ŷ_j)² there, `references[j]` giving predictor ŷ_j of a
    union (for the first of the `inners`; meaningless for others). Goes on from what it
    finds in `folder`.
    """
    count = len(plan.unions)
    bases, weights = stacked_tasks(
        [bases_of(plan, k) for k in plan.unions], max(plan.unions)
    )
    sets = [_test_sets(plan, inner, seed) for inner in inners]
    all_tests, own_sets = jax.tree.map(lambda *leaves: jnp.stack(leaves), *sets)
    known = _reference_values(plan, references, sets[0][1])

    def init(key: Any) -> GPT:
        return plan_decoder(plan, plan.context_length + 1, key)

    def loss(model: GPT, key: Any, hyper: Any) -> Any:
        inner = Chosen(inners, hyper["inner"])
        batch = draw_union(
            plan, inner, hyper["bases"], hyper["weights"], key, plan.batch_size
        )
        return sequence_loss(model, batch)

    def watch(model: GPT, hyper: Any) -> dict[str, Any]:
        inner, union = hyper["inner"], hyper["union"]
        tests = jax.tree.map(lambda leaf: leaf[inner], all_tests)
        own = jax.tree.map(lambda leaf: leaf[inner, union], own_sets)
        # One pass of the model over all sets: it is compiled once.
        batch = jax.tree.map(lambda a, b: jnp.concatenate([a, b[None]]), tests, own)
        batch = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), batch)
        predicted = model.batch(batch).reshape(len(plan.angles) + 1, -1)
        errors = jnp.mean((predicted - batch.target.reshape(predicted.shape)) ** 2, 1)
        found = {f"risk {i}": errors[i] for i in range(len(plan.angles))}
        found["own"] = errors[-1]
        for j, values in enumerate(known):
            found[f"distance {j}"] = jnp.mean((predicted[-1] - values[union]) ** 2)
        return found

    return train(
        init,
        loss,
        steps=plan.steps,
        seeds=list(range(seed, seed + plan.seeds)) * count * len(inners),
        hyper={
            "bases": np.concatenate([np.repeat(bases, plan.seeds, 0)] * len(inners)),
            "weights": np.concatenate(
                [np.repeat(weights, plan.seeds, 0)] * len(inners)
            ),
            "union": np.tile(np.repeat(np.arange(count), plan.seeds), len(inners)),
            "inner": np.repeat(np.arange(len(inners)), count * plan.seeds),
        },
        optimizer=Adam(plan.rate, clip=1.0),
        watch=watch,
        record_every=plan.record_every,
        progress=progress,
        folder=folder,
        seed_batch=1,
    )


def _test_sets(plan: Plan, inner: TaskDistribution, seed: int) -> tuple[Prompt, Prompt]:
    """Prompts on the subspace of each angle, and on each union: [set, prompt, …]."""
    angles = np.stack(test_bases(plan))[:, None]
    unions = stacked_tasks(
        [bases_of(plan, components) for components in plan.unions], max(plan.unions)
    )

    @partial(jax.jit, compiler_options=compiler_options())
    def draw(bases: Any, weights: Any, key: Any) -> Prompt:
        one = lambda b, w: draw_union(plan, inner, b, w, key, plan.test_prompts)
        return jax.vmap(one)(bases, weights)

    key = jr.key(10**6 + seed)
    first = draw(jnp.asarray(angles), jnp.ones((len(angles), 1)), key)
    second = draw(*map(jnp.asarray, unions), key)  # the same points and functions
    return first, second


def _reference_values(
    plan: Plan, references: Sequence[Any], own: Prompt
) -> list[Float[Array, "u b"]]:
    """The predictions of each reference on the prompts of each union."""
    found = []
    for make in references:
        values = []
        for i, components in enumerate(plan.unions):
            batch = jax.tree.map(lambda leaf, i=i: leaf[i], own)
            values.append(jax.jit(jax.vmap(make(components)))(batch))
        found.append(jnp.stack(values))
    return found


def union_numbers(
    plan: Plan, result: TrainResult, zero_risk: float, inner: int = 0
) -> dict[str, dict[str, Any]]:
    """What is kept of the runs of law `inner`, by union: curves, risks by angle,
    plateau times."""
    from ...evaluation import plateau_times

    found = {}
    for i, components in enumerate(plan.unions):
        first = (inner * len(plan.unions) + i) * plan.seeds
        runs = slice(first, first + plan.seeds)
        history = {name: values[runs] for name, values in result.history.items()}
        plateau = plateau_times(
            result.steps,
            history["loss"],
            normalizer=zero_risk + plan.noise_variance,
            window=100.0,
        )
        last = max(len(result.steps) // 10, 1)
        found[str(components)] = {
            "steps": result.steps,
            "curves": history,
            "angle_risks": np.stack(
                [
                    history[f"risk {j}"][:, -last:].mean(axis=1)
                    for j in range(len(plan.angles))
                ],
                axis=1,
            ),
            "escape": steps_or_none(plateau.escape),
            "half_drop": steps_or_none(plateau.half_drop),
            "change_point": steps_or_none(plateau.change_point),
            "last_step": plan.steps,
        }
    return found
