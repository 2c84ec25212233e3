"""`iclax runs`: what runs there are, finished or not."""

import json as json_
from pathlib import Path
from typing import Annotated, Any

import tyro


def runs(
    root: Annotated[
        Path, tyro.conf.Positional, tyro.conf.arg(metavar="[FOLDER]")
    ] = Path("runs"),
    /,
    json: tyro.conf.FlagCreatePairsOff[bool] = False,
) -> None:
    """The runs in a folder: what each is, its status, its verdict and when it ended.

    Args:
        root: The folder that holds them.
        json: Print one JSON object.
    """
    from .._errors import SettingError
    from ..runs import list_runs
    from ._output import print_json, print_table

    if not root.is_dir():
        raise SettingError("FOLDER", f"no folder at {root}", "a folder that holds runs")
    rows = [_row(record) for record in list_runs(root)]
    if json:
        print_json({"folder": str(root), "runs": rows})
        return
    if not rows:
        print(f"{root} holds no runs")
        return
    columns = ("run", "what", "status", "verdict", "ended")
    lines = [tuple(str(row[c] or "–") for c in columns) for row in rows]
    print_table([columns, *lines])


def _row(record: Any) -> dict[str, Any]:
    """One run in the words of its files."""
    details = record.details
    return {
        "run": record.path.name,
        "what": _what(record.setting),
        "status": record.status,
        "verdict": _verdict(record.path / "verdicts.json"),
        "seeds": details.get("seeds"),
        "ended": (details.get("ended") or "").replace("T", " ").removesuffix("+00:00"),
        "seconds": details.get("seconds"),
        "reason": details.get("reason"),
        "versions": details.get("versions"),
    }


def _what(identity: dict[str, Any]) -> str:
    """A recipe with its size, a setting by its kinds, or what else was stated."""
    if "size" in identity:
        return f"{identity['recipe']}, {identity['size']}, seed {identity['seed']}"
    setting = identity.get("setting")
    if isinstance(setting, dict) and "tasks" in setting:
        kinds = [setting[key]["kind"] for key in ("tasks", "covariates", "model")]
        return f"{', '.join(kinds)}, n = {setting['prompt']['context_length']}"
    return ", ".join(f"{key} = {value}" for key, value in list(identity.items())[:3])


def _verdict(path: Path) -> str | None:
    """How many verdicts hold, fail and are not decided; None without a report."""
    from ..report import Verdict, tally

    try:
        told = json_.loads(path.read_text(encoding="utf-8"))["verdicts"]
        found = [Verdict(v["name"], v["passed"], "") for v in told]
        return tally(found) if found else None
    except (OSError, ValueError, LookupError, TypeError):
        return None
