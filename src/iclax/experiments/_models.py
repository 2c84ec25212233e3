"""The model of a setting: any of the library, or a class of the user's own."""

import importlib
import importlib.util
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
from ._layer_training import build_layer


def model_builder(
    setting: Setting, prompts: PromptDistribution
) -> Callable[[Any], Any]:
    """A function from a key to the setting's model, at its random initialization.

    Raises `SettingError` for a class of one's own that cannot be found, made, or asked
    for a prediction: a scalar for each prompt.
    """
    table = setting.model
    if isinstance(table, LinearAttentionTable):
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
    own, keys = _own_class(setting, table), table.keys()

    def build(key: Any) -> Any:
        return own(**keys, key=key)

    try:
        model = build(jr.key(0))
    except Exception as error:  # of the user's code
        given = ", ".join([*keys, "key"])
        raise _refused("model", f"{table.kind}({given})", error) from error
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
        raise _refused("model.kind", f"{name} on one prompt", error) from error
    return getattr(ask, "shape", None)


def _own_class(setting: Setting, table: OwnModelTable) -> Any:
    """The class of "module:Class", from beside the setting file or as installed."""
    (name, wanted), path = table.module(), setting.own_module()
    try:
        if path is None:
            module = importlib.import_module(name)
        else:
            spec = importlib.util.spec_from_file_location(name, path)
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
    except ModuleNotFoundError as error:
        if path is None and error.name == name.partition(".")[0]:
            found = f'"{table.kind}", but no module {name}'
            allowed = "a module beside the setting file, or an installed one"
            raise SettingError("model.kind", found, allowed) from None
        raise _refused("model.kind", f"the module {name}", error) from error
    except Exception as error:  # of the user's code
        raise _refused("model.kind", f"the module {name}", error) from error
    if not callable(getattr(module, wanted, None)):
        there = [k for k, v in vars(module).items() if isinstance(v, type)]
        here = [k for k in there if getattr(module, k).__module__ == name]
        found = f"{name} without a class {wanted}"
        raise SettingError("model.kind", found, ", ".join(here) or "a class of it")
    return getattr(module, wanted)


def _refused(key: str, what: str, error: Exception) -> SettingError:
    """One message for what the user's own code raised."""
    told = str(error).strip().splitlines()
    said = f"{type(error).__name__}{f': {told[0]}' if told else ''}"
    return SettingError(key, f"{what}, which raised {said}", "code that runs")
