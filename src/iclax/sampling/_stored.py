"""Prompts drawn once and kept."""

from collections.abc import Callable
from typing import Any

import jax
import jax.random as jr

from ..prompts import Prompt
from ._size import check_batch_size


def stored_batch(
    prompts: Prompt, batch_size: int | None = None
) -> Callable[[Any], Prompt]:
    """A function of a key that returns prompts of a fixed data set.

    `prompts` has a leading axis of P prompts. Without `batch_size` all of them, each
    time (full batch); else that many, drawn with replacement. Raises `SettingError` for
    a batch below 1.
    """
    if batch_size is None:
        return lambda key: prompts
    check_batch_size(batch_size)
    count = prompts.ys.shape[0]

    def sample(key: Any) -> Prompt:
        chosen = jr.randint(key, (batch_size,), 0, count)
        return jax.tree.map(lambda leaf: leaf[chosen], prompts)

    return sample
