"""Any model trained on a setting, beside the references and what theory knows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from .. import theory
from .._errors import AssumptionError, SettingError
from ..evaluation import simulate_against, simulate_risks
from ..predictors import prefixes
from ..prompts import Prompt, PromptDistribution
from ..sampling import fresh_batch
from ..settings import Setting
from ..training import Objective, TrainResult
from ._claims import Claim, exact_claim
from ._context_curve import length_grid
from ._layer_training import train_as_stated, trained_model
from ._models import model_builder, prediction_shape
from ._reference_predictors import (
    exact_reference,
    exact_where_known,
    reference_predictors,
)
from ._saved_comparison import claim_data, references_data

_WATCHED = 1024  # fixed prompts of the learning curve
_BAYES_POINTS = 40  # of a line of exact risks
_LARGE = 20_000  # parameters: above it fewer prompts are simulated


class TrainedModels(NamedTuple):
    """Every seed's model with the weights of the result, by the seed's number."""

    models: dict[str, Any]
    result: TrainResult


def compare_model(
    setting: Setting,
    *,
    label: str,
    num_prompts: int,
    folder: Path | None = None,
    progress: Callable[..., Any] | None = None,
) -> dict[str, Any]:
    """The saved data of `iclax run` for a model that theory claims nothing about.

    Exact numbers are those of the best one-layer linear attention, the best plain step
    and the Bayes predictor, as far as they are known; those of the model are simulated
    on the same prompts as the references, or exact where it states a form.
    """
    prompts = setting.prompts()
    claim = exact_claim(prompts)
    bar = None
    if progress is not None:
        batch = setting.training.batch_size
        bar = progress(prompts_per_step=batch, floor=None)
    trained = train_models(setting, prompts, folder=folder, progress=bar)
    first = next(iter(trained.models.values()))
    size = sum(leaf.size for leaf in jax.tree.leaves(eqx.filter(first, eqx.is_array)))
    num = num_prompts if size <= _LARGE else num_prompts // 8
    key = jr.fold_in(jr.key(setting.training.seeds[0]), 2**31 - 1)
    risk_key, length_key = jr.split(key)
    others = reference_predictors(prompts, num // 8, risk_key)
    name = next(iter(others))
    found = simulate_against(
        trained.models,
        prompts,
        reference=others[name],
        others=others,
        num_prompts=num,
        key=risk_key,
    )
    references = exact_where_known(others, prompts, found.risks)
    layers = [
        {
            "seed": int(seed),
            "exact_risk": _exact(model, prompts),
            "trained_risk": found.risks[seed].mean,
            "trained_risk_se": found.risks[seed].standard_error,
            "heavy_tailed": found.risks[seed].heavy_tailed,
            "prediction_gap": found.gaps[seed].mean,
            "prediction_gap_se": found.gaps[seed].standard_error,
            "gap_to": name,
        }
        for seed, model in trained.models.items()
    ]
    history = trained.result.history
    return {
        "label": label,
        "title": label,
        "setting": setting.model_dump(mode="json"),
        "parameters": size,
        "claim": claim_data(claim),
        "layers": layers,
        "references": references_data(references),
        "training": {
            "steps": trained.result.steps,
            "loss": history["loss"],
            "risk": history["risk"],
            "watched_prompts": _WATCHED,
            "seconds": trained.result.seconds,
        },
        "context": _lengths(first, claim, name, others[name], num // 4, length_key),
        "checks": [],
        "holds": None,
        "verdict": f"not judged: theory claims nothing about {setting.model.kind}",
        "num_prompts": num,
    }


def train_models(
    setting: Setting,
    prompts: PromptDistribution,
    *,
    folder: Path | None = None,
    progress: Any = None,
) -> TrainedModels:
    """Train every seed on fresh prompts at every step, all at once.

    Watched: "risk", against the noiseless target on the same 1024 prompts every time.
    """
    table, build = setting.training, model_builder(setting, prompts)
    draw, loss_of = fresh_batch(prompts, table.batch_size), _objective(setting)
    rest = eqx.filter(build(jr.key(0)), eqx.is_inexact_array, inverse=True)
    key = jr.fold_in(jr.key(table.seeds[0]), 2**31 - 3)
    fixed = fresh_batch(prompts, _WATCHED)(key)

    def init(key: Any) -> Any:
        return eqx.filter(build(key), eqx.is_inexact_array)

    def loss(weights: Any, key: Any) -> Any:
        return loss_of(eqx.combine(weights, rest), draw(key))

    def watch(weights: Any) -> dict[str, Any]:
        values = _predictions(eqx.combine(weights, rest), fixed)
        return {"risk": jnp.mean((values - fixed.target) ** 2)}

    result = train_as_stated(setting, init, loss, watch, folder, progress)
    models = {
        str(seed): eqx.combine(trained_model(result, i), rest)
        for i, seed in enumerate(table.seeds)
    }
    return TrainedModels(models, result)


def _objective(setting: Setting) -> Callable[[Any, Prompt], Any]:
    """The squared error against the noisy label, at the query or at all points."""
    if setting.training.objective == "query":
        return lambda model, batch: Objective()(_predictions(model, batch), batch.label)

    def everywhere(model: Any, batch: Prompt) -> Any:
        labels = jnp.concatenate([batch.ys, batch.label[:, None]], axis=1)
        if hasattr(model, "batch_prefixes"):
            values = model.batch_prefixes(batch)
        else:
            values = jax.vmap(lambda prompt: prefixes(model, prompt))(batch)
        return Objective(positions="all")(values, labels)

    return everywhere


def _predictions(model: Any, batch: Prompt) -> Any:
    """What a model predicts for every prompt, its own way where it has one."""
    return model.batch(batch) if hasattr(model, "batch") else jax.vmap(model)(batch)


def _exact(model: Any, prompts: PromptDistribution) -> float | None:
    try:
        return float(theory.risk(model, prompts))
    except (AssumptionError, SettingError):
        return None


def _lengths(
    model: Any, claim: Claim, name: str, reference: Any, num_prompts: int, key: Any
) -> dict[str, Any]:
    """Risk at the context lengths that the model can be asked at, and the reference's.

    `lines` are exact at every length between, None where theory does not know them.
    """
    prompts, n = claim.prompts, claim.prompts.context_length
    rows = []
    for i, length in enumerate(sorted({1, max(1, n // 4), n // 2 or 1, n, 2 * n})):
        other = prompts.replace(context_length=length)
        try:
            prediction_shape(model, other, "the model")
        except SettingError:
            continue  # longer, or shorter, than it can read
        found = simulate_risks(
            {"trained": model, "reference": reference},
            other,
            num_prompts=num_prompts,
            key=jr.fold_in(key, i),
        )
        own, best = found["trained"], found["reference"]
        rows.append(
            {
                "length": length,
                "simulated": own.mean,
                "standard_error": own.standard_error,
                "reference": best.mean,
                "reference_se": best.standard_error,
            }
        )
    grid = length_grid(rows[0]["length"], rows[-1]["length"]) if rows else []
    return {
        "rows": rows,
        "lines": {
            "length": grid,
            "optimum": theory.context_length_risks(prompts, grid, retrained=True)
            if claim.known and rows
            else None,
            "reference": _exact_line(name, reference, prompts, grid),
        },
        "reference": name,
        "trained_at": n,
    }


def _exact_line(name: str, predictor: Any, prompts: PromptDistribution, grid: Any):
    """The exact risk of a reference at every length; None where one is not known."""
    shown = grid[:: max(1, len(grid) // _BAYES_POINTS)]
    found = [
        exact_reference(name, predictor, prompts.replace(context_length=int(length)))
        for length in shown
    ]
    if not found or None in found:
        return None
    return {"length": shown, "risk": [estimate.mean for estimate in found]}
