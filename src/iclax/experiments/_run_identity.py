"""To which run a folder belongs, so that no other run writes over it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .._errors import RunError
from .._files import writing
from ..runs import plain, write_json
from ..runs._identity import differences

SETTING_FILE = "a setting file"
_FILE = "setting.json"
_REPORTS = ("report.html", "table.md", "verdicts.json")


def claim_folder(folder: Path, identity: Mapping[str, Any], force: bool) -> None:
    """Record in `folder`, which is locked, that it belongs to the run `identity`.

    Raises `RunError` naming what differs if it belongs to another run; with `force` it
    is taken over, and the other's reports are removed. A folder that does not say whose
    it is, is taken as it is.
    """
    path, own = folder / _FILE, json.loads(json.dumps(plain(dict(identity))))
    saved = read_saved(path)
    found = [] if saved is None else _differences(saved, own)
    if found and not force:
        raise RunError(
            f"{folder} belongs to another run: {'; '.join(found)}. Choose another "
            "--out, or --force to replace what is there."
        )
    if found:
        _remove_reports(folder)
    if found or saved is None:
        write_json(path, own)


def read_saved(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file of a run folder, None if there is no such file.

    Raises `RunError` if it is damaged.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise damaged(path, str(error)) from None
    if not isinstance(found, dict):
        raise damaged(path, "it holds no JSON object")
    return found


def damaged(path: Path, reason: str) -> RunError:
    """What to say of a file that cannot be used: remove that file, and no other."""
    return RunError(
        f"{path} is damaged ({reason}). Remove that file and give the same command "
        "again: only what it held is made anew."
    )


def _differences(saved: dict[str, Any], own: dict[str, Any]) -> list[str]:
    """In which the two runs differ; of two recipes that alone is said."""
    if "fingerprint" in saved:  # as `iclax run` wrote it before reproductions did
        saved = {"recipe": SETTING_FILE, "setting": saved.get("setting")}
    recipes = [{"recipe": run.get("recipe")} for run in (saved, own)]
    found = list(differences(*recipes)) or list(differences(saved, own))
    lines = [line.removeprefix("setting.") for line in found]
    return lines[:5] + ["…"] * (len(lines) > 5)


def _remove_reports(folder: Path) -> None:
    for name in _REPORTS:
        with writing(folder / name):
            (folder / name).unlink(missing_ok=True)
