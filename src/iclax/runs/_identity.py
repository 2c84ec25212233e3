"""When two settings are the same run."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .._errors import RunError
from ._files import plain


def digest(setting: Mapping[str, Any]) -> str:
    """The SHA-256 of a setting, whatever the order of its keys."""
    text = json.dumps(plain(setting), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def check_same(folder: Path, saved: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Raise `RunError` naming the keys in which two settings differ."""
    own = json.loads(json.dumps(plain(own)))  # tuples are lists in the file
    found = list(differences(saved, own))
    if found:
        what = "; ".join(found[:5]) + ("; …" if len(found) > 5 else "")
        raise RunError(
            f"{folder} belongs to another run: {what}. Choose another folder, or give "
            "the setting that began this one."
        )


def differences(saved: Any, own: Any, at: str = "") -> Iterator[str]:
    """One line per key in which two settings differ."""
    if isinstance(saved, Mapping) and isinstance(own, Mapping):
        for key in [*saved, *(key for key in own if key not in saved)]:
            inner = f"{at}.{key}" if at else str(key)
            if key not in own:
                yield f"{inner} = {saved[key]!r} there, absent here"
            elif key not in saved:
                yield f"{inner} absent there, {own[key]!r} here"
            else:
                yield from differences(saved[key], own[key], inner)
    elif saved != own:
        yield f"{at} = {saved!r} there, {own!r} here"
