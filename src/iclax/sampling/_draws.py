"""Draws that come from their key alone: what `jax.jit` takes for granted."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from .._arrays import is_traced
from .._errors import SettingError
from ..covariates import Covariates
from ..prompts import PromptDistribution
from ..tasks import Mixture, Projected, TaskDistribution


def check_draws(prompts: PromptDistribution) -> None:
    """Raise `SettingError` for distributions of one's own that draw without their key.

    Numbers from `np.random` are drawn once, while a program is compiled, and are the
    same in every prompt after that. Asked twice with one key, they differ.
    """
    check_tasks(prompts.tasks)
    for name in ("covariates", "query_covariates"):
        law = getattr(prompts, name)
        if isinstance(law, Covariates) and not _is_ours(law):
            _check_repeatable(name, law, lambda key, law=law: law.sample(key, 2))


def check_tasks(tasks: TaskDistribution) -> None:
    """`check_draws` for tasks, and those that they are made of."""
    for part in _parts(tasks):
        if not _is_ours(part):
            at = np.ones((2, part.dim))
            _check_repeatable("tasks", part, lambda key, t=part, x=at: t.sample(key, x))


def _parts(tasks: TaskDistribution) -> Iterator[TaskDistribution]:
    yield tasks
    inner = tasks.components if isinstance(tasks, Mixture) else ()
    inner = (tasks.tasks,) if isinstance(tasks, Projected) else inner
    for part in inner:
        yield from _parts(part)


def _check_repeatable(name: str, source: Any, draw: Callable[[Any], Any]) -> None:
    with jax.ensure_compile_time_eval():
        first, second = draw(jr.key(0)), draw(jr.key(0))
        if is_traced(first, second):
            return  # traced parameters: there is nothing to compare yet
        same = jnp.shape(first) == jnp.shape(second) and np.array_equal(
            np.asarray(first), np.asarray(second), equal_nan=True
        )
    if not same:
        found = f"draws of {type(source).__name__} that differ for one and the same key"
        allowed = "draws that come from their key (jax.random, not numpy.random)"
        raise SettingError(name, found, allowed)


def _is_ours(value: Any) -> bool:
    return type(value).__module__.startswith("iclax.")
