"""Minimizing a function of the weights alone, such as an exact population risk."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PyTree

from .._arrays import is_array
from .._compile import quick_options
from ._captured import captured
from ._checks import check_learning, whole, whole_seeds
from ._errors import Diverged
from ._result import TrainResult


def minimize(
    init: Callable[..., PyTree],
    objective: Callable[..., Any],
    *,
    steps: int = 1000,
    tolerance: float = 0.0,
    seeds: Sequence[int] = (0,),
    memory: int = 20,
) -> TrainResult:
    r"""Minimize `objective(model)`, which draws nothing, from one start per seed.

    L-BFGS with `memory` past steps from `init(fold_in(key(seed), 0))`, for at most
    `steps` iterations, until no entry of the gradient exceeds `tolerance` or rounding
    leaves nothing to gain. `history["loss"]` is the value after each iteration, kept
    once a run has ended at `ended`.

    Everything is computed in float64, whatever JAX's flag says, and the models come
    back with NumPy arrays, so that nothing rounds them later. The driver is SciPy's,
    which needs no more than a compiled gradient. For very many starts at once use
    `train` with `optimizer=LBFGS()`. Raises `Diverged` where the objective is not
    finite, and `SettingError` for weights that are not real numbers.
    """
    began = time.perf_counter()
    steps, seeds = whole("steps", steps), whole_seeds(seeds)
    # Exact objectives are worth exact arithmetic; the context leaves the flag alone.
    with jax.enable_x64(True):
        problem = _cached(init, objective, captured(init, objective))
        paths = [problem.descend(seed, steps, tolerance, memory) for seed in seeds]
    ended = np.array([len(path.values) - 1 for path in paths])
    records = max(int(ended.max()), 1)  # where every start was an optimum, its value
    losses = np.stack([path.padded(records) for path in paths])
    result = TrainResult(
        _stack([path.model for path in paths]),
        np.arange(1, records + 1),
        {"loss": losses},
        np.asarray(seeds, np.int64),
        ended,
        ~np.isfinite([path.values[-1] for path in paths]),
        time.perf_counter() - began,
    )
    if result.diverged.any():
        run = int(np.argmax(result.diverged))
        raise Diverged(int(ended[run]), int(seeds[run]), None, result)
    return result


@dataclass(frozen=True)
class Path:
    """Where a descent ended and the values on the way, that of the start first."""

    model: PyTree
    values: list[float]

    def padded(self, length: int) -> Float[np.ndarray, " {length}"]:
        """The values after each iteration, the last repeated up to `length`."""
        own = self.values[1:]
        return np.array(own + [self.values[-1]] * (length - len(own)))


class _Problem:
    def __init__(self, init: Callable[..., PyTree], objective: Callable[..., Any]):
        self._objective = objective
        options = quick_options()
        self._start = jax.jit(
            lambda key: eqx.filter(_in_float64(init(jr.fold_in(key, 0))), eqx.is_array),
            compiler_options=options,
        )
        shape = eqx.filter_eval_shape(init, jr.key(0))
        is_array = lambda leaf: isinstance(leaf, jax.ShapeDtypeStruct)
        self._static = eqx.filter(shape, is_array, inverse=True)
        self._slope = jax.jit(jax.value_and_grad(self._value), compiler_options=options)

    def _value(self, flat: Float[Array, " p"], start: PyTree) -> Float[Array, ""]:
        return self._objective(self._model(flat, start))

    def _model(self, flat: Float[Array, " p"], start: PyTree) -> PyTree:
        weights, rest = eqx.partition(start, eqx.is_inexact_array)
        return eqx.combine(ravel_pytree(weights)[1](flat), rest, self._static)

    def descend(self, seed: int, steps: int, tolerance: float, memory: int) -> Path:
        """One L-BFGS descent."""
        from scipy.optimize import minimize

        start = self._start(jr.key(seed))
        leaves = jax.tree.leaves(eqx.filter(start, eqx.is_inexact_array))
        check_learning(leaves)
        flat = np.concatenate([np.ravel(leaf) for leaf in leaves])

        def slope(point: np.ndarray) -> tuple[float, np.ndarray]:
            value, gradient = self._slope(point.astype(flat.dtype), start)
            return float(value), np.asarray(gradient, np.float64)

        values = [slope(flat)[0]]
        options = {"maxiter": steps, "maxfun": 20 * steps, "maxcor": memory}
        found = minimize(
            slope,
            flat.astype(np.float64),
            jac=True,
            method="L-BFGS-B",
            callback=lambda intermediate_result: values.append(intermediate_result.fun),
            options=options | {"gtol": tolerance, "ftol": 0.0},
        )
        weights, rest = jax.device_get(eqx.partition(start, eqx.is_inexact_array))
        weights = _unraveled(weights, found.x)
        return Path(eqx.combine(weights, rest, self._static), values)


def _in_float64(model: PyTree) -> PyTree:
    """The model with float64 weights, also where a float32 one is the start."""

    def cast(leaf: Any) -> Any:
        if not is_array(leaf) or not jnp.issubdtype(leaf.dtype, jnp.floating):
            return leaf
        return jnp.asarray(leaf, jnp.float64)

    return jax.tree.map(cast, model)


def _unraveled(like: PyTree, flat: Float[np.ndarray, " p"]) -> PyTree:
    """The inverse of `ravel_pytree` in NumPy, where nothing is compiled."""
    leaves, structure = jax.tree.flatten(like)
    pieces = np.split(flat, np.cumsum([leaf.size for leaf in leaves])[:-1])
    shaped = [
        piece.reshape(leaf.shape).astype(leaf.dtype)
        for piece, leaf in zip(pieces, leaves, strict=True)
    ]
    return jax.tree.unflatten(structure, shaped)


def _stack(models: list[PyTree]) -> PyTree:
    arrays = [eqx.filter(model, is_array) for model in models]
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *arrays)
    return eqx.combine(stacked, models[0])


@lru_cache(maxsize=32)
def _cached(
    init: Callable[..., PyTree], objective: Callable[..., Any], reads: tuple
) -> _Problem:
    return _Problem(init, objective)
