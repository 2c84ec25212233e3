"""All runs of a training as one compiled program."""

from collections.abc import Callable
from dataclasses import fields
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
from jaxtyping import Array, Int, PyTree, UInt32

from .._compile import compiler_options, quick_options
from ._captured import captured
from ._plan import Plan
from ._program import Program, Records, RunState, Shares

_AXIS = "devices"


class Ensemble:
    """A plan for many runs; each method takes and returns a leading axis of runs.

    `seed_batch` runs are computed at a time (all by default). With several `devices`
    each has an equal share of the runs, or, where they do not divide the runs, an equal
    share of the micro-batches of every run.
    """

    def __init__(self, plan: Plan, seed_batch: int | None, devices: tuple | None):
        self.plan, self._batch = plan, seed_batch
        self._mesh = None if devices is None else Mesh(np.array(devices), (_AXIS,))
        self._programs: dict[Any, Program] = {}
        options = compiler_options()
        self.start = jax.jit(self._start, compiler_options=quick_options())
        self.advance = jax.jit(
            self._advance, donate_argnums=0, compiler_options=options
        )

    def _start(
        self, seeds: UInt32[Array, " runs"], hyper: dict[str, Array]
    ) -> RunState:
        program = self._program(hyper, len(seeds))
        start = lambda run, shared: program.start(jr.key(run[0]), run[1])
        return self._over_runs(start, (seeds, hyper), ())

    def _advance(
        self,
        states: RunState,
        data: PyTree,
        start: Int[Array, ""],
        end: Int[Array, ""],
    ) -> tuple[RunState, Records]:
        program = self._program(states.hyper, len(states.active))
        advance = lambda state, shared: program.advance(state, *shared)
        states, records = self._over_runs(advance, states, (data, start, end))
        # Every run records at the same steps.
        return states, records._replace(count=records.count[0])

    def shapes(
        self, seeds: UInt32[np.ndarray, " runs"], hyper: dict[str, Array]
    ) -> RunState:
        """The shapes and types of the states that `start` makes."""
        return jax.eval_shape(self._start, seeds, hyper)

    def text(self, states: RunState, data: PyTree) -> str:
        """The program as text: equal texts compute equal bits on one machine."""
        step = jnp.zeros((), jnp.int32)
        return self.advance.lower(states, data, step, step).as_text()

    def start_text(
        self, seeds: UInt32[np.ndarray, " runs"], hyper: dict[str, Array]
    ) -> str:
        """The program that makes the first states, as text."""
        return self.start.lower(seeds, hyper).as_text()

    def models(self, states: RunState, weights: PyTree) -> PyTree:
        """The stacked models with these stacked weights."""
        return self._program(states.hyper, len(states.active)).model(states, weights)

    def _program(self, hyper: dict[str, Array], runs: int) -> Program:
        """The program for values of these shapes: tracing `init` for it takes 3 ms."""
        alone = self._mesh is None or self._by_run(runs)
        shares = None if alone else Shares(_AXIS, self._mesh.size)
        one = {
            name: jax.ShapeDtypeStruct(values.shape[1:], values.dtype)
            for name, values in hyper.items()
        }
        known = shares, tuple(sorted(one.items()))
        if known not in self._programs:
            self._programs[known] = Program(self.plan, one, shares)
        return self._programs[known]

    def _over_runs(
        self, function: Callable[[Any, Any], Any], runs: PyTree, shared: PyTree
    ) -> PyTree:
        def local(runs: PyTree, shared: PyTree) -> PyTree:
            one = lambda run: function(run, shared)
            # A batch of one is no batch: it compiles and runs faster without the axis.
            if len(jax.tree.leaves(runs)[0]) == 1:
                alone = one(jax.tree.map(lambda leaf: leaf[0], runs))
                return jax.tree.map(lambda leaf: leaf[None], alone)
            if self._batch is None:
                return jax.vmap(one)(runs)
            batch = self._batch if self._batch > 1 else None
            return lax.map(one, runs, batch_size=batch)

        if self._mesh is None:
            return local(runs, shared)
        spec = self._spec(len(jax.tree.leaves(runs)[0]))
        return jax.shard_map(
            local,
            mesh=self._mesh,
            in_specs=(spec, P()),
            out_specs=spec,
            check_vma=False,
        )(runs, shared)

    def _by_run(self, runs: int) -> bool:
        return runs % self._mesh.size == 0

    def _spec(self, runs: int) -> P:
        return P(_AXIS) if self._by_run(runs) else P()

    def place(self, states: RunState) -> RunState:
        """The states on the devices that own them."""
        if self._mesh is None:
            return states
        spec = self._spec(len(states.active))
        return jax.device_put(states, NamedSharding(self._mesh, spec))

    def share(self, data: PyTree) -> PyTree:
        """The data on every device, wherever they were."""
        if self._mesh is None:
            return data
        return jax.device_put(data, NamedSharding(self._mesh, P()))


@lru_cache(maxsize=32)
def _cached(
    plan: Plan, seed_batch: int | None, devices: tuple | None, reads: tuple
) -> Ensemble:
    return Ensemble(plan, seed_batch, devices)


def ensemble(plan: Plan, seed_batch: int | None, devices: tuple | None) -> Ensemble:
    """The ensemble of a plan: for equal plans the same, already compiled, one.

    A function whose global variables or attributes changed is another function.
    """
    reads = captured(*(getattr(plan, field.name) for field in fields(plan)))
    try:
        return _cached(plan, seed_batch, devices, reads)
    except TypeError:  # a function of the plan that cannot be hashed
        return Ensemble(plan, seed_batch, devices)
