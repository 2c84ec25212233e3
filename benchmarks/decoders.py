"""GPT-2 style decoders against Hugging Face's."""

import atexit
import math
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import timing
from steps import linear_prompts, training
from timing import EAGER, Row, in_turn, launch

from iclax.models import GPT
from iclax.sampling import fresh_batch
from iclax.training import Adam

D, N = 20, 40
MICRO_BATCHES = 16
STEPS = {"tiny": 10, "small": 2, "standard": 1}  # a call
TARGETS = {"tiny": 2.0, "standard": 1.4}
OLDER = {"tiny": 2.0, "standard": 1.0}  # with JAX 0.10


def gpt(repeats: int, quick: bool) -> list[Row]:
    """Garg et al.: d = 20, 41 points, batch 64, Adam, loss at all points.

    Every core is a device with its share of the micro-batches.
    """
    batch = 16 if quick else 64
    rows = []
    for size in ("tiny",) if quick else STEPS:
        rows += against_peers(size, batch, repeats)
    return rows


def ours(size: str, batch: int) -> tuple[GPT, Callable[[], Any]]:
    """The model, and a call that trains it for some steps."""
    cores = math.gcd(len(os.sched_getaffinity(0)), MICRO_BATCHES)
    jax.config.update("jax_num_cpu_devices", cores)
    model = GPT.init(D, N + 1, size=size, key=jr.key(1))
    sample = fresh_batch(linear_prompts(D, N), batch // MICRO_BATCHES)

    def loss(model: Any, key: Any) -> Any:
        data = sample(key)
        labels = jnp.concatenate([data.ys, data.target[:, None]], 1)
        return jnp.mean((model.batch_prefixes(data) - labels) ** 2)

    shared = {"accumulate": MICRO_BATCHES, "devices": jax.devices()[:MICRO_BATCHES]}
    return model, training(model, loss, Adam(1e-4), STEPS[size], **shared)


def against_peers(size: str, batch: int, repeats: int) -> list[Row]:
    """Ours beside Hugging Face's GPT-2 of the same sizes."""
    model, own = ours(size, batch)
    calls = {jax.__version__: own}
    if timing.OTHER_PYTHON:
        version, other = elsewhere(timing.OTHER_PYTHON, size, batch)
        calls[version] = other
    versions = list(calls)
    if timing.PEERS:
        import torch_baselines

        layers, width = model.blocks.project.shape[:2]
        calls["Hugging Face GPT-2, " + EAGER] = torch_baselines.gpt(
            layers, model.heads, width, D, N + 1, batch, STEPS[size]
        )
    found = in_turn({k: (call, STEPS[size]) for k, call in calls.items()}, repeats)
    work = gigaflops(model, batch, 2 * N + 1)
    rows = []
    for version in versions:
        seconds = found.pop(version)
        targets = OLDER if version.startswith("0.10.") else TARGETS
        case = f"GPT {size}, batch {batch}, JAX {version}"
        note, target = f"{work / seconds:.0f} GFLOP/s", targets.get(size)
        theirs = {k: v for k, v in found.items() if k not in versions}
        rows += [Row(case, seconds, k, v, target, note) for k, v in theirs.items()]
        if not theirs:
            rows.append(Row(case, seconds, "itself", seconds, None, note))
    return rows


def elsewhere(python: str, size: str, batch: int) -> tuple[str, Callable[[], Any]]:
    """The version of JAX of another Python, and `ours` as a call of a process there."""
    pipe = subprocess.PIPE
    process = launch(python, __file__, size, batch, stdin=pipe, bufsize=1)
    atexit.register(process.kill)
    pipe_in, pipe_out = process.stdin, process.stdout
    assert pipe_in is not None and pipe_out is not None
    version = pipe_out.readline().strip()
    if not version:
        raise SystemExit(f"{python} cannot run iclax")

    def call() -> str:
        pipe_in.write("go on\n")
        return pipe_out.readline()

    return version, call


def gigaflops(model: GPT, batch: int, tokens: int) -> float:
    """Multiplications and additions of our training step: three times the forward ones.

    A token costs 2 · 12 w² a layer in the dense layers, and 4 w t in the attention to
    all t tokens (the masked half is computed too). In the last layer only the (t + 1)/2
    points with a prediction go further than keys and values, 4 w² a token.
    """
    layers, w = model.blocks.project.shape[:2]
    points = (tokens + 1) // 2
    inner = tokens * (24 * w**2 + 4 * w * tokens)
    last = tokens * 4 * w**2 + points * (20 * w**2 + 4 * w * tokens)
    return 3e-9 * batch * ((layers - 1) * inner + last)


CASES = {"gpt": gpt}

if __name__ == "__main__":
    _, call = ours(sys.argv[1], int(sys.argv[2]))
    print(jax.__version__, flush=True)
    for _ in sys.stdin:
        call()
        print("done", flush=True)
