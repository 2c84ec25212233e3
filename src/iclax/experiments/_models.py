"""The model of a setting: any of the library, or a class of the user's own."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.random as jr

from .._errors import SettingError
from ..models import GPT, AttentionStack
from ..prompts import PromptDistribution
from ..settings import (
    AttentionStackTable,
    GPTTable,
    LinearAttentionTable,
    OwnModelTable,
    Setting,
)
from ..settings._own import refuse
from ._layer_training import build_layer


def model_builder(
    setting: Setting, prompts: PromptDistribution
) -> Callable[[Any], Any]:
    """A function from a key to the setting's model, at its random initialization.

    Raises `SettingError` for an objective that it is not trained on, and for a class of
    one's own that cannot be found, made, or asked for a prediction: a scalar for each
    prompt.
    """
    table = setting.model
    if isinstance(table, LinearAttentionTable):
        if setting.training.objective != "query":
            allowed = '"query" for linear_attention, whose theory is of the query'
            raise SettingError("training.objective", '"all"', allowed)
        return lambda key: build_layer(table, prompts.dim, key)
    if isinstance(table, OwnModelTable):
        return _own_builder(setting, table, prompts)
    fields = table.model_dump(exclude={"kind"})
    if isinstance(table, AttentionStackTable):
        build = lambda key: AttentionStack.init(prompts.dim, **fields, key=key)
    elif isinstance(table, GPTTable):
        points = prompts.context_length + 1
        build = lambda key: GPT.init(prompts.dim, points, **fields, key=key)
    jax.eval_shape(build, jr.key(0))  # sizes that do not fit are refused here
    return build


def _own_builder(
    setting: Setting, table: OwnModelTable, prompts: PromptDistribution
) -> Callable[[Any], Any]:
    def build(key: Any) -> Any:
        return table.make(setting.folder, "model", key=key)

    model = build(jr.key(0))
    shape = prediction_shape(model, prompts, table.kind)
    if shape != ():
        found = f"predictions of shape {shape} by {table.kind}"
        raise SettingError("model.kind", found, "a scalar for each prompt")
    return build


def prediction_shape(model: Any, prompts: PromptDistribution, name: str) -> Any:
    """The shape of a prediction for one prompt; `SettingError` if there is none."""
    try:
        ask = eqx.filter_eval_shape(lambda key: model(prompts.sample(key)), jr.key(0))
    except Exception as error:  # of the user's code
        refuse("model.kind", f"{name} on one prompt", error)
    return getattr(ask, "shape", None)
