"""What `train` refuses before it compiles anything."""

import numbers
import operator
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, PyTree

from .._arrays import is_array
from .._errors import SettingError
from ._average import Average
from ._plan import Plan
from ._target import Target

# Steps are counted in int32 on the device.
_MOST = 2**31 - 1


def whole(name: str, value: Any, least: int = 1, most: int = _MOST) -> int:
    """`value` as an int; raises `SettingError` unless it is one from least to most."""
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if not least <= number <= most:
        allowed = f"a whole number from {least} to {most}"
        raise SettingError(name, repr(value), allowed)
    return number


def whole_seeds(seeds: Any) -> list[int]:
    """Seeds as ints; raises `SettingError` unless there is one and all are 32 bits."""
    try:
        values = list(seeds)
    except TypeError:
        values = []
    if not values:
        raise SettingError("seeds", repr(seeds), "a sequence of at least one number")
    return [whole(f"seeds[{i}]", s, 0, 2**32 - 1) for i, s in enumerate(values)]


def runs_of(hyper: Mapping[str, Any] | None, runs: int) -> dict[str, Array]:
    """`hyper` as arrays; raises `SettingError` unless there is a value per run."""
    arrays = {name: jnp.asarray(values) for name, values in (hyper or {}).items()}
    for name, values in arrays.items():
        if values.shape[:1] != (runs,):
            found = f"an array of shape {values.shape}"
            raise SettingError(f"hyper.{name}", found, f"one value per run: {runs}")
    return arrays


def as_arrays(data: PyTree) -> PyTree:
    """`data` with its numbers as arrays; raises `SettingError` for anything else."""

    def array(path: Any, leaf: Any) -> Any:
        if is_array(leaf):
            return leaf
        if isinstance(leaf, (numbers.Number, np.generic)):
            return jnp.asarray(leaf)
        name = "data" + jax.tree_util.keystr(path)
        raise SettingError(name, f"a {type(leaf).__name__}", "arrays and numbers")

    return jax.tree_util.tree_map_with_path(array, data)


def check_plan(plan: Plan, hyper: Mapping[str, Any]) -> None:
    """Raise `SettingError` for parts of a plan that cannot be what was meant."""
    optimizer = plan.optimizer
    builds = hasattr(optimizer, "build") or callable(optimizer)
    rule = isinstance(optimizer, optax.GradientTransformation)
    if isinstance(optimizer, type) or not (builds or rule):
        allowed = "Adam(...), SGD(...), LBFGS(), an optax transformation or a function"
        raise SettingError("optimizer", repr(optimizer), allowed + " of hyper")
    for name, kind in (("target", Target), ("average", Average)):
        value = getattr(plan, name)
        if not isinstance(value, (kind, type(None))):
            raise SettingError(name, repr(value), f"{kind.__name__}(...) or None")
    if not plan.diverged_above > 0:
        found = repr(plan.diverged_above)
        raise SettingError("diverged_above", found, "a number above 0")
    read = plan.hyper_names()
    for name in hyper:
        if read is not None and name not in read:
            fields = ", ".join(sorted(read)) or "none"
            allowed = f"a field of the optimizer ({fields}), or any name once init, "
            allowed += "loss or watch has a parameter called hyper"
            raise SettingError(f"hyper.{name}", "a name that nothing reads", allowed)


def check_learning(weights: PyTree) -> None:
    """Raise `SettingError` unless these are real numbers, and any at all."""
    leaves = jax.tree.leaves(weights)
    if not leaves:
        allowed = "a model with floating-point arrays, some of them trainable"
        raise SettingError("init", "a model of which nothing can learn", allowed)
    if any(jnp.iscomplexobj(leaf) for leaf in leaves):
        allowed = "real ones: the real and the imaginary part, say"
        raise SettingError("init", "complex weights", allowed)


def check_devices(devices: Sequence[Any], runs: int, parts: int) -> None:
    """Raise `SettingError` unless the devices can share the runs, or their parts."""
    count = len(devices)
    if count < 1 or (runs % count and parts % count):
        allowed = f"a number that divides the {runs} runs"
        if parts > 1:
            allowed += f", or the {parts} micro-batches of a step"
        else:
            allowed += ", or accumulate, the micro-batches of a step (now 1)"
        raise SettingError("devices", f"{count}", allowed)
    if len(set(devices)) < count:
        raise SettingError("devices", "a device named twice", "each device once")
