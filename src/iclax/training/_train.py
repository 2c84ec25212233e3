"""Training: one call, any number of runs, one compiled program."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxtyping import PyTree

from .._errors import SettingError
from ._average import Average
from ._checks import (
    as_arrays,
    check_devices,
    check_plan,
    runs_of,
    whole,
    whole_seeds,
)
from ._plan import Plan
from ._precision import product_precision
from ._progress import Progress
from ._result import TrainResult
from ._runs import ensemble
from ._session import Session
from ._target import Target


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
    accumulate: int = 1,
    matmul_precision: str | None = None,
    diverged_above: float = float("inf"),
    on_divergence: str = "raise",
    progress: Progress | None = None,
    folder: str | Path | None = None,
    checkpoint_every: float = 60.0,
    seed_batch: int | None = None,
    devices: Sequence[Any] | None = None,
) -> TrainResult:
    r"""Minimize `loss` over the weights of a model, for many seeds at once.

    Run r starts from `init(fold_in(k, 0))` with k = `jax.random.key(seeds[r])`, and its
    update t = 1..`steps` follows the gradient of `loss(model, fold_in(k, t))`, a scalar
    that draws its own fresh prompts from the key: any batch can be made again. All runs
    are one compiled program, and a run depends on the others in it by rounding only:
    some 1e-7 a step in float32, which unstable training amplifies.

    `optimizer` is an `Adam`, `SGD` or `LBFGS`, an optax transformation, or a function
    of the hyper-parameters that returns one. `hyper` holds one value per run under each
    name; one named like a field of the optimizer replaces it. Functions get, beside
    their arguments, what they name as parameters: `loss` of `hyper`, `data`, `step` and
    `stage` (the value of `curriculum(t)`), `watch` of `hyper`, `data` and `step`,
    `init` of `hyper`.

    `watch(model)` returns named scalars; it is evaluated inside the program every
    `record_every` steps. `data` is any pytree of arrays that all runs share.
    `trainable(model)` says which arrays learn (a pytree of booleans); `average` keeps
    an average of the weights; `target` ends a run early; `progress` is called with
    (step, steps, metrics) whenever the program hands back, metrics being empty between
    records. A step averages the gradients of `accumulate` micro-batches, drawn from
    `fold_in(fold_in(k, t), i)` where there are several. `matmul_precision` is
    "float32", "tensorfloat32" or "bfloat16" (sums in float32), for devices that have
    them. `seed_batch` runs are computed at a time (all by default), and an equal share
    of the runs on each of `devices`; devices that do not divide the runs share the
    `accumulate` micro-batches of each step instead.

    With a `folder`, everything is saved there every `checkpoint_every` seconds and at
    the end; the same call goes on from what it finds and ends bit for bit as if it had
    never stopped. Ctrl-C (and SIGTERM, with a folder) saves and raises `Interrupted`.

    Raises `Diverged` at the first loss or update that is not finite, or loss beyond
    `diverged_above`; the weights stay at the last good ones, and with
    `on_divergence="keep"` the other runs go on instead. Raises `SettingError` for sizes
    that do not fit together, and `RunError` for a folder that is in use, cannot be
    written, is damaged or belongs to another run.
    """
    steps, accumulate = whole("steps", steps), whole("accumulate", accumulate)
    record_every, seeds = whole("record_every", record_every), whole_seeds(seeds)
    if seed_batch is not None:
        seed_batch = whole("seed_batch", seed_batch)
    if on_divergence not in ("raise", "keep"):
        raise SettingError("on_divergence", repr(on_divergence), "'raise' or 'keep'")
    if devices is not None:
        check_devices(devices, len(seeds), accumulate)
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
        accumulate,
        diverged_above,
        product_precision(matmul_precision),
    )
    values = runs_of(hyper, len(seeds))
    check_plan(plan, values)
    runs = ensemble(plan, seed_batch, None if devices is None else tuple(devices))
    session = Session(
        plan,
        runs,
        seeds,
        values,
        runs.share(as_arrays(data)),
        progress,
        None if folder is None else Path(folder),
        checkpoint_every,
        on_divergence == "keep",
    )
    return session.train()
