"""A decoder trained on any set of families: every set and seed, one program."""

from collections.abc import Sequence
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
from ...training import Adam, TrainResult, logistic_loss, squared_error, train
from .._decoder import plan_decoder
from ._families import Family
from ._plans import Plan

_LARGE = 2**13  # prompts from which the power of a family is known well enough


def assignment(plan: Plan, names: Sequence[str]) -> Int[np.ndarray, " b"]:
    """The family of each prompt of a batch: as many of every family of the set."""
    chosen = [plan.families.index(name) for name in names]
    return np.tile(chosen, plan.batch_size)


def draw_families(
    laws: Sequence[Family], which: Int[Array, " b"], num_points: int, key: Any
) -> tuple[Float[Array, "b n d"], Float[Array, "b n"]]:
    """Points and labels, prompt b from family `which[b]`.

    Every family is evaluated at every prompt and one kept: beside the decoder that
    costs nothing, and one program serves all sets. Boolean inputs are the signs of the
    normal ones; of retrieval, distinct keys and last one of those before.
    """
    size, dim = which.shape[0], laws[0].tasks.dim
    key, task_key = jr.split(key)
    (xs,) = normals(key, (size, num_points, dim))
    binary = jnp.array([law.binary for law in laws])[which]
    xs = jnp.where(binary[:, None, None], jnp.sign(xs), xs)
    keys = jr.split(task_key, size)
    for m, law in enumerate(laws):
        if law.repeats:
            one = lambda k, law=law: _keys(law, num_points, k)
            xs = jnp.where((which == m)[:, None, None], jax.vmap(one)(keys), xs)
    values = jnp.stack([jax.vmap(law.tasks.sample)(keys, xs) for law in laws])
    return xs, values[which, jnp.arange(size)]


def _keys(law: Family, num_points: int, key: Any) -> Float[Array, "n d"]:
    """Different keys of the dictionary, and at last one of them again."""
    rows = jnp.asarray(law.covariates.rows)
    choice_key, query_key = jr.split(jr.fold_in(key, 1))
    chosen = jr.choice(choice_key, len(rows), (num_points - 1,), replace=False)
    last = jr.randint(query_key, (), 0, num_points - 1)
    return rows[jnp.append(chosen, chosen[last])]


def point_losses(
    model: GPT,
    laws: Sequence[Family],
    which: Int[Array, " b"],
    xs: Float[Array, "b n d"],
    ys: Float[Array, "b n"],
) -> tuple[Float[Array, "b n"], Float[Array, "b n"]]:
    """Normalized losses and correctness of signs at every point of every prompt."""
    batch = Prompt(xs[:, :-1], ys[:, :-1], xs[:, -1], ys[:, -1], ys[:, -1])
    predicted = model.batch_prefixes(batch)
    binary, repeats, height = (
        jnp.array(values)[which][:, None]
        for values in (
            [law.binary for law in laws],
            [law.repeats for law in laws],
            [law.height for law in laws],
        )
    )
    losses = jnp.where(
        binary, logistic_loss(predicted, ys), squared_error(predicted, ys)
    )
    losses = jnp.where(repeats, losses[:, -1:], losses)
    return losses / height, (predicted * ys > 0).astype(xs.dtype)


def decoder(plan: Plan, key: Any) -> GPT:
    """The decoder before training."""
    return plan_decoder(plan, plan.num_points, key)


def batch_loss(
    plan: Plan, laws: Sequence[Family], model: GPT, key: Any, hyper: Any
) -> Float[Array, ""]:
    """The sum over the families of a batch of their mean normalized losses."""
    which = hyper["which"]
    xs, ys = draw_families(laws, which, plan.num_points, key)
    losses, _ = point_losses(model, laws, which, xs, ys)
    # A prompt counts 1 / (prompts of its family).
    counts = jnp.sum(which[:, None] == which[None, :], axis=1)
    return jnp.sum(jnp.mean(losses, axis=1) / counts)


def train_sets(
    plan: Plan,
    sets: Sequence[Sequence[str]],
    seed: int,
    progress: Any = None,
    folder: Path | None = None,
) -> TrainResult:
    """Runs ordered by set, then by seed, on the sum of the families' normalized losses.

    Watched on fixed prompts, for each family: "loss m" over all points, "final m" at
    the last one, and "accuracy m" there.
    """
    laws = plan.laws()
    runs = [names for names in sets for _ in range(plan.seeds)]
    assigned = np.stack([assignment(plan, names) for names in runs])

    return train(
        partial(decoder, plan),
        partial(batch_loss, plan, laws),
        steps=plan.steps,
        seeds=[seed + i for _ in sets for i in range(plan.seeds)],
        hyper={"which": assigned},
        optimizer=Adam(plan.rate),
        watch=_watch(plan, laws, seed),
        record_every=plan.record_every,
        progress=progress,
        folder=folder,
        seed_batch=1,
    )


def _watch(plan: Plan, laws: list[Family], seed: int) -> Any:
    """Losses and accuracies of each family on fixed prompts."""
    shape = (len(laws), plan.test_prompts, plan.num_points)
    count = max(_LARGE // len(laws), plan.test_prompts)
    families = jnp.repeat(jnp.arange(len(laws)), count)
    drawn = jax.jit(lambda key: draw_families(laws, families, plan.num_points, key))
    many_xs, many_ys = drawn(jr.key(10**6 + seed))
    many_ys = many_ys.reshape(len(laws), count, -1)
    few_ys = many_ys[:, : plan.test_prompts]
    # Few prompts have more or less power than the law; the ratio takes that out.
    scale = jnp.mean(many_ys**2, (1, 2)) / jnp.mean(few_ys**2, (1, 2))
    few_xs = many_xs.reshape(len(laws), count, *many_xs.shape[1:])
    xs = few_xs[:, : plan.test_prompts].reshape(-1, *many_xs.shape[1:])
    ys = few_ys.reshape(-1, plan.num_points)
    tested = jnp.repeat(jnp.arange(len(laws)), plan.test_prompts)

    def watch(model: GPT) -> dict[str, Any]:
        losses, right = point_losses(model, laws, tested, xs, ys)
        losses = losses.reshape(shape) * scale[:, None, None]
        right = right.reshape(shape)
        found: dict[str, Any] = {}
        for m, law in enumerate(laws):
            found[f"loss {law.name}"] = jnp.mean(losses[m])
            found[f"final {law.name}"] = jnp.mean(losses[m, :, -1])
            if law.binary:
                found[f"accuracy {law.name}"] = jnp.mean(right[m, :, -1])
        return found

    return watch
