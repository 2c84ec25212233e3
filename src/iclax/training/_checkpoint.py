"""Checkpoints: everything a training needs to go on, checked when it is read."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .._errors import RunError
from .._files import write_atomic
from .._tensors import pack, unpack

FORMAT = 1
KEPT = 2


@dataclass(frozen=True)
class Checkpoint:
    """The arrays after `step` updates, and notes that go with them."""

    step: int
    arrays: dict[str, np.ndarray]
    notes: dict[str, Any]


def save(folder: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint and drop all but the newest two.

    The arrays go first and a JSON file with their checksum second, both atomically: a
    checkpoint exists once its JSON file does, and the ones before it are deleted last.
    """
    content = pack(checkpoint.arrays)
    name = f"step-{checkpoint.step:012d}"
    write_atomic(folder / f"{name}.safetensors", content)
    description = {
        "format": FORMAT,
        "step": checkpoint.step,
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "arrays": {
            key: [str(values.dtype), list(values.shape)]
            for key, values in checkpoint.arrays.items()
        },
        "notes": checkpoint.notes,
    }
    text = json.dumps(description, indent=1, sort_keys=True)
    write_atomic(folder / f"{name}.json", text.encode())
    _keep(folder, _names(folder)[-KEPT:])


def newest(folder: Path) -> Checkpoint | None:
    """The newest checkpoint that is whole; None in a folder without any.

    A damaged one is passed over for the one before, and deleted. Raises `RunError`
    where there are checkpoints and all are damaged.
    """
    names, problems = _names(folder), []
    for i, name in reversed(list(enumerate(names))):
        try:
            found = _read(folder, name)
        except (OSError, ValueError, KeyError, TypeError) as error:
            problems.append(f"{name} ({error})")
            continue
        _keep(folder, names[: i + 1])
        return found
    if problems:
        raise RunError(
            f"no checkpoint in {folder} can be used: {'; '.join(problems)}. Delete the "
            "folder to start again."
        )
    return None


def _keep(folder: Path, names: list[str]) -> None:
    """Delete the files of other checkpoints, those without their second file too."""
    for path in sorted(folder.glob("step-*")):  # .json first: then it is none
        if path.stem not in names:
            path.unlink(missing_ok=True)


def _names(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("step-*.json"))


def _read(folder: Path, name: str) -> Checkpoint:
    description: Mapping[str, Any] = json.loads((folder / f"{name}.json").read_text())
    if description["format"] != FORMAT:
        raise ValueError(f"format {description['format']}, this version reads {FORMAT}")
    content = (folder / f"{name}.safetensors").read_bytes()
    if hashlib.sha256(content).hexdigest() != description["sha256"]:
        raise ValueError("its checksum does not fit")
    return Checkpoint(description["step"], unpack(content), description["notes"])
