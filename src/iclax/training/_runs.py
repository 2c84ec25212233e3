"""All runs of a training as one compiled program."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
from jax import lax
from jaxtyping import Array, Int, PyTree, UInt32

from ._plan import Plan
from ._program import Program, Records, RunState


class Ensemble:
    """A plan for many runs; each method takes and returns a leading axis of runs."""

    def __init__(self, plan: Plan, seed_batch: int | None):
        self.plan, self._batch = plan, seed_batch
        options = _compiler_options()
        self.start = jax.jit(self._start, compiler_options=options)
        self.advance = jax.jit(
            self._advance, donate_argnums=0, compiler_options=options
        )

    def _start(
        self, seeds: UInt32[Array, " runs"], hyper: dict[str, Array]
    ) -> RunState:
        program = self._program(hyper)
        start = lambda run: program.start(jr.key(run[0]), run[1])
        return self._over_runs(start, (seeds, hyper))

    def _advance(
        self,
        states: RunState,
        data: PyTree,
        start: Int[Array, ""],
        end: Int[Array, ""],
    ) -> tuple[RunState, Records]:
        program = self._program(states.hyper)
        advance = lambda state: program.advance(state, data, start, end)
        states, records = self._over_runs(advance, states)
        # Every run records at the same steps.
        return states, records._replace(count=records.count[0])

    def shapes(
        self, seeds: UInt32[Array, " runs"], hyper: dict[str, Array]
    ) -> RunState:
        """The shapes and types of the states that `start` makes."""
        return jax.eval_shape(self._start, seeds, hyper)

    def text(self, states: RunState, data: PyTree) -> str:
        """The program as text: equal texts compute equal bits on one machine."""
        step = jnp.zeros((), jnp.int32)
        return self.advance.lower(states, data, step, step).as_text()

    def models(self, states: RunState, weights: PyTree) -> PyTree:
        """The stacked models with these stacked weights."""
        return self._program(states.hyper).model(states, weights)

    def _program(self, hyper: dict[str, Array]) -> Program:
        return Program(self.plan, {name: values[0] for name, values in hyper.items()})

    def _over_runs(self, function: Callable[[Any], Any], runs: PyTree) -> PyTree:
        if self._batch is None:
            return jax.vmap(function)(runs)
        return lax.map(function, runs, batch_size=self._batch)


def _compiler_options() -> dict[str, str]:
    # XLA:CPU spends most of the time to compile a small training in LLVM's highest
    # level, on the unrolled random numbers, and gains nothing by it.
    if jax.default_backend() == "cpu":
        return {"xla_backend_optimization_level": "1"}
    return {}


@lru_cache(maxsize=32)
def _cached(plan: Plan, seed_batch: int | None) -> Ensemble:
    return Ensemble(plan, seed_batch)


def ensemble(plan: Plan, seed_batch: int | None) -> Ensemble:
    """The ensemble of a plan: for equal plans the same, already compiled, one."""
    try:
        return _cached(plan, seed_batch)
    except TypeError:  # a function of the plan that cannot be hashed
        return Ensemble(plan, seed_batch)
