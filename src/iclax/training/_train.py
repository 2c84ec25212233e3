"""Training: one call, any number of runs, one compiled program."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from .._errors import SettingError
from ._average import Average
from ._errors import Diverged
from ._history import History
from ._pace import Pace
from ._plan import Plan
from ._program import CAPACITY, RunState
from ._result import TrainResult
from ._runs import Ensemble, ensemble
from ._target import Target

Progress = Callable[[int, int, Mapping[str, np.ndarray]], None]


def train(
    init: Callable[..., PyTree],
    loss: Callable[..., Any],
    *,
    steps: int,
    seeds: Sequence[int] = (0,),
    optimizer: Any,
    hyper: Mapping[str, Any] | None = None,
    data: PyTree = None,
    watch: Callable[..., Mapping[str, Any]] | None = None,
    record_every: int = 100,
    curriculum: Callable[..., PyTree] | None = None,
    trainable: Callable[[PyTree], PyTree] | None = None,
    target: Target | None = None,
    average: Average | None = None,
    on_divergence: str = "raise",
    progress: Progress | None = None,
    seed_batch: int | None = None,
) -> TrainResult:
    r"""Minimize `loss` over the weights of a model, for many seeds at once.

    Run r starts from `init(fold_in(k, 0))` with k = `jax.random.key(seeds[r])`, and its
    update t = 1..`steps` follows the gradient of `loss(model, fold_in(k, t))`, a scalar
    that draws its own fresh prompts from the key: any batch can be made again. All runs
    are one compiled program, and a run does not depend on the others in it.

    `optimizer` is an `Adam`, `SGD` or `LBFGS`, an optax transformation, or a function
    of the hyper-parameters that returns one. `hyper` holds one value per run under each
    name. Functions get, beside their arguments, those of `hyper`, `data`, `stage` (the
    value of `curriculum(t)`) and `step` that they name as parameters.

    `watch(model)` returns named scalars; it is evaluated inside the program every
    `record_every` steps. `data` is any pytree of arrays that all runs share.
    `trainable(model)` says which arrays learn (a pytree of booleans); `average` keeps
    an average of the weights; `target` ends a run early; `progress` is called with
    (step, steps, metrics) whenever the program hands back, metrics being empty between
    records. `seed_batch` runs are computed at a time (all by default).

    Raises `Diverged` at the first loss or update that is not finite (the weights stay
    at the last finite ones); with `on_divergence="keep"` the other runs go on instead.
    Raises `SettingError` for sizes that do not fit together.
    """
    hyper = {name: jnp.asarray(values) for name, values in (hyper or {}).items()}
    _check(steps, record_every, seeds, hyper, on_divergence)
    plan = Plan(
        init,
        loss,
        optimizer,
        steps,
        record_every,
        watch,
        curriculum,
        trainable,
        target,
        average,
    )
    runs = ensemble(plan, seed_batch)
    began = time.perf_counter()
    states = runs.start(jnp.asarray(np.asarray(seeds, np.uint32)), hyper)
    history, pace, done = History(record_every, steps), Pace(CAPACITY), 0
    while done < steps and np.any(states.active):
        end = pace.next_end(done, steps, record_every)
        states, records = runs.advance(states, data, np.int32(done), np.int32(end))
        rows = history.extend(records, done, end)
        pace.finished(end - done)
        done = end
        _report(progress, rows, done, steps)
        if on_divergence == "raise" and np.any(states.diverged):
            break
    if not np.any(states.active):
        history.cut(int(np.max(states.ended)))
    seconds = time.perf_counter() - began
    result = _result(runs, states, history, seeds, seconds)
    if on_divergence == "raise" and np.any(result.diverged):
        raise _divergence(plan, hyper, result)
    return result


def _check(
    steps: int,
    record_every: int,
    seeds: Sequence[int],
    hyper: Mapping[str, Any],
    on_divergence: str,
) -> None:
    for name, value in (("steps", steps), ("record_every", record_every)):
        if value < 1:
            raise SettingError(name, f"{value}", "a whole number of at least 1")
    if not len(seeds) or not all(0 <= seed < 2**32 for seed in seeds):
        raise SettingError("seeds", f"{list(seeds)}", "whole numbers from 0 to 2³² − 1")
    for name, values in hyper.items():
        if values.shape[:1] != (len(seeds),):
            found = f"an array of shape {values.shape}"
            raise SettingError(
                f"hyper.{name}", found, f"one value per run: {len(seeds)}"
            )
    if on_divergence not in ("raise", "keep"):
        raise SettingError("on_divergence", repr(on_divergence), "'raise' or 'keep'")


def _report(progress: Progress | None, rows: list, done: int, steps: int) -> None:
    if progress is None:
        return
    for step, metrics in rows:
        progress(step, steps, metrics)
    if not rows or rows[-1][0] < done:
        progress(done, steps, {})


def _result(
    runs: Ensemble,
    states: RunState,
    history: History,
    seeds: Sequence[int],
    seconds: float,
) -> TrainResult:
    averaged = states.average
    return TrainResult(
        runs.models(states, states.weights),
        history.steps(),
        history.columns(),
        np.asarray(seeds, np.int64),
        np.asarray(states.ended),
        np.asarray(states.diverged),
        seconds,
        None if averaged is None else runs.models(states, averaged),
    )


def _divergence(plan: Plan, hyper: dict[str, Any], result: TrainResult) -> Diverged:
    run = int(np.argmax(np.where(result.diverged, -result.ended, -np.inf)))
    step = int(result.ended[run])
    own = {name: values[run] for name, values in hyper.items()}
    return Diverged(step, int(result.seeds[run]), plan.rate(step, own), result)
