"""What a part was computed with: recorded while it is computed, and kept since."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..runs import plain, versions, write_json
from ..runs._folder import now
from ..runs._identity import differences
from ._run_identity import read_saved

_FILE = "provenance.json"


def begin_part(own: Path, seed: int) -> dict[str, Any]:
    """Note in the part folder `own` that its computation begins, and with what.

    The record has the times "begun" and "ended", "command" (a list), "seed" and
    "versions". Where checkpoints are left to go on from, the records of those that
    made them come first, under "earlier".
    """
    record = {
        "begun": now(),
        "command": [_text(argument) for argument in sys.argv],
        "seed": seed,
        "versions": versions(),
    }
    if has_checkpoints(own):
        before = read_saved(own / _FILE) or {}
        record["earlier"] = [*before.pop("earlier", []), before]
    write_json(own / _FILE, record)
    return record


def end_part(own: Path, record: Mapping[str, Any]) -> dict[str, Any]:
    """The record of a computation that ends now, with the device that it used."""
    times = {"begun": record["begun"], "ended": now()}
    ended = times | dict(record) | {"versions": versions()}
    write_json(own / _FILE, ended)
    return ended


def has_checkpoints(own: Path) -> bool:
    """Whether a part folder holds what a training can go on from."""
    return any(own.rglob("step-*.json"))


def why_again(saved: Mapping[str, Any], config: Mapping[str, Any], sources: str) -> str:
    """Why a part saved with another fingerprint is computed again."""
    made = (saved.get("provenance") or {}).get("versions", {}).get("sources")
    if made is None:
        return "made before iclax recorded its sources"
    if made != sources:
        return "made by other sources of iclax"
    own = json.loads(json.dumps(plain(config)))
    found = "; ".join(list(differences(saved.get("config", {}), own))[:3])
    return f"made with another config ({found})"


def _text(argument: str) -> str:
    """An argument that any file can hold; one may be bytes that are no UTF-8."""
    return argument.encode("utf-8", "backslashreplace").decode()
