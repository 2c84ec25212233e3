"""Many seeds in one program, and training on exact risks: whole calls, fresh processes.

Each figure is the wall time of a call in a fresh process that has imported everything,
compilation included; a "process" row pays for its imports too.
"""

import math
import os
import statistics
import subprocess
import sys
import time
from typing import Any

from timing import Row, launch

DIM, LENGTH, BATCH = 5, 10, 16
CORES = len(os.sched_getaffinity(0))


def seeds(repeats: int, quick: bool) -> list[Row]:
    """64 short runs, d = 5, n = 10, batch 16, Adam, compilation included.

    Of 1000 steps, which is mostly compilation, and of 10,000.
    """
    runs = 4 if quick else 64
    return [
        row
        for steps in ((20,) if quick else (1000, 10_000))
        for row in seeds_of(runs, steps, repeats)
    ]


def seeds_of(runs: int, steps: int, repeats: int) -> list[Row]:
    """One program for all seeds beside a call, or a process, for each."""
    ours = {"vmap": "together", "vmap on a device a core": "shared"}
    ours |= {"lax.map on a device a core": "chunked"}
    parts = [*ours.values(), "calls", "rebuilt", "processes"]
    times: dict[str, list[float]] = {part: [] for part in parts}
    for _ in range(repeats):
        for part in parts:
            times[part].append(measured(part, runs, steps))
    found = {part: statistics.median(values) for part, values in times.items()}
    best = min(found[part] for part in ours.values())
    case = f"{runs} seeds × {steps} steps, one program"
    note = "; ".join(f"{how} {found[part]:.2f} s" for how, part in ours.items())
    how = f"{runs} processes, 2 at a time (8 timed)"
    calls, rebuilt = found["calls"], found["rebuilt"]
    return [
        Row(case, best, f"{runs} calls of one program", calls, 1 / 0.45, note),
        Row(case, best, f"{runs} calls, each of its own loss (8 timed)", rebuilt),
        Row(case, best, how, found["processes"], 10.0),
    ]


def exact(repeats: int, quick: bool) -> list[Row]:
    """L-BFGS on the exact risk, to 1e-6 of the optimum: at most 2 s with compiling."""
    rows = []
    for part, what in (
        ("preconditioner", "exact risk of Γ = AB, d = 20"),
        ("attention", "exact risk of the full layer, d = 10"),
    ):
        times = [measured(part, 1, 0) for _ in range(repeats)]
        seconds = statistics.median(times)
        rows.append(Row(what, seconds, "the time asked for", 2.0, 1.0))
    return rows


def measured(part: str, runs: int, steps: int) -> float:
    """Seconds of one part in a fresh process (or several)."""
    count = min(runs, 8)
    if part == "rebuilt":
        return float(fresh(part, count, steps).communicate()[0]) * runs / count
    if part != "processes":
        return float(fresh(part, runs, steps).communicate()[0])
    start = time.perf_counter()
    for _ in range(0, count, 2):
        for process in [fresh("calls", 1, steps) for _ in range(2)]:
            process.communicate()
    return (time.perf_counter() - start) * runs / count


def fresh(part: str, runs: int, steps: int) -> subprocess.Popen:
    """This file in a new process."""
    return launch(sys.executable, __file__, part, runs, steps)


def run_layers(groups: list[Any], steps: int, **options: Any) -> float:
    """Seconds of one training for each group of seeds, all of the same functions."""
    import jax.random as jr
    from steps import linear_prompts, squared

    from iclax.models import LinearAttention
    from iclax.sampling import fresh_batch
    from iclax.training import Adam, train

    jr.key(0)
    start = time.perf_counter()
    loss = squared(fresh_batch(linear_prompts(DIM, LENGTH, 0.1), BATCH))
    init = lambda key: LinearAttention.init(
        DIM, parametrization="merged_columns", key=key
    )
    for group in groups:
        train(init, loss, steps=steps, seeds=group, optimizer=Adam(1e-2), **options)
    return time.perf_counter() - start


def run_exact(part: str) -> float:
    """Seconds to minimize an exact risk, having checked that it is the optimum."""
    import jax.random as jr
    import numpy as np
    import scipy.optimize  # noqa: F401, imported by minimize at its first call

    from iclax import theory
    from iclax.covariates import Gaussian
    from iclax.models import LinearAttention
    from iclax.prompts import PromptDistribution
    from iclax.tasks import Linear
    from iclax.training import minimize

    jr.key(0)
    start = time.perf_counter()
    d = 20 if part == "preconditioner" else 10
    law = PromptDistribution(
        Gaussian(np.diag(np.linspace(0.5, 2, d))), Linear(np.eye(d)), 2 * d, 0.3
    )
    if part == "preconditioner":
        moments = theory.prompt_moments(law)
        init = lambda key: 0.3 * jr.normal(key, (2, d, d))
        risk = lambda ab: theory.risk_from_moments(ab[0] @ ab[1], moments)
    else:
        moments = theory.attention_moments(law)
        init = lambda key: LinearAttention.init(d, key=key)
        risk = lambda model: theory.risk_from_attention_moments(
            theory.Attention(*model.effective()), moments
        )
    reached = minimize(init, risk, steps=3000, tolerance=1e-8).history["loss"][0, -1]
    seconds = time.perf_counter() - start
    best = theory.optimal_risk(law)
    if not reached <= best * (1 + 1e-6):
        raise SystemExit(f"the optimum is {best}, reached was {reached}")
    return seconds


CASES = {"seeds": seeds, "exact": exact}

if __name__ == "__main__":
    part, runs, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    if part == "calls":
        print(run_layers([[seed] for seed in range(runs)], steps))
    elif part == "rebuilt":
        print(sum(run_layers([[seed]], steps) for seed in range(runs)))
    elif part == "together":
        print(run_layers([range(runs)], steps))
    elif part in ("shared", "chunked"):
        import jax

        jax.config.update("jax_num_cpu_devices", math.gcd(runs, CORES))
        own = {"seed_batch": 1} if part == "chunked" else {}
        print(run_layers([range(runs)], steps, devices=jax.devices(), **own))
    else:
        print(run_exact(part))
