"""The trained layers of a run on disk."""

from pathlib import Path

import jax.random as jr
import numpy as np

from .._errors import RunError, SettingError
from ..models import LinearAttention
from ..settings import parse_setting
from ..training import load_model as load_weights
from ._layer_training import build_layer
from ._run_identity import read_saved


def load_model(
    folder: str | Path,
    seed: int | None = None,
    *,
    part: str | None = None,
    last: bool = False,
) -> LinearAttention:
    """The trained layer of a run folder of `iclax run` or `iclax reproduce`.

    The weights are those that the report is about (averaged over the last steps where
    the setting says so), or those of the `last` step. `seed` is one of the setting's
    (the first if left out), `part` one of the run's cases (of `iclax run` there is
    one). In the run folder itself they are at
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
        raise RunError(f"{folder}: the part {name} trains no linear-attention layer.")
    setting = parse_setting(data["setting"])
    seeds = setting.training.seeds
    chosen = seeds[0] if seed is None else seed
    if chosen not in seeds:
        raise SettingError("seed", f"{chosen}", ", ".join(map(str, seeds)))
    dim = len(np.array(data["layers"][0]["gamma"]))
    return load_weights(
        folder / "parts" / f"{name}-{fingerprint[:8]}",
        build_layer(setting.model, dim, jr.key(0)),
        run=seeds.index(chosen),
        last=last,
    )


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
