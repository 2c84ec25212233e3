"""Training one linear-attention layer as a setting states it."""

from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .. import theory
from .._errors import AssumptionError
from ..models import LinearAttention
from ..prompts import PromptDistribution
from ..sampling import fresh_batch
from ..settings import LinearAttentionTable, Setting
from ..training import Adam, Average, Cosine, TrainResult, train


def train_layer(
    setting: Setting,
    prompts: PromptDistribution,
    *,
    folder: Path | None = None,
    progress: Any = None,
) -> TrainResult:
    """Train every seed of `setting` on fresh prompts at every step, all at once.

    The loss is the squared error against the *noisy* label of the query. Watched:
    "risk", the exact risk of the whole layer against the noiseless target, where theory
    knows it.
    """
    draw = fresh_batch(prompts, setting.training.batch_size)

    def init(key: Any) -> LinearAttention:
        return build_layer(setting.model, prompts.dim, key)

    def loss(model: LinearAttention, key: Any) -> Any:
        batch = draw(key)
        return jnp.mean((jax.vmap(model)(batch) - batch.label) ** 2)

    watch = _exact_risk_watch(setting.model, prompts)
    return train_as_stated(setting, init, loss, watch, folder, progress)


def train_as_stated(
    setting: Setting, init: Any, loss: Any, watch: Any, folder: Any, progress: Any
) -> TrainResult:
    """`train` with what the [training] table says."""
    table = setting.training
    return train(
        init,
        loss,
        steps=table.steps,
        seeds=table.seeds,
        optimizer=Adam(table.learning_rate, Cosine(end=0.1), clip=1.0),
        average=Average(table.average_last) if table.average_last else None,
        watch=watch,
        record_every=min(table.record_every, table.steps),
        progress=progress,
        folder=folder,
    )


def _exact_risk_watch(table: LinearAttentionTable, prompts: PromptDistribution) -> Any:
    """A function of the model that gives its exact risk; None without theory."""
    try:
        moments = theory.attention_moments(prompts)
        theory.attention_risk(
            *theory.gd_attention(np.eye(prompts.dim)),
            prompts,
            include_query=table.include_query,
        )
    except AssumptionError:
        return None
    factor = 1.0 if table.normalization == "context" else prompts.context_length

    def watch(model: LinearAttention) -> dict[str, Any]:
        a, q = model.effective()
        weights = theory.Attention(factor * a, q)
        risk = theory.risk_from_attention_moments(weights, moments, table.include_query)
        return {"risk": risk}

    return watch


def trained_model(result: TrainResult, run: int) -> Any:
    """The model of one run: its averaged weights where an average was kept."""
    averaged = result.averaged is not None
    return result.averaged_of(run) if averaged else result.model_of(run)


def build_layer(table: LinearAttentionTable, dim: int, key: Any) -> LinearAttention:
    """The layer of a [model] table at its random initialization."""
    return LinearAttention.init(
        dim,
        heads=table.heads,
        parametrization=table.parametrization,
        init_scale=table.init_scale,
        normalization=table.normalization,
        include_query=table.include_query,
        key=key,
    )


class Weights(NamedTuple):
    """What a trained layer computes with: Γ (1/n convention), what should vanish beside
    it, and the effective read-outs a and maps Q, all in float64."""

    gamma: np.ndarray
    vanishing_blocks: np.ndarray
    readout: np.ndarray
    key_query: np.ndarray


def layer_weights(model: LinearAttention, context_length: int) -> Weights:
    """Read a trained layer."""
    return Weights(*(np.asarray(w, np.float64) for w in _read(model, context_length)))


@eqx.filter_jit  # one compilation, not one for each operation
def _read(model: LinearAttention, context_length: int) -> tuple[Any, ...]:
    gamma = model.preconditioner(context_length)
    return (gamma, model.vanishing_blocks(), *model.effective())
