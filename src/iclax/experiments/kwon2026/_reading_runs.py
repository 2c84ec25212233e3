"""The runs of part b: exact flows, and trainings that start where the flows start."""

from dataclasses import asdict
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from jaxtyping import Float

from ... import theory
from ..._arrays import Array
from ...models import LinearAttention
from ...predictors import GradientStep
from ...prompts import Prompt
from ...sampling import compressed_batch, fresh_batch
from ...tasks import LowRank
from ...training import TrainResult, train
from ._readings import (
    WATCHED,
    Kind,
    Plan,
    Run,
    all_runs,
    first_time,
    half_levels,
    law_of,
    watched_laws,
    watched_moments,
    zero_risks,
)
from ._subspaces import stacked_tasks

# What stands for the flow of softmax attention, of which no exact risk is known: GD
# with so many times smaller steps.
SLOWER = 2


class SoftmaxLayer(eqx.Module):
    r"""$\hat y = \sum_h v_h \sum_i \mathrm{softmax}_i(x_i^T A_h x_q)\, y_i$."""

    values: Float[Array, " h"]
    maps: Float[Array, "h d d"]

    def __call__(self, prompt: Prompt) -> Float[Array, ""]:
        scores = (self.maps @ prompt.query) @ prompt.xs.T
        return self.values @ (jax.nn.softmax(scores, axis=1) @ prompt.ys)


def measure_kind(
    plan: Plan, name: str, kind: Kind, seed: int, progress: Any
) -> dict[str, Any]:
    """All runs of one parametrization: when each watched loss is half-way down."""
    runs = all_runs(plan, seed)
    result = train_kind(plan, name, kind, runs, progress)
    gd = [i for i, run in enumerate(runs) if run.optimizer == "gd"]
    # θ̇ = −½∂R makes one GD step 2 · rate long.
    flow_time = result.steps * kind.time / kind.steps
    clock = {"gd": flow_time, "adam": result.steps}
    found = [
        _entry(
            plan, run, clock[run.optimizer], {w: result.history[w][i] for w in WATCHED}
        )
        for i, run in enumerate(runs)
    ]
    if name == "softmax":
        flows = _slow_gd(plan, name, kind, [runs[i] for i in gd], progress)
        curves = []
    else:
        flows, curves = _flows(plan, name, kind, seed)
    return {
        "runs": flows + found,
        "curves": {
            "times": flow_time,
            "shared": [runs[i].shared for i in gd],
            "objective": [runs[i].objective for i in gd],
            **{w: result.history[w][gd] for w in ("own", "all")},
        },
        "flow_curves": curves,
        "end": {"flow": kind.time, "gd": kind.time, "adam": kind.steps},
        "zero": zero_risks(plan),
    }


def _entry(
    plan: Plan, run: Run, times: np.ndarray, curves: dict[str, np.ndarray]
) -> dict[str, Any]:
    levels = half_levels(plan)
    half = {w: first_time(times, curves[w], levels[w]) for w in WATCHED}
    return {**asdict(run), **half, "final": {w: curves[w][-1] for w in WATCHED}}


def _flows(
    plan: Plan, name: str, kind: Kind, seed: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Exact flows from the starts of the trainings; curves of the first seed."""
    laws, entries, curves = watched_laws(plan), [], []
    for run in all_runs(plan, seed):
        if run.optimizer != "gd":
            continue
        found = theory.flow(
            law_of(plan, run.shared),
            _family(name),
            init=kind.init or 1.0,
            objective=run.objective,
            heads=kind.heads,
            rank=kind.rank,
            start="random",
            seed=run.seed,
            end_time=kind.time,
            watch=laws,
        )
        losses = {w: found.watched[w].losses for w in WATCHED}
        entries.append({**_entry(plan, run, found.times, losses), "optimizer": "flow"})
        if run.seed == seed:
            curves.append({**asdict(run), "times": found.times, **losses})
    return entries, curves


def _slow_gd(
    plan: Plan, name: str, kind: Kind, runs: list[Run], progress: Any
) -> list[dict[str, Any]]:
    result = train_kind(plan, name, kind, runs, progress, slower=SLOWER)
    times = result.steps * kind.time / kind.steps / SLOWER
    return [
        {
            **_entry(plan, run, times, {w: result.history[w][i] for w in WATCHED}),
            "optimizer": "flow",
        }
        for i, run in enumerate(runs)
    ]


def train_kind(
    plan: Plan,
    name: str,
    kind: Kind,
    runs: list[Run],
    progress: Any,
    slower: int = 1,
) -> TrainResult:
    """All runs of a parametrization as one program, on fresh prompts at every step."""
    template, steps = law_of(plan, 0), kind.steps * slower
    bases, weights = stacked_tasks(
        [np.asarray(law_of(plan, run.shared).tasks.bases) for run in runs],
        plan.components,
    )
    counts = np.sum(weights > 0, axis=1)
    summed = np.array([run.objective == "sum" for run in runs])
    starts = [_start(plan, name, kind, run.seed) for run in runs]
    blocks = len(starts[0])
    sampler = fresh_batch if name == "softmax" else compressed_batch

    def init(key: Any, hyper: Any) -> Any:
        return _model(name, plan.dim, [hyper[f"start_{i}"] for i in range(blocks)])

    def loss(model: Any, key: Any, hyper: Any) -> Any:
        law = template.replace(tasks=LowRank(hyper["bases"], hyper["weights"]))
        batch = sampler(law, plan.batch_size)(key)
        return hyper["factor"] * jnp.mean((jax.vmap(model)(batch) - batch.target) ** 2)

    return train(
        init,
        loss,
        steps=steps,
        seeds=[run.seed for run in runs],
        hyper={
            "bases": bases,
            "weights": weights,
            "factor": np.where(summed, counts, 1).astype(float),
            "adam": np.array([run.optimizer == "adam" for run in runs]),
            **{
                f"start_{i}": np.stack(b)
                for i, b in enumerate(zip(*starts, strict=True))
            },
        },
        optimizer=partial(_gd_or_adam, kind.time / steps / 2, kind.adam_rate),
        watch=_watch(plan, name),
        record_every=max(steps // plan.records, 1),
        progress=progress,
        seed_batch=min(len(runs), 10),
    )


def _gd_or_adam(
    gd_rate: float, adam_rate: float, hyper: Any
) -> optax.GradientTransformation:
    """GD or Adam as the run's hyper-parameter "adam" says: one program for both."""
    gd, adam = optax.sgd(gd_rate), optax.adam(adam_rate)

    def init(weights: Any) -> Any:
        return gd.init(weights), adam.init(weights)

    def update(gradient: Any, state: Any, weights: Any = None) -> Any:
        down, first = gd.update(gradient, state[0], weights)
        scaled, second = adam.update(gradient, state[1], weights)
        pick = lambda a, b: jnp.where(hyper["adam"], a, b)
        return jax.tree.map(pick, scaled, down), (first, second)

    return optax.GradientTransformation(init, update)


def _family(name: str) -> str:
    """The name that `theory.flow` knows; softmax starts like a merged layer."""
    named = {"linear": "linear", "merged": "merged", "softmax": "merged"}
    return named.get(name, "separate")


def _start(plan: Plan, name: str, kind: Kind, seed: int) -> tuple[np.ndarray, ...]:
    """The random weights that the flow of this seed starts from."""
    known = theory.make_parametrization(_family(name), plan.dim, kind.heads, kind.rank)
    return known.start(plan.dim, kind.init, "random", seed)


def _model(name: str, dim: int, start: Any) -> Any:
    """The model that computes the same function as these weights of a flow."""
    start = [jnp.asarray(block, float) for block in start]
    if name == "linear":
        return GradientStep(start[0])
    turned = [block.transpose(0, 2, 1) for block in start[1:]]
    if name == "softmax":  # signs in turn, so that heads can cancel the mean label
        return SoftmaxLayer(start[0] * (-1.0) ** jnp.arange(len(start[0])), turned[0])
    readout = jnp.zeros((len(start[0]), dim + 1)).at[:, dim].set(start[0])
    if name == "merged":
        query = jnp.pad(turned[0], ((0, 0), (0, 1), (0, 0)))
        return LinearAttention(query, readout, None, None)
    key = jnp.pad(turned[1], ((0, 0), (0, 0), (0, 1)))
    return LinearAttention(turned[0], readout, key, None)


def _watch(plan: Plan, name: str) -> Any:
    """The risk on each watched law: exact, or on fixed prompts for softmax."""
    laws = watched_laws(plan)
    if name == "softmax":
        sets = [
            fresh_batch(laws[w], 512)(jr.key(10**6 + i)) for i, w in enumerate(WATCHED)
        ]
        batch = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *sets)

        def simulated(model: Any) -> dict[str, Any]:
            errors = (jax.vmap(model)(batch) - batch.target) ** 2
            means = jnp.mean(errors.reshape(len(WATCHED), -1), 1)
            return dict(zip(WATCHED, means, strict=True))

        return simulated

    if name == "linear":
        template, moments = law_of(plan, 0), watched_moments(plan)

        def of_step(model: GradientStep) -> dict[str, Any]:
            risk = theory.task_risk(model.preconditioner, template)
            return {name: risk.mean(jnp.asarray(w)) for name, w in moments.items()}

        return of_step
    tokens = {w: theory.attention_moments(law) for w, law in laws.items()}

    def of_layer(model: LinearAttention) -> dict[str, Any]:
        weights = theory.Attention(*model.effective())
        risk = theory.risk_from_attention_moments
        return {w: risk(weights, m) for w, m in tokens.items()}

    return of_layer
