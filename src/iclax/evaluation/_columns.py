"""Which columns of a table are the loss curves of runs, told by their names."""

import re
from collections.abc import Sequence

_STEP = ("step", "steps", "global_step", "iteration", "iterations", "iter", "epoch")
_STEP += ("epochs", "time", "t")
_RUN = ("seed", "run")
_LOSS = ("loss", "value", "train_loss")
# What is written down beside losses. Exact names: "lr_0.1" may be a run.
_BESIDE = {*_STEP, "wall_time", "walltime", "relative", "relative_time", "runtime"}
_BESIDE |= {"relative_time_process", "relative_time_wall", "timestamp", "datetime"}
_BESIDE |= {"date", "elapsed", "elapsed_time", "seconds", "index", "tokens", "samples"}
_BESIDE |= {"lr", "learning_rate", "grad_norm", "gradient_norm", "acc", "accuracy"}
# What is derived from a curve and stands beside it, as in W&B's `loss__MIN`.
_DERIVED = "min|max|std|stddev|stderr|sem|var|variance|low|high|lower|upper|ema|count"
_DERIVED += "|smooth|smoothed"
_OF_CURVE = re.compile(rf"(.+?)[\W_]+(?:{_DERIVED})\W*")
_FROM_CURVE = re.compile(rf"(?:{_DERIVED})[\W_]+(.+)")


def step_column(names: Sequence[str]) -> int:
    """The first column named as steps are, also "train/global_step", or the first."""
    found = [_plain(name.split("/")[-1]) for name in names]
    return next((found.index(name) for name in _STEP if name in found), 0)


def run_column(names: Sequence[str]) -> int | None:
    """The column that tells which run a row of a long table belongs to."""
    lower = [name.lower() for name in names]
    return next((lower.index(name) for name in _RUN if name in lower), None)


def loss_columns(names: Sequence[str]) -> list[int]:
    """The columns named as a loss is."""
    return [i for i, name in enumerate(names) if name.lower() in _LOSS]


def curve_columns(names: Sequence[str], steps: int) -> list[int]:
    """The one column of losses, or every one that is not known to be another thing.

    Other things are steps, times and what else is logged beside losses, the row numbers
    of pandas, and what is derived from another column and named after it.
    """
    losses = loss_columns(names)
    if len(losses) == 1:
        return losses
    return [
        i
        for i, name in enumerate(names)
        if i != steps and not _is_beside(name) and not _is_derived(name, names)
    ]


def _is_beside(name: str) -> bool:
    """Also of one run ("run-1 - _step") or of a group ("train/lr")."""
    last = re.split(r" - |/", name)[-1]
    return not name or name.startswith("Unnamed:") or _plain(last) in _BESIDE


def _is_derived(name: str, names: Sequence[str]) -> bool:
    """From a column that is there, under its own name or as its mean."""
    lower = name.lower()
    found = _OF_CURVE.fullmatch(lower) or _FROM_CURVE.fullmatch(lower)
    if found is None:
        return False
    stem = re.escape(found[1])
    mean = r"(?:mean|avg|average|median)"
    source = re.compile(rf"{stem}|{stem}[\W_]+{mean}\W*|{mean}[\W_]+{stem}")
    return any(source.fullmatch(other.lower()) for other in names if other != name)


def _plain(name: str) -> str:
    """Lower case, words joined by underscores: "Wall time" and "_step" are known."""
    return re.sub(r"[\W_]+", "_", name.lower()).strip("_")
