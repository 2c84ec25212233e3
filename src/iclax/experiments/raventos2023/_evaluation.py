"""A trained decoder against dMMSE and ridge: on the pool, on new tasks, in between."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Float

from ..._arrays import Array
from ...predictors import DiscreteMMSE, Ridge, batch_prefixes
from ._training import Plan, draw_prompts

LAWS = ("pretraining", "new")


def test_tasks(
    plan: Plan, pool: Float[Array, "k d"], key: Any
) -> dict[str, Float[Array, "t d"]]:
    """Task vectors of the pool, new ones, and those on paths between two of the pool.

    A path is $w_α = \\frac12 (‖w_i‖ + ‖w_j‖) u/‖u‖$, u = (1 − α) w_i + α w_j.
    """
    pick_key, new_key, pair_key = jr.split(key, 3)
    picked = jr.randint(pick_key, (plan.test_prompts,), 0, len(pool))
    first = jr.randint(pair_key, (plan.pairs,), 0, len(pool))
    step = jr.randint(jr.fold_in(pair_key, 1), (plan.pairs,), 1, len(pool))
    ends = pool[first], pool[(first + step) % len(pool)]
    alphas = jnp.linspace(0.0, 1.0, plan.path_points)[:, None, None]
    between = (1 - alphas) * ends[0][None] + alphas * ends[1][None]
    norms = [jnp.linalg.norm(end, axis=1, keepdims=True)[None] for end in ends]
    length = jnp.linalg.norm(between, axis=2, keepdims=True)
    path = between / length * (norms[0] + norms[1]) / 2
    return {
        "pretraining": pool[picked],
        "new": jr.normal(new_key, (plan.test_prompts, plan.dim)),
        "path": jnp.repeat(path.reshape(-1, plan.dim), plan.path_prompts, axis=0),
    }


@partial(jax.jit, static_argnums=0)
def measure(plan: Plan, model: Any, pool: Float[Array, "k d"], key: Any) -> Any:
    """How `model`, a decoder, does against the reference predictors.

    Risks (noiseless target) and distances of predictions, over d and averaged over the
    points of the prompts, by law; and risks along the paths.
    """
    key, prompt_key = jr.split(key)
    tasks = test_tasks(plan, pool, key)
    prompts, targets, _ = draw_prompts(
        plan, jnp.concatenate(list(tasks.values())), prompt_key
    )
    references = {
        "dmmse": DiscreteMMSE(pool, plan.noise_variance**0.5),
        "ridge": Ridge(plan.noise_variance),
    }
    predicted = {"transformer": model.batch_prefixes(prompts)} | {
        name: batch_prefixes(one, prompts) for name, one in references.items()
    }
    error = lambda a, b: jnp.mean((a - b) ** 2, axis=1) / plan.dim
    risks = {name: error(values, targets) for name, values in predicted.items()}
    gaps = {
        name: error(predicted["transformer"], predicted[name]) for name in references
    }
    n = plan.test_prompts
    parts = {"pretraining": slice(0, n), "new": slice(n, 2 * n)}
    shape = (plan.path_points, -1)
    return {
        "risks": {
            law: {name: jnp.mean(r[part]) for name, r in risks.items()}
            for law, part in parts.items()
        },
        "distances": {
            law: {name: jnp.mean(g[part]) for name, g in gaps.items()}
            for law, part in parts.items()
        },
        "path": {
            name: jnp.mean(r[2 * n :].reshape(shape), axis=1)
            for name, r in risks.items()
        },
    }
