"""What a training returns."""

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from .._arrays import is_array


@dataclass(frozen=True, eq=False)
class TrainResult:
    """Trained models and what was recorded on the way.

    `model` holds all runs: every array has a leading axis of runs. `history` maps a
    name to its values, shape (runs, records); row `j` was recorded after `steps[j]`
    updates. "loss" is the mean training loss since the record before (`minimize`: the
    value after the iteration). A run that diverges before its first record has none.
    `averaged` is the average of the weights where one was asked for.

    `ended` is the step at which a run stopped learning (the last step unless it
    reached its target or diverged) and `diverged` marks the runs that left the finite
    numbers. `seconds` is the wall time of the steps, that of compiling them included;
    of all parts of a training that was resumed.
    """

    model: Any
    steps: Int[np.ndarray, " records"]
    history: dict[str, Float[np.ndarray, "runs records"]]
    seeds: Int[np.ndarray, " runs"]
    ended: Int[np.ndarray, " runs"]
    diverged: Bool[np.ndarray, " runs"]
    seconds: float
    averaged: Any = None

    def model_of(self, run: int) -> Any:
        """The trained model of one run."""
        return select_run(self.model, run)

    def averaged_of(self, run: int) -> Any:
        """The averaged weights of one run."""
        return select_run(self.averaged, run)


def select_run(stacked: Any, run: int) -> Any:
    """Index `run` of the leading axis of every array leaf."""
    arrays, rest = eqx.partition(stacked, is_array)
    return eqx.combine(jax.tree.map(lambda leaf: leaf[run], arrays), rest)
