"""Whether a folder's checkpoints belong to the training that wants to use them."""

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from .._errors import RunError
from ._plan import Plan
from ._tree import to_arrays

# What may change between the first part of a run and the next; the program text then
# changes too, and the last bits of the results with it.
_SURROUNDINGS = ("jax", "device")
_TEXTS = ("program", "init")
_DESCRIBED = ("optimizer", "average", "target", "matmul_precision")
_ADVICE = "Choose another folder, or give the command that began this run"


def identity(
    plan: Plan,
    seeds: Sequence[int],
    hyper: Mapping[str, Any],
    data: PyTree,
    program: str,
    init: str,
) -> dict[str, Any]:
    """What must agree for a training to go on from a checkpoint, bit for bit.

    `program` is the text of the compiled program and `init` that of its start; they
    stand for all functions. What describes itself is named beside them, to tell what
    differs and to be compared where the texts cannot be.
    """
    return {
        "steps": plan.steps,
        "record_every": plan.record_every,
        "accumulate": plan.accumulate,
        "diverged_above": repr(plan.diverged_above),
        **{name: _described(getattr(plan, name)) for name in _DESCRIBED},
        "seeds": [int(seed) for seed in seeds],
        "hyper": _digest(hyper),
        "data": _digest(data),
        "program": hashlib.sha256(program.encode()).hexdigest(),
        "init": hashlib.sha256(init.encode()).hexdigest(),
        "jax": jax.__version__,
        "device": jax.devices()[0].device_kind,
    }


def check_identity(
    folder: Path, saved: Mapping[str, Any], own: Mapping[str, Any]
) -> None:
    """Raise `RunError` if the folder belongs to another training.

    Warns where only JAX or the device changed: the run goes on, but not bit for bit.
    """
    changed = [name for name in own if own[name] != saved.get(name, own[name])]
    surroundings = [name for name in changed if name in _SURROUNDINGS]
    if surroundings:
        changed = [n for n in changed if n not in (*_SURROUNDINGS, *_TEXTS)]
    named = [name for name in changed if name not in _TEXTS]
    changed = named or changed[:1]  # what is named explains another program and start
    if changed:
        what = ", ".join(_difference(name, saved, own) for name in changed)
        raise RunError(f"{folder} belongs to another training: {what}. {_ADVICE}.")
    if surroundings:
        what = ", ".join(_difference(name, saved, own) for name in surroundings)
        warnings.warn(
            f"{folder} was begun elsewhere: {what}. It goes on, not bit for bit, and "
            "whether loss and model are the same could not be checked.",
            stacklevel=2,
        )


def _difference(name: str, saved: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    if name in ("seeds", "hyper", "data"):
        return f"other {name}"
    if name == "program":
        return "another loss, model, watch, seed_batch or devices"
    if name == "init":
        return "another init"
    return f"{name} {saved.get(name)} there, {own[name]} here"


def _described(value: Any) -> str:
    """The text of a description; of anything else only its type, as texts of functions
    hold addresses that change from process to process."""
    text = repr(value)
    return type(value).__name__ if " at 0x" in text else text


def _digest(tree: Any) -> str:
    digest = hashlib.sha256()
    for name, values in sorted(to_arrays(tree).items()):
        digest.update(f"{name} {values.dtype} {values.shape}".encode())
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()
