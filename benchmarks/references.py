"""Reference predictors at every point of many prompts."""

import os
import time
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from steps import linear_prompts
from timing import Row, in_turn, wait

from iclax.predictors import (
    DiscreteMMSE,
    LeastSquares,
    Ridge,
    batch_prefixes,
    points,
    prefixes,
)
from iclax.sampling import fresh_batch

D, N, SIGMA = 8, 15, 0.5
OFTEN = 10  # calls of what is short, a turn


def prompts(count: int) -> Any:
    """Prompts of 16 points."""
    return jax.jit(fresh_batch(linear_prompts(D, N, SIGMA), count))(jr.key(1))


def dmmse(repeats: int, quick: bool) -> list[Row]:
    """dMMSE at the points of 4096 prompts over 4096 tasks, d = 8: a device a core."""
    # The baseline takes as long with it.
    jax.config.update("jax_num_cpu_devices", len(os.sched_getaffinity(0)))
    count, tasks = (64, 512) if quick else (4096, 4096)
    pool, data = jr.normal(jr.key(0), (tasks, D)), prompts(count)
    predictor = DiscreteMMSE(pool, SIGMA)
    ours = partial(batch_prefixes, predictor, devices=jax.devices())

    @jax.jit
    def again(data: Any) -> Any:
        """Each prefix from its own residuals, as the peers' code does."""
        at = jnp.concatenate([data.xs, data.query[:, None]], 1)
        found = [at[:, 0] @ jnp.mean(pool, 0)]
        for i in range(1, N + 1):
            residuals = data.ys[:, :i, None] - at[:, :i] @ pool.T
            log_likelihood = -jnp.sum(residuals**2, 1) / (2 * SIGMA**2)
            w = jax.nn.softmax(log_likelihood, 1) @ pool
            found.append(jnp.sum(at[:, i] * w, 1))
        return jnp.stack(found, 1)

    gap = float(np.max(np.abs(np.asarray(ours(data)) - np.asarray(again(data)))))
    often = lambda data: [ours(data) for _ in range(OFTEN)]
    calls = {
        "ours": (wait(often, data), OFTEN),
        "each prefix": (wait(again, data), 1),
    }
    found = in_turn(calls, repeats)
    case = f"dMMSE, {count} prompts × {tasks} tasks × 16"
    theirs = found["each prefix"]
    note = f"largest difference {gap:.1g}"
    rows = [Row(case, found["ours"], "each prefix anew, JAX", theirs, 30.0, note)]
    return rows if quick else [*rows, large_pool()]


def large_pool() -> Row:
    """2²⁰ tasks for 64 prompts: the time, and the memory the compiler plans for."""
    predictor = DiscreteMMSE(jr.normal(jr.key(0), (2**20, D)), SIGMA)
    data = prompts(64)
    run = jax.jit(jax.vmap(lambda p: prefixes(predictor, p))).lower(data).compile()
    start = time.perf_counter()
    jax.block_until_ready(run(data))
    seconds = time.perf_counter() - start
    scratch = run.memory_analysis().temp_size_in_bytes / 2**20
    note = f"scratch memory {scratch:.0f} MiB"
    return Row("dMMSE, 64 prompts × 2²⁰ tasks", seconds, "itself", seconds, None, note)


def ridge(repeats: int, quick: bool) -> list[Row]:
    """Ridge regression and least squares at the points of 4096 prompts, d = 8."""
    count = 64 if quick else 4096
    data = prompts(count)

    def asked(predictor: Any, i: int, prompt: Any) -> Any:
        """The prediction at point i from those before it."""
        at = points(prompt)
        return predictor(prompt._replace(xs=at[:i], ys=prompt.ys[:i], query=at[i]))

    def anew(predictor: Any) -> Any:
        # One after the other: XLA may hang on many singular value decompositions.
        calls = [
            jax.jit(jax.vmap(partial(asked, predictor, i))) for i in range(1, N + 1)
        ]
        return lambda data: [jax.block_until_ready(call(data)) for call in calls]

    rows = []
    for name, predictor in (("ridge", Ridge(0.25)), ("least squares", LeastSquares())):
        ours = partial(batch_prefixes, predictor, batch_size=256)
        often = lambda data, ours=ours: [ours(data) for _ in range(OFTEN)]
        calls = {
            "ours": (wait(often, data), OFTEN),
            "anew": (wait(anew(predictor), data), 1),
        }
        found = in_turn(calls, repeats)
        case = f"{name}, {count} prompts × 16"
        rows.append(Row(case, found["ours"], "each prefix anew, JAX", found["anew"]))
    return rows


CASES = {"dmmse": dmmse, "ridge": ridge}
