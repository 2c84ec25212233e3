"""All runs of a training as one compiled program."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import jax.random as jr
from jax import lax
from jaxtyping import Array, Int, PyTree, UInt32

from ._plan import Plan
from ._program import Program, Records, RunState


class Ensemble:
    """A plan for many runs; each method takes and returns a leading axis of runs."""

    def __init__(self, plan: Plan, seed_batch: int | None):
        self.plan, self._batch = plan, seed_batch
        self.start = jax.jit(self._start)
        self.advance = jax.jit(self._advance, donate_argnums=0)

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

    def models(self, states: RunState, weights: PyTree) -> PyTree:
        """The stacked models with these stacked weights."""
        return self._program(states.hyper).model(states, weights)

    def _program(self, hyper: dict[str, Array]) -> Program:
        return Program(self.plan, {name: values[0] for name, values in hyper.items()})

    def _over_runs(self, function: Callable[[Any], Any], runs: PyTree) -> PyTree:
        if self._batch is None:
            return jax.vmap(function)(runs)
        return lax.map(function, runs, batch_size=self._batch)


@lru_cache(maxsize=32)
def _cached(plan: Plan, seed_batch: int | None) -> Ensemble:
    return Ensemble(plan, seed_batch)


def ensemble(plan: Plan, seed_batch: int | None) -> Ensemble:
    """The ensemble of a plan: for equal plans the same, already compiled, one."""
    try:
        return _cached(plan, seed_batch)
    except TypeError:  # a function of the plan that cannot be hashed
        return Ensemble(plan, seed_batch)
