"""Time the exact theory, alone and beside simulation of the same accuracy.

Run it with `python benchmarks/bench_theory.py [--json FILE]`. Times are medians of
repeated warm calls, in seconds. "Simulation" is one compiled float32 program on the
library's fast samplers, its time (without compiling) scaled to the number of prompts at
which the standard error is 1e-3 of the risk.
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp  # noqa: E402
import jax.random as jr  # noqa: E402
import numpy as np  # noqa: E402

from iclax import theory  # noqa: E402
from iclax.covariates import Gaussian  # noqa: E402
from iclax.predictors import GradientStep, Ridge  # noqa: E402
from iclax.prompts import PromptDistribution  # noqa: E402
from iclax.sampling import fresh_batch  # noqa: E402
from iclax.tasks import Linear, LowRank, Mixture, ReluNeuron  # noqa: E402

ACCURACY = 1e-3
SIMULATED, BATCH = 2**17, 2**12  # prompts that are really drawn
FLOWS = 256


def median_time(call: Callable[[], Any], repeats: int = 7) -> float:
    """The median time of warm calls."""
    jax.block_until_ready(call())
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(call())
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def spread_law(dim: int, n: int) -> PromptDistribution:
    """Anisotropic covariates and tasks that share no eigenvectors."""
    root = np.random.default_rng(dim).standard_normal((dim, dim)) / dim**0.5
    tasks = Linear(root @ root.T + 0.1 * np.eye(dim))
    return PromptDistribution(Gaussian(np.linspace(0.5, 1.5, dim)), tasks, n, 0.3)


def subspaces(dim: int, rank: int, components: int, shared: int, n: int) -> Any:
    tasks = LowRank.coordinates(dim, rank, components, shared)
    return PromptDistribution(Gaussian(np.ones(dim)), tasks, n)


def beside_simulation() -> list[dict[str, Any]]:
    """Exact risks and Monte Carlo of relative accuracy 1e-3."""
    wide, neuron = spread_law(32, 64), spread_law(8, 20)
    neuron = neuron.replace(tasks=ReluNeuron(np.eye(8)))
    mean = Mixture([Linear(np.eye(5) / 2, np.eye(5)[0]), Linear(np.eye(5))])
    shifted = PromptDistribution(Gaussian(np.ones(5)), mean, 12, 0.3)
    best = theory.optimal_attention(shifted, starts=0)
    round_law = PromptDistribution(Gaussian(np.ones(8)), Linear(np.eye(8)), 12, 0.3)
    layer = attention_model(best)
    cases = {
        "GD form, d=32, n=64": (wide, gd_step(wide), gd_risk(wide)),
        "GD form, ReLU neuron, d=8, n=20": (neuron, gd_step(neuron), gd_risk(neuron)),
        "full attention, mixture with a mean, d=5, n=12": (
            shifted,
            layer,
            lambda: theory.attention_risk(best.readout, best.key_query, shifted),
        ),
        "ridge, d=8, n=12": (
            round_law,
            Ridge(0.09),
            lambda: theory.ridge_risk(round_law, 0.09),
        ),
    }
    return [row(name, *case) for name, case in cases.items()]


def gd_step(prompts: PromptDistribution) -> Any:
    return GradientStep(jnp.asarray(theory.optimal_preconditioner(prompts)))


def gd_risk(prompts: PromptDistribution) -> Callable[[], Any]:
    gamma = theory.optimal_preconditioner(prompts)
    return lambda: theory.preconditioner_risk(gamma, prompts)


def attention_model(best: theory.AttentionOptimum) -> Callable[[Any], Any]:
    """The layer as a predictor: (1/n) aᵀ G Q x_q from scores, without G."""
    a, q = single(best.readout), single(best.key_query)

    def predict(prompt: Any) -> Any:
        tokens = jnp.concatenate([prompt.xs, prompt.ys[:, None]], 1)
        return (tokens @ a) @ (tokens @ (q @ prompt.query)) / len(prompt.ys)

    return predict


def row(
    name: str, prompts: PromptDistribution, predictor: Any, exact: Callable[[], Any]
) -> dict[str, Any]:
    exact_time, value = median_time(exact), float(exact())
    with jax.enable_x64(False):
        run = simulation(prompts, jax.tree.map(single, predictor))
        mean, square = (float(np.mean(v)) for v in run())
        seconds = median_time(run, 3)
    error = ((square - mean**2) / SIMULATED) ** 0.5
    needed = SIMULATED * (error / (ACCURACY * mean)) ** 2
    equal = seconds * needed / SIMULATED
    return {
        "case": name,
        "exact": value,
        "simulated": mean,
        "standard_errors_apart": abs(mean - value) / error,
        "exact_seconds": exact_time,
        "prompts_needed": round(needed),
        "simulation_seconds": equal,
        "ratio": equal / exact_time,
    }


def single(leaf: Any) -> Any:
    return jnp.asarray(leaf, jnp.float32) if hasattr(leaf, "dtype") else leaf


def simulation(prompts: PromptDistribution, predictor: Any) -> Callable[[], Any]:
    """One compiled program that draws `SIMULATED` prompts, batch after batch."""
    sample = fresh_batch(prompts, BATCH)

    def one_batch(key: Any) -> Any:
        batch = sample(key)
        errors = (jax.vmap(predictor)(batch) - batch.target) ** 2
        return jnp.mean(errors), jnp.mean(errors**2)

    run = jax.jit(lambda keys: jax.lax.map(one_batch, keys))
    keys = jr.split(jr.key(0), SIMULATED // BATCH)
    return lambda: run(keys)


def speeds() -> list[dict[str, Any]]:
    """The interactive uses, with the time each must not exceed."""
    big, middle = spread_law(1024, 2048), subspaces(32, 4, 2, 0, 64)
    mixed = subspaces(24, 4, 4, 2, 64)
    angles, lengths = np.linspace(0, 90, 60), np.arange(1, 61)
    general = spread_law(24, 64)
    one, many = flows_at_once(mixed)
    single = median_time(one, 5)
    rows = [
        ("minimizer + risk, d=1024", lambda: optimum(big), 1.0, 3),
        ("60 angles, d=32", lambda: theory.angle_risks(middle, angles), 0.05, 7),
        (
            "60 context lengths, d=32",
            lambda: theory.context_length_risks(middle, lengths),
            0.05,
            7,
        ),
        (
            "60 context lengths retrained, d=32",
            lambda: theory.context_length_risks(middle, lengths, True),
            0.05,
            7,
        ),
        ("merged flow, subspaces, d=24", lambda: theory.flow(mixed), 1.0, 5),
        ("merged flow, no shared axes, d=24", lambda: theory.flow(general), 1.0, 3),
        (f"{FLOWS} merged flows by vmap, d=24", many, 20 * single, 3),
    ]
    found = [
        {"case": name, "seconds": median_time(call, repeats), "limit": limit}
        for name, call, limit, repeats in rows
    ]
    return [*found, {"case": "one merged flow in JAX, d=24", "seconds": single}]


def optimum(prompts: PromptDistribution) -> Any:
    m = theory.prompt_moments(prompts)
    return theory.risk_from_moments(theory.optimum_from_moments(m), m)


def flows_at_once(prompts: PromptDistribution) -> tuple[Callable, Callable]:
    """Half-drop times from random starts: one call, and 256 by `vmap`."""
    starts = [theory.Merged().start(24, 1e-4, "random", s) for s in range(FLOWS)]
    values, maps = (jnp.asarray(np.stack(part)) for part in zip(*starts, strict=True))

    def half_drop(v: Any, a: Any) -> Any:
        return theory.flow_time("half_drop", prompts, start=(v, a))

    one, many = jax.jit(half_drop), jax.jit(jax.vmap(half_drop))
    return lambda: one(values[0], maps[0]), lambda: many(values, maps)


def machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "processor": platform.machine(),
        "python": platform.python_version(),
        "jax": jax.__version__,
        "numpy": np.__version__,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", help="also write the numbers to this file")
    chosen = parser.parse_args()
    found = {"machine": machine(), "speeds": speeds(), "beside": beside_simulation()}
    print(", ".join(f"{key} {value}" for key, value in found["machine"].items()))
    print(f"{'case':44}{'seconds':>10}{'limit':>10}")
    for line in found["speeds"]:
        limit = f"{line['limit']:10.4f}" if "limit" in line else ""
        print(f"{line['case']:44}{line['seconds']:10.5f}{limit}")
    print(f"\n{'exact risk beside simulation to 1e-3':48}{'exact':>10}", end="")
    print(f"{'simulated':>11}{'prompts':>10}{'ratio':>9}{'s.e. off':>9}")
    for line in found["beside"]:
        print(
            f"{line['case']:48}{line['exact_seconds']:10.2e}"
            f"{line['simulation_seconds']:11.3f}{line['prompts_needed']:10d}"
            f"{line['ratio']:9.0f}{line['standard_errors_apart']:9.2f}"
        )
    if chosen.json:
        with open(chosen.json, "w") as file:
            json.dump(found, file, indent=2)


if __name__ == "__main__":
    main()
