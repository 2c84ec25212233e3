"""The compiled program: any number of steps of many runs, records included."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from .._errors import SettingError
from .._threefry import fold_in
from ._checks import check_learning
from ._compensated import Compensated
from ._plan import Plan, call
from ._target import Target

Objective = Callable[[PyTree], Float[Array, ""]]

# Records that one call of the program can hand back.
CAPACITY = 128


class RunState(NamedTuple):
    """Everything a run needs to go on: one run here, a leading axis of runs outside."""

    weights: PyTree
    fixed: PyTree
    optimizer: PyTree
    average: Compensated | None
    key: Key[Array, ""]
    hyper: dict[str, Any]
    loss_sum: Compensated
    active: Bool[Array, ""]
    diverged: Bool[Array, ""]
    ended: Int[Array, ""]


class Records(NamedTuple):
    """What a call of the program recorded: `count` valid rows."""

    values: dict[str, Float[Array, " capacity"]]
    count: Int[Array, ""]


def run_key(seed: Int[Array, ""]) -> Key[Array, ""]:
    """The key of a run; update t (from 1) draws from `fold_in(run_key(seed), t)`."""
    return jr.key(seed)


class Shares(NamedTuple):
    """Devices that share the micro-batches of each step: their mesh axis and number."""

    axis: str
    count: int


class Program:
    """One run of a plan: `start` makes its state, `advance` takes it on.

    With `shares`, every device has the whole state and its part of the micro-batches.
    """

    def __init__(self, plan: Plan, hyper: dict[str, Any], shares: Shares | None = None):
        self._plan, self._shares = plan, shares
        model = eqx.filter_eval_shape(self._model, jr.key(0), hyper)
        # Functions and other leaves that are not arrays are the same in every run.
        self._static = eqx.filter(model, _is_array, inverse=True)

    def _model(self, key: Key[Array, ""], hyper: dict[str, Any]) -> PyTree:
        model = call(self._plan.init, jr.fold_in(key, 0), hyper=hyper)
        numpy = lambda leaf: isinstance(leaf, np.ndarray)
        return jax.tree.map(lambda a: jnp.asarray(a) if numpy(a) else a, model)

    def start(self, key: Key[Array, ""], hyper: dict[str, Any]) -> RunState:
        """The state of one run before its first update."""
        plan = self._plan
        arrays = eqx.filter(self._model(key, hyper), eqx.is_array)
        weights, fixed = eqx.partition(arrays, _trainable(plan, arrays))
        state = RunState(
            weights,
            fixed,
            plan.transformation(hyper).init(weights),
            Compensated.of(weights) if plan.average else None,
            key,
            hyper,
            Compensated.of(jnp.zeros(())),
            jnp.array(True),
            jnp.array(False),
            jnp.array(plan.steps, jnp.int32),
        )
        # Weak types would change at the first update, and with them the program.
        return jax.tree.map(_strong, state)

    def model(self, state: RunState, weights: PyTree) -> PyTree:
        """The model with these weights."""
        return eqx.combine(weights, state.fixed, self._static)

    def advance(
        self,
        state: RunState,
        data: PyTree,
        start: Int[Array, ""],
        end: Int[Array, ""],
    ) -> tuple[RunState, Records]:
        """One run from `start` updates to `end`, stopping for each record between."""
        plan = self._plan
        blank = jax.eval_shape(lambda s: self._measure(s, data, start, end), state)
        values = {k: jnp.zeros(CAPACITY, v.dtype) for k, v in blank[1].items()}

        def unfinished(carry):
            return carry[1] < end

        def segment(carry):
            state, done, records = carry
            boundary = (done // plan.record_every + 1) * plan.record_every
            stop = jnp.minimum(jnp.minimum(boundary, plan.steps), end)
            state = lax.fori_loop(
                done + 1,
                stop + 1,
                lambda t, s: self._step(t, s, data),
                state,
            )
            due = (stop == boundary) | (stop == plan.steps)
            state, found = lax.cond(
                due,
                lambda s: self._measure(s, data, stop, boundary),
                lambda s: (s, {k: jnp.zeros((), v.dtype) for k, v in blank[1].items()}),
                state,
            )
            rows = {
                k: v.at[records.count].set(found[k]) for k, v in records.values.items()
            }
            return state, stop, Records(rows, records.count + due)

        first = (state, start, Records(values, jnp.zeros((), jnp.int32)))
        state, _, records = lax.while_loop(unfinished, segment, first)
        return state, records

    def _step(self, step: Int[Array, ""], state: RunState, data: PyTree) -> RunState:
        plan = self._plan
        objective, parts = self._objective(step, state, data)
        value, gradient = mean_value_and_grad(
            parts, state.weights, plan.accumulate, self._shares
        )
        updates, optimizer = plan.transformation(state.hyper).update(
            gradient,
            state.optimizer,
            state.weights,
            value=value,
            grad=gradient,
            value_fn=objective,
        )
        good = jnp.isfinite(value) & jnp.isfinite(optax.tree.norm(updates))
        good = good & (value <= plan.diverged_above)
        weights = optax.apply_updates(state.weights, updates)
        average = state.average
        if plan.average is not None:
            average = plan.average.update(average, weights, step, plan.steps)
        moved = state._replace(weights=weights, optimizer=optimizer, average=average)
        kept = _where(state.active & good, moved, state)
        lost = state.active & ~good
        return kept._replace(
            loss_sum=state.loss_sum.plus(value),
            active=state.active & good,
            diverged=state.diverged | lost,
            ended=jnp.where(lost, step, state.ended),
        )

    def _objective(
        self, step: Int[Array, ""], state: RunState, data: PyTree
    ) -> tuple[Objective, Callable[[PyTree, Int[Array, ""]], Float[Array, ""]]]:
        """The loss of this step, and its micro-batches whose mean it is."""
        plan = self._plan
        key = fold_in(state.key, step)
        offered = self._offered(state, data, step)
        if plan.curriculum is not None:
            offered["stage"] = plan.curriculum(step)

        def part(weights: PyTree, index: Int[Array, ""]) -> Float[Array, ""]:
            own = key if plan.accumulate == 1 else fold_in(key, index)
            with jax.default_matmul_precision(plan.matmul_precision):
                return call(plan.loss, self.model(state, weights), own, **offered)

        def whole(weights: PyTree) -> Float[Array, ""]:
            if plan.accumulate == 1:
                return part(weights, jnp.zeros((), jnp.int32))
            indices = jnp.arange(plan.accumulate)
            return jnp.mean(lax.map(lambda i: part(weights, i), indices))

        return whole, part

    def _offered(
        self, state: RunState, data: PyTree, step: Int[Array, ""]
    ) -> dict[str, Any]:
        offered = {"hyper": state.hyper, "step": step}
        # Where there are none, a default of the function's own stays.
        return offered if data is None else offered | {"data": data}

    def _measure(
        self,
        state: RunState,
        data: PyTree,
        stop: Int[Array, ""],
        boundary: Int[Array, ""],
    ) -> tuple[RunState, dict[str, Float[Array, ""]]]:
        plan = self._plan
        count = stop - (boundary - plan.record_every)
        values = {"loss": state.loss_sum.total / count}
        if plan.watch is not None:
            model = self.model(state, state.weights)
            watched = call(plan.watch, model, **self._offered(state, data, stop))
            values |= _checked(watched)
        reached = jnp.array(False)
        if plan.target is not None:
            _check_target(plan.target, values)
            reached = state.active & (values[plan.target.name] <= plan.target.below)
        state = state._replace(
            loss_sum=Compensated.of(jnp.zeros_like(state.loss_sum.total)),
            active=state.active & ~reached,
            ended=jnp.where(reached, stop, state.ended),
        )
        return state, values


def mean_value_and_grad(
    parts: Callable[[PyTree, Int[Array, ""]], Float[Array, ""]],
    weights: PyTree,
    number: int,
    shares: Shares | None = None,
) -> tuple[Float[Array, ""], PyTree]:
    """The mean over micro-batches of value and gradient, one micro-batch at a time.

    With `shares`, each device takes number/count of them, in order, and all add up.
    """
    both = jax.value_and_grad(parts)
    if number == 1:
        return both(weights, jnp.zeros((), jnp.int32))

    def add(index: Int[Array, ""], total: PyTree) -> PyTree:
        return jax.tree.map(jnp.add, total, both(weights, index))

    shapes = jax.eval_shape(both, weights, jnp.zeros((), jnp.int32))
    zero = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    if shares is None:
        total = lax.fori_loop(0, number, add, zero)
    else:
        own = number // shares.count
        first = lax.axis_index(shares.axis) * own
        total = lax.fori_loop(first, first + own, add, zero)
        total = lax.psum(total, shares.axis)
    return jax.tree.map(lambda leaf: leaf / number, total)


def _trainable(plan: Plan, arrays: PyTree) -> PyTree:
    learns = jax.tree.map(eqx.is_inexact_array, arrays)
    if plan.trainable is not None:
        chosen = plan.trainable(arrays)
        learns = jax.tree.map(lambda a, b: a and bool(b), learns, chosen)
    check_learning(eqx.filter(arrays, learns))
    return learns


def _checked(watched: Mapping[str, Any]) -> dict[str, Float[Array, ""]]:
    values = {name: jnp.asarray(value) for name, value in watched.items()}
    for name, value in values.items():
        if name in ("loss", "step") or name.startswith("state/"):
            allowed = "other names: iclax records these itself"
            raise SettingError("watch", f'the name "{name}"', allowed)
        if value.shape:
            found = f'shape {value.shape} of "{name}"'
            raise SettingError("watch", found, "numbers, each under its own name")
    return values


def _check_target(target: Target, values: Mapping[str, Any]) -> None:
    if target.name not in values:
        allowed = " or ".join(f'"{name}"' for name in values)
        raise SettingError("target.name", f'"{target.name}"', allowed)


def _where(condition: Bool[Array, ""], new: PyTree, old: PyTree) -> PyTree:
    def pick(a, b):
        if not jnp.issubdtype(b.dtype, jax.dtypes.prng_key):
            a = a.astype(b.dtype)
        return jnp.where(condition, a, b)

    return jax.tree.map(pick, new, old)


def _strong(leaf: Array) -> Array:
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return leaf
    return lax.convert_element_type(leaf, leaf.dtype)


def _is_array(leaf: Any) -> bool:
    return eqx.is_array(leaf) or isinstance(leaf, jax.ShapeDtypeStruct)
