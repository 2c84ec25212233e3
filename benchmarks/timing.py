"""Timing in turn, the machine's own floor, and the table of results."""

import importlib.util
import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr

PEERS = all(importlib.util.find_spec(name) for name in ("torch", "transformers"))
EAGER = "PyTorch eager"
OTHER_PYTHON = ""  # whose JAX decoders are timed with as well


def launch(python: str, file: str, *words: Any, **options: Any) -> subprocess.Popen:
    """A benchmark file as a program of its own, whose output is read from here."""
    here = Path(__file__).parent
    path = os.pathsep.join([str(here.parent / "src"), str(here)])
    return subprocess.Popen(
        [python, file, *map(str, words)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
        **options,
    )


@dataclass
class Row:
    """One comparison: seconds a unit of ours and of a named baseline."""

    case: str
    ours: float
    baseline: str
    theirs: float
    target: float | None = None
    note: str = ""
    ratio: float = field(init=False)

    def __post_init__(self):
        self.ratio = self.theirs / self.ours


def in_turn(
    functions: dict[str, tuple[Callable[[], Any], int]], repeats: int
) -> dict[str, float]:
    """Median seconds a unit of each function (called once before, to compile).

    Each is given with the number of units that one call does. They take turns, so that
    a slow spell of the machine hits all of them.
    """
    for call, _ in functions.values():
        call()
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats):
        for name, (call, units) in functions.items():
            start = time.perf_counter()
            call()
            times[name].append((time.perf_counter() - start) / units)
    return {name: statistics.median(values) for name, values in times.items()}


def wait(call: Callable[..., Any], *args: Any) -> Callable[[], Any]:
    """A JAX call that is timed until its results are there."""
    return lambda: jax.block_until_ready(call(*args))


def floor(repeats: int) -> dict[str, Any]:
    """What this machine can do: float32 matrix products and standard normals."""
    size, count, steps = 1024, 245_760, 20
    a = jr.normal(jr.key(0), (size, size))

    @jax.jit
    def products(a: Any) -> Any:
        return jax.lax.scan(lambda c, _: (a @ c / 32, None), a, length=steps)[0]

    @jax.jit
    def normals(key: Any) -> Any:
        def body(total: Any, step: Any) -> Any:
            z = jr.normal(jr.fold_in(key, step), (count,))
            return total + jnp.sum(jax.lax.optimization_barrier(z)), None

        return jax.lax.scan(body, jnp.zeros(()), jnp.arange(steps))[0]

    found = in_turn(
        {
            "products": (wait(products, a), steps),
            "normals": (wait(normals, jr.key(0)), 20),
        },
        repeats,
    )
    return {
        "matmul GFLOP/s": 2e-9 * size**3 / found["products"],
        "ns per normal": 1e9 * found["normals"] / count,
    }


def machine() -> dict[str, Any]:
    """Where and with what this was measured."""
    facts = {
        "device": jax.devices()[0].device_kind,
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "jax": jax.__version__,
        "load average before": os.getloadavg()[0],
    }
    try:
        import torch

        facts |= {"torch": torch.__version__, "threads": torch.get_num_threads()}
    except ImportError:
        pass
    return facts


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(
            r.split(":")[1].strip() for r in lines if r.startswith("model name")
        )
    except (OSError, StopIteration):
        return platform.processor()


def table(rows: list[Row]) -> str:
    """The comparisons as Markdown."""
    lines = [
        "| case | ours, ms | baseline | its ms | ratio | target | |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        target = "" if row.target is None else f"{row.target:g}×"
        met = "" if row.target is None or row.ratio >= row.target else "missed"
        lines.append(
            f"| {row.case} | {1e3 * row.ours:.4g} | {row.baseline} | "
            f"{1e3 * row.theirs:.4g} | {row.ratio:.2f}× | {target} | "
            f"{' '.join(filter(None, (met, row.note)))} |"
        )
    return "\n".join(lines)


def write(folder: Path, name: str, facts: dict[str, Any], rows: list[Row]) -> None:
    """`name`.json and `name`.md in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    record = {"facts": facts, "rows": [asdict(row) for row in rows]}
    (folder / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n")
    lines = [f"- {key}: {_short(value)}" for key, value in facts.items()]
    text = "\n".join([f"# {name}", "", *lines, "", table(rows), ""])
    (folder / f"{name}.md").write_text(text)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
