"""Linear attention: fresh prompts, fixed prompts, depth, and a run to its end."""

import time
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from steps import linear_prompts, squared, training
from timing import EAGER, PEERS, Row, in_turn

from iclax.covariates import Uniform
from iclax.models import AttentionStack, FixedPromptLoss, LinearAttention
from iclax.prompts import PromptDistribution
from iclax.sampling import compressed_batch, fresh_batch
from iclax.tasks import Linear
from iclax.theory import (
    Attention,
    attention_moments,
    best_plain_step,
    risk_from_attention_moments,
)
from iclax.training import SGD, Adam, train

ADAMW = Adam(1e-3, weight_decay=1e-4)


def lsa(repeats: int, quick: bool) -> list[Row]:
    """One layer, d = 10, batch 2048, AdamW, fresh data every step."""
    d, size = 10, 64 if quick else 2048
    model = LinearAttention.init(d, key=jr.key(1))
    calls = {}
    for n in (10, 200, 1000):
        law = linear_prompts(d, n)
        loss = squared(compressed_batch(law, size))
        calls[f"{n}"] = (training(model, loss, ADAMW, 100), 100)
        if n == 1000:
            continue
        count = {10: 20, 200: 3}[n]
        loss = squared(fresh_batch(law, size))
        calls[f"{n} full"] = (training(model, loss, ADAMW, count), count)
        if PEERS:
            import torch_baselines

            count = {10: 10, 200: 1}[n]
            calls[f"{n} {EAGER}"] = (
                torch_baselines.one_layer(d, n, size, count),
                count,
            )
    found = in_turn(calls, repeats)
    rows = []
    for n, target in ((10, 4.0), (200, 8.0)):
        case, ours = f"LSA d=10 n={n}, batch {size}", found[f"{n}"]
        rows.append(Row(case, ours, "ours, full prompts", found[f"{n} full"]))
        if PEERS:
            rows.append(Row(case, ours, EAGER, found[f"{n} {EAGER}"], target))
    growth = found["1000"] / found["10"]
    note = f"growth from n=10 to n=1000: {growth:.2f}× (target: below 1.3×)"
    rows.append(
        Row(
            f"LSA d=10 n=10, batch {size}",
            found["10"],
            "ours at n=1000",
            found["1000"],
            None,
            note,
        )
    )
    return rows


def fixed(repeats: int, quick: bool) -> list[Row]:
    """Merged 8-head layer on 5000 fixed prompts, d = 4, 32 tokens, SGD."""
    d, n, heads, count = 4, 31, 8, 200 if quick else 5000
    data = jax.jit(fresh_batch(linear_prompts(d, n), count))(jr.key(0))
    model = LinearAttention.init(
        d, heads=heads, parametrization="merged", include_query=True, key=jr.key(1)
    )

    def on_features(model: Any, key: Any, data: Any) -> Any:
        return data(model)

    def on_prompts(model: Any, key: Any, data: Any) -> Any:
        return jnp.mean((jax.vmap(model)(data) - data.target) ** 2)

    features = FixedPromptLoss.of(data, include_query=True)
    sgd = SGD(1e-3)
    calls = {
        "ours": (training(model, on_features, sgd, 5000, data=features), 5000),
        "ours, on the prompts": (training(model, on_prompts, sgd, 50, data=data), 50),
    }
    targets = {}
    if PEERS:
        import torch_baselines

        arrays = [np.asarray(a) for a in (data.xs, data.ys, data.query, data.target)]
        attention, _ = torch_baselines.fixed_prompts(arrays, heads, 1)
        _, net = torch_baselines.fixed_prompts(arrays, heads, 100)
        calls["attention, " + EAGER] = (attention, 1)
        calls["net on cubic features, " + EAGER] = (net, 100)
        targets = {"attention, " + EAGER: 300.0, "net on cubic features, " + EAGER: 1.0}
    found = in_turn(calls, repeats)
    ours = found.pop("ours")
    case = f"8-head LSA, {count} fixed prompts"
    return [Row(case, ours, k, v, targets.get(k)) for k, v in found.items()]


def deep(repeats: int, quick: bool) -> list[Row]:
    """3 layers, d = 5, n = 20, batch 20,000 kept for 100 steps, AdamW."""
    d, n, layers, size = 5, 20, 3, 200 if quick else 20_000
    model = AttentionStack.init(d, layers=layers, sign=-1.0, key=jr.key(1))
    sample = compressed_batch(linear_prompts(d, n), size)

    def loss(model: Any, key: Any, step: Any) -> Any:
        batch = sample(jr.fold_in(jr.key(0), (step - 1) // 100))
        return jnp.mean((model.batch(batch) - batch.target) ** 2)

    calls = {"ours": (training(model, loss, ADAMW, 20), 20)}
    if PEERS:
        import torch_baselines

        calls[EAGER] = (torch_baselines.stack(d, n, size, layers, 1), 1)
    found = in_turn(calls, repeats)
    ours = found.pop("ours")
    case = f"LSA 3 layers d=5 n=20, batch {size}"
    rows = [Row(case, ours, k, v, 3.0) for k, v in found.items()]
    return rows or [Row(case, ours, "itself", ours)]


def plateau(repeats: int, quick: bool) -> list[Row]:
    """The run of von Oswald et al.: d = n = 10, batch 2048, 5000 steps, compilation
    included, through plateau and escape to the loss of the best gradient step; and the
    same run on the exact population risk, the mean over all such batches."""
    steps, size = (50, 64) if quick else (5000, 2048)
    law = PromptDistribution(Uniform(np.eye(10) / 3), Linear(np.eye(10)), 10)

    def sampled() -> Any:
        return squared(fresh_batch(law, size))

    def exact() -> Any:
        moments = attention_moments(law)
        return lambda model, key: risk_from_attention_moments(
            Attention(*model.effective()), moments
        )

    case = f"von Oswald run, {steps} steps"
    return [
        _whole_run(f"{case}, batch {size}", law, sampled, steps, quick),
        _whole_run(f"{case}, exact risk", law, exact, steps, quick),
    ]


def _whole_run(case: str, law: Any, loss: Any, steps: int, quick: bool) -> Row:
    """One training from its start to its end; each repeat compiles anew."""
    times, least = [], float(best_plain_step(law).risk)
    for repeat in range(1 if quick else 3):
        start = time.perf_counter()
        result = train(
            lambda key: LinearAttention.init(10, init_scale=0.0139, key=key),
            loss(),
            steps=steps,
            seeds=[repeat],
            optimizer=Adam(1e-3, b2=0.98),
            record_every=max(steps // 50, 1),
        )
        times.append(time.perf_counter() - start)
    losses = result.history["loss"][0]
    late = losses < (losses[0] + least) / 2
    escape = result.steps[np.argmax(late)] if late.any() else None
    note = (
        f"escape at step {escape}, loss at the end {losses[-1] / least:.3f} × that of "
        "the best single gradient step; target: 8 s at most"
    )
    seconds = float(np.median(times))
    return Row(case, seconds, "their code, as recorded", 66.0, 66.0 / 8, note)


CASES = {"lsa": lsa, "fixed": fixed, "deep": deep, "plateau": plateau}
