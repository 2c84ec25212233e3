"""GPT-2 style decoders against Hugging Face's."""

import math
import os
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
from steps import linear_prompts, training
from timing import EAGER, PEERS, Row, in_turn

from iclax.models import GPT
from iclax.sampling import fresh_batch
from iclax.training import Adam

D, N = 20, 40
MICRO_BATCHES = 16
# Steps a call, and the ratio asked for.
SIZES = {"tiny": (10, 2.0), "small": (2, None), "standard": (1, 1.0)}


def gpt(repeats: int, quick: bool) -> list[Row]:
    """Garg et al.: d = 20, 41 points, batch 64, Adam, loss at all points.

    Every core is a device with its share of the micro-batches.
    """
    batch = 8 if quick else 64
    cores = math.gcd(len(os.sched_getaffinity(0)), MICRO_BATCHES)
    jax.config.update("jax_num_cpu_devices", cores)
    shared = {"accumulate": MICRO_BATCHES, "devices": jax.devices()[:MICRO_BATCHES]}
    rows = []
    for size in ("tiny",) if quick else SIZES:
        steps, target = SIZES[size]
        model = GPT.init(D, N + 1, size=size, key=jr.key(1))
        sample = fresh_batch(linear_prompts(D, N), batch // MICRO_BATCHES)

        def loss(model: Any, key: Any, sample: Any = sample) -> Any:
            data = sample(key)
            labels = jnp.concatenate([data.ys, data.target[:, None]], 1)
            return jnp.mean((model.batch_prefixes(data) - labels) ** 2)

        ours = training(model, loss, Adam(1e-4), steps, **shared)
        rows += against_peers(size, model, ours, steps, batch, target, repeats)
    return rows


def against_peers(
    size: str,
    model: GPT,
    ours: Any,
    steps: int,
    batch: int,
    target: float | None,
    repeats: int,
) -> list[Row]:
    """Ours beside Hugging Face's GPT-2 of the same sizes."""
    calls = {"ours": (ours, steps)}
    if PEERS:
        import torch_baselines

        layers, width = model.blocks.project.shape[:2]
        theirs = torch_baselines.gpt(layers, model.heads, width, D, N + 1, batch, steps)
        calls["Hugging Face GPT-2, " + EAGER] = (theirs, steps)
    found = in_turn(calls, repeats)
    seconds = found.pop("ours")
    speed = gigaflops(model, batch, 2 * N + 1) / seconds
    case, note = f"GPT {size}, batch {batch}", f"{speed:.0f} GFLOP/s"
    rows = [Row(case, seconds, k, v, target, note) for k, v in found.items()]
    return rows or [Row(case, seconds, "itself", seconds, None, note)]


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
