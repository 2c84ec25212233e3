"""The trained models of a run on disk."""

from pathlib import Path
from typing import Any

import equinox as eqx
import jax.random as jr
import numpy as np

from .._errors import RunError, SettingError
from ..settings import LinearAttentionTable, parse_setting
from ..training import load_model as load_weights
from ._layer_training import build_layer
from ._models import model_builder
from ._run_identity import read_saved


def load_model(
    folder: str | Path,
    seed: int | None = None,
    *,
    part: str | None = None,
    last: bool = False,
    base: str | Path = ".",
) -> Any:
    """The trained model of a run folder of `iclax run` or `iclax reproduce`.

    The weights are those that the report is about (averaged over the last steps where
    the setting says so), or those of the `last` step. `seed` is one of the setting's
    (the first if left out), `part` one of the run's cases (of `iclax run` there is
    one). Relative paths of the setting (data, a module of your own) are taken from
    `base`, the folder of its file. In the run folder itself they are at
    `parts/<part>-<fingerprint>/weights.safetensors` and `last_weights.safetensors`.

    Raises `RunError` where the folder has no finished training of that part, and
    `SettingError` for a part or a seed that is not there.
    """
    folder = Path(folder)
    name = _part(folder, part)
    saved = read_saved(folder / f"{name}.json")
    if saved is None or "data" not in saved:
        raise RunError(f"{folder} holds no finished part {name}.")
    data, fingerprint = saved["data"], saved["fingerprint"]
    if "layers" not in data or "setting" not in data:
        raise RunError(f"{folder}: the part {name} trains no model of a setting.")
    setting = parse_setting(data["setting"], Path(base))
    seeds = setting.training.seeds
    chosen = seeds[0] if seed is None else seed
    if chosen not in seeds:
        raise SettingError("seed", f"{chosen}", ", ".join(map(str, seeds)))
    if isinstance(setting.model, LinearAttentionTable):
        dim = len(np.array(data["layers"][0]["gamma"]))
        like, rest = build_layer(setting.model, dim, jr.key(0)), None
    else:
        fresh = model_builder(setting, setting.prompts())(jr.key(0))
        like, rest = eqx.partition(fresh, eqx.is_inexact_array)
    part_folder, run = (
        folder / "parts" / f"{name}-{fingerprint[:8]}",
        seeds.index(chosen),
    )
    weights = load_weights(part_folder, like, run=run, last=last)
    return weights if rest is None else eqx.combine(weights, rest)


def _part(folder: Path, part: str | None) -> str:
    """The name of the part; of several the user has to name one."""
    found = {path.name.rpartition("-")[0] for path in folder.glob("parts/*-*")}
    names = sorted(name for name in found if (folder / f"{name}.json").exists())
    if not names:
        raise RunError(f"{folder} holds no run with trained models.")
    if part is None and len(names) == 1:
        return names[0]
    if part not in names:
        given = "none" if part is None else repr(part)
        raise SettingError("part", given, ", ".join(names))
    return part
