"""Reading the weights of a finished training back into a model."""

from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np

from .._arrays import is_array
from .._errors import RunError, SettingError
from .._tensors import read_tensors
from ._store import LAST_WEIGHTS, WEIGHTS
from ._tree import from_arrays


def load_model(
    folder: str | Path, like: Any, *, run: int = 0, last: bool = False
) -> Any:
    """The model of one run of a training `folder`, with the weights of its result.

    `like` is a model of the same structure (such as a fresh `init(key)`); `run` counts
    the runs from 0. The weights are those that the result stands for: averaged where an
    average was asked for, unless `last` asks for those of the last step.

    Raises `RunError` for a folder without finished weights, or those of another model,
    and `SettingError` for a run that there is not.
    """
    path = Path(folder) / WEIGHTS
    if last and (path.parent / LAST_WEIGHTS).exists():
        path = path.parent / LAST_WEIGHTS
    if not path.exists():
        raise RunError(f"{folder} holds no weights: no finished training is there.")
    arrays = read_tensors(path)
    runs = min((len(values) for values in arrays.values() if values.ndim), default=0)
    if not 0 <= run < runs:
        raise SettingError("run", f"{run}", f"a whole number in 0..{runs - 1}")
    leaves, rest = eqx.partition(like, is_array)
    known = {name: np.asarray(values)[run] for name, values in arrays.items()}
    shapes = jax.tree.map(lambda leaf: np.asarray(leaf), leaves)
    return eqx.combine(from_arrays(known, shapes), rest)
